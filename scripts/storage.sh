#!/bin/bash
# Runs the storage's contract (tests/storage/conformance.c).
#
# usage: scripts/storage.sh local|s3      s3: on a Ceph gateway of its own, which it also stops and starts again
set -u
cd "$(dirname "$0")/.."
. scripts/suites.sh

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

conformance() {
    env PARLEY_DATA_DIR="$folder" "$@" "${sanitized[@]}" build/storage_conformance
}

on_s3() {
    conformance PARLEY_S3_ENDPOINT="$PARLEY_TEST_S3_ENDPOINT" PARLEY_S3_ACCESS_KEY="$PARLEY_TEST_S3_ACCESS_KEY" \
        PARLEY_S3_SECRET_KEY="$PARLEY_TEST_S3_SECRET_KEY" PARLEY_S3_TIMEOUT=2s PARLEY_CORS_ORIGINS=https://chat.example.org \
        STORAGE_STOP="tests/support/ceph.sh gateway-stop $PARLEY_TEST_S3_FOLDER" \
        STORAGE_START="tests/support/ceph.sh gateway-start $PARLEY_TEST_S3_FOLDER"
}

case "${1:?local or s3}" in
local) conformance ;;
s3) with_ceph on_s3 ;;
esac
