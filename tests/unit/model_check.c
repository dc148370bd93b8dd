#include "model_check.h"

#include "core/clock.h"
#include "core/id.h"
#include "db_support.h"

#define CHECK_ARENA_BYTES (64 * 1024 * 1024)
#define FIELD_SIZE 256

uint64_t roll(struct dice *dice, uint64_t bound) { /* splitmix64 */
    uint64_t mixed = dice->state += UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return (mixed ^ mixed >> 31) % bound;
}

/* ---- JSON, as far as it is needed to look for fields -------------------------------------------------------------------------------- */

/* A part of a frame, and what it is a part of. */
struct json {
    const char *bytes;
    size_t size;
    const struct frame *frame;
};

static struct json whole(const struct frame *frame) { return (struct json){ frame->bytes, frame->size, frame }; }

static struct json object(const struct frame *frame) { return (struct json){ frame->bytes + frame->object, frame->object_size, frame }; }

static bool has(const struct json *json, const char *text) { return memmem(json->bytes, json->size, text, strlen(text)) != NULL; }

/* Formats "name":value and looks for it as a whole. */
PRINTF_LIKE(2, 3) static void check_field(const struct json *json, const char *format, ...) {
    char field[FIELD_SIZE], closed[FIELD_SIZE + 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(field, sizeof field, format, arguments);
    va_end(arguments);
    snprintf(closed, sizeof closed, "%s,", field);
    if (has(json, closed))
        return;
    snprintf(closed, sizeof closed, "%s}", field);
    if (!has(json, closed))
        fail_msg("expected %s in %.*s", field, (int)json->frame->size, json->frame->bytes);
}

static void check_absent(const struct json *json, const char *text) {
    if (has(json, text))
        fail_msg("unexpected %s in %.*s", text, (int)json->frame->size, json->frame->bytes);
}

static void check_id(const struct json *json, const char *name, uint64_t id) {
    check_field(json, "\"%s\":\"%llu\"", name, (unsigned long long)id);
}

static void check_number(const struct json *json, const char *name, uint64_t number) {
    check_field(json, "\"%s\":%llu", name, (unsigned long long)number);
}

static void check_string(const struct json *json, const char *name, const char *value) { check_field(json, "\"%s\":\"%s\"", name, value); }

static void check_time(const struct json *json, const char *name, int64_t time_ms) {
    char text[CLOCK_RFC3339_SIZE];
    clock_format(time_ms, text);
    check_string(json, name, text);
}

static void check_hash(const struct json *json, const char *name, const uint8_t hash[HASH128_SIZE]) {
    char text[2 * HASH128_SIZE + 1];
    for (size_t i = 0; i < HASH128_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    check_string(json, name, text);
}

/* Texts may be longer than a field. */
static void check_text(const struct json *json, const char *text, size_t size) {
    const char *start = memmem(json->bytes, json->size, "\"text\":\"", 8);
    assert_non_null(start);
    start += 8;
    assert_true(start + size < json->bytes + json->size);
    assert_memory_equal(start, text, size);
    assert_int_equal(start[size], '"');
}

void read_salt(const struct frame *frame, uint8_t out[HASH128_SIZE]) {
    struct json json = object(frame);
    const char *salt = memmem(json.bytes, json.size, "\"salt\":\"", 8);
    assert_non_null(salt);
    for (size_t i = 0; i < HASH128_SIZE; i++) {
        unsigned byte;
        assert_int_equal(sscanf(salt + 8 + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
}

/* ---- Frames ------------------------------------------------------------------------------------------------------------------------- */

static void check_blank(const struct json *json) {
    check_absent(json, "\"text\":");
    check_absent(json, "\"attachments\":");
    check_absent(json, "\"expires_at\":");
    check_absent(json, "\"client_key\":");
    check_absent(json, "\"salt\":");
}

void check_gone(uint64_t message_id, const struct frame *frame) {
    struct json json = object(frame);
    check_id(&json, "id", message_id);
    check_field(&json, "\"deleted\":true");
    check_absent(&json, "\"chain\":");
    check_blank(&json);
}

void check_repeated(const struct message *message, const struct frame *frame) {
    struct json json = object(frame);
    check_id(&json, "id", message->id);
    check_id(&json, "chat_id", message->chat_id);
    check_id(&json, "sender_id", message->sender_id);
    check_number(&json, "seq", message->seq);
    check_time(&json, "created_at", message->created_ms);
    check_hash(&json, "chain", message->chain);
}

static void check_body_hash(const struct json *json, const struct message *message) {
    uint8_t hash[HASH128_SIZE];
    model_body_hash(message, hash);
    check_hash(json, "body_hash", hash);
}

static void check_attachments(const struct json *json, const struct message *message) {
    char *list;
    if (!message->attachments)
        return check_absent(json, "\"attachments\":");
    assert_true(asprintf(&list, "\"attachments\":[%s]", message->attachments) > 0);
    if (!has(json, list))
        fail_msg("expected %s in %.*s", list, (int)json->size, json->bytes);
    free(list);
}

static void check_shown(const struct json *json, const struct message *message) {
    check_text(json, message->text, message->text_size);
    check_attachments(json, message);
    assert_int_equal(json->frame->expires_ms, message->expires_ms);
    if (message->expires_ms)
        check_time(json, "expires_at", message->expires_ms);
    else
        check_absent(json, "\"expires_at\":");
    if (message->client_key)
        check_string(json, "client_key", message->client_key);
    else
        check_absent(json, "\"client_key\":");
    if (message->edited_ms)
        check_time(json, "edited_at", message->edited_ms);
    check_hash(json, message->original ? "salt" : "body_hash", message->seal);
    check_absent(json, "\"deleted\":");
    check_absent(json, "\"withheld\":");
}

static void check_withheld(const struct frame *frame, const struct message *message) {
    struct json json = object(frame);
    check_repeated(message, frame);
    check_number(&json, "rev", message->rev);
    check_blank(&json);
    check_body_hash(&json, message);
    if (!message->deleted_ms)
        check_field(&json, "\"withheld\":true");
}

static void check_message_frame(const struct model *model, const struct model_event *event, const struct frame *frame,
                                const struct span *span) {
    struct json json = object(frame);
    const struct model_message *entry = model_any_message(model, event->event.ref_id);
    const struct message *message = &entry->message;
    int64_t gone_ms = model_gone_ms(model, entry);
    if (entry->removed || message->created_ms <= model_cutoff_ms(model)) {
        check_gone(message->id, frame);
        return check_number(&json, "seq", message->seq);
    }
    check_repeated(message, frame);
    check_number(&json, "rev", message->rev);
    assert_true(frame->changed_id == message->changed_id);
    if (gone_ms) {
        check_field(&json, "\"deleted\":true");
        check_time(&json, "deleted_at", gone_ms);
        assert_int_equal(frame->expires_ms, 0);
        check_blank(&json);
        check_body_hash(&json, message);
    } else if (message->changed_id > span->high || message->id < span->low) {
        check_withheld(frame, message);
    } else {
        check_shown(&json, message);
    }
}

static void check_chat_body(const struct model_event *event, const struct frame *frame) {
    struct json json = whole(frame);
    const struct chat *chat = &event->chat;
    if (chat->title)
        check_string(&json, "title", chat->title);
    check_string(&json, "history", chat->history == HISTORY_ALL ? "all" : "from_join");
    check_number(&json, "last_rev", chat->last_rev);
    check_number(&json, "last_seq", chat->last_seq);
    check_number(&json, "member_count", chat->member_count);
    check_number(&json, "message_ttl_s", (uint64_t)chat->message_ttl_ms / 1000);
    check_field(&json, "\"until_delivered\":%s", chat->until_delivered ? "true" : "false");
    check_absent(&json, "\"my_role\":");
    if (event->event.type == EVENT_MEMBER_ADDED || event->event.type == EVENT_MEMBER_UPDATED) {
        check_id(&json, "user_id", event->member.user_id);
        check_string(&json, "role", role_name(event->member.role));
        check_time(&json, "joined_at", event->member.joined_ms);
    }
}

static void check_chat_frame(const struct model *model, const struct model_event *event, const struct frame *frame) {
    struct json json = whole(frame);
    const struct model_chat *chat = model_chat(model, event->event.owner_id);
    if (event->event.type == EVENT_CHAT_DELETED || chat->purged)
        check_absent(&json, "\"chat\":");
    else if (event->event.type == EVENT_MEMBER_REMOVED)
        check_id(&json, "user_id", event->member.user_id);
    else
        check_chat_body(event, frame);
}

static void check_user_frame(const struct model *model, const struct model_event *event, const struct frame *frame) {
    struct json json = whole(frame);
    check_absent(&json, "\"chat_id\":");
    if (event->event.type == EVENT_USER_UPDATED)
        return check_string(&json, "display_name", event->name);
    check_id(&json, "id", event->event.ref_id);
    assert_int_equal(frame->removal, event->event.removal);
    if (event->event.type == EVENT_DEVICE_REMOVED)
        check_string(&json, "reason", removal_name(event->event.removal));
    else
        check_string(&json, "name", model_device(model, event->event.ref_id)->device.name);
}

void check_frame(const struct model *model, const struct model_event *entry, const struct frame *frame, const struct span *span) {
    const struct event *event = &entry->event;
    char head[128];
    int size = snprintf(head, sizeof head, "event: %s\nid: %llu\ndata: {\"type\":\"%s\"", event_type_name(event->type),
                        (unsigned long long)event->id, event_type_name(event->type));
    if (frame->id != event->id || memcmp(frame->bytes, head, (size_t)size) != 0)
        fail_msg("expected %s, got %.*s", head, (int)frame->size, frame->bytes);
    assert_int_equal(frame->type, event->type);
    assert_int_equal(frame->owner_id, event->owner_id);
    assert_int_equal(frame->ref_id, event->ref_id);
    assert_memory_equal(frame->bytes + frame->size - 3, "}\n\n", 3);
    if (event_is_user(event->type))
        return check_user_frame(model, entry, frame);
    struct json json = whole(frame);
    check_id(&json, "chat_id", event->owner_id);
    check_id(&json, "actor_id", event->actor_id);
    check_number(&json, "rev", event->rev);
    if (event_is_message(event->type))
        check_message_frame(model, entry, frame, span);
    else
        check_chat_frame(model, entry, frame);
}

/* ---- Feeds and the log -------------------------------------------------------------------------------------------------------------- */

struct check {
    const struct model *model;
    struct reader *reader;
    struct dice *dice;
    struct arena arena;
};

/* Whether an event belongs to the feed of a user, and within what span. */
static bool sees(const struct model *model, uint64_t user_id, const struct event *event, struct span *ret_span) {
    *ret_span = (struct span){ 0, STAY_OPEN };
    if (event_is_user(event->type))
        return event->owner_id == user_id;
    for (size_t i = 0; i < model->stay_count; i++) {
        const struct stay *stay = &model->stays[i].stay;
        if (stay->user_id != user_id || stay->chat_id != event->owner_id || event->id < stay->joined_id || event->id > stay->left_id)
            continue;
        *ret_span = (struct span){ stay->joined_id, stay->left_id };
        return true;
    }
    return false;
}

/* The first event after `after_id`. */
static size_t event_after(const struct model *model, uint64_t after_id) {
    size_t i = model->first_event;
    while (i < model->event_count && model->events[i].event.id <= after_id)
        i++;
    return i;
}

/* One page of a feed; `next` is the first event that it may hold. */
static size_t check_feed_page(struct check *check, uint64_t user_id, const struct feed_page *page, size_t next) {
    const struct model *model = check->model;
    struct span span;
    for (size_t i = 0; i < page->count; i++, next++) {
        while (next < model->event_count && !sees(model, user_id, &model->events[next].event, &span))
            next++;
        if (next == model->event_count)
            fail_msg("not in the feed: %.*s", (int)page->frames[i]->size, page->frames[i]->bytes);
        check_frame(model, &model->events[next], page->frames[i], &span);
        assert_null(page->frames[i]->withheld);
    }
    for (; next < model->event_count && model->events[next].event.id <= page->last_id; next++) {
        if (sees(model, user_id, &model->events[next].event, &span))
            fail_msg("missing in the feed of %llu: event %llu", (unsigned long long)user_id,
                     (unsigned long long)model->events[next].event.id);
    }
    return next;
}

static void check_feed(struct check *check, uint64_t user_id, uint64_t after_id) {
    struct feed_page page = { .last_id = after_id };
    uint64_t head = 0;
    size_t next = event_after(check->model, after_id);
    assert_int_equal(read_begin(check->reader, &head), OK);
    assert_int_equal(head, check->model->head);
    do {
        uint64_t before = page.last_id;
        assert_int_equal(read_feed(check->reader, user_id, before, &page), OK);
        next = check_feed_page(check, user_id, &page, next);
        assert_true(page.complete || page.last_id > before);
        feed_page_release(&page);
    } while (!page.complete);
    read_end(check->reader);
    assert_int_equal(next, check->model->event_count);
}

static void check_log_extras(const struct model *model, const struct model_event *event, const struct frame *frame) {
    const struct model_message *message = event->event.type == EVENT_MESSAGE_EDITED ? model_message(model, event->event.ref_id) : NULL;
    if (message && message->message.created_ms > model_cutoff_ms(model)) {
        struct json json = object(frame->withheld);
        check_blank(&json);
    }
    if (event->event.type != EVENT_CHAT_CREATED)
        return;
    size_t members = 0;
    for (size_t i = 0; i < model->stay_count; i++)
        members += model->stays[i].stay.chat_id == event->event.owner_id && model->stays[i].stay.joined_id == event->event.id;
    assert_int_equal(frame->member_count, members);
}

/* What all may be given who were members at the event: nothing of a change that came after one of them had left. */
static struct span shown_to_all(const struct model *model, const struct event *event) {
    const struct span all = { 0, STAY_OPEN };
    if (!event_is_message(event->type))
        return all;
    struct message message = model_shown(model, model_any_message(model, event->ref_id));
    for (size_t i = 0; i < model->stay_count && message.deleted_ms == 0; i++) {
        const struct stay *stay = &model->stays[i].stay;
        if (stay->chat_id == event->owner_id && stay->left_id > event->id && stay->left_id < message.changed_id)
            return (struct span){ 0, event->id };
    }
    return all;
}

static void check_log(struct check *check, uint64_t after_id) {
    struct feed_page page = { .last_id = after_id };
    const struct model *model = check->model;
    size_t next = event_after(model, after_id);
    do {
        assert_int_equal(read_log(check->reader, page.last_id, &page), OK);
        for (size_t i = 0; i < page.count; i++, next++) {
            assert_true(next < model->event_count);
            struct span span = shown_to_all(model, &model->events[next].event);
            check_frame(model, &model->events[next], page.frames[i], &span);
            check_log_extras(model, &model->events[next], page.frames[i]);
        }
        assert_true(page.complete || page.count > 0);
        feed_page_release(&page);
    } while (!page.complete);
    assert_int_equal(next, model->event_count);
}

static void check_token(struct check *check, uint64_t id, enum token_state expected) {
    enum token_state verdict;
    assert_int_equal(read_token(check->reader, id, &verdict), OK);
    assert_int_equal(verdict, expected);
}

static void check_tokens(struct check *check) {
    const struct model *model = check->model;
    check_token(check, model->head, TOKEN_GOOD);
    check_token(check, model->floor, TOKEN_GOOD);
    check_token(check, model->head + (UINT64_C(1) << ID_TAG_BITS), TOKEN_FUTURE);
    if (model->floor > 0)
        check_token(check, 0, TOKEN_EXPIRED);
    if (model->floor > UINT64_C(1) << ID_TAG_BITS)
        check_token(check, model->floor - (UINT64_C(1) << ID_TAG_BITS), TOKEN_EXPIRED);
    if (model->first_event == model->event_count)
        return;
    uint64_t id = model->events[model->first_event + roll(check->dice, model->event_count - model->first_event)].event.id;
    check_token(check, id, TOKEN_GOOD);
    check_token(check, id ^ 1, TOKEN_FORK);
}

/* Where a stream may begin: nowhere, below the floor, anywhere, at the head. */
static uint64_t any_position(struct check *check) {
    const struct model *model = check->model;
    size_t below = model->event_count + 2;
    size_t at = roll(check->dice, below);
    return at < model->event_count ? model->events[at].event.id : at == model->event_count ? 0 : model->floor;
}

/* ---- Chats -------------------------------------------------------------------------------------------------------------------------- */

static void check_chat(const struct chat *chat, const struct chat *expected) {
    assert_int_equal(chat->id, expected->id);
    assert_int_equal(chat->type, expected->type);
    assert_int_equal(chat->history, expected->history);
    assert_int_equal(chat->created_by, expected->created_by);
    assert_int_equal(chat->created_ms, expected->created_ms);
    assert_int_equal(chat->last_id, expected->last_id);
    assert_int_equal(chat->last_rev, expected->last_rev);
    assert_int_equal(chat->last_seq, expected->last_seq);
    assert_int_equal(chat->changed_rev, expected->changed_rev);
    assert_int_equal(chat->member_count, expected->member_count);
    assert_int_equal(chat->owner_count, expected->owner_count);
    assert_int_equal(chat->message_ttl_ms, expected->message_ttl_ms);
    assert_int_equal(chat->until_delivered, expected->until_delivered);
    assert_memory_equal(chat->chain, expected->chain, HASH128_SIZE);
    if (expected->title)
        assert_string_equal(chat->title, expected->title);
    else
        assert_null(chat->title);
}

/* The list of members, page by page; it is what the chat's counts say, and a group has an owner. */
static void check_members(struct check *check, uint64_t user_id, const struct chat *chat) {
    uint64_t after_id = 0;
    size_t total = 0, owners = 0, count, limit = 1 + roll(check->dice, 4);
    do {
        struct stay *stays = NULL;
        assert_int_equal(read_members(check->reader, user_id, chat->id, after_id, limit, &check->arena, &stays, &count), OK);
        for (size_t i = 0; i < count; i++) {
            const struct stay *expected = model_membership(check->model, chat->id, stays[i].user_id);
            assert_true(expected && stays[i].user_id > after_id);
            assert_int_equal(stays[i].role, expected->role);
            assert_int_equal(stays[i].joined_id, expected->joined_id);
            assert_int_equal(stays[i].joined_ms, expected->joined_ms);
            owners += stays[i].role == ROLE_OWNER;
            after_id = stays[i].user_id;
        }
        total += count;
    } while (count == limit);
    assert_int_equal(total, chat->member_count);
    assert_int_equal(owners, chat->owner_count);
    assert_true(owners > 0 || chat->type == CHAT_DIRECT);
}

/* The list of chats, page by page, most recent activity first. */
static void check_chat_list(struct check *check, uint64_t user_id) {
    size_t expected = 0, total = 0, count, limit = 1 + roll(check->dice, 5);
    uint64_t before_id = 0;
    bool more = false;
    for (size_t i = 0; i < check->model->stay_count; i++)
        expected += check->model->stays[i].stay.user_id == user_id && check->model->stays[i].stay.left_id == STAY_OPEN;
    do {
        struct chat_of_member *chats = NULL;
        const struct chat_page page = { .before_id = before_id, .limit = limit };
        assert_int_equal(read_chats(check->reader, user_id, &page, &check->arena, &chats, &count, &more), OK);
        for (size_t i = 0; i < count; i++) {
            const struct stay *stay = model_membership(check->model, chats[i].chat.id, user_id);
            assert_true(stay && (before_id == 0 || chats[i].chat.last_id < before_id));
            assert_int_equal(chats[i].role, stay->role);
            check_chat(&chats[i].chat, &model_chat(check->model, chats[i].chat.id)->chat);
            before_id = chats[i].chat.last_id;
        }
        total += count;
    } while (more);
    assert_int_equal(total, expected);
}

static void check_stays(struct check *check, uint64_t user_id, uint64_t after_id) {
    struct stay *stays = NULL;
    size_t count = 0, expected = 0;
    assert_int_equal(read_stays(check->reader, user_id, after_id, &check->arena, &stays, &count), OK);
    for (size_t i = 0; i < check->model->stay_count; i++) {
        const struct model_stay *stay = &check->model->stays[i];
        expected += !stay->removed && stay->stay.user_id == user_id && stay->stay.left_id > after_id;
    }
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++)
        assert_true(stays[i].user_id == user_id && stays[i].left_id > after_id);
}

/* ---- History ------------------------------------------------------------------------------------------------------------------------ */

struct visible {
    struct message message; /* as it is shown */
    bool withheld;
};

/* What a user may read of a chat. */
struct history {
    uint64_t user_id, chat_id;
    bool there; /* the user has or had a stay */
    struct visible *items;
    size_t count;
};

static const struct stay *stay_at(const struct model *model, uint64_t chat_id, uint64_t user_id, uint64_t id) {
    for (size_t i = 0; i < model->stay_count; i++) {
        const struct stay *stay = &model->stays[i].stay;
        if (!model->stays[i].removed && stay->chat_id == chat_id && stay->user_id == user_id && stay->joined_id <= id &&
            id <= stay->left_id)
            return stay;
    }
    return NULL;
}

static bool was_there(const struct model *model, uint64_t chat_id, uint64_t user_id) {
    const struct model_chat *chat = model_chat(model, chat_id);
    for (size_t i = 0; i < model->stay_count && chat && !chat->chat.deleted_ms; i++) {
        const struct model_stay *stay = &model->stays[i];
        if (!stay->removed && stay->stay.chat_id == chat_id && stay->stay.user_id == user_id)
            return true;
    }
    return false;
}

static struct history expect_history(struct check *check, uint64_t user_id, uint64_t chat_id) {
    const struct model *model = check->model;
    struct history history = { .user_id = user_id, .chat_id = chat_id, .there = was_there(model, chat_id, user_id) };
    bool everything = history.there && model_membership(model, chat_id, user_id) && model_chat(model, chat_id)->chat.history == HISTORY_ALL;
    history.items = arena_array(&check->arena, sizeof *history.items, model->message_count + 1);
    for (size_t i = 0; i < model->message_count && history.there; i++) {
        const struct message *message = &model->messages[i].message;
        if (model->messages[i].removed || message->chat_id != chat_id || message->created_ms <= model_cutoff_ms(model))
            continue;
        bool withheld = !everything && !stay_at(model, chat_id, user_id, message->changed_id);
        if (everything || stay_at(model, chat_id, user_id, message->id))
            history.items[history.count++] = (struct visible){ model_shown(model, &model->messages[i]), withheld };
    }
    return history;
}

static void check_message(const struct message *message, const struct visible *expected) {
    assert_int_equal(message->id, expected->message.id);
    assert_int_equal(message->chat_id, expected->message.chat_id);
    assert_int_equal(message->sender_id, expected->message.sender_id);
    assert_int_equal(message->seq, expected->message.seq);
    assert_int_equal(message->rev, expected->message.rev);
    assert_int_equal(message->changed_id, expected->message.changed_id);
    assert_int_equal(message->created_ms, expected->message.created_ms);
    assert_int_equal(message->edited_ms, expected->message.edited_ms);
    assert_int_equal(message->deleted_ms, expected->message.deleted_ms);
    assert_int_equal(message->expires_ms, expected->message.expires_ms);
    assert_int_equal(message->withheld, expected->withheld);
    assert_int_equal(message->original, expected->message.original);
    assert_memory_equal(message->seal, expected->message.seal, HASH128_SIZE);
    assert_memory_equal(message->chain, expected->message.chain, HASH128_SIZE);
    if (expected->withheld || expected->message.deleted_ms) {
        assert_null(message->text);
        assert_null(message->attachments);
        assert_null(message->client_key);
        assert_int_equal(message->text_size, 0);
    } else {
        assert_int_equal(message->text_size, expected->message.text_size);
        assert_memory_equal(message->text, expected->message.text, message->text_size);
        assert_int_equal(message->attachments_size, expected->message.attachments_size);
        assert_memory_equal(message->attachments, expected->message.attachments, message->attachments_size);
    }
}

static size_t least(size_t one, size_t other) { return one < other ? one : other; }

/* How many of them have an id below `id`. */
static size_t count_below(const struct history *history, uint64_t id) {
    size_t count = 0;
    while (count < history->count && history->items[count].message.id < id)
        count++;
    return count;
}

/* Which messages a page has: the first's index, and how many. */
static void expect_page(const struct history *history, const struct page_request *request, size_t *ret_first, size_t *ret_count,
                        bool *ret_more) {
    size_t below = request->cursor ? count_below(history, request->cursor) : history->count;
    size_t above = count_below(history, request->cursor + 1);
    size_t before = least(below, request->limit / 2);
    switch (request->direction) {
    case PAGE_BEFORE:
        *ret_count = least(below, request->limit);
        *ret_first = below - *ret_count;
        *ret_more = *ret_first > 0;
        break;
    case PAGE_AFTER:
        *ret_first = above;
        *ret_count = least(history->count - above, request->limit);
        *ret_more = above + *ret_count < history->count;
        break;
    case PAGE_AROUND:
        *ret_first = below - before;
        *ret_count = before + least(history->count - below, request->limit - before);
        *ret_more = false;
        break;
    }
}

/* One page; the cursor moves on. False: it was the last. */
static bool check_page(struct check *check, const struct history *history, struct page_request *request) {
    struct message *messages = NULL;
    size_t first = 0, count = 0, expected = 0;
    bool more = false, expected_more = false;
    enum err err = read_messages(check->reader, history->user_id, request, &check->arena, &messages, &count, &more);
    assert_int_equal(err, history->there ? OK : ERR_NOT_FOUND);
    if (err != OK)
        return false;
    expect_page(history, request, &first, &expected, &expected_more);
    assert_int_equal(count, expected);
    assert_int_equal(more, expected_more);
    for (size_t i = 0; i < count; i++)
        check_message(&messages[i], &history->items[first + i]);
    if (count > 0)
        request->cursor = request->direction == PAGE_AFTER ? messages[count - 1].id : messages[0].id;
    return more;
}

static void check_walk(struct check *check, const struct history *history, enum direction direction, uint64_t cursor, size_t limit) {
    struct page_request request = { .chat_id = history->chat_id, .direction = direction, .cursor = cursor, .limit = limit };
    while (check_page(check, history, &request))
        ;
}

static void check_one(struct check *check, const struct history *history, uint64_t message_id) {
    struct message message;
    const struct visible *expected = NULL;
    for (size_t i = 0; i < history->count; i++) {
        if (history->items[i].message.id == message_id)
            expected = &history->items[i];
    }
    enum err err = read_message(check->reader, history->user_id, history->chat_id, message_id, &check->arena, &message);
    assert_int_equal(err, expected ? OK : ERR_NOT_FOUND);
    if (expected)
        check_message(&message, expected);
}

static void check_history(struct check *check, uint64_t user_id, uint64_t chat_id) {
    const struct model *model = check->model;
    struct history history = expect_history(check, user_id, chat_id);
    size_t limit = history.count / 8 + 1 + roll(check->dice, 8); /* some pages each way, however long the history */
    check_walk(check, &history, PAGE_BEFORE, 0, limit);
    check_walk(check, &history, PAGE_AFTER, 0, limit);
    for (int i = 0; i < 4 && model->event_count > 0; i++) {
        uint64_t id = model->events[roll(check->dice, model->event_count)].event.id;
        check_walk(check, &history, PAGE_BEFORE, id, limit);
        check_walk(check, &history, PAGE_AFTER, id, limit);
        check_walk(check, &history, PAGE_AROUND, id, 1 + roll(check->dice, 12));
        check_one(check, &history, id);
        if (history.count > 0)
            check_one(check, &history, history.items[roll(check->dice, history.count)].message.id);
    }
}

/* A member sees the chat; to all others it does not exist, but for what former members may still read of it. */
static void check_chat_of(struct check *check, uint64_t user_id, uint64_t chat_id) {
    struct chat_of_member seen;
    struct stay *stays;
    size_t count;
    const struct stay *stay = model_membership(check->model, chat_id, user_id);
    enum err err = read_chat(check->reader, user_id, chat_id, &check->arena, &seen);
    assert_int_equal(err, stay ? OK : ERR_NOT_FOUND);
    if (!stay) {
        assert_int_equal(read_members(check->reader, user_id, chat_id, 0, 10, &check->arena, &stays, &count), ERR_NOT_FOUND);
    } else {
        assert_int_equal(seen.role, stay->role);
        check_chat(&seen.chat, &model_chat(check->model, chat_id)->chat);
        check_members(check, user_id, &seen.chat);
    }
    check_history(check, user_id, chat_id);
    arena_release(&check->arena);
}

/* ---- Accounts ----------------------------------------------------------------------------------------------------------------------- */

static int64_t bytes_of(const struct model *model, uint64_t user_id) {
    int64_t bytes = 0;
    for (size_t i = 0; i < model->media_count; i++) {
        const struct model_media *entry = &model->media[i];
        bytes += entry->removed || entry->media.owner_id != user_id ? 0 : entry->media.size;
    }
    return bytes;
}

static void check_user(struct check *check, const struct user *expected) {
    struct user user;
    struct device *devices = NULL;
    size_t count = 0, alive = 0;
    assert_int_equal(read_user(check->reader, expected->id, &check->arena, &user), OK);
    assert_string_equal(user.username, expected->username);
    assert_string_equal(user.display_name, expected->display_name);
    assert_int_equal(user.media_bytes, bytes_of(check->model, expected->id));
    assert_int_equal(user.password != NULL, expected->password != NULL);
    if (expected->password)
        assert_string_equal(user.password, expected->password);
    assert_int_equal(read_devices(check->reader, expected->id, &check->arena, &devices, &count), OK);
    for (size_t i = 0; i < check->model->device_count; i++)
        alive += !check->model->devices[i].removed && check->model->devices[i].device.user_id == expected->id;
    assert_int_equal(count, alive);
    assert_true(count <= (size_t)check->model->config->devices_per_user);
}

static void check_session(struct check *check, const struct model_device *expected) {
    struct session session;
    enum err err = read_session(check->reader, expected->token, &session);
    assert_int_equal(err, expected->removed ? ERR_NOT_FOUND : OK);
    if (err != OK)
        return;
    assert_int_equal(session.user_id, expected->device.user_id);
    assert_int_equal(session.device_id, expected->device.id);
    assert_int_equal(session.created_ms, expected->device.created_ms);
    assert_int_equal(session.seen_ms, expected->device.seen_ms);
}

static void check_ticket(struct check *check, const struct model_ticket *expected) {
    struct session session;
    bool unused = false;
    const struct model_device *device = model_device(check->model, expected->device_id);
    bool late = !expected->used && check->model->now_ms - expected->created_ms > TICKET_FIRST_USE_MS;
    bool good = !expected->removed && !device->removed && !late;
    enum err err = read_ticket(check->reader, expected->ticket, &session, &unused);
    assert_int_equal(err, good ? OK : ERR_NOT_FOUND);
    if (good)
        assert_true(session.device_id == expected->device_id && unused == !expected->used);
}

static void check_accounts(struct check *check) {
    const struct model *model = check->model;
    for (size_t i = 0; i < model->user_count; i++)
        check_user(check, &model->users[i]);
    for (size_t i = 0; i < model->device_count; i++)
        check_session(check, &model->devices[i]);
    for (size_t i = 0; i < model->ticket_count; i++)
        check_ticket(check, &model->tickets[i]);
}

/* ---- Media -------------------------------------------------------------------------------------------------------------------------- */

static void check_media(const struct media *media, const struct media *expected) {
    assert_int_equal(media->id, expected->id);
    assert_int_equal(media->owner_id, expected->owner_id);
    assert_int_equal(media->state, expected->state);
    assert_int_equal(media->size, expected->size);
    assert_int_equal(media->thumbnail_id, expected->thumbnail_id);
    assert_int_equal(media->created_ms, expected->created_ms);
    assert_int_equal(media->expires_ms, expected->expires_ms);
    assert_int_equal(media->upload_until_ms, expected->upload_until_ms);
    assert_memory_equal(media->token, expected->token, MEDIA_TOKEN_BYTES);
    assert_memory_equal(media->md5, expected->md5, MD5_SIZE);
    assert_string_equal(media->content_type, expected->content_type);
    assert_int_equal(media->upload_id != NULL, expected->upload_id != NULL);
}

/* All rows, page by page. */
static void check_media_rows(struct check *check) {
    uint64_t after_id = 0;
    size_t total = 0, expected = 0, count, limit = 1 + roll(check->dice, 40);
    for (size_t i = 0; i < check->model->media_count; i++)
        expected += !check->model->media[i].removed;
    do {
        struct media *media = NULL;
        assert_int_equal(read_all_media(check->reader, after_id, limit, &check->arena, &media, &count), OK);
        for (size_t i = 0; i < count; i++) {
            const struct model_media *entry = model_media(check->model, media[i].id);
            assert_true(entry && media[i].id > after_id);
            check_media(&media[i], &entry->media);
            after_id = media[i].id;
        }
        total += count;
    } while (count == limit);
    assert_int_equal(total, expected);
}

/* Owners see their own, others what they see in a message. */
static void check_sights(struct check *check, uint64_t user_id) {
    for (size_t i = 0; i < check->model->media_count; i++) {
        const struct model_media *entry = &check->model->media[i];
        struct media media;
        bool alive = !entry->removed && entry->media.state != MEDIA_DOOMED;
        bool seen =
            entry->media.owner_id == user_id || (entry->media.state == MEDIA_READY && model_sees(check->model, user_id, entry->media.id));
        enum err err = read_media(check->reader, user_id, entry->media.id, &check->arena, &media);
        assert_int_equal(err, alive && seen ? OK : ERR_NOT_FOUND);
        if (err == OK)
            check_media(&media, &entry->media);
    }
    arena_release(&check->arena);
}

/* No row refers to what is not there, none is missing, and nothing else waits for its time. */
static void check_references(struct check *check) {
    static const struct query attachments = { "SELECT count(*) FROM attachment" };
    static const struct query stray = { "SELECT count(*) FROM attachment a WHERE NOT EXISTS (SELECT 1 FROM media x WHERE x.id = a.media_id"
                                        " AND x.state = 2) OR NOT EXISTS (SELECT 1 FROM event m WHERE m.id = a.message_id"
                                        " AND m.attachments IS NOT NULL AND m.owner_id = a.chat_id)" };
    static const struct query expiries = { "SELECT count(*) FROM expiry" };
    const struct model *model = check->model;
    size_t attached = 0, expiring = 0;
    for (size_t i = 0; i < model->message_count; i++) {
        const struct model_message *entry = &model->messages[i];
        attached += entry->attached_count;
        expiring += !entry->removed && entry->message.expires_ms && !entry->message.deleted_ms;
    }
    assert_int_equal(count_rows(model->config, &attachments), attached);
    assert_int_equal(count_rows(model->config, &stray), 0);
    assert_int_equal(count_rows(model->config, &expiries), expiring);
}

/* In one snapshot. */
static void check_chats_of(struct check *check, uint64_t user_id) {
    uint64_t head_id;
    assert_int_equal(read_begin(check->reader, &head_id), OK);
    check_chat_list(check, user_id);
    for (size_t k = 0; k < check->model->chat_count; k++)
        check_chat_of(check, user_id, check->model->chats[k].chat.id);
    read_end(check->reader);
}

void check_all(const struct model *model, struct reader *reader, struct dice *dice) {
    static struct check check; /* static: what a failing test leaves behind is no leak */
    check = (struct check){ .model = model, .reader = reader, .dice = dice };
    arena_init(&check.arena, CHECK_ARENA_BYTES);
    check_accounts(&check);
    check_tokens(&check);
    check_media_rows(&check);
    check_references(&check);
    check_log(&check, 0);
    check_log(&check, any_position(&check));
    for (size_t i = 0; i < model->user_count; i++) {
        uint64_t user_id = model->users[i].id;
        check_feed(&check, user_id, model->floor);
        check_feed(&check, user_id, any_position(&check));
        check_stays(&check, user_id, any_position(&check));
        check_chats_of(&check, user_id);
        check_sights(&check, user_id);
    }
    arena_release(&check.arena);
}
