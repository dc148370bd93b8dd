/* Reading sessions, tickets, users and devices. */
#include "core/clock.h"
#include "core/limits.h"
#include "db/reader_internal.h"

#include <string.h>

static const struct query session_by_token = {
    "SELECT d.user_id, d.id, d.created_ms, d.seen_ms, d.token FROM device d WHERE d.token = ?1"
};
static const struct query session_by_ticket = { "SELECT d.user_id, d.id, d.created_ms, d.seen_ms, t.ticket, t.created_ms, t.used_ms"
                                                " FROM ticket t JOIN device d ON d.id = t.device_id WHERE t.ticket = ?1" };
static const struct query user_by_id = { "SELECT " USER_COLUMNS " FROM user u WHERE u.id = ?1" };
static const struct query user_by_name = { "SELECT " USER_COLUMNS " FROM user u WHERE u.username = ?1" };
static const struct query devices_of_user = { "SELECT " DEVICE_COLUMNS " FROM device d WHERE d.user_id = ?1 ORDER BY d.id" };

static const struct query device_by_id = { "SELECT 1 FROM device WHERE id = ?1 AND user_id = ?2" };

/* Runs a query for a hash and takes its first four columns; the hash in column 4 is compared once more in constant time. */
static enum err take_session(struct reader *reader, struct statement *statement, const uint8_t hash[SHA256_SIZE],
                             struct session *ret_session) {
    const struct db_driver *driver = reader->db->driver;
    uint8_t stored[SHA256_SIZE];
    bool row = false;
    enum err err = driver->step(statement, &row);
    if (err != OK)
        return err;
    if (!row)
        return ERR_NOT_FOUND;
    db_column_blob(reader->db, statement, 4, stored, sizeof stored);
    if (!secret_equal(stored, hash, sizeof stored))
        return ERR_NOT_FOUND;
    *ret_session = (struct session){ .user_id = driver->column_id(statement, 0),
                                     .device_id = driver->column_id(statement, 1),
                                     .created_ms = (int64_t)driver->column_id(statement, 2),
                                     .seen_ms = (int64_t)driver->column_id(statement, 3) };
    return OK;
}

enum err read_session(struct reader *reader, const uint8_t token[SHA256_SIZE], struct session *ret_session) {
    struct statement *statement = db_query(reader->db, &session_by_token);
    reader->db->driver->bind_blob(statement, 1, token, SHA256_SIZE);
    enum err err = take_session(reader, statement, token, ret_session);
    reader->db->driver->finish(statement);
    return err;
}

enum err read_ticket(struct reader *reader, const uint8_t ticket[SHA256_SIZE], struct session *ret_session, bool *ret_unused) {
    const struct db_driver *driver = reader->db->driver;
    struct statement *statement = db_query(reader->db, &session_by_ticket);
    driver->bind_blob(statement, 1, ticket, SHA256_SIZE);
    enum err err = take_session(reader, statement, ticket, ret_session);
    if (err == OK) {
        int64_t created_ms = (int64_t)driver->column_id(statement, 5);
        *ret_unused = driver->column_id(statement, 6) == 0;
        if (*ret_unused && clock_now_ms() - created_ms > TICKET_FIRST_USE_MS)
            err = ERR_NOT_FOUND;
    }
    driver->finish(statement);
    return err;
}

static enum err take_user(struct reader *reader, struct statement *statement, struct arena *arena, struct user *ret_user) {
    bool row = false;
    enum err err = reader->db->driver->step(statement, &row);
    if (err == OK)
        err = row ? row_user(reader->db, statement, 0, arena, ret_user) : ERR_NOT_FOUND;
    reader->db->driver->finish(statement);
    return err;
}

enum err read_user(struct reader *reader, uint64_t user_id, struct arena *arena, struct user *ret_user) {
    return take_user(reader, reader_query(reader, &user_by_id, &user_id, 1), arena, ret_user);
}

enum err read_user_by_name(struct reader *reader, const char *username, struct arena *arena, struct user *ret_user) {
    struct statement *statement = db_query(reader->db, &user_by_name);
    reader->db->driver->bind_text(statement, 1, username, strlen(username));
    return take_user(reader, statement, arena, ret_user);
}

enum err read_devices(struct reader *reader, uint64_t user_id, struct arena *arena, struct device **ret_devices, size_t *ret_count) {
    struct statement *statement = reader_query(reader, &devices_of_user, &user_id, 1);
    struct device *devices = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        devices = reader_grow(arena, devices, count, sizeof *devices);
        err = devices ? row_device(reader->db, statement, 0, arena, &devices[count++]) : ERR_NO_MEMORY;
    }
    if (err != OK)
        return err;
    *ret_devices = devices;
    *ret_count = count;
    return OK;
}

enum err read_device_exists(struct reader *reader, uint64_t user_id, uint64_t device_id, bool *ret_exists) {
    struct statement *statement = reader_query(reader, &device_by_id, (uint64_t[]){ device_id, user_id }, 2);
    bool row = false;
    enum err err = reader->db->driver->step(statement, &row);
    reader->db->driver->finish(statement);
    if (err == OK)
        *ret_exists = row;
    return err;
}
