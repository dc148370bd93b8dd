/* Owns presence: its table and thread, what nodes tell each other of it, and its handlers. */
#include "api/presence.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/presence_table.h"
#include "api/server_internal.h"
#include "core/clock.h"
#include "core/id.h"
#include "stream/whisper.h"

#define TICK_MS 500
#define SWEEP_INTERVAL_MS 10000
#define SLICE_PAUSE_MS 1 /* in which others have the table */
#define CHECK_ARENA_BYTES (64 * 1024)
#define ACTIVE "presence.active"
#define WATCH "presence.watch"

struct presence {
    struct store *store;
    struct hub *hub;
    struct reader *reader; /* the thread's */
    pthread_t thread;
    bool runs; /* the thread has been started and not ended; main thread */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on the monotonic clock */
    /* Under the mutex: */
    struct presence_table table;
    bool stopping;
    int64_t tick_at_ms, sweep_at_ms; /* monotonic; when chores are due */
};

static struct presence_now now(void) { return (struct presence_now){ clock_monotonic_ms(), clock_now_ms() }; }

/* ---- Telling subscribers ---- */

static void render(struct buf *buf, uint64_t user_id, bool is_online, int64_t active_ms) {
    buf_char(buf, '{');
    json_member_id(buf, "user_id", user_id);
    json_member_bool(buf, "online", is_online);
    if (active_ms != 0)
        json_member_time(buf, "last_seen_at", active_ms);
    else
        json_member_null(buf, "last_seen_at");
    buf_char(buf, '}');
}

/* False also when the database does not answer: who is not told now can ask. */
static bool may_see(const struct presence *presence, uint64_t subscriber_id, uint64_t user_id) {
    struct arena arena = ARENA_INIT(CHECK_ARENA_BYTES);
    struct presence_row *rows;
    size_t count = 0;
    enum err err = read_presence(presence->reader, subscriber_id, &user_id, 1, &arena, &rows, &count);
    arena_release(&arena);
    return err == OK && count == 1;
}

static bool make_sure(struct presence *presence, const struct presence_notice *notice, uint64_t user_id) {
    if (notice->is_sure)
        return true;
    bool sees = may_see(presence, notice->subscriber.user_id, user_id);
    pthread_mutex_lock(&presence->mutex);
    presence_table_settle(&presence->table, notice, user_id, sees);
    pthread_mutex_unlock(&presence->mutex);
    return sees;
}

/* Devices whose streams are elsewhere are told there. */
static void tell(struct presence *presence, const struct presence_change *change) {
    struct buf json = BUF_INIT;
    render(&json, change->user_id, change->is_online, change->active_ms);
    for (size_t i = 0; buf_ok(&json) && i < change->count; i++) {
        const struct presence_subscriber *subscriber = &change->notices[i].subscriber;
        if (hub_has_device(presence->hub, subscriber->device_id) && make_sure(presence, &change->notices[i], change->user_id))
            whisper_to_device(presence->hub, subscriber->device_id,
                              &(struct whisper){ WHISPER_USER, subscriber->user_id, 0, "presence", json.bytes, json.size });
    }
    buf_release(&json);
}

/* ---- The thread ---- */

/* Behind posts: while these wait, it may wait, too. */
static bool store_active(void *context, uint64_t user_id, int64_t active_ms) {
    struct presence *presence = context;
    return !store_is_behind(presence->store) && store_touch_user(presence->store, user_id, active_ms);
}

static bool has_stream(void *context, uint64_t device_id) { return hub_has_device(((struct presence *)context)->hub, device_id); }

/* Under the mutex, which the HTTP loop and the writer wait for, too: so a slice at a time. */
static void do_chores(struct presence *presence) {
    const struct presence_now at = now();
    bool ticks = presence_table_tick(&presence->table, &at, false, store_active, presence);
    bool is_due = at.monotonic_ms >= presence->sweep_at_ms;
    bool sweeps = is_due && presence_table_sweep(&presence->table, at.monotonic_ms, has_stream, presence);
    if (is_due && !sweeps)
        presence->sweep_at_ms = at.monotonic_ms + SWEEP_INTERVAL_MS;
    presence->tick_at_ms = at.monotonic_ms + (ticks || sweeps ? SLICE_PAUSE_MS : TICK_MS);
}

/* Under the mutex. From the first user, whatever was looked at a moment ago. */
static void store_rest(struct presence *presence) {
    const struct presence_now at = now();
    presence->table.tick_cursor = 0;
    while (presence_table_tick(&presence->table, &at, true, store_active, presence))
        continue;
}

