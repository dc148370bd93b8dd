#include "db/sqlite_mover.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/metrics.h"

struct mover {
    char *path;
    sqlite3 *handle; /* the thread's own; NULL: not open yet */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool asked, stopping;   /* under mutex */
    struct mover_pass pass; /* under mutex; the last one, valid when not asked */
};

/* The log must be on disk before the first page is written to the database file, so synchronous is what it is for the writer. The last
 * statement reads: before its first read a connection does not know that there is a log. */
static const char setup[] =
    "PRAGMA query_only=ON; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-64; PRAGMA schema_version;";

static int open_handle(struct mover *mover) {
    if (mover->handle)
        return SQLITE_OK;
    int code = sqlite3_open_v2(mover->path, &mover->handle, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(mover->handle, setup, NULL, NULL, NULL);
    if (code == SQLITE_OK && fault_is("synchronous_off"))
        code = sqlite3_exec(mover->handle, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        sqlite3_close(mover->handle);
        mover->handle = NULL;
    }
    return code;
}

/* SQLite syncs the database file only where the last frame was moved, which is mostly on the writer's thread: there shall be little to sync. */
static int sync_database(sqlite3 *handle) {
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (code != SQLITE_OK || !file->pMethods || fault_is("synchronous_off"))
        return code;
    return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

static struct mover_pass run_pass(struct mover *mover) {
    struct mover_pass pass = { .pages = -1, .moved = -1 };
    int64_t started_us = clock_monotonic_us();
    pass.code = open_handle(mover);
    if (pass.code == SQLITE_OK)
        pass.code = sqlite3_wal_checkpoint_v2(mover->handle, "main", SQLITE_CHECKPOINT_PASSIVE, &pass.pages, &pass.moved);
    if (pass.code == SQLITE_OK)
        pass.code = sync_database(mover->handle);
    metric_observe(HISTOGRAM_CHECKPOINT_SECONDS, (uint64_t)(clock_monotonic_us() - started_us));
    return pass;
}

/* Under the mutex, but for the pass itself. */
static void pass_when_asked(struct mover *mover) {
    if (!mover->asked) {
        pthread_cond_wait(&mover->changed, &mover->mutex);
        return;
    }
    pthread_mutex_unlock(&mover->mutex);
    struct mover_pass pass = run_pass(mover);
    pthread_mutex_lock(&mover->mutex);
    mover->pass = pass;
    mover->asked = false;
    pthread_cond_signal(&mover->changed);
}

static void *run_thread(void *context) {
    struct mover *mover = context;
    pthread_setname_np(pthread_self(), "checkpoint");
    pthread_mutex_lock(&mover->mutex);
    while (!mover->stopping)
        pass_when_asked(mover);
    pthread_mutex_unlock(&mover->mutex);
    sqlite3_close(mover->handle);
    return NULL;
}

static void free_mover(struct mover *mover) {
    pthread_cond_destroy(&mover->changed);
    pthread_mutex_destroy(&mover->mutex);
    free(mover->path);
    free(mover);
}

struct mover *mover_start(const char *path) {
    struct mover *mover = calloc(1, sizeof *mover);
    if (!mover)
        return NULL;
    pthread_mutex_init(&mover->mutex, NULL);
    pthread_cond_init(&mover->changed, NULL);
    mover->path = strdup(path);
    if (mover->path && pthread_create(&mover->thread, NULL, run_thread, mover) == 0)
        return mover;
    free_mover(mover);
    return NULL;
}

void mover_stop(struct mover *mover) {
    if (!mover)
        return;
    pthread_mutex_lock(&mover->mutex);
    mover->stopping = true;
    pthread_cond_signal(&mover->changed);
    pthread_mutex_unlock(&mover->mutex);
    pthread_join(mover->thread, NULL);
    free_mover(mover);
}

void mover_ask(struct mover *mover) {
    pthread_mutex_lock(&mover->mutex);
    mover->asked = true;
    pthread_cond_signal(&mover->changed);
    pthread_mutex_unlock(&mover->mutex);
}

bool mover_take(struct mover *mover, bool waits, struct mover_pass *ret_pass) {
    pthread_mutex_lock(&mover->mutex);
    while (mover->asked && waits)
        pthread_cond_wait(&mover->changed, &mover->mutex);
    bool ended = !mover->asked;
    if (ended)
        *ret_pass = mover->pass;
    pthread_mutex_unlock(&mover->mutex);
    return ended;
}
