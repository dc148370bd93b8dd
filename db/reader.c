/* Opening readers, their snapshots, and the retention horizon. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "db/reader_internal.h"
#include "db/store_internal.h"

static const struct query read_head = { "SELECT coalesce((SELECT max(id) FROM event), 0), (SELECT number FROM meta WHERE name = 'floor')" };
static const struct query read_event_from = { "SELECT id, created_ms FROM event WHERE id >= ?1 ORDER BY id LIMIT 1" };

/* What the index of events by owner has for sure, and where what it may not have is found. Memory may have what the log has no more. */
static void set_entered(struct reader *reader, uint64_t head_id) {
    struct owner_index *index = &reader->store->owner_index;
    reader->entered_id = owner_index_bound(index, head_id);
    uint64_t after_id = reader->entered_id > reader->floor ? reader->entered_id : reader->floor;
    reader->db->recent = (struct recent_view){ &index->recent, after_id, head_id };
}

enum err reader_open(struct store *store, struct reader **ret_reader) {
    char problem[256];
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return ERR_NO_MEMORY;
    reader->store = store;
    enum err err = db_open(store->url, DB_READER, &reader->db, problem, sizeof problem);
    if (err != OK) {
        free(reader);
        return err;
    }
    set_entered(reader, 0);
    reader->db->recent.recent = NULL;
    *ret_reader = reader;
    return OK;
}

void reader_close(struct reader *reader) {
    if (!reader)
        return;
    db_close(reader->db);
    free(reader);
}

struct statement *reader_query(struct reader *reader, const struct query *query, const uint64_t *ids, int count) {
    struct statement *statement = db_query(reader->db, query);
    for (int i = 0; i < count; i++)
        reader->db->driver->bind_id(statement, i + 1, ids[i]);
    return statement;
}

void *reader_grow(struct arena *arena, void *items, size_t count, size_t size) {
    if (count & (count - 1) || (count > 0 && count < 8)) /* room is made at 0, 8, 16, 32 … */
        return items;
    void *grown = arena_alloc(arena, (count ? count * 2 : 8) * size);
    if (grown && count)
        memcpy(grown, items, count * size);
    return grown;
}

static enum err head_and_floor(struct reader *reader, uint64_t *ret_head, uint64_t *ret_floor) {
    struct statement *statement = reader_query(reader, &read_head, NULL, 0);
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        *ret_head = reader->db->driver->column_id(statement, 0);
        *ret_floor = reader->db->driver->column_id(statement, 1);
    }
    if (err == OK && *ret_head < *ret_floor)
        *ret_head = *ret_floor;
    return err;
}

enum err read_begin(struct reader *reader, uint64_t *ret_head_id) {
    uint64_t head = 0, floor = 0;
    enum err err = reader->db->driver->begin(reader->db);
    if (err != OK)
        return err;
    err = head_and_floor(reader, &head, &floor);
    if (err != OK) {
        read_end(reader);
        return err;
    }
    reader->floor = floor;
    set_entered(reader, head);
    *ret_head_id = head;
    return OK;
}

void read_end(struct reader *reader) {
    reader->db->driver->rollback(reader->db);
    reader->db->recent.recent = NULL;
}

uint64_t read_floor(const struct reader *reader) { return reader->floor; }

uint64_t read_connections(const struct reader *reader) { return reader->db->connections; }

/* The first event at or after a position; `*ret_id` 0 when there is none. */
static enum err event_from(struct reader *reader, uint64_t position, uint64_t *ret_id, int64_t *ret_created_ms) {
    struct statement *statement = reader_query(reader, &read_event_from, (uint64_t[]){ log_id(position, 0) }, 1);
    enum err err = OK;
    *ret_id = 0;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        *ret_id = reader->db->driver->column_id(statement, 0);
        *ret_created_ms = (int64_t)reader->db->driver->column_id(statement, 1);
    }
    return err;
}

/* Times never go back along the log, so the horizon is found by bisection: 40 look-ups in a log of a trillion. It may be below the floor, which a restore
 * lifts above all rows. */
static enum err find_horizon(struct reader *reader, int64_t cutoff_ms, uint64_t *ret_id, int64_t *ret_created_ms) {
    uint64_t head = 0, floor = 0, id = 0;
    int64_t created_ms = 0;
    enum err err = head_and_floor(reader, &head, &floor);
    uint64_t low = 0, high = log_position(head) + 1; /* the horizon's position is in (low, high] */
    *ret_id = log_id(high, 0);
    *ret_created_ms = 0;
    while (err == OK && low + 1 < high) {
        uint64_t middle = low + (high - low) / 2;
        err = event_from(reader, middle, &id, &created_ms);
        if (err == OK && id && created_ms <= cutoff_ms) {
            low = middle;
            continue;
        }
        high = middle;
        *ret_id = id ? id : log_id(middle, 0);
        *ret_created_ms = id ? created_ms : 0;
    }
    return err;
}

enum err reader_horizon(struct reader *reader, uint64_t *ret_id) {
    int64_t retention_ms = reader->store->config->retention_ms;
    uint64_t log_number = atomic_load(&reader->store->log_number);
    int64_t now_ms = clock_now_ms();
    *ret_id = 0;
    if (retention_ms == CONFIG_FOREVER)
        return OK;
    if (now_ms >= reader->horizon_until_ms || reader->horizon_log != log_number) {
        int64_t created_ms = 0;
        enum err err = find_horizon(reader, now_ms - retention_ms, &reader->horizon_id, &created_ms);
        if (err != OK)
            return err;
        reader->horizon_until_ms = created_ms ? created_ms + retention_ms : 0;
        reader->horizon_log = log_number;
    }
    *ret_id = reader->horizon_id;
    return OK;
}

/* A token is good when the log still has everything after it: it is the floor itself, or in the log. */
static const struct query read_exact = { "SELECT 1 FROM event WHERE id = ?1" };

enum err read_token(struct reader *reader, uint64_t id, enum token_state *ret_state) {
    uint64_t head = 0, floor = 0;
    enum err err = head_and_floor(reader, &head, &floor);
    if (err != OK)
        return err;
    bool found = id == floor || id == head;
    if (!found && id > floor) {
        struct statement *statement = reader_query(reader, &read_exact, &id, 1);
        err = reader->db->driver->step(statement, &found);
        reader->db->driver->finish(statement);
    }
    if (found)
        *ret_state = TOKEN_GOOD;
    else if (id < floor)
        *ret_state = TOKEN_EXPIRED;
    else
        *ret_state = log_position(id) > log_position(head) ? TOKEN_FUTURE : TOKEN_FORK;
    return err;
}
