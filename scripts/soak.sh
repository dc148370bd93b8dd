#!/bin/bash
# The long repetitions: the verifier with many kills, the API tests under the sanitizers again and again, and the bench's memory, networks and instructions.
# All programs are built already (make binaries).
set -u
cd "$(dirname "$0")/.."
. scripts/suites.sh

kills=${SOAK_KILLS:-300}
rounds=${SOAK_ROUNDS:-20}

# again COMMAND...: so many rounds, to the first that fails.
again() {
    local round
    for ((round = 1; round <= rounds; round++)); do
        echo "--- round $round of $rounds"
        "$@" || return
    done
}

suite verify-long node tests/verify/verify.mjs --binary build/parley --kills "$kills"
suite verify-asan "${sanitized[@]}" node tests/verify/verify.mjs --binary build/parley-asan --kills $((kills / 10))
suite verify-tsan "${sanitized[@]}" node tests/verify/verify.mjs --binary build/parley-tsan --kills $((kills / 10))
cluster=(--nodes 4 --database mariadb --redis)
suite verify-cluster-long node tests/verify/verify.mjs --binary build/parley "${cluster[@]}" --kills "$kills"
suite verify-cluster-asan "${sanitized[@]}" node tests/verify/verify.mjs --binary build/parley-asan "${cluster[@]}" --kills $((kills / 10))
suite verify-cluster-tsan "${sanitized[@]}" node tests/verify/verify.mjs --binary build/parley-tsan "${cluster[@]}" --kills $((kills / 10))
suite verify-mariadb node tests/verify/verify.mjs --binary build/parley --database mariadb --kills $((kills / 10))
suite verify-galera node tests/verify/verify.mjs --binary build/parley --nodes 3 --database galera --redis --kills $((kills / 10))
suite verify-broken-again again node tests/verify/broken.mjs
suite unit-asan-again again scripts/programs.sh build/unit-asan/*_test
suite unit-tsan-again again scripts/programs.sh build/unit-tsan/*_test
suite fault-again again scripts/programs.sh build/fault/*_test
suite api-again again api_tests build/parley tests/api/*.test.mjs
suite unit-mariadb-again again with_mariadb scripts/programs.sh build/unit-asan/db_*_test
suite unit-galera with_galera at_first_server PARLEY_TEST_DB scripts/programs.sh build/unit/db_*_test
suite driver-galera-asan with_galera at_first_server PARLEY_DB scripts/programs.sh build/db-asan/*_conformance
suite galera-again again with_galera api_tests build/parley tests/cluster/galera.test.mjs
suite galera-nodes with_galera at_first_server PARLEY_TEST_DB api_tests build/parley tests/cluster/nodes.test.mjs
# Longer than the minute after which proxies give up by themselves.
DEPLOY_QUIET_SECONDS=75 suite deploy-quiet api_tests build/parley tests/deploy/proxies.test.mjs
suite packages scripts/packages.sh
suite storage-s3-virtual scripts/storage.sh s3-virtual
suite api-mariadb-all with_mariadb api_tests build/parley tests/api/*.test.mjs
suite api-asan-all api_tests build/parley-asan tests/api/*.test.mjs
suite api-tsan-all api_tests build/parley-tsan tests/api/*.test.mjs
FUZZ_SECONDS=300 suite fuzz-long scripts/fuzz.sh build/fuzz
WEB_HISTORY=100000 suite web-long node_tests tests/web/messenger.test.mjs
suite bench-memory build/bench memory
suite bench-network build/bench network
suite bench-instructions build/bench instructions

summary