/* Until somebody came or went, or it is time for chores, which are due however many do; false: it is time to end, and those are done. */
static bool wait_for_change(struct presence *presence) {
    int timed_out = 0;
    pthread_mutex_lock(&presence->mutex);
    int64_t left_ms = presence->tick_at_ms - clock_monotonic_ms();
    struct timespec until = clock_deadline(left_ms > 0 ? left_ms : 0);
    while (!presence_table_has_change(&presence->table) && !presence->stopping && timed_out == 0)
        timed_out = pthread_cond_timedwait(&presence->changed, &presence->mutex, &until);
    if (presence->stopping)
        store_rest(presence);
    else if (clock_monotonic_ms() >= presence->tick_at_ms)
        do_chores(presence);
    bool goes_on = !presence->stopping;
    pthread_mutex_unlock(&presence->mutex);
    return goes_on;
}

static bool take_change(struct presence *presence, struct presence_change *ret_change) {
    pthread_mutex_lock(&presence->mutex);
    bool is_there = presence_table_take(&presence->table, ret_change);
    pthread_mutex_unlock(&presence->mutex);
    return is_there;
}

static void tell_changes(struct presence *presence) {
    struct presence_change change;
    while (take_change(presence, &change)) {
        tell(presence, &change);
        free(change.notices);
    }
}

static void *run(void *context) {
    struct presence *presence = context;
    while (wait_for_change(presence))
        tell_changes(presence);
    return NULL;
}

/* ---- Its life ---- */

