/* Reading messages: pages and single ones, within what the reader's stays in the chat allow.
 *
 * A page walks the stays in the direction of travel, one range of ids at a time, so that the time between two stays, however many messages it
 * holds, costs one look-up. */
#include "core/clock.h"
#include "db/chain.h"
#include "db/reader_internal.h"

#include <string.h>

#include "core/limits.h"

static const struct query stay_below = { "SELECT " STAY_COLUMNS " FROM stay s WHERE s.chat_id = ?1 AND s.user_id = ?2 AND s.joined_id < ?3"
                                         " ORDER BY s.joined_id DESC LIMIT 1" };
static const struct query stay_above = { "SELECT " STAY_COLUMNS " FROM stay s WHERE s.chat_id = ?1 AND s.user_id = ?2 AND s.left_id > ?3"
                                         " AND s.joined_id >= coalesce((SELECT max(b.joined_id) FROM stay b WHERE b.chat_id = ?1"
                                         " AND b.user_id = ?2 AND b.joined_id <= ?3), 0) ORDER BY s.joined_id LIMIT 1" };
static const struct query chat_exists = { "SELECT 1 FROM chat c WHERE c.id = ?1 AND c.deleted_ms = 0" };
/* ?5: the reader, who may have deleted some of them for themselves. */
#define PAGE(events)                                                                                                  \
    "SELECT " MESSAGE_COLUMNS ", h.message_id FROM " events " e {straight} event m ON m.id = e.id LEFT JOIN hidden h" \
    " ON h.user_id = ?5 AND h.message_id = e.id WHERE e.owner_id = ?1 AND e.is_message = 1 AND e.id >= ?2 AND e.id <= ?3 ORDER BY e.id"
#define ENTERED PAGE("{by_owner}")
#define LATER PAGE("recent")
static const struct query entered_down = { ENTERED " DESC LIMIT ?4" };
static const struct query entered_up = { ENTERED " LIMIT ?4" };
static const struct query later_down = { LATER " DESC LIMIT ?4" };
static const struct query later_up = { LATER " LIMIT ?4" };

/* What a reader may see of one chat. */
struct view {
    struct reader *reader;
    uint64_t user_id, chat_id;
    bool shows_no_reactions; /* a direct chat whose other member the reader has blocked: theirs are among the numbers */
    bool everything;         /* a current member of a chat that shows its history */
    uint64_t last_id;        /* nothing of the chat comes after it */
    uint64_t horizon_id;
    int64_t now_ms;
};

struct range {
    uint64_t low, high; /* ids, both inclusive */
};

struct result {
    struct arena *arena;
    struct message *messages;
    size_t count;
};

static enum err chat_there(struct reader *reader, uint64_t chat_id) {
    struct statement *statement = reader_query(reader, &chat_exists, &chat_id, 1);
    bool row = false;
    enum err err = reader->db->driver->step(statement, &row);
    reader->db->driver->finish(statement);
    return err == OK && !row ? ERR_NOT_FOUND : err;
}

/* The stay nearest to `id` downwards (joined below it) or upwards (left above it). ERR_NOT_FOUND. */
static enum err next_stay(const struct view *view, bool down, uint64_t id, struct range *ret_range) {
    struct reader *reader = view->reader;
    uint64_t ids[] = { view->chat_id, view->user_id, id };
    struct statement *statement = reader_query(reader, down ? &stay_below : &stay_above, ids, 3);
    bool row = false;
    enum err err = reader->db->driver->step(statement, &row);
    if (err == OK && row) {
        struct stay stay;
        row_stay(reader->db, statement, 0, &stay);
        *ret_range = (struct range){ stay.joined_id, stay.left_id };
    }
    reader->db->driver->finish(statement);
    return err == OK && !row ? ERR_NOT_FOUND : err;
}

static enum err next_range(const struct view *view, bool down, uint64_t id, struct range *ret_range) {
    if (view->everything) {
        *ret_range = (struct range){ 0, STAY_OPEN };
        return OK;
    }
    return next_stay(view, down, id, ret_range);
}

