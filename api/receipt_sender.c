/* See receipt_sender.h. Owns its thread and what waits for it. */
#include "api/receipt_sender.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "core/map.h"
#include "core/metrics.h"
#include "db/reader.h"
#include "stream/whisper.h"

#define ROUND_ARENA_BYTES (64 * 1024 * 1024) /* audiences of one round's chats */

struct receipt_sender {
    const struct config *config;
    struct hub *hub;
    struct reader *reader;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    /* Under the mutex: */
    struct mark *waiting; /* LIMIT_RECEIPTS_QUEUE */
    size_t waiting_count;
    bool stopping;
};

/* What has been read for the marks that are told of together. */
struct round {
    struct receipt_sender *sender;
    struct arena arena;
    struct map audiences; /* chat id → struct audience, in the arena */
};

/* ---- Telling ---- */

static void send_receipt(const struct receipt_sender *sender, const struct whisper *target, const struct buf *json) {
    struct whisper whisper = *target;
    whisper.type = "receipt";
    whisper.json = json->bytes;
    whisper.json_size = json->size;
    if (buf_ok(json))
        whisper_send(sender->hub, &whisper);
}

static void render_open(struct buf *json, uint64_t chat_id, const struct mark *mark) {
    buf_char(json, '{');
    json_member_id(json, "chat_id", chat_id);
    json_member_id(json, "user_id", mark->owner_id);
    if (mark->kind == MARK_READ)
        json_member_number(json, "read_seq", mark->value);
    else
        json_member_id(json, "delivered_id", mark->value);
}

static enum err find_audience(struct round *round, uint64_t chat_id, struct audience **ret_audience) {
    const struct receipt_sender *sender = round->sender;
    struct audience *audience = map_get(&round->audiences, chat_id);
    enum err err = OK;
    if (!audience) {
        audience = ARENA_NEW(&round->arena, struct audience);
        err = audience ? read_audience(sender->reader, chat_id, (size_t)sender->config->receipts_members_max, &round->arena, audience)
                       : ERR_NO_MEMORY;
        if (err == OK)
            err = map_put(&round->audiences, chat_id, audience);
    }
    if (err == OK)
        *ret_audience = audience;
    return err;
}

