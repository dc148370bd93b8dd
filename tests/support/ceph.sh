#!/bin/bash
# A Ceph object gateway with an S3 API for tests: one monitor, one OSD in memory and one gateway, on loopback, everything in one folder.
#
# usage: ceph.sh start|stop|gateway-start|gateway-stop DIR
#
# `start` makes DIR anew, and prints one line NAME=VALUE for each of endpoint, access_key and secret_key. `stop` ends the daemons and removes DIR;
# the gateway alone can be ended and started again, with its data kept, by the other two; for half a minute after that it may take seconds to
# create a bucket, because it asks its predecessor, too.
# environment: GATEWAY_PORT (default: a free one); OWNER, a process after whose end all is stopped and removed, however it ended.
# Buckets are reached by path, and as BUCKET.s3.localhost:PORT. Needs the Debian packages radosgw, ceph-mon and ceph-osd, and no privileges.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/ports.sh"

command=${1:?start, stop, gateway-start or gateway-stop}
dir=${2:?the folder of the cluster}
export CEPH_CONF=$dir/ceph.conf
access_key=PARLEYTESTACCESS0001
secret_key=parley/test+secret/0123456789abcdefghijk

# ---- Daemons ----

# launch NAME COMMAND...: in the background, with its pid in a file.
launch() {
    local name=$1
    shift
    setsid "$@" >"$dir/log/$name.out" 2>&1 </dev/null &
    echo $! >"$dir/run/$name.pid"
}

# Ends a daemon by its pid file. Nothing here outlives the test, so none gets the seconds that it wants for an orderly end.
end() {
    local file=$dir/run/$1.pid pid
    [ -s "$file" ] || return 0
    pid=$(cat "$file")
    rm -f "$file"
    # The number may be somebody else's by now.
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") in
    ceph-mon* | ceph-osd* | radosgw*) kill -KILL "$pid" 2>/dev/null || true ;;
    *) return 0 ;;
    esac
    while [ -e "/proc/$pid" ] && [ "$(awk '{ print $3 }' "/proc/$pid/stat" 2>/dev/null)" != Z ]; do sleep 0.02; done
}

end_all() {
    end gateway
    end osd
    end mon
}

is_cluster() { [ -f "$CEPH_CONF" ] && [ -d "$dir/run" ]; }

remove() {
    is_cluster || return 0
    end_all
    rm -rf "${dir:?}"
}

# ---- Start ----

write_settings() {
    cat >"$CEPH_CONF" <<END
[global]
fsid = $1
mon host = v2:127.0.0.1:$2/0
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr1 = false
# Nobody but this machine can connect: no keys, and so no encryption either, which needs them.
auth cluster required = none
auth service required = none
auth client required = none
auth allow insecure global id reclaim = false
keyring = /dev/null
ms mon client mode = crc
run dir = $dir/run
admin socket = $dir/run/\$name.asok
log file = $dir/log/\$name.log
mon cluster log file = $dir/log/cluster.log
pid file =
# One copy of everything, of as few pieces as possible.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 10000
# A disk that is nearly full is no reason to stop.
mon data avail warn = 2
mon data avail crit = 1
# Changes of the cluster's map are collected for a second otherwise, and each new pool makes several.
paxos propose interval = 0.02
paxos min wait = 0.01

[mon]
mon data = $dir/mon

[osd]
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd memory target = 939524096
# Keys of 1024 bytes, with what the gateway puts around them.
osd max object name len = 2048
osd class update on start = false
ms bind port min = $3
ms bind port max = $(($3 + 40))

[client]
rgw frontends = beast endpoint=127.0.0.1:$4 tcp_nodelay=1
rgw dns name = s3.localhost
rgw data = $dir/gateway
rgw enable apis = s3
rgw thread pool size = 64
rgw run sync thread = false
rgw dynamic resharding = false
rgw override bucket index max shards = 1
rgw gc max objs = 8
rgw lc max objs = 8
rgw objexp hints num shards = 8
rgw usage max shards = 1
rgw usage max user shards = 1
rgw data log num shards = 1
rgw md log max shards = 1
END
}

start_monitor() {
    local fsid=$1 port=$2
    monmaptool --create --fsid "$fsid" --enable-all-features --addv a "[v2:127.0.0.1:$port/0]" "$dir/monmap" >/dev/null
    ceph-mon --mkfs -i a --monmap "$dir/monmap" --mon-data "$dir/mon"
    launch mon ceph-mon -f -i a
}

start_osd() {
    local uuid
    uuid=$(cat /proc/sys/kernel/random/uuid)
    ceph --connect-timeout 30 osd new "$uuid" >/dev/null
    ceph-osd -i 0 --mkfs --osd-uuid "$uuid" >"$dir/log/osd-mkfs.out" 2>&1
    launch osd ceph-osd -f -i 0
}

answers() { [ "$(curl -s -o /dev/null -m 2 -w '%{http_code}' "http://127.0.0.1:$1/")" = 200 ]; }

start_gateway() {
    local port
    port=$(cat "$dir/port")
    launch gateway radosgw -f -n client.rgw
    for _ in $(seq 600); do
        answers "$port" && return 0
        [ -e "/proc/$(cat "$dir/run/gateway.pid")" ] || break
        sleep 0.05
    done
    echo "the gateway does not answer" >&2
    tail -n 5 "$dir"/log/*rgw*.log "$dir/log/gateway.out" >&2 || true
    return 1
}

# Somebody who was killed cannot clean up: a process of its own waits for that.
watch() {
    while kill -0 "$1" 2>/dev/null && is_cluster; do sleep 1; done
    remove
}

start() {
    local fsid monitor_port osd_port gateway_port
    if [ -e "$dir" ] && ! is_cluster && [ -n "$(ls -A "$dir")" ]; then
        echo "$dir holds something else" >&2
        exit 1
    fi
    remove
    mkdir -p "$dir"/{mon,osd,gateway,run,log}
    trap '[ $? -eq 0 ] || end_all' EXIT

    fsid=$(cat /proc/sys/kernel/random/uuid)
    monitor_port=$(free_port)
    osd_port=$(free_port)
    gateway_port=${GATEWAY_PORT:-$(free_port)}
    echo "$gateway_port" >"$dir/port"
    write_settings "$fsid" "$monitor_port" "$osd_port" "$gateway_port"
    start_monitor "$fsid" "$monitor_port"
    start_osd
    radosgw-admin user create --uid=parley --display-name=parley --access-key="$access_key" --secret-key="$secret_key" \
        >"$dir/log/user.out" 2>&1
    start_gateway
    [ -z "${OWNER:-}" ] || setsid "$0" watch "$dir" "$OWNER" >/dev/null 2>&1 </dev/null &
    printf '%s\n' "endpoint=http://127.0.0.1:$gateway_port" "access_key=$access_key" "secret_key=$secret_key"
}

case $command in
start) start ;;
stop) remove ;;
gateway-stop) end gateway ;;
gateway-start) start_gateway ;;
watch) watch "$3" ;;
*)
    echo "unknown command: $command" >&2
    exit 2
    ;;
esac
