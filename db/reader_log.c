/* Reading the log: the feed of one user, and the whole log for its tail.
 *
 * The feed is the merge, by position, of the user's own events and of the events of each chat within the user's stays. It is read in windows of positions,
 * because they are dense: a window costs one index look-up per chat that has anything new, and what is sorted is at most the window. Windows
 * grow while they hold nothing, so that a device that comes back to a long log of other people's messages gets through it fast. */
#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/limits.h"
#include "db/chain.h"
#include "db/reader_internal.h"

#define FIRST_WINDOW_POSITIONS 4096
#define LARGEST_WINDOW_POSITIONS (1 << 20)
#define PAGE_ARENA_BYTES (8 * 1024 * 1024)  /* a page ends at LIMIT_REPLAY_BYTES, within one event */
#define EVENT_ARENA_BYTES (2 * 1024 * 1024) /* one event: a text of 400 KB, or a thin event's body */

#define EVENT_COLUMNS \
    "e.id, e.owner_id, e.type, e.actor_id, e.ref_id, e.rev, e.seq, e.body, coalesce(c.deleted_ms, 0), c.blockers, c.direct_low, c.direct_high"
#define EVENT_COLUMN_COUNT 12
#define EVENT_JOINS \
    " LEFT JOIN event m ON m.id = CASE WHEN e.type <= 3 OR e.type = 13 THEN e.ref_id END AND m.is_message = 1 LEFT JOIN chat c ON c.id = e.owner_id"

/* ?1 user, ?2 after, ?3 end of the window, ?4 how many. Only ids: what is sorted stays small however long the texts are.
 *
 * MariaDB finds a range of event_by_owner for each span only by this wording. With owner_id = span.owner_id it looks up the chat alone and reads all its
 * history for every page; with a bound of e.id that is not span's it reads the whole log. SQLite uses the index either way. */
#define SPANS                                                                                                     \
    "WITH span(owner_id, low, high, first_id, last_id) AS (SELECT ?1, 0, " STAY_OPEN_SQL ", ?2 + 1, ?3 UNION ALL" \
    "  SELECT s.chat_id, s.joined_id, s.left_id, CASE WHEN s.joined_id > ?2 THEN s.joined_id ELSE ?2 + 1 END,"    \
    "  CASE WHEN s.left_id < ?3 THEN s.left_id ELSE ?3 END FROM stay s {straight} chat k ON k.id = s.chat_id"     \
    "  WHERE s.user_id = ?1 AND s.left_id > ?2 AND k.last_id > ?2)"
#define EVENTS_OF_SPANS(events)                                                                                                 \
    " SELECT e.id AS id, span.low, span.high FROM span {straight} " events " e ON e.owner_id IN (span.owner_id, span.owner_id)" \
    " AND e.is_message IN (0, 1) AND e.id >= span.first_id AND e.id <= span.last_id"
static const struct query feed_window = { SPANS EVENTS_OF_SPANS("{by_owner}") " ORDER BY id LIMIT ?4" };
/* Of a window that ends behind what has been entered, ?5. */
static const struct query later_feed_window = { SPANS EVENTS_OF_SPANS("{by_owner}") " AND e.id <= ?5 UNION ALL" EVENTS_OF_SPANS(
    "recent") " ORDER BY id LIMIT ?4" };
/* ?2: the reader, who may have deleted the message for themselves. */
static const struct query event_by_id = { "SELECT " EVENT_COLUMNS ", " MESSAGE_COLUMNS ", h.message_id FROM event e" EVENT_JOINS
                                          " LEFT JOIN hidden h ON h.user_id = ?2 AND h.message_id = m.id WHERE e.id = ?1" };
/* Of a direct chat: the member who has the message hidden and did not send it. */
#define HIDDEN_FROM                                                                                     \
    "CASE WHEN c.direct_low IS NOT NULL THEN (SELECT h.user_id FROM hidden h WHERE h.message_id = m.id" \
    " AND h.user_id IN (c.direct_low, c.direct_high) AND h.user_id <> m.actor_id LIMIT 1) END"
