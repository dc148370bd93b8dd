/* See reaction_sender.h. Owns its thread and what waits for it. */
#include "api/reaction_sender.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/limits.h"
#include "core/map.h"
#include "stream/whisper.h"

#define TYPE "reactions"

struct waiting {
    uint64_t chat_id;
    uint64_t rev;
    struct buf json; /* of the whisper */
};

struct reaction_sender {
    struct hub *hub;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    /* Under the mutex: */
    struct map waiting;  /* message id → struct waiting, owned */
    int64_t round_at_ms; /* monotonic: the next round comes no earlier */
    bool stopping;
};

static void free_waiting(struct waiting *waiting) {
    buf_release(&waiting->json);
    free(waiting);
}

static void release_all(struct map *map) {
    size_t cursor = 0;
    for (struct waiting *waiting; (waiting = map_next(map, &cursor)) != NULL;)
        free_waiting(waiting);
    map_release(map);
}

/* ---- Noting ---- */

static void render(struct buf *json, const struct reaction_note *note) {
    buf_clear(json);
    buf_char(json, '{');
    json_member_id(json, "chat_id", note->chat_id);
    buf_char(json, ',');
    buf_append(json, note->json->bytes + 1, note->json->size - 1);
}

static struct waiting *add_waiting(struct reaction_sender *sender, const struct reaction_note *note) {
    struct waiting *waiting = sender->waiting.count < LIMIT_REACTION_NOTES ? calloc(1, sizeof(*waiting)) : NULL;
    if (waiting == NULL || map_put(&sender->waiting, note->message_id, waiting) != OK) {
        free(waiting);
        return NULL;
    }
    waiting->chat_id = note->chat_id;
    waiting->json = (struct buf)BUF_INIT;
    return waiting;
}

/* Under the mutex; false when there is no room. */
static bool keep(struct reaction_sender *sender, const struct reaction_note *note) {
    struct waiting *waiting = map_get(&sender->waiting, note->message_id);
    if (waiting == NULL)
        waiting = add_waiting(sender, note);
    if (waiting == NULL)
        return false;
    if (note->rev < waiting->rev)
        return true;
    waiting->rev = note->rev;
    render(&waiting->json, note);
    return true;
}

void reaction_sender_note(struct reaction_sender *sender, const struct reaction_note *note) {
    pthread_mutex_lock(&sender->mutex);
    bool kept = sender->stopping || keep(sender, note);
    pthread_cond_signal(&sender->wake);
    pthread_mutex_unlock(&sender->mutex);
    if (!kept)
        whisper_count_dropped(TYPE);
}

/* ---- Telling ---- */

static void tell(const struct reaction_sender *sender, const struct waiting *waiting) {
    const struct whisper whisper = {
        .target = WHISPER_CHAT, .target_id = waiting->chat_id, .type = TYPE, .json = waiting->json.bytes, .json_size = waiting->json.size
    };
    if (buf_ok(&waiting->json))
        whisper_send(sender->hub, &whisper);
}

/* For something to tell, and for the time to do so. Under the mutex. */
static void wait_for_round(struct reaction_sender *sender) {
    while (!sender->stopping && sender->waiting.count == 0)
        pthread_cond_wait(&sender->wake, &sender->mutex);
    const struct timespec until = { .tv_sec = sender->round_at_ms / 1000, .tv_nsec = sender->round_at_ms % 1000 * 1000000 };
    while (!sender->stopping && clock_monotonic_ms() < sender->round_at_ms)
        pthread_cond_clockwait(&sender->wake, &sender->mutex, CLOCK_MONOTONIC, &until);
}

/* Moves what waits to the empty `map`; false: the sender stops. */
static bool take(struct reaction_sender *sender, struct map *map) {
    pthread_mutex_lock(&sender->mutex);
    wait_for_round(sender);
    *map = sender->waiting;
    sender->waiting = (struct map)MAP_INIT;
    sender->round_at_ms = clock_monotonic_ms() + LIMIT_REACTION_PAUSE_MS;
    bool goes_on = !sender->stopping;
    pthread_mutex_unlock(&sender->mutex);
    return goes_on;
}

static void *work(void *context) {
    struct reaction_sender *sender = context;
    struct map map;
    pthread_setname_np(pthread_self(), "parley-reacts");
    for (bool goes_on = true; goes_on;) {
        size_t cursor = 0;
        goes_on = take(sender, &map);
        for (struct waiting *waiting; goes_on && (waiting = map_next(&map, &cursor)) != NULL;)
            tell(sender, waiting);
        release_all(&map);
    }
    return NULL;
}

/* ---- Life ---- */

enum err reaction_sender_start(struct hub *hub, struct reaction_sender **ret_sender) {
    struct reaction_sender *sender = calloc(1, sizeof(*sender));
    if (sender == NULL)
        return ERR_NO_MEMORY;
    sender->hub = hub;
    sender->waiting = (struct map)MAP_INIT;
    pthread_mutex_init(&sender->mutex, NULL);
    pthread_cond_init(&sender->wake, NULL);
    sender->started = pthread_create(&sender->thread, NULL, work, sender) == 0;
    if (!sender->started) {
        reaction_sender_free(sender);
        return ERR_NO_MEMORY;
    }
    *ret_sender = sender;
    return OK;
}

void reaction_sender_stop(struct reaction_sender *sender) {
    if (sender == NULL)
        return;
    pthread_mutex_lock(&sender->mutex);
    sender->stopping = true;
    pthread_cond_signal(&sender->wake);
    pthread_mutex_unlock(&sender->mutex);
    if (sender->started)
        pthread_join(sender->thread, NULL);
    sender->started = false;
}

void reaction_sender_free(struct reaction_sender *sender) {
    if (sender == NULL)
        return;
    reaction_sender_stop(sender);
    release_all(&sender->waiting);
    pthread_mutex_destroy(&sender->mutex);
    pthread_cond_destroy(&sender->wake);
    free(sender);
}
