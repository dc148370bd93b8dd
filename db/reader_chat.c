/* Reading chats and members, each by the reader's own membership. */
#include "db/reader_internal.h"

static const struct query chat_of_member = { "SELECT " CHAT_COLUMNS ", " STAY_COLUMNS " FROM stay s JOIN chat c ON c.id = s.chat_id"
                                             " WHERE s.chat_id = ?1 AND s.user_id = ?2 AND s.left_id = " STAY_OPEN_SQL
                                             " AND c.deleted_ms = 0" };
static const struct query chats_of_user = { "SELECT " CHAT_COLUMNS ", " STAY_COLUMNS " FROM stay s JOIN chat c ON c.id = s.chat_id"
                                            " WHERE s.user_id = ?1 AND s.left_id = " STAY_OPEN_SQL " AND c.last_id < ?2"
                                            " ORDER BY c.last_id DESC LIMIT ?3" };
static const struct query members_of_chat = { "SELECT " STAY_COLUMNS " FROM stay s WHERE s.chat_id = ?1 AND s.user_id > ?2"
                                              " AND s.left_id = " STAY_OPEN_SQL " ORDER BY s.user_id LIMIT ?3" };
static const struct query stays_of_user = { "SELECT " STAY_COLUMNS " FROM stay s WHERE s.user_id = ?1 AND s.left_id > ?2" };

enum err reader_membership(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, struct chat *ret_chat,
                           struct stay *ret_stay) {
    struct statement *statement = reader_query(reader, &chat_of_member, (uint64_t[]){ chat_id, user_id }, 2);
    bool row = false;
    enum err err = reader->db->driver->step(statement, &row);
    if (err == OK)
        err = row ? row_chat(reader->db, statement, 0, arena, ret_chat) : ERR_NOT_FOUND;
    if (err == OK)
        row_stay(reader->db, statement, CHAT_COLUMN_COUNT, ret_stay);
    reader->db->driver->finish(statement);
    return err;
}

enum err read_chat(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, struct chat_of_member *ret_chat) {
    struct stay stay;
    enum err err = reader_membership(reader, user_id, chat_id, arena, &ret_chat->chat, &stay);
    if (err == OK)
        ret_chat->role = stay.role;
    return err;
}

enum err read_chats(struct reader *reader, uint64_t user_id, uint64_t before_id, size_t limit, struct arena *arena,
                    struct chat_of_member **ret_chats, size_t *ret_count) {
    uint64_t ids[] = { user_id, before_id ? before_id : STAY_OPEN, limit };
    struct statement *statement = reader_query(reader, &chats_of_user, ids, 3);
    struct chat_of_member *chats = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        struct stay stay;
        chats = reader_grow(arena, chats, count, sizeof *chats);
        err = chats ? row_chat(reader->db, statement, 0, arena, &chats[count].chat) : ERR_NO_MEMORY;
        if (err != OK)
            continue;
        row_stay(reader->db, statement, CHAT_COLUMN_COUNT, &stay);
        chats[count++].role = stay.role;
    }
    if (err != OK)
        return err;
    *ret_chats = chats;
    *ret_count = count;
    return OK;
}

static enum err take_stays(struct reader *reader, struct statement *statement, struct arena *arena, struct stay **ret_stays,
                           size_t *ret_count) {
    struct stay *stays = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        stays = reader_grow(arena, stays, count, sizeof *stays);
        if (!stays)
            err = ERR_NO_MEMORY;
        else
            row_stay(reader->db, statement, 0, &stays[count++]);
    }
    if (err != OK)
        return err;
    *ret_stays = stays;
    *ret_count = count;
    return OK;
}

enum err read_members(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t after_id, size_t limit, struct arena *arena,
                      struct stay **ret_stays, size_t *ret_count) {
    struct chat chat;
    struct stay own;
    enum err err = reader_membership(reader, user_id, chat_id, arena, &chat, &own);
    if (err != OK)
        return err;
    struct statement *statement = reader_query(reader, &members_of_chat, (uint64_t[]){ chat_id, after_id, limit }, 3);
    return take_stays(reader, statement, arena, ret_stays, ret_count);
}

enum err read_stays(struct reader *reader, uint64_t user_id, uint64_t after_id, struct arena *arena, struct stay **ret_stays,
                    size_t *ret_count) {
    struct statement *statement = reader_query(reader, &stays_of_user, (uint64_t[]){ user_id, after_id }, 2);
    return take_stays(reader, statement, arena, ret_stays, ret_count);
}
