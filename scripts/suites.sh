# Sourced by what runs several suites: `suite NAME COMMAND...` runs one, whatever the others did, and keeps its output in
# build/test/NAME.log; `summary` ends with the line `N passed, N failed`.

mkdir -p build/test
passed=()
failed=()
outline=()

suite() {
    local name=$1 started=$SECONDS status
    shift
    printf '\n=== %s: %s\n' "$name" "$*"
    "$@" </dev/null 2>&1 | tee "build/test/$name.log"
    status=${PIPESTATUS[0]}
    if [ "$status" -eq 0 ]; then
        passed+=("$name")
        outline+=("$(printf 'passed  %5d s  %s' $((SECONDS - started)) "$name")")
    else
        failed+=("$name")
        outline+=("$(printf 'FAILED  %5d s  %s (exit status %d, build/test/%s.log)' $((SECONDS - started)) "$name" "$status" "$name")")
    fi
}

summary() {
    printf '\n'
    printf '%s\n' "${outline[@]}"
    printf '%d passed, %d failed\n' "${#passed[@]}" "${#failed[@]}"
    [ "${#failed[@]}" -eq 0 ]
}

# Runs a command so that gcc 12's sanitizers can start: they cannot where the kernel spreads addresses over 32 bits. Where that may
# not be switched off, they are tried as they are.
sanitized() {
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        setarch "$(uname -m)" -R "$@"
    else
        "$@"
    fi
}

# The API tests of the given files, or all, against a binary.
api_tests() {
    local binary=$1
    shift
    sanitized env PARLEY_BINARY="$binary" PARLEY_FAULT_BINARY=build/parley-fault node --test "$@"
}

sanitized_tests() {
    grep -vE '^ *(#|$)' tests/api/sanitized.txt | sed 's|^|tests/api/|'
}