static void init_plain(struct presence *presence, const struct config *config, struct store *store, struct hub *hub) {
    pthread_condattr_t attributes;
    presence->store = store;
    presence->hub = hub;
    presence_table_init(&presence->table, config->presence_ttl_ms);
    pthread_mutex_init(&presence->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&presence->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

enum err presence_start(const struct config *config, struct store *store, struct hub *hub, struct presence **ret_presence) {
    struct presence *presence = calloc(1, sizeof(*presence));
    if (presence == NULL)
        return ERR_NO_MEMORY;
    init_plain(presence, config, store, hub);
    enum err err = reader_open(store, &presence->reader);
    if (err == OK)
        err = pthread_create(&presence->thread, NULL, run, presence) == 0 ? OK : ERR_NO_MEMORY;
    presence->runs = err == OK;
    if (err != OK) {
        presence_free(presence);
        return err;
    }
    pthread_setname_np(presence->thread, "parley-presence");
    *ret_presence = presence;
    return OK;
}

void presence_stop(struct presence *presence) {
    if (presence == NULL || !presence->runs)
        return;
    pthread_mutex_lock(&presence->mutex);
    presence->stopping = true;
    pthread_cond_broadcast(&presence->changed);
    pthread_mutex_unlock(&presence->mutex);
    pthread_join(presence->thread, NULL);
    presence->runs = false;
}

void presence_free(struct presence *presence) {
    if (presence == NULL)
        return;
    presence_stop(presence);
    if (presence->reader != NULL)
        reader_close(presence->reader);
    presence_table_release(&presence->table);
    pthread_cond_destroy(&presence->changed);
    pthread_mutex_destroy(&presence->mutex);
    free(presence);
}

/* ---- What may end a permission ---- */

/* Under the mutex. */
static void hear(struct presence *presence, const struct frame *frame) {
    if (frame->type == EVENT_MEMBER_REMOVED)
        presence_table_doubt(&presence->table, frame->ref_id);
    else if (frame->type == EVENT_USER_UPDATED || frame->type == EVENT_USER_BLOCKED || frame->type == EVENT_USER_UNBLOCKED)
        presence_table_doubt(&presence->table, frame->owner_id);
    else if (frame->type == EVENT_CHAT_DELETED)
        presence_table_doubt_all(&presence->table);
}

void presence_commit(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct presence *presence = context;
    (void)previous_id;
    pthread_mutex_lock(&presence->mutex);
    for (size_t i = 0; i < count; i++)
        hear(presence, frames[i]);
    pthread_mutex_unlock(&presence->mutex);
}

void presence_break(void *context, enum log_break kind, uint64_t head_id) {
    struct presence *presence = context;
    (void)kind;
    (void)head_id;
    pthread_mutex_lock(&presence->mutex);
    presence_table_doubt_all(&presence->table);
    pthread_mutex_unlock(&presence->mutex);
}

/* ---- Between nodes ---- */

static void tell_nodes(struct store *store, uint64_t user_id, const char *type, const struct buf *json) {
    if (buf_ok(json))
        store_whisper(store, &(struct whisper){ WHISPER_NODES, user_id, 0, type, json->bytes, json->size });
}

static void tell_active(struct store *store, uint64_t user_id) {
    struct buf json = BUF_INIT;
    if (store_is_behind(store)) {
        whisper_count_dropped(ACTIVE);
        return;
    }
    buf_string(&json, "{}");
    tell_nodes(store, user_id, ACTIVE, &json);
    buf_release(&json);
}

/* {"ids":[the device's, those of users ...]} */
static void tell_watch(struct store *store, const struct presence_subscriber *subscriber, const uint64_t *user_ids, size_t count) {
    struct buf json = BUF_INIT;
    buf_string(&json, "{\"ids\":[");
    buf_u64(&json, subscriber->device_id);
    for (size_t i = 0; i < count; i++) {
        buf_char(&json, ',');
        buf_u64(&json, user_ids[i]);
    }
    buf_string(&json, "]}");
    tell_nodes(store, subscriber->user_id, WATCH, &json);
    buf_release(&json);
}

/* At most `limit` of the ids between the brackets; what is none ends them. Each ends at the object's brace at the latest. */
static size_t read_ids(const struct whisper *whisper, uint64_t *ids, size_t limit) {
    const char *end = whisper->json + whisper->json_size, *open = memchr(whisper->json, '[', whisper->json_size);
    size_t count = 0;
    for (const char *at = open != NULL ? open + 1 : end; at < end && count < limit; at++) {
        size_t size = strspn(at, "0123456789");
        if (!id_parse(at, size, &ids[count]))
            break;
        count++;
        at += size;
        if (*at != ',')
            break;
    }
    return count;
}

/* Those of a device that has no stream here are not kept long, but it may be about to open one. */
static void hear_watch(struct presence *presence, const struct whisper *whisper) {
    uint64_t ids[1 + LIMIT_PRESENCE_SUBSCRIPTIONS];
    size_t count = read_ids(whisper, ids, 1 + LIMIT_PRESENCE_SUBSCRIPTIONS);
    if (count == 0)
        return;
    const struct presence_subscriber subscriber = { whisper->target_id, ids[0] };
    pthread_mutex_lock(&presence->mutex);
    (void)!presence_table_watch(&presence->table, &subscriber, ids + 1, NULL, count - 1, clock_monotonic_ms());
    pthread_cond_broadcast(&presence->changed);
    pthread_mutex_unlock(&presence->mutex);
}

/* False: there is no room. */
static bool note_active(struct presence *presence, uint64_t user_id, bool is_own, bool *ret_tell) {
    const struct presence_now at = now();
    pthread_mutex_lock(&presence->mutex);
    bool noted = presence_table_note(&presence->table, user_id, is_own, &at, ret_tell);
    pthread_cond_broadcast(&presence->changed);
    pthread_mutex_unlock(&presence->mutex);
    return noted;
}

void presence_hear(void *context, const struct whisper *whisper) {
    struct presence *presence = context;
    bool tell_others;
    if (whisper->target != WHISPER_NODES)
        return;
    if (strcmp(whisper->type, ACTIVE) == 0)
        (void)!note_active(presence, whisper->target_id, false, &tell_others);
    else if (strcmp(whisper->type, WATCH) == 0)
        hear_watch(presence, whisper);
}

/* ---- Saying that one is there ---- */

struct presence_form {
    struct flag active;
};

static const struct field PRESENCE_FIELDS[] = {
    { "active", FIELD_FLAG, true, 0, 0, offsetof(struct presence_form, active), NULL },
};
const struct form presence_form = FORM(presence_form, PRESENCE_FIELDS);

/* Who is no longer active is offline when the time to live is over, like everybody else. */
enum err presence_say(struct request *request) {
    const struct server *server = request->server;
    bool tell_others = false;
    if (REQUEST_FORM(request, presence_form)->active.value && !note_active(server->presence, request->session.user_id, true, &tell_others))
        return ERR_OVERLOADED;
    if (tell_others)
        tell_active(server->store, request->session.user_id);
    return finish_empty(request);
}

/* ---- Asking who is there ---- */

/* {items: [{user_id, online, last_seen_at}]} */
static void answer_states(struct request *request, const struct presence_row *rows, size_t count) {
    struct presence *presence = request->server->presence;
    struct buf *buf = answer_json(request, 200);
    buf_string(buf, "{\"items\":[");
    pthread_mutex_lock(&presence->mutex);
    for (size_t i = 0; i < count; i++) {
        int64_t active_ms;
        bool is_online = presence_table_look(&presence->table, rows[i].user_id, &active_ms);
        json_comma(buf);
        render(buf, rows[i].user_id, is_online, active_ms > rows[i].active_ms ? active_ms : rows[i].active_ms);
    }
    pthread_mutex_unlock(&presence->mutex);
    buf_string(buf, "]}");
}

/* The ids of `user_ids`, separated by commas. */
static enum err read_user_ids(struct request *request, uint64_t ids[LIMIT_PRESENCE_IDS], size_t *ret_count) {
    const char *text = query_text(request, "user_ids");
    size_t count = 0;
    if (text == NULL)
        return request_refuse(request, ERR_BAD_QUERY, "user_ids", "this query parameter is required");
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, ",");
        if (count == LIMIT_PRESENCE_IDS)
            return request_refuse(request, ERR_BAD_QUERY, "user_ids", "at most 100 ids");
        if (!id_parse(at, size, &ids[count++]))
            return request_refuse(request, ERR_BAD_QUERY, "user_ids", "must be ids, separated by commas");
        at += size;
        if (*at == '\0')
            break;
    }
    *ret_count = count;
    return OK;
}

