/* Owns the cache of sessions, and the indexes from tokens and devices to its entries; all under one mutex. Entries lie densely in chunks that are
 * allocated as they are needed, and the indexes are chains of their numbers, so that a session costs little more than its own bytes. Does not read the database. Threads: the loop finds,
 * readers' results are remembered on the loop, the writer's thread forgets. */
#include "api/auth.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

#define CHUNK_ENTRIES 256
#define CHUNKS (LIMIT_SESSIONS_CACHED / CHUNK_ENTRIES)

static_assert(LIMIT_SESSIONS_CACHED % CHUNK_ENTRIES == 0, "chunks are whole");
static_assert(LIMIT_SESSIONS_CACHED < 1 << 30, "the number of an entry leaves room for a bit");

/* Entries have numbers from 1 on; 0 is none. */
struct entry {
    uint8_t token[SHA256_SIZE];
    struct session session;       /* user_id 0: free */
    uint32_t next_of_token;       /* in its bucket; of a free one: the next that is free */
    uint32_t next_of_device : 31; /* in its bucket */
    uint32_t recent : 1;          /* used since the hand passed */
};

/* The first entries whose token, or device, falls into it. */
struct bucket {
    uint32_t of_token, of_device;
};

struct auth {
    pthread_mutex_t mutex;
    struct entry *chunks[CHUNKS]; /* owned */
    uint32_t count;               /* entries in chunks, free ones included */
    uint32_t hand;                /* where the search for an entry to be given up goes on */
    uint32_t free;
    struct bucket *buckets; /* owned */
    size_t bucket_count;    /* a power of two, usually at least `count` */
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
    free(auth->buckets);
    for (size_t i = 0; i < CHUNKS; i++)
        free(auth->chunks[i]);
    free(auth);
}

/* ---- The indexes ---- */

static struct entry *entry_at(const struct auth *auth, uint32_t number) {
    return number != 0 ? &auth->chunks[(number - 1) / CHUNK_ENTRIES][(number - 1) % CHUNK_ENTRIES] : NULL;
}

/* The hash is uniform already. */
static uint64_t token_key(const uint8_t token[SHA256_SIZE]) {
    uint64_t key;
    memcpy(&key, token, sizeof(key));
    return key;
}

static uint32_t *bucket_of_token(const struct auth *auth, const uint8_t token[SHA256_SIZE]) {
    return &auth->buckets[token_key(token) & (auth->bucket_count - 1)].of_token;
}

