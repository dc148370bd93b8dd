#!/bin/bash
# One throw-away MariaDB server on loopback, for tests: the user `parley` without a password, and all databases whose names begin with `parley`, of which
# `parley` exists. Every commit is on disk before it is answered, as in production; everything else is small and fast.
#
# usage: mariadb.sh start [OPTION OF mariadbd]... | stop | kill | restart | save NAME | restore NAME | url | run COMMAND...
#   start    makes the server in DIR anew, waits until it answers, and prints its PARLEY_DB
#   kill     as a power cut would: kill -9
#   restart  starts it again on the same data, after stopping it when it still runs, with the options of its start
#   save     keeps a copy of what the server, which does not run now, has
#   restore  gives it that copy back, in place of what it has; it does not run now
#   run      runs a command with PARLEY_DB and DIR set, on a server that lives as long as the command
# env: DIR   folder of the server; its name is short (a socket is in it), and the user mysql can reach it (run: made by itself)
#      PORT  on 127.0.0.1; none: the socket DIR/socket alone
# Debian: mariadb-server. Run by root, the server's processes belong to the user mysql.
set -euo pipefail

if [ "${1:-}" = run ]; then
    shift
    DIR=$(mktemp -d /tmp/parley-mariadb.XXXXXX)
    chmod 755 "$DIR"
    export DIR
    trap '"$0" stop; rm -rf "$DIR"' EXIT
    PARLEY_DB=$("$0" start)
    export PARLEY_DB
    "$@"
    exit
fi

DIR=${DIR:?set DIR to the folder of the server}
PORT=${PORT:-}

# A starting server removes the temporary tables of every other that has its folder for them.
export TMPDIR=$DIR/tmp

as_mysql() {
    if [ "$(id -u)" -eq 0 ]; then
        runuser -u mysql -- "$@"
    else
        "$@"
    fi
}

pid() { cat "$DIR/pid" 2>/dev/null; }

# It may answer before it has written its pid, without which nothing here could end it.
has_started() { [ -n "$(pid)" ] && mariadb-admin --no-defaults -uroot -S "$DIR/socket" ping >/dev/null 2>&1; }

is_running() { [ -n "$(pid)" ] && kill -0 "$(pid)" 2>/dev/null; }

# A signal to the server, and the wait for its end.
end() {
    local process
    process=$(pid) || return 0
    kill "-$1" "$process" 2>/dev/null || true
    for _ in $(seq 300); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    rm -f "$DIR/pid"
}

network() {
    if [ -n "$PORT" ]; then
        echo "--bind-address=127.0.0.1 --port=$PORT"
    else
        echo --skip-networking
    fi
}

launch() {
    local options
    mapfile -t options <"$DIR/options"
    # shellcheck disable=SC2046
    as_mysql setsid mariadbd --no-defaults --datadir="$DIR/data" --socket="$DIR/socket" --pid-file="$DIR/pid" $(network) --skip-name-resolve --skip-ssl --max-connections=500 \
        --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=128M --innodb-log-file-size=96M --innodb-buffer-pool-load-at-startup=0 \
        --innodb-buffer-pool-dump-at-shutdown=0 --innodb-fast-shutdown=1 --skip-log-bin --performance-schema=OFF "${options[@]}" \
        >>"$DIR/log" 2>&1 </dev/null &
    disown
    for _ in $(seq 600); do
        has_started && return
        sleep 0.05
    done
    echo "the server did not come up:" >&2
    tail -5 "$DIR/log" >&2
    return 1
}

install() {
    mkdir -p "$TMPDIR"
    rm -rf "$DIR/data" "$DIR/log"
    [ "$(id -u)" -ne 0 ] || chown mysql "$DIR" "$TMPDIR"
    as_mysql mariadb-install-db --no-defaults --datadir="$DIR/data" --auth-root-authentication-method=normal --skip-test-db \
        --skip-name-resolve --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-log-file-size=8M >"$DIR/install.log" 2>&1 ||
        { tail -20 "$DIR/install.log" >&2 && return 1; }
}

make_user() {
    mariadb --no-defaults -uroot -S "$DIR/socket" <<'SQL'
CREATE DATABASE parley CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE USER parley@localhost;
CREATE USER parley@'127.0.0.1';
GRANT RELOAD ON *.* TO parley@localhost;
GRANT ALL ON `parley%`.* TO parley@localhost;
GRANT RELOAD ON *.* TO parley@'127.0.0.1';
GRANT ALL ON `parley%`.* TO parley@'127.0.0.1';
SQL
}

url() {
    if [ -n "$PORT" ]; then
        echo "mariadb://parley@127.0.0.1:$PORT/parley"
    else
        echo "mariadb://parley@/parley?socket=$DIR/socket"
    fi
}

case "${1:-}" in
start)
    shift
    is_running && end KILL
    install
    { [ $# -eq 0 ] || printf '%s\n' "$@"; } >"$DIR/options"
    launch
    make_user
    url
    ;;
stop) end TERM ;;
kill) end KILL ;;
restart)
    end TERM
    launch
    ;;
save) cp -a "$DIR/data" "$DIR/data.${2:?the name of the copy}" ;;
restore)
    [ -d "$DIR/data.${2:?the name of the copy}" ]
    rm -rf "$DIR/data"
    cp -a "$DIR/data.$2" "$DIR/data"
    ;;
url) url ;;
*)
    sed -n '2,/^set/{/^#/p}' "$0"
    exit 2
    ;;
esac
