#!/bin/bash
# Runs test programs one after the other, shows the output of those that fail, and says how many did.
#
# usage: scripts/programs.sh PROGRAM...
set -u
. "$(dirname "$0")/suites.sh"

failures=0
for program in "$@"; do
    output=$("${sanitized[@]}" "$program" 2>&1 </dev/null)
    status=$?
    if [ "$status" -ne 0 ]; then
        failures=$((failures + 1))
        printf '%s\n%s: exit status %d\n' "$output" "$program" "$status"
    fi
done
echo "$(($# - failures)) of $# programs passed"
[ "$failures" -eq 0 ]
