#!/bin/bash
# Checks that the folders are layers: includes go downwards only, each library is wrapped in one place, SQL stays in db/, and
# nobody but core/ asks the machine for time, randomness or sleep. Prints each offending line.
set -u
cd "$(dirname "$0")/.."

# What each folder may include of the others.
declare -A below=(
    [core]=""
    [db]="core"
    [media]="core"
    [stream]="core db"
    [jobs]="core db media"
    [api]="core db media stream"
    [cli]="core db media stream jobs api"
)

code=$(mktemp -d)
trap 'rm -rf "$code"' EXIT
failed=0

# The sources without their comments: a comment may mention anything. The compiler leaves lines where they were.
strip_comments() {
    local file
    for file in {core,db,media,stream,jobs,api,cli}/*.[ch]; do
        [ -f "$file" ] || continue
        mkdir -p "$code/${file%/*}"
        gcc -fpreprocessed -dD -E "$file" 2>/dev/null | grep -v '^# [0-9]' >"$code/$file"
    done
}

# refuse REASON PATTERN FILE...: no line of these files may match.
refuse() {
    local reason=$1 pattern=$2 found
    shift 2
    [ $# -eq 0 ] && return
    found=$(cd "$code" && grep -EH "$pattern" "$@") || return
    failed=1
    printf '%s:\n%s\n' "$reason" "$found"
}

# files FOLDER... : what they hold, without the files named in $except.
files() {
    local folder file
    for folder in "$@"; do
        for file in "$code/$folder"/*.[ch]; do
            file=${file#"$code"/}
            [ -f "$code/$file" ] && [[ " ${except:-} " != *" $file "* ]] && echo "$file"
        done
    done
}

all_but() {
    local folder
    for folder in core db media stream jobs api cli; do
        [[ " $* " == *" $folder "* ]] || echo "$folder"
    done
}

strip_comments

for folder in "${!below[@]}"; do
    allowed=$(echo "$folder ${below[$folder]}" | tr ' ' '\n' | grep . | paste -sd'|')
    others=$(all_but "$folder" ${below[$folder]} | paste -sd'|')
    [ -n "$others" ] && refuse "$folder/ may include only $allowed" "^ *# *include \"($others)/" $(files "$folder")
    refuse "includes of ours name the folder" '^ *# *include "[^/"]*"' $(files "$folder")
done

refuse "<microhttpd.h> is for api/" 'include <microhttpd\.h>' $(files $(all_but api))
refuse "<jansson.h> is for api/ and cli/" 'include <jansson\.h>' $(files $(all_but api cli))
refuse "<sqlite3.h> is for db/sqlite*.c" 'include <sqlite3\.h>' \
    $(except="db/sqlite.c db/sqlite_gather.c db/sqlite_log.h db/sqlite_log.c db/sqlite_mover.c db/sqlite_gather.h db/sqlite_pages.c db/sqlite_recent.h db/sqlite_recent.c db/sqlite_syncer.h db/sqlite_syncer.c" files $(all_but))
refuse "the MariaDB connector is for db/mariadb*.c" 'include <(mysql|errmsg|mysqld_error|mariadb/)' $(except="db/mariadb.c db/mariadb_bulk.c db/mariadb_connection.c db/mariadb_errors.c db/mariadb_internal.h" files $(all_but))
refuse "hiredis is for core/redis.c" 'include <hiredis/' $(except="core/redis.c" files $(all_but))
refuse "OpenSSL is for core/crypto.c" 'include <openssl/' $(except="core/crypto.c" files $(all_but))
refuse "<curl/curl.h> is for media/transfer.c" 'include <curl/' $(except="media/transfer.c" files $(all_but))
refuse "<zlib.h> is for api/encoding.c" 'include <zlib' $(except="api/encoding.c" files $(all_but))
refuse "<expat.h> is for media/xml.c" 'include <expat' $(except="media/xml.c" files $(all_but))

refuse "SQL is for db/" '"[^"]*\b(SELECT .*\b(FROM|WHERE)|INSERT (OR|INTO)|UPDATE .* SET|DELETE FROM|CREATE (TABLE|INDEX)|PRAGMA)\b' $(files $(all_but db))
refuse "the machine's time, randomness and sleep are for core/" \
    '(^|[^A-Za-z0-9_.>"])(time|clock_gettime|gettimeofday|getrandom|getentropy|rand|random|rand_r|sleep|usleep|nanosleep|clock_nanosleep) ?\(' \
    $(files $(all_but core))
refuse "these overrun their buffer, or hide an error" '(^|[^A-Za-z0-9_])(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atoll|strtok) ?\(' \
    $(files $(all_but))

exit "$failed"
