/* Rows into structs. Owns nothing. */
#include "db/rows.h"

#include <stdlib.h>

bool rows_next(struct db *db, struct statement *statement, enum err *err, bool *row) {
    *row = false;
    if (*err == OK)
        *err = db->driver->step(statement, row);
    if (*err == OK && *row)
        return true;
    db->driver->finish(statement);
    return false;
}

/* A text column that must not be NULL in memory once it is not NULL in the row. */
static const char *text(struct db *db, struct statement *row, int column, struct arena *arena, enum err *err) {
    const char *copy = db_column_text(db, row, column, arena, NULL);
    if (!copy && !db->driver->is_null(row, column))
        *err = ERR_NO_MEMORY;
    return copy;
}

enum err row_user(struct db *db, struct statement *row, int column, struct arena *arena, struct user *ret_user) {
    enum err err = OK;
    struct user user = {
        .id = db->driver->column_id(row, column),
        .username = text(db, row, column + 1, arena, &err),
        .display_name = text(db, row, column + 2, arena, &err),
        .password = text(db, row, column + 3, arena, &err),
        .created_ms = (int64_t)db->driver->column_id(row, column + 4),
        .media_bytes = (int64_t)db->driver->column_id(row, column + 5),
        .hides_presence = db->driver->column_id(row, column + 6) != 0,
        .hides_receipts = db->driver->column_id(row, column + 7) != 0,
    };
    if (err == OK)
        *ret_user = user;
    return err;
}

enum err row_device(struct db *db, struct statement *row, int column, struct arena *arena, struct device *ret_device) {
    enum err err = OK;
    struct device device = {
        .id = db->driver->column_id(row, column),
        .user_id = db->driver->column_id(row, column + 1),
        .name = text(db, row, column + 2, arena, &err),
        .created_ms = (int64_t)db->driver->column_id(row, column + 3),
        .seen_ms = (int64_t)db->driver->column_id(row, column + 4),
        .acked_id = db->driver->column_id(row, column + 5),
    };
    if (err == OK)
        *ret_device = device;
    return err;
}

enum err row_chat(struct db *db, struct statement *row, int column, struct arena *arena, struct chat *ret_chat) {
    uint64_t (*number)(struct statement *, int) = db->driver->column_id;
    enum err err = OK;
    struct chat chat = {
        .id = number(row, column),
        .type = (enum chat_type)number(row, column + 1),
        .history = (enum chat_history)number(row, column + 2),
        .title = text(db, row, column + 3, arena, &err),
        .created_by = number(row, column + 4),
        .created_ms = (int64_t)number(row, column + 5),
        .deleted_ms = (int64_t)number(row, column + 6),
        .last_id = number(row, column + 7),
        .last_rev = number(row, column + 8),
        .last_seq = number(row, column + 9),
        .changed_rev = number(row, column + 10),
        .member_count = (uint32_t)number(row, column + 12),
        .owner_count = (uint32_t)number(row, column + 13),
        .direct_low = number(row, column + 14),
        .direct_high = number(row, column + 15),
        .message_ttl_ms = (int64_t)number(row, column + 16),
        .until_delivered = number(row, column + 17) != 0,
        .description = text(db, row, column + 18, arena, &err),
        .slow_mode_ms = (int64_t)number(row, column + 19),
        .permissions = (uint32_t)number(row, column + 20),
        .avatar_id = number(row, column + 21),
        .blockers = (uint32_t)number(row, column + 22),
        .is_public = number(row, column + 23) != 0,
    };
    db_column_blob(db, row, column + 11, chat.chain, sizeof chat.chain);
    if (err == OK)
        *ret_chat = chat;
    return err;
}

void row_stay(struct db *db, struct statement *row, int column, struct stay *ret_stay) {
    uint64_t (*number)(struct statement *, int) = db->driver->column_id;
    *ret_stay = (struct stay){
        .chat_id = number(row, column),
        .user_id = number(row, column + 1),
        .joined_id = number(row, column + 2),
        .left_id = number(row, column + 3),
        .role = (enum role)number(row, column + 4),
        .joined_ms = (int64_t)number(row, column + 5),
        .last_post_ms = (int64_t)number(row, column + 6),
        .read_seq = number(row, column + 7),
        .mentioned_seq = number(row, column + 8),
        .settings = {
            .muted_until_ms = (int64_t)number(row, column + 9),
            .archived = number(row, column + 10) != 0,
            .pinned_ms = (int64_t)number(row, column + 11),
        },
    };
}

