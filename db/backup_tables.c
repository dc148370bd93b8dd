/* See backup_tables.h. Owns the list. */
#include "db/backup_tables.h"

#include "core/buf.h"

#define NUMBER(name, since) \
    { name, CELL_NUMBER, since }
#define TEXT(name, since) \
    { name, CELL_TEXT, since }
#define BYTES(name, since) \
    { name, CELL_BYTES, since }

static const struct backup_column user_columns[] = {
    NUMBER("id", 1),          TEXT("username", 1),    TEXT("display_name", 1),     TEXT("password", 1),       NUMBER("created_ms", 1),
    NUMBER("media_bytes", 2), NUMBER("active_ms", 6), NUMBER("hides_presence", 6), NUMBER("delivered_id", 7), NUMBER("hides_receipts", 7),
};
static const struct backup_column device_columns[] = {
    NUMBER("id", 1),         NUMBER("user_id", 1), TEXT("name", 1),       BYTES("token", 1),
    NUMBER("created_ms", 1), NUMBER("seen_ms", 1), NUMBER("acked_id", 2),
};
static const struct backup_column ticket_columns[] = {
    BYTES("ticket", 1),
    NUMBER("device_id", 1),
    NUMBER("created_ms", 1),
    NUMBER("used_ms", 1),
};
static const struct backup_column invite_columns[] = { BYTES("invite", 1), NUMBER("uses_left", 1), NUMBER("expires_ms", 1) };
static const struct backup_column chat_columns[] = {
    NUMBER("id", 1),           NUMBER("type", 1),           NUMBER("history", 1),
    TEXT("title", 1),          NUMBER("created_by", 1),     NUMBER("created_ms", 1),
    NUMBER("deleted_ms", 1),   NUMBER("last_id", 1),        NUMBER("last_rev", 1),
    NUMBER("last_seq", 1),     NUMBER("changed_rev", 1),    BYTES("chain", 1),
    NUMBER("member_count", 1), NUMBER("owner_count", 1),    NUMBER("direct_low", 1),
    NUMBER("direct_high", 1),  NUMBER("message_ttl_ms", 2), NUMBER("until_delivered", 2),
    TEXT("description", 4),    NUMBER("slow_mode_ms", 4),   NUMBER("permissions", 4),
    NUMBER("avatar_id", 4),    NUMBER("blockers", 9),       NUMBER("is_public", 11),
};
static const struct backup_column purge_columns[] = { NUMBER("chat_id", 1), NUMBER("purged_id", 1) };
static const struct backup_column stay_columns[] = {
    NUMBER("chat_id", 1),   NUMBER("user_id", 1),      NUMBER("joined_id", 1),     NUMBER("left_id", 1),  NUMBER("role", 1),
    NUMBER("joined_ms", 1), NUMBER("last_post_ms", 4), NUMBER("mentioned_seq", 5), NUMBER("read_seq", 7), NUMBER("muted_until_ms", 7),
    NUMBER("archived", 7),  NUMBER("pinned_ms", 7),    NUMBER("touched_id", 7),
};
static const struct backup_column draft_columns[] = {
    NUMBER("user_id", 7),
    NUMBER("chat_id", 7),
    TEXT("text", 7),
    NUMBER("updated_ms", 7),
};
static const struct backup_column scheduled_columns[] = {
    NUMBER("id", 8),         NUMBER("user_id", 8),   NUMBER("chat_id", 8), NUMBER("joined_id", 8), NUMBER("due_ms", 8),
    NUMBER("created_ms", 8), NUMBER("failed_ms", 8), TEXT("text", 8),      TEXT("attachments", 8), TEXT("media_ids", 8),
    TEXT("mentions", 8),     NUMBER("reply_id", 8),  NUMBER("ttl_ms", 8),  TEXT("failure", 8),
};
static const struct backup_column event_columns[] = {
    NUMBER("id", 1),
    NUMBER("owner_id", 1),
    NUMBER("is_message", 1),
    NUMBER("type", 1),
    NUMBER("actor_id", 1),
    NUMBER("ref_id", 1),
    NUMBER("rev", 1),
    NUMBER("seq", 1),
    NUMBER("created_ms", 1),
    TEXT("body", 1),
    NUMBER("changed_id", 1),
    NUMBER("changed_rev", 1),
    NUMBER("edited_ms", 1),
    NUMBER("deleted_ms", 1),
    NUMBER("original", 1),
    BYTES("seal", 1),
    BYTES("chain", 1),
    TEXT("client_key", 1),
    TEXT("attachments", 2),
    NUMBER("expires_ms", 2),
    NUMBER("reply_id", 5),
    NUMBER("reply_seq", 5),
    NUMBER("reply_sender_id", 5),
    TEXT("mentions", 5),
    NUMBER("forwarded", 5),
    TEXT("reactions", 5),
    NUMBER("reactions_rev", 5),
    NUMBER("reactions_id", 5),
};
static const struct backup_column media_columns[] = {
    NUMBER("id", 2),
    NUMBER("owner_id", 2),
    NUMBER("state", 2),
    BYTES("token", 2),
    TEXT("content_type", 2),
    NUMBER("size", 2),
    BYTES("md5", 2),
    BYTES("sha256", 2),
    TEXT("file_name", 2),
    NUMBER("width", 2),
    NUMBER("height", 2),
    NUMBER("duration_ms", 2),
    TEXT("blurhash", 2),
    NUMBER("thumbnail_id", 2),
    NUMBER("part_size", 2),
    TEXT("upload_id", 2),
    NUMBER("created_ms", 2),
    NUMBER("expires_ms", 2),
    NUMBER("upload_until_ms", 2),
};
static const struct backup_column attachment_columns[] = { NUMBER("message_id", 2), NUMBER("media_id", 2), NUMBER("chat_id", 2) };
static const struct backup_column expiry_columns[] = { NUMBER("expires_ms", 2), NUMBER("message_id", 2) };
static const struct backup_column reaction_columns[] = {
    NUMBER("message_id", 5),
    NUMBER("user_id", 5),
    TEXT("emoji", 5),
    NUMBER("created_ms", 5),
};
static const struct backup_column pin_columns[] = { NUMBER("chat_id", 5), NUMBER("message_id", 5), NUMBER("user_id", 5),
                                                    NUMBER("pinned_ms", 5) };
