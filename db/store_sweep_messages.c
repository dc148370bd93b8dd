/* The sweeps that blank messages: those past their own time, those that everybody has, and those of deleted chats. Their rows stay, with what proves
 * them, until the log's sweep takes them. */
#include "core/limits.h"
#include "db/chain.h"
#include "db/store_sweep.h"

#define PAGE_MESSAGES LIMIT_SWEEP_ROWS
#define PAGE_BYTES LIMIT_BATCH_BYTES /* a page ends with the message that goes beyond */
#define DELIVERY_CHATS 256           /* looked at in one pass, changed or not */
#define DELIVERY_COST 10             /* to ask for one of them, in rows */

static const struct query due_messages = {
    "SELECT " MESSAGE_COLUMNS ", coalesce(c.deleted_ms, 0) FROM expiry x {straight} event m ON m.id = x.message_id"
    " LEFT JOIN chat c ON c.id = m.owner_id WHERE x.expires_ms <= ?1 ORDER BY x.expires_ms, x.message_id LIMIT ?2"
};
static const struct query messages_of_chat = { "SELECT " MESSAGE_COLUMNS
                                               ", c.deleted_ms FROM {by_owner} e {straight} event m ON m.id = e.id"
                                               " {straight} chat c ON c.id = m.owner_id"
                                               " WHERE e.owner_id = ?1 AND e.is_message = 1 AND e.id > ?3 AND e.id <= ?4"
                                               " ORDER BY e.id LIMIT ?2" };
static const struct query blank_message = { "UPDATE event SET body = NULL, attachments = NULL, client_key = NULL, original = 0, seal = ?2,"
                                            " deleted_ms = ?3, reply_id = NULL, reply_seq = NULL, reply_sender_id = NULL,"
                                            " mentions = NULL, forwarded = NULL, reactions = NULL WHERE id = ?1" };
static const struct query drop_attachments = { "DELETE FROM attachment WHERE message_id = ?1 RETURNING media_id" };
static const struct query drop_reactions = { "DELETE FROM reaction WHERE message_id = ?1" };
static const struct query drop_pin = { "DELETE FROM pin WHERE message_id = ?1" };
static const struct query drop_revisions = { "DELETE FROM revision WHERE message_id = ?1" };
static const struct query drop_expiry = { "DELETE FROM expiry WHERE message_id = ?1 AND expires_ms = ?2" };

static const struct query next_deliveries = {
    "SELECT d.chat_id, d.blanked_id, c.last_id, c.member_count"
    " FROM (SELECT chat_id, blanked_id FROM delivery WHERE chat_id > ?1 ORDER BY chat_id LIMIT ?2) d"
    " {straight} chat c ON c.id = d.chat_id ORDER BY d.chat_id"
};
/* ?2: stays that ended up to there hold nothing back any more; ?3: devices not seen since do not. NULL: nobody holds anything back. */
static const struct query delivered_up_to = { "SELECT min(CASE WHEN d.acked_id >= s.left_id THEN " STAY_OPEN_SQL " ELSE d.acked_id END)"
                                              " FROM stay s {straight} device d ON d.user_id = s.user_id"
                                              " WHERE s.chat_id = ?1 AND s.left_id > ?2 AND d.seen_ms > ?3" };
static const struct query note_blanked = { "UPDATE delivery SET blanked_id = ?2 WHERE chat_id = ?1" };

static const struct query first_purge = { "SELECT chat_id, purged_id FROM \"purge\" ORDER BY chat_id LIMIT 1" };
static const struct query note_purged = { "UPDATE \"purge\" SET purged_id = ?2 WHERE chat_id = ?1" };
static const struct query end_purge = { "DELETE FROM \"purge\" WHERE chat_id = ?1" };
static const struct query thin_events = { "SELECT e.id FROM {by_owner} e {straight} event t ON t.id = e.id"
                                          " WHERE e.owner_id = ?1 AND e.is_message = 0 AND t.body IS NOT NULL LIMIT ?2" };
