/* The batch's entries: found by key, made once. Owns the maps; the entries are the arena's. */
#include "db/state.h"

#include <string.h>

void state_init(struct state *state, struct arena *arena, const struct config *config, const struct cache *cache,
                struct id_generator *ids) {
    *state = (struct state){ .arena = arena, .config = config, .cache = cache, .ids = ids };
}

void state_release(struct state *state) {
    for (size_t i = 0; i < state->events.count; i++)
        frame_drop(((struct event_entry *)state->events.items[i])->frame);
    struct map *maps[] = { &state->users,    &state->names,  &state->chats,  &state->stays,     &state->pairs,    &state->messages,
                           &state->keys,     &state->media,  &state->sights, &state->links,     &state->requests, &state->bans,
                           &state->reactors, &state->hidden, &state->drafts, &state->scheduled, &state->blocks,   &state->contacts };
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        map_release(maps[i]);
    struct buf *bufs[] = {
        &state->need_users,    &state->need_names,          &state->need_devices,  &state->need_counts,     &state->need_pending,
        &state->need_chats,    &state->need_stays,          &state->need_pairs,    &state->need_messages,   &state->need_keys,
        &state->need_media,    &state->need_attached,       &state->need_sights,   &state->need_links,      &state->need_link_counts,
        &state->need_requests, &state->need_request_counts, &state->need_bans,     &state->need_ban_counts, &state->need_reactors,
        &state->need_pins,     &state->need_hidden,         &state->need_drafts,   &state->need_scheduled,  &state->need_scheduled_counts,
        &state->need_former,   &state->need_blocks,         &state->need_contacts, &state->need_people
    };
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_release(bufs[i]);
}

void *state_alloc(struct state *state, size_t size) {
    void *memory = arena_alloc(state->arena, size);
    if (!memory)
        state->failed = true;
    return memory;
}

void state_push(struct state *state, struct vec *vec, void *item) {
    if (vec->count == vec->capacity) {
        size_t capacity = vec->capacity ? vec->capacity * 2 : 32;
        void **items = state_alloc(state, capacity * sizeof *items);
        if (!items)
            return;
        if (vec->count)
            memcpy(items, vec->items, vec->count * sizeof *items);
        vec->items = items;
        vec->capacity = capacity;
    }
    vec->items[vec->count++] = item;
}

static void put(struct state *state, struct map *map, uint64_t key, void *entry) {
    if (map_put(map, key, entry) != OK)
        state->failed = true;
}

/* The JSON arrays start at their first element and get their closing bracket from state_load(). */
static void need_id(struct buf *need, uint64_t id) {
    buf_char(need, need->size ? ',' : '[');
    buf_u64(need, id);
}

static void need_pair(struct buf *need, uint64_t a, uint64_t b) {
    buf_char(need, need->size ? ',' : '[');
    buf_char(need, '[');
    buf_u64(need, a);
    buf_char(need, ',');
    buf_u64(need, b);
    buf_char(need, ']');
}

/* Keys of maps that are found by two numbers: entries with the same mix are told apart by their chain. */
uint64_t state_mix(uint64_t a, uint64_t b) {
    uint64_t mixed = a * UINT64_C(0x9E3779B97F4A7C15) ^ (b + UINT64_C(0x7F4A7C15)) * UINT64_C(0xC2B2AE3D27D4EB4F);
    return mixed ? mixed : 1;
}

struct user_entry *state_user(struct state *state, uint64_t user_id) {
    struct user_entry *entry = user_id ? map_get(&state->users, user_id) : NULL;
    if (entry || !(entry = state_alloc(state, sizeof *entry)))
        return entry;
    entry->user.id = user_id;
    if (user_id) {
        put(state, &state->users, user_id, entry);
        need_id(&state->need_users, user_id);
    }
    return entry;
}

static uint64_t hash_name(const char *name) {
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash ? hash : 1;
}

struct user_entry *state_user_named(struct state *state, const char *username) {
    uint64_t hash = hash_name(username);
    struct user_entry *first = map_get(&state->names, hash);
    for (struct user_entry *entry = first; entry; entry = entry->next_of_name) {
        if (strcmp(entry->user.username, username) == 0)
            return entry;
    }
    struct user_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    entry->user.username = username;
    entry->next_of_name = first;
    put(state, &state->names, hash, entry);
    buf_char(&state->need_names, state->need_names.size ? ',' : '[');
    json_quote(&state->need_names, username, strlen(username));
    return entry;
}

