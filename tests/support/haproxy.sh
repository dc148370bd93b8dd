#!/bin/bash
# One HAProxy on loopback before several nodes, as an installation has it: requests go to the node with the fewest under way, streams to the one with the
# fewest streams, and to none that /readyz calls unready. What it answers by itself has X-Served-By: balancer; every other answer, the node's name there.
#
# usage: haproxy.sh start NAME=HOST:PORT... | stop | url
#   start  makes its configuration in DIR anew, waits until it listens, and prints the URL
# env: DIR   folder of the configuration, the log and the pid
#      PORT  on 127.0.0.1
# The nodes need PARLEY_TRUSTED_PROXY=on. Debian: haproxy.
set -euo pipefail

DIR=${DIR:?set DIR to the folder of the balancer}
PORT=${PORT:-8080}

pid() { cat "$DIR/pid" 2>/dev/null; }

# The number may be somebody else's by now.
is_running() { [ -n "$(pid)" ] && grep -qz "^$DIR/haproxy.cfg$" "/proc/$(pid)/cmdline" 2>/dev/null; }

end() {
    if is_running; then
        kill -TERM "$(pid)" 2>/dev/null || true
        while is_running; do sleep 0.05; done
    fi
    rm -f "$DIR/pid"
}

# What has no node to go to, or lost it before the answer began, can be sent again.
own_answers() {
    local status
    for status in 500 502 503 504; do
        echo "    http-error status $status content-type text/plain string 'no node answered' hdr X-Served-By balancer hdr Retry-After 1"
    done
}

servers() {
    local node
    for node in "$@"; do
        echo "    server ${node%%=*} ${node#*=}"
    done
}

# A stream lives as long as its heartbeats come; the longest that can be set is an hour. A node that has become unready loses its streams, which go on
# elsewhere; but not the requests under way, which it may still answer: cut off, they would be sent again, and done twice.
configuration() {
    cat <<CFG
defaults
    mode http
    option redispatch
    option forwardfor
    option http-no-delay
    option httpchk GET /readyz
    http-check expect status 200
    retries 3
    timeout connect 2s
    timeout http-request 10s
    timeout http-keep-alive 60s
    timeout queue 5s
    timeout check 1s
    timeout client 65m
    default-server check inter 500ms fastinter 100ms downinter 200ms fall 2 rise 1
$(own_answers)

frontend clients
    bind 127.0.0.1:$PORT
    http-request set-header X-Forwarded-Proto http
    http-response set-header X-Served-By %s
    use_backend streams if { path /v1/events }
    default_backend requests

backend requests
    balance leastconn
    timeout server 60s
$(servers "$@")

backend streams
    balance leastconn
    timeout server 65m
    default-server on-marked-down shutdown-sessions
$(servers "$@")
CFG
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }

launch() {
    setsid haproxy -db -f "$DIR/haproxy.cfg" >>"$DIR/haproxy.log" 2>&1 </dev/null &
    echo $! >"$DIR/pid"
    disown
    for _ in $(seq 600); do
        listens && return
        kill -0 "$(pid)" 2>/dev/null || break # it may not have become haproxy yet, which is_running asks for
        sleep 0.05
    done
    echo "the balancer did not come up:" >&2
    tail -5 "$DIR/haproxy.log" >&2
    return 1
}

case "${1:-}" in
start)
    shift
    [ $# -gt 0 ] || { echo "which nodes?" >&2 && exit 2; }
    mkdir -p "$DIR"
    end
    configuration "$@" >"$DIR/haproxy.cfg"
    launch
    echo "http://127.0.0.1:$PORT"
    ;;
stop) end ;;
url) echo "http://127.0.0.1:$PORT" ;;
*)
    sed -n '2,/^set/{/^#/p}' "$0"
    exit 2
    ;;
esac
