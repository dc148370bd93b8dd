#!/bin/bash
# Runs each fuzz target in a folder on its corpus for FUZZ_SECONDS (libFuzzer's: 60, else 5).
#
# usage: scripts/fuzz.sh build/fuzz|build/libfuzzer
set -eu
cd "$(dirname "$0")/.."
. scripts/suites.sh

for program in "$1"/*_fuzz; do
    name=$(basename "$program" _fuzz)
    if [ "$1" = build/libfuzzer ]; then
        # What it finds on the way is kept beside the program; the first folder is the one that grows.
        mkdir -p "$program.corpus"
        "${sanitized[@]}" "$program" -max_total_time="${FUZZ_SECONDS:-60}" -max_len=65536 -artifact_prefix="$program." \
            "$program.corpus" "tests/fuzz/corpus/$name"
    else
        "${sanitized[@]}" "$program" --seconds "${FUZZ_SECONDS:-5}" "tests/fuzz/corpus/$name"/*
    fi
done
