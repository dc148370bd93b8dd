/* See db/cache.h. */
#include "db/cache.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "db/state.h"

static void free_chat(struct chat *chat) {
    if (!chat)
        return;
    free((char *)(uintptr_t)chat->title);
    free((char *)(uintptr_t)chat->description);
    free(chat);
}

void cache_release(struct cache *cache) {
    size_t cursor = 0;
    for (struct chat *chat; (chat = map_next(&cache->chats, &cursor));)
        free_chat(chat);
    cursor = 0;
    for (struct stay *stay; (stay = map_next(&cache->stays, &cursor));)
        free(stay);
    map_release(&cache->chats);
    map_release(&cache->stays);
}

const struct chat *cache_chat(const struct cache *cache, uint64_t chat_id) { return map_get(&cache->chats, chat_id); }

const struct stay *cache_stay(const struct cache *cache, uint64_t chat_id, uint64_t user_id) {
    const struct stay *stay = map_get(&cache->stays, state_mix(chat_id, user_id));
    return stay && stay->chat_id == chat_id && stay->user_id == user_id ? stay : NULL;
}

/* Copies a text; keeps the copy that is there when it is the same. */
static bool copy_text(const char **to, const char *from) {
    bool same = from == *to || (from && *to && strcmp(from, *to) == 0);
    char *copy = from && !same ? strdup(from) : NULL;
    if (same)
        return true;
    if (from && !copy)
        return false;
    free((char *)(uintptr_t)*to);
    *to = copy;
    return true;
}

static bool copy_chat(struct chat *to, const struct chat *from) {
    if (!copy_text(&to->title, from->title) || !copy_text(&to->description, from->description))
        return false;
    const char *title = to->title, *description = to->description;
    *to = *from;
    to->title = title;
    to->description = description;
    return true;
}

static void keep_chat(struct cache *cache, const struct chat_entry *entry) {
    uint64_t id = entry->chat.id;
    if (!entry->found || entry->chat.deleted_ms) {
        free_chat(map_remove(&cache->chats, id));
        return;
    }
    struct chat *chat = map_get(&cache->chats, id);
    if (!chat) {
        chat = calloc(1, sizeof *chat);
        if (!chat || map_put(&cache->chats, id, chat) != OK) {
            free(chat);
            return;
        }
    }
    if (!copy_chat(chat, &entry->chat))
        free_chat(map_remove(&cache->chats, id));
}

static void keep_stay(struct cache *cache, const struct stay_entry *entry) {
    uint64_t key = state_mix(entry->stay.chat_id, entry->stay.user_id);
    if (!entry->found) {
        if (cache_stay(cache, entry->stay.chat_id, entry->stay.user_id))
            free(map_remove(&cache->stays, key));
        return;
    }
    struct stay *stay = map_get(&cache->stays, key);
    if (!stay) {
        stay = calloc(1, sizeof *stay);
        if (!stay || map_put(&cache->stays, key, stay) != OK) {
            free(stay);
            return;
        }
    }
    *stay = entry->stay;
}

bool cache_is_full(const struct cache *cache) { return cache->chats.count + cache->stays.count > LIMIT_CACHED_ROWS; }

void cache_trim(struct cache *cache) {
    if (cache_is_full(cache))
        cache_release(cache);
}

void cache_keep(struct cache *cache, const struct state *state) {
    size_t cursor = 0;
    for (struct chat_entry *entry; (entry = map_next(&state->entries[NEED_CHATS], &cursor));)
        keep_chat(cache, entry);
    cursor = 0;
    for (struct pair_link *first; (first = map_next(&state->entries[NEED_STAYS], &cursor));) {
        for (struct pair_link *link = first; link; link = link->next)
            keep_stay(cache, (struct stay_entry *)link);
    }
}
