# Sourced by what runs several suites: `suite NAME COMMAND...` runs one, whatever the others did, and keeps its output in
# build/test/NAME.log; `beside ONE OTHER` runs two functions that run suites beside each other; `summary` ends with the line `N passed, N failed`.

mkdir -p build/test
outline=build/test/outline.$$

suite() {
    local name=$1 started=$SECONDS status
    shift
    printf '\n=== %s: %s\n' "$name" "$*"
    "$@" </dev/null 2>&1 | tee "build/test/$name.log"
    status=${PIPESTATUS[0]}
    if [ "$status" -eq 0 ]; then
        printf 'passed  %5d s  %s\n' $((SECONDS - started)) "$name" >>"$outline"
    else
        printf 'FAILED  %5d s  %s (exit status %d, build/test/%s.log)\n' $((SECONDS - started)) "$name" "$status" "$name" >>"$outline"
    fi
}

# What the second says comes when both have ended.
beside() {
    local other said
    said=$(mktemp)
    "$2" >"$said" 2>&1 &
    other=$!
    "$1"
    wait "$other"
    cat "$said"
    rm -f "$said"
}

summary() {
    local failed
    touch "$outline"
    failed=$(grep -c '^FAILED' "$outline")
    printf '\n'
    cat "$outline"
    printf '%d passed, %d failed\n' $(($(wc -l <"$outline") - failed)) "$failed"
    rm -f "$outline"
    [ "$failed" -eq 0 ]
}

# Goes before what a sanitizer is built into: gcc 12's cannot start where the kernel spreads addresses over 32 bits. Where that may not be
# switched off, it is tried as it is.
sanitized=()
setarch "$(uname -m)" -R true 2>/dev/null && sanitized=(setarch "$(uname -m)" -R)

test_runner() {
    "${sanitized[@]}" timeout --kill-after=10 1800 node --test --test-reporter=spec "$@"
}

# Node's test runner on the given files, one line a test, and no longer than half an hour. It runs as many files at once as there are processors less one;
# of two it would leave one idle, so there each of two runners gets every other file. With AT_ONCE=1 files run one after the other: those whose tests are about time.
node_tests() {
    local halves=([0]= [1]=) output other status=0 file i=0
    if [ "${AT_ONCE:-}" = 1 ]; then
        for file in "$@"; do test_runner "$file" || status=$?; done
        return "$status"
    fi
    if [ "$(nproc)" -ne 2 ] || [ $# -lt 4 ]; then
        test_runner "$@"
        return
    fi
    for file in "$@"; do halves[i++ % 2]+=" $file"; done
    output=$(mktemp)
    # shellcheck disable=SC2086
    test_runner ${halves[1]} >"$output" 2>&1 &
    other=$!
    # shellcheck disable=SC2086
    test_runner ${halves[0]}
    status=$?
    wait "$other" || status=$?
    cat "$output"
    rm -f "$output"
    return "$status"
}

# The API tests in the given files, against a binary.
api_tests() {
    export PARLEY_BINARY=$1 PARLEY_FAULT_BINARY=build/parley-fault
    shift
    node_tests "$@"
}

# The same, and what they have seen of the API must be all that openapi.yaml says of it.
covered_api_tests() {
    local folder status
    folder=$(mktemp -d) || return
    CONTRACT_COVERAGE=$folder api_tests "$@" && node tests/contract/coverage.mjs "$folder"
    status=$?
    rm -rf "$folder"
    return "$status"
}

# A command with a Ceph gateway of its own, which tests find by the environment.
with_ceph() {
    local folder status
    folder=$(mktemp -d) || return
    # Not by a pipe: the daemons keep what they inherit.
    OWNER=$$ tests/support/ceph.sh start "$folder/cluster" >"$folder/settings" || return
    PARLEY_TEST_S3_FOLDER=$folder/cluster \
        PARLEY_TEST_S3_ENDPOINT=$(sed -n 's/^endpoint=//p' "$folder/settings") \
        PARLEY_TEST_S3_ACCESS_KEY=$(sed -n 's/^access_key=//p' "$folder/settings") \
        PARLEY_TEST_S3_SECRET_KEY=$(sed -n 's/^secret_key=//p' "$folder/settings") "$@"
    status=$?
    tests/support/ceph.sh stop "$folder/cluster"
    rm -rf "$folder"
    return "$status"
}

# A command with a MariaDB server of its own, which tests find by the environment; the server ends with the command, however that ends.
with_mariadb() {
    tests/support/mariadb.sh run bash -c '. scripts/suites.sh && export PARLEY_TEST_DB=$PARLEY_DB && unset PARLEY_DB && "$@"' with_mariadb "$@"
}

# A command with a Galera cluster of its own, whose folder tests find by the environment; its servers end with the command, however that ends.
with_galera() {
    tests/support/galera.sh run bash -c '. scripts/suites.sh && export PARLEY_TEST_GALERA=$DIR && unset DIR && "$@"' with_galera "$@"
}

# at_first_server NAME COMMAND...: within with_galera; NAME is the variable that names the first server to the command.
at_first_server() {
    local name=$1
    shift
    (export "$name=$(DIR=$PARLEY_TEST_GALERA tests/support/galera.sh url 1)" && "$@")
}

# listed_tests LIST: the files named in tests/api/LIST.txt.
listed_tests() {
    grep -vE '^ *(#|$)' "tests/api/$1.txt" | sed 's|^|tests/api/|'
}
