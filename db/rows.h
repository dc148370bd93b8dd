/* Columns and rows: one list of columns per table and one function that reads it, for the batch and for readers alike. */
#pragma once

#include "db/driver.h"
#include "db/model.h"

#define USER_COLUMNS "u.id, u.username, u.display_name, u.password, u.created_ms, u.media_bytes, u.hides_presence, u.hides_receipts"
#define DEVICE_COLUMNS "d.id, d.user_id, d.name, d.created_ms, d.seen_ms, d.acked_id"
#define CHAT_COLUMNS                                                                                                                \
    "c.id, c.type, c.history, c.title, c.created_by, c.created_ms, c.deleted_ms, c.last_id, c.last_rev, c.last_seq, c.changed_rev," \
    " c.chain, c.member_count, c.owner_count, c.direct_low, c.direct_high, c.message_ttl_ms, c.until_delivered,"                    \
    " c.description, c.slow_mode_ms, c.permissions, c.avatar_id, c.blockers, c.is_public"
#define CHAT_COLUMN_COUNT 24
#define STAY_COLUMNS                                                                                                  \
    "s.chat_id, s.user_id, s.joined_id, s.left_id, s.role, s.joined_ms, s.last_post_ms, s.read_seq, s.mentioned_seq," \
    " s.muted_until_ms, s.archived, s.pinned_ms"
#define STAY_COLUMN_COUNT 12
#define LINK_COLUMNS "l.id, l.chat_id, l.created_by, l.created_ms, l.expires_ms, l.uses_max, l.uses, l.needs_approval"
#define LINK_COLUMN_COUNT 8
#define BAN_COLUMNS "b.chat_id, b.user_id, b.by_id, b.created_ms"
#define BLOCK_COLUMNS "k.user_id, k.blocked_id, k.created_ms"
#define CONTACT_COLUMNS "t.user_id, t.contact_id, t.name, t.created_ms"
#define JOIN_REQUEST_COLUMNS "q.chat_id, q.user_id, q.link_id, q.created_ms"
#define SCHEDULED_COLUMNS                                                                                                          \
    "w.id, w.user_id, w.chat_id, w.joined_id, w.due_ms, w.created_ms, w.text, w.attachments, w.media_ids, w.mentions, w.reply_id," \
    " w.ttl_ms, w.failure"
#define REPORT_COLUMNS \
    "o.id, o.reporter_id, o.user_id, o.chat_id, o.message_id, o.category, o.reason, o.created_ms, o.closed_ms, o.note, o.posted_ms"
#define REPORT_COLUMN_COUNT 11
/* Of a message's own row in the log, named m. */
#define MESSAGE_COLUMNS                                                                                                                \
    "m.id, m.owner_id, m.actor_id, m.seq, m.changed_rev, m.changed_id, m.body, m.client_key, m.created_ms, m.edited_ms, m.deleted_ms," \
    " m.original, m.seal, m.chain, m.attachments, m.expires_ms, m.reply_id, m.reply_seq, m.reply_sender_id, m.mentions, m.forwarded,"  \
    " m.reactions, m.reactions_rev, m.reactions_id"
#define MESSAGE_COLUMN_COUNT 24
#define MESSAGE_COLUMN_DELETED_MS 10
#define MESSAGE_COLUMN_EXPIRES_MS 15
#define MEDIA_COLUMNS                                                                                                             \
    "x.id, x.owner_id, x.state, x.token, x.content_type, x.size, x.md5, x.sha256, x.file_name, x.width, x.height, x.duration_ms," \
    " x.blurhash, x.thumbnail_id, x.part_size, x.upload_id, x.created_ms, x.expires_ms, x.upload_until_ms"
#define MEDIA_COLUMN_COUNT 19
#define STAY_OPEN_SQL "9223372036854775807"
/* Whether a user may read a message, in a chat that is there, to which the media is attached. ?2: now; ?3: messages of that moment and before are past
 * retention. The sums keep the index on the ends of a user's stays, of which there may be thousands, out of it. */
