/* See breaker.h. */
#include "media/breaker.h"

void breaker_init(struct breaker *breaker) {
    *breaker = (struct breaker){ 0 };
    pthread_mutex_init(&breaker->mutex, NULL);
}

void breaker_release(struct breaker *breaker) { pthread_mutex_destroy(&breaker->mutex); }

bool breaker_admits(struct breaker *breaker, int64_t now_ms) {
    pthread_mutex_lock(&breaker->mutex);
    bool is_open = breaker->open_until_ms != 0;
    bool is_probe = is_open && !breaker->is_probing && now_ms >= breaker->open_until_ms;
    if (is_probe)
        breaker->is_probing = true;
    pthread_mutex_unlock(&breaker->mutex);
    return !is_open || is_probe;
}

void breaker_report(struct breaker *breaker, bool answered, int64_t now_ms) {
    pthread_mutex_lock(&breaker->mutex);
    if (answered) {
        breaker->failures = 0;
        breaker->open_until_ms = 0;
        breaker->is_probing = false;
    } else if (breaker->failures < BREAKER_FAILURES) {
        breaker->failures++;
    }
    if (breaker->failures == BREAKER_FAILURES) {
        breaker->open_until_ms = now_ms + BREAKER_OPEN_MS;
        breaker->is_probing = false;
    }
    pthread_mutex_unlock(&breaker->mutex);
}
