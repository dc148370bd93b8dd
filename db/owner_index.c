/* See owner_index.h. */
#include "db/owner_index.h"

#include <stdlib.h>

#include "core/id.h"
#include "core/limits.h"
#include "db/rows.h"
#include "db/state.h"

static const struct query enter_row = { "INSERT INTO event_of_owner(owner_id, is_message, id) VALUES(?1,?2,?3)" };
static const struct query enter_all = { "INSERT OR IGNORE INTO event_of_owner(owner_id, is_message, id)"
                                        " SELECT owner_id, is_message, id FROM event WHERE id > ?1 ORDER BY owner_id, is_message, id" };
static const struct query log_after = { "SELECT id, owner_id, is_message FROM event WHERE id > ?1 ORDER BY id" };
static const struct query forget_rows = { "DELETE FROM event_of_owner WHERE owner_id = ?1 AND is_message IN (0, 1) AND id <= ?2" };

#define FIRST_CAPACITY 4
#define PLENTY 256 /* events of an owner, some pages of the table */

struct waiting_owner {
    struct list_node node;
    uint64_t owner_id;
    uint64_t *events; /* as db/recent.h packs them, in the order of ids; at least one */
    size_t count, capacity;
};

struct entry_row {
    uint64_t owner_id, event;
};

static uint64_t pack(const struct event *event) { return recent_pack(event->id, event->type == EVENT_MESSAGE_CREATED); }

/* ---- Memory ---- */

void owner_index_init(struct owner_index *index) {
    *index = (struct owner_index){ .lag = LIMIT_INDEX_LAG, .waiting = MAP_INIT };
    list_init(&index->owners);
    recent_init(&index->recent, LIMIT_RECENT_EVENTS);
}

static void forget_owner(struct owner_index *index, struct waiting_owner *owner) {
    (void)map_remove(&index->waiting, owner->owner_id);
    list_remove(&owner->node);
    free(owner->events);
    free(owner);
}

static struct waiting_owner *first_owner(const struct owner_index *index) {
    return list_empty(&index->owners) ? NULL : LIST_ITEM(list_first(&index->owners), struct waiting_owner, node);
}

static uint64_t oldest_of(const struct waiting_owner *owner) { return recent_id(owner->events[0]); }

/* Those whose oldest event is not after `id`. */
static void forget_until(struct owner_index *index, uint64_t id) {
    for (struct waiting_owner *owner; (owner = first_owner(index)) && oldest_of(owner) <= id;)
        forget_owner(index, owner);
}

void owner_index_release(struct owner_index *index) {
    while (first_owner(index))
        forget_owner(index, first_owner(index));
    map_release(&index->waiting);
    recent_release(&index->recent);
}

static struct waiting_owner *new_owner(uint64_t owner_id) {
    struct waiting_owner *owner = malloc(sizeof *owner);
    uint64_t *events = malloc(FIRST_CAPACITY * sizeof *events);
    if (!owner || !events) {
        free(owner);
        free(events);
        return NULL;
    }
    *owner = (struct waiting_owner){ .owner_id = owner_id, .events = events, .capacity = FIRST_CAPACITY };
    list_init(&owner->node);
    return owner;
}

static struct waiting_owner *owner_of(struct owner_index *index, uint64_t owner_id) {
    struct waiting_owner *owner = map_get(&index->waiting, owner_id);
    if (owner || !(owner = new_owner(owner_id)))
        return owner;
    if (map_put(&index->waiting, owner_id, owner) == OK) {
        list_append(&index->owners, &owner->node);
        return owner;
    }
    free(owner->events);
    free(owner);
    return NULL;
}

static bool has_room(struct waiting_owner *owner) {
    if (owner->count < owner->capacity)
        return true;
    uint64_t *events = realloc(owner->events, 2 * owner->capacity * sizeof *events);
    if (!events)
        return false;
    owner->events = events;
    owner->capacity *= 2;
    return true;
}

static bool add(struct owner_index *index, const struct event *event) {
    struct waiting_owner *owner = owner_of(index, event->owner_id);
    if (!owner || !has_room(owner))
        return false;
    owner->events[owner->count++] = pack(event);
    return true;
}

static void add_recent(struct recent *recent, const struct state *state) {
    recent_lock(recent);
    for (size_t i = 0; i < state->events.count; i++) {
        const struct event *event = &((const struct event_entry *)state->events.items[i])->event;
        recent_add(recent, event->owner_id, pack(event));
    }
    recent_unlock(recent, state->last_id);
}

void owner_index_keep(struct owner_index *index, const struct state *state) {
    if (!index->is_table)
        return;
    forget_until(index, state->entered_id);
    index->whole = index->whole || state->entered_id == state->last_id;
    add_recent(&index->recent, state);
    for (size_t i = 0; i < state->events.count; i++) {
        const struct event *event = &((const struct event_entry *)state->events.items[i])->event;
        if (event->id > state->entered_id && !add(index, event))
            index->whole = false;
    }
}

/* ---- The table ---- */

/* The first position that is not behind the head by so much. */
static uint64_t position_before(uint64_t head_id, uint64_t distance) {
    uint64_t position = log_position(head_id);
    return position > distance ? position - distance : 0;
}

uint64_t owner_index_bound(const struct owner_index *index, uint64_t head_id) {
    return index->is_table ? log_id(position_before(head_id, index->lag), UINT16_MAX) : STAY_OPEN;
}