static const struct query log_page = { "SELECT " EVENT_COLUMNS ", " MESSAGE_COLUMNS ", " HIDDEN_FROM " FROM event e" EVENT_JOINS
                                       " WHERE e.id > ?1 ORDER BY e.id LIMIT ?2" };
static const struct query leaver_between = { "SELECT 1 FROM stay WHERE chat_id = ?1 AND left_id > ?2 AND left_id < ?3 LIMIT 1" };
/* A channel begins with who made it: its stays, of which there may be a million, are left alone. */
static const struct query first_members = { "SELECT created_by FROM chat WHERE id = ?1 AND type = 3 UNION ALL"
                                            " SELECT s.user_id FROM chat c {straight} stay s ON s.chat_id = c.id"
                                            " WHERE c.id = ?1 AND c.type <> 3 AND s.joined_id = ?2" };
static_assert(CHAT_CHANNEL == 3, "the type of a chat whose followers are not read");

void feed_page_release(struct feed_page *page) {
    for (size_t i = 0; i < page->count; i++)
        frame_drop(page->frames[i]);
    page->count = 0;
}

/* What messages past their own time and those of deleted chats are, whether or not the cleanup has been there: their content is gone, their chain can
 * still be checked. What came first counts. */
static void blank(struct message *message, int64_t chat_deleted_ms) {
    if (message->expires_ms && (!chat_deleted_ms || message->expires_ms < chat_deleted_ms))
        chain_expire(message, clock_now_ms());
    if (chat_deleted_ms)
        chain_blank(message, chat_deleted_ms);
}

/* A message past retention is gone, whether or not its row is. */
static enum err take_message(struct reader *reader, struct statement *row, struct arena *arena, uint64_t horizon_id, struct event *event) {
    const struct db_driver *driver = reader->db->driver;
    int64_t chat_deleted_ms = (int64_t)driver->column_id(row, 8);
    if (driver->column_id(row, EVENT_COLUMN_COUNT) == 0 || event->ref_id < horizon_id) {
        event->message = (struct message){
            .id = event->ref_id, .chat_id = event->owner_id, .seq = driver->column_id(row, 6), .changed_id = event->id, .gone = true
        };
        return OK;
    }
    enum err err = row_message(reader->db, row, EVENT_COLUMN_COUNT, arena, &event->message);
    if (err == OK && event->message.deleted_ms == 0)
        blank(&event->message, chat_deleted_ms);
    return err;
}

/* The reactions of a message go with it, whether or not the cleanup has been there. */
static bool message_is_there(struct reader *reader, struct statement *row, uint64_t horizon_id, const struct event *event) {
    uint64_t (*number)(struct statement *, int) = reader->db->driver->column_id;
    int64_t expires_ms = (int64_t)number(row, EVENT_COLUMN_COUNT + MESSAGE_COLUMN_EXPIRES_MS);
    bool deleted = number(row, 8) != 0 || number(row, EVENT_COLUMN_COUNT + MESSAGE_COLUMN_DELETED_MS) != 0;
    bool expired = event->ref_id < horizon_id || (expires_ms && expires_ms <= clock_now_ms());
    return number(row, EVENT_COLUMN_COUNT) != 0 && !deleted && !expired;
}

