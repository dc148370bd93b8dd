/* See follow.h. Owns the thread and the position up to which the listeners have been told. */
#include "db/follow.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/metrics.h"
#include "db/reader.h"
#include "db/store_internal.h"

struct follow {
    struct store *store;
    struct reader *reader; /* the thread's; NULL until the database has answered */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on the monotonic clock */
    bool stopping;          /* under the mutex */
    uint64_t told_id;       /* under the mutex */
};

static uint64_t told_id(struct follow *follow) {
    pthread_mutex_lock(&follow->mutex);
    uint64_t id = follow->told_id;
    pthread_mutex_unlock(&follow->mutex);
    return id;
}

void follow_published(struct follow *follow, uint64_t previous_id, uint64_t last_id) {
    if (!follow)
        return;
    pthread_mutex_lock(&follow->mutex);
    if (follow->told_id == previous_id)
        follow->told_id = last_id;
    pthread_mutex_unlock(&follow->mutex);
}

/* ---- Reading what is missing ---- */

static void show_head(struct store *store, uint64_t head_id) {
    uint64_t shown = atomic_load(&store->head);
    while (shown < head_id && !atomic_compare_exchange_weak(&store->head, &shown, head_id)) {}
}

/* One page after what the listeners know. `ret_complete`: there is no more. */
static enum err tell_page(struct follow *follow, uint64_t after_id, bool *ret_complete) {
    struct store *store = follow->store;
    struct feed_page page;
    enum err err = read_log(follow->reader, after_id, &page);
    if (err != OK)
        return err;
    for (size_t i = 0; page.count > 0 && i < store->listener_count; i++)
        store->listeners[i].call(store->listeners[i].context, after_id, page.frames, page.count);
    follow_published(follow, after_id, page.last_id);
    *ret_complete = page.complete;
    feed_page_release(&page);
    return OK;
}

static enum err tell_rest(struct follow *follow, uint64_t head_id) {
    bool complete = false;
    enum err err = OK;
    for (uint64_t after_id = told_id(follow); err == OK && !complete && after_id < head_id; after_id = told_id(follow))
        err = tell_page(follow, after_id, &complete);
    return err;
}

/* A failure is noticed by everybody who needs the database; the next round tries again. */
static void look(struct follow *follow) {
    uint64_t head_id = 0;
    if (!follow->reader && reader_open(follow->store, &follow->reader) != OK)
        return;
    if (read_begin(follow->reader, &head_id) != OK)
        return;
    if (head_id > told_id(follow)) {
        show_head(follow->store, head_id);
        (void)tell_rest(follow, head_id);
    }
    read_end(follow->reader);
}

/* ---- The thread ---- */

/* False: it is time to end. */
static bool wait_for_round(struct follow *follow) {
    int64_t until_ms = clock_monotonic_ms() + follow->store->config->poll_interval_ms;
    const struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
    pthread_mutex_lock(&follow->mutex);
    int timed_out = 0;
    while (!follow->stopping && timed_out == 0)
        timed_out = pthread_cond_timedwait(&follow->changed, &follow->mutex, &until);
    bool stopping = follow->stopping;
    pthread_mutex_unlock(&follow->mutex);
    return !stopping;
}

static void *run(void *context) {
    struct follow *follow = context;
    while (wait_for_round(follow))
        look(follow);
    return NULL;
}

static void release(struct follow *follow) {
    if (follow->reader)
        reader_close(follow->reader);
    pthread_cond_destroy(&follow->changed);
    pthread_mutex_destroy(&follow->mutex);
    free(follow);
}

enum err follow_start(struct store *store, struct follow **ret_follow) {
    struct follow *follow = calloc(1, sizeof *follow);
    if (!follow)
        return ERR_NO_MEMORY;
    follow->store = store;
    follow->told_id = store_head(store);
    pthread_mutex_init(&follow->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&follow->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&follow->thread, NULL, run, follow) != 0) {
        release(follow);
        return ERR_NO_MEMORY;
    }
    pthread_setname_np(follow->thread, "parley-follow");
    *ret_follow = follow;
    return OK;
}

void follow_stop(struct follow *follow) {
    if (!follow)
        return;
    pthread_mutex_lock(&follow->mutex);
    follow->stopping = true;
    pthread_cond_signal(&follow->changed);
    pthread_mutex_unlock(&follow->mutex);
    pthread_join(follow->thread, NULL);
    release(follow);
}
