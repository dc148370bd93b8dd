#include "sleeper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct sleeper {
    pthread_t thread;
    atomic_bool stops;
    uint32_t count;
    struct sleeper_pause pauses[SLEEPER_PAUSES_MAX];
};

static void *sleeper_main(void *argument) {
    struct sleeper *sleeper = argument;
    while (!atomic_load_explicit(&sleeper->stops, memory_order_relaxed)) {
        uint64_t start_ns = now_ns();
        nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS }, NULL);
        uint64_t duration_ns = now_ns() - start_ns;
        if (duration_ns >= SLEEPER_PAUSE_NS && sleeper->count < SLEEPER_PAUSES_MAX)
            sleeper->pauses[sleeper->count++] = (struct sleeper_pause){ start_ns, duration_ns };
    }
    return NULL;
}

struct sleeper *sleeper_start(void) {
    struct sleeper *sleeper = calloc(1, sizeof *sleeper);
    if (sleeper && pthread_create(&sleeper->thread, NULL, sleeper_main, sleeper) != 0) {
        free(sleeper);
        return NULL;
    }
    return sleeper;
}

void sleeper_stop(struct sleeper *sleeper) {
    atomic_store(&sleeper->stops, true);
    pthread_join(sleeper->thread, NULL);
}

uint32_t sleeper_pauses(const struct sleeper *sleeper, const struct sleeper_pause **ret_pauses) {
    *ret_pauses = sleeper->pauses;
    return sleeper->count;
}

uint64_t sleeper_paused_ns(const struct sleeper *sleeper, uint64_t start_ns, uint64_t end_ns) {
    uint64_t paused_ns = 0;
    for (uint32_t i = 0; i < sleeper->count; i++) {
        const struct sleeper_pause *pause = &sleeper->pauses[i];
        uint64_t from = pause->start_ns > start_ns ? pause->start_ns : start_ns;
        uint64_t pause_end = pause->start_ns + pause->duration_ns, to = pause_end < end_ns ? pause_end : end_ns;
        paused_ns += to > from ? to - from : 0;
    }
    return paused_ns;
}

void sleeper_free(struct sleeper *sleeper) { free(sleeper); }
