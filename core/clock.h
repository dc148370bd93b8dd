/* Time: the only place that asks the machine what time it is.
 *
 * Wall time is in milliseconds since 1970-01-01 UTC. In builds with PARLEY_FAULTS tests can move it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

int64_t clock_now_ms(void);       /* wall time; may step back with the machine's clock */
int64_t clock_monotonic_ms(void); /* never goes back; for timeouts */
int64_t clock_monotonic_us(void); /* never goes back; for latencies */

/* The moment `delay_ms` from now, for pthread_cond_clockwait() on CLOCK_MONOTONIC, and for condition variables that were made with that clock. */
struct timespec clock_deadline(int64_t delay_ms);
/* These do nothing for that long. For test builds, for programs that wait for another, and for a server's threads that may block; its loops never do, but for the
 * hub's rests (stream/tail.h). */
void clock_sleep_ms(int64_t duration_ms);
void clock_sleep_us(int64_t duration_us);

#define CLOCK_RFC3339_SIZE 25 /* "2026-11-21T01:02:03.456Z" and a NUL */
/* Writes RFC 3339 UTC with milliseconds; returns the length without NUL (24). */
size_t clock_format(int64_t time_ms, char out[CLOCK_RFC3339_SIZE]);
/* Reads RFC 3339 of 1970 and later, in any offset from UTC; what is finer than milliseconds is cut off. Leap seconds are not known. */
bool clock_parse(const char *text, size_t size, int64_t *ret_time_ms);
