/* See keys.h: the memory. Owns the recent keys and the filters. */
#include "db/keys.h"

#include <string.h>

#include "core/limits.h"
#include "db/keys_internal.h"
#include "db/state.h"

#define ARENA_BYTES (UINT64_C(1) << 40) /* what bounds it is the size of a run */

void keys_init(struct keys *keys) {
    *keys = (struct keys){ .run_size = LIMIT_KEY_RUN };
    arena_init(&keys->arena, ARENA_BYTES);
}

void keys_forget_recent(struct keys *keys) {
    map_release(&keys->recent);
    arena_release(&keys->arena);
    keys->newest = NULL;
    keys->recent_count = 0;
}

void keys_release(struct keys *keys) {
    keys_forget_recent(keys);
    key_filters_release(&keys->filters);
}

uint64_t keys_period(int64_t now_ms) { return (uint64_t)(now_ms / IDEMPOTENCY_PERIOD_MS); }

uint64_t keys_first_period(int64_t now_ms) {
    uint64_t period = keys_period(now_ms);
    return period < IDEMPOTENCY_PERIODS ? 0 : period - (IDEMPOTENCY_PERIODS - 1);
}

void keys_prefetch(const struct keys *keys, uint64_t user_id, uint64_t key) {
    map_prefetch(&keys->recent, state_mix(user_id, key));
    key_filters_prefetch(&keys->filters, user_id, key);
}

const struct known_key *keys_recent(const struct keys *keys, uint64_t user_id, uint64_t key, int64_t now_ms) {
    if (keys->period < keys_first_period(now_ms))
        return NULL;
    const struct known_key *known = map_get(&keys->recent, state_mix(user_id, key));
    while (known && (known->user_id != user_id || known->key != key))
        known = known->next;
    return known;
}

enum err keys_put(struct keys *keys, const struct known_key *key) {
    uint64_t mix = state_mix(key->user_id, key->key);
    struct known_key *known = ARENA_NEW(&keys->arena, struct known_key);
    if (!known)
        return ERR_NO_MEMORY;
    *known = *key;
    known->next = map_get(&keys->recent, mix);
    enum err err = map_put(&keys->recent, mix, known);
    if (err != OK)
        return err;
    known->older = keys->newest;
    keys->newest = known;
    keys->recent_count++;
    return OK;
}

static void keep_run(struct keys *keys, const struct keys_written *written) {
    keys_forget_recent(keys);
    if (written->run_id == 0)
        return;
    enum err err = key_filters_add(&keys->filters, written->run_id, written->run_period, written->fingerprints, written->key_count);
    if (err != OK)
        keys->whole = false;
    keys->run_id = written->run_id;
    keys->until_id = keys->row_id;
}

/* What does not find room is on disk. */
static void keep_new(struct keys *keys, const struct vec *new_keys) {
    enum err err = OK;
    for (size_t i = 0; err == OK && i < new_keys->count; i++) {
        const struct key_entry *entry = new_keys->items[i];
        struct known_key key = { .user_id = entry->user_id, .key = entry->key, .result_id = entry->result_id };
        memcpy(key.request, entry->request, sizeof key.request);
        err = keys_put(keys, &key);
    }
    if (err != OK)
        keys->whole = false;
}

void keys_keep(struct keys *keys, const struct state *state) {
    const struct keys_written *written = &state->keys_written;
    if (written->sealed) {
        keep_run(keys, written);
        key_filters_forget(&keys->filters, keys_first_period(state->now_ms));
    }
    if (written->row_id == 0)
        return;
    keep_new(keys, &state->new_keys);
    keys->row_id = written->row_id;
    keys->period = written->period;
    memcpy(keys->row_end, written->row_end, sizeof keys->row_end);
}
