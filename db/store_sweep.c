/* Cleanup: one bounded pass over what should be gone. Each step takes at most LIMIT_SWEEP_ROWS rows, so that posting stays fast while a million
 * messages expire; the caller comes again while out.sweep.more. Runs inside the writer's transaction; with dry_run it counts the
 * rows of a pass and changes nothing (keys, tickets and codes are not counted then). */
#include "core/limits.h"
#include "db/chain.h"
#include "db/decide.h"
#include "db/rows.h"
#include "db/store_internal.h"

#include <string.h>

static const struct query oldest_events = { "SELECT id, created_ms, type, owner_id, ref_id FROM event WHERE id > ?1 ORDER BY id LIMIT ?2" };
static const struct query delete_events = { "DELETE FROM event WHERE id <= ?1" };
static const struct query set_floor = { "UPDATE meta SET number = ?1 WHERE name = 'floor'" };
static const struct query delete_stay = { "DELETE FROM stay WHERE chat_id = ?1 AND user_id = ?2 AND left_id = ?3" };
static const struct query delete_stays = { "DELETE FROM stay WHERE chat_id = ?1 AND left_id = ?2" };
static const struct query delete_chat = { "DELETE FROM chat WHERE id = ?1 AND deleted_ms > 0" };

static const struct query first_purge = { "SELECT p.chat_id, p.purged_id, c.deleted_ms FROM purge p LEFT JOIN chat c ON c.id = p.chat_id"
                                          " ORDER BY p.chat_id LIMIT 1" };
static const struct query purge_messages = { "SELECT " MESSAGE_COLUMNS
                                             " FROM event m WHERE m.owner_id = ?1 AND m.is_message = 1 AND m.id > ?2"
                                             " ORDER BY m.id LIMIT ?3" };
static const struct query blank_message = { "UPDATE event SET body = NULL, client_key = NULL, original = 0, seal = ?2, deleted_ms = ?3"
                                            " WHERE id = ?1" };
static const struct query blank_thin = { "UPDATE event SET body = NULL WHERE id IN (SELECT id FROM event WHERE owner_id = ?1"
                                         " AND is_message = 0 AND body IS NOT NULL LIMIT ?2) RETURNING id" };
static const struct query note_purged = { "UPDATE purge SET purged_id = ?2 WHERE chat_id = ?1" };
static const struct query end_purge = { "DELETE FROM purge WHERE chat_id = ?1" };

static const struct query old_keys = {
    "DELETE FROM idempotency WHERE (period, user_id, idempotency_key) IN"
    " (SELECT period, user_id, idempotency_key FROM idempotency WHERE period < ?1 LIMIT ?2) RETURNING 1"
};
static const struct query idle_devices = { "SELECT id, user_id FROM device WHERE seen_ms < ?1 ORDER BY seen_ms LIMIT ?2" };
static const struct query aged_devices = { "SELECT id, user_id FROM device WHERE id < ?1 AND seen_ms >= ?3 ORDER BY id LIMIT ?2" };
static const struct query unused_tickets = { "DELETE FROM ticket WHERE ticket IN (SELECT ticket FROM ticket WHERE used_ms = 0"
                                             " AND created_ms < ?1 LIMIT ?2) RETURNING 1" };
static const struct query old_invites = { "DELETE FROM invite WHERE expires_ms < ?1 OR uses_left = 0 RETURNING 1" };

struct pass {
    struct state *state;
    struct db *db;
    struct command *command;
    bool dry_run;
};

static void took(struct pass *pass, uint64_t rows, uint64_t limit) {
    pass->command->out.sweep.rows += rows;
    if (rows >= limit && !pass->dry_run)
        pass->command->out.sweep.more = true;
}

static enum err run_with(struct db *db, const struct query *query, const uint64_t *numbers, int count) {
    struct statement *statement = db_query(db, query);
    for (int i = 0; i < count; i++)
        db->driver->bind_id(statement, i + 1, numbers[i]);
    return db_run(db, statement);
}

/* Runs a DELETE … RETURNING and counts. */
static enum err count_run(struct pass *pass, const struct query *query, uint64_t bound, uint64_t limit) {
    struct statement *statement = db_query(pass->db, query);
    pass->db->driver->bind_id(statement, 1, bound);
    if (limit != UINT64_MAX)
        pass->db->driver->bind_id(statement, 2, limit);
    uint64_t rows = 0;
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row);)
        rows++;
    took(pass, rows, limit);
    return err;
}