/* Members see by their stays, present and past; everybody else is told that there is no such chat. */
static enum err open_view(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, struct view *ret_view) {
    struct chat chat;
    struct stay stay;
    struct range range;
    *ret_view = (struct view){ .reader = reader, .user_id = user_id, .chat_id = chat_id, .last_id = STAY_OPEN, .now_ms = clock_now_ms() };
    enum err err = reader_membership(reader, user_id, chat_id, arena, &chat, &stay);
    if (err == OK)
        *ret_view = (struct view){
            .reader = reader,
            .user_id = user_id,
            .chat_id = chat_id,
            .shows_no_reactions = chat_is_blocked_by(&chat, user_id),
            .everything = chat.history == HISTORY_ALL,
            .last_id = chat.last_id,
            .now_ms = ret_view->now_ms,
        };
    if (err == ERR_NOT_FOUND)
        err = chat_there(reader, chat_id);
    if (err == OK)
        err = next_range(ret_view, true, STAY_OPEN, &range);
    return err == OK ? reader_horizon(reader, &ret_view->horizon_id) : err;
}

/* Whether the event fell into the stay, or into another one of the reader's. */
static enum err has_learnt(const struct view *view, const struct range *stay, uint64_t event_id, bool *ret_learnt) {
    struct range later = *stay;
    enum err err = event_id > stay->high ? next_stay(view, true, event_id + 1, &later) : OK;
    *ret_learnt = event_id <= later.high && (event_id <= stay->high || event_id >= later.low);
    return err;
}

/* A message changed after the reader left is shown without its text, and reactions from later are not shown. */
static enum err judge_withheld(const struct view *view, const struct range *stay, struct message *message) {
    bool of_change = false, of_reactions = false;
    enum err err = has_learnt(view, stay, message->changed_id, &of_change);
    if (err == OK)
        err = has_learnt(view, stay, message->reactions_id, &of_reactions);
    message->missed = of_change && message->changed_id > stay->high;
    if (err == OK && !of_change)
        message_withhold(message);
    if (err == OK && !of_reactions)
        message_hide_reactions(message);
    return err;
}

static enum err take_message(const struct view *view, struct statement *statement, struct result *result) {
    result->messages = reader_grow(result->arena, result->messages, result->count, sizeof *result->messages);
    if (!result->messages)
        return ERR_NO_MEMORY;
    struct message *message = &result->messages[result->count++];
    enum err err = row_message(view->reader->db, statement, 0, result->arena, message);
    if (err == OK)
        chain_expire(message, view->now_ms);
    if (err == OK && !view->reader->db->driver->is_null(statement, MESSAGE_COLUMN_COUNT))
        message_hide(message);
    if (err == OK && view->shows_no_reactions)
        message_hide_reactions(message);
    return err;
}

static enum err read_rows(const struct view *view, const struct query *query, const struct range *rows, size_t limit,
                          struct result *result) {
    struct reader *reader = view->reader;
    uint64_t ids[] = { view->chat_id, rows->low, rows->high, limit, view->user_id };
    if (rows->low > rows->high || limit == 0)
        return OK;
    struct statement *statement = reader_query(reader, query, ids, 5);
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);)
        err = take_message(view, statement, result);
    return err;
}

/* Those that have been entered, and those after them, in the order of travel. */
static enum err read_both(const struct view *view, bool down, const struct range *part, size_t limit, struct result *result) {
    uint64_t bound = view->reader->entered_id;
    size_t end = result->count + limit;
    struct range entered = *part, later = *part;
    if (entered.high > bound)
        entered.high = bound;
    if (later.low <= bound)
        later.low = bound + 1;
    enum err err = down ? read_rows(view, &later_down, &later, limit, result) : read_rows(view, &entered_up, &entered, limit, result);
    if (err != OK)
        return err;
    limit = end - result->count;
    return down ? read_rows(view, &entered_down, &entered, limit, result) : read_rows(view, &later_up, &later, limit, result);
}

