/* The sweep of media, and what becomes of media whose messages are swept. */
#include "core/limits.h"
#include "db/store_sweep.h"

#include <string.h>

/* Nothing can refer to a doomed one any more: who wants to comes before this transaction, or after it. */
static const struct query doom_media = { "UPDATE media SET state = 3 WHERE id = ?1" };
static const struct query due_media = { "SELECT id, size FROM media WHERE state IN (1, 2) AND expires_ms <= ?1 LIMIT ?2" };
static const struct query begin_grace = { "UPDATE media SET expires_ms = ?2 WHERE id = ?1 AND state = 2"
                                          " AND NOT EXISTS (SELECT 1 FROM attachment a WHERE a.media_id = ?1)"
                                          " AND NOT EXISTS (SELECT 1 FROM avatar v WHERE v.media_id = ?1)" };

enum err sweep_media(struct pass *pass) {
    static const struct taking taking = { .read = &due_media, .write = &doom_media, .numbers = 1, .sized = true };
    return pass_take(pass, &taking, (uint64_t)pass->state->now_ms, LIMIT_SWEEP_OBJECTS);
}

enum err release_attachments(struct pass *pass, const struct query *query, uint64_t number) {
    struct statement *statement = db_query(pass->db, query);
    pass->db->driver->bind_id(statement, 1, number);
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row);) {
        uint64_t media_id = pass->db->driver->column_id(statement, 0);
        buf_append(&pass->released, &media_id, sizeof media_id);
    }
    return err;
}

static void bind_released(struct statement *statement, const void *context, size_t index) {
    const struct pass *pass = context;
    uint64_t media_id;
    memcpy(&media_id, pass->released.bytes + index * sizeof media_id, sizeof media_id);
    pass->db->driver->bind_id(statement, 1, media_id);
    pass->db->driver->bind_id(statement, 2, (uint64_t)(pass->state->now_ms + pass->state->config->media_grace_ms));
}

enum err release_media(struct pass *pass) {
    if (!buf_ok(&pass->released))
        return ERR_NO_MEMORY;
    size_t count = pass->released.size / sizeof(uint64_t);
    return count > 0 ? pass->db->driver->write_rows(pass->db, &begin_grace, pass, count, bind_released) : OK;
}
