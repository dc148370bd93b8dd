/* Stops asking what does not answer: after several failures in a row calls are refused at once for a while, then one probe may try.
 *
 * Without it a storage that swallows connections would hold each of its callers, all of the few threads there are, for a whole timeout. Owns its state;
 * thread-safe. The time is the caller's. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAILURES 5 /* in a row, then it opens */
#define BREAKER_OPEN_MS 1000

struct breaker {
    pthread_mutex_t mutex;
    unsigned failures; /* in a row */
    bool is_probing;
    int64_t open_until_ms; /* on the monotonic clock; 0: closed */
};

void breaker_init(struct breaker *breaker);
void breaker_release(struct breaker *breaker);
/* Whether a try may begin at `now_ms`. Each that began must be reported by breaker_report(). */
bool breaker_admits(struct breaker *breaker, int64_t now_ms);
void breaker_report(struct breaker *breaker, bool answered, int64_t now_ms);
