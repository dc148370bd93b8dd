#!/bin/bash
# Compares openapi.yaml with the built server, both ways, tests the comparer, and lints the document where the packages of tests/package.json are installed.
set -eu
cd "$(dirname "$0")/.."

# Debian's python3-yaml belongs to Debian's Python, which need not be the first on the PATH.
python=/usr/bin/python3
[ -x "$python" ] || python=python3

export PYTHONDONTWRITEBYTECODE=1
(cd tests/contract && "$python" -m unittest -q contract_test)
"$python" tests/contract/contract.py

if [ -n "${CI:-}" ] || [ -d tests/node_modules/@redocly ]; then
    node tests/contract/lint.mjs
    node --test --test-reporter=spec tests/contract/*.test.mjs
else
    echo "openapi.yaml is not linted: npm install --prefix tests brings the linter"
fi
