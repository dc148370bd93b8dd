/* A thread that only sleeps a millisecond at a time and notes when it overslept: those pauses are the machine's, not a server's. */
#pragma once

#include "bench.h"
#include "pauses.h"

#define SLEEPER_PAUSE_NS (20 * NS_PER_MS) /* what is noted */

struct sleeper;

/* NULL when there is no memory or thread. */
struct sleeper *sleeper_start(void);
/* Ends the thread; then the pauses can be read. */
void sleeper_stop(struct sleeper *sleeper);
const struct pauses *sleeper_pauses(const struct sleeper *sleeper);
void sleeper_free(struct sleeper *sleeper);
