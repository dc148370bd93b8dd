/* A process between clients and a server on 127.0.0.1 that makes the way longer and less sure: whatever passes comes later, and connections are cut at random, with
 * what was on its way in them. A cut stands for what becomes of a connection when a network changes; packets are lost by packets.h. Main thread. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "bench.h"

struct relay_plan {
    uint16_t server_port;
    uint32_t delay_ms;    /* each way */
    uint32_t lifetime_ms; /* of a connection until it is cut, on average; 0: none is cut */
};

struct relay {
    pid_t pid; /* 0 when it does not run */
    uint16_t port;
};

enum outcome relay_start(const struct relay_plan *plan, struct relay *ret_relay) MUST_USE;
/* A zeroed relay is fine. */
void relay_stop(struct relay *relay);