/* An expired end of a stay takes the stay's row with it: nothing of it can be read any more. */
static enum err forget_stay(struct db *db, enum event_type type, uint64_t chat_id, uint64_t user_id, uint64_t event_id) {
    if (type == EVENT_MEMBER_REMOVED)
        return run_with(db, &delete_stay, (uint64_t[]){ chat_id, user_id, event_id }, 3);
    if (type != EVENT_CHAT_DELETED)
        return OK;
    enum err err = run_with(db, &delete_stays, (uint64_t[]){ chat_id, event_id }, 2);
    return err == OK ? run_with(db, &delete_chat, (uint64_t[]){ chat_id }, 1) : err;
}

struct expired_event {
    uint64_t id, owner_id, ref_id;
    enum event_type type;
};

/* Times never go back along the log, so what is expired is a prefix of it. */
static enum err read_expired(struct pass *pass, uint64_t floor, int64_t cutoff_ms, struct expired_event *events, size_t *ret_count) {
    const struct db_driver *driver = pass->db->driver;
    struct statement *statement = db_query(pass->db, &oldest_events);
    driver->bind_id(statement, 1, floor);
    driver->bind_id(statement, 2, LIMIT_SWEEP_ROWS);
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row);) {
        if ((int64_t)driver->column_id(statement, 1) > cutoff_ms)
            continue;
        events[(*ret_count)++] = (struct expired_event){ .id = driver->column_id(statement, 0),
                                                         .type = (enum event_type)driver->column_id(statement, 2),
                                                         .owner_id = driver->column_id(statement, 3),
                                                         .ref_id = driver->column_id(statement, 4) };
    }
    return err;
}

static enum err expire_log(struct pass *pass, uint64_t *floor) {
    int64_t retention_ms = pass->state->config->retention_ms;
    struct expired_event *events = state_alloc(pass->state, LIMIT_SWEEP_ROWS * sizeof *events);
    size_t count = 0;
    if (retention_ms == CONFIG_FOREVER || !events)
        return events ? OK : ERR_NO_MEMORY;
    enum err err = read_expired(pass, *floor, pass->state->now_ms - retention_ms, events, &count);
    took(pass, count, LIMIT_SWEEP_ROWS);
    if (err != OK || count == 0 || pass->dry_run)
        return err;
    for (size_t i = 0; err == OK && i < count; i++)
        err = forget_stay(pass->db, events[i].type, events[i].owner_id, events[i].ref_id, events[i].id);
    uint64_t bound = events[count - 1].id;
    if (err == OK)
        err = run_with(pass->db, &delete_events, (uint64_t[]){ bound }, 1);
    if (err == OK)
        err = run_with(pass->db, &set_floor, (uint64_t[]){ bound }, 1);
    if (err == OK)
        *floor = bound;
    return err;
}

/* A deleted chat of which all up to `after_id` is blank. */
struct purge {
    uint64_t chat_id, after_id;
    int64_t deleted_ms;
};

/* A message that was not deleted before went with its chat, whenever its row is blanked: readers have said so since. */
static enum err blank(struct pass *pass, struct message *message, int64_t chat_deleted_ms) {
    chain_seal(message);
    struct statement *statement = db_query(pass->db, &blank_message);
    pass->db->driver->bind_id(statement, 1, message->id);
    pass->db->driver->bind_blob(statement, 2, message->seal, sizeof message->seal);
    pass->db->driver->bind_id(statement, 3, (uint64_t)(message->deleted_ms ? message->deleted_ms : chat_deleted_ms));
    return db_run(pass->db, statement);
}

static enum err read_purge_page(struct pass *pass, const struct purge *purge, struct vec *messages) {
    struct statement *statement = db_query(pass->db, &purge_messages);
    pass->db->driver->bind_id(statement, 1, purge->chat_id);
    pass->db->driver->bind_id(statement, 2, purge->after_id);
    pass->db->driver->bind_id(statement, 3, LIMIT_SWEEP_ROWS / 8); /* each may be long */
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row);) {
        struct message *message = state_alloc(pass->state, sizeof *message);
        err = message ? row_message(pass->db, statement, 0, pass->state->arena, message) : ERR_NO_MEMORY;
        if (err == OK)
            state_push(pass->state, messages, message);
    }
    return err;
}

