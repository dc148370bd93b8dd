#include "db/sqlite_syncer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct syncer {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool asked, stopping; /* under mutex */
    atomic_bool done;
    sqlite3_file *file; /* the thread's while `asked`, as is what follows */
    int flags;
    int code;
};

/* Under the mutex. */
static void sync_once(struct syncer *syncer) {
    pthread_mutex_unlock(&syncer->mutex);
    syncer->code = syncer->file->pMethods->xSync(syncer->file, syncer->flags);
    atomic_store(&syncer->done, true);
    pthread_mutex_lock(&syncer->mutex);
    syncer->asked = false;
    pthread_cond_signal(&syncer->changed);
}

static void *syncer_main(void *context) {
    struct syncer *syncer = context;
    pthread_setname_np(pthread_self(), "parley-syncer");
    pthread_mutex_lock(&syncer->mutex);
    while (!syncer->stopping) {
        if (syncer->asked)
            sync_once(syncer);
        else
            pthread_cond_wait(&syncer->changed, &syncer->mutex);
    }
    pthread_mutex_unlock(&syncer->mutex);
    return NULL;
}

struct syncer *syncer_start(void) {
    struct syncer *syncer = calloc(1, sizeof *syncer);
    if (!syncer)
        return NULL;
    pthread_mutex_init(&syncer->mutex, NULL);
    pthread_cond_init(&syncer->changed, NULL);
    if (pthread_create(&syncer->thread, NULL, syncer_main, syncer) == 0)
        return syncer;
    free(syncer);
    return NULL;
}

static void change(struct syncer *syncer, bool *what) {
    pthread_mutex_lock(&syncer->mutex);
    *what = true;
    pthread_cond_signal(&syncer->changed);
    pthread_mutex_unlock(&syncer->mutex);
}

void syncer_stop(struct syncer *syncer) {
    if (!syncer)
        return;
    change(syncer, &syncer->stopping);
    pthread_join(syncer->thread, NULL);
    pthread_cond_destroy(&syncer->changed);
    pthread_mutex_destroy(&syncer->mutex);
    free(syncer);
}

void syncer_begin(struct syncer *syncer, sqlite3_file *file, int flags) {
    syncer->file = file;
    syncer->flags = flags;
    atomic_store(&syncer->done, false);
    change(syncer, &syncer->asked);
}

bool syncer_is_done(const struct syncer *syncer) { return atomic_load(&syncer->done); }

int syncer_end(struct syncer *syncer) {
    pthread_mutex_lock(&syncer->mutex);
    while (syncer->asked)
        pthread_cond_wait(&syncer->changed, &syncer->mutex);
    pthread_mutex_unlock(&syncer->mutex);
    return syncer->code;
}
