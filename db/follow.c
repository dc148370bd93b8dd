/* See follow.h. Owns the thread and the position up to which the listeners have been told. */
#include "db/follow.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"
#include "db/early.h"
#include "db/envelope.h"
#include "db/reader.h"
#include "db/store_internal.h"

#define HEARING_INTERVAL_MS 2000 /* between two rounds while the bus says what there is; never shorter than without it */
#define HOLE_PATIENCE_MS 20      /* with a hole, while the bus may still bring what is missing */
#define NOT_ASKED INT64_MAX

struct follow {
    struct store *store;
    struct reader *reader; /* the thread's; NULL until the database has answered */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on the monotonic clock */
    /* Under the mutex, as are all calls of the listeners, so that they hear one after the other: */
    bool stopping;
    bool hearing;       /* the bus says what there is */
    bool failed;        /* the last round did */
    int64_t look_at_ms; /* when the next round begins, by the monotonic clock; NOT_ASKED: one is running, and nobody asks for another */
    int64_t hole_at_ms; /* the same for a round that is needed only when what is early has not been told by then */
    uint64_t told_id;   /* the listeners know everything up to here */
    struct early_list early;
    /* The thread's: */
    uint64_t connections; /* of its reader, when it last looked; 0: it has not */
};

static void show_head(struct store *store, uint64_t head_id) {
    uint64_t shown = atomic_load(&store->head);
    while (shown < head_id && !atomic_compare_exchange_weak(&store->head, &shown, head_id)) {}
}

/* ---- Telling. Under the mutex ----
 *
 * What is told is counted first: whoever was told finds it counted. */

static void note_behind(const struct follow *follow, uint64_t seen_id) {
    uint64_t head_id = store_head(follow->store);
    if (head_id < seen_id)
        head_id = seen_id;
    int64_t behind = (int64_t)log_position(head_id) - (int64_t)log_position(follow->told_id);
    metric_set(GAUGE_LOG_BEHIND_POSITIONS, behind > 0 ? behind : 0);
}

static void tell_early(struct follow *follow, const struct early *early) {
    show_head(follow->store, early->last_id);
    if (!early->is_own)
        metric_add(COUNTER_ENVELOPES_USED, 1);
    if (early->count > 0)
        store_tell(follow->store, early->previous_id, early->frames, early->count);
    follow->told_id = early->last_id;
}

/* The listeners know everything up to here, and with that the turn of what is early may have come. */
static void advance(struct follow *follow, uint64_t last_id) {
    follow->told_id = last_id;
    for (struct early *early; (early = early_next(&follow->early, follow->told_id)); early_free(early))
        tell_early(follow, early);
    if (!follow->early.first)
        follow->hole_at_ms = NOT_ASKED;
    note_behind(follow, follow->told_id);
}

static void ask_round(struct follow *follow, int64_t delay_ms) {
    int64_t at_ms = clock_monotonic_ms() + delay_ms;
    if (at_ms >= follow->look_at_ms)
        return;
    follow->look_at_ms = at_ms;
    pthread_cond_signal(&follow->changed);
}

static void ask_about_hole(struct follow *follow) {
    if (follow->hole_at_ms != NOT_ASKED)
        return;
    follow->hole_at_ms = clock_monotonic_ms() + HOLE_PATIENCE_MS;
    pthread_cond_signal(&follow->changed);
}

/* Who was removed must be out before that is answered, whatever is missing before it. */
static bool is_urgent(struct frame *const *frames, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (frames[i]->type == EVENT_DEVICE_REMOVED)
            return true;
    return false;
}

/* It does not go on from what is known. Where the bus is about to bring what is missing, the listeners hear all of it in order. */
static void keep_own(struct follow *follow, const struct early *own, struct frame *const *frames) {
    bool may_wait = follow->hearing && own->previous_id > follow->told_id && !is_urgent(frames, own->count);
    if (!may_wait || !early_keep(&follow->early, own, frames)) {
        struct early told = *own;
        told.count = 0;
        store_tell(follow->store, own->previous_id, frames, own->count);
        (void)!early_keep(&follow->early, &told, NULL); /* else it is read, and told once more */
    }
    note_behind(follow, own->last_id);
}

/* Was it told already, then it was read before this thread came here, or what was told is gone. */
static void tell_own(struct follow *follow, uint64_t previous_id, struct frame *const *frames, size_t count) {
    const struct early own = { .previous_id = previous_id, .last_id = frames[count - 1]->id, .is_own = true, .count = count };
    show_head(follow->store, own.last_id);
    if (follow->told_id == previous_id) {
        store_tell(follow->store, previous_id, frames, count);
        advance(follow, own.last_id);
        return;
    }
    keep_own(follow, &own, frames);
    if (previous_id > follow->told_id && follow->hearing)
        ask_about_hole(follow);
    else
        ask_round(follow, previous_id < follow->told_id ? 0 : follow->store->config->poll_interval_ms);
}

