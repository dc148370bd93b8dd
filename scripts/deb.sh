#!/bin/bash
# Makes a Debian package of the built program: build/parley_VERSION_ARCHITECTURE.deb, whose name is printed. It needs no rights and no network.
#
# usage: scripts/deb.sh
# env: DEB_VERSION  (default: the number of commits, so that each is newer than those before it)
set -euo pipefail
cd "$(dirname "$0")/.."

describe_version() {
    local count commit
    count=$(git rev-list --count HEAD 2>/dev/null) || { echo 0.0; return; }
    commit=$(git rev-parse --short HEAD)
    echo "0.$count+git$commit"
}

version=${DEB_VERSION:-$(describe_version)}
architecture=$(dpkg --print-architecture)
package=build/parley_${version}_$architecture.deb

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/root
umask 022

# ---- What is in it ----

install_files() {
    make --no-print-directory install prefix=/usr sysconfdir=/etc unitdir=/lib/systemd/system DESTDIR="$root" >&2
    strip --strip-all --remove-section=.comment --remove-section=.note "$root/usr/bin/parley"
    gzip -9n "$root"/usr/share/man/man?/*
}

add_documents() {
    local documents=$root/usr/share/doc/parley date
    date=$(git log -1 --format=%cD 2>/dev/null || date -R)
    install -d "$documents/examples" "$root/usr/share/lintian/overrides"
    install -m 644 deploy/debian/copyright "$documents/copyright"
    install -m 644 deploy/nginx.conf deploy/haproxy.cfg "$documents/examples"
    sed 's|/usr/local|/usr|' deploy/parley-cleanup.cron >"$documents/examples/parley-cleanup.cron"
    printf 'parley (%s) unstable; urgency=medium\n\n  * Built from the sources of this version.\n\n -- Parley <parley@example.org>  %s\n' "$version" "$date" |
        gzip -9n >"$documents/changelog.gz"
    install -m 644 deploy/debian/lintian-overrides "$root/usr/share/lintian/overrides/parley"
}

# ---- What is said of it ----

# dpkg-shlibdeps asks a source package which package it works for.
libraries() {
    mkdir -p "$folder/source/debian"
    printf 'Source: parley\n\nPackage: parley\nArchitecture: any\n' >"$folder/source/debian/control"
    (cd "$folder/source" && dpkg-shlibdeps -O "$root/usr/bin/parley") | sed -n 's/^shlibs:Depends=//p'
}

add_control() {
    local size
    size=$(du -sk --apparent-size "$root" | cut -f 1)
    mkdir "$root/DEBIAN"
    sed -e "s|@version@|$version|; s|@architecture@|$architecture|; s|@size@|$size|; s|@libraries@|$(libraries)|" deploy/debian/control >"$root/DEBIAN/control"
    install -m 755 deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm "$root/DEBIAN/"
    echo /etc/parley/parley.conf >"$root/DEBIAN/conffiles"
    (cd "$root" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
}

install_files
add_documents
add_control
dpkg-deb --root-owner-group --build "$root" "$package" >&2
echo "$package"
