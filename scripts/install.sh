#!/bin/bash
# Installs the Debian packages that a goal needs, if any of them is missing.
#
# usage: scripts/install.sh run|cluster|deb|packages|test|check|fuzz|soak|bench
set -eu
cd "$(dirname "$0")/.."

has_command() { command -v "$1" >/dev/null; }

packages_to_run() {
    echo gcc libc6-dev pkg-config libmicrohttpd-dev libsqlite3-dev libmariadb-dev libhiredis-dev libjansson-dev libssl-dev libcurl4-openssl-dev libexpat1-dev zlib1g-dev curl
}

# What make cluster starts; curl and bash are enough to use it.
packages_to_cluster() {
    packages_to_run
    echo mariadb-server redis-server radosgw ceph-mon ceph-osd ceph-common haproxy python3
}

packages_to_deb() {
    packages_to_run
    echo dpkg-dev
}

packages_to_packages() {
    packages_to_deb
    echo debootstrap systemd-container lintian iproute2 procps
    has_command node || echo nodejs
}

packages_to_test() {
    packages_to_run
    echo libcmocka-dev jq python3 python3-yaml
    # A real S3 service; none runs but what tests start (under systemd the packages start ceph-crash, which finds nothing to do).
    echo radosgw ceph-mon ceph-osd
    # Tests start servers of their own. Where Debian starts one, too, it is its own as well: 127.0.0.1:3306 and 6379, with nothing in them.
    echo mariadb-server galera-4 rsync redis-server haproxy
    # What deploy/ has configurations for, and certificates for it.
    echo nginx openssl
    # Any Node from 18 on will do: one that is there is not replaced by Debian's.
    has_command node || echo nodejs
    if [ -f tests/package.json ]; then
        has_command npm || echo npm
        echo ca-certificates
        has_command chromium || echo chromium
    fi
}

packages_to_check() {
    packages_to_test
    echo clang-format clang-tidy cppcheck
}

packages_to_soak() {
    packages_to_test
    packages_to_packages
    echo valgrind
}

packages_to_fuzz() {
    packages_to_run
    echo clang libclang-rt-dev
}

# What the load generator compares with: Nchan, ejabberd on MariaDB, Pushpin, Mosquitto. It starts its own. iproute2 makes it a network of its own.
packages_to_bench() {
    packages_to_run
    echo iproute2 mariadb-server nginx-light libnginx-mod-nchan ejabberd erlang-p1-mysql pushpin mosquitto valgrind python3
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_of() {
    for package in "$@"; do
        is_installed "$package" || echo "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$@" </dev/null
}

# apt_install, but nothing that it brings is started, now or with the machine: Debian's packages ask policy-rc.d whether they may.
apt_install_without_services() {
    local policy=/usr/sbin/policy-rc.d made='' status=0 service
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        made=yes
    fi
    apt_install "$@" || status=$?
    [ -z "$made" ] || as_root rm "$policy"
    for service in "$@"; do
        [ ! -d /run/systemd/system ] || as_root systemctl disable --quiet "${service%-light}" 2>/dev/null || true
    done
    return "$status"
}

if ! has_command dpkg-query; then
    echo "This is no Debian: nothing is installed. Needed are the equivalents of" "$(packages_to_"$1" | tr '\n' ' ')" >&2
    exit 0
fi

mapfile -t missing < <(missing_of $(packages_to_"$1"))
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] && ! has_command sudo; then
    echo "These packages are missing; as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
# Debian starts nginx with a page of its own on port 80, for everybody. Tests start theirs.
forget_nginx() {
    [[ " ${missing[*]} " != *" nginx "* ]] || [ ! -d /run/systemd/system ] || as_root systemctl --quiet disable --now nginx
}

echo "installing: ${missing[*]}"
install=apt_install
[ "$1" != bench ] || install=apt_install_without_services
# The package lists may be missing or old: they are only fetched when it does not work without.
"$install" "${missing[@]}" 2>/dev/null || {
    as_root apt-get update -qq
    "$install" "${missing[@]}"
}
forget_nginx