static enum err purge_page(struct pass *pass, const struct purge *purge) {
    struct vec messages = { 0 };
    enum err err = read_purge_page(pass, purge, &messages);
    took(pass, messages.count, LIMIT_SWEEP_ROWS / 8);
    if (pass->dry_run || err != OK)
        return err;
    for (size_t i = 0; err == OK && i < messages.count; i++)
        err = blank(pass, messages.items[i], purge->deleted_ms);
    if (err == OK && messages.count > 0) {
        pass->command->out.sweep.more = true;
        const struct message *last = messages.items[messages.count - 1];
        return run_with(pass->db, &note_purged, (uint64_t[]){ purge->chat_id, last->id }, 2);
    }
    uint64_t before = pass->command->out.sweep.rows;
    if (err == OK)
        err = count_run(pass, &blank_thin, purge->chat_id, LIMIT_SWEEP_ROWS);
    if (err == OK && pass->command->out.sweep.rows - before < LIMIT_SWEEP_ROWS)
        err = run_with(pass->db, &end_purge, (uint64_t[]){ purge->chat_id }, 1);
    pass->command->out.sweep.more = true; /* another chat may wait */
    return err;
}

static enum err purge_chats(struct pass *pass) {
    struct statement *statement = db_query(pass->db, &first_purge);
    struct purge purge = { 0 };
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row);) {
        purge.chat_id = pass->db->driver->column_id(statement, 0);
        purge.after_id = pass->db->driver->column_id(statement, 1);
        purge.deleted_ms = (int64_t)pass->db->driver->column_id(statement, 2);
    }
    return err == OK && purge.chat_id ? purge_page(pass, &purge) : err;
}

/* Sessions end with an event, so that streams close and caches forget them. */
static enum err end_sessions(struct pass *pass, const struct query *query, uint64_t bound, int64_t idle_ms) {
    struct statement *statement = db_query(pass->db, query);
    pass->db->driver->bind_id(statement, 1, bound);
    pass->db->driver->bind_id(statement, 2, LIMIT_SWEEP_ROWS / 4);
    if (query == &aged_devices) /* the others are taken as idle */
        pass->db->driver->bind_id(statement, 3, (uint64_t)idle_ms);
    uint64_t rows = 0;
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row); rows++) {
        struct device device = { .id = pass->db->driver->column_id(statement, 0), .user_id = pass->db->driver->column_id(statement, 1) };
        if (!pass->dry_run)
            remove_device(pass->state, &device, REMOVAL_EXPIRED);
    }
    took(pass, rows, LIMIT_SWEEP_ROWS / 4);
    return err;
}

static enum err sweep_sessions(struct pass *pass) {
    const struct config *config = pass->state->config;
    int64_t now_ms = pass->state->now_ms;
    int64_t oldest_ms = now_ms - config->session_max_ms - ID_EPOCH_MS;
    int64_t idle_ms = now_ms - config->session_idle_ms;
    enum err err = end_sessions(pass, &idle_devices, (uint64_t)idle_ms, idle_ms);
    if (err == OK && oldest_ms > 0) /* ids of devices carry when they were made */
        err = end_sessions(pass, &aged_devices, (uint64_t)oldest_ms << (ID_NODE_BITS + ID_SEQUENCE_BITS), idle_ms);
    return err;
}

enum err sweep(struct state *state, struct db *db, struct command *command, uint64_t *floor) {
    struct pass pass = { .state = state, .db = db, .command = command, .dry_run = command->in.sweep.dry_run };
    enum err err = expire_log(&pass, floor);
    if (err == OK)
        err = purge_chats(&pass);
    if (err == OK)
        err = sweep_sessions(&pass);
    if (err != OK || pass.dry_run)
        return err;
    err = count_run(&pass, &old_keys, (uint64_t)(state->now_ms / IDEMPOTENCY_PERIOD_MS) - (IDEMPOTENCY_PERIODS - 1), LIMIT_SWEEP_ROWS);
    if (err == OK)
        err = count_run(&pass, &unused_tickets, (uint64_t)(state->now_ms - 2 * TICKET_FIRST_USE_MS), LIMIT_SWEEP_ROWS);
    return err == OK ? count_run(&pass, &old_invites, (uint64_t)state->now_ms, UINT64_MAX) : err;
}
