/* Reading messages that wait for their time: a member's own, and those that are due. */
#include "db/reader_internal.h"

static const struct query scheduled_of_user = { "SELECT " SCHEDULED_COLUMNS " FROM scheduled w WHERE w.user_id = ?1 AND w.chat_id = ?2"
                                                " AND w.joined_id = ?6 AND w.due_ms >= ?3 AND w.due_ms > 0"
                                                " ORDER BY w.due_ms, w.id LIMIT ?4 OFFSET ?5" };
static const struct query due_scheduled = { "SELECT " SCHEDULED_COLUMNS " FROM scheduled w WHERE w.failed_ms = 0 AND w.due_ms <= ?1"
                                            " AND w.due_ms >= ?2 AND (w.due_ms > ?2 OR w.id > ?3) ORDER BY w.due_ms, w.id LIMIT ?4" };
static const struct query next_due = {
    "SELECT w.due_ms FROM scheduled w WHERE w.failed_ms = 0 AND w.due_ms > ?1 ORDER BY w.due_ms LIMIT 1"
};

/* Up to `limit` rows of the statement, which may give more, and LIMIT_PAGE_BYTES. */
static enum err take_page(struct reader *reader, struct statement *statement, size_t limit, struct arena *arena,
                          struct scheduled **ret_scheduled, size_t *ret_count, bool *ret_more) {
    struct scheduled *scheduled = NULL;
    size_t count = 0, bytes = 0;
    bool full = false;
    enum err err = OK;
    for (bool row; !full && rows_next(reader->db, statement, &err, &row);) {
        full = count == limit || bytes >= LIMIT_PAGE_BYTES;
        if (full)
            continue;
        scheduled = reader_grow(arena, scheduled, count, sizeof *scheduled);
        err = scheduled ? row_scheduled(reader->db, statement, 0, arena, &scheduled[count]) : ERR_NO_MEMORY;
        bytes += err == OK ? scheduled[count++].text_size : 0;
    }
    reader->db->driver->finish(statement);
    if (err != OK)
        return err;
    *ret_scheduled = scheduled;
    *ret_count = count;
    *ret_more = full;
    return OK;
}

enum err read_scheduled(struct reader *reader, uint64_t user_id, const struct scheduled_request *request, struct arena *arena,
                        struct scheduled **ret_scheduled, size_t *ret_count, bool *ret_more) {
    struct chat chat;
    struct stay stay;
    enum err err = reader_membership(reader, user_id, request->chat_id, arena, &chat, &stay);
    if (err != OK)
        return err;
    const uint64_t numbers[] = { user_id, request->chat_id, (uint64_t)request->due_ms, request->limit + 1, request->skip, stay.joined_id };
    return take_page(reader, reader_query(reader, &scheduled_of_user, numbers, 6), request->limit, arena, ret_scheduled, ret_count,
                     ret_more);
}

enum err read_due(struct reader *reader, const struct due_request *request, struct arena *arena, struct scheduled **ret_scheduled,
                  size_t *ret_count) {
    bool more;
    const uint64_t numbers[] = { (uint64_t)request->now_ms, (uint64_t)request->after_due_ms, request->after_id, LIMIT_SCHEDULE_BATCH };
    return take_page(reader, reader_query(reader, &due_scheduled, numbers, 4), LIMIT_SCHEDULE_BATCH, arena, ret_scheduled, ret_count,
                     &more);
}

enum err read_next_due(struct reader *reader, int64_t after_ms, int64_t *ret_due_ms) {
    struct statement *statement = reader_query(reader, &next_due, (uint64_t[]){ (uint64_t)after_ms }, 1);
    int64_t due_ms = INT64_MAX;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);)
        due_ms = (int64_t)reader->db->driver->column_id(statement, 0);
    if (err == OK)
        *ret_due_ms = due_ms;
    return err;
}