static enum err take_event(struct reader *reader, struct statement *row, struct arena *arena, uint64_t horizon_id,
                           struct event *ret_event) {
    const struct db_driver *driver = reader->db->driver;
    *ret_event = (struct event){
        .id = driver->column_id(row, 0),
        .owner_id = driver->column_id(row, 1),
        .type = (enum event_type)driver->column_id(row, 2),
        .actor_id = driver->column_id(row, 3),
        .ref_id = driver->column_id(row, 4),
        .rev = driver->column_id(row, 5),
    };
    if (event_is_message(ret_event->type))
        return take_message(reader, row, arena, horizon_id, ret_event);
    if (ret_event->type == EVENT_DEVICE_REMOVED)
        ret_event->removal = (enum removal)driver->column_id(row, 6);
    if (ret_event->type == EVENT_MESSAGE_REACTED && !message_is_there(reader, row, horizon_id, ret_event))
        return OK;
    if (ret_event->type == EVENT_CHAT_SETTINGS) {
        enum err err = reader_draft(reader, ret_event->owner_id, ret_event->ref_id, arena, &ret_event->draft, &ret_event->draft_size);
        if (err != OK)
            return err;
    }
    ret_event->body = db_column_text(reader->db, row, 7, arena, &ret_event->body_size);
    return !ret_event->body && !driver->is_null(row, 7) ? ERR_NO_MEMORY : OK;
}

/* One event of a feed and the stay it is seen in. */
struct sighting {
    uint64_t id, low, high;
};

/* What this reader must not see of a message: changes after the stay, and the text of messages from before it. */
static void withhold(struct event *event, const struct sighting *sighting) {
    if (event->type == EVENT_MESSAGE_REACTED && event->ref_id < sighting->low) {
        event->body = NULL;
        event->body_size = 0;
    }
    if (!event_is_message(event->type) || event->message.gone)
        return;
    if (event->message.changed_id > sighting->high || event->message.id < sighting->low)
        message_withhold(&event->message);
    if (event->message.reactions_id > sighting->high)
        message_hide_reactions(&event->message);
}

static enum err add_frame(struct feed_page *page, const struct event *event, size_t *bytes) {
    struct frame *frame = frame_new(event);
    if (!frame)
        return ERR_NO_MEMORY;
    page->frames[page->count++] = frame;
    page->last_id = event->id;
    *bytes += frame->size;
    return OK;
}

/* What the event's chat says of who has blocked whom; of one that is no direct chat, or none, nobody. */
static struct chat chat_of_event(struct reader *reader, struct statement *row) {
    uint64_t (*number)(struct statement *, int) = reader->db->driver->column_id;
    struct chat chat = { .direct_low = number(row, 10), .direct_high = number(row, 11), .blockers = (uint32_t)number(row, 9) };
    chat.type = chat.direct_low ? CHAT_DIRECT : CHAT_GROUP;
    return chat;
}

/* What the other member, whom the reader has blocked by now, has added to messages. */
static void hide_additions(const struct chat *chat, uint64_t user_id, struct event *event) {
    uint64_t hidden_from = event_is_about_message(event->type) ? chat_addition_hidden_from(chat, event->type, event->actor_id) : 0;
    if (hidden_from == user_id || hidden_from == BOTH_MEMBERS) {
        event->body = NULL;
        event->body_size = 0;
    }
    if (event_is_message(event->type) && chat_is_blocked_by(chat, user_id))
        message_hide_reactions(&event->message);
}

struct window {
    uint64_t user_id, after_id, end_id;
    uint64_t horizon_id;
};

static enum err find_sightings(struct reader *reader, const struct window *window, struct sighting *sightings, size_t *ret_count) {
    const struct db_driver *driver = reader->db->driver;
    bool has_later = window->end_id > reader->entered_id;
    uint64_t ids[] = { window->user_id, window->after_id, window->end_id, LIMIT_REPLAY_EVENTS, reader->entered_id };
    struct statement *statement = reader_query(reader, has_later ? &later_feed_window : &feed_window, ids, has_later ? 5 : 4);
    enum err err = OK;
    *ret_count = 0;
    for (bool row; rows_next(reader->db, statement, &err, &row);)
        sightings[(*ret_count)++] =
            (struct sighting){ driver->column_id(statement, 0), driver->column_id(statement, 1), driver->column_id(statement, 2) };
    return err;
}

/* What this reader has deleted for themselves. */
static void hide(struct event *event) {
    if (event_is_message(event->type)) {
        message_hide(&event->message);
    } else {
        event->body = NULL;
        event->body_size = 0;
    }
}

