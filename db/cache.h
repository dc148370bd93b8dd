/* The writer's memory of chats and open stays, so that a busy chat is not loaded for every batch.
 *
 * Right because what a committed batch left is what the next one would load: there is one writer, or all is forgotten when another has been there
 * (db/store_head.h). Only what exists is remembered; a removed member's stay and a deleted chat are forgotten, and so is everything when it becomes too much. The
 * writer's thread only. */
#pragma once

#include "core/map.h"
#include "db/model.h"

struct state;

struct cache {
    struct map chats; /* id → struct chat with texts of its own; owned */
    struct map stays; /* mix of chat and user → struct stay; owned; of two with the same mix the later one */
};

/* Forgets everything. */
void cache_release(struct cache *cache);
/* Whether it has become too much. */
bool cache_is_full(const struct cache *cache);
/* Then forgets everything; while no batch points into it. */
void cache_trim(struct cache *cache);
/* NULL when not remembered. Both are valid until cache_keep() or cache_trim(). */
const struct chat *cache_chat(const struct cache *cache, uint64_t chat_id);
const struct stay *cache_stay(const struct cache *cache, uint64_t chat_id, uint64_t user_id);
/* Remembers what a committed batch knew last. Forgets what it has no memory for. */
void cache_keep(struct cache *cache, const struct state *state);