enum err presence_show(struct request *request) {
    uint64_t ids[LIMIT_PRESENCE_IDS];
    struct presence_row *rows;
    size_t count;
    enum err err = read_user_ids(request, ids, &count);
    if (err == OK)
        err = read_presence(request->reader, request->session.user_id, ids, count, &request->arena, &rows, &count);
    if (err == OK)
        answer_states(request, rows, count);
    return err;
}

/* ---- Subscribing ---- */

struct presence_subscriptions_form {
    struct id_list user_ids;
};

static const struct field PRESENCE_SUBSCRIPTIONS_FIELDS[] = {
    { "user_ids", FIELD_IDS, true, 0, LIMIT_PRESENCE_SUBSCRIPTIONS, offsetof(struct presence_subscriptions_form, user_ids), NULL },
};
const struct form presence_subscriptions_form = FORM(presence_subscriptions_form, PRESENCE_SUBSCRIPTIONS_FIELDS);

/* What was so before the database was asked. */
static void note_states(struct presence *presence, uint64_t subscriber_id, const struct id_list *ids, uint32_t *states) {
    pthread_mutex_lock(&presence->mutex);
    for (size_t i = 0; i < ids->count; i++)
        states[i] = presence_table_state(&presence->table, subscriber_id, ids->ids[i]);
    pthread_mutex_unlock(&presence->mutex);
}

static uint32_t state_of(const struct id_list *ids, const uint32_t *states, uint64_t user_id) {
    size_t i = 0;
    while (ids->ids[i] != user_id)
        i++;
    return states[i];
}

/* Replaces the subscriptions here and elsewhere. The states become those of the rows. */
static enum err watch(struct request *request, const struct id_list *ids, const uint32_t *states, const struct presence_row *rows,
                      size_t count) {
    struct presence *presence = request->server->presence;
    const struct presence_subscriber subscriber = { request->session.user_id, request->session.device_id };
    uint64_t seen_ids[LIMIT_PRESENCE_SUBSCRIPTIONS];
    uint32_t seen_states[LIMIT_PRESENCE_SUBSCRIPTIONS];
    for (size_t i = 0; i < count; i++) {
        seen_ids[i] = rows[i].user_id;
        seen_states[i] = state_of(ids, states, rows[i].user_id);
    }
    pthread_mutex_lock(&presence->mutex);
    bool fits = presence_table_watch(&presence->table, &subscriber, seen_ids, seen_states, count, clock_monotonic_ms());
    pthread_mutex_unlock(&presence->mutex);
    if (fits)
        tell_watch(request->server->store, &subscriber, seen_ids, count);
    return fits ? OK : ERR_OVERLOADED;
}

enum err presence_subscribe(struct request *request) {
    const struct id_list *ids = &REQUEST_FORM(request, presence_subscriptions_form)->user_ids;
    uint32_t states[LIMIT_PRESENCE_SUBSCRIPTIONS];
    struct presence_row *rows;
    size_t count;
    if (ids->count > (size_t)request->server->config->presence_subscriptions_max)
        return request_refuse(request, ERR_BAD_FIELD, "user_ids", "more than PARLEY_PRESENCE_SUBSCRIPTIONS_MAX");
    note_states(request->server->presence, request->session.user_id, ids, states);
    enum err err = read_presence(request->reader, request->session.user_id, ids->ids, ids->count, &request->arena, &rows, &count);
    if (err == OK)
        err = watch(request, ids, states, rows, count);
    if (err == OK)
        answer_states(request, rows, count);
    return err;
}