static enum err add_sighting(struct reader *reader, const struct window *window, const struct sighting *sighting, struct feed_page *page,
                             size_t *bytes) {
    struct arena arena = ARENA_INIT(EVENT_ARENA_BYTES);
    struct statement *statement = reader_query(reader, &event_by_id, (uint64_t[]){ sighting->id, window->user_id }, 2);
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        struct event event;
        err = take_event(reader, statement, &arena, window->horizon_id, &event);
        if (err != OK)
            continue;
        withhold(&event, sighting);
        const struct chat chat = chat_of_event(reader, statement);
        hide_additions(&chat, window->user_id, &event);
        if (!reader->db->driver->is_null(statement, EVENT_COLUMN_COUNT + MESSAGE_COLUMN_COUNT))
            hide(&event);
        err = add_frame(page, &event, bytes);
    }
    arena_release(&arena);
    return err;
}

/* `ret_full`: the page ended before the window did. */
static enum err read_window(struct reader *reader, const struct window *window, struct feed_page *page, bool *ret_full) {
    struct sighting sightings[LIMIT_REPLAY_EVENTS];
    size_t count = 0, bytes = 0;
    enum err err = find_sightings(reader, window, sightings, &count);
    for (size_t i = 0; err == OK && i < count && bytes < LIMIT_REPLAY_BYTES; i++)
        err = add_sighting(reader, window, &sightings[i], page, &bytes);
    *ret_full = count == LIMIT_REPLAY_EVENTS || bytes >= LIMIT_REPLAY_BYTES;
    if (err == OK && *ret_full && page->count == 0) /* none is there any more: else the next window would be the same */
        page->last_id = sightings[count - 1].id;
    return err;
}

static uint64_t window_end(uint64_t after_id, uint64_t positions, uint64_t head_id) {
    uint64_t end = log_id(log_position(after_id) + positions, UINT16_MAX);
    return end < head_id ? end : head_id;
}

static enum err snapshot_head(struct reader *reader, uint64_t *ret_head_id) {
    static const struct query read_head = {
        "SELECT max(id) FROM (SELECT max(id) AS id FROM event UNION ALL SELECT number FROM meta WHERE name = 'floor') d"
    };
    struct statement *statement = reader_query(reader, &read_head, NULL, 0);
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);)
        *ret_head_id = reader->db->driver->column_id(statement, 0);
    return err;
}

enum err read_feed(struct reader *reader, uint64_t user_id, uint64_t after_id, struct feed_page *page) {
    uint64_t head_id = 0;
    struct window window = { .user_id = user_id, .after_id = after_id };
    *page = (struct feed_page){ .last_id = after_id };
    enum err err = snapshot_head(reader, &head_id);
    if (err == OK)
        err = reader_horizon(reader, &window.horizon_id);
    for (uint64_t positions = FIRST_WINDOW_POSITIONS; err == OK && page->count == 0 && window.after_id < head_id;) {
        bool full = false;
        window.end_id = window_end(window.after_id, positions, head_id);
        err = read_window(reader, &window, page, &full);
        if (!full)
            page->last_id = window.end_id;
        window.after_id = page->last_id;
        if (positions < LARGEST_WINDOW_POSITIONS)
            positions *= 2;
    }
    page->complete = page->last_id >= head_id;
    if (err != OK)
        feed_page_release(page);
    return err;
}

/* The initial members of a chat are those whose stays began with its first event. */
static enum err add_members(struct reader *reader, struct frame *frame, struct arena *arena) {
    struct statement *statement = reader_query(reader, &first_members, (uint64_t[]){ frame->owner_id, frame->id }, 2);
    uint64_t *members = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        members = reader_grow(arena, members, count, sizeof *members);
        if (members)
            members[count++] = reader->db->driver->column_id(statement, 0);
        else
            err = ERR_NO_MEMORY;
    }
    if (err == OK && count > 0 && !frame_set_members(frame, members, count))
        err = ERR_NO_MEMORY;
    return err;
}