void follow_commit(struct follow *follow, uint64_t log_number, uint64_t previous_id, struct frame *const *frames, size_t count) {
    pthread_mutex_lock(&follow->mutex);
    if (log_number == atomic_load(&follow->store->log_number))
        tell_own(follow, previous_id, frames, count);
    else
        ask_round(follow, 0);
    pthread_mutex_unlock(&follow->mutex);
}

/* What goes on from what the listeners know. */
static void tell_next(struct follow *follow, uint64_t previous_id, struct frame *const *frames, size_t count, uint64_t last_id) {
    show_head(follow->store, last_id);
    if (count > 0)
        store_tell(follow->store, previous_id, frames, count);
    advance(follow, last_id);
}

/* What was read from the database. False, and nothing is told: it does not go on from what the listeners know. */
static bool tell(struct follow *follow, uint64_t previous_id, struct frame *const *frames, size_t count, uint64_t last_id) {
    pthread_mutex_lock(&follow->mutex);
    bool goes_on = follow->told_id == previous_id;
    if (goes_on) {
        metric_add(COUNTER_LOG_HOLES_FILLED, count > 0);
        tell_next(follow, previous_id, frames, count, last_id);
    }
    pthread_mutex_unlock(&follow->mutex);
    return goes_on;
}

/* ---- What the bus says. Under the mutex ---- */

/* What ends beyond what is known is looked for. Most of what ends below was read before it was heard; should it be of another log, a round at the ordinary
 * pace finds out, as it does what cannot be read. */
static void ask_for(struct follow *follow, uint64_t last_id) {
    note_behind(follow, last_id);
    if (last_id != follow->told_id)
        ask_round(follow, last_id > follow->told_id ? 0 : follow->store->config->poll_interval_ms);
}

/* Nodes that commit one after the other are not always heard in that order. */
static bool keep_heard(struct follow *follow, const struct envelope *envelope) {
    const struct early heard = { .previous_id = envelope->previous_id, .last_id = envelope->last_id, .count = envelope->count };
    return envelope->previous_id > follow->told_id && early_keep(&follow->early, &heard, envelope->frames);
}

static void hear_commit(struct follow *follow, const struct envelope *envelope) {
    if (envelope->previous_id == follow->told_id) {
        metric_add(COUNTER_ENVELOPES_USED, 1);
        tell_next(follow, envelope->previous_id, envelope->frames, envelope->count, envelope->last_id);
    } else if (keep_heard(follow, envelope)) {
        note_behind(follow, envelope->last_id);
        ask_about_hole(follow);
    } else {
        ask_for(follow, envelope->last_id);
    }
}

void follow_hear(struct follow *follow, const struct envelope *envelope) {
    pthread_mutex_lock(&follow->mutex);
    if (envelope && envelope->count > 0)
        hear_commit(follow, envelope);
    else
        ask_for(follow, envelope ? envelope->last_id : 0);
    pthread_mutex_unlock(&follow->mutex);
}

void follow_hearing(struct follow *follow, bool hearing) {
    pthread_mutex_lock(&follow->mutex);
    follow->hearing = hearing;
    ask_round(follow, 0);
    pthread_mutex_unlock(&follow->mutex);
}

static void ask_at_once(struct follow *follow) {
    pthread_mutex_lock(&follow->mutex);
    ask_round(follow, 0);
    pthread_mutex_unlock(&follow->mutex);
}

/* ---- Reading what is missing ---- */

/* What was known before the thread began to read. */
struct known {
    uint64_t told_id;
    uint64_t ahead_id; /* the last that this node's writer told after a gap; else the same */
};

static struct known what_is_known(struct follow *follow) {
    pthread_mutex_lock(&follow->mutex);
    uint64_t early_id = early_told(&follow->early);
    struct known known = { follow->told_id, early_id > follow->told_id ? early_id : follow->told_id };
    pthread_mutex_unlock(&follow->mutex);
    return known;
}

/* One page after `*after_id`. `ret_more`: it went on from what the listeners know, and there is more. Somebody else may have told it meanwhile: the next
 * round begins anew. */
static enum err tell_page(struct follow *follow, uint64_t *after_id, bool *ret_more) {
    struct feed_page page;
    enum err err = read_log(follow->reader, *after_id, &page);
    if (err != OK)
        return err;
    bool told = tell(follow, *after_id, page.frames, page.count, page.last_id);
    if (!told)
        ask_at_once(follow);
    *after_id = page.last_id;
    *ret_more = told && !page.complete;
    feed_page_release(&page);
    return OK;
}

