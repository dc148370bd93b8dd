/* Reading invitation links, who wants to join, and who may not. */
#include "core/clock.h"
#include "db/reader_internal.h"

/* With the role of who made it. */
static const struct query link_by_token = { "SELECT " LINK_COLUMNS ", l.token, " CHAT_COLUMNS ", coalesce(s.role, 0)"
                                            " FROM link l JOIN chat c ON c.id = l.chat_id LEFT JOIN stay s ON s.chat_id = l.chat_id"
                                            " AND s.user_id = l.created_by AND s.left_id = " STAY_OPEN_SQL
                                            " WHERE l.token = ?1 AND c.deleted_ms = 0" };
static const struct query links_of_chat = {
    "SELECT " LINK_COLUMNS " FROM link l WHERE l.chat_id = ?1 AND l.expires_ms > ?4 AND l.id > ?2 ORDER BY l.id LIMIT ?3"
};
static const struct query requests_of_chat = { "SELECT " JOIN_REQUEST_COLUMNS
                                               " FROM join_request q WHERE q.chat_id = ?1 AND q.user_id > ?2 ORDER BY q.user_id LIMIT ?3" };

static const struct query ban_of_user = { "SELECT 1 FROM ban b WHERE b.chat_id = ?1 AND b.user_id = ?2" };
static const struct query bans_of_chat = { "SELECT " BAN_COLUMNS
                                           " FROM ban b WHERE b.chat_id = ?1 AND b.user_id > ?2 ORDER BY b.user_id LIMIT ?3" };

/* As decided when somebody joins by it (db/decide_link.c). */
static bool still_works(const struct link *link, const struct chat *chat, enum role maker) {
    return link->expires_ms > clock_now_ms() && (link->needs_approval || role_may_add(chat, maker));
}

static enum err take_link(struct reader *reader, struct statement *row, const uint8_t token[SHA256_SIZE], struct arena *arena,
                          struct link *ret_link, struct chat *ret_chat, bool *ret_works) {
    uint8_t stored[SHA256_SIZE];
    db_column_blob(reader->db, row, LINK_COLUMN_COUNT, stored, sizeof stored);
    if (!secret_equal(stored, token, sizeof stored))
        return ERR_NOT_FOUND;
    row_link(reader->db, row, 0, ret_link);
    enum err err = row_chat(reader->db, row, LINK_COLUMN_COUNT + 1, arena, ret_chat);
    if (err == OK)
        *ret_works =
            still_works(ret_link, ret_chat, (enum role)reader->db->driver->column_id(row, LINK_COLUMN_COUNT + 1 + CHAT_COLUMN_COUNT));
    return err;
}

enum err read_link(struct reader *reader, const uint8_t token[SHA256_SIZE], struct arena *arena, struct link *ret_link,
                   struct chat *ret_chat, bool *ret_works) {
    struct statement *statement = db_query(reader->db, &link_by_token);
    bool row = false;
    reader->db->driver->bind_blob(statement, 1, token, SHA256_SIZE);
    enum err err = reader->db->driver->step(statement, &row);
    if (err == OK)
        err = row ? take_link(reader, statement, token, arena, ret_link, ret_chat, ret_works) : ERR_NOT_FOUND;
    reader->db->driver->finish(statement);
    return err;
}

enum err read_is_banned(struct reader *reader, uint64_t user_id, uint64_t chat_id, bool *ret_banned) {
    struct statement *statement = reader_query(reader, &ban_of_user, (uint64_t[]){ chat_id, user_id }, 2);
    enum err err = reader->db->driver->step(statement, ret_banned);
    reader->db->driver->finish(statement);
    return err;
}

static enum err check_admin(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena) {
    struct chat chat;
    struct stay stay;
    enum err err = reader_membership(reader, user_id, chat_id, arena, &chat, &stay);
    return err == OK && stay.role < ROLE_ADMIN ? ERR_FORBIDDEN : err;
}

enum err read_links(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t after_id, size_t limit, struct arena *arena,
                    struct link **ret_links, size_t *ret_count) {
    enum err err = check_admin(reader, user_id, chat_id, arena);
    if (err != OK)
        return err;
    struct statement *statement =
        reader_query(reader, &links_of_chat, (uint64_t[]){ chat_id, after_id, limit, (uint64_t)clock_now_ms() }, 4);
    struct link *links = NULL;
    size_t count = 0;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        links = reader_grow(arena, links, count, sizeof *links);
        if (!links)
            err = ERR_NO_MEMORY;
        else
            row_link(reader->db, statement, 0, &links[count++]);
    }
    if (err != OK)
        return err;
    *ret_links = links;
    *ret_count = count;
    return OK;
}

enum err read_join_requests(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t after_id, size_t limit, struct arena *arena,
                            struct join_request **ret_requests, size_t *ret_count) {
    enum err err = check_admin(reader, user_id, chat_id, arena);
    if (err != OK)
        return err;
    struct statement *statement = reader_query(reader, &requests_of_chat, (uint64_t[]){ chat_id, after_id, limit }, 3);
    struct join_request *requests = NULL;
    size_t count = 0;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        requests = reader_grow(arena, requests, count, sizeof *requests);
        if (!requests)
            err = ERR_NO_MEMORY;
        else
            row_join_request(reader->db, statement, 0, &requests[count++]);
    }
    if (err != OK)
        return err;
    *ret_requests = requests;
    *ret_count = count;
    return OK;
}

enum err read_bans(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t after_id, size_t limit, struct arena *arena,
                   struct ban **ret_bans, size_t *ret_count) {
    enum err err = check_admin(reader, user_id, chat_id, arena);
    if (err != OK)
        return err;
    struct statement *statement = reader_query(reader, &bans_of_chat, (uint64_t[]){ chat_id, after_id, limit }, 3);
    struct ban *bans = NULL;
    size_t count = 0;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        bans = reader_grow(arena, bans, count, sizeof *bans);
        if (!bans)
            err = ERR_NO_MEMORY;
        else
            row_ban(reader->db, statement, 0, &bans[count++]);
    }
    if (err != OK)
        return err;
    *ret_bans = bans;
    *ret_count = count;
    return OK;
}