/* A message is read as it is by now. Whoever follows the log gives the event to all who are members at its place there: if one of them left before the
 * message was changed, its text comes with the event of that change only, which follows in the same log. So do later reactions, which have events of their own. */
static enum err withhold_from_leavers(struct reader *reader, struct event *event) {
    const struct message *message = &event->message;
    if (message->reactions_id > event->id)
        message_hide_reactions(&event->message);
    if (!event_is_message(event->type) || message->gone || message->deleted_ms || message->changed_id <= event->id)
        return OK;
    struct statement *statement = reader_query(reader, &leaver_between, (uint64_t[]){ event->owner_id, event->id, message->changed_id }, 3);
    bool somebody_left = false;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);)
        somebody_left = true;
    if (somebody_left)
        message_withhold(&event->message);
    return err;
}

/* Whoever follows the log gives the hidden form to the one it is for. */
static enum err add_log_frame(struct reader *reader, struct statement *row, struct event *event, struct feed_page *page, size_t *bytes) {
    const struct chat chat = chat_of_event(reader, row);
    if (event_is_message(event->type) && !event->message.gone)
        event->hidden_from = reader->db->driver->column_id(row, EVENT_COLUMN_COUNT + MESSAGE_COLUMN_COUNT);
    if (event_is_message(event->type) && chat_is_blocked_by(&chat, event->actor_id))
        message_hide_reactions(&event->message);
    if (event_is_about_message(event->type) && event->body)
        event->hidden_from = chat_addition_hidden_from(&chat, event->type, event->actor_id);
    enum err err = add_frame(page, event, bytes);
    if (err == OK && event->hidden_from && !frame_set_hidden(page->frames[page->count - 1], event))
        err = ERR_NO_MEMORY;
    return err;
}

static enum err take_log_event(struct reader *reader, struct statement *row, struct arena *arena, struct feed_page *page, size_t *bytes) {
    struct event event;
    uint64_t horizon_id = 0;
    enum err err = reader_horizon(reader, &horizon_id);
    if (err == OK)
        err = take_event(reader, row, arena, horizon_id, &event);
    if (err == OK)
        err = withhold_from_leavers(reader, &event);
    if (err == OK)
        err = add_log_frame(reader, row, &event, page, bytes);
    if (err != OK)
        return err;
    struct frame *frame = page->frames[page->count - 1];
    bool has_content = event_is_message(event.type) ? !event.message.gone : event.body != NULL;
    if (event_has_withheld(event.type) && has_content && !frame_set_withheld(frame, &event))
        return ERR_NO_MEMORY;
    return event.type == EVENT_CHAT_CREATED ? add_members(reader, frame, arena) : OK;
}

enum err read_log(struct reader *reader, uint64_t after_id, struct feed_page *page) {
    struct arena arena = ARENA_INIT(PAGE_ARENA_BYTES);
    uint64_t head_id = 0;
    size_t bytes = 0;
    *page = (struct feed_page){ .last_id = after_id };
    enum err err = snapshot_head(reader, &head_id);
    struct statement *statement = reader_query(reader, &log_page, (uint64_t[]){ after_id, LIMIT_REPLAY_EVENTS }, 2);
    for (bool row; bytes < LIMIT_REPLAY_BYTES && rows_next(reader->db, statement, &err, &row);)
        err = take_log_event(reader, statement, &arena, page, &bytes);
    reader->db->driver->finish(statement);
    arena_release(&arena);
    bool full = page->count == LIMIT_REPLAY_EVENTS || bytes >= LIMIT_REPLAY_BYTES;
    if (err == OK && !full && page->last_id < head_id) /* all that came after was cut: the head is the floor */
        page->last_id = head_id;
    page->complete = page->last_id >= head_id;
    if (err != OK)
        feed_page_release(page);
    return err;
}
