/* The first step of a batch: set-based reads of what its commands asked for. One statement per kind of row, however many rows.
 *
 * CROSS JOIN keeps the order: the array outside, an index look-up for each of its elements inside. */
#include "core/limits.h"
#include "db/rows.h"
#include "db/state.h"

#include <string.h>

static const struct query load_users = { "SELECT " USER_COLUMNS " FROM {ids} i CROSS JOIN user u ON u.id = i.id" };
static const struct query load_names = { "SELECT " USER_COLUMNS " FROM {ids} i CROSS JOIN user u ON u.username = i.id" };
static const struct query load_devices = { "SELECT " DEVICE_COLUMNS " FROM {ids} i CROSS JOIN device d ON d.user_id = i.id ORDER BY d.id" };
/* ?2: the most allowed; beyond it nobody has to count. */
static const struct query load_counts = { "SELECT i.id, (SELECT count(*) FROM (SELECT 1 FROM stay s WHERE s.user_id = i.id"
                                          " AND s.left_id = " STAY_OPEN_SQL " LIMIT ?2)) FROM {ids} i" };
static const struct query load_chats = { "SELECT " CHAT_COLUMNS " FROM {ids} i CROSS JOIN chat c ON c.id = i.id" };
static const struct query load_stays = { "SELECT " STAY_COLUMNS " FROM {pairs} p CROSS JOIN stay s ON s.chat_id = p.a AND s.user_id = p.b"
                                         " WHERE s.left_id = " STAY_OPEN_SQL };
static const struct query load_pairs = { "SELECT c.direct_low, c.direct_high, c.id FROM {pairs} p"
                                         " CROSS JOIN chat c ON c.direct_low = p.a AND c.direct_high = p.b" };
static const struct query load_messages = { "SELECT " MESSAGE_COLUMNS
                                            " FROM {ids} i CROSS JOIN event m ON m.id = i.id WHERE m.is_message = 1" };
static const struct query load_keys = {
    "SELECT k.user_id, k.idempotency_key, k.request, k.result_id FROM {pairs} p"
    " CROSS JOIN idempotency k ON k.period IN (?2, ?3, ?4) AND k.user_id = p.a AND k.idempotency_key = p.b"
    " ORDER BY k.period"
};
static const struct query load_successor = { "SELECT " STAY_COLUMNS " FROM stay s WHERE s.chat_id = ?1 AND s.left_id = " STAY_OPEN_SQL
                                             " AND s.user_id <> ?2 ORDER BY s.role DESC, s.joined_id, s.user_id LIMIT 1" };
static const struct query load_invite = { "SELECT uses_left, expires_ms FROM invite WHERE invite = ?1" };

typedef enum err (*row_taker)(struct state *state, struct db *db, struct statement *row);

static enum err take_user(struct state *state, struct db *db, struct statement *row) {
    struct user_entry *entry = state_user(state, db->driver->column_id(row, 0));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    return row_user(db, row, 0, state->arena, &entry->user);
}

static enum err take_named(struct state *state, struct db *db, struct statement *row) {
    struct user user;
    enum err err = row_user(db, row, 0, state->arena, &user);
    struct user_entry *entry = err == OK ? state_user_named(state, user.username) : NULL;
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    entry->user = user;
    return OK;
}

static enum err take_device(struct state *state, struct db *db, struct statement *row) {
    struct device_entry *device = state_alloc(state, sizeof *device);
    struct user_entry *user = state_user(state, db->driver->column_id(row, 1));
    if (!device || !user)
        return ERR_NO_MEMORY;
    state_push(state, &user->devices, device);
    return row_device(db, row, 0, state->arena, &device->device);
}

static enum err take_count(struct state *state, struct db *db, struct statement *row) {
    struct user_entry *user = state_user(state, db->driver->column_id(row, 0));
    if (!user)
        return ERR_NO_MEMORY;
    user->chat_count = (uint32_t)db->driver->column_id(row, 1);
    return OK;
}

static enum err take_chat(struct state *state, struct db *db, struct statement *row) {
    struct chat_entry *entry = state_chat(state, db->driver->column_id(row, 0));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    return row_chat(db, row, 0, state->arena, &entry->chat);
}

static enum err take_stay(struct state *state, struct db *db, struct statement *row) {
    struct stay stay;
    row_stay(db, row, 0, &stay);
    struct stay_entry *entry = state_stay(state, stay.chat_id, stay.user_id);
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    entry->stay = stay;
    return OK;
}

