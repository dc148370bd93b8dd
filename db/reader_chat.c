/* Reading chats and members, each by the reader's own membership. */
#include "core/clock.h"
#include "db/chain.h"
#include "db/reader_internal.h"

static const struct query chat_of_member = { "SELECT " CHAT_COLUMNS ", " STAY_COLUMNS " FROM stay s JOIN chat c ON c.id = s.chat_id"
                                             " WHERE s.chat_id = ?1 AND s.user_id = ?2 AND s.left_id = " STAY_OPEN_SQL
                                             " AND c.deleted_ms = 0" };
/* Ids first: what is sorted is every chat of the user. */
static const struct query chats_of_user = {
    "SELECT " CHAT_COLUMNS ", " STAY_COLUMNS ", d.text FROM (SELECT s.chat_id, s.user_id, s.joined_id, c.last_id FROM stay s"
    " {straight} chat c ON c.id = s.chat_id WHERE s.user_id = ?1 AND s.left_id = " STAY_OPEN_SQL " AND c.last_id < ?2"
    " AND c.deleted_ms = 0 AND (c.last_id > ?3 OR s.touched_id >= ?3) ORDER BY c.last_id DESC LIMIT ?4) k"
    " {straight} stay s ON s.chat_id = k.chat_id AND s.user_id = k.user_id AND s.joined_id = k.joined_id"
    " {straight} chat c ON c.id = k.chat_id LEFT JOIN draft d ON d.user_id = k.user_id AND d.chat_id = k.chat_id ORDER BY k.last_id DESC"
};
static const struct query unread_of_user = { "SELECT s.chat_id, s.read_seq, c.last_seq FROM stay s {straight} chat c ON c.id = s.chat_id"
                                             " WHERE s.user_id = ?1 AND s.left_id = " STAY_OPEN_SQL
                                             " AND c.last_seq > s.read_seq AND c.deleted_ms = 0" };
/* The last message of each pair of a chat and the first id to look at; ?2: of which nothing is past retention. */
/* ?3: the reader, who may have deleted them for themselves. */
#define LAST(events) "(SELECT e.id FROM " events " e WHERE e.owner_id = p.a AND e.is_message = 1 ORDER BY e.id DESC LIMIT 1)"
#define LAST_MESSAGES(last)                                                                      \
    "SELECT " MESSAGE_COLUMNS ", h.message_id FROM {pairs} p {straight} event m ON m.id = " last \
    " LEFT JOIN hidden h ON h.user_id = ?3 AND h.message_id = m.id WHERE m.id >= p.b AND m.id >= ?2"
static const struct query last_messages = { LAST_MESSAGES(LAST("{by_owner}")) };
/* Where some chats have later events. */
static const struct query last_messages_of_later = { LAST_MESSAGES("coalesce(" LAST("recent") ", " LAST("{by_owner}") ")") };
static const struct query draft_of = { "SELECT text FROM draft WHERE user_id = ?1 AND chat_id = ?2" };
static const struct query members_of_chat = { "SELECT " STAY_COLUMNS " FROM stay s WHERE s.chat_id = ?1 AND s.user_id > ?2"
                                              " AND s.left_id = " STAY_OPEN_SQL " ORDER BY s.user_id LIMIT ?3" };
/* Of a channel: those who run it, found by their role. The sum keeps the key of all stays, among a million followers, out of it. */
static const struct query runners_of_channel = { "SELECT " STAY_COLUMNS " FROM stay s WHERE s.chat_id = ?1 AND s.left_id = " STAY_OPEN_SQL
                                                 " AND s.role >= 2 AND s.user_id + 0 > ?2 ORDER BY s.user_id + 0 LIMIT ?3" };
static_assert(ROLE_ADMIN == 2, "the least role of those who run a channel");
static const struct query blanked_of_user = { "SELECT max(d.blanked_id) FROM stay s {straight} delivery d ON d.chat_id = s.chat_id"
                                              " WHERE s.user_id = ?1 AND s.left_id = " STAY_OPEN_SQL };
static const struct query stays_of_user = { "SELECT " STAY_COLUMNS " FROM stay s WHERE s.user_id = ?1 AND s.left_id > ?2" };

enum err reader_membership(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, struct chat *ret_chat,
                           struct stay *ret_stay) {
    struct statement *statement = reader_query(reader, &chat_of_member, (uint64_t[]){ chat_id, user_id }, 2);
    bool row = false;
    enum err err = reader->db->driver->step(statement, &row);
    if (err == OK)
        err = row ? row_chat(reader->db, statement, 0, arena, ret_chat) : ERR_NOT_FOUND;
    if (err == OK)
        row_stay(reader->db, statement, CHAT_COLUMN_COUNT, ret_stay);
    reader->db->driver->finish(statement);
    return err;
}