void row_link(struct db *db, struct statement *row, int column, struct link *ret_link) {
    uint64_t (*number)(struct statement *, int) = db->driver->column_id;
    *ret_link = (struct link){
        .id = number(row, column),
        .chat_id = number(row, column + 1),
        .created_by = number(row, column + 2),
        .created_ms = (int64_t)number(row, column + 3),
        .expires_ms = (int64_t)number(row, column + 4),
        .uses_max = (uint32_t)number(row, column + 5),
        .uses = (uint32_t)number(row, column + 6),
        .needs_approval = number(row, column + 7) != 0,
    };
}

void row_ban(struct db *db, struct statement *row, int column, struct ban *ret_ban) {
    *ret_ban = (struct ban){
        .chat_id = db->driver->column_id(row, column),
        .user_id = db->driver->column_id(row, column + 1),
        .by_id = db->driver->column_id(row, column + 2),
        .created_ms = (int64_t)db->driver->column_id(row, column + 3),
    };
}

void row_block(struct db *db, struct statement *row, int column, struct block *ret_block) {
    *ret_block = (struct block){
        .user_id = db->driver->column_id(row, column),
        .blocked_id = db->driver->column_id(row, column + 1),
        .created_ms = (int64_t)db->driver->column_id(row, column + 2),
    };
}

enum err row_report(struct db *db, struct statement *row, int column, struct arena *arena, struct report *ret_report) {
    uint64_t (*number)(struct statement *, int) = db->driver->column_id;
    enum err err = OK;
    const struct report report = {
        .id = number(row, column),
        .reporter_id = number(row, column + 1),
        .user_id = number(row, column + 2),
        .chat_id = number(row, column + 3),
        .message_id = number(row, column + 4),
        .category = (enum report_category)number(row, column + 5),
        .reason = text(db, row, column + 6, arena, &err),
        .created_ms = (int64_t)number(row, column + 7),
        .closed_ms = (int64_t)number(row, column + 8),
        .note = text(db, row, column + 9, arena, &err),
        .posted_ms = (int64_t)number(row, column + 10),
    };
    if (err == OK)
        *ret_report = report;
    return err;
}

enum err row_contact(struct db *db, struct statement *row, int column, struct arena *arena, struct contact *ret_contact) {
    enum err err = OK;
    struct contact contact = {
        .user_id = db->driver->column_id(row, column),
        .contact_id = db->driver->column_id(row, column + 1),
        .name = text(db, row, column + 2, arena, &err),
        .created_ms = (int64_t)db->driver->column_id(row, column + 3),
    };
    if (err == OK)
        *ret_contact = contact;
    return err;
}

void row_join_request(struct db *db, struct statement *row, int column, struct join_request *ret_request) {
    *ret_request = (struct join_request){
        .chat_id = db->driver->column_id(row, column),
        .user_id = db->driver->column_id(row, column + 1),
        .link_id = db->driver->column_id(row, column + 2),
        .created_ms = (int64_t)db->driver->column_id(row, column + 3),
    };
}

/* Text of any length, counted. */
static const char *long_text(struct db *db, struct statement *row, int column, struct arena *arena, size_t *ret_size, enum err *err) {
    const char *copy = db_column_text(db, row, column, arena, ret_size);
    if (!copy && !db->driver->is_null(row, column))
        *err = ERR_NO_MEMORY;
    return copy;
}

enum err row_message(struct db *db, struct statement *row, int column, struct arena *arena, struct message *ret_message) {
    uint64_t (*number)(struct statement *, int) = db->driver->column_id;
    enum err err = OK;
    struct message message = {
        .id = number(row, column),
        .chat_id = number(row, column + 1),
        .sender_id = number(row, column + 2),
        .seq = number(row, column + 3),
        .rev = number(row, column + 4),
        .changed_id = number(row, column + 5),
        .client_key = text(db, row, column + 7, arena, &err),
        .created_ms = (int64_t)number(row, column + 8),
        .edited_ms = (int64_t)number(row, column + 9),
        .deleted_ms = (int64_t)number(row, column + 10),
        .original = number(row, column + 11) != 0,
        .expires_ms = (int64_t)number(row, column + 15),
        .reply_to = { number(row, column + 16), number(row, column + 17), number(row, column + 18) },
        .forwarded = number(row, column + 20) != 0,
        .reactions_rev = number(row, column + 22),
        .reactions_id = number(row, column + 23),
    };
    message.text = long_text(db, row, column + 6, arena, &message.text_size, &err);
    message.attachments = long_text(db, row, column + 14, arena, &message.attachments_size, &err);
    message.mentions = long_text(db, row, column + 19, arena, &message.mentions_size, &err);
    message.reactions = long_text(db, row, column + 21, arena, &message.reactions_size, &err);
    db_column_blob(db, row, column + 12, message.seal, sizeof message.seal);
    db_column_blob(db, row, column + 13, message.chain, sizeof message.chain);
    if (err == OK)
        *ret_message = message;
    return err;
}

