/* The bus through Redis: envelopes on one channel of the installation. Two threads, each with a connection of its own.
 *
 * The publisher takes commits from a bounded queue and sends each as one envelope or several; a Redis that is away, or too slow, costs the others no more
 * than what they then read from the database. What it could not send is made up for by an envelope without frames, which says how far the log goes, so
 * that whoever hears it looks at once. The subscriber decodes what comes and hands it over. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/random.h"
#include "core/redis.h"
#include "db/bus.h"

#define RETRY_MS 100  /* between two questions whether Redis is there */
#define LISTEN_MS 100 /* how long the subscriber listens before it looks whether it shall end */
#define CHANNEL_BYTES 64
#define WHISPER_HEAD_BYTES 64 /* what an envelope holds of one besides its object, at most */

struct commit {
    struct commit *next;
    uint64_t previous_id;
    size_t bytes;
    size_t count;
    struct frame *frames[]; /* held */
};

struct redis_bus {
    struct bus bus;
    struct bus_listener listener;
    uint8_t key[SHA256_SIZE];
    uint64_t sender;                     /* random: tells this process' envelopes from others' */
    char channel[CHANNEL_BYTES];         /* of commits */
    char whisper_channel[CHANNEL_BYTES]; /* of their own, because versions that know none would look at the database for each */
    pthread_t publisher, subscriber;
    bool publishes, subscribes; /* the threads have been started */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on the monotonic clock */
    /* Under the mutex: */
    bool stopping;
    struct commit *first, *last;
    size_t bytes;
    bool missed;         /* something was not sent; all of it was committed before what waits */
    uint64_t last_id;    /* the last that was committed here */
    struct buf whispers; /* as envelopes hold them; at most LIMIT_BUS_WHISPERS_BYTES */
    /* The publisher's: */
    struct redis *outgoing;
    struct buf buf;
    bool was_refused; /* and the log says so */
    /* The subscriber's: */
    struct redis *incoming;
};

/* ---- The queue ---- */

static void commit_free(struct commit *commit) {
    for (size_t i = 0; i < commit->count; i++)
        frame_drop(commit->frames[i]);
    free(commit);
}

static void free_commits(struct commit *commit) {
    while (commit) {
        struct commit *next = commit->next;
        commit_free(commit);
        commit = next;
    }
}

static struct commit *commit_new(uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct commit *commit = malloc(sizeof *commit + count * sizeof(struct frame *));
    if (!commit)
        return NULL;
    *commit = (struct commit){ .previous_id = previous_id, .bytes = sizeof *commit, .count = count };
    for (size_t i = 0; i < count; i++) {
        commit->frames[i] = frame_hold(frames[i]);
        commit->bytes += sizeof **frames + frames[i]->size;
    }
    return commit;
}

/* Under the mutex. False: it does not fit, and is the caller's. */
static bool add_commit(struct redis_bus *bus, struct commit *commit) {
    if (!commit || bus->bytes + commit->bytes > LIMIT_BUS_QUEUE_BYTES)
        return false;
    if (bus->last)
        bus->last->next = commit;
    else
        bus->first = commit;
    bus->last = commit;
    bus->bytes += commit->bytes;
    return true;
}

/* Under the mutex. What still waits is given up with it: it would be heard as going on from something unknown. */
static struct commit *miss_all(struct redis_bus *bus) {
    struct commit *forgotten = bus->first;
    for (const struct commit *commit = forgotten; commit; commit = commit->next)
        metric_add(COUNTER_ENVELOPES_DROPPED, 1);
    bus->first = bus->last = NULL;
    bus->bytes = 0;
    bus->missed = true;
    return forgotten;
}

static void redis_bus_publish(struct bus *base, uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct redis_bus *bus = (struct redis_bus *)base;
    struct commit *commit = commit_new(previous_id, frames, count), *forgotten = NULL;
    pthread_mutex_lock(&bus->mutex);
    bus->last_id = frames[count - 1]->id;
    if (!add_commit(bus, commit)) {
        forgotten = miss_all(bus);
        metric_add(COUNTER_ENVELOPES_DROPPED, 1);
    } else {
        commit = NULL;
    }
    pthread_cond_broadcast(&bus->changed);
    pthread_mutex_unlock(&bus->mutex);
    free_commits(commit);
    free_commits(forgotten);
}

