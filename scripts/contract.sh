#!/bin/bash
# Compares openapi.yaml with the built server, both ways, and tests the comparer.
set -eu
cd "$(dirname "$0")/.."

# Debian's python3-yaml belongs to Debian's Python, which need not be the first on the PATH.
python=/usr/bin/python3
[ -x "$python" ] || python=python3

export PYTHONDONTWRITEBYTECODE=1
(cd tests/contract && "$python" -m unittest -q contract_test)
"$python" tests/contract/contract.py
