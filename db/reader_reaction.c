/* Reading who reacted to a message, by the reader's own membership. */
#include <string.h>

#include "core/id.h"
#include "db/reader_internal.h"

static const struct query reactions_of_message = { "SELECT r.user_id, r.created_ms FROM reaction r WHERE r.message_id = ?1 AND r.emoji = ?4"
                                                   " AND r.user_id > ?2 AND r.user_id <= ?5 ORDER BY r.user_id LIMIT ?3" };

/* A message that the user sees as a member; `ret_shown` is false when its content is not shown, `ret_only_own` when those of others are. */
static enum err check_view(struct reader *reader, uint64_t user_id, const struct reaction_request *request, struct arena *arena,
                           bool *ret_shown, bool *ret_only_own) {
    struct chat chat;
    struct stay stay;
    struct message message;
    enum err err = reader_membership(reader, user_id, request->chat_id, arena, &chat, &stay);
    if (err == OK)
        err = read_message(reader, user_id, request->chat_id, request->message_id, arena, &message);
    *ret_only_own = err == OK && role_follows(&chat, stay.role);
    if (err == OK)
        *ret_shown = !message.deleted_ms && !message.withheld && !message.hidden && message.reactions_rev;
    return err;
}

static enum err take_reactions(struct reader *reader, struct statement *statement, struct arena *arena, struct reaction **ret_reactions,
                               size_t *ret_count) {
    struct reaction *reactions = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        reactions = reader_grow(arena, reactions, count, sizeof *reactions);
        if (reactions)
            reactions[count++] = (struct reaction){ .user_id = reader->db->driver->column_id(statement, 0),
                                                    .created_ms = (int64_t)reader->db->driver->column_id(statement, 1) };
        else
            err = ERR_NO_MEMORY;
    }
    if (err != OK)
        return err;
    *ret_reactions = reactions;
    *ret_count = count;
    return OK;
}

enum err read_reactions(struct reader *reader, uint64_t user_id, const struct reaction_request *request, struct arena *arena,
                        struct reaction **ret_reactions, size_t *ret_count) {
    bool shown = false, only_own = false;
    enum err err = check_view(reader, user_id, request, arena, &shown, &only_own);
    if (err != OK)
        return err;
    *ret_reactions = NULL;
    *ret_count = 0;
    if (!shown)
        return OK;
    uint64_t first_id = only_own && request->after_id < user_id ? user_id - 1 : request->after_id;
    uint64_t numbers[] = { request->message_id, first_id, request->limit };
    struct statement *statement = reader_query(reader, &reactions_of_message, numbers, 3);
    reader->db->driver->bind_text(statement, 4, request->emoji, strlen(request->emoji));
    reader->db->driver->bind_id(statement, 5, only_own ? user_id : ID_MAX);
    return take_reactions(reader, statement, arena, ret_reactions, ret_count);
}
