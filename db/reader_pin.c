/* Reading the pinned messages of a chat, by the reader's own membership. */
#include "core/clock.h"
#include "db/reader_internal.h"

/* ?2: what the reader can see begins there; ?3: now; ?4: the reader; ?5: whose pins are not shown. */
static const struct query pins_of_chat = {
    "SELECT n.message_id, m.seq, n.user_id, n.pinned_ms FROM pin n {straight} event m ON m.id = n.message_id"
    " WHERE n.chat_id = ?1 AND n.message_id >= ?2 AND n.user_id <> ?5 AND m.deleted_ms = 0"
    " AND (m.expires_ms IS NULL OR m.expires_ms > ?3)"
    " AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.user_id = ?4 AND h.message_id = n.message_id) ORDER BY n.pinned_ms DESC, n.message_id DESC"
};

/* Where what a member of the chat can see begins; and whom of a direct chat the member has blocked, 0: nobody. */
static enum err find_start(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, uint64_t *ret_start_id,
                           uint64_t *ret_blocked_id) {
    struct chat chat;
    struct stay stay;
    uint64_t horizon_id = 0;
    enum err err = reader_membership(reader, user_id, chat_id, arena, &chat, &stay);
    if (err == OK)
        err = reader_horizon(reader, &horizon_id);
    if (err != OK)
        return err;
    *ret_blocked_id = chat_is_blocked_by(&chat, user_id) ? chat_peer(&chat, user_id) : 0;
    *ret_start_id = chat.history == HISTORY_FROM_JOIN && stay.joined_id > horizon_id ? stay.joined_id : horizon_id;
    return OK;
}

enum err read_pins(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, struct pin **ret_pins,
                   size_t *ret_count) {
    uint64_t (*number)(struct statement *, int) = reader->db->driver->column_id;
    uint64_t start_id = 0, blocked_id = 0;
    enum err err = find_start(reader, user_id, chat_id, arena, &start_id, &blocked_id);
    if (err != OK)
        return err;
    struct statement *statement =
        reader_query(reader, &pins_of_chat, (uint64_t[]){ chat_id, start_id, (uint64_t)clock_now_ms(), user_id, blocked_id }, 5);
    struct pin *pins = NULL;
    size_t count = 0;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        pins = reader_grow(arena, pins, count, sizeof *pins);
        if (pins)
            pins[count++] = (struct pin){ number(statement, 0), number(statement, 1), number(statement, 2), (int64_t)number(statement, 3) };
        else
            err = ERR_NO_MEMORY;
    }
    if (err != OK)
        return err;
    *ret_pins = pins;
    *ret_count = count;
    return OK;
}
