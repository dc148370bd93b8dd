#!/bin/bash
# A whole installation on this machine, to try and to break: HAProxy before two nodes on one MariaDB, with Redis between them and Ceph for files. All of it
# listens on loopback only and lives in one folder, until Ctrl-C or SIGTERM; then everything ends, and the folder is removed.
#
# usage: scripts/cluster.sh
# env: CLUSTER_PORT  of the balancer (default 8080); the nodes have the two ports after it
#      PARLEY_BINARY (default build/parley)
# All programs are installed and built already (make cluster does it).
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/support/ports.sh

port=${CLUSTER_PORT:-8080}
balancer=http://127.0.0.1:$port
binary=$(realpath "${PARLEY_BINARY:-build/parley}")
nodes=(node1 node2)
keepers=()
waits=0
# Settings are only those below.
for name in ${!PARLEY_@}; do unset "$name"; done

node_port() { echo $((port + ${1#node})); }

refuse_taken_ports() {
    local wanted
    for wanted in "$port" "$(node_port node1)" "$(node_port node2)"; do
        is_taken "$wanted" || continue
        echo "port $wanted is in use; CLUSTER_PORT=9000 make cluster takes 9000 to 9002" >&2
        exit 1
    done
}

# ---- The end ----

# Nodes first, so that streams are told; then what they stand on. Nothing here stops because something else failed to.
stop() {
    trap '' INT TERM HUP
    set +e
    printf '\nstopping\n'
    [ "${#keepers[@]}" -eq 0 ] || { kill -TERM "${keepers[@]}"; wait "${keepers[@]}"; } 2>/dev/null
    DIR=$folder/balancer tests/support/haproxy.sh stop
    DIR=$folder/redis tests/support/redis.sh stop
    DIR=$folder/mariadb tests/support/mariadb.sh stop
    tests/support/ceph.sh stop "$folder/ceph"
    [ -z "${follower:-}" ] || kill "$follower" 2>/dev/null
    rm -rf "$folder"
}

# ---- The parts ----

# A part is started out of the terminal's reach: Ctrl-C is for this script, which waits until the part is there, so that it can be stopped. What it
# prints goes to a file, because its servers keep what they inherit.
start_part() {
    local name=$1
    shift
    echo "starting $name"
    mkdir -p "$folder/$name"
    setsid --wait "$@" >"$folder/$name.out" 2>"$folder/$name.err" </dev/null && return
    cat "$folder/$name.err" >&2
    exit 1
}

ceph_value() { sed -n "s/^$1=//p" "$folder/ceph.out"; }

# What both nodes are told. Clients reach the storage where the nodes do.
export_settings() {
    local mariadb redis
    mariadb=$(cat "$folder/mariadb.out")
    redis=$(cat "$folder/redis.out")
    export PARLEY_DB=$mariadb PARLEY_REDIS=$redis PARLEY_PUBLIC_URL=$balancer PARLEY_CORS_ORIGINS=http://localhost:$port PARLEY_TRUSTED_PROXY=on
    export PARLEY_S3_ENDPOINT PARLEY_S3_ACCESS_KEY PARLEY_S3_SECRET_KEY
    PARLEY_S3_ENDPOINT=$(ceph_value endpoint)
    PARLEY_S3_ACCESS_KEY=$(ceph_value access_key)
    PARLEY_S3_SECRET_KEY=$(ceph_value secret_key)
}

run_node() {
    PARLEY_NODE=$1 PARLEY_LISTEN=127.0.0.1:$(node_port "$1") PARLEY_DATA_DIR=$folder/$1 exec setsid "$binary" serve 2>>"$folder/$1.log"
}

# A node that ends is started again, as a service manager would do it, so that it can be killed at will.
keep_node() {
    local process=
    trap '' INT HUP
    trap '[ -z "$process" ] || { kill -TERM "$process"; wait "$process"; } 2>/dev/null; exit' TERM
    while :; do
        run_node "$1" &
        process=$!
        echo "$process" >"$folder/$1.pid"
        wait "$process" || true
        sleep 1
    done
}

start_nodes() {
    local node
    for node in "${nodes[@]}"; do
        echo "starting $node"
        mkdir -p "$folder/$node"
        : >"$folder/$node.log"
        keep_node "$node" </dev/null &
        keepers+=("$!")
    done
    for node in "${nodes[@]}"; do
        until curl -sf -o /dev/null "http://127.0.0.1:$(node_port "$node")/readyz"; do
            sleep 0.1
            [ $((waits += 1)) -lt 600 ] || { tail -n 5 "$folder/$node.log" >&2 && exit 1; }
        done
    done
}

# The user mysql reaches its folder through this one.
make_folder() {
    folder=$(mktemp -d /tmp/parley-cluster.XXXXXX)
    chmod 711 "$folder"
    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}

# ---- What is said ----

say_where() {
    cat <<TEXT

Parley runs: two nodes on one MariaDB, with Redis between them, files in Ceph, and HAProxy before them.

  $balancer   the balancer: what clients use; the API is described at $balancer/openapi.yaml
  http://127.0.0.1:$(node_port node1)   node1, killed by: kill -9 \$(cat $folder/node1.pid)
  http://127.0.0.1:$(node_port node2)   node2, killed by: kill -9 \$(cat $folder/node2.pid)
  $PARLEY_S3_ENDPOINT   files
  $folder   everything else; the logs of the nodes follow below

A node that is killed comes back after a second. Ctrl-C ends everything, and removes the folder.

To try it, paste this into a bash in another terminal:

TEXT
}

say_first_steps() {
    cat <<TEXT
    BASE=$balancer NODE1=http://127.0.0.1:$(node_port node1) NODE2=http://127.0.0.1:$(node_port node2)
TEXT
    cat <<'TEXT'
    field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

    # Alice and Bob register with the balancer, and Alice opens a chat with Bob.
    ALICE=$(curl -s $BASE/v1/users --json '{"username":"alice-'$RANDOM'","password":"correct horse"}' | field access_token)
    BOB=$(curl -s $BASE/v1/users --json '{"username":"bob-'$RANDOM'","password":"battery staple"}' | field access_token)
    BOB_ID=$(curl -s $BASE/v1/users/me -H "Authorization: Bearer $BOB" | field id)
    CHAT=$(curl -s $BASE/v1/chats -H "Authorization: Bearer $ALICE" --json '{"type":"direct","member_ids":["'$BOB_ID'"]}' | field id)

    # Bob listens to node2, Alice writes to node1, and he hears it.
    rm -f /tmp/bob.txt
    curl -sN $NODE2/v1/events -H "Authorization: Bearer $BOB" >/tmp/bob.txt & STREAM=$!
    until grep -qs '^event: ready' /tmp/bob.txt; do sleep 0.1; done
    curl -sw '\n' $NODE1/v1/chats/$CHAT/messages -H "Authorization: Bearer $ALICE" --json '{"text":"Tea at four?"}'
    until grep -q 'Tea at four' /tmp/bob.txt; do sleep 0.1; done
    kill $STREAM; cat /tmp/bob.txt

    # Alice announces a file to node1 and sends it to Ceph; Bob fetches it by way of node2.
    printf 'hardly a picture' >/tmp/tea.png
    MD5=$(md5sum </tmp/tea.png | cut -c 1-32)
    MEDIA=$(curl -s $NODE1/v1/media -H "Authorization: Bearer $ALICE" --json '{"content_type":"image/png","size":16,"md5":"'$MD5'"}')
    ID=$(field id <<<"$MEDIA")
    curl -s -T /tmp/tea.png "$(field url <<<"$MEDIA")" -H 'Content-Type: image/png' -H "Content-MD5: $(field content-md5 <<<"$MEDIA")" -H 'x-amz-acl: private'
    curl -s -X POST $NODE1/v1/media/$ID/complete -H "Authorization: Bearer $ALICE" | field state; echo
    curl -sw '\n' $NODE1/v1/chats/$CHAT/messages -H "Authorization: Bearer $ALICE" --json '{"attachments":["'$ID'"]}'
    curl -sLw '\n' $NODE2/v1/media/$ID/content -H "Authorization: Bearer $BOB"

TEXT
}

follow() {
    tail -n 0 -F "$folder/node1.log" "$folder/node2.log" 2>/dev/null &
    follower=$!
    wait "$follower"
}

refuse_taken_ports
make_folder
start_part mariadb env DIR="$folder/mariadb" tests/support/mariadb.sh start
start_part redis env DIR="$folder/redis" tests/support/redis.sh start
start_part ceph env OWNER=$$ tests/support/ceph.sh start "$folder/ceph"
export_settings
PARLEY_DATA_DIR=$folder/setup "$binary" media setup >"$folder/setup.out"
start_nodes
start_part balancer env DIR="$folder/balancer" PORT="$port" tests/support/haproxy.sh start "${nodes[0]}=127.0.0.1:$(node_port node1)" "${nodes[1]}=127.0.0.1:$(node_port node2)"
say_where
say_first_steps
follow
