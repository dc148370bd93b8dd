#!/bin/bash
# Runs the storage's contract (tests/storage/conformance.c).
#
# usage: scripts/storage.sh local|s3|s3-virtual      s3: on Ceph gateways of its own, which it also stops and starts again
set -u
cd "$(dirname "$0")/.."
. scripts/suites.sh

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

conformance() {
    env PARLEY_DATA_DIR="$folder" "$@" "${sanitized[@]}" build/storage_conformance
}

# on_s3 STYLE ACL
on_s3() {
    local endpoint=$PARLEY_TEST_S3_ENDPOINT
    [ "$1" = path ] || endpoint=http://s3.localhost:${endpoint##*:}
    conformance PARLEY_S3_ENDPOINT="$endpoint" PARLEY_S3_STYLE="$1" PARLEY_S3_ACL="$2" \
        PARLEY_S3_ACCESS_KEY="$PARLEY_TEST_S3_ACCESS_KEY" PARLEY_S3_SECRET_KEY="$PARLEY_TEST_S3_SECRET_KEY" \
        PARLEY_CORS_ORIGINS=https://chat.example.org \
        STORAGE_STOP="tests/support/ceph.sh gateway-stop $PARLEY_TEST_S3_FOLDER" \
        STORAGE_START="tests/support/ceph.sh gateway-start $PARLEY_TEST_S3_FOLDER"
}

case "${1:?local, s3 or s3-virtual}" in
local) conformance ;;
s3) with_ceph on_s3 path private ;;
# Buckets by subdomain, uploads without a signed ACL.
s3-virtual) with_ceph on_s3 virtual none ;;
esac