static const struct query links_of_chat = { "SELECT id FROM link WHERE chat_id = ?1 LIMIT ?2" };
static const struct query delete_link = { "DELETE FROM link WHERE id = ?1" };
static const struct query requests_of_chat = { "SELECT chat_id, user_id FROM join_request WHERE chat_id = ?1 LIMIT ?2" };
static const struct query delete_request = { "DELETE FROM join_request WHERE chat_id = ?1 AND user_id = ?2" };
static const struct query bans_of_chat = { "SELECT chat_id, user_id FROM ban WHERE chat_id = ?1 LIMIT ?2" };
static const struct query delete_ban = { "DELETE FROM ban WHERE chat_id = ?1 AND user_id = ?2" };
static const struct query open_stays_of_chat = {
    "SELECT chat_id, user_id, joined_id FROM stay WHERE chat_id = ?1 AND left_id = " STAY_OPEN_SQL " LIMIT ?2"
};
static const struct query close_stay = { "UPDATE stay SET left_id = (SELECT c.last_id FROM chat c WHERE c.id = ?1)"
                                         " WHERE chat_id = ?1 AND user_id = ?2 AND joined_id = ?3" };
static const struct query blank_thin = { "UPDATE event SET body = NULL WHERE id = ?1" };

/* ---- Pages of messages ---- */

struct page_item {
    struct message message;
    int64_t chat_deleted_ms;
    bool was_blank; /* it has lost its content when it was deleted */
    bool attached;
};

struct page {
    struct vec items;
    bool full; /* there may be more */
};

static size_t size_of(const struct page_item *item) { return item->message.text_size + item->message.attachments_size; }

/* Runs a query that gives messages and their chats' deleted_ms; the limit is at ?2. */
static enum err read_page(struct pass *pass, struct statement *statement, struct page *page) {
    size_t bytes = 0;
    enum err err = OK;
    pass->db->driver->bind_id(statement, 2, PAGE_MESSAGES);
    for (bool row; bytes < PAGE_BYTES && rows_next(pass->db, statement, &err, &row);) {
        struct page_item *item = state_alloc(pass->state, sizeof *item);
        err = item ? row_message(pass->db, statement, 0, pass->state->arena, &item->message) : ERR_NO_MEMORY;
        if (err != OK)
            continue;
        item->chat_deleted_ms = (int64_t)pass->db->driver->column_id(statement, MESSAGE_COLUMN_COUNT);
        item->was_blank = item->message.deleted_ms != 0;
        item->attached = item->message.attachments != NULL;
        bytes += size_of(item);
        state_push(pass->state, &page->items, item);
    }
    pass->db->driver->finish(statement);
    page->full = page->items.count == PAGE_MESSAGES || bytes >= PAGE_BYTES;
    return err == OK && pass->state->failed ? ERR_NO_MEMORY : err;
}

static enum err read_chat_page(struct pass *pass, uint64_t chat_id, uint64_t after_id, uint64_t last_id, struct page *page) {
    enum err err = owner_index_enter_owner(pass->state, pass->db, chat_id);
    if (err != OK)
        return err;
    struct statement *statement = db_query(pass->db, &messages_of_chat);
    pass->db->driver->bind_id(statement, 1, chat_id);
    pass->db->driver->bind_id(statement, 3, after_id);
    pass->db->driver->bind_id(statement, 4, last_id);
    return read_page(pass, statement, page);
}

static uint64_t last_of(const struct page *page) { return ((struct page_item *)page->items.items[page->items.count - 1])->message.id; }

/* The moment since which readers have been told that it is deleted: its own time or its chat's end, whichever came first, else now. */
static int64_t gone_since(const struct pass *pass, const struct page_item *item) {
    int64_t since_ms = pass->state->now_ms;
    if (item->chat_deleted_ms && item->chat_deleted_ms < since_ms)
        since_ms = item->chat_deleted_ms;
    if (item->message.expires_ms && item->message.expires_ms < since_ms)
        since_ms = item->message.expires_ms;
    return since_ms;
}

struct blanks {
    const struct db_driver *driver;
    const struct message *messages[PAGE_MESSAGES];
    size_t count;
};

static void bind_blank(struct statement *statement, const void *context, size_t index) {
    const struct blanks *blanks = context;
    const struct message *message = blanks->messages[index];
    blanks->driver->bind_id(statement, 1, message->id);
    blanks->driver->bind_blob(statement, 2, message->seal, sizeof message->seal);
    blanks->driver->bind_id(statement, 3, (uint64_t)message->deleted_ms);
}

static enum err write_blanks(struct pass *pass, const struct page *page) {
    struct blanks blanks = { .driver = pass->db->driver };
    for (size_t i = 0; i < page->items.count; i++) {
        struct page_item *item = page->items.items[i];
        if (item->was_blank)
            continue;
        chain_blank(&item->message, gone_since(pass, item));
        blanks.messages[blanks.count++] = &item->message;
    }
    return blanks.count > 0 ? blanks.driver->write_rows(pass->db, &blank_message, &blanks, blanks.count, bind_blank) : OK;
}