/* All bits of an id count: multiplication brings the lower ones into the upper half, which is why the upper ones are folded into the lower before. */
static uint32_t *bucket_of_device(const struct auth *auth, uint64_t device_id) {
    uint64_t mixed = (device_id ^ device_id >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    return &auth->buckets[mixed & (auth->bucket_count - 1)].of_device;
}

/* Both give the number, or 0. */
static uint32_t find_token(const struct auth *auth, const uint8_t token[SHA256_SIZE]) {
    uint32_t number = auth->count > 0 ? *bucket_of_token(auth, token) : 0;
    while (number != 0 && !secret_equal(entry_at(auth, number)->token, token, SHA256_SIZE))
        number = entry_at(auth, number)->next_of_token;
    return number;
}

static uint32_t find_device(const struct auth *auth, uint64_t device_id) {
    uint32_t number = auth->count > 0 ? *bucket_of_device(auth, device_id) : 0;
    while (number != 0 && entry_at(auth, number)->session.device_id != device_id)
        number = entry_at(auth, number)->next_of_device;
    return number;
}

static void link_entry(struct auth *auth, uint32_t number) {
    struct entry *entry = entry_at(auth, number);
    uint32_t *of_token = bucket_of_token(auth, entry->token), *of_device = bucket_of_device(auth, entry->session.device_id);
    entry->next_of_token = *of_token;
    entry->next_of_device = *of_device & (UINT32_MAX >> 1);
    *of_token = *of_device = number;
}

static void unlink_token(struct auth *auth, uint32_t number) {
    uint32_t *first = bucket_of_token(auth, entry_at(auth, number)->token);
    if (*first == number) {
        *first = entry_at(auth, number)->next_of_token;
        return;
    }
    struct entry *before = entry_at(auth, *first);
    while (before->next_of_token != number)
        before = entry_at(auth, before->next_of_token);
    before->next_of_token = entry_at(auth, number)->next_of_token;
}

static void unlink_device(struct auth *auth, uint32_t number) {
    uint32_t *first = bucket_of_device(auth, entry_at(auth, number)->session.device_id);
    if (*first == number) {
        *first = entry_at(auth, number)->next_of_device;
        return;
    }
    struct entry *before = entry_at(auth, *first);
    while (before->next_of_device != number)
        before = entry_at(auth, before->next_of_device);
    before->next_of_device = entry_at(auth, number)->next_of_device;
}

/* As many buckets as entries; without memory for them chains get longer. */
static void grow_buckets(struct auth *auth, size_t entry_count) {
    if (entry_count <= auth->bucket_count)
        return;
    size_t bucket_count = auth->bucket_count == 0 ? CHUNK_ENTRIES : auth->bucket_count * 2;
    struct bucket *buckets = calloc(bucket_count, sizeof(*buckets));
    if (buckets == NULL)
        return;
    free(auth->buckets);
    auth->buckets = buckets;
    auth->bucket_count = bucket_count;
    for (uint32_t number = 1; number <= auth->count; number++)
        if (entry_at(auth, number)->session.user_id != 0)
            link_entry(auth, number);
}

/* ---- Forgetting ---- */

static void forget(struct auth *auth, uint32_t number) {
    if (number == 0)
        return;
    unlink_token(auth, number);
    unlink_device(auth, number);
    *entry_at(auth, number) = (struct entry){ .next_of_token = auth->free };
    auth->free = number;
}

void auth_commit(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct auth *auth = context;
    (void)previous_id;
    for (size_t i = 0; i < count; i++) {
        if (frames[i]->type != EVENT_DEVICE_REMOVED)
            continue;
        pthread_mutex_lock(&auth->mutex);
        auth->generation++;
        forget(auth, find_device(auth, frames[i]->ref_id));
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
    struct entry *entry = entry_at(auth, find_token(auth, token));
    if (entry != NULL) {
        entry->recent = 1;
        *ret_session = entry->session;
        *ret_generation = auth->generation;
    }
    pthread_mutex_unlock(&auth->mutex);
    return entry != NULL;
}

static void forget_all(struct auth *auth) {
    for (uint32_t number = 1; number <= auth->count; number++)
        if (entry_at(auth, number)->session.user_id != 0)
            forget(auth, number);
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
    grow_buckets(auth, auth->count + CHUNK_ENTRIES);
    struct entry *chunk = auth->bucket_count > 0 ? calloc(CHUNK_ENTRIES, sizeof(*chunk)) : NULL;
    if (chunk == NULL)
        return;
    auth->chunks[auth->count / CHUNK_ENTRIES] = chunk;
    for (uint32_t i = 0; i < CHUNK_ENTRIES; i++) {
        chunk[i].next_of_token = auth->free;
        auth->free = ++auth->count;
    }
}

/* Second chance: the hand goes round and takes the first entry that was not used since it came by last. */
static void give_one_up(struct auth *auth) {
    while (auth->free == 0 && auth->count > 0) {
        uint32_t number = auth->hand + 1;
        auth->hand = number % auth->count;
        if (!entry_at(auth, number)->recent)
            forget(auth, number);
        entry_at(auth, number)->recent = 0;
    }
}

/* A free entry; 0 when there is no memory for the first. */
static uint32_t make_room(struct auth *auth) {
    if (auth->free == 0 && auth->count < LIMIT_SESSIONS_CACHED)
        add_chunk(auth);
    give_one_up(auth);
    uint32_t number = auth->free;
    if (number != 0)
        auth->free = entry_at(auth, number)->next_of_token;
    return number;
}

static void insert(struct auth *auth, const uint8_t token[SHA256_SIZE], const struct session *session) {
    /* A device has one token; should the cache know another, it is outdated. */
    forget(auth, find_device(auth, session->device_id));
    forget(auth, find_token(auth, token));
    uint32_t number = make_room(auth);
    if (number == 0)
        return;
    struct entry *entry = entry_at(auth, number);
    *entry = (struct entry){ .session = *session, .recent = 1 };
    memcpy(entry->token, token, SHA256_SIZE);
    link_entry(auth, number);
}

void auth_remember(struct auth *auth, const uint8_t token[SHA256_SIZE], const struct session *session, uint64_t generation) {
    pthread_mutex_lock(&auth->mutex);
    if (auth->generation == generation)
        insert(auth, token, session);
    pthread_mutex_unlock(&auth->mutex);
}

void auth_touched(struct auth *auth, const uint8_t token[SHA256_SIZE], int64_t seen_ms) {
    pthread_mutex_lock(&auth->mutex);
    struct entry *entry = entry_at(auth, find_token(auth, token));
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
