#!/bin/bash
# A throw-away Galera cluster of three MariaDB servers on loopback, for tests: on each the user `parley` without a password, and all databases whose names
# begin with `parley`, of which `parley` exists. Every commit is on the disk of its server before it is answered.
#
# usage: galera.sh start | stop | kill N | restart N | sql N STATEMENT | url [N] | run COMMAND...
#   start    makes the cluster in DIR anew, waits until all servers are in step, and prints the PARLEY_DB that names all three
#   kill     as a power cut would: kill -9
#   restart  starts server N again on its data, and waits until it is in step; what it missed it gets from the others, of which one must run
#   sql      runs a statement on server N as root
#   url      the PARLEY_DB that names all three; with N that of one of them, by its socket
#   run      runs a command with DIR set, on a cluster that lives as long as the command
# N is 1, 2 or 3. A server that does not answer is given up by the others after four seconds: a machine that stands still for a moment is no
# reason for its servers to give up each other.
# env: DIR   folder of the cluster; its name is short (sockets are in it), and the user mysql can reach it (run: made by itself)
# Debian: mariadb-server, galera-4 and rsync. Run by root, the servers' processes belong to the user mysql: rsync's would be nobody's otherwise.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/ports.sh"

if [ "${1:-}" = run ]; then
    shift
    DIR=$(mktemp -d /tmp/parley-galera.XXXXXX)
    chmod 755 "$DIR"
    export DIR
    trap '"$0" stop; rm -rf "$DIR"' EXIT
    "$0" start >"$DIR/url"
    "$@"
    exit
fi

DIR=${DIR:?set DIR to the folder of the cluster}
PROVIDER=/usr/lib/galera/libgalera_smm.so
PORTS=12 # four for each server: clients, the group, and the two ways of the state to a server that joins

as_mysql() {
    if [ "$(id -u)" -eq 0 ]; then
        runuser -u mysql -- "$@"
    else
        "$@"
    fi
}

# ---- Ports ----

are_free() {
    local port
    for ((port = $1; port < $1 + PORTS; port++)); do
        ! is_taken "$port" || return 1
    done
}

# The first of a row of free ones.
choose_ports() {
    local first
    while :; do
        first=$(any_port)
        are_free "$first" && break
    done
    echo "$first" >"$DIR/port"
}

client_port() { echo $(($(cat "$DIR/port") + $1 - 1)); }
group_port() { echo $(($(cat "$DIR/port") + 3 + $1 - 1)); }
increment_port() { echo $(($(cat "$DIR/port") + 6 + $1 - 1)); }
copy_port() { echo $(($(cat "$DIR/port") + 9 + $1 - 1)); }

# ---- Servers ----

sql() { mariadb --no-defaults -uroot -S "$DIR/$1.socket" --batch --skip-column-names --execute "$2"; }

pid() { cat "$DIR/$1.pid" 2>/dev/null; }

# A server may answer before it has written its pid, without which nothing here could end it.
is_in_step() { [ -n "$(pid "$1")" ] && sql "$1" "SHOW STATUS LIKE 'wsrep_local_state_comment'" 2>/dev/null | grep -q Synced; }

# end N SIGNAL: and the wait for its end.
end() {
    local process
    process=$(pid "$1") || return 0
    kill "-$2" "$process" 2>/dev/null || true
    for _ in $(seq 300); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    rm -f "$DIR/$1.pid"
}

provider_options() {
    echo "base_host=127.0.0.1;base_port=$(group_port "$1");gmcast.listen_addr=tcp://127.0.0.1:$(group_port "$1");" \
        "ist.recv_addr=127.0.0.1:$(increment_port "$1");gcache.size=32M;evs.keepalive_period=PT0.5S;evs.inactive_check_period=PT0.5S;" \
        "evs.suspect_timeout=PT4S;evs.inactive_timeout=PT8S;evs.install_timeout=PT8S" | tr -d ' '
}

