/* Owns the cache of sessions: a set-associative table of LIMIT_SESSIONS_CACHED entries under one mutex, and the index from devices to their entries.
 * Does not read the database. Threads: the loop finds, readers' results are remembered on the loop, the writer's thread forgets. */
#include "api/auth.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "core/map.h"

#define WAYS 8 /* entries in which a token may be */
#define SETS (LIMIT_SESSIONS_CACHED / WAYS)
#define TOUCH_INTERVAL_MS (INT64_C(3600) * 1000)

static_assert((LIMIT_SESSIONS_CACHED & (LIMIT_SESSIONS_CACHED - 1)) == 0, "sets are chosen by a mask");

struct entry {
    uint8_t token[SHA256_SIZE];
    struct session session; /* user_id 0: free */
    uint64_t used;          /* value of auth->uses at the last use */
};

struct auth {
    pthread_mutex_t mutex;
    struct entry *entries; /* SETS * WAYS */
    struct map by_device;  /* device id -> entry */
    uint64_t uses;
    uint64_t generation;
};

enum err auth_new(struct auth **ret_auth) {
    struct auth *auth = calloc(1, sizeof(*auth));
    if (auth == NULL)
        return ERR_NO_MEMORY;
    auth->entries = calloc(LIMIT_SESSIONS_CACHED, sizeof(*auth->entries));
    if (auth->entries == NULL) {
        free(auth);
        return ERR_NO_MEMORY;
    }
    pthread_mutex_init(&auth->mutex, NULL);
    *ret_auth = auth;
    return OK;
}

void auth_free(struct auth *auth) {
    if (auth == NULL)
        return;
    pthread_mutex_destroy(&auth->mutex);
    map_release(&auth->by_device);
    free(auth->entries);
    free(auth);
}

/* The hash is uniform already: its first bytes choose the set. */
static struct entry *set_of(struct auth *auth, const uint8_t token[SHA256_SIZE]) {
    uint64_t bits;
    memcpy(&bits, token, sizeof(bits));
    return &auth->entries[(bits & (SETS - 1)) * WAYS];
}

static struct entry *find(struct auth *auth, const uint8_t token[SHA256_SIZE]) {
    struct entry *set = set_of(auth, token);
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].session.user_id != 0 && memcmp(set[i].token, token, SHA256_SIZE) == 0)
            return &set[i];
    return NULL;
}

static void forget(struct auth *auth, struct entry *entry) {
    if (entry == NULL || entry->session.user_id == 0)
        return;
    map_remove(&auth->by_device, entry->session.device_id);
    memset(entry, 0, sizeof(*entry));
}

void auth_commit(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct auth *auth = context;
    (void)previous_id;
    for (size_t i = 0; i < count; i++) {
        if (frames[i]->type != EVENT_DEVICE_REMOVED)
            continue;
        pthread_mutex_lock(&auth->mutex);
        auth->generation++;
        forget(auth, map_get(&auth->by_device, frames[i]->ref_id));
        pthread_mutex_unlock(&auth->mutex);
    }
}

uint64_t auth_generation(struct auth *auth) {
    pthread_mutex_lock(&auth->mutex);
    uint64_t generation = auth->generation;
    pthread_mutex_unlock(&auth->mutex);
    return generation;
}

bool auth_find(struct auth *auth, const uint8_t token[SHA256_SIZE], struct session *ret_session, uint64_t *ret_generation) {
    pthread_mutex_lock(&auth->mutex);
    struct entry *entry = find(auth, token);
    if (entry != NULL) {
        entry->used = ++auth->uses;
        *ret_session = entry->session;
        *ret_generation = auth->generation;
    }
    pthread_mutex_unlock(&auth->mutex);
    return entry != NULL;
}

/* A free entry of the token's set, or the one that was used longest ago. */
static struct entry *make_room(struct auth *auth, const uint8_t token[SHA256_SIZE]) {
    struct entry *set = set_of(auth, token);
    struct entry *victim = &set[0];
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].used < victim->used)
            victim = &set[i];
    forget(auth, victim);
    return victim;
}

static void insert(struct auth *auth, const uint8_t token[SHA256_SIZE], const struct session *session) {
    /* A device has one token; should the cache know another, it is outdated. */
    forget(auth, map_get(&auth->by_device, session->device_id));
    struct entry *entry = make_room(auth, token);
    if (map_put(&auth->by_device, session->device_id, entry) != OK)
        return; /* what the index does not know could not be forgotten */
    memcpy(entry->token, token, SHA256_SIZE);
    entry->session = *session;
    entry->used = ++auth->uses;
}

void auth_remember(struct auth *auth, const uint8_t token[SHA256_SIZE], const struct session *session, uint64_t generation) {
    pthread_mutex_lock(&auth->mutex);
    if (auth->generation == generation && find(auth, token) == NULL)
        insert(auth, token, session);
    pthread_mutex_unlock(&auth->mutex);
}

void auth_touched(struct auth *auth, const uint8_t token[SHA256_SIZE], int64_t seen_ms) {
    pthread_mutex_lock(&auth->mutex);
    struct entry *entry = find(auth, token);
    if (entry != NULL && entry->session.seen_ms < seen_ms)
        entry->session.seen_ms = seen_ms;
    pthread_mutex_unlock(&auth->mutex);
}

bool auth_while_valid(struct auth *auth, uint64_t generation, void (*open)(void *context), void *context) {
    pthread_mutex_lock(&auth->mutex);
    bool valid = auth->generation == generation;
    if (valid)
        open(context);
    pthread_mutex_unlock(&auth->mutex);
    return valid;
}

bool session_is_alive(const struct session *session, const struct config *config, int64_t now_ms) {
    return now_ms - session->created_ms < config->session_max_ms && now_ms - session->seen_ms < config->session_idle_ms;
}

bool session_touch_is_due(const struct session *session, const struct config *config, int64_t now_ms) {
    int64_t interval = config->session_idle_ms / 4;
    if (interval > TOUCH_INTERVAL_MS)
        interval = TOUCH_INTERVAL_MS;
    return now_ms - session->seen_ms >= interval;
}
