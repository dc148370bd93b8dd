/* Owns the cache of sessions, and the indexes from tokens and devices to its entries; all under one mutex. Entries lie densely in chunks that are
 * allocated as they are needed, so that a session costs its own bytes and no page of memory. Does not read the database. Threads: the loop finds,
 * readers' results are remembered on the loop, the writer's thread forgets. */
#include "api/auth.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "core/map.h"

#define CHUNK_ENTRIES 256
#define CHUNKS (LIMIT_SESSIONS_CACHED / CHUNK_ENTRIES)

static_assert(LIMIT_SESSIONS_CACHED % CHUNK_ENTRIES == 0, "chunks are whole");

struct entry {
    uint8_t token[SHA256_SIZE];
    struct session session; /* user_id 0: free */
    struct entry *next;     /* of the free ones */
    bool recent;            /* used since the hand passed */
};

struct auth {
    pthread_mutex_t mutex;
    struct entry *chunks[CHUNKS]; /* owned */
    size_t count;                 /* entries in chunks, free ones included */
    size_t hand;                  /* where the search for an entry to be given up goes on */
    struct entry *free;
    struct map by_token;  /* first 64 bits of the token's hash -> entry */
    struct map by_device; /* device id -> entry */
    uint64_t generation;
};

enum err auth_new(struct auth **ret_auth) {
    struct auth *auth = calloc(1, sizeof(*auth));
    if (auth == NULL)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&auth->mutex, NULL);
    *ret_auth = auth;
    return OK;
}

void auth_free(struct auth *auth) {
    if (auth == NULL)
        return;
    pthread_mutex_destroy(&auth->mutex);
    map_release(&auth->by_token);
    map_release(&auth->by_device);
    for (size_t i = 0; i < CHUNKS; i++)
        free(auth->chunks[i]);
    free(auth);
}

/* The hash is uniform already. Two tokens with the same first 64 bits take turns: what is found is compared whole. */
static uint64_t token_key(const uint8_t token[SHA256_SIZE]) {
    uint64_t key;
    memcpy(&key, token, sizeof(key));
    return key != 0 ? key : 1;
}

static struct entry *find(struct auth *auth, const uint8_t token[SHA256_SIZE]) {
    struct entry *entry = map_get(&auth->by_token, token_key(token));
    return entry != NULL && secret_equal(entry->token, token, SHA256_SIZE) ? entry : NULL;
}

static void forget(struct auth *auth, struct entry *entry) {
    if (entry == NULL)
        return;
    map_remove(&auth->by_token, token_key(entry->token));
    map_remove(&auth->by_device, entry->session.device_id);
    *entry = (struct entry){ .next = auth->free };
    auth->free = entry;
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
        entry->recent = true;
        *ret_session = entry->session;
        *ret_generation = auth->generation;
    }
    pthread_mutex_unlock(&auth->mutex);
    return entry != NULL;
}

static struct entry *entry_at(struct auth *auth, size_t index) { return &auth->chunks[index / CHUNK_ENTRIES][index % CHUNK_ENTRIES]; }

static void forget_all(struct auth *auth) {
    for (size_t i = 0; i < auth->count; i++)
        if (entry_at(auth, i)->session.user_id != 0)
            forget(auth, entry_at(auth, i));
}

void auth_break(void *context, enum log_break kind, uint64_t head_id) {
    struct auth *auth = context;
    (void)kind;
    (void)head_id;
    pthread_mutex_lock(&auth->mutex);
    auth->generation++;
    forget_all(auth);
    pthread_mutex_unlock(&auth->mutex);
}

static void add_chunk(struct auth *auth) {
    struct entry *chunk = calloc(CHUNK_ENTRIES, sizeof(*chunk));
    if (chunk == NULL)
        return;
    auth->chunks[auth->count / CHUNK_ENTRIES] = chunk;
    auth->count += CHUNK_ENTRIES;
    for (size_t i = 0; i < CHUNK_ENTRIES; i++) {
        chunk[i].next = auth->free;
        auth->free = &chunk[i];
    }
}

/* Second chance: the hand goes round and takes the first entry that was not used since it came by last. */
static void give_one_up(struct auth *auth) {
    while (auth->free == NULL && auth->count > 0) {
        struct entry *entry = entry_at(auth, auth->hand);
        auth->hand = (auth->hand + 1) % auth->count;
        if (!entry->recent)
            forget(auth, entry);
        entry->recent = false;
    }
}

/* A free entry; NULL when there is no memory for the first. */
static struct entry *make_room(struct auth *auth) {
    if (auth->free == NULL && auth->count < LIMIT_SESSIONS_CACHED)
        add_chunk(auth);
    give_one_up(auth);
    struct entry *entry = auth->free;
    if (entry != NULL)
        auth->free = entry->next;
    return entry;
}

static void insert(struct auth *auth, const uint8_t token[SHA256_SIZE], const struct session *session) {
    /* A device has one token; should the cache know another, it is outdated. */
    forget(auth, map_get(&auth->by_device, session->device_id));
    forget(auth, map_get(&auth->by_token, token_key(token)));
    struct entry *entry = make_room(auth);
    if (entry == NULL)
        return;
    *entry = (struct entry){ .session = *session, .recent = true };
    memcpy(entry->token, token, SHA256_SIZE);
    if (map_put(&auth->by_token, token_key(token), entry) != OK || map_put(&auth->by_device, session->device_id, entry) != OK)
        forget(auth, entry); /* what an index does not know could not be forgotten later */
}

void auth_remember(struct auth *auth, const uint8_t token[SHA256_SIZE], const struct session *session, uint64_t generation) {
    pthread_mutex_lock(&auth->mutex);
    if (auth->generation == generation)
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
    return now_ms - session->seen_ms >= store_touch_interval_ms(config);
}
