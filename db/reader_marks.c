/* Reading marks: how far the members of a chat have come. What is in memory goes before what is in rows (db/marks.h). Whether the reader may know is
 * the caller's to ask, by a read that authorises. */
#include "core/arena.h"
#include "core/limits.h"
#include "db/reader_internal.h"

#define RECEIPT_COLUMNS "s.user_id, s.joined_id, s.read_seq, u.delivered_id, u.hides_receipts"

static const struct query receipts_of_chat = { "SELECT " RECEIPT_COLUMNS " FROM stay s {straight} user u ON u.id = s.user_id"
                                               " WHERE s.chat_id = ?1 AND s.user_id > ?2 AND s.left_id = " STAY_OPEN_SQL
                                               " AND u.hides_receipts = 0 ORDER BY s.user_id LIMIT ?3" };
static const struct query recipients_of_message = { "SELECT " RECEIPT_COLUMNS " FROM stay s {straight} user u ON u.id = s.user_id"
                                                    " WHERE s.chat_id = ?1 AND s.left_id = " STAY_OPEN_SQL
                                                    " AND s.joined_id <= ?2 AND s.user_id <> ?3 ORDER BY s.user_id" };
#define SEQ_AT(events)                                                 \
    "SELECT m.seq FROM " events " e {straight} event m ON m.id = e.id" \
    " WHERE e.owner_id = ?1 AND e.is_message = 1 AND e.id <= ?2 ORDER BY e.id DESC LIMIT 1"
static const struct query seq_at = { SEQ_AT("{by_owner}") };
static const struct query later_seq_at = { SEQ_AT("recent") };
/* The limit keeps MariaDB from making one list of all messages of these chats. */
#define DELIVERED_CHATS(delivered)                                                                                      \
    "SELECT c.id FROM stay s {straight} chat c ON c.id = s.chat_id WHERE s.user_id = ?1 AND s.left_id = " STAY_OPEN_SQL \
    " AND c.last_id > ?2 AND s.joined_id <= ?3 AND c.member_count <= ?4 AND c.type <> 3 AND " delivered                 \
    " ORDER BY c.last_id DESC LIMIT ?5"
#define IS_AMONG(events) \
    "(SELECT 1 FROM " events " e WHERE e.owner_id = c.id AND e.is_message = 1 AND e.id > ?2 AND e.id <= ?3 LIMIT 1) = 1"
static const struct query delivered_chats = { DELIVERED_CHATS(IS_AMONG("{by_owner}")) };
/* Of a range that ends behind what has been entered. */
static const struct query later_delivered_chats = { DELIVERED_CHATS("(" IS_AMONG("recent") " OR " IS_AMONG("{by_owner}") ")") };
/* In a direct chat of which one has blocked the other nobody tells anything, and nobody of a channel, whose followers are not looked at. */
static const struct query members_and_wishes = {
    "SELECT s.user_id, u.hides_receipts + c.blockers FROM chat c {straight} stay s ON s.chat_id = c.id {straight} user u ON u.id = s.user_id"
    " WHERE c.id = ?1 AND c.type <> 3 AND s.left_id = " STAY_OPEN_SQL " ORDER BY s.user_id LIMIT ?2"
};
static_assert(CHAT_CHANNEL == 3, "the type of chats without receipts");

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

static void take_receipt(struct reader *reader, struct statement *row, uint64_t chat_id, struct receipt *ret_receipt) {
    uint64_t (*number)(struct statement *, int) = reader->db->driver->column_id;
    uint64_t user_id = number(row, 0);
    *ret_receipt = (struct receipt){
        .user_id = user_id,
        .joined_id = number(row, 1),
        .read_seq = larger(number(row, 2), store_mark(reader->store, MARK_READ, chat_id, user_id)),
        .delivered_id = larger(number(row, 3), store_mark(reader->store, MARK_DELIVERED, 0, user_id)),
        .hidden = number(row, 4) != 0,
    };
}

static enum err take_receipts(struct reader *reader, struct statement *statement, uint64_t chat_id, struct arena *arena,
                              struct receipt **ret_receipts, size_t *ret_count) {
    struct receipt *receipts = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        receipts = reader_grow(arena, receipts, count, sizeof *receipts);
        if (receipts)
            take_receipt(reader, statement, chat_id, &receipts[count++]);
        else
            err = ERR_NO_MEMORY;
    }
    if (err != OK)
        return err;
    *ret_receipts = receipts;
    *ret_count = count;
    return OK;
}

static enum err find_seq(struct reader *reader, const struct query *query, const uint64_t ids[2], uint64_t *ret_seq) {
    struct statement *statement = reader_query(reader, query, ids, 2);
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);)
        *ret_seq = reader->db->driver->column_id(statement, 0);
    return err;
}

