/* See presence_table.h. */
#include "api/presence_table.h"

#include <stdlib.h>

#include "core/limits.h"

struct watcher {
    struct presence_subscriber subscriber;
    int64_t seen_ms; /* monotonic; when its device had a stream, or it was made */
    size_t count;
    struct watch *watches; /* owned */
    size_t untold;         /* only among so many of these, from the first, are some that are untold */
    struct list_node in_heard;
    struct watcher *next; /* of those to be removed */
};

struct watch {
    struct list_node in_user;
    struct present *user;
    struct watcher *watcher;
    uint32_t state; /* as of which it is sure, */
    bool is_sure;   /* if it ever was */
    bool is_untold; /* how the user stands is still to be told */
};

struct present {
    uint64_t user_id;
    int64_t active_ms;       /* wall time; 0: not known */
    int64_t stored_ms;       /* what of it was stored last, */
    int64_t stored_at_ms;    /* and when (wall time) */
    int64_t online_until_ms; /* monotonic */
    int64_t tell_at_ms;      /* monotonic; not before other nodes are told again */
    bool is_own;             /* there may be something to store */
    bool is_online;
    bool was_online; /* as told last */
    struct list_node watches;
    struct list_node in_changed;
    struct present *next; /* of those to be removed */
};

/* ---- Users ---- */

void presence_table_init(struct presence_table *table, int64_t ttl_ms) {
    *table = (struct presence_table){ .ttl_ms = ttl_ms, .users = MAP_INIT, .watchers = MAP_INIT };
    list_init(&table->changed);
    list_init(&table->heard);
}

static struct present *user_make(struct presence_table *table, uint64_t user_id) {
    struct present *user = table->users.count < LIMIT_PRESENCE_USERS ? calloc(1, sizeof(*user)) : NULL;
    if (user == NULL)
        return NULL;
    user->user_id = user_id;
    list_init(&user->watches);
    list_init(&user->in_changed);
    if (map_put(&table->users, user_id, user) != OK) {
        free(user);
        return NULL;
    }
    return user;
}

static struct present *user_get_or_make(struct presence_table *table, uint64_t user_id) {
    struct present *user = map_get(&table->users, user_id);
    return user != NULL ? user : user_make(table, user_id);
}

static void turn(struct presence_table *table, struct present *user, bool is_online) {
    user->is_online = is_online;
    list_remove(&user->in_changed);
    if (is_online != user->was_online)
        list_append(&table->changed, &user->in_changed);
}

bool presence_table_note(struct presence_table *table, uint64_t user_id, bool is_own, const struct presence_now *now, bool *ret_tell) {
    struct present *user = user_get_or_make(table, user_id);
    if (user == NULL)
        return false;
    user->active_ms = now->wall_ms;
    user->online_until_ms = now->monotonic_ms + table->ttl_ms;
    user->is_own = user->is_own || is_own;
    turn(table, user, true);
    *ret_tell = is_own && now->monotonic_ms >= user->tell_at_ms;
    if (*ret_tell)
        user->tell_at_ms = now->monotonic_ms + table->ttl_ms / 3;
    return true;
}

bool presence_table_look(const struct presence_table *table, uint64_t user_id, int64_t *ret_active_ms) {
    const struct present *user = map_get(&table->users, user_id);
    *ret_active_ms = user != NULL ? user->active_ms : 0;
    return user != NULL && user->is_online;
}

/* ---- Doubts ---- */

static size_t doubt_of(uint64_t user_id) { return (user_id * UINT64_C(0x9e3779b97f4a7c15)) >> 52; }

uint32_t presence_table_state(const struct presence_table *table, uint64_t subscriber_id, uint64_t user_id) {
    return table->doubts[doubt_of(subscriber_id)] + table->doubts[doubt_of(user_id)] + table->doubts_of_all;
}

void presence_table_doubt(struct presence_table *table, uint64_t user_id) { table->doubts[doubt_of(user_id)]++; }

void presence_table_doubt_all(struct presence_table *table) { table->doubts_of_all++; }

/* ---- Watches ---- */

/* The array of a watcher has no gaps: the last one moves, and its list is told. */
static void watch_end(struct presence_table *table, struct watch *watch) {
    struct watcher *watcher = watch->watcher;
    struct watch *last = &watcher->watches[--watcher->count];
    list_remove(&watch->in_user);
    table->watch_count--;
    if (watch == last)
        return;
    list_remove(&last->in_user);
    *watch = *last;
    list_append(&watch->user->watches, &watch->in_user);
}

