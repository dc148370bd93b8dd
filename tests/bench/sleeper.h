/* A thread that only sleeps a millisecond at a time and notes when it overslept: those pauses are the machine's, not a server's. */
#pragma once

#include <stdint.h>

#include "bench.h"

#define SLEEPER_PAUSE_NS (20 * NS_PER_MS) /* what is listed */
#define SLEEPER_PAUSES_MAX 4096

struct sleeper_pause {
    uint64_t start_ns;
    uint64_t duration_ns;
};

struct sleeper;

/* NULL when there is no memory or thread. */
struct sleeper *sleeper_start(void);
/* Ends the thread; then the pauses can be read. */
void sleeper_stop(struct sleeper *sleeper);
/* In the order in which they came. */
uint32_t sleeper_pauses(const struct sleeper *sleeper, const struct sleeper_pause **ret_pauses);
/* How much of the time between these two was within pauses. */
uint64_t sleeper_paused_ns(const struct sleeper *sleeper, uint64_t start_ns, uint64_t end_ns);
void sleeper_free(struct sleeper *sleeper);
