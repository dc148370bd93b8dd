#!/bin/bash
# Static analysis of the given C files: cppcheck, and the few checks of clang-tidy that .clang-tidy names.
set -u
cd "$(dirname "$0")/.."

mkdir -p build/cppcheck
failed=0
# Not errors: readdir() is thread-safe for a folder of one's own; a waiter's address is given away for as long as it waits; one loop
# condition that cppcheck does not follow; and mapped memory, which has no file, and goes with its group.
cppcheck --quiet --inline-suppr --error-exitcode=1 --enable=warning,portability --std=c11 --library=posix -I. -D__linux__ \
    --cppcheck-build-dir=build/cppcheck -j "$(nproc)" --suppress=missingIncludeSystem \
    --suppress=readdirCalled --suppress=autoVariables \
    --suppress=nullPointerRedundantCheck:stream/inbox.c \
    --suppress=invalidFunctionArg:db/key_filter.c --suppress=memleak:db/key_filter.c "$@" || failed=1

# clang-tidy takes seconds a file: only files that changed since they last passed are looked at again.
export MARIADB_CFLAGS=$(pkg-config --cflags libmariadb)
tidy() {
    local file=$1 stamp=build/tidy/$1
    if [ "$stamp" -nt "$file" ] && [ "$stamp" -nt .clang-tidy ]; then
        return
    fi
    clang-tidy --quiet --warnings-as-errors='*' "$file" -- -std=gnu11 -D_GNU_SOURCE -I. $MARIADB_CFLAGS -DPARLEY_VERSION='""' 2>/dev/null || return
    mkdir -p "${stamp%/*}"
    touch "$stamp"
}
export -f tidy
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'tidy {}' || failed=1

exit "$failed"