static void watcher_end(struct presence_table *table, struct watcher *watcher) {
    if (watcher == NULL)
        return;
    while (watcher->count > 0)
        watch_end(table, &watcher->watches[watcher->count - 1]);
    list_remove(&watcher->in_heard);
    map_remove(&table->watchers, watcher->subscriber.device_id);
    free(watcher->watches);
    free(watcher);
}

static struct watcher *watcher_make(struct presence_table *table, const struct presence_subscriber *subscriber, size_t count) {
    struct watcher *watcher = calloc(1, sizeof(*watcher));
    struct watch *watches = calloc(count, sizeof(*watches));
    if (watcher == NULL || watches == NULL || map_put(&table->watchers, subscriber->device_id, watcher) != OK) {
        free(watcher);
        free(watches);
        return NULL;
    }
    watcher->subscriber = *subscriber;
    watcher->watches = watches;
    list_init(&watcher->in_heard);
    return watcher;
}

static bool watch_add(struct presence_table *table, struct watcher *watcher, uint64_t user_id, const uint32_t *state) {
    struct present *user = table->watch_count < LIMIT_PRESENCE_WATCHES ? user_get_or_make(table, user_id) : NULL;
    if (user == NULL)
        return false;
    struct watch *watch = &watcher->watches[watcher->count++];
    *watch = (struct watch){
        .user = user, .watcher = watcher, .state = state != NULL ? *state : 0, .is_sure = state != NULL, .is_untold = state == NULL
    };
    list_append(&user->watches, &watch->in_user);
    table->watch_count++;
    return true;
}

bool presence_table_watch(struct presence_table *table, const struct presence_subscriber *subscriber, const uint64_t *user_ids,
                          const uint32_t *states, size_t count, int64_t now_ms) {
    watcher_end(table, map_get(&table->watchers, subscriber->device_id));
    if (count == 0)
        return true;
    struct watcher *watcher = watcher_make(table, subscriber, count);
    if (watcher == NULL)
        return false;
    watcher->seen_ms = now_ms;
    for (size_t i = 0; i < count; i++) {
        if (!watch_add(table, watcher, user_ids[i], states != NULL ? &states[i] : NULL)) {
            watcher_end(table, watcher);
            return false;
        }
    }
    watcher->untold = states == NULL ? count : 0;
    if (watcher->untold > 0)
        list_append(&table->heard, &watcher->in_heard);
    return true;
}

/* ---- Changes ---- */

static struct presence_notice notice_of(const struct presence_table *table, struct watch *watch) {
    watch->is_untold = false;
    const struct presence_subscriber *subscriber = &watch->watcher->subscriber;
    uint32_t state = presence_table_state(table, subscriber->user_id, watch->user->user_id);
    return (struct presence_notice){ *subscriber, state, watch->is_sure && watch->state == state };
}

static size_t count_watches(const struct present *user) {
    size_t count = 0;
    LIST_EACH(&user->watches, node)
        count++;
    return count;
}

bool presence_table_has_change(const struct presence_table *table) { return !list_empty(&table->changed) || !list_empty(&table->heard); }

static bool take_change(struct presence_table *table, struct presence_change *ret_change) {
    if (list_empty(&table->changed))
        return false;
    struct present *user = LIST_ITEM(list_first(&table->changed), struct present, in_changed);
    list_remove(&user->in_changed);
    user->was_online = user->is_online;
    *ret_change = (struct presence_change){ .user_id = user->user_id, .active_ms = user->active_ms, .is_online = user->is_online };
    size_t count = count_watches(user);
    if (count > 0)
        ret_change->notices = malloc(count * sizeof(*ret_change->notices));
    if (ret_change->notices == NULL)
        return true; /* nobody to tell, or no memory to */
    LIST_EACH(&user->watches, node)
        ret_change->notices[ret_change->count++] = notice_of(table, LIST_ITEM(node, struct watch, in_user));
    return true;
}

/* From the last: when a watch ends, the last one moves to its place, so none that is untold is left out. */
static struct watch *take_untold(struct watcher *watcher) {
    if (watcher->untold > watcher->count)
        watcher->untold = watcher->count;
    while (watcher->untold > 0) {
        struct watch *watch = &watcher->watches[--watcher->untold];
        if (watch->is_untold && watch->user->active_ms != 0)
            return watch;
    }
    return NULL;
}

static bool take_heard(struct presence_table *table, struct presence_change *ret_change) {
    while (!list_empty(&table->heard)) {
        struct watcher *watcher = LIST_ITEM(list_first(&table->heard), struct watcher, in_heard);
        struct watch *watch = take_untold(watcher);
        if (watch == NULL) {
            list_remove(&watcher->in_heard);
            continue;
        }
        *ret_change = (struct presence_change){ .user_id = watch->user->user_id,
                                                .active_ms = watch->user->active_ms,
                                                .is_online = watch->user->is_online,
                                                .notices = malloc(sizeof(*ret_change->notices)) };
        ret_change->count = ret_change->notices != NULL;
        if (ret_change->notices != NULL)
            ret_change->notices[0] = notice_of(table, watch);
        return true;
    }
    return false;
}