void state_need_devices(struct state *state, uint64_t user_id) {
    struct user_entry *entry = state_user(state, user_id);
    if (!entry || entry->devices_needed)
        return;
    entry->devices_needed = true;
    need_id(&state->need_devices, user_id);
}

void state_need_chat_count(struct state *state, uint64_t user_id) {
    struct user_entry *entry = state_user(state, user_id);
    if (!entry || entry->count_needed)
        return;
    entry->count_needed = true;
    need_id(&state->need_counts, user_id);
}

void state_need_pending_count(struct state *state, uint64_t user_id) {
    struct user_entry *entry = state_user(state, user_id);
    if (!entry || entry->pending_needed)
        return;
    entry->pending_needed = true;
    need_id(&state->need_pending, user_id);
}

struct chat_entry *state_chat(struct state *state, uint64_t chat_id) {
    struct chat_entry *entry = map_get(&state->chats, chat_id);
    if (entry || !(entry = state_alloc(state, sizeof *entry)))
        return entry;
    entry->chat.id = chat_id;
    put(state, &state->chats, chat_id, entry);
    const struct chat *known = cache_chat(state->cache, chat_id);
    if (known)
        *entry = (struct chat_entry){ .chat = *known, .found = true };
    else
        need_id(&state->need_chats, chat_id);
    return entry;
}

struct stay_entry *state_stay(struct state *state, uint64_t chat_id, uint64_t user_id) {
    uint64_t key = state_mix(chat_id, user_id);
    struct stay_entry *first = map_get(&state->stays, key);
    for (struct stay_entry *entry = first; entry; entry = entry->next) {
        if (entry->stay.chat_id == chat_id && entry->stay.user_id == user_id)
            return entry;
    }
    struct stay_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    const struct stay *known = cache_stay(state->cache, chat_id, user_id);
    entry->stay = known ? *known : (struct stay){ .chat_id = chat_id, .user_id = user_id };
    entry->found = known != NULL;
    entry->next = first;
    put(state, &state->stays, key, entry);
    if (!known)
        need_pair(&state->need_stays, chat_id, user_id);
    return entry;
}

void state_need_former(struct state *state, uint64_t chat_id, uint64_t user_id) {
    struct stay_entry *entry = state_stay(state, chat_id, user_id);
    if (!entry || entry->found || entry->former_needed)
        return;
    entry->former_needed = true;
    need_pair(&state->need_former, chat_id, user_id);
}

struct link_entry *state_link(struct state *state, uint64_t link_id) {
    struct link_entry *entry = map_get(&state->links, link_id);
    if (entry || !(entry = state_alloc(state, sizeof *entry)))
        return entry;
    entry->link.id = link_id;
    put(state, &state->links, link_id, entry);
    need_id(&state->need_links, link_id);
    return entry;
}

void state_need_link_count(struct state *state, uint64_t chat_id) {
    struct chat_entry *entry = state_chat(state, chat_id);
    if (!entry || entry->links_needed)
        return;
    entry->links_needed = true;
    need_id(&state->need_link_counts, chat_id);
}

struct request_entry *state_request(struct state *state, uint64_t chat_id, uint64_t user_id) {
    uint64_t key = state_mix(chat_id, user_id);
    struct request_entry *first = map_get(&state->requests, key);
    for (struct request_entry *entry = first; entry; entry = entry->next) {
        if (entry->request.chat_id == chat_id && entry->request.user_id == user_id)
            return entry;
    }
    struct request_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct request_entry){ .request = { .chat_id = chat_id, .user_id = user_id }, .next = first };
    put(state, &state->requests, key, entry);
    need_pair(&state->need_requests, chat_id, user_id);
    return entry;
}

