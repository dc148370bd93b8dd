/* A clock that a test can move: PARLEY_TEST_CLOCK names a text file with the
 * decimal number of milliseconds to add; it is read again at most every
 * REREAD_MS, and 0 without the variable. While the file cannot be read or
 * holds no number the last good value stays. Owns that value. Any thread. */
#ifndef PARLEY_FAULTS
#define PARLEY_FAULTS
#endif
#include "core/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REREAD_MS 100

static pthread_mutex_t clock_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int64_t clock_offset_ms;
static _Atomic int64_t clock_due_ms;

static int64_t steady_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A half-written or missing file changes nothing. */
static void offset_load(const char *path) {
    char text[64] = "";
    char *end = text;
    FILE *file = fopen(path, "re");
    intmax_t offset;

    if (!file)
        return;
    if (!fgets(text, sizeof(text), file))
        text[0] = '\0';
    fclose(file);
    errno = 0;
    offset = strtoimax(text, &end, 10);
    if (end != text && errno == 0)
        atomic_store(&clock_offset_ms, (int64_t)offset);
}

int64_t fault_clock_offset_ms(void) {
    const char *path = getenv("PARLEY_TEST_CLOCK");
    int64_t now_ms;

    if (!path || !*path)
        return 0;
    now_ms = steady_ms();
    if (now_ms < atomic_load(&clock_due_ms))
        return atomic_load(&clock_offset_ms);
    pthread_mutex_lock(&clock_lock);
    if (now_ms >= atomic_load(&clock_due_ms)) {
        offset_load(path);
        atomic_store(&clock_due_ms, now_ms + REREAD_MS);
    }
    pthread_mutex_unlock(&clock_lock);
    return atomic_load(&clock_offset_ms);
}
