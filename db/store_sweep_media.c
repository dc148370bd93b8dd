/* The sweep of media, and what becomes of media whose messages are swept. */
#include "core/limits.h"
#include "db/store_sweep.h"

/* Nothing can refer to a doomed one any more: who wants to comes before this transaction, or after it. */
static const struct query doom_media = { "UPDATE media SET state = 3 WHERE id IN (SELECT id FROM media WHERE state IN (1, 2)"
                                         " AND expires_ms <= ?1 LIMIT ?2) RETURNING size" };
static const struct query due_media = { "SELECT size FROM media WHERE state IN (1, 2) AND expires_ms <= ?1 LIMIT ?2" };
/* The sum keeps the index on states, which is no help, out of it. */
static const struct query begin_grace = { "UPDATE media SET expires_ms = ?2 WHERE id IN (SELECT id FROM {ids}) AND state + 0 = 2"
                                          " AND NOT EXISTS (SELECT 1 FROM attachment a WHERE a.media_id = media.id)" };

enum err sweep_media(struct pass *pass) {
    struct statement *statement = db_query(pass->db, pass->dry_run ? &due_media : &doom_media);
    pass->db->driver->bind_id(statement, 1, (uint64_t)pass->state->now_ms);
    pass->db->driver->bind_id(statement, 2, LIMIT_SWEEP_OBJECTS);
    uint64_t rows = 0;
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row); rows++)
        pass->command->out.sweep.bytes += pass->db->driver->column_id(statement, 0);
    pass_took(pass, rows, LIMIT_SWEEP_OBJECTS);
    return err;
}

enum err release_attachments(struct pass *pass, const struct query *query, uint64_t number) {
    struct statement *statement = db_query(pass->db, query);
    pass->db->driver->bind_id(statement, 1, number);
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row);) {
        buf_char(&pass->released, pass->released.size ? ',' : '[');
        buf_u64(&pass->released, pass->db->driver->column_id(statement, 0));
    }
    return err;
}

enum err release_media(struct pass *pass) {
    if (!pass->released.size)
        return OK;
    buf_char(&pass->released, ']');
    if (!buf_ok(&pass->released))
        return ERR_NO_MEMORY;
    struct statement *statement = db_query(pass->db, &begin_grace);
    pass->db->driver->bind_text(statement, 1, pass->released.bytes, pass->released.size);
    pass->db->driver->bind_id(statement, 2, (uint64_t)(pass->state->now_ms + pass->state->config->media_grace_ms));
    return db_run(pass->db, statement);
}