struct ban_entry *state_ban(struct state *state, uint64_t chat_id, uint64_t user_id) {
    uint64_t key = state_mix(chat_id, user_id);
    struct ban_entry *first = map_get(&state->bans, key);
    for (struct ban_entry *entry = first; entry; entry = entry->next) {
        if (entry->ban.chat_id == chat_id && entry->ban.user_id == user_id)
            return entry;
    }
    struct ban_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct ban_entry){ .ban = { .chat_id = chat_id, .user_id = user_id }, .next = first };
    put(state, &state->bans, key, entry);
    need_pair(&state->need_bans, chat_id, user_id);
    return entry;
}

void state_need_ban_count(struct state *state, uint64_t chat_id) {
    struct chat_entry *entry = state_chat(state, chat_id);
    if (!entry || entry->bans_needed)
        return;
    entry->bans_needed = true;
    need_id(&state->need_ban_counts, chat_id);
}

void state_need_request_count(struct state *state, uint64_t chat_id) {
    struct chat_entry *entry = state_chat(state, chat_id);
    if (!entry || entry->requests_needed)
        return;
    entry->requests_needed = true;
    need_id(&state->need_request_counts, chat_id);
}

void state_need_pins(struct state *state, uint64_t chat_id) {
    struct chat_entry *entry = state_chat(state, chat_id);
    if (!entry || entry->pins_needed)
        return;
    entry->pins_needed = true;
    need_id(&state->need_pins, chat_id);
}

struct pair_entry *state_pair(struct state *state, uint64_t one, uint64_t other) {
    uint64_t low = one < other ? one : other;
    uint64_t high = one < other ? other : one;
    uint64_t key = state_mix(low, high);
    struct pair_entry *first = map_get(&state->pairs, key);
    for (struct pair_entry *entry = first; entry; entry = entry->next) {
        if (entry->low == low && entry->high == high)
            return entry;
    }
    struct pair_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct pair_entry){ .low = low, .high = high, .next = first };
    put(state, &state->pairs, key, entry);
    need_pair(&state->need_pairs, low, high);
    return entry;
}

struct message_entry *state_message(struct state *state, uint64_t message_id) {
    struct message_entry *entry = map_get(&state->messages, message_id);
    if (entry || !(entry = state_alloc(state, sizeof *entry)))
        return entry;
    entry->message.id = message_id;
    put(state, &state->messages, message_id, entry);
    need_id(&state->need_messages, message_id);
    return entry;
}

struct key_entry *state_key(struct state *state, uint64_t user_id, uint64_t key) {
    uint64_t mixed = state_mix(user_id, key);
    struct key_entry *first = map_get(&state->keys, mixed);
    for (struct key_entry *entry = first; entry; entry = entry->next) {
        if (entry->user_id == user_id && entry->key == key)
            return entry;
    }
    struct key_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct key_entry){ .user_id = user_id, .key = key, .next = first };
    put(state, &state->keys, mixed, entry);
    need_pair(&state->need_keys, user_id, key);
    return entry;
}

struct media_entry *state_media(struct state *state, uint64_t media_id) {
    struct media_entry *entry = media_id ? map_get(&state->media, media_id) : NULL;
    if (entry || !(entry = state_alloc(state, sizeof *entry)))
        return entry;
    entry->media.id = media_id;
    if (media_id) {
        put(state, &state->media, media_id, entry);
        need_id(&state->need_media, media_id);
    }
    return entry;
}

void state_need_attached(struct state *state, uint64_t message_id) {
    struct message_entry *entry = state_message(state, message_id);
    if (!entry || entry->attached_needed)
        return;
    entry->attached_needed = true;
    need_id(&state->need_attached, message_id);
}

struct sight_entry *state_sight(struct state *state, uint64_t media_id, uint64_t user_id) {
    uint64_t mixed = state_mix(media_id, user_id);
    struct sight_entry *first = map_get(&state->sights, mixed);
    for (struct sight_entry *entry = first; entry; entry = entry->next) {
        if (entry->media_id == media_id && entry->user_id == user_id)
            return entry;
    }
    struct sight_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct sight_entry){ .media_id = media_id, .user_id = user_id, .next = first };
    put(state, &state->sights, mixed, entry);
    need_pair(&state->need_sights, media_id, user_id);
    return entry;
}