bool presence_table_take(struct presence_table *table, struct presence_change *ret_change) {
    return take_change(table, ret_change) || take_heard(table, ret_change);
}

static struct watch *find_watch(const struct watcher *watcher, uint64_t user_id) {
    for (size_t i = 0; watcher != NULL && i < watcher->count; i++)
        if (watcher->watches[i].user->user_id == user_id)
            return &watcher->watches[i];
    return NULL;
}

void presence_table_settle(struct presence_table *table, const struct presence_notice *notice, uint64_t user_id, bool may_see) {
    struct watcher *watcher = map_get(&table->watchers, notice->subscriber.device_id);
    struct watch *watch = find_watch(watcher, user_id);
    if (watch == NULL)
        return;
    watch->state = notice->state;
    watch->is_sure = true;
    if (!may_see)
        watch_end(table, watch);
    if (watcher->count == 0)
        watcher_end(table, watcher);
}

/* ---- Time ---- */

static void store_if_due(struct present *user, const struct presence_now *now, bool at_end, presence_store store, void *context) {
    bool is_news = user->is_own && user->active_ms > user->stored_ms;
    bool is_due = at_end || now->wall_ms - user->stored_at_ms >= PRESENCE_STORE_INTERVAL_MS || now->wall_ms < user->stored_at_ms;
    if (!is_news || !is_due || !store(context, user->user_id, user->active_ms))
        return;
    user->stored_ms = user->active_ms;
    user->stored_at_ms = now->wall_ms;
}

/* Whether nothing would be lost by forgetting the user. That something was stored a moment ago is worth remembering, too. */
static bool is_unused(const struct present *user, const struct presence_now *now) {
    bool may_store_soon = user->is_own && now->wall_ms - user->stored_at_ms < PRESENCE_STORE_INTERVAL_MS;
    bool is_stored = !user->is_own || user->active_ms <= user->stored_ms;
    return !user->is_online && is_stored && !may_store_soon && list_empty(&user->watches) && list_empty(&user->in_changed);
}

static void users_forget(struct presence_table *table, struct present *unused) {
    while (unused != NULL) {
        struct present *next = unused->next;
        map_remove(&table->users, unused->user_id);
        free(unused);
        unused = next;
    }
}

/* At the end nobody is forgotten: those that move up in the map would be left out. */
bool presence_table_tick(struct presence_table *table, const struct presence_now *now, bool at_end, presence_store store, void *context) {
    struct present *unused = NULL, *user = NULL;
    for (size_t i = 0; i < PRESENCE_SLICE && (user = map_next(&table->users, &table->tick_cursor)) != NULL; i++) {
        if (user->is_online && now->monotonic_ms >= user->online_until_ms)
            turn(table, user, false);
        store_if_due(user, now, at_end, store, context);
        if (!at_end && is_unused(user, now)) {
            user->next = unused;
            unused = user;
        }
    }
    if (user == NULL)
        table->tick_cursor = 0;
    bool goes_on = user != NULL;
    users_forget(table, unused);
    return goes_on;
}

static void watchers_end(struct presence_table *table, struct watcher *ended) {
    while (ended != NULL) {
        struct watcher *next = ended->next;
        watcher_end(table, ended);
        ended = next;
    }
}

bool presence_table_sweep(struct presence_table *table, int64_t now_ms, presence_has_stream has_stream, void *context) {
    struct watcher *ended = NULL, *watcher = NULL;
    for (size_t i = 0; i < PRESENCE_SLICE && (watcher = map_next(&table->watchers, &table->sweep_cursor)) != NULL; i++) {
        if (has_stream(context, watcher->subscriber.device_id))
            watcher->seen_ms = now_ms;
        if (now_ms - watcher->seen_ms < PRESENCE_GRACE_MS)
            continue;
        watcher->next = ended;
        ended = watcher;
    }
    if (watcher == NULL)
        table->sweep_cursor = 0;
    bool goes_on = watcher != NULL;
    watchers_end(table, ended);
    return goes_on;
}

void presence_table_release(struct presence_table *table) {
    size_t cursor = 0;
    for (struct watcher *watcher; (watcher = map_next(&table->watchers, &cursor)) != NULL;) {
        free(watcher->watches);
        free(watcher);
    }
    cursor = 0;
    for (struct present *user; (user = map_next(&table->users, &cursor)) != NULL;)
        free(user);
    map_release(&table->users);
    map_release(&table->watchers);
}
