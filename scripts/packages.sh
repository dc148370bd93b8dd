#!/bin/bash
# Tries the package and the container's image in a clean Debian 12: the package under systemd, the image's steps by chroot.
#
# usage: scripts/packages.sh [package|image]...      both, unless it is said which
# env: DEBIAN_MIRROR  (default http://deb.debian.org/debian)
#
# For root, who is asked for by sudo. Needs the network, for Debian's packages. The program is built already (make packages does it).
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
    exec sudo --preserve-env=DEBIAN_MIRROR "$0" "$@"
fi

# Not below /tmp where that is in memory: some hundred megabytes each.
folder=$(mktemp -d "${TMPDIR:-/var/tmp}/parley-packages.XXXXXX")
trap 'rm -rf --one-file-system "$folder"' EXIT

make_base() {
    echo "making a clean Debian"
    debootstrap --variant=minbase bookworm "$folder/base" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$folder/debootstrap.log" 2>&1 ||
        { tail -n 20 "$folder/debootstrap.log" >&2 && exit 1; }
}

in_root() { chroot "$folder/root" env -i PATH="$PATH" DEBIAN_FRONTEND=noninteractive "$@"; }

# With what the package needs, since the container that it is installed in has no network.
make_root() {
    echo "adding systemd, and what the package depends on"
    cp -a --reflink=auto "$folder/base" "$folder/root"
    {
        in_root apt-get update
        in_root apt-get install --yes --no-install-recommends systemd systemd-sysv dbus curl
        in_root apt-get satisfy --yes --no-install-recommends "$(dpkg-deb --field "$1" Depends)"
    } >"$folder/apt.log" 2>&1 || { tail -n 20 "$folder/apt.log" >&2 && exit 1; }
}

try_package() {
    local old new
    old=$(DEB_VERSION=0.1 scripts/deb.sh 2>"$folder/deb.log")
    new=$(DEB_VERSION=0.2 scripts/deb.sh 2>>"$folder/deb.log")
    lintian --allow-root --fail-on error,warning "$new"
    echo "ok: lintian"
    make_root "$old"
    tests/deploy/package.sh "$folder/root" "$old" "$new"
    rm -f "$old" "$new"
}

try_image() {
    mkdir "$folder/stages"
    node tests/deploy/image.mjs "$folder/base" "$folder/stages"
}

[ $# -gt 0 ] || set -- package image
make_base
for part in "$@"; do
    case "$part" in
    package | image) "try_$part" ;;
    *) echo "what is $part?" >&2 && exit 2 ;;
    esac
done
