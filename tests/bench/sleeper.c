#include "sleeper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct sleeper {
    pthread_t thread;
    atomic_bool stops;
    struct pauses pauses;
};

static void *sleeper_main(void *argument) {
    struct sleeper *sleeper = argument;
    while (!atomic_load_explicit(&sleeper->stops, memory_order_relaxed)) {
        uint64_t start_ns = now_ns();
        nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS }, NULL);
        uint64_t duration_ns = now_ns() - start_ns;
        if (duration_ns >= SLEEPER_PAUSE_NS)
            pauses_add(&sleeper->pauses, start_ns, duration_ns);
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

const struct pauses *sleeper_pauses(const struct sleeper *sleeper) { return &sleeper->pauses; }

void sleeper_free(struct sleeper *sleeper) { free(sleeper); }