# server N OPTION...: the program with what is the same at each of its starts. A starting server removes the temporary tables of every other that has its
# folder for them. A conflict between writers at different servers is at times over only when the one that brings another's rows has waited long enough.
server() {
    local n=$1
    shift
    TMPDIR=$DIR/$n.tmp as_mysql setsid mariadbd --no-defaults --datadir="$DIR/$n" --socket="$DIR/$n.socket" --pid-file="$DIR/$n.pid" \
        --bind-address=127.0.0.1 --port="$(client_port "$n")" --skip-name-resolve --skip-ssl --server-id="$n" \
        --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=96M --innodb-log-file-size=48M --innodb-buffer-pool-load-at-startup=0 \
        --innodb-buffer-pool-dump-at-shutdown=0 --innodb-lock-wait-timeout=3 --innodb-autoinc-lock-mode=2 --binlog-format=ROW --skip-log-bin --performance-schema=OFF \
        --wsrep-on=ON --wsrep-provider="$PROVIDER" --wsrep-cluster-name=parley --wsrep-node-name="n$n" --wsrep-node-address=127.0.0.1 \
        --wsrep-cluster-address="gcomm://127.0.0.1:$(group_port 1),127.0.0.1:$(group_port 2),127.0.0.1:$(group_port 3)" \
        --wsrep-provider-options="$(provider_options "$n")" --wsrep-sst-method=rsync --wsrep-sst-receive-address="127.0.0.1:$(copy_port "$n")" "$@"
}

launch() {
    server "$@" >>"$DIR/$1.log" 2>&1 </dev/null &
    disown
    for _ in $(seq 900); do
        is_in_step "$1" && return
        sleep 0.1
    done
    echo "server $1 did not come up:" >&2
    tail -5 "$DIR/$1.log" >&2
    return 1
}

# After a kill only the tables know how far the server was; told so, it asks the others for the rest and not for everything.
restart() {
    end "$1" TERM
    server "$1" --wsrep-recover >"$DIR/$1.recover" 2>&1 </dev/null || true
    launch "$1" --wsrep-start-position="$(sed -n 's/.*Recovered position: *//p' "$DIR/$1.recover" | tail -1)"
}

# ---- The cluster ----

install() {
    mkdir -p "$DIR"
    rm -rf "${DIR:?}"/[123] "${DIR:?}"/[123].*
    mkdir "$DIR"/{1,2,3}.tmp
    [ "$(id -u)" -ne 0 ] || chown mysql "$DIR" "$DIR"/?.tmp
    choose_ports
    TMPDIR=$DIR/1.tmp as_mysql mariadb-install-db --no-defaults --datadir="$DIR/1" --auth-root-authentication-method=normal --skip-test-db \
        --skip-name-resolve --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-log-file-size=8M >"$DIR/install.log" 2>&1 ||
        { tail -20 "$DIR/install.log" >&2 && return 1; }
    as_mysql cp -r "$DIR/1" "$DIR/2"
    as_mysql cp -r "$DIR/1" "$DIR/3"
}

make_user() {
    sql 1 "CREATE DATABASE parley CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
        CREATE USER parley@localhost;
        CREATE USER parley@'127.0.0.1';
        GRANT RELOAD ON *.* TO parley@localhost;
        GRANT ALL ON \`parley%\`.* TO parley@localhost;
        GRANT RELOAD ON *.* TO parley@'127.0.0.1';
        GRANT ALL ON \`parley%\`.* TO parley@'127.0.0.1'"
}

url() {
    if [ -n "${1:-}" ]; then
        echo "mariadb://parley@/parley?socket=$DIR/$1.socket"
    else
        echo "mariadb://parley@127.0.0.1:$(client_port 1),127.0.0.1:$(client_port 2),127.0.0.1:$(client_port 3)/parley"
    fi
}

start() {
    install
    launch 1 --wsrep-new-cluster
    make_user
    launch 2
    launch 3
    url
}

stop_all() {
    local n
    for n in 3 2 1; do
        end "$n" TERM
    done
}

case "${1:-} $#" in
"start 1") start ;;
"stop 1") stop_all ;;
"kill 2") end "$2" KILL ;;
"restart 2") restart "$2" ;;
"sql 3") sql "$2" "$3" ;;
"url 1" | "url 2") url "${2:-}" ;;
*)
    sed -n '2,/^set/{/^#/p}' "$0"
    exit 2
    ;;
esac