/* Numbers with commas between them, as the list of a scheduled message's media. */
static enum err numbers(const char *list, struct arena *arena, uint64_t **ret_numbers, size_t *ret_count) {
    size_t count = list != NULL;
    for (const char *at = list; at && *at; at++)
        count += *at == ',';
    uint64_t *values = arena_alloc(arena, (count + 1) * sizeof *values);
    if (!values)
        return ERR_NO_MEMORY;
    char *end = (char *)(uintptr_t)list;
    for (size_t i = 0; i < count; i++)
        values[i] = strtoull(i == 0 ? end : end + 1, &end, 10);
    *ret_numbers = values;
    *ret_count = count;
    return OK;
}

static enum err mentions_of(const char *list, struct arena *arena, struct scheduled *scheduled) {
    uint64_t *values;
    size_t count;
    enum err err = numbers(list, arena, &values, &count);
    struct mention *mentions = err == OK ? arena_alloc(arena, (count / 3 + 1) * sizeof *mentions) : NULL;
    if (!mentions)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count / 3; i++)
        mentions[i] = (struct mention){ values[3 * i], (uint32_t)values[3 * i + 1], (uint32_t)values[3 * i + 2] };
    scheduled->mentions = mentions;
    scheduled->mention_count = count / 3;
    return OK;
}

enum err row_scheduled(struct db *db, struct statement *row, int column, struct arena *arena, struct scheduled *ret_scheduled) {
    uint64_t (*number)(struct statement *, int) = db->driver->column_id;
    enum err err = OK;
    struct scheduled scheduled = {
        .id = number(row, column),
        .user_id = number(row, column + 1),
        .chat_id = number(row, column + 2),
        .joined_id = number(row, column + 3),
        .due_ms = (int64_t)number(row, column + 4),
        .created_ms = (int64_t)number(row, column + 5),
        .reply_to = number(row, column + 10),
        .ttl_ms = (int64_t)number(row, column + 11),
        .failure = text(db, row, column + 12, arena, &err),
    };
    const char *media_ids = text(db, row, column + 8, arena, &err), *mentions = text(db, row, column + 9, arena, &err);
    uint64_t *ids = NULL;
    scheduled.text = long_text(db, row, column + 6, arena, &scheduled.text_size, &err);
    scheduled.attachments = long_text(db, row, column + 7, arena, &scheduled.attachments_size, &err);
    if (err == OK)
        err = numbers(media_ids, arena, &ids, &scheduled.media_count);
    if (err == OK)
        err = mentions_of(mentions, arena, &scheduled);
    if (err != OK)
        return err;
    scheduled.media_ids = ids;
    *ret_scheduled = scheduled;
    return OK;
}

enum err row_media(struct db *db, struct statement *row, int column, struct arena *arena, struct media *ret_media) {
    uint64_t (*number)(struct statement *, int) = db->driver->column_id;
    enum err err = OK;
    struct media media = {
        .id = number(row, column),
        .owner_id = number(row, column + 1),
        .state = (enum media_state)number(row, column + 2),
        .content_type = text(db, row, column + 4, arena, &err),
        .size = (int64_t)number(row, column + 5),
        .has_sha256 = !db->driver->is_null(row, column + 7),
        .file_name = text(db, row, column + 8, arena, &err),
        .width = (uint32_t)number(row, column + 9),
        .height = (uint32_t)number(row, column + 10),
        .duration_ms = (uint32_t)number(row, column + 11),
        .blurhash = text(db, row, column + 12, arena, &err),
        .thumbnail_id = number(row, column + 13),
        .part_size = (int64_t)number(row, column + 14),
        .upload_id = text(db, row, column + 15, arena, &err),
        .created_ms = (int64_t)number(row, column + 16),
        .expires_ms = (int64_t)number(row, column + 17),
        .upload_until_ms = (int64_t)number(row, column + 18),
    };
    db_column_blob(db, row, column + 3, media.token, sizeof media.token);
    db_column_blob(db, row, column + 6, media.md5, sizeof media.md5);
    db_column_blob(db, row, column + 7, media.sha256, sizeof media.sha256);
    if (err == OK)
        *ret_media = media;
    return err;
}