/* Under the mutex. False: it does not fit, or memory ran out, and with it went those that waited. */
static bool add_whisper(struct redis_bus *bus, const struct whisper *whisper) {
    if (bus->whispers.size + WHISPER_HEAD_BYTES + whisper->json_size > LIMIT_BUS_WHISPERS_BYTES)
        return false;
    envelope_put_whisper(&bus->whispers, whisper);
    if (buf_ok(&bus->whispers))
        return true;
    buf_release(&bus->whispers);
    return false;
}

static void redis_bus_whisper(struct bus *base, const struct whisper *whisper) {
    struct redis_bus *bus = (struct redis_bus *)base;
    pthread_mutex_lock(&bus->mutex);
    bool added = add_whisper(bus, whisper);
    pthread_cond_broadcast(&bus->changed);
    pthread_mutex_unlock(&bus->mutex);
    if (!added)
        whisper_count_dropped(whisper->type);
}

/* ---- The publisher ---- */

static void note_refusal(struct redis_bus *bus, const struct redis_answer *answer) {
    bool is_refused = answer->kind == REDIS_ERROR;
    metric_add(is_refused ? COUNTER_ENVELOPES_DROPPED : COUNTER_ENVELOPES_SENT, 1);
    if (is_refused && !bus->was_refused)
        log_event(LOG_WARN, "envelope_refused", "problem=\"%s\"", answer->bytes);
    bus->was_refused = is_refused;
}

/* What is in the buffer. */
static enum err send_buffer(struct redis_bus *bus, const char *channel, struct redis_answer *ret_answer) {
    if (!buf_ok(&bus->buf))
        return ERR_NO_MEMORY;
    const struct redis_argument arguments[] = { redis_word("PUBLISH"), redis_word(channel), { bus->buf.bytes, bus->buf.size } };
    enum err err = redis_send(bus->outgoing, arguments, 3);
    return err == OK ? redis_receive(bus->outgoing, ret_answer) : err;
}

static enum err send_envelope(struct redis_bus *bus, const struct envelope *envelope) {
    struct redis_answer answer;
    envelope_write(envelope, bus->key, &bus->buf);
    enum err err = send_buffer(bus, bus->channel, &answer);
    if (err == OK)
        note_refusal(bus, &answer);
    return err;
}

/* As many envelopes as it takes. An event that is too large for one is left out, and with it what it is told by. */
static enum err send_commit(struct redis_bus *bus, const struct commit *commit) {
    uint64_t previous_id = commit->previous_id;
    enum err err = OK;
    for (size_t sent = 0; err == OK && sent < commit->count;) {
        struct frame *const *frames = commit->frames + sent;
        size_t count = envelope_fitting(frames, commit->count - sent);
        sent += count > 0 ? count : 1;
        struct envelope envelope = { bus->sender, previous_id, commit->frames[sent - 1]->id, count, (struct frame **)(uintptr_t)frames };
        err = send_envelope(bus, &envelope);
        previous_id = envelope.last_id;
    }
    return err;
}

/* Says how far the log goes, instead of what was missed. */
static enum err send_place(struct redis_bus *bus, uint64_t last_id) {
    return send_envelope(bus, &(struct envelope){ .sender = bus->sender, .previous_id = last_id, .last_id = last_id });
}

static void drop_whispers(const struct buf *whispers) {
    struct whisper_reader reader;
    struct whisper whisper;
    whisper_reader_of_buf(&reader, whispers);
    while (whisper_reader_next(&reader, &whisper))
        whisper_count_dropped(whisper.type);
}

/* After the commits, and only if these went well. */
static enum err send_whispers(struct redis_bus *bus, const struct buf *whispers) {
    struct redis_answer answer = { .kind = REDIS_NIL };
    if (whispers->size == 0)
        return OK;
    envelope_write_whispers(bus->sender, whispers, bus->key, &bus->buf);
    enum err err = send_buffer(bus, bus->whisper_channel, &answer);
    if (err != OK || answer.kind == REDIS_ERROR)
        drop_whispers(whispers);
    return err;
}