static const struct backup_column hidden_columns[] = { NUMBER("user_id", 5), NUMBER("message_id", 5), NUMBER("chat_id", 5) };
static const struct backup_column revision_columns[] = { NUMBER("message_id", 5), NUMBER("rev", 5), TEXT("text", 5),
                                                         NUMBER("edited_ms", 5) };
static const struct backup_column delivery_columns[] = { NUMBER("chat_id", 2), NUMBER("blanked_id", 2) };
static const struct backup_column avatar_columns[] = { NUMBER("chat_id", 4), NUMBER("media_id", 4) };
static const struct backup_column link_columns[] = {
    NUMBER("id", 4),         NUMBER("chat_id", 4),  BYTES("token", 4), NUMBER("created_by", 4),     NUMBER("created_ms", 4),
    NUMBER("expires_ms", 4), NUMBER("uses_max", 4), NUMBER("uses", 4), NUMBER("needs_approval", 4),
};
static const struct backup_column join_request_columns[] = {
    NUMBER("chat_id", 4),
    NUMBER("user_id", 4),
    NUMBER("link_id", 4),
    NUMBER("created_ms", 4),
};
static const struct backup_column ban_columns[] = { NUMBER("chat_id", 4), NUMBER("user_id", 4), NUMBER("by_id", 4),
                                                    NUMBER("created_ms", 4) };
static const struct backup_column block_columns[] = { NUMBER("user_id", 9), NUMBER("blocked_id", 9), NUMBER("created_ms", 9) };
static const struct backup_column contact_columns[] = {
    NUMBER("user_id", 9),
    NUMBER("contact_id", 9),
    TEXT("name", 9),
    NUMBER("created_ms", 9),
};
static const struct backup_column report_columns[] = {
    NUMBER("id", 10),        NUMBER("reporter_id", 10), NUMBER("user_id", 10),    NUMBER("chat_id", 10),   NUMBER("message_id", 10),
    NUMBER("category", 10),  TEXT("reason", 10),        NUMBER("created_ms", 10), NUMBER("closed_ms", 10), TEXT("note", 10),
    NUMBER("posted_ms", 10), TEXT("text", 10),          TEXT("attachments", 10),
};
static const struct backup_column idempotency_columns[] = {
    NUMBER("period", 1), NUMBER("user_id", 1), NUMBER("idempotency_key", 1), BYTES("request", 1), NUMBER("result_id", 1),
};
static const struct backup_column recent_key_columns[] = { NUMBER("id", 12), NUMBER("run_id", 12), NUMBER("period", 12),
                                                           BYTES("entries", 12) };