/* What is in memory may be ahead of the row, and of the snapshot. */
static uint64_t read_seq_of(struct reader *reader, const struct stay *stay, uint64_t last_seq) {
    uint64_t moved = store_mark(reader->store, MARK_READ, stay->chat_id, stay->user_id);
    uint64_t read_seq = moved > stay->read_seq ? moved : stay->read_seq;
    return read_seq < last_seq ? read_seq : last_seq;
}

static void set_own(struct reader *reader, const struct stay *stay, struct chat_of_member *chat) {
    chat->role = stay->role;
    chat->joined_id = stay->joined_id;
    chat->read_seq = read_seq_of(reader, stay, chat->chat.last_seq);
    chat->mentioned = stay->mentioned_seq > chat->read_seq;
    chat->settings = stay->settings;
    chat->draft = NULL;
    chat->last_message = NULL;
}

/* ---- Last messages ---- */

/* Chats whose last messages are read, in the order in which they come. */
struct lasts {
    uint64_t user_id; /* who reads */
    struct chat_of_member *chats;
    size_t count;
    size_t next; /* those before have theirs */
    size_t bytes;
};

static void ask_for_last(struct buf *pairs, const struct chat_of_member *chats, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t first_id = chats[i].chat.history == HISTORY_ALL ? 0 : chats[i].joined_id;
        buf_printf(pairs, "%s[%llu,%llu]", i == 0 ? "[" : ",", (unsigned long long)chats[i].chat.id, (unsigned long long)first_id);
    }
    buf_char(pairs, ']');
}

static enum err take_last(struct reader *reader, struct statement *row, struct arena *arena, struct lasts *lasts) {
    struct message *message = ARENA_NEW(arena, struct message);
    enum err err = message ? row_message(reader->db, row, 0, arena, message) : ERR_NO_MEMORY;
    if (err != OK)
        return err;
    while (lasts->next < lasts->count && lasts->chats[lasts->next].chat.id != message->chat_id)
        lasts->next++;
    if (lasts->next == lasts->count)
        return ERR_INTERNAL;
    chain_expire(message, clock_now_ms());
    if (reader->db->driver->column_id(row, MESSAGE_COLUMN_COUNT))
        message_hide(message);
    if (chat_is_blocked_by(&lasts->chats[lasts->next].chat, lasts->user_id))
        message_hide_reactions(message);
    lasts->chats[lasts->next++].last_message = message;
    lasts->bytes += message->text_size + message->attachments_size;
    return OK;
}

static bool has_later_events(const struct reader *reader, const struct chat_of_member *chats, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (chats[i].chat.last_id > reader->entered_id)
            return true;
    }
    return false;
}

/* A current member sees all that was posted in its stay; so there is nothing to withhold. `ret_count`: of how many chats, from the first. */
static enum err add_last_messages(struct reader *reader, uint64_t user_id, struct arena *arena, struct chat_of_member *chats, size_t count,
                                  size_t *ret_count) {
    struct lasts lasts = { .user_id = user_id, .chats = chats, .count = count };
    struct buf pairs = BUF_INIT;
    uint64_t horizon_id = 0;
    enum err err = count ? reader_horizon(reader, &horizon_id) : OK;
    *ret_count = count;
    if (count == 0 || err != OK)
        return err;
    ask_for_last(&pairs, chats, count);
    if (!buf_ok(&pairs))
        return ERR_NO_MEMORY;
    bool has_later = has_later_events(reader, chats, count);
    struct statement *statement = db_query(reader->db, has_later ? &last_messages_of_later : &last_messages);
    reader->db->driver->bind_text(statement, 1, pairs.bytes, pairs.size);
    reader->db->driver->bind_id(statement, 2, horizon_id);
    reader->db->driver->bind_id(statement, 3, user_id);
    for (bool row; lasts.bytes < LIMIT_PAGE_BYTES && rows_next(reader->db, statement, &err, &row);)
        err = take_last(reader, statement, arena, &lasts);
    reader->db->driver->finish(statement);
    if (lasts.bytes >= LIMIT_PAGE_BYTES)
        *ret_count = lasts.next;
    buf_release(&pairs);
    return err;
}

/* ---- Chats ---- */

enum err reader_draft(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, const char **ret_text,
                      size_t *ret_size) {
    struct statement *statement = reader_query(reader, &draft_of, (uint64_t[]){ user_id, chat_id }, 2);
    enum err err = OK;
    *ret_text = NULL;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        *ret_text = db_column_text(reader->db, statement, 0, arena, ret_size);
        err = *ret_text ? OK : ERR_NO_MEMORY;
    }
    return err;
}

enum err read_membership(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, struct chat_of_member *ret_chat) {
    struct stay stay;
    enum err err = reader_membership(reader, user_id, chat_id, arena, &ret_chat->chat, &stay);
    if (err == OK)
        set_own(reader, &stay, ret_chat);
    return err;
}

