/* Patience with answers that do come. The product gives a Redis half a second (core/redis.c), which a machine that stands still may use up; so in a program
 * that includes this, in one of its files, whatever waits for no longer waits for longer, but where a test is about answers that do not come. */
#pragma once

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#define HURRY_MS 500 /* the product's patience */
#define HANG_MS 30000

static atomic_bool poll_hurries;

int poll(struct pollfd *sockets, nfds_t count, int timeout_ms) {
    if (timeout_ms > 0 && timeout_ms <= HURRY_MS && !atomic_load(&poll_hurries))
        timeout_ms = HANG_MS;
    const struct timespec timeout = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L };
    return ppoll(sockets, count, timeout_ms < 0 ? NULL : &timeout, NULL);
}
