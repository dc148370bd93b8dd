/* Owns the cleanup's thread and its pace; what a sweep deletes is the store's business.
 *
 * Threads: the cleanup's own; cleanup_start() and cleanup_stop() from the main thread. */
#include "jobs/cleanup.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"

/* Between two passes: with passes of about as long, posts have the writer for themselves at least half of the time. */
#define REST_MS 20

struct cleanup {
    struct store *store;
    int64_t interval_ms;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on the monotonic clock */
    bool stopping;          /* under mutex */
};

/* ---- One cleanup ---- */

static enum err sweep(struct store *store, bool dry_run, uint64_t *ret_rows, bool *ret_more) {
    struct command command = { .type = COMMAND_SWEEP, .in.sweep.dry_run = dry_run };
    enum err err = store_run(store, &command);
    if (err == OK) {
        *ret_rows = command.out.sweep.rows;
        *ret_more = command.out.sweep.more;
    }
    command_release(&command);
    return err;
}

enum err cleanup_once(struct store *store, bool dry_run, cleanup_progress progress, void *context) {
    for (;;) {
        uint64_t rows;
        bool more;
        enum err err = sweep(store, dry_run, &rows, &more);
        if (err != OK)
            return err;
        if (!progress(context, rows, more) || !more || dry_run)
            return OK;
        poll(NULL, 0, REST_MS);
    }
}

/* ---- The thread ---- */

static bool is_stopping(struct cleanup *cleanup) {
    pthread_mutex_lock(&cleanup->mutex);
    bool stopping = cleanup->stopping;
    pthread_mutex_unlock(&cleanup->mutex);
    return stopping;
}

/* Returns after the time, or when the thread is to end. */
static void wait_for(struct cleanup *cleanup, int64_t duration_ms) {
    int64_t until_ms = clock_monotonic_ms() + duration_ms;
    const struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };

    pthread_mutex_lock(&cleanup->mutex);
    int timed_out = 0;
    while (!cleanup->stopping && timed_out == 0)
        timed_out = pthread_cond_timedwait(&cleanup->changed, &cleanup->mutex, &until);
    pthread_mutex_unlock(&cleanup->mutex);
}

struct tally {
    struct cleanup *cleanup;
    uint64_t rows;
};

static bool count_pass(void *context, uint64_t rows, bool more) {
    struct tally *tally = context;
    (void)more;
    tally->rows += rows;
    return !is_stopping(tally->cleanup);
}

static void clean_and_log(struct cleanup *cleanup) {
    struct tally tally = { .cleanup = cleanup };
    int64_t started_ms = clock_monotonic_ms();
    enum err err = cleanup_once(cleanup->store, false, count_pass, &tally);
    int64_t duration_ms = clock_monotonic_ms() - started_ms;

    if (err != OK)
        log_event(LOG_WARN, "cleanup_failed", "error=%s rows=%" PRIu64 " duration_ms=%" PRId64, err_name(err), tally.rows, duration_ms);
    else if (tally.rows > 0)
        log_event(LOG_INFO, "cleanup", "rows=%" PRIu64 " duration_ms=%" PRId64, tally.rows, duration_ms);
}

static void *run(void *context) {
    struct cleanup *cleanup = context;
    pthread_setname_np(pthread_self(), "cleanup");
    while (!is_stopping(cleanup)) {
        clean_and_log(cleanup);
        wait_for(cleanup, cleanup->interval_ms);
    }
    return NULL;
}

static void init_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void free_cleanup(struct cleanup *cleanup) {
    pthread_cond_destroy(&cleanup->changed);
    pthread_mutex_destroy(&cleanup->mutex);
    free(cleanup);
}

enum err cleanup_start(struct store *store, const struct config *config, struct cleanup **ret_cleanup) {
    struct cleanup *cleanup = calloc(1, sizeof(*cleanup));
    if (cleanup == NULL)
        return ERR_NO_MEMORY;

    cleanup->store = store;
    cleanup->interval_ms = config->cleanup_interval_ms;
    pthread_mutex_init(&cleanup->mutex, NULL);
    init_condition(&cleanup->changed);
    if (pthread_create(&cleanup->thread, NULL, run, cleanup) != 0) {
        free_cleanup(cleanup);
        return ERR_NO_MEMORY;
    }
    *ret_cleanup = cleanup;
    return OK;
}

void cleanup_stop(struct cleanup *cleanup) {
    if (cleanup == NULL)
        return;
    pthread_mutex_lock(&cleanup->mutex);
    cleanup->stopping = true;
    pthread_cond_signal(&cleanup->changed);
    pthread_mutex_unlock(&cleanup->mutex);
    pthread_join(cleanup->thread, NULL);
    free_cleanup(cleanup);
}