static const struct backup_column key_run_columns[] = { NUMBER("id", 12), NUMBER("period", 12), NUMBER("until_id", 12), BYTES("filter", 12),
                                                        BYTES("fingerprints", 14) };
static const struct backup_column key_block_columns[] = { NUMBER("id", 12), BYTES("entries", 12) };
static const struct backup_column meta_columns[] = { TEXT("name", 1), NUMBER("number", 1), BYTES("bytes", 1) };
static const struct backup_column lease_columns[] = { TEXT("name", 2), NUMBER("holder", 2), NUMBER("until_ms", 2) };
static const struct backup_column migration_columns[] = { NUMBER("step", 1), NUMBER("applied_ms", 1) };

#define COLUMNS(list) .columns = (list), .column_count = sizeof(list) / sizeof *(list)

const struct backup_table backup_tables[] = {
    { .name = "user", .since = 1, .key_columns = 1, COLUMNS(user_columns) },
    { .name = "device", .since = 1, .key_columns = 1, COLUMNS(device_columns) },
    { .name = "ticket", .since = 1, .key_columns = 1, COLUMNS(ticket_columns) },
    { .name = "invite", .since = 1, .key_columns = 1, COLUMNS(invite_columns) },
    { .name = "chat", .since = 1, .key_columns = 1, COLUMNS(chat_columns) },
    { .name = "purge", .since = 1, .key_columns = 1, COLUMNS(purge_columns) },
    { .name = "stay", .since = 1, .key_columns = 3, COLUMNS(stay_columns) },
    { .name = "draft", .since = 7, .key_columns = 2, COLUMNS(draft_columns) },
    { .name = "scheduled", .since = 8, .key_columns = 1, COLUMNS(scheduled_columns) },
    { .name = "event", .since = 1, .key_columns = 1, COLUMNS(event_columns) },
    { .name = "media", .since = 2, .key_columns = 1, COLUMNS(media_columns) },
    { .name = "attachment", .since = 2, .key_columns = 2, COLUMNS(attachment_columns) },
    { .name = "expiry", .since = 2, .key_columns = 2, COLUMNS(expiry_columns) },
    { .name = "reaction", .since = 5, .key_columns = 3, COLUMNS(reaction_columns) },
    { .name = "pin", .since = 5, .key_columns = 2, COLUMNS(pin_columns) },
    { .name = "hidden", .since = 5, .key_columns = 2, COLUMNS(hidden_columns) },
    { .name = "revision", .since = 5, .key_columns = 2, COLUMNS(revision_columns) },
    { .name = "delivery", .since = 2, .key_columns = 1, COLUMNS(delivery_columns) },
    { .name = "avatar", .since = 4, .key_columns = 1, COLUMNS(avatar_columns) },
    { .name = "link", .since = 4, .key_columns = 1, COLUMNS(link_columns) },
    { .name = "join_request", .since = 4, .key_columns = 2, COLUMNS(join_request_columns) },
    { .name = "ban", .since = 4, .key_columns = 2, COLUMNS(ban_columns) },
    { .name = "block", .since = 9, .key_columns = 2, COLUMNS(block_columns) },
    { .name = "contact", .since = 9, .key_columns = 2, COLUMNS(contact_columns) },
    { .name = "report", .since = 10, .key_columns = 1, COLUMNS(report_columns) },
    { .name = "idempotency", .since = 1, .key_columns = 3, COLUMNS(idempotency_columns) },
    { .name = "recent_key", .since = 12, .key_columns = 1, COLUMNS(recent_key_columns) },
    { .name = "key_run", .since = 12, .key_columns = 1, COLUMNS(key_run_columns) },
    { .name = "key_block", .since = 12, .key_columns = 1, COLUMNS(key_block_columns) },
    { .name = "meta",
      .since = 1,
      .key_columns = 1,
      .condition = "name NOT IN ('floor', 'head') AND NOT (name > 'writer.' AND name < 'writer/')", /* what a restore makes anew */
      COLUMNS(meta_columns) },
    { .name = "lease",
      .since = 2,
      .key_columns = 1,
      .left_out = "held by processes, which know nothing of a restored database",
      COLUMNS(lease_columns) },
    { .name = "migration", .since = 1, .key_columns = 1, .left_out = "the step is in the header", COLUMNS(migration_columns) },
};
const size_t backup_table_count = sizeof backup_tables / sizeof *backup_tables;

