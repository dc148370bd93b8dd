#!/bin/bash
# One throw-away Redis on loopback, for tests. It keeps nothing: what is started again is empty.
#
# usage: redis.sh start [OPTION OF redis-server]... | stop | kill | freeze | thaw | restart | url | run COMMAND...
#   start    starts the server on a free port, waits until it answers, and prints its PARLEY_REDIS
#   kill     kill -9
#   freeze   the server neither answers nor goes away, until thaw
#   restart  starts it again on the same port with the options of its start, after stopping it when it still runs
#   run      runs a command with PARLEY_TEST_REDIS and DIR set, on a server that lives as long as the command
# env: DIR   folder of the server (run: made by itself)
#      PORT  on 127.0.0.1, for start; none: a free one
# Debian: redis-server
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/ports.sh"

if [ "${1:-}" = run ]; then
    shift
    DIR=$(mktemp -d /tmp/parley-redis.XXXXXX)
    export DIR
    trap '"$0" stop; rm -rf "$DIR"' EXIT
    PARLEY_TEST_REDIS=$("$0" start)
    export PARLEY_TEST_REDIS
    "$@"
    exit
fi

DIR=${DIR:?set DIR to the folder of the server}

port() { cat "$DIR/port"; }

pid() { cat "$DIR/pid" 2>/dev/null; }

is_running() { [ -n "$(pid)" ] && kill -0 "$(pid)" 2>/dev/null; }

# Any answer will do, also that a password is missing.
has_started() { is_running && redis-cli -h 127.0.0.1 -p "$(port)" ping >/dev/null 2>&1; }

# A signal to the server, and the wait for its end.
end() {
    local process
    process=$(pid) || return 0
    kill "-$1" "$process" 2>/dev/null || true
    kill -CONT "$process" 2>/dev/null || true
    for _ in $(seq 1500); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.02
    done
    rm -f "$DIR/pid"
}

launch() {
    local options
    mapfile -t options <"$DIR/options"
    setsid redis-server --bind 127.0.0.1 --port "$(port)" --dir "$DIR" --save '' --appendonly no --daemonize no "${options[@]}" \
        >>"$DIR/log" 2>&1 </dev/null &
    echo $! >"$DIR/pid"
    disown
    for _ in $(seq 1500); do
        has_started && return
        is_running || return 1
        sleep 0.02
    done
    return 1
}

# Between asking for a port and starting somebody else may take it: then the next one is tried.
start_somewhere() {
    local asked=${PORT:-}
    for _ in 1 2 3 4 5; do
        echo "${asked:-$(free_port)}" >"$DIR/port"
        launch && return
        end KILL
        [ -z "$asked" ] || break
    done
    echo "the server did not come up:" >&2
    tail -5 "$DIR/log" >&2
    return 1
}

case "${1:-}" in
start)
    shift
    mkdir -p "$DIR"
    end KILL
    { [ $# -eq 0 ] || printf '%s\n' "$@"; } >"$DIR/options"
    start_somewhere
    echo "redis://127.0.0.1:$(port)"
    ;;
stop) end TERM ;;
kill) end KILL ;;
freeze) kill -STOP "$(pid)" ;;
thaw) kill -CONT "$(pid)" ;;
restart)
    end TERM
    launch
    ;;
url) echo "redis://127.0.0.1:$(port)" ;;
*)
    sed -n '2,/^set/{/^#/p}' "$0"
    exit 2
    ;;
esac
