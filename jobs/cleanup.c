/* Owns a run of the cleanup: its lease, its order, and what is said about it. What a step deletes is its sweep's business; how long to rest after it is
 * pace.c's; when a run inside the server is due is cleanup_thread.c's.
 *
 * Threads: any but the writer's; one run of a process at a time. */
#include "jobs/cleanup.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/metrics.h"
#include "jobs/pace.h"
#include "jobs/sweeps.h"

/* While it rests: between two looks at who waits. */
#define LOOK_MS 10
/* Between two questions whether the write-ahead log was moved. */
#define AGAIN_MS 10
/* Until somebody else may go on when the holder is gone. A step that takes longer costs nothing but that two work at once: all is safe to repeat. */
#define LEASE_MS 60000
#define LEASE_PROLONG_MS (LEASE_MS / 3)
#define TURN_MS 50
/* Until a sweep that had nothing more is asked again while others have: each time posts wait for it, too. */
#define IDLE_MS 1000

struct run {
    const struct cleanup_target *target;
    const struct cleanup_options *options;
    struct sweeping sweeping;
    int64_t started_ms;   /* monotonic */
    int64_t prolonged_ms; /* when the lease was; monotonic */
    bool failed[SWEEP_COUNT];
    int64_t idle_until_ms[SWEEP_COUNT]; /* monotonic */
    enum err err;                       /* the first failure */
};

/* A process does one run at a time: to other nodes its runs are one holder of the lease. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
/* Since when each sweep has had something that should be gone, 0: it has nothing; by wall time. A sweep that fails keeps what it said. Under `turn`. */
static int64_t due_since_ms[SWEEP_COUNT];
static bool is_late; /* under `turn` */

/* ---- The lease ---- */

static enum err set_lease(struct run *run, int64_t until_ms) {
    struct command command = {
        .type = COMMAND_LEASE,
        .in.lease = { .name = "cleanup", .holder = store_holder(run->target->store), .until_ms = until_ms },
    };
    enum err err = store_run(run->target->store, &command);
    command_release(&command);
    if (err == OK)
        run->prolonged_ms = clock_monotonic_ms();
    return err;
}

static enum err take_lease(struct run *run) { return set_lease(run, clock_now_ms() + LEASE_MS); }

/* False when the lease is lost, or cannot be prolonged. */
static bool keep_lease(struct run *run) {
    if (run->options->dry_run || clock_monotonic_ms() - run->prolonged_ms < LEASE_PROLONG_MS)
        return true;
    enum err err = take_lease(run);
    if (err != OK && run->err == OK)
        run->err = err;
    return err == OK;
}

/* ---- Overdue things ---- */

static void note_due(size_t sweep, int64_t overdue_ms) { due_since_ms[sweep] = overdue_ms > 0 ? clock_now_ms() - overdue_ms : 0; }

/* Of all sweeps, or of those that have not failed. */
static int64_t largest_overdue_ms(const bool *failed) {
    int64_t now_ms = clock_now_ms(), largest_ms = 0;
    for (size_t i = 0; i < SWEEP_COUNT; i++)
        if (due_since_ms[i] != 0 && !(failed && failed[i]) && now_ms - due_since_ms[i] > largest_ms)
            largest_ms = now_ms - due_since_ms[i];
    return largest_ms;
}

/* Says when the promise is broken and when it is kept again, not each time. */
static void report_overdue(const struct config *config) {
    int64_t overdue_ms = largest_overdue_ms(NULL);
    bool was_late = is_late;
    metric_set(GAUGE_CLEANUP_OVERDUE_SECONDS, overdue_ms / 1000);
    is_late = overdue_ms > config->cleanup_deadline_ms;
    if (is_late && !was_late)
        log_event(LOG_WARN, "cleanup_late", "overdue_s=%" PRId64 " deadline_s=%" PRId64, overdue_ms / 1000,
                  config->cleanup_deadline_ms / 1000);
    if (was_late && !is_late)
        log_event(LOG_INFO, "cleanup_in_time", "overdue_s=%" PRId64, overdue_ms / 1000);
}

/* ---- Steps ---- */

static bool is_over(const struct run *run) {
    int64_t budget_ms = run->options->budget_ms;
    return budget_ms > 0 && clock_monotonic_ms() - run->started_ms >= budget_ms;
}

static void do_step(struct run *run, size_t sweep, struct cleanup_step *step) {
    fault_die_at("die_at_cleanup_step");
    enum err err = sweeps[sweep].step(&run->sweeping, sweeps[sweep].kind, step);
    if (!run->options->dry_run && (err == OK || step->overdue_ms > 0))
        note_due(sweep, step->overdue_ms);
    if (err == OK)
        return;
    step->more = false;
    run->failed[sweep] = true;
    run->err = run->err == OK ? err : run->err;
}