static bool has_reactions(const struct page_item *item) { return !item->was_blank && item->message.reactions_id != 0; }
static bool has_revisions(const struct page_item *item) { return !item->was_blank && item->message.edited_ms != 0; }
static bool has_expiry(const struct page_item *item) { return !item->was_blank && item->message.expires_ms != 0; }

/* One array write for those of the page that may have such rows; NULL: any may. */
static enum err drop_rows(struct pass *pass, const struct page *page, const struct query *query, bool (*has)(const struct page_item *)) {
    struct row_key keys[PAGE_MESSAGES];
    size_t count = 0;
    for (size_t i = 0; i < page->items.count; i++) {
        const struct page_item *item = page->items.items[i];
        if (!has || has(item))
            keys[count++] = (struct row_key){ .numbers = { item->message.id, (uint64_t)item->message.expires_ms } };
    }
    return pass_write(pass, query, keys, count, query == &drop_expiry ? 2 : 1);
}

static enum err drop_attached(struct pass *pass, const struct page *page) {
    enum err err = OK;
    for (size_t i = 0; err == OK && i < page->items.count; i++) {
        const struct page_item *item = page->items.items[i];
        if (item->attached && !item->was_blank)
            err = release_attachments(pass, &drop_attachments, item->message.id);
    }
    return err;
}

static enum err write_page(struct pass *pass, const struct page *page) {
    enum err err = write_blanks(pass, page);
    if (err == OK)
        err = drop_attached(pass, page);
    if (err == OK)
        err = drop_rows(pass, page, &drop_pin, NULL);
    if (err == OK)
        err = drop_rows(pass, page, &drop_reactions, has_reactions);
    if (err == OK)
        err = drop_rows(pass, page, &drop_revisions, has_revisions);
    if (err == OK)
        err = drop_rows(pass, page, &drop_expiry, has_expiry);
    return err;
}

/* Counts those of the page that still had content, and blanks them unless the run is dry. */
static enum err blank_page(struct pass *pass, const struct page *page) {
    for (size_t i = 0; i < page->items.count; i++)
        pass_took(pass, !((struct page_item *)page->items.items[i])->was_blank, UINT64_MAX);
    return pass->dry_run ? OK : write_page(pass, page);
}

/* ---- Past their own time ---- */

enum err sweep_expired(struct pass *pass) {
    struct page page = { .full = false };
    struct statement *statement = db_query(pass->db, &due_messages);
    pass->db->driver->bind_id(statement, 1, (uint64_t)pass->state->now_ms);
    enum err err = read_page(pass, statement, &page);
    if (err == OK)
        err = blank_page(pass, &page);
    pass->command->out.sweep.more = page.full;
    return err;
}

/* ---- Delivered to all ---- */

struct delivery {
    uint64_t chat_id, blanked_id, last_id, member_count;
};

static enum err read_deliveries(struct pass *pass, struct delivery *deliveries, size_t *ret_count) {
    const struct db_driver *driver = pass->db->driver;
    struct statement *statement = db_query(pass->db, &next_deliveries);
    driver->bind_id(statement, 1, pass->place->delivery_chat_id);
    driver->bind_id(statement, 2, DELIVERY_CHATS);
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row);)
        deliveries[(*ret_count)++] = (struct delivery){ driver->column_id(statement, 0), driver->column_id(statement, 1),
                                                        driver->column_id(statement, 2), driver->column_id(statement, 3) };
    return err;
}

/* All up to there has reached every device that counts; at most the chat's last event. */
static enum err find_delivered(struct pass *pass, const struct delivery *delivery, uint64_t *ret_id) {
    int64_t seen_ms = pass->state->now_ms - pass->state->config->dormant_after_ms;
    struct statement *statement = db_query(pass->db, &delivered_up_to);
    pass->db->driver->bind_id(statement, 1, delivery->chat_id);
    pass->db->driver->bind_id(statement, 2, delivery->blanked_id);
    pass->db->driver->bind_id(statement, 3, (uint64_t)seen_ms);
    enum err err = OK;
    *ret_id = delivery->last_id;
    for (bool row; rows_next(pass->db, statement, &err, &row);) {
        uint64_t held_id = pass->db->driver->column_id(statement, 0);
        if (!pass->db->driver->is_null(statement, 0) && held_id < *ret_id)
            *ret_id = held_id;
    }
    return err;
}