static enum err take_pair(struct state *state, struct db *db, struct statement *row) {
    struct pair_entry *entry = state_pair(state, db->driver->column_id(row, 0), db->driver->column_id(row, 1));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->chat_id = db->driver->column_id(row, 2);
    return OK;
}

static enum err take_message(struct state *state, struct db *db, struct statement *row) {
    struct message_entry *entry = state_message(state, db->driver->column_id(row, 0));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    return row_message(db, row, 0, state->arena, &entry->message);
}

static enum err take_key(struct state *state, struct db *db, struct statement *row) {
    struct key_entry *entry = state_key(state, db->driver->column_id(row, 0), db->driver->column_id(row, 1));
    if (!entry)
        return ERR_NO_MEMORY;
    db_column_blob(db, row, 2, entry->request, sizeof entry->request);
    entry->result_id = db->driver->column_id(row, 3);
    return OK;
}

static const struct {
    size_t need; /* offset of the JSON array in struct state */
    const struct query *query;
    row_taker take;
} loads[] = {
    { offsetof(struct state, need_users), &load_users, take_user },
    { offsetof(struct state, need_names), &load_names, take_named },
    { offsetof(struct state, need_devices), &load_devices, take_device },
    { offsetof(struct state, need_counts), &load_counts, take_count },
    { offsetof(struct state, need_chats), &load_chats, take_chat },
    { offsetof(struct state, need_stays), &load_stays, take_stay },
    { offsetof(struct state, need_pairs), &load_pairs, take_pair },
    { offsetof(struct state, need_messages), &load_messages, take_message },
    { offsetof(struct state, need_keys), &load_keys, take_key },
};

/* Keys hold for the running period and the two before it. */
static void bind_periods(struct state *state, struct db *db, struct statement *statement) {
    uint64_t period = (uint64_t)(state->now_ms / IDEMPOTENCY_PERIOD_MS);
    for (int i = 0; i < IDEMPOTENCY_PERIODS; i++)
        db->driver->bind_id(statement, 2 + i, period - (uint64_t)i);
}

static enum err run_load(struct state *state, struct db *db, const struct query *query, struct buf *need, row_taker take) {
    buf_char(need, ']');
    if (!buf_ok(need))
        return ERR_NO_MEMORY;
    struct statement *statement = db_query(db, query);
    db->driver->bind_text(statement, 1, need->bytes, need->size);
    if (query == &load_keys)
        bind_periods(state, db, statement);
    if (query == &load_counts)
        db->driver->bind_id(statement, 2, (uint64_t)state->config->chats_per_user);
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        err = take(state, db, statement);
    }
    buf_clear(need);
    return err;
}

enum err state_load(struct state *state, struct db *db) {
    enum err err = OK;
    for (size_t i = 0; err == OK && i < sizeof loads / sizeof *loads; i++) {
        struct buf *need = (struct buf *)(void *)((char *)state + loads[i].need);
        if (need->size)
            err = run_load(state, db, loads[i].query, need, loads[i].take);
    }
    return err == OK && state->failed ? ERR_NO_MEMORY : err;
}

enum err state_load_successor(struct state *state, struct db *db, uint64_t chat_id, uint64_t leaving_id, struct stay *ret_stay) {
    struct statement *statement = db_query(db, &load_successor);
    db->driver->bind_id(statement, 1, chat_id);
    db->driver->bind_id(statement, 2, leaving_id);
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        row_stay(db, statement, 0, ret_stay);
        /* So that promoting the successor finds the entry. */
        struct stay_entry *entry = state_stay(state, chat_id, ret_stay->user_id);
        if (!entry)
            err = ERR_NO_MEMORY;
        else if (!entry->found)
            *entry = (struct stay_entry){ .stay = *ret_stay, .found = true, .next = entry->next };
    }
    return err;
}

enum err state_load_invite(struct state *state, struct db *db, struct invite_entry *invite) {
    (void)state;
    struct statement *statement = db_query(db, &load_invite);
    db->driver->bind_blob(statement, 1, invite->invite, SHA256_SIZE);
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        invite->found = true;
        invite->uses_left = db->driver->column_id(statement, 0);
        invite->expires_ms = (int64_t)db->driver->column_id(statement, 1);
    }
    return err;
}
