/* The batch's entries: found by key, made once. Owns the maps; the entries are the arena's. */
#include "db/state.h"

#include <string.h>

void state_init(struct state *state, struct arena *arena, const struct config *config, const struct cache *cache, struct keys *keys,
                struct owner_index *owner_index, struct id_generator *ids) {
    *state = (struct state){ .arena = arena, .config = config, .cache = cache, .keys = keys, .owner_index = owner_index, .ids = ids };
}

void state_release(struct state *state) {
    for (size_t i = 0; i < state->events.count; i++)
        frame_drop(((struct event_entry *)state->events.items[i])->frame);
    for (size_t i = 0; i < NEED_ENTRY_KINDS; i++)
        map_release(&state->entries[i]);
    map_release(&state->names);
    for (size_t i = 0; i < NEED_KINDS; i++)
        buf_release(&state->need[i]);
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

/* ---- Entries ---- */

#define BY_ID(entry, id) \
    { sizeof(struct entry), offsetof(struct entry, id), 0 }
#define BY_PAIR(entry, a, b) \
    { sizeof(struct entry), offsetof(struct entry, a), offsetof(struct entry, b) }

static const struct {
    size_t size;
    size_t a, b; /* where the numbers are by which it is found */
} kinds[NEED_ENTRY_KINDS] = {
    [NEED_USERS] = BY_ID(user_entry, user.id),
    [NEED_CHATS] = BY_ID(chat_entry, chat.id),
    [NEED_MESSAGES] = BY_ID(message_entry, message.id),
    [NEED_MEDIA] = BY_ID(media_entry, media.id),
    [NEED_LINKS] = BY_ID(link_entry, link.id),
    [NEED_SCHEDULED] = BY_ID(scheduled_entry, scheduled.id),
    [NEED_STAYS] = BY_PAIR(stay_entry, stay.chat_id, stay.user_id),
    [NEED_PAIRS] = BY_PAIR(pair_entry, low, high),
    [NEED_KEYS] = BY_PAIR(key_entry, user_id, key),
    [NEED_SIGHTS] = BY_PAIR(sight_entry, media_id, user_id),
    [NEED_REQUESTS] = BY_PAIR(request_entry, request.chat_id, request.user_id),
    [NEED_BANS] = BY_PAIR(ban_entry, ban.chat_id, ban.user_id),
    [NEED_REACTORS] = BY_PAIR(reactor_entry, message_id, user_id),
    [NEED_HIDDEN] = BY_PAIR(hidden_entry, user_id, message_id),
    [NEED_DRAFTS] = BY_PAIR(draft_entry, user_id, chat_id),
    [NEED_BLOCKS] = BY_PAIR(block_entry, block.user_id, block.blocked_id),
    [NEED_CONTACTS] = BY_PAIR(contact_entry, contact.user_id, contact.contact_id),
};

static uint64_t *number_at(void *entry, size_t offset) { return (uint64_t *)(void *)((char *)entry + offset); }

static void put(struct state *state, struct map *map, uint64_t key, void *entry) {
    if (map_put(map, key, entry) != OK)
        state->failed = true;
}

static void *make_entry(struct state *state, enum need kind, uint64_t id) {
    void *entry = state_alloc(state, kinds[kind].size);
    if (!entry)
        return NULL;
    *number_at(entry, kinds[kind].a) = id;
    put(state, &state->entries[kind], id, entry);
    return entry;
}

/* Made, and asked for, where there is none yet. */
static void *entry_of(struct state *state, enum need kind, uint64_t id) {
    void *entry = map_get(&state->entries[kind], id);
    if (entry || !(entry = make_entry(state, kind, id)))
        return entry;
    need_id(&state->need[kind], id);
    return entry;
}

/* Keys of maps that are found by two numbers: entries with the same mix are told apart by their chain. */
uint64_t state_mix(uint64_t a, uint64_t b) {
    uint64_t mixed = a * UINT64_C(0x9E3779B97F4A7C15) ^ (b + UINT64_C(0x7F4A7C15)) * UINT64_C(0xC2B2AE3D27D4EB4F);
    return mixed ? mixed : 1;
}

/* NULL: there is none. */
static void *find_pair(const struct state *state, enum need kind, uint64_t a, uint64_t b) {
    struct pair_link *link = map_get(&state->entries[kind], state_mix(a, b));
    while (link && (*number_at(link, kinds[kind].a) != a || *number_at(link, kinds[kind].b) != b))
        link = link->next;
    return link;
}

/* Made where there is none yet: `*ret_made`. */
static void *pair_of(struct state *state, enum need kind, uint64_t a, uint64_t b, bool *ret_made) {
    uint64_t key = state_mix(a, b);
    struct pair_link *link = find_pair(state, kind, a, b);
    *ret_made = false;
    if (link || !(link = state_alloc(state, kinds[kind].size)))
        return link;
    link->next = map_get(&state->entries[kind], key);
    *number_at(link, kinds[kind].a) = a;
    *number_at(link, kinds[kind].b) = b;
    put(state, &state->entries[kind], key, link);
    *ret_made = true;
    return link;
}

/* The same by two numbers. */
static void *entry_of_pair(struct state *state, enum need kind, uint64_t a, uint64_t b) {
    bool made;
    void *entry = pair_of(state, kind, a, b, &made);
    if (made)
        need_pair(&state->need[kind], a, b);
    return entry;
}

struct user_entry *state_user(struct state *state, uint64_t user_id) {
    return user_id ? entry_of(state, NEED_USERS, user_id) : state_alloc(state, sizeof(struct user_entry));
}

static const char *copy_text(struct state *state, const char *text) {
    const char *copy = text ? arena_string(state->arena, text) : NULL;
    if (text && !copy)
        state->failed = true;
    return copy;
}

/* Of the batch that is being written: what cache_keep() will make of it. The cache's texts may be others by then. */
static bool copy_chat(struct state *state, const struct chat_entry *from, struct chat_entry *entry) {
    if (!from->found || from->chat.deleted_ms)
        return false;
    entry->chat = from->chat;
    entry->chat.title = copy_text(state, from->chat.title);
    entry->chat.description = copy_text(state, from->chat.description);
    return true;
}

static bool know_chat(struct state *state, struct chat_entry *entry) {
    const struct chat_entry *before = state->before ? map_get(&state->before->entries[NEED_CHATS], entry->chat.id) : NULL;
    if (before)
        return copy_chat(state, before, entry);
    const struct chat *known = cache_chat(state->cache, entry->chat.id);
    if (known)
        entry->chat = *known;
    return known;
}

struct chat_entry *state_chat(struct state *state, uint64_t chat_id) {
    struct chat_entry *entry = map_get(&state->entries[NEED_CHATS], chat_id);
    if (entry || !(entry = make_entry(state, NEED_CHATS, chat_id)))
        return entry;
    entry->found = know_chat(state, entry);
    if (!entry->found)
        need_id(&state->need[NEED_CHATS], chat_id);
    return entry;
}

struct message_entry *state_message(struct state *state, uint64_t message_id) {
    return entry_of(state, NEED_MESSAGES, message_id);
}

struct media_entry *state_media(struct state *state, uint64_t media_id) {
    return media_id ? entry_of(state, NEED_MEDIA, media_id) : state_alloc(state, sizeof(struct media_entry));
}

struct link_entry *state_link(struct state *state, uint64_t link_id) {
    return entry_of(state, NEED_LINKS, link_id);
}

struct scheduled_entry *state_scheduled(struct state *state, uint64_t scheduled_id) {
    return entry_of(state, NEED_SCHEDULED, scheduled_id);
}

static const struct stay *known_stay(const struct state *state, uint64_t chat_id, uint64_t user_id) {
    const struct stay_entry *before = state->before ? find_pair(state->before, NEED_STAYS, chat_id, user_id) : NULL;
    if (before)
        return before->found ? &before->stay : NULL;
    return cache_stay(state->cache, chat_id, user_id);
}

struct stay_entry *state_stay(struct state *state, uint64_t chat_id, uint64_t user_id) {
    bool made;
    struct stay_entry *entry = pair_of(state, NEED_STAYS, chat_id, user_id, &made);
    if (!made)
        return entry;
    const struct stay *known = known_stay(state, chat_id, user_id);
    if (known)
        entry->stay = *known;
    else
        need_pair(&state->need[NEED_STAYS], chat_id, user_id);
    entry->found = known != NULL;
    return entry;
}

struct pair_entry *state_pair(struct state *state, uint64_t one, uint64_t other) {
    return one < other ? entry_of_pair(state, NEED_PAIRS, one, other) : entry_of_pair(state, NEED_PAIRS, other, one);
}

static void seek_key(struct state *state, struct key_entry *entry) {
    state_push(state, &state->sought_keys, entry);
    if (state->keys->has_older)
        need_pair(&state->need[NEED_KEYS], entry->user_id, entry->key);
}

static bool know_key(const struct state *state, struct key_entry *entry) {
    const struct key_entry *before = state->before ? find_pair(state->before, NEED_KEYS, entry->user_id, entry->key) : NULL;
    const struct known_key *known = keys_recent(state->keys, entry->user_id, entry->key, state->now_ms);
    bool is_before = before && before->result_id;
    if (!is_before && !known)
        return false;
    entry->result_id = is_before ? before->result_id : known->result_id;
    memcpy(entry->request, is_before ? before->request : known->request, sizeof entry->request);
    return true;
}

struct key_entry *state_key(struct state *state, uint64_t user_id, uint64_t key) {
    bool made;
    struct key_entry *entry = pair_of(state, NEED_KEYS, user_id, key, &made);
    if (made && !know_key(state, entry))
        seek_key(state, entry);
    return entry;
}

struct sight_entry *state_sight(struct state *state, uint64_t media_id, uint64_t user_id) {
    return entry_of_pair(state, NEED_SIGHTS, media_id, user_id);
}

struct request_entry *state_request(struct state *state, uint64_t chat_id, uint64_t user_id) {
    return entry_of_pair(state, NEED_REQUESTS, chat_id, user_id);
}

struct ban_entry *state_ban(struct state *state, uint64_t chat_id, uint64_t user_id) {
    return entry_of_pair(state, NEED_BANS, chat_id, user_id);
}

struct reactor_entry *state_reactor(struct state *state, uint64_t message_id, uint64_t user_id) {
    return entry_of_pair(state, NEED_REACTORS, message_id, user_id);
}

struct hidden_entry *state_hidden(struct state *state, uint64_t user_id, uint64_t message_id) {
    return entry_of_pair(state, NEED_HIDDEN, user_id, message_id);
}

struct draft_entry *state_draft(struct state *state, uint64_t user_id, uint64_t chat_id) {
    return entry_of_pair(state, NEED_DRAFTS, user_id, chat_id);
}

struct block_entry *state_block(struct state *state, uint64_t user_id, uint64_t blocked_id) {
    return entry_of_pair(state, NEED_BLOCKS, user_id, blocked_id);
}

struct contact_entry *state_contact(struct state *state, uint64_t user_id, uint64_t contact_id) {
    return entry_of_pair(state, NEED_CONTACTS, user_id, contact_id);
}

/* ---- By name ---- */

static uint64_t hash_name(const char *name) {
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash ? hash : 1;
}

struct user_entry *state_user_named(struct state *state, const char *username) {
    uint64_t hash = hash_name(username);
    struct buf *need = &state->need[NEED_NAMES];
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
    buf_char(need, need->size ? ',' : '[');
    json_quote(need, username, strlen(username));
    return entry;
}

/* ---- What is needed of entries besides ---- */

/* Notes that it is asked for; whether it is for the first time. */
static bool ask(uint64_t *needed, enum need need) {
    uint64_t bit = UINT64_C(1) << need;
    bool is_first = !(*needed & bit);
    *needed |= bit;
    return is_first;
}

static void need_of_user(struct state *state, enum need need, uint64_t user_id) {
    struct user_entry *entry = state_user(state, user_id);
    if (entry && ask(&entry->needed, need))
        need_id(&state->need[need], user_id);
}

void state_need_devices(struct state *state, uint64_t user_id) { need_of_user(state, NEED_DEVICES, user_id); }
void state_need_chat_count(struct state *state, uint64_t user_id) { need_of_user(state, NEED_CHAT_COUNTS, user_id); }
void state_need_pending_count(struct state *state, uint64_t user_id) { need_of_user(state, NEED_PENDING_COUNTS, user_id); }
void state_need_people_counts(struct state *state, uint64_t user_id) { need_of_user(state, NEED_PEOPLE_COUNTS, user_id); }

static void need_of_chat(struct state *state, enum need need, uint64_t chat_id) {
    struct chat_entry *entry = state_chat(state, chat_id);
    if (entry && ask(&entry->needed, need))
        need_id(&state->need[need], chat_id);
}

void state_need_link_count(struct state *state, uint64_t chat_id) { need_of_chat(state, NEED_LINK_COUNTS, chat_id); }
void state_need_request_count(struct state *state, uint64_t chat_id) { need_of_chat(state, NEED_REQUEST_COUNTS, chat_id); }
void state_need_ban_count(struct state *state, uint64_t chat_id) { need_of_chat(state, NEED_BAN_COUNTS, chat_id); }
void state_need_pins(struct state *state, uint64_t chat_id) { need_of_chat(state, NEED_PINS, chat_id); }

void state_need_former(struct state *state, uint64_t chat_id, uint64_t user_id) {
    struct stay_entry *entry = state_stay(state, chat_id, user_id);
    if (entry && !entry->found && ask(&entry->needed, NEED_FORMER))
        need_pair(&state->need[NEED_FORMER], chat_id, user_id);
}

void state_need_scheduled_count(struct state *state, uint64_t chat_id, uint64_t user_id) {
    struct stay_entry *entry = state_stay(state, chat_id, user_id);
    if (entry && ask(&entry->needed, NEED_SCHEDULED_COUNTS))
        need_pair(&state->need[NEED_SCHEDULED_COUNTS], chat_id, user_id);
}

void state_need_attached(struct state *state, uint64_t message_id) {
    struct message_entry *entry = state_message(state, message_id);
    if (entry && ask(&entry->needed, NEED_ATTACHED))
        need_id(&state->need[NEED_ATTACHED], message_id);
}

/* ---- Without the database ---- */

bool state_needs_nothing(struct state *state) {
    keys_drop_new(state);
    bool needs_nothing = !state->failed && state->sought_keys.count == 0;
    for (enum need i = 0; needs_nothing && i < NEED_KINDS; i++)
        needs_nothing = state->need[i].size == 0;
    return needs_nothing;
}

void state_forget_needs(struct state *state) {
    for (enum need i = 0; i < NEED_KINDS; i++)
        buf_clear(&state->need[i]);
}