enum err owner_index_open(struct owner_index *index, struct db *db, uint64_t head_id) {
    const struct db_driver *driver = db->driver;
    enum err err = OK;
    index->is_table = driver->dialect == DIALECT_SQLITE;
    if (!index->is_table)
        return OK;
    uint64_t after_id = owner_index_bound(index, head_id);
    recent_begin(&index->recent, after_id);
    struct statement *statement = db_query(db, &log_after);
    driver->bind_id(statement, 1, after_id);
    recent_lock(&index->recent);
    for (bool row; rows_next(db, statement, &err, &row);)
        recent_add(&index->recent, driver->column_id(statement, 1),
                   recent_pack(driver->column_id(statement, 0), driver->column_id(statement, 2) != 0));
    recent_unlock(&index->recent, head_id);
    return err;
}

/* Those of owners whose oldest event is after what was entered before, and not after `id`. */
static size_t take_due(const struct state *state, uint64_t id, struct entry_row *ret_rows) {
    size_t count = 0;
    LIST_EACH(&state->owner_index->owners, node) {
        const struct waiting_owner *owner = LIST_ITEM(node, struct waiting_owner, node);
        if (oldest_of(owner) > id)
            break;
        for (size_t i = 0; oldest_of(owner) > state->entered_id && i < owner->count; i++, count++)
            if (ret_rows)
                ret_rows[count] = (struct entry_row){ owner->owner_id, owner->events[i] };
    }
    return count;
}

/* Of a batch that is longer than the distance. */
static size_t take_own(const struct state *state, uint64_t id, struct entry_row *ret_rows) {
    size_t count = 0;
    for (; count < state->events.count; count++) {
        const struct event *event = &((const struct event_entry *)state->events.items[count])->event;
        if (event->id > id)
            break;
        if (ret_rows)
            ret_rows[count] = (struct entry_row){ event->owner_id, pack(event) };
    }
    return count;
}

static void bind_row(struct statement *statement, const void *rows, size_t index) {
    const struct entry_row *row = &((const struct entry_row *)rows)[index];
    sqlite_driver.bind_id(statement, 1, row->owner_id);
    sqlite_driver.bind_id(statement, 2, row->event & 1);
    sqlite_driver.bind_id(statement, 3, recent_id(row->event));
}

static enum err enter(struct state *state, struct db *db,
                      size_t (*take)(const struct state *state, uint64_t id, struct entry_row *ret_rows), uint64_t id) {
    size_t count = take(state, id, NULL);
    struct entry_row *rows = count ? state_alloc(state, count * sizeof *rows) : NULL;
    if (!rows)
        return count ? ERR_NO_MEMORY : OK;
    take(state, id, rows);
    return db->driver->write_rows(db, &enter_row, rows, count, bind_row);
}

/* All that the log has: those that may wait, the batch's own among them. */
static enum err enter_all_late(struct state *state, struct db *db) {
    struct statement *statement = db_query(db, &enter_all);
    uint64_t first_position = position_before(state->last_id, state->owner_index->lag + state->events.count);
    db->driver->bind_id(statement, 1, log_id(first_position, 0));
    state->entered_id = state->last_id;
    return db_run(db, statement);
}

enum err owner_index_enter(struct state *state, struct db *db, uint64_t id) {
    if (!state->owner_index->is_table || id <= state->entered_id)
        return OK;
    if (!state->owner_index->whole)
        return enter_all_late(state, db);
    enum err err = enter(state, db, take_due, id);
    state->entered_id = id;
    return err;
}

enum err owner_index_enter_owner(struct state *state, struct db *db, uint64_t owner_id) {
    const struct owner_index *index = state->owner_index;
    const struct waiting_owner *owner = map_get(&index->waiting, owner_id);
    if (!index->whole)
        return owner_index_enter(state, db, state->last_id);
    return owner ? owner_index_enter(state, db, oldest_of(owner)) : OK;
}

/* Those that have to be entered would often be many at once, for who posts begins together. So a batch enters some more, in their turn: owners with plenty, and
 * all from half of the distance on, until these are twice as many events as its own. */
static uint64_t last_to_enter(const struct state *state) {
    const struct owner_index *index = state->owner_index;
    uint64_t id = owner_index_bound(index, state->last_id), half_id = log_id(position_before(state->last_id, index->lag / 2), UINT16_MAX);
    size_t room = 2 * state->events.count;
    LIST_EACH(&index->owners, node) {
        const struct waiting_owner *owner = LIST_ITEM(node, struct waiting_owner, node);
        uint64_t oldest_id = oldest_of(owner);
        if (oldest_id <= id || oldest_id <= state->entered_id)
            continue;
        if (room == 0 || (oldest_id > half_id && owner->count < PLENTY))
            break;
        room -= owner->count < room ? owner->count : room;
        id = oldest_id;
    }
    return id;
}

enum err owner_index_write(struct state *state, struct db *db) {
    const struct owner_index *index = state->owner_index;
    if (!index->is_table)
        return OK;
    if (!index->whole)
        return enter_all_late(state, db);
    uint64_t id = last_to_enter(state);
    enum err err = enter(state, db, take_own, id);
    return err == OK ? owner_index_enter(state, db, id) : err;
}

enum err owner_index_forget(const struct state *state, struct db *db, uint64_t owner_id, uint64_t id) {
    if (!state->owner_index->is_table)
        return OK;
    struct statement *statement = db_query(db, &forget_rows);
    db->driver->bind_id(statement, 1, owner_id);
    db->driver->bind_id(statement, 2, id);
    return db_run(db, statement);
}