/* The messages of a part of a stay. */
static enum err read_part(const struct view *view, bool down, const struct range *stay, const struct range *part, size_t limit,
                          struct result *result) {
    size_t first = result->count;
    struct range shown = *part;
    if (shown.low < view->horizon_id)
        shown.low = view->horizon_id;
    if (shown.high > view->last_id)
        shown.high = view->last_id;
    enum err err = read_both(view, down, &shown, limit, result);
    for (size_t i = first; err == OK && i < result->count; i++)
        err = judge_withheld(view, stay, &result->messages[i]);
    return err;
}

/* The part of a stay that lies beyond `cursor` in the direction of travel. */
static struct range beyond(const struct range *stay, bool down, uint64_t cursor) {
    struct range part = *stay;
    if (down && part.high >= cursor)
        part.high = cursor - 1;
    if (!down && part.low <= cursor)
        part.low = cursor + 1;
    return part;
}

/* Up to `limit` more messages beyond `cursor` (exclusive), in the order of travel. */
static enum err walk(const struct view *view, bool down, uint64_t cursor, size_t limit, struct result *result) {
    size_t end = result->count + limit;
    enum err err = OK;
    while (err == OK && result->count < end && (down ? cursor > view->horizon_id : cursor < STAY_OPEN)) {
        struct range stay;
        err = next_range(view, down, cursor, &stay);
        if (err == OK) {
            struct range part = beyond(&stay, down, cursor);
            err = read_part(view, down, &stay, &part, end - result->count, result);
        }
        cursor = down ? stay.low : stay.high;
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

static void reverse(struct message *messages, size_t count) {
    for (size_t i = 0; i < count / 2; i++) {
        struct message swap = messages[i];
        messages[i] = messages[count - 1 - i];
        messages[count - 1 - i] = swap;
    }
}

static enum err read_around(const struct view *view, uint64_t cursor, size_t limit, struct result *result) {
    enum err err = walk(view, true, cursor, limit / 2, result);
    reverse(result->messages, result->count);
    if (err == OK && cursor > 0)
        err = walk(view, false, cursor - 1, limit - result->count, result);
    return err;
}

/* One more than asked for is read, to know whether there is more. */
static enum err read_one_way(const struct view *view, bool down, uint64_t cursor, size_t limit, struct result *result, bool *ret_more) {
    enum err err = walk(view, down, cursor, limit + 1, result);
    *ret_more = result->count > limit;
    if (*ret_more)
        result->count = limit;
    if (down)
        reverse(result->messages, result->count);
    return err;
}

enum err read_messages(struct reader *reader, uint64_t user_id, const struct page_request *request, struct arena *arena,
                       struct message **ret_messages, size_t *ret_count, bool *ret_more) {
    struct view view;
    struct result result = { .arena = arena };
    bool more = false;
    enum err err = open_view(reader, user_id, request->chat_id, arena, &view);
    if (err != OK)
        return err;
    bool down = request->direction == PAGE_BEFORE;
    if (request->direction == PAGE_AROUND)
        err = read_around(&view, request->cursor, request->limit, &result);
    else
        err = read_one_way(&view, down, down && request->cursor == 0 ? STAY_OPEN : request->cursor, request->limit, &result, &more);
    if (err != OK)
        return err;
    *ret_messages = result.messages;
    *ret_count = result.count;
    *ret_more = more;
    return OK;
}

enum err read_message(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t message_id, struct arena *arena,
                      struct message *ret_message) {
    struct view view;
    struct range stay;
    struct result result = { .arena = arena };
    enum err err = message_id < STAY_OPEN ? open_view(reader, user_id, chat_id, arena, &view) : ERR_NOT_FOUND;
    if (err == OK)
        err = next_range(&view, true, message_id + 1, &stay);
    if (err == OK && (message_id < stay.low || message_id > stay.high))
        err = ERR_NOT_FOUND;
    if (err == OK)
        err = read_part(&view, true, &stay, &(struct range){ message_id, message_id }, 1, &result);
    if (err == OK && result.count == 0)
        err = ERR_NOT_FOUND;
    if (err == OK)
        *ret_message = result.messages[0];
    return err;
}