#define MEDIA_IS_SEEN_FROM(tables, condition, media_id, user_id)                                                                                \
    "EXISTS (SELECT 1 FROM " tables " {straight} event m ON m.id = a.message_id WHERE a.media_id = " media_id " AND s.user_id = " user_id       \
    " AND a.chat_id = s.chat_id AND c.id = s.chat_id AND c.deleted_ms = 0 AND a.message_id <= s.left_id + 0 AND a.message_id >="                \
    " CASE WHEN s.left_id = " STAY_OPEN_SQL " AND c.history = 1 THEN 0 ELSE s.joined_id END AND m.deleted_ms = 0 AND m.created_ms > ?3"         \
    " AND (m.expires_ms IS NULL OR m.expires_ms > ?2) AND (m.changed_id <= s.left_id OR EXISTS (SELECT 1 FROM stay t"                           \
    " WHERE t.chat_id = s.chat_id AND t.user_id = s.user_id AND m.changed_id >= t.joined_id AND m.changed_id <= t.left_id + 0)) AND " condition \
    ")"
/* Whether it is the avatar of a chat that the user is a member of. */
#define MEDIA_IS_AVATAR(media_id, user_id)                                                                                               \
    "EXISTS (SELECT 1 FROM avatar v {straight} stay s ON s.chat_id = v.chat_id WHERE v.media_id = " media_id " AND s.user_id = " user_id \
    " AND s.left_id = " STAY_OPEN_SQL ")"
#define MEDIA_IS_RARE(media_id) "(SELECT f.message_id FROM attachment f WHERE f.media_id = " media_id " LIMIT 1 OFFSET 16) IS NULL"
/* The stay in which the message was posted, or the last one, which may show what was before it. */
#define STAY_MAY_SHOW(user_id)                                                                                  \
    "s.joined_id IN ((SELECT max(n.joined_id) FROM stay n WHERE n.chat_id = a.chat_id AND n.user_id = " user_id \
    " AND n.joined_id <= a.message_id), (SELECT max(l.joined_id) FROM stay l WHERE l.chat_id = a.chat_id AND l.user_id = " user_id "))"
/* From the messages with it while these are few: that costs next to nothing in however many chats the user is, and no more for media that is there than
 * for what is not, so that the time does not tell. Else from the user's stays. */
#define MEDIA_IS_SEEN(media_id, user_id)                                                      \
    "CASE WHEN " MEDIA_IS_RARE(media_id) " THEN " MEDIA_IS_SEEN_FROM(                         \
        "attachment a {straight} stay s {straight} chat c", STAY_MAY_SHOW(user_id), media_id, \
        user_id) " ELSE " MEDIA_IS_SEEN_FROM("stay s {straight} chat c {straight} attachment a", "1", media_id, user_id) " END"

/* Each reads its columns from `column` on; strings go to the arena. ERR_NO_MEMORY when the arena is full. */
enum err row_user(struct db *db, struct statement *row, int column, struct arena *arena, struct user *ret_user) MUST_USE;
enum err row_device(struct db *db, struct statement *row, int column, struct arena *arena, struct device *ret_device) MUST_USE;
enum err row_chat(struct db *db, struct statement *row, int column, struct arena *arena, struct chat *ret_chat) MUST_USE;
void row_stay(struct db *db, struct statement *row, int column, struct stay *ret_stay);
void row_link(struct db *db, struct statement *row, int column, struct link *ret_link);
void row_ban(struct db *db, struct statement *row, int column, struct ban *ret_ban);
void row_block(struct db *db, struct statement *row, int column, struct block *ret_block);
enum err row_contact(struct db *db, struct statement *row, int column, struct arena *arena, struct contact *ret_contact) MUST_USE;
void row_join_request(struct db *db, struct statement *row, int column, struct join_request *ret_request);
enum err row_message(struct db *db, struct statement *row, int column, struct arena *arena, struct message *ret_message) MUST_USE;
enum err row_media(struct db *db, struct statement *row, int column, struct arena *arena, struct media *ret_media) MUST_USE;
enum err row_scheduled(struct db *db, struct statement *row, int column, struct arena *arena, struct scheduled *ret_scheduled) MUST_USE;
/* Without the copy. */
enum err row_report(struct db *db, struct statement *row, int column, struct arena *arena, struct report *ret_report) MUST_USE;

/* Loops over the rows of `statement`: `err` holds the outcome, the statement is finished at the end.
 * Usage:  for (bool row; rows_next(db, statement, &err, &row);) { ... } */
bool rows_next(struct db *db, struct statement *statement, enum err *err, bool *row);