static void count_step(const struct cleanup_step *step) {
    metric_add(COUNTER_CLEANUP_ROWS, step->rows);
    metric_add(COUNTER_CLEANUP_OBJECTS, step->objects);
    metric_add(COUNTER_CLEANUP_BYTES, step->bytes);
}

/* What a sweep that failed has left is no reason to hurry. */
static struct pace pace_of(const struct run *run) {
    const struct config *config = run->target->config;
    return (struct pace){ config->cleanup_deadline_ms, config->cleanup_interval_ms, largest_overdue_ms(run->failed),
                          store_waiting(run->target->store) };
}

static void rest(const struct run *run, const struct cleanup_step *step) {
    int64_t begin_ms = clock_monotonic_ms();
    for (;;) {
        const struct pace pace = pace_of(run);
        int64_t left_ms = begin_ms + pace_rest_ms(&pace, step->writer_us) - clock_monotonic_ms();
        if (left_ms <= 0)
            return;
        poll(NULL, 0, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS);
    }
}

/* False: the run is over. */
static bool take_step(struct run *run, size_t sweep, bool *more) {
    struct cleanup_step step = { .sweep = sweeps[sweep].name };
    do_step(run, sweep, &step);
    *more |= step.more;
    run->idle_until_ms[sweep] = step.more ? 0 : clock_monotonic_ms() + IDLE_MS;
    if (!run->options->dry_run)
        count_step(&step);
    if (!run->options->progress(run->options->context, &step) || is_over(run))
        return false;
    if (step.rows + step.objects > 0 && !run->options->dry_run)
        rest(run, &step);
    return keep_lease(run);
}

/* One step of each sweep that is not idle, so that none waits for the end of another. False: the run is over. */
static bool pass(struct run *run, bool *more, bool *left_out) {
    for (size_t i = 0; i < SWEEP_COUNT; i++) {
        bool is_idle = clock_monotonic_ms() < run->idle_until_ms[i];
        *left_out |= is_idle;
        if (!run->failed[i] && !is_idle && !take_step(run, i, more))
            return false;
    }
    return true;
}

/* Nothing is left when a pass in which all were asked says so. */
static void sweep_until_clean(struct run *run) {
    bool more = true, left_out = false;
    while (more || left_out) {
        if (!more)
            memset(run->idle_until_ms, 0, sizeof run->idle_until_ms);
        more = left_out = false;
        if (!pass(run, &more, &left_out) || run->options->dry_run)
            return;
    }
}

/* ---- Runs ---- */

/* False: the caller does not want to wait any longer. */
static bool wait_for_turn(const struct cleanup_options *options) {
    const struct cleanup_step waiting = { .sweep = "" };
    while (pthread_mutex_trylock(&turn) != 0) {
        if (!options->progress(options->context, &waiting))
            return false;
        poll(NULL, 0, TURN_MS);
    }
    return true;
}

/* The write-ahead log is truncated; when it is long the store needs some time to move it, in which posts do not wait. */
static void finish(struct run *run) {
    bool again = false;
    enum err err = sweeps_finish(&run->sweeping, &again);
    while (err == OK && again) {
        poll(NULL, 0, AGAIN_MS);
        err = sweeps_finish(&run->sweeping, &again);
    }
    run->err = run->err == OK ? err : run->err;
}

static void sweep_all(struct run *run) {
    sweep_until_clean(run);
    if (run->options->dry_run)
        return;
    fault_die_at("die_at_cleanup_step");
    finish(run);
}

static void sweep_with_lease(struct run *run) {
    run->err = take_lease(run);
    if (run->err != OK)
        return;
    sweep_all(run);
    fault_die_at("die_at_cleanup_step");
    enum err err = set_lease(run, 0);
    run->err = run->err == OK ? err : run->err;
}

/* On every node, whoever cleans up: reports come to others, too. */
static void count_reports(struct reader *reader) {
    uint64_t count = 0;
    if (read_open_reports(reader, &count) == OK)
        metric_set(GAUGE_REPORTS_OPEN, (int64_t)count);
}

enum err cleanup_once(const struct cleanup_target *target, const struct cleanup_options *options) {
    struct run run = {
        .target = target,
        .options = options,
        .sweeping = { .target = target,
                      .dry_run = options->dry_run,
                      .checks_uploads = options->checks_uploads,
                      .patient = options->patient },
        .started_ms = clock_monotonic_ms(),
    };
    enum err err = reader_open(target->store, &run.sweeping.reader);
    if (err != OK)
        return err;
    count_reports(run.sweeping.reader);
    if (options->dry_run) {
        sweep_all(&run);
    } else if (wait_for_turn(options)) {
        sweep_with_lease(&run);
        if (run.err != ERR_CONFLICT)
            report_overdue(target->config);
        pthread_mutex_unlock(&turn);
    }
    reader_close(run.sweeping.reader);
    return run.err;
}
