/* Owns the cleanup's thread inside the server: when a run is due, and what the log says of it.
 *
 * Threads: its own; cleanup_start() and cleanup_stop() from the main thread. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "jobs/cleanup.h"
#include "jobs/pace.h"

#define UPLOADS_INTERVAL_MS (INT64_C(3600) * 1000) /* between two listings of all uploads */

struct cleanup {
    struct cleanup_target target;
    int64_t uploads_checked_ms; /* monotonic; 0: never */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on the monotonic clock */
    bool stopping;          /* under mutex */
};

static bool is_stopping(struct cleanup *cleanup) {
    pthread_mutex_lock(&cleanup->mutex);
    bool stopping = cleanup->stopping;
    pthread_mutex_unlock(&cleanup->mutex);
    return stopping;
}

/* Returns after the time, or when the thread is to end. */
static void wait_for(struct cleanup *cleanup, int64_t duration_ms) {
    const struct timespec until = clock_deadline(duration_ms);
    pthread_mutex_lock(&cleanup->mutex);
    int timed_out = 0;
    while (!cleanup->stopping && timed_out == 0)
        timed_out = pthread_cond_timedwait(&cleanup->changed, &cleanup->mutex, &until);
    pthread_mutex_unlock(&cleanup->mutex);
}

struct tally {
    struct cleanup *cleanup;
    uint64_t rows, objects, bytes;
    int64_t overdue_ms; /* the most that a step has left */
};

static bool add_step(void *context, const struct cleanup_step *step) {
    struct tally *tally = context;
    tally->rows += step->rows;
    tally->objects += step->objects;
    tally->bytes += step->bytes;
    tally->overdue_ms = step->overdue_ms > tally->overdue_ms ? step->overdue_ms : tally->overdue_ms;
    return !is_stopping(tally->cleanup);
}

static void log_run(enum err err, const struct tally *tally, int64_t duration_ms) {
    if (err == ERR_CONFLICT)
        log_event(LOG_DEBUG, "cleanup_elsewhere", "%s", "");
    else if (err != OK)
        log_event(LOG_WARN, "cleanup_failed", "error=%s problem=\"%s\" rows=%" PRIu64 " objects=%" PRIu64 " duration_ms=%" PRId64,
                  err_name(err), err == ERR_STORAGE_UNAVAILABLE ? storage_problem() : "", tally->rows, tally->objects, duration_ms);
    else if (tally->rows + tally->objects > 0)
        log_event(LOG_INFO, "cleanup", "rows=%" PRIu64 " objects=%" PRIu64 " bytes=%" PRIu64 " duration_ms=%" PRId64, tally->rows,
                  tally->objects, tally->bytes, duration_ms);
}

/* A run that ended for its budget has left work. One that failed has to wait for somebody. */
static int64_t pause_after(const struct config *config, enum err err, const struct tally *tally, int64_t duration_ms) {
    const struct pace pace = { config->cleanup_deadline_ms, config->cleanup_interval_ms, tally->overdue_ms, 0 };
    bool is_cut = err == OK && duration_ms >= config->cleanup_budget_ms;
    return is_cut ? pace_pause_ms(&pace) : config->cleanup_interval_ms;
}

/* `ret_pause_ms`: until the next run. */
static void clean_and_log(struct cleanup *cleanup, int64_t *ret_pause_ms) {
    struct tally tally = { .cleanup = cleanup };
    int64_t started_ms = clock_monotonic_ms();
    const struct cleanup_options options = {
        .checks_uploads = cleanup->uploads_checked_ms == 0 || started_ms - cleanup->uploads_checked_ms >= UPLOADS_INTERVAL_MS,
        .patient = true,
        .budget_ms = cleanup->target.config->cleanup_budget_ms,
        .progress = add_step,
        .context = &tally,
    };
    enum err err = cleanup_once(&cleanup->target, &options);
    if (err == OK && options.checks_uploads)
        cleanup->uploads_checked_ms = started_ms;
    int64_t duration_ms = clock_monotonic_ms() - started_ms;
    log_run(err, &tally, duration_ms);
    *ret_pause_ms = pause_after(cleanup->target.config, err, &tally, duration_ms);
}

static void *run_thread(void *context) {
    struct cleanup *cleanup = context;
    pthread_setname_np(pthread_self(), "cleanup");
    while (!is_stopping(cleanup)) {
        int64_t pause_ms;
        clean_and_log(cleanup, &pause_ms);
        wait_for(cleanup, pause_ms);
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

enum err cleanup_start(const struct cleanup_target *target, struct cleanup **ret_cleanup) {
    struct cleanup *cleanup = calloc(1, sizeof(*cleanup));
    if (cleanup == NULL)
        return ERR_NO_MEMORY;

    cleanup->target = *target;
    pthread_mutex_init(&cleanup->mutex, NULL);
    init_condition(&cleanup->changed);
    if (pthread_create(&cleanup->thread, NULL, run_thread, cleanup) != 0) {
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