enum err read_chat(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, struct chat_of_member *ret_chat) {
    struct chat_of_member chat;
    size_t count = 1;
    enum err err = read_membership(reader, user_id, chat_id, arena, &chat);
    if (err != OK)
        return err;
    err = reader_draft(reader, user_id, chat_id, arena, &chat.draft, &chat.draft_size);
    if (err == OK)
        err = add_last_messages(reader, user_id, arena, &chat, count, &count);
    if (err == OK)
        *ret_chat = chat;
    return err;
}

static enum err take_chat(struct reader *reader, struct statement *row, struct arena *arena, struct chat_of_member *ret_chat) {
    struct stay stay;
    int draft = CHAT_COLUMN_COUNT + STAY_COLUMN_COUNT;
    enum err err = row_chat(reader->db, row, 0, arena, &ret_chat->chat);
    if (err != OK)
        return err;
    row_stay(reader->db, row, CHAT_COLUMN_COUNT, &stay);
    set_own(reader, &stay, ret_chat);
    ret_chat->draft = db_column_text(reader->db, row, draft, arena, &ret_chat->draft_size);
    return !ret_chat->draft && !reader->db->driver->is_null(row, draft) ? ERR_NO_MEMORY : OK;
}

enum err read_chats(struct reader *reader, uint64_t user_id, const struct chat_page *page, struct arena *arena,
                    struct chat_of_member **ret_chats, size_t *ret_count, bool *ret_more) {
    uint64_t ids[] = { user_id, page->before_id ? page->before_id : STAY_OPEN, page->since_id, page->limit + 1 };
    struct statement *statement = reader_query(reader, &chats_of_user, ids, 4);
    struct chat_of_member *chats = NULL;
    size_t count = 0, shown = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        chats = reader_grow(arena, chats, count, sizeof *chats);
        err = chats ? take_chat(reader, statement, arena, &chats[count++]) : ERR_NO_MEMORY;
    }
    if (err == OK)
        err = add_last_messages(reader, user_id, arena, chats, count < page->limit ? count : page->limit, &shown);
    if (err != OK)
        return err;
    *ret_chats = chats;
    *ret_count = shown;
    *ret_more = count > shown;
    return OK;
}

enum err read_unread_total(struct reader *reader, uint64_t user_id, uint64_t *ret_total) {
    const struct db_driver *driver = reader->db->driver;
    struct statement *statement = reader_query(reader, &unread_of_user, &user_id, 1);
    uint64_t total = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        struct stay stay = { .chat_id = driver->column_id(statement, 0), .user_id = user_id, .read_seq = driver->column_id(statement, 1) };
        uint64_t last_seq = driver->column_id(statement, 2);
        total += last_seq - read_seq_of(reader, &stay, last_seq);
    }
    if (err == OK)
        *ret_total = total;
    return err;
}

static enum err take_stays(struct reader *reader, struct statement *statement, struct arena *arena, struct stay **ret_stays,
                           size_t *ret_count) {
    struct stay *stays = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        stays = reader_grow(arena, stays, count, sizeof *stays);
        if (!stays)
            err = ERR_NO_MEMORY;
        else
            row_stay(reader->db, statement, 0, &stays[count++]);
    }
    if (err != OK)
        return err;
    *ret_stays = stays;
    *ret_count = count;
    return OK;
}

enum err read_members(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t after_id, size_t limit, struct arena *arena,
                      struct stay **ret_stays, size_t *ret_count) {
    struct chat chat;
    struct stay own;
    enum err err = reader_membership(reader, user_id, chat_id, arena, &chat, &own);
    if (err != OK)
        return err;
    const struct query *query = chat.type == CHAT_CHANNEL ? &runners_of_channel : &members_of_chat;
    struct statement *statement = reader_query(reader, query, (uint64_t[]){ chat_id, after_id, limit }, 3);
    return take_stays(reader, statement, arena, ret_stays, ret_count);
}

enum err read_stays(struct reader *reader, uint64_t user_id, uint64_t after_id, struct arena *arena, struct stay **ret_stays,
                    size_t *ret_count) {
    struct statement *statement = reader_query(reader, &stays_of_user, (uint64_t[]){ user_id, after_id }, 2);
    return take_stays(reader, statement, arena, ret_stays, ret_count);
}

enum err read_blanked(struct reader *reader, uint64_t user_id, uint64_t *ret_blanked_id) {
    struct statement *statement = reader_query(reader, &blanked_of_user, (uint64_t[]){ user_id }, 1);
    uint64_t blanked_id = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);)
        blanked_id = reader->db->driver->column_id(statement, 0);
    if (err == OK)
        *ret_blanked_id = blanked_id;
    return err;
}
