#include "db/sqlite_log.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/metrics.h"
#include "db/sqlite_mover.h"

#define PASSES_MAX 4 /* each finds what was committed during the one before */
#define RETRY_SHARE 4

struct sqlite_log {
    sqlite3 *writer;
    char *path;
    struct sqlite_log_sizes sizes;
    struct mover *mover; /* NULL: not needed yet, or there is no thread for it */
    int pages;           /* as of the last commit */
    int moved;           /* of these; not less than SQLite's own note, unless nothing was committed yet */
    int due;             /* pages at which the log is moved */
    int passes;          /* of the mover, since the log was last due */
    int truncate_passes; /* of these, the ones because it shall be truncated */
    bool asked;          /* a pass was asked for, and not taken yet */
    bool renewed;        /* since then the log was begun anew */
};

static void begin_anew(struct sqlite_log *log) {
    log->moved = 0;
    log->due = log->sizes.due;
    log->passes = 0;
    log->renewed = true;
}

/* Readers may be in the way, or keep the next commit from beginning the log anew: it is not moved again before it has grown by a share. */
static void put_off(struct sqlite_log *log) {
    log->due = log->pages + log->sizes.due / RETRY_SHARE;
    log->passes = 0;
}

static int note_commit(void *context, sqlite3 *handle, const char *name, int pages) {
    struct sqlite_log *log = context;
    (void)handle;
    (void)name;
    if (pages < log->pages)
        begin_anew(log);
    log->pages = pages;
    return SQLITE_OK;
}

struct sqlite_log *sqlite_log_open(const char *path, sqlite3 *writer, const struct sqlite_log_sizes *sizes) {
    struct sqlite_log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->writer = writer;
    log->sizes = *sizes;
    log->due = sizes->due;
    log->path = strdup(path);
    if (!log->path) {
        free(log);
        return NULL;
    }
    sqlite3_wal_hook(writer, note_commit, log);
    return log;
}

void sqlite_log_close(struct sqlite_log *log) {
    if (!log)
        return;
    mover_stop(log->mover);
    sqlite3_wal_hook(log->writer, NULL, NULL);
    free(log->path);
    free(log);
}

/* False: there is nobody, or nothing that it could safely be asked for. */
static bool ask(struct sqlite_log *log) {
    if (log->pages <= log->moved)
        return false;
    if (!log->mover)
        log->mover = mover_start(log->path);
    if (!log->mover)
        return false;
    log->asked = true;
    log->renewed = false;
    log->passes++;
    mover_ask(log->mover);
    return true;
}

/* What the mover has done, when it has ended; with `waits` it is waited for. When it failed the writer does it itself; when it left much
 * behind, readers need that. */
static void take(struct sqlite_log *log, bool waits) {
    struct mover_pass pass;
    if (!log->asked || !mover_take(log->mover, waits, &pass))
        return;
    log->asked = false;
    if (pass.code != SQLITE_OK) {
        log->moved = log->pages;
        log->passes = PASSES_MAX;
    } else if (!log->renewed) {
        log->moved = pass.moved;
        if (pass.pages - pass.moved > log->sizes.rest)
            put_off(log);
    }
}

static int checkpoint_here(struct sqlite_log *log, int mode) {
    int pages = -1, moved = -1;
    int64_t started_us = clock_monotonic_us();
    int code = sqlite3_wal_checkpoint_v2(log->writer, "main", mode, &pages, &moved);
    log->moved = moved >= 0 ? moved : log->pages;
    put_off(log);
    metric_observe(HISTOGRAM_CHECKPOINT_SECONDS, (uint64_t)(clock_monotonic_us() - started_us));
    return code;
}

/* Whether what is left is for the writer's thread. */
static bool is_rest(const struct sqlite_log *log) { return log->pages - log->moved <= log->sizes.rest || log->passes >= PASSES_MAX; }

int sqlite_log_move(struct sqlite_log *log) {
    take(log, log->pages >= log->due + log->sizes.ahead);
    if (log->asked || log->pages < log->due)
        return SQLITE_OK;
    if (!is_rest(log) && ask(log))
        return SQLITE_OK;
    int code = checkpoint_here(log, SQLITE_CHECKPOINT_PASSIVE);
    return (code & 0xff) == SQLITE_BUSY ? SQLITE_OK : code;
}

bool sqlite_log_is_short(struct sqlite_log *log) {
    take(log, false);
    if (log->asked)
        return false;
    if (is_rest(log) || log->truncate_passes >= PASSES_MAX || !ask(log))
        return true;
    log->truncate_passes++;
    return false;
}

int sqlite_log_truncate(struct sqlite_log *log) {
    take(log, true);
    log->truncate_passes = 0;
    int code = checkpoint_here(log, SQLITE_CHECKPOINT_TRUNCATE);
    if (code == SQLITE_OK) {
        begin_anew(log);
        log->pages = 0;
    }
    return code;
}
