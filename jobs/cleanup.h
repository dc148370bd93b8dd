/* The cleanup: really deletes what retention has expired, from the database and from the media storage, in steps small enough that posting stays fast.
 *
 * One run goes through a table of sweeps (jobs/sweeps.h), a step of each in turn, until none has anything left. Those of the database are one COMMAND_SWEEP
 * a step, through the writer. Media goes object first, row last: a sweep dooms rows, their objects are deleted, and only then the rows are forgotten,
 * so that after a crash at any point the next run finds what is left. One node works at a time, by a lease. The server runs it on a thread
 * of its own at an interval; `parley cleanup --once` runs it once. */
#pragma once

#include "core/config.h"
#include "db/reader.h"
#include "db/store.h"
#include "media/storage.h"

/* What it works on; all outlive it. */
struct cleanup_target {
    const struct config *config;
    struct store *store; /* started */
    struct storage *storage;
};

/* After every step: what the step did, and which sweep it belonged to. */
struct cleanup_step {
    const char *sweep; /* "log", "objects", ...; static; "" while the run waits for another of this process to end */
    uint64_t rows;
    uint64_t objects;
    uint64_t bytes;     /* of these objects */
    int64_t overdue_ms; /* how long the oldest thing of the sweep that is still there should already be gone; 0: none is */
    int64_t writer_us;  /* for how long it had, or waited for, the writer; posts wait no longer for it */
    bool more;          /* the sweep has more to do */
};
/* false ends the run early. May block. */
typedef bool (*cleanup_progress)(void *context, const struct cleanup_step *step);

struct cleanup_options {
    bool dry_run;        /* changes nothing; one step of each sweep, so that `more` means "at least so many" */
    bool checks_uploads; /* also looks for multipart uploads that nobody knows of: a listing of them all */
    bool patient;        /* another run follows: the write-ahead log, which holds what was deleted, need not be truncated while many post */
    int64_t budget_ms;   /* 0: until nothing is left to do */
    cleanup_progress progress;
    void *context;
};

/* One run. Blocks; any thread but the writer's. ERR_CONFLICT: another node holds the lease. Other errors are the store's or the storage's: a sweep that
 * fails is left out for the rest of the run, the others go on, and what was swept stays swept; storage_problem() says more about the storage's. */
enum err cleanup_once(const struct cleanup_target *target, const struct cleanup_options *options) MUST_USE;

struct cleanup;

/* Starts the thread, which runs at once and then every config->cleanup_interval_ms (more than 0), each time for config->cleanup_budget_ms at most; sooner when that
 * was too little and it is late (jobs/pace.h). */
enum err cleanup_start(const struct cleanup_target *target, struct cleanup **ret_cleanup) MUST_USE;
/* Ends the thread after the step that runs, if any; before store_stop(). NULL is fine. */
void cleanup_stop(struct cleanup *cleanup);