/* What the publisher takes from the queue at once. */
struct errand {
    struct commit *commits;
    struct buf whispers; /* owned */
    bool missed;
    uint64_t missed_id; /* everything up to here that is not among the commits */
    bool stopping;
};

static bool has_work(const struct redis_bus *bus) { return bus->first || bus->missed || bus->whispers.size > 0; }

/* Waits for something to say; false: it is time to end, and nothing is left. */
static bool take_errand(struct redis_bus *bus, struct errand *errand) {
    pthread_mutex_lock(&bus->mutex);
    while (!has_work(bus) && !bus->stopping)
        pthread_cond_wait(&bus->changed, &bus->mutex);
    *errand = (struct errand){ .commits = bus->first,
                               .whispers = bus->whispers,
                               .missed = bus->missed,
                               .missed_id = bus->first ? bus->first->previous_id : bus->last_id,
                               .stopping = bus->stopping };
    bool works = has_work(bus);
    bus->first = bus->last = NULL;
    bus->bytes = 0;
    bus->missed = false;
    bus->whispers = (struct buf)BUF_INIT;
    pthread_mutex_unlock(&bus->mutex);
    return works;
}

static enum err run_errand(struct redis_bus *bus, const struct errand *errand) {
    enum err err = redis_ready(bus->outgoing) ? OK : ERR_IO;
    if (err == OK && errand->missed)
        err = send_place(bus, errand->missed_id);
    for (const struct commit *commit = errand->commits; err == OK && commit; commit = commit->next)
        err = send_commit(bus, commit);
    if (err != OK)
        drop_whispers(&errand->whispers);
    return err == OK ? send_whispers(bus, &errand->whispers) : err;
}

/* Waits a little, unless the bus ends meanwhile. */
static void pause_thread(struct redis_bus *bus) {
    struct timespec until = clock_deadline(RETRY_MS);
    int timed_out = 0;
    pthread_mutex_lock(&bus->mutex);
    while (!bus->stopping && timed_out == 0)
        timed_out = pthread_cond_timedwait(&bus->changed, &bus->mutex, &until);
    pthread_mutex_unlock(&bus->mutex);
}

/* It is not known how much of it has arrived. */
static void give_up(struct redis_bus *bus, const struct errand *errand) {
    for (const struct commit *commit = errand->commits; commit; commit = commit->next)
        metric_add(COUNTER_ENVELOPES_DROPPED, 1);
    pthread_mutex_lock(&bus->mutex);
    bus->missed = true;
    pthread_mutex_unlock(&bus->mutex);
    pause_thread(bus);
}

static void *publish_all(void *context) {
    struct redis_bus *bus = context;
    struct errand errand;
    bool goes_on = true;
    while (goes_on && take_errand(bus, &errand)) {
        enum err err = run_errand(bus, &errand);
        goes_on = err == OK || !errand.stopping;
        if (err != OK && goes_on)
            give_up(bus, &errand);
        free_commits(errand.commits);
        buf_release(&errand.whispers);
    }
    return NULL;
}

/* ---- The subscriber ---- */

static bool is_stopping(struct redis_bus *bus) {
    pthread_mutex_lock(&bus->mutex);
    bool stopping = bus->stopping;
    pthread_mutex_unlock(&bus->mutex);
    return stopping;
}

/* Nothing is looked up for one that is no good: it would have been lost in silence, too. */
static void hear_whispers(struct redis_bus *bus, const void *bytes, size_t size) {
    struct whisper_reader reader;
    struct whisper whisper;
    if (whisper_reader_open(&reader, bytes, size, bus->key) != OK) {
        metric_add(COUNTER_ENVELOPES_REFUSED, 1);
        return;
    }
    while (reader.sender != bus->sender && whisper_reader_next(&reader, &whisper))
        bus->listener.whisper(bus->listener.context, &whisper);
}

