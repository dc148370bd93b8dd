# Free ports on loopback, for scripts that start servers.

# By bash itself: no program is needed.
is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below those that the kernel gives to who asks for any, such as the hundreds of servers that tests start: nobody takes one before it is used but by chance.
any_port() { echo $((12000 + RANDOM % 20000)); }

free_port() {
    local port
    while :; do
        port=$(any_port)
        is_taken "$port" || break
    done
    echo "$port"
}
