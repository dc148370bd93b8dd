/* Reading what messages said before their edits. */
#include "core/limits.h"
#include "db/reader_internal.h"

static const struct query revisions_of_message = {
    "SELECT v.rev, v.text, v.edited_ms FROM revision v WHERE v.message_id = ?1 AND v.rev > ?2"
    " ORDER BY v.rev LIMIT ?3"
};

static enum err take_revision(struct reader *reader, struct statement *row, struct arena *arena, struct revision *ret_revision) {
    struct revision revision = { .rev = reader->db->driver->column_id(row, 0),
                                 .edited_ms = (int64_t)reader->db->driver->column_id(row, 2) };
    revision.text = db_column_text(reader->db, row, 1, arena, &revision.text_size);
    if (!revision.text)
        return ERR_NO_MEMORY;
    *ret_revision = revision;
    return OK;
}

static enum err take_page(struct reader *reader, const struct revision_request *request, struct arena *arena,
                          struct revision **ret_revisions, size_t *ret_count, bool *ret_more) {
    uint64_t numbers[] = { request->message_id, request->after_rev, request->limit + 1 };
    struct statement *statement = reader_query(reader, &revisions_of_message, numbers, 3);
    struct revision *revisions = NULL;
    size_t count = 0, bytes = 0;
    bool full = false;
    enum err err = OK;
    for (bool row; !full && rows_next(reader->db, statement, &err, &row);) {
        full = count == request->limit || bytes >= LIMIT_PAGE_BYTES;
        if (full)
            continue;
        revisions = reader_grow(arena, revisions, count, sizeof *revisions);
        err = revisions ? take_revision(reader, statement, arena, &revisions[count]) : ERR_NO_MEMORY;
        bytes += err == OK ? revisions[count++].text_size : 0;
    }
    reader->db->driver->finish(statement);
    if (err != OK)
        return err;
    *ret_revisions = revisions;
    *ret_count = count;
    *ret_more = full;
    return OK;
}

enum err read_revisions(struct reader *reader, uint64_t user_id, const struct revision_request *request, struct arena *arena,
                        struct revision **ret_revisions, size_t *ret_count, bool *ret_more) {
    struct message message;
    enum err err = read_message(reader, user_id, request->chat_id, request->message_id, arena, &message);
    if (err != OK)
        return err;
    *ret_revisions = NULL;
    *ret_count = 0;
    *ret_more = false;
    return message.text && !message.missed ? take_page(reader, request, arena, ret_revisions, ret_count, ret_more) : OK;
}
