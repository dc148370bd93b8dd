/* A network namespace of its own in which 127.0.0.1 is far away: every packet to it goes through a process (a TUN device) that lets it arrive later, and loses some. What
 * TCP makes of that is the kernel's own work on both sides. It is what netem does, which many kernels come without. Needs root, /dev/net/tun and `ip`. Main thread. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "bench.h"

struct packets_plan {
    uint32_t delay_ms;         /* each way */
    uint32_t lost_per_million; /* packets, each way */
};

struct packets {
    pid_t pid;   /* of the process; 0 when there is none */
    int home_fd; /* the namespace to come back to */
};

/* Takes this thread into such a namespace, and with it the processes and threads that it starts from then on. False, with the reason on stderr, where the system does not
 * allow it; then everything is as it was. */
bool packets_enter(const struct packets_plan *plan, struct packets *ret_packets) MUST_USE;
/* Back home; the namespace goes with the last process in it. A zeroed one is fine. */
void packets_leave(struct packets *packets);
