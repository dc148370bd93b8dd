#include "packets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "process.h"

#define DEVICE "far"
#define PACKET_BYTES_MAX 1536
#define PACKETS_MAX 8192 /* on their way; what comes beyond is lost, as in any router */
#define READS_AT_ONCE 64

struct packet {
    uint64_t due_ns;
    size_t len;
    char bytes[PACKET_BYTES_MAX];
};

/* All packets take equally long, so they leave in the order in which they came. */
struct line {
    struct packets_plan plan;
    int device;
    uint64_t random_state;
    uint32_t first, count;
    struct packet packets[PACKETS_MAX];
};

/* ---- The process ---- */

static bool line_loses(struct line *line) { return random_next(&line->random_state) % 1000000 < line->plan.lost_per_million; }

/* Into the slot behind the last, whether it is kept or not. */
static bool line_take(struct line *line) {
    struct packet *packet = &line->packets[(line->first + line->count) % PACKETS_MAX];
    ssize_t len = read(line->device, packet->bytes, sizeof packet->bytes);
    if (len <= 0)
        return false;
    if (line->count == PACKETS_MAX - 1 || line_loses(line))
        return true;
    packet->len = (size_t)len;
    packet->due_ns = now_ns() + line->plan.delay_ms * NS_PER_MS;
    line->count++;
    return true;
}

/* A packet that the kernel does not take is lost. */
static void line_give_due(struct line *line) {
    uint64_t now = now_ns();
    while (line->count > 0 && line->packets[line->first].due_ns <= now) {
        (void)!write(line->device, line->packets[line->first].bytes, line->packets[line->first].len);
        line->first = (line->first + 1) % PACKETS_MAX;
        line->count--;
    }
}

static void line_wait(const struct line *line) {
    struct pollfd ready = { .fd = line->device, .events = POLLIN };
    uint64_t now = now_ns(), due_ns = line->count > 0 ? line->packets[line->first].due_ns : now + NS_PER_SECOND;
    uint64_t wait_ns = due_ns > now ? due_ns - now : 0;
    struct timespec limit = { .tv_sec = (time_t)(wait_ns / NS_PER_SECOND), .tv_nsec = (long)(wait_ns % NS_PER_SECOND) };
    (void)ppoll(&ready, 1, &limit, NULL);
}

static _Noreturn void line_main(struct line *line) {
    for (;;) {
        line_wait(line);
        for (int i = 0; i < READS_AT_ONCE && line_take(line); i++) {}
        line_give_due(line);
    }
}

static int open_device(void) {
    struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    strcpy(request.ifr_name, DEVICE);
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device >= 0 && ioctl(device, TUNSETIFF, &request) == 0)
        return device;
    if (device >= 0)
        close(device);
    return -1;
}

/* ---- The namespace ---- */

/* What this host sends to 127.0.0.0/8 leaves by the device, and what comes in by the device is for this host. Such addresses are martians elsewhere than on `lo`, unless
 * the device is told otherwise. */
static const char route_through_device[] = "settings=/proc/sys/net/ipv4/conf/" DEVICE "\n"
                                           "echo 1 > $settings/accept_local\n"
                                           "echo 1 > $settings/route_localnet\n"
                                           "echo 0 > $settings/rp_filter\n"
                                           "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter\n"
                                           "ip link set lo up\n"
                                           "ip link set " DEVICE " txqueuelen 8192 up\n"
                                           "ip route add 127.0.0.0/8 dev " DEVICE " src 127.0.0.1 table 100\n"
                                           "ip rule add pref 1 iif " DEVICE " lookup local\n"
                                           "ip rule add pref 2 to 127.0.0.0/8 lookup 100\n"
                                           "ip rule add pref 3 lookup local\n"
                                           "ip rule del pref 0\n";

static bool set_routes(void) {
    char shell[] = "/bin/sh", options[] = "-ec", script[sizeof route_through_device];
    memcpy(script, route_through_device, sizeof script);
    char *arguments[] = { shell, options, script, NULL };
    return process_run(arguments, "/dev/null", "the namespace with a long way") == OUTCOME_OK;
}

/* Starts the process, which has the device when this returns. */
static pid_t start_line(const struct packets_plan *plan) {
    int device = open_device();
    pid_t pid = device >= 0 ? fork() : -1;
    if (pid == 0) {
        struct line *line = calloc(1, sizeof *line);
        if (!line || prctl(PR_SET_PDEATHSIG, SIGKILL))
            _exit(1);
        line->plan = *plan;
        line->device = device;
        line->random_state = now_ns();
        line_main(line);
    }
    if (device >= 0)
        close(device);
    return pid;
}

bool packets_enter(const struct packets_plan *plan, struct packets *ret_packets) {
    if (!process_is_installed("ip")) {
        complain("no network of its own: there is no `ip` (scripts/install.sh bench)");
        return false;
    }
    struct packets packets = { .home_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC) };
    if (packets.home_fd < 0 || unshare(CLONE_NEWNET)) {
        complain("no network of its own: %s", strerror(errno));
        if (packets.home_fd >= 0)
            close(packets.home_fd);
        return false;
    }
    packets.pid = start_line(plan);
    if (packets.pid > 0 && set_routes()) {
        *ret_packets = packets;
        return true;
    }
    complain("no network of its own: the TUN device or its routes cannot be had");
    packets_leave(&packets);
    return false;
}

void packets_leave(struct packets *packets) {
    if (packets->pid == 0)
        return;
    process_kill(packets->pid);
    if (setns(packets->home_fd, CLONE_NEWNET))
        complain("cannot come back from the network of its own: %s", strerror(errno));
    close(packets->home_fd);
    packets->pid = 0;
}