static enum err tell_rest(struct follow *follow, uint64_t after_id, uint64_t head_id) {
    bool more = after_id < head_id;
    enum err err = OK;
    while (err == OK && more)
        err = tell_page(follow, &after_id, &more);
    return err;
}

/* ---- Whether it is still the same log ---- */

/* All before an event is as it was when the event is: whoever writes goes on from what there is. */
static enum err is_kept(struct follow *follow, uint64_t id, uint64_t head_id, bool *ret_kept) {
    enum token_state state = TOKEN_GOOD;
    enum err err = id == head_id ? OK : read_token(follow->reader, id, &state);
    *ret_kept = state == TOKEN_GOOD;
    return err;
}

static enum err are_kept(struct follow *follow, const struct known *known, uint64_t head_id, bool *ret_kept) {
    enum err err = is_kept(follow, known->told_id, head_id, ret_kept);
    if (err == OK && *ret_kept && known->ahead_id != known->told_id)
        err = is_kept(follow, known->ahead_id, head_id, ret_kept);
    return err;
}

static void replace_log(struct follow *follow, const struct known *known, uint64_t head_id) {
    struct store *store = follow->store;
    log_event(LOG_ERROR, "log_replaced", "known=%" PRIu64 " head=%" PRIu64 " meaning=\"the database has lost what streams were told\"",
              known->ahead_id, head_id);
    metric_add(COUNTER_LOG_REPLACED, 1);
    pthread_mutex_lock(&follow->mutex);
    atomic_fetch_add(&store->log_number, 1);
    atomic_store(&store->floor, read_floor(follow->reader));
    atomic_store(&store->head, head_id);
    follow->told_id = head_id;
    early_clear(&follow->early);
    follow->hole_at_ms = NOT_ASKED;
    store_tell_break(store, LOG_REPLACED, head_id);
    note_behind(follow, head_id);
    pthread_mutex_unlock(&follow->mutex);
}

static void doubt_log(struct follow *follow, uint64_t head_id) {
    pthread_mutex_lock(&follow->mutex);
    store_tell_break(follow->store, LOG_DOUBTED, head_id);
    pthread_mutex_unlock(&follow->mutex);
}

/* In a snapshot that began after what is known. */
static enum err compare(struct follow *follow, const struct known *known, uint64_t head_id) {
    bool kept = false;
    enum err err = are_kept(follow, known, head_id, &kept);
    if (err != OK)
        return err;
    bool connected_anew = follow->connections != 0 && follow->connections != read_connections(follow->reader);
    follow->connections = read_connections(follow->reader);
    if (!kept)
        replace_log(follow, known, head_id);
    else if (connected_anew)
        doubt_log(follow, head_id);
    if (!kept)
        return OK;
    show_head(follow->store, head_id);
    return tell_rest(follow, known->told_id, head_id);
}

/* A failure is noticed by everybody who needs the database; the next round tries again. */
static enum err look(struct follow *follow) {
    uint64_t head_id = 0;
    const struct known known = what_is_known(follow);
    enum err err = follow->reader ? OK : reader_open(follow->store, &follow->reader);
    if (err == OK)
        err = read_begin(follow->reader, &head_id);
    if (err != OK)
        return err;
    err = compare(follow, &known, head_id);
    read_end(follow->reader);
    return err;
}

/* ---- The thread ---- */

static int64_t pace_ms(const struct follow *follow) {
    int64_t interval_ms = follow->store->config->poll_interval_ms;
    bool may_be_slow = follow->hearing && !follow->failed && interval_ms < HEARING_INTERVAL_MS;
    return may_be_slow ? HEARING_INTERVAL_MS : interval_ms;
}

static int64_t next_round_ms(const struct follow *follow) {
    return follow->hole_at_ms < follow->look_at_ms ? follow->hole_at_ms : follow->look_at_ms;
}

/* False: it is time to end. */
static bool wait_for_round(struct follow *follow, enum err err) {
    pthread_mutex_lock(&follow->mutex);
    follow->failed = err != OK;
    ask_round(follow, pace_ms(follow));
    for (int64_t at_ms; !follow->stopping && clock_monotonic_ms() < (at_ms = next_round_ms(follow));) {
        const struct timespec until = { .tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000 };
        (void)pthread_cond_timedwait(&follow->changed, &follow->mutex, &until);
    }
    follow->look_at_ms = follow->hole_at_ms = NOT_ASKED;
    bool stopping = follow->stopping;
    pthread_mutex_unlock(&follow->mutex);
    return !stopping;
}

static void *run(void *context) {
    struct follow *follow = context;
    enum err err = OK;
    while (wait_for_round(follow, err))
        err = look(follow);
    return NULL;
}

static void release(struct follow *follow) {
    if (follow->reader)
        reader_close(follow->reader);
    early_clear(&follow->early);
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
    follow->look_at_ms = follow->hole_at_ms = NOT_ASKED;
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
