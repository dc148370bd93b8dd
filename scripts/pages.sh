#!/bin/bash
# Makes what api/pages.c compiles in: each file of web/ (the client, served from / on), of docs/site/ and the guides in docs/ (served from /docs on) and
# openapi.yaml, compressed, and the table of them.
#
# usage: scripts/pages.sh FOLDER   writes FOLDER/table.h and FOLDER/packed/
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."
folder=$1

type_of() {
    case $1 in
    *.html) echo 'text/html; charset=utf-8' ;;
    *.css) echo 'text/css; charset=utf-8' ;;
    *.js) echo 'text/javascript; charset=utf-8' ;;
    *.json) echo 'application/json' ;;
    *.webmanifest) echo 'application/manifest+json' ;;
    *.yaml) echo 'application/yaml' ;;
    *.md) echo 'text/markdown; charset=utf-8' ;;
    *.txt) echo 'text/plain; charset=utf-8' ;;
    *.svg) echo 'image/svg+xml' ;;
    *.png) echo 'image/png' ;;
    *.ico) echo 'image/x-icon' ;;
    *.woff2) echo 'font/woff2' ;;
    *)
        echo "$1: scripts/pages.sh knows no content type for such a file" >&2
        return 1
        ;;
    esac
}

# The path under which a file is served: index.html is its folder's.
path_of() {
    local path=$1
    case $path in
    web/*) path=/${path#web/} ;;
    docs/site/*) path=/docs/${path#docs/site/} ;;
    docs/*) path=/$path ;;
    *) path=/$path ;;
    esac
    [[ $path != */index.html ]] || path=${path%/index.html}
    echo "${path:-/}"
}

owner_of() { [[ $1 == web/* ]] && echo true || echo false; }

size_of() { wc -c <"$1" | tr -d ' '; }

# An empty file where compression does not pay.
pack() {
    mkdir -p "${2%/*}"
    gzip -9nc "$1" >"$2"
    [ "$(size_of "$2")" -lt $(($(size_of "$1") * 9 / 10)) ] || : >"$2"
}

rm -rf "$folder/packed"
number=0
while read -r file; do
    if [[ $file =~ [^A-Za-z0-9._/-] ]]; then
        echo "$file: names of served files have only letters, digits, dots, hyphens and underscores" >&2
        exit 1
    fi
    type=$(type_of "$file")
    packed=$folder/packed/$file.gz
    pack "$file" "$packed"
    hash=$(sha256sum <"$file" | cut -c 1-32)
    printf 'PAGE(%d, %s, "%s", "%s", "%s", %d, "%s", %d, "%s")\n' "$number" "$(owner_of "$file")" "$(path_of "$file")" "$type" "$hash" \
        "$(size_of "$file")" "$file" "$(size_of "$packed")" "$packed"
    number=$((number + 1))
done < <(find web docs/site docs/*.md openapi.yaml -type f -not -name '.*' | sort) >"$folder/table.h.new"
mv "$folder/table.h.new" "$folder/table.h"