static void hear_message(struct redis_bus *bus, const void *bytes, size_t size) {
    struct envelope envelope;
    if (envelope_has_whispers(bytes, size)) {
        hear_whispers(bus, bytes, size);
        return;
    }
    if (envelope_read(bytes, size, bus->key, &envelope) != OK) {
        metric_add(COUNTER_ENVELOPES_REFUSED, 1);
        bus->listener.hear(bus->listener.context, NULL);
        return;
    }
    if (envelope.sender != bus->sender)
        bus->listener.hear(bus->listener.context, &envelope);
    envelope_release(&envelope);
}

/* Until the subscription is lost, or the bus ends. */
static void hear_all(struct redis_bus *bus) {
    const void *bytes;
    size_t size;
    while (!is_stopping(bus) && redis_next(bus->incoming, LISTEN_MS, &bytes, &size) == OK)
        if (bytes)
            hear_message(bus, bytes, size);
}

static void *subscribe(void *context) {
    struct redis_bus *bus = context;
    const char *const channels[] = { bus->channel, bus->whisper_channel };
    while (!is_stopping(bus)) {
        if (!redis_ready(bus->incoming) || redis_subscribe(bus->incoming, channels, 2) != OK) {
            pause_thread(bus);
            continue;
        }
        bus->listener.hearing(bus->listener.context, true);
        hear_all(bus);
        bus->listener.hearing(bus->listener.context, false);
    }
    return NULL;
}

/* ---- Its life ---- */

static void init_plain(struct redis_bus *bus, const uint8_t secret[32], const struct bus_listener *listener) {
    char prefix[REDIS_PREFIX_SIZE];
    pthread_condattr_t attributes;
    bus->bus.driver = &bus_redis;
    bus->listener = *listener;
    bus->sender = random_u64();
    envelope_key(secret, bus->key);
    redis_prefix(secret, 32, prefix);
    snprintf(bus->channel, sizeof bus->channel, "%s:log", prefix);
    snprintf(bus->whisper_channel, sizeof bus->whisper_channel, "%s:whispers", prefix);
    pthread_mutex_init(&bus->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&bus->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static enum err start(struct redis_bus *bus, const struct config *config) {
    enum err err = redis_new(config->redis, "publishing", &bus->outgoing);
    if (err == OK)
        err = redis_new(config->redis, "hearing", &bus->incoming);
    if (err != OK)
        return err;
    bus->publishes = pthread_create(&bus->publisher, NULL, publish_all, bus) == 0;
    bus->subscribes = bus->publishes && pthread_create(&bus->subscriber, NULL, subscribe, bus) == 0;
    if (!bus->subscribes)
        return ERR_NO_MEMORY;
    pthread_setname_np(bus->publisher, "parley-publish");
    pthread_setname_np(bus->subscriber, "parley-hear");
    return OK;
}

static void redis_bus_close(struct bus *base) {
    struct redis_bus *bus = (struct redis_bus *)base;
    pthread_mutex_lock(&bus->mutex);
    bus->stopping = true;
    pthread_cond_broadcast(&bus->changed);
    pthread_mutex_unlock(&bus->mutex);
    if (bus->publishes)
        pthread_join(bus->publisher, NULL);
    if (bus->subscribes)
        pthread_join(bus->subscriber, NULL);
    free_commits(bus->first);
    buf_release(&bus->buf);
    buf_release(&bus->whispers);
    redis_free(bus->outgoing);
    redis_free(bus->incoming);
    pthread_cond_destroy(&bus->changed);
    pthread_mutex_destroy(&bus->mutex);
    free(bus);
}

static enum err redis_bus_open(const struct config *config, const uint8_t secret[32], const struct bus_listener *listener,
                               struct bus **ret_bus) {
    struct redis_bus *bus = calloc(1, sizeof *bus);
    if (!bus)
        return ERR_NO_MEMORY;
    init_plain(bus, secret, listener);
    enum err err = start(bus, config);
    if (err == OK)
        *ret_bus = &bus->bus;
    else
        redis_bus_close(&bus->bus);
    return err;
}

const struct bus_driver bus_redis = {
    .open = redis_bus_open, .publish = redis_bus_publish, .whisper = redis_bus_whisper, .close = redis_bus_close
};