/* Of the chat's last message up to `id`; 0: there is none. */
static enum err find_seq_at(struct reader *reader, const struct chat *chat, uint64_t id, uint64_t *ret_seq) {
    const uint64_t ids[] = { chat->id, id };
    enum err err = OK;
    *ret_seq = 0;
    if (id > reader->entered_id && chat->last_id > reader->entered_id)
        err = find_seq(reader, &later_seq_at, ids, ret_seq);
    return err == OK && *ret_seq == 0 ? find_seq(reader, &seq_at, ids, ret_seq) : err;
}

/* Who has read a message has it, too; and who has the chat's last event has all of them, which is nearly everybody. */
static enum err find_delivered(struct reader *reader, const struct chat *chat, struct receipt *receipt) {
    uint64_t seq = chat->last_seq;
    enum err err = OK;
    if (receipt->read_seq > chat->last_seq)
        receipt->read_seq = chat->last_seq;
    if (receipt->delivered_id < chat->last_id)
        err = find_seq_at(reader, chat, receipt->delivered_id, &seq);
    receipt->delivered_seq = larger(seq, receipt->read_seq);
    return err;
}

enum err read_receipts(struct reader *reader, const struct chat *chat, uint64_t after_id, size_t limit, struct arena *arena,
                       struct receipt **ret_receipts, size_t *ret_count) {
    struct statement *statement = reader_query(reader, &receipts_of_chat, (uint64_t[]){ chat->id, after_id, limit }, 3);
    enum err err = take_receipts(reader, statement, chat->id, arena, ret_receipts, ret_count);
    for (size_t i = 0; err == OK && i < *ret_count; i++)
        err = find_delivered(reader, chat, &(*ret_receipts)[i]);
    return err;
}

bool receipt_is_read(const struct receipt *receipt, const struct message *message) {
    return !receipt->hidden && message->seq && receipt->read_seq >= message->seq;
}

bool receipt_is_delivered(const struct receipt *receipt, const struct message *message) {
    return receipt_is_read(receipt, message) || (!receipt->hidden && receipt->delivered_id >= message->id);
}

static struct statement *query_recipients(struct reader *reader, const struct message *message) {
    return reader_query(reader, &recipients_of_message, (uint64_t[]){ message->chat_id, message->id, message->sender_id }, 3);
}

enum err read_recipients(struct reader *reader, const struct message *message, struct arena *arena, struct receipt **ret_receipts,
                         size_t *ret_count) {
    return take_receipts(reader, query_recipients(reader, message), message->chat_id, arena, ret_receipts, ret_count);
}

enum err count_recipients(struct reader *reader, const struct message *message, struct recipient_counts *ret_counts) {
    struct statement *statement = query_recipients(reader, message);
    struct recipient_counts counts = { 0 };
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row); counts.members++) {
        struct receipt receipt;
        take_receipt(reader, statement, message->chat_id, &receipt);
        counts.delivered += receipt_is_delivered(&receipt, message);
        counts.read += receipt_is_read(&receipt, message);
    }
    if (err == OK)
        *ret_counts = counts;
    return err;
}

enum err read_delivered_chats(struct reader *reader, uint64_t user_id, const struct delivery_range *range, uint64_t ret_chat_ids[],
                              size_t *ret_count) {
    bool has_later = range->up_to_id > reader->entered_id;
    uint64_t ids[] = { user_id, range->after_id, range->up_to_id, range->members, LIMIT_RECEIPT_CHATS };
    struct statement *statement = reader_query(reader, has_later ? &later_delivered_chats : &delivered_chats, ids, 5);
    enum err err = OK;
    *ret_count = 0;
    for (bool row; rows_next(reader->db, statement, &err, &row);)
        ret_chat_ids[(*ret_count)++] = reader->db->driver->column_id(statement, 0);
    return err;
}

enum err read_audience(struct reader *reader, uint64_t chat_id, size_t members, struct arena *arena, struct audience *ret_audience) {
    struct statement *statement = reader_query(reader, &members_and_wishes, (uint64_t[]){ chat_id, members + 1 }, 2);
    struct audience audience = { .everybody = true };
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row); count++) {
        if (reader->db->driver->column_id(statement, 1)) {
            audience.everybody = false;
            continue;
        }
        audience.user_ids = reader_grow(arena, audience.user_ids, audience.count, sizeof *audience.user_ids);
        if (audience.user_ids)
            audience.user_ids[audience.count++] = reader->db->driver->column_id(statement, 0);
        else
            err = ERR_NO_MEMORY;
    }
    if (err != OK)
        return err;
    if (count > members)
        audience = (struct audience){ .too_large = true };
    *ret_audience = audience;
    return OK;
}