static int compare_ids(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static bool tells(const struct audience *audience, uint64_t user_id) {
    return audience->count > 0 && bsearch(&user_id, audience->user_ids, audience->count, sizeof user_id, compare_ids) != NULL;
}

/* One for all where all may know, else one for each who may. */
static void tell_audience(const struct receipt_sender *sender, uint64_t chat_id, const struct audience *audience, const struct mark *mark) {
    struct buf json = BUF_INIT;
    render_open(&json, chat_id, mark);
    buf_char(&json, '}');
    if (audience->everybody)
        send_receipt(sender, &(struct whisper){ .target = WHISPER_CHAT, .target_id = chat_id, .except_user_id = mark->owner_id }, &json);
    for (size_t i = 0; !audience->everybody && i < audience->count; i++)
        if (audience->user_ids[i] != mark->owner_id)
            send_receipt(sender, &(struct whisper){ .target = WHISPER_USER, .target_id = audience->user_ids[i] }, &json);
    buf_release(&json);
}

static enum err tell_chat(struct round *round, uint64_t chat_id, const struct mark *mark) {
    struct audience *audience;
    enum err err = find_audience(round, chat_id, &audience);
    if (err == OK && tells(audience, mark->owner_id))
        tell_audience(round->sender, chat_id, audience, mark);
    return err;
}

/* The user's own devices always: what was read on one is read on all. */
static enum err tell_own_devices(const struct round *round, const struct mark *mark) {
    uint64_t total;
    struct buf json = BUF_INIT;
    enum err err = read_unread_total(round->sender->reader, mark->owner_id, &total);
    if (err != OK)
        return err;
    render_open(&json, mark->chat_id, mark);
    json_member_number(&json, "unread_total", total);
    buf_char(&json, '}');
    send_receipt(round->sender, &(struct whisper){ .target = WHISPER_USER, .target_id = mark->owner_id }, &json);
    buf_release(&json);
    return OK;
}

static enum err tell_read(struct round *round, const struct mark *mark) {
    enum err err = tell_own_devices(round, mark);
    return err == OK ? tell_chat(round, mark->chat_id, mark) : err;
}

/* The chats of which messages lie between where the user was and is; where that was is looked for no further than LIMIT_RECEIPT_POSITIONS. */
static enum err tell_delivered(struct round *round, const struct mark *mark) {
    const struct receipt_sender *sender = round->sender;
    uint64_t position = log_position(mark->value), chat_ids[LIMIT_RECEIPT_CHATS];
    uint64_t lowest_id = position > LIMIT_RECEIPT_POSITIONS ? log_id(position - LIMIT_RECEIPT_POSITIONS, 0) : 0;
    const struct delivery_range range = {
        .after_id = mark->previous > lowest_id ? mark->previous : lowest_id,
        .up_to_id = mark->value,
        .members = (uint64_t)sender->config->receipts_members_max,
    };
    size_t count = 0;
    enum err err = read_delivered_chats(sender->reader, mark->owner_id, &range, chat_ids, &count);
    for (size_t i = 0; err == OK && i < count; i++)
        err = tell_chat(round, chat_ids[i], mark);
    return err;
}

static enum err tell(struct round *round, const struct mark *mark) {
    switch (mark->kind) {
    case MARK_READ:
        return tell_read(round, mark);
    case MARK_DELIVERED:
        return tell_delivered(round, mark);
    case MARK_ACKED:
        break;
    }
    return OK;
}

/* ---- The thread ---- */

/* In one snapshot. What cannot be read now is told by the next mark. */
static void run_round(struct receipt_sender *sender, const struct mark *marks, size_t count) {
    struct round round = { .sender = sender, .arena = ARENA_INIT(ROUND_ARENA_BYTES), .audiences = MAP_INIT };
    uint64_t head_id;
    size_t told = 0;
    enum err err = read_begin(sender->reader, &head_id);
    if (err == OK) {
        while (told < count && (err = tell(&round, &marks[told])) == OK)
            told++;
        read_end(sender->reader);
    }
    metric_add(COUNTER_WHISPERS_DROPPED_RECEIPT, count - told);
    map_release(&round.audiences);
    arena_release(&round.arena);
}

/* Moves what waits to `marks`; 0: the sender stops. */
static size_t take(struct receipt_sender *sender, struct mark *marks) {
    pthread_mutex_lock(&sender->mutex);
    while (sender->waiting_count == 0 && !sender->stopping)
        pthread_cond_wait(&sender->wake, &sender->mutex);
    size_t count = sender->stopping ? 0 : sender->waiting_count < LIMIT_RECEIPTS_ROUND ? sender->waiting_count : LIMIT_RECEIPTS_ROUND;
    memcpy(marks, sender->waiting, count * sizeof *marks);
    sender->waiting_count -= count;
    memmove(sender->waiting, sender->waiting + count, sender->waiting_count * sizeof *marks);
    pthread_mutex_unlock(&sender->mutex);
    return count;
}

static void *work(void *context) {
    struct receipt_sender *sender = context;
    struct mark marks[LIMIT_RECEIPTS_ROUND];
    pthread_setname_np(pthread_self(), "parley-receipts");
    for (size_t count; (count = take(sender, marks)) > 0;)
        run_round(sender, marks, count);
    return NULL;
}

static bool is_told_of(const struct mark *mark) { return mark->kind != MARK_ACKED && !mark->silent; }

void receipt_sender_hear(void *context, const struct mark *marks, size_t count) {
    struct receipt_sender *sender = context;
    size_t dropped = 0;
    pthread_mutex_lock(&sender->mutex);
    for (size_t i = 0; i < count && !sender->stopping; i++) {
        if (is_told_of(&marks[i]) && sender->waiting_count < LIMIT_RECEIPTS_QUEUE)
            sender->waiting[sender->waiting_count++] = marks[i];
        else
            dropped += is_told_of(&marks[i]);
    }
    pthread_cond_signal(&sender->wake);
    pthread_mutex_unlock(&sender->mutex);
    metric_add(COUNTER_WHISPERS_DROPPED_RECEIPT, dropped);
}

/* ---- Life ---- */

static enum err start(struct receipt_sender *sender, struct store *store) {
    sender->waiting = malloc(LIMIT_RECEIPTS_QUEUE * sizeof *sender->waiting);
    if (!sender->waiting)
        return ERR_NO_MEMORY;
    enum err err = reader_open(store, &sender->reader);
    if (err != OK)
        return err;
    sender->started = pthread_create(&sender->thread, NULL, work, sender) == 0;
    return sender->started ? OK : ERR_NO_MEMORY;
}

enum err receipt_sender_start(const struct config *config, struct store *store, struct hub *hub, struct receipt_sender **ret_sender) {
    struct receipt_sender *sender = calloc(1, sizeof *sender);
    if (!sender)
        return ERR_NO_MEMORY;
    sender->config = config;
    sender->hub = hub;
    pthread_mutex_init(&sender->mutex, NULL);
    pthread_cond_init(&sender->wake, NULL);
    enum err err = start(sender, store);
    if (err != OK) {
        receipt_sender_free(sender);
        return err;
    }
    *ret_sender = sender;
    return OK;
}

void receipt_sender_stop(struct receipt_sender *sender) {
    if (!sender)
        return;
    pthread_mutex_lock(&sender->mutex);
    sender->stopping = true;
    pthread_cond_signal(&sender->wake);
    pthread_mutex_unlock(&sender->mutex);
    if (sender->started)
        pthread_join(sender->thread, NULL);
    sender->started = false;
}

void receipt_sender_free(struct receipt_sender *sender) {
    if (!sender)
        return;
    receipt_sender_stop(sender);
    reader_close(sender->reader);
    pthread_mutex_destroy(&sender->mutex);
    pthread_cond_destroy(&sender->wake);
    free(sender->waiting);
    free(sender);
}
