#!/bin/bash
# Runs test programs, shows the output of those that fail, and says how many did.
#
# usage: scripts/programs.sh PROGRAM...
# env: AT_ONCE  so many beside each other (as many as there are processors); 1 for those that share something
set -u
. "$(dirname "$0")/suites.sh"

# One write for all it says: others run beside it.
run() {
    local output status
    output=$("${sanitized[@]}" "$1" 2>&1 </dev/null)
    status=$?
    [ "$status" -eq 0 ] || printf '%s\n%s: exit status %d\n' "$output" "$1" "$status"
    return "$status"
}

running=0
failures=0
take_one() {
    wait -n || failures=$((failures + 1))
    running=$((running - 1))
}

for program in "$@"; do
    [ "$running" -lt "${AT_ONCE:-$(nproc)}" ] || take_one
    run "$program" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do take_one; done
echo "$(($# - failures)) of $# programs passed"
[ "$failures" -eq 0 ]
