#!/bin/bash
# The Debian package in a Debian that runs under systemd: installed, upgraded while somebody posts, removed, installed again, and purged.
#
# usage: tests/deploy/package.sh ROOT OLD NEW
#   ROOT  a clean Debian 12 with systemd and curl, which is changed
#   OLD, NEW  the package in two versions
#
# For root on Linux, with systemd-nspawn. The container has a network of its own, and ends with this script.
set -euo pipefail
cd "$(dirname "$0")/../.."

root=$1
old=$2
new=$3
name=$(basename "$root")

# ---- The container ----

boot() {
    setsid systemd-nspawn --directory="$root" --private-network --register=no --keep-unit --boot --console=pipe >"$root.log" 2>&1 </dev/null &
    container=$!
    trap 'kill -TERM "$container" 2>/dev/null; wait "$container" 2>/dev/null || true' EXIT
    until leader=$(pgrep -P "$container" -x systemd) && inside systemctl is-system-running --wait >/dev/null 2>&1; do
        kill -0 "$container" 2>/dev/null || { cat "$root.log" >&2 && exit 1; }
        sleep 0.1
    done
}

inside() { nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup --root --wd -- "$@"; }

fail() {
    printf '%s: %s\n' "$name" "$1" >&2
    inside journalctl --no-pager --unit=parley --lines=20 >&2 || true
    exit 1
}

# expect WHAT COMMAND...: the command, in the container, is to succeed.
expect() {
    local what=$1
    shift
    inside "$@" >/dev/null 2>&1 || fail "$what: $*"
    echo "ok: $what"
}

refuse() {
    local what=$1
    shift
    ! inside "$@" >/dev/null 2>&1 || fail "$what: $*"
    echo "ok: $what"
}

install_package() { inside env DEBIAN_FRONTEND=noninteractive dpkg --install "/srv/$(basename "$1")" >"$root.dpkg" 2>&1 || { cat "$root.dpkg" >&2 && fail "dpkg"; }; }

main_process() { inside systemctl show --property=MainPID --value parley; }

until_ready() { inside curl --silent --fail --output /dev/null --retry 100 --retry-delay 0 --retry-max-time 20 --retry-all-errors http://127.0.0.1:8080/readyz; }

# ---- Somebody who posts ----

# Posts without end, each text until it is answered with 2xx, under one key. `last` is the number of the last that was.
write_poster() {
    cat >"$root/srv/poster" <<'POSTER'
#!/bin/bash
base=http://127.0.0.1:8080/v1
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }
if [ ! -e token ]; then
    curl -s $base/users --json '{"username":"alice","password":"correct horse"}' | field access_token >token
    curl -s $base/chats -H "Authorization: Bearer $(cat token)" --json '{"type":"group","title":"A group","member_ids":[]}' | field id >chat
    echo 0 >last
fi
while [ ! -e stop ]; do
    number=$(($(cat last) + 1))
    until seq=$(curl -sf $base/chats/"$(cat chat)"/messages -H "Authorization: Bearer $(cat token)" -H "Idempotency-Key: post-$number" --json '{"text":"'$number'"}' | field seq) && [ -n "$seq" ]; do
        echo "$number" >>refused
        sleep 0.01
    done
    [ "$seq" = "$number" ] || { echo "post $number has the place $seq" >wrong; exit 1; }
    echo "$number" >last.new && mv last.new last
done
POSTER
    chmod +x "$root/srv/poster"
}

posted() { cat "$root/srv/last" 2>/dev/null || echo 0; }

start_posting() {
    rm -f "$root/srv/stop" "$root/srv/refused"
    inside sh -c 'cd /srv && exec ./poster' </dev/null >"$root.poster" 2>&1 &
    poster=$!
    until_posted $(($(posted) + 20))
}

until_posted() {
    local deadline=$((SECONDS + 30))
    while [ "$(posted)" -lt "$1" ]; do
        kill -0 "$poster" 2>/dev/null || fail "the poster ended: $(cat "$root.poster" "$root/srv/wrong")"
        [ "$SECONDS" -lt "$deadline" ] || fail "nothing is posted any more: $(cat "$root.poster")"
        sleep 0.05
    done
}

