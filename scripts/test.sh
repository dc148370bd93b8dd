#!/bin/bash
# Runs every test suite, whatever the others did: those that mostly compute beside those that mostly wait. All programs are built already (make binaries).
set -u
cd "$(dirname "$0")/.."
. scripts/suites.sh

export CI=true

compute() {
    suite layers scripts/layers.sh
    suite contract scripts/contract.sh
    suite unit scripts/programs.sh build/unit/*_test
    suite unit-asan scripts/programs.sh build/unit-asan/*_test
    suite unit-tsan scripts/programs.sh build/unit-tsan/*_test
    suite driver-sqlite scripts/programs.sh build/db/*_conformance build/db-asan/*_conformance
    suite fault scripts/programs.sh build/fault/*_test
    suite fuzz scripts/fuzz.sh build/fuzz
    suite presign node_tests tests/storage/presign.test.mjs
    suite support node_tests $(find tests/support tests/verify -name "*.test.mjs")
    suite readme node_tests tests/readme/*.test.mjs
    suite sdk api_tests build/parley tests/sdk/*.test.mjs
    suite api with_ceph covered_api_tests build/parley tests/api/*.test.mjs
    suite api-mariadb with_mariadb api_tests build/parley $(listed_tests mariadb)
    suite api-asan api_tests build/parley-asan $(listed_tests sanitized)
    suite api-tsan api_tests build/parley-tsan $(listed_tests sanitized)
}

wait_for_servers() {
    suite unit-redis tests/support/redis.sh run env AT_ONCE=1 scripts/programs.sh build/unit{,-asan,-tsan}/{redis,api_rate_shared}_test
    suite unit-mariadb with_mariadb scripts/programs.sh build/unit/db_*_test
    suite driver-mariadb tests/support/mariadb.sh run env AT_ONCE=1 scripts/programs.sh build/db/*_conformance build/db-asan/*_conformance
    suite driver-galera with_galera at_first_server PARLEY_DB scripts/programs.sh build/db/*_conformance
    suite storage-local scripts/storage.sh local
    suite storage-s3 scripts/storage.sh s3
    suite storage node_tests tests/storage/life.test.mjs tests/storage/browser.test.mjs
    AT_ONCE=1 suite nodes with_mariadb api_tests build/parley tests/cluster/*.test.mjs
    suite deploy api_tests build/parley tests/deploy/*.test.mjs
    suite galera with_galera api_tests build/parley tests/cluster/galera.test.mjs
    AT_ONCE=1 suite web node_tests tests/web/*.test.mjs
    suite verify-cluster node tests/verify/verify.mjs --binary build/parley --nodes 3 --database mariadb --redis --kills 16 --duration 48
    suite verify node tests/verify/verify.mjs --binary build/parley
}

suite packages npm install --prefix tests --no-audit --no-fund --no-save
beside compute wait_for_servers
suite verify-broken node tests/verify/broken.mjs --quick
suite bench build/bench --quick machine posts deliveries direct return history memory cleanup

summary