bool backup_has_table(const struct backup_table *table, unsigned step) { return !table->left_out && table->since <= step; }

size_t backup_columns(const struct backup_table *table, unsigned step) {
    size_t count = 0;
    while (count < table->column_count && table->columns[count].since <= step)
        count++;
    return count;
}

/* ---- Statements ---- */

static void put_names(struct buf *sql, const struct backup_table *table, size_t first, size_t end) {
    for (size_t i = first; i < end; i++)
        buf_printf(sql, "%s\"%s\"", i == first ? "" : ", ", table->columns[i].name);
}

/* NULL: out of memory. */
static const char *keep(struct buf *sql, struct arena *arena) {
    const char *text = buf_ok(sql) ? arena_string(arena, sql->bytes) : NULL;
    buf_release(sql);
    return text;
}

static const char *select_page(const struct backup_table *table, unsigned step, size_t equal, bool is_bound, struct arena *arena) {
    struct buf sql = BUF_INIT;
    const char *joint = " WHERE ";
    size_t parameter = 1;
    buf_string(&sql, "SELECT ");
    put_names(&sql, table, 0, backup_columns(table, step));
    buf_printf(&sql, " FROM \"%s\"", table->name);
    for (size_t i = 0; is_bound && i <= equal; i++, joint = " AND ")
        buf_printf(&sql, "%s\"%s\" %s ?%zu", joint, table->columns[i].name, i < equal ? "=" : ">", parameter++);
    if (table->condition)
        buf_printf(&sql, "%s%s", joint, table->condition);
    buf_string(&sql, " ORDER BY ");
    put_names(&sql, table, equal, table->key_columns);
    buf_printf(&sql, " LIMIT ?%zu", parameter);
    return keep(&sql, arena);
}

const struct backup_reading *backup_reading_make(const struct backup_table *table, unsigned step, struct arena *arena) {
    struct backup_reading *reading = ARENA_NEW(arena, struct backup_reading);
    if (!reading)
        return NULL;
    reading->first.sql = select_page(table, step, 0, false, arena);
    bool made = reading->first.sql;
    for (size_t equal = 0; made && equal < table->key_columns; equal++) {
        reading->after[equal].sql = select_page(table, step, equal, true, arena);
        made = reading->after[equal].sql;
    }
    return made ? reading : NULL;
}

static const struct query *new_query(const char *sql, struct arena *arena) {
    struct query *query = sql ? ARENA_NEW(arena, struct query) : NULL;
    if (query)
        query->sql = sql;
    return query;
}

const struct query *backup_insert_make(const struct backup_table *table, unsigned step, struct arena *arena) {
    struct buf sql = BUF_INIT;
    size_t columns = backup_columns(table, step);
    buf_printf(&sql, "INSERT INTO \"%s\"(", table->name);
    put_names(&sql, table, 0, columns);
    buf_string(&sql, ") VALUES(");
    for (size_t i = 0; i < columns; i++)
        buf_printf(&sql, "%s?%zu", i == 0 ? "" : ", ", i + 1);
    buf_char(&sql, ')');
    return new_query(keep(&sql, arena), arena);
}

const struct query *backup_probe_make(const struct backup_table *table, struct arena *arena) {
    struct buf sql = BUF_INIT;
    buf_printf(&sql, "SELECT 1 FROM \"%s\" LIMIT 1", table->name);
    return new_query(keep(&sql, arena), arena);
}