struct reactor_entry *state_reactor(struct state *state, uint64_t message_id, uint64_t user_id) {
    uint64_t mixed = state_mix(message_id, user_id);
    struct reactor_entry *first = map_get(&state->reactors, mixed);
    for (struct reactor_entry *entry = first; entry; entry = entry->next) {
        if (entry->message_id == message_id && entry->user_id == user_id)
            return entry;
    }
    struct reactor_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct reactor_entry){ .message_id = message_id, .user_id = user_id, .next = first };
    put(state, &state->reactors, mixed, entry);
    need_pair(&state->need_reactors, message_id, user_id);
    return entry;
}

struct hidden_entry *state_hidden(struct state *state, uint64_t user_id, uint64_t message_id) {
    uint64_t mixed = state_mix(user_id, message_id);
    struct hidden_entry *first = map_get(&state->hidden, mixed);
    for (struct hidden_entry *entry = first; entry; entry = entry->next) {
        if (entry->user_id == user_id && entry->message_id == message_id)
            return entry;
    }
    struct hidden_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct hidden_entry){ .user_id = user_id, .message_id = message_id, .next = first };
    put(state, &state->hidden, mixed, entry);
    need_pair(&state->need_hidden, user_id, message_id);
    return entry;
}

struct block_entry *state_block(struct state *state, uint64_t user_id, uint64_t blocked_id) {
    uint64_t mixed = state_mix(user_id, blocked_id);
    struct block_entry *first = map_get(&state->blocks, mixed);
    for (struct block_entry *entry = first; entry; entry = entry->next) {
        if (entry->block.user_id == user_id && entry->block.blocked_id == blocked_id)
            return entry;
    }
    struct block_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct block_entry){ .block = { .user_id = user_id, .blocked_id = blocked_id }, .next = first };
    put(state, &state->blocks, mixed, entry);
    need_pair(&state->need_blocks, user_id, blocked_id);
    return entry;
}

struct contact_entry *state_contact(struct state *state, uint64_t user_id, uint64_t contact_id) {
    uint64_t mixed = state_mix(user_id, contact_id);
    struct contact_entry *first = map_get(&state->contacts, mixed);
    for (struct contact_entry *entry = first; entry; entry = entry->next) {
        if (entry->contact.user_id == user_id && entry->contact.contact_id == contact_id)
            return entry;
    }
    struct contact_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct contact_entry){ .contact = { .user_id = user_id, .contact_id = contact_id }, .next = first };
    put(state, &state->contacts, mixed, entry);
    need_pair(&state->need_contacts, user_id, contact_id);
    return entry;
}

void state_need_people_counts(struct state *state, uint64_t user_id) {
    struct user_entry *entry = state_user(state, user_id);
    if (!entry || entry->people_needed)
        return;
    entry->people_needed = true;
    need_id(&state->need_people, user_id);
}

struct draft_entry *state_draft(struct state *state, uint64_t user_id, uint64_t chat_id) {
    uint64_t mixed = state_mix(user_id, chat_id);
    struct draft_entry *first = map_get(&state->drafts, mixed);
    for (struct draft_entry *entry = first; entry; entry = entry->next) {
        if (entry->user_id == user_id && entry->chat_id == chat_id)
            return entry;
    }
    struct draft_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct draft_entry){ .user_id = user_id, .chat_id = chat_id, .next = first };
    put(state, &state->drafts, mixed, entry);
    need_pair(&state->need_drafts, user_id, chat_id);
    return entry;
}

struct scheduled_entry *state_scheduled(struct state *state, uint64_t scheduled_id) {
    struct scheduled_entry *entry = map_get(&state->scheduled, scheduled_id);
    if (entry || !(entry = state_alloc(state, sizeof *entry)))
        return entry;
    entry->scheduled.id = scheduled_id;
    put(state, &state->scheduled, scheduled_id, entry);
    need_id(&state->need_scheduled, scheduled_id);
    return entry;
}

void state_need_scheduled_count(struct state *state, uint64_t chat_id, uint64_t user_id) {
    struct stay_entry *entry = state_stay(state, chat_id, user_id);
    if (!entry || entry->scheduled_needed)
        return;
    entry->scheduled_needed = true;
    need_pair(&state->need_scheduled_counts, chat_id, user_id);
}