/* `ret_done`: the chat has nothing more to give for now. `cost` grows by the rows that were looked at. */
static enum err sweep_delivery(struct pass *pass, const struct delivery *delivery, uint64_t *cost, bool *ret_done) {
    uint64_t delivered_id = 0;
    struct page page = { .full = false };
    enum err err = find_delivered(pass, delivery, &delivered_id);
    *ret_done = true;
    *cost += DELIVERY_COST + delivery->member_count;
    if (err != OK || delivered_id <= delivery->blanked_id)
        return err;
    err = read_chat_page(pass, delivery->chat_id, delivery->blanked_id, delivered_id, &page);
    if (err == OK)
        err = blank_page(pass, &page);
    *cost += page.items.count;
    *ret_done = !page.full;
    if (err != OK || pass->dry_run)
        return err;
    uint64_t blanked_id = page.full ? last_of(&page) : delivered_id;
    return pass_run(pass, &note_blanked, (uint64_t[]){ delivery->chat_id, blanked_id }, 2);
}

/* Goes round over the chats, from where the last pass ended: what one pass costs is bounded by the members looked at. */
enum err sweep_delivered(struct pass *pass) {
    struct delivery deliveries[DELIVERY_CHATS];
    size_t count = 0, next = 0;
    uint64_t cost = 0, chat_id = pass->place->delivery_chat_id;
    bool done = true;
    enum err err = read_deliveries(pass, deliveries, &count);
    for (; err == OK && done && next < count && cost < LIMIT_SWEEP_ROWS; next += done) {
        const struct delivery *delivery = &deliveries[next];
        if (delivery->last_id > delivery->blanked_id)
            err = sweep_delivery(pass, delivery, &cost, &done);
        if (done)
            chat_id = delivery->chat_id;
    }
    bool all = next == count && count < DELIVERY_CHATS;
    pass->command->out.sweep.more = !all;
    if (!pass->dry_run)
        pass->place->delivery_chat_id = all ? 0 : chat_id;
    return err;
}

/* ---- Of deleted chats ---- */

/* A deleted chat of which all messages up to `after_id` are blank. */
struct purge {
    uint64_t chat_id, after_id;
};

/* The messages are blank; then the stays that still are open, those of a channel, end where it did; then the events that carry names and titles, who was to
 * join, and who was not. */
static enum err end_chat(struct pass *pass, const struct purge *purge) {
    static const struct taking takings[] = {
        { .read = &open_stays_of_chat, .write = &close_stay, .numbers = 3 },
        { .read = &thin_events, .write = &blank_thin, .numbers = 1 },
        { .read = &links_of_chat, .write = &delete_link, .numbers = 1 },
        { .read = &requests_of_chat, .write = &delete_request, .numbers = 2 },
        { .read = &bans_of_chat, .write = &delete_ban, .numbers = 2 },
    };
    uint64_t before = pass->command->out.sweep.rows, left = LIMIT_SWEEP_ROWS;
    enum err err = OK;
    for (size_t i = 0; err == OK && left > 0 && i < sizeof takings / sizeof *takings; i++) {
        err = pass_take(pass, &takings[i], purge->chat_id, left);
        left = before + LIMIT_SWEEP_ROWS - pass->command->out.sweep.rows;
    }
    if (err == OK && left > 0)
        err = pass_run(pass, &end_purge, (uint64_t[]){ purge->chat_id }, 1);
    return err;
}

static enum err purge_page(struct pass *pass, const struct purge *purge) {
    struct page page = { .full = false };
    enum err err = read_chat_page(pass, purge->chat_id, purge->after_id, STAY_OPEN, &page);
    if (err == OK)
        err = blank_page(pass, &page);
    pass->command->out.sweep.more = !pass->dry_run || page.full; /* another chat may wait */
    if (err != OK || pass->dry_run)
        return err;
    if (page.items.count > 0)
        return pass_run(pass, &note_purged, (uint64_t[]){ purge->chat_id, last_of(&page) }, 2);
    return end_chat(pass, purge);
}

enum err sweep_chats(struct pass *pass) {
    struct statement *statement = db_query(pass->db, &first_purge);
    struct purge purge = { 0 };
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row);)
        purge = (struct purge){ pass->db->driver->column_id(statement, 0), pass->db->driver->column_id(statement, 1) };
    return err == OK && purge.chat_id ? purge_page(pass, &purge) : err;
}