stop_posting() {
    touch "$root/srv/stop"
    wait "$poster" || fail "$(cat "$root/srv/wrong")"
}

# Every post has got the number of its place, so nothing was lost or doubled before the last; and the last is there.
check_posts() {
    local number
    number=$(posted)
    expect "all $number posts are there, each once" sh -c 'cd /srv && curl -sf http://127.0.0.1:8080/v1/chats/$(cat chat)/messages?limit=1 -H "Authorization: Bearer $(cat token)" | grep -q "\"seq\":'"$number"',.*\"text\":\"'"$number"'\""'
}

# ---- The story ----

install_it() {
    install_package "$old"
    expect "the service runs after the installation" systemctl is-active parley
    expect "the service starts with the machine" systemctl is-enabled parley
    expect "it is a user of its own" sh -c '[ "$(stat -c %U /proc/$(systemctl show --property=MainPID --value parley))" = parley ]'
    expect "nobody else reads its settings" sh -c '[ "$(stat -c "%U %a" /etc/parley/parley.conf)" = "root 600" ]'
    expect "nobody else reads its data" sh -c '[ "$(stat -c "%U %a" /var/lib/parley)" = "parley 700" ]'
    expect "its units are right" systemd-analyze verify --man=no parley.service parley-cleanup.service parley-cleanup.timer
    expect "it is exposed to little" systemd-analyze security --threshold=15 parley.service
    expect "its settings are right" parleyctl config --check
    expect "commands work beside it" parleyctl user create carol
    expect "the cleanup of the timer works beside it" systemctl start parley-cleanup.service
    expect "the manual page is there" test -s /usr/share/man/man1/parley.1.gz
}

survive() {
    local process
    process=$(main_process)
    inside sh -c "kill -KILL $process"
    until_ready || fail "it did not come back after a kill"
    [ "$(main_process)" != "$process" ] || fail "it is the same process after a kill"
    echo "ok: it comes back after a kill"
    inside sed -i.saved "\$a PARLEY_RETENTION='soon'" /etc/parley/parley.conf
    refuse "wrong settings stop the start" systemctl restart parley
    expect "and it is not tried again and again" sh -c '[ "$(systemctl show --property=NRestarts --value parley)" = 0 ] && systemctl is-failed parley'
    inside mv /etc/parley/parley.conf.saved /etc/parley/parley.conf
    expect "it starts with the right ones" systemctl restart parley
}

upgrade() {
    local process
    inside sed -i "\$a PARLEY_RETENTION='7d'" /etc/parley/parley.conf
    start_posting
    process=$(main_process)
    install_package "$new"
    [ "$(main_process)" != "$process" ] || fail "the upgrade did not restart the service"
    until_posted $(($(posted) + 20))
    stop_posting
    expect "the service runs after the upgrade, under posts, of which $(wc -l <"$root/srv/refused" 2>/dev/null || echo 0) had to be sent again" systemctl is-active parley
    check_posts
    expect "settings survive the upgrade" grep -q "PARLEY_RETENTION='7d'" /etc/parley/parley.conf
}

stay_disabled() {
    expect "it can be disabled" systemctl --quiet disable --now parley
    install_package "$new"
    refuse "what was disabled stays so" systemctl is-enabled parley
    expect "until it is enabled again" systemctl --quiet enable --now parley
}

remove_it() {
    inside dpkg --remove parley >"$root.dpkg" 2>&1 || fail "dpkg --remove: $(cat "$root.dpkg")"
    refuse "a removed package leaves nothing running" curl --silent --fail http://127.0.0.1:8080/healthz
    expect "its data stays" test -s /var/lib/parley/parley.db
    install_package "$new"
    expect "installed again, it goes on" systemctl is-active parley
    check_posts
}

purge_it() {
    inside dpkg --purge parley >"$root.dpkg" 2>&1 || fail "dpkg --purge: $(cat "$root.dpkg")"
    refuse "purged, its data is gone" test -e /var/lib/parley
    refuse "and its settings" test -e /etc/parley
    refuse "and its service" systemctl cat parley
    expect "and nothing has failed" systemctl is-system-running
}

cp "$old" "$new" "$root/srv/"
write_poster
boot
install_it
survive
upgrade
stay_disabled
remove_it
purge_it
