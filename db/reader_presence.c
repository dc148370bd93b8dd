/* Reading who may see whom. */
#include "db/reader_internal.h"

/* From the other's stays: who does not exist, or is in few chats, costs little. Those who follow the same channel do not know each other. The limit keeps MariaDB from making one list of all who share chats. */
static const struct query presence_of_users = {
    "SELECT u.id, u.active_ms FROM {ids} i {straight} user u ON u.id = i.id WHERE u.hides_presence = 0 AND u.id <> ?2"
    " AND (SELECT me.hides_presence FROM user me WHERE me.id = ?2) = 0"
    " AND (SELECT 1 FROM stay s {straight} stay t ON t.chat_id = s.chat_id AND t.user_id = ?2 AND t.left_id = " STAY_OPEN_SQL
    " {straight} chat c ON c.id = s.chat_id AND c.deleted_ms = 0 AND c.type <> 3 WHERE s.user_id = u.id AND s.left_id = " STAY_OPEN_SQL
    " LIMIT 1) = 1 AND NOT EXISTS (SELECT 1 FROM block k WHERE k.user_id = u.id AND k.blocked_id = ?2) ORDER BY u.id"
};

static void write_ids(struct buf *buf, const uint64_t *ids, size_t count) {
    buf_char(buf, '[');
    for (size_t i = 0; i < count; i++) {
        json_comma(buf);
        buf_u64(buf, ids[i]);
    }
    buf_char(buf, ']');
}

static enum err take_rows(struct reader *reader, struct statement *statement, struct arena *arena, struct presence_row **ret_rows,
                          size_t *ret_count) {
    struct presence_row *rows = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        if (count > 0 && rows[count - 1].user_id == reader->db->driver->column_id(statement, 0))
            continue; /* asked for twice */
        rows = reader_grow(arena, rows, count, sizeof *rows);
        if (!rows) {
            err = ERR_NO_MEMORY;
            continue;
        }
        rows[count++] =
            (struct presence_row){ reader->db->driver->column_id(statement, 0), (int64_t)reader->db->driver->column_id(statement, 1) };
    }
    if (err != OK)
        return err;
    *ret_rows = rows;
    *ret_count = count;
    return OK;
}

enum err read_presence(struct reader *reader, uint64_t user_id, const uint64_t *user_ids, size_t count, struct arena *arena,
                       struct presence_row **ret_rows, size_t *ret_count) {
    struct buf ids = BUF_INIT;
    write_ids(&ids, user_ids, count);
    struct statement *statement = buf_ok(&ids) ? db_query(reader->db, &presence_of_users) : NULL;
    if (statement) {
        reader->db->driver->bind_text(statement, 1, ids.bytes, ids.size);
        reader->db->driver->bind_id(statement, 2, user_id);
    }
    enum err err = statement ? take_rows(reader, statement, arena, ret_rows, ret_count) : ERR_NO_MEMORY;
    buf_release(&ids);
    return err;
}
