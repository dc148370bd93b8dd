/* See owner_index.h. */
#include "db/owner_index.h"

#include <stdlib.h>

#include "core/id.h"
#include "core/limits.h"
#include "db/state.h"

static const struct query enter_row = { "INSERT INTO event_of_owner(owner_id, is_message, id) VALUES(?1,?2,?3)" };
static const struct query enter_all = { "INSERT OR IGNORE INTO event_of_owner(owner_id, is_message, id)"
                                        " SELECT owner_id, is_message, id FROM event WHERE id > ?1 ORDER BY owner_id, is_message, id" };
static const struct query forget_rows = { "DELETE FROM event_of_owner WHERE owner_id = ?1 AND is_message IN (0, 1) AND id <= ?2" };
static const struct query last_event = { "SELECT coalesce(max(id), 0) FROM event" };

struct waiting_event {
    struct waiting_event *next;
    uint64_t id;
    bool is_message;
};

/* Of one owner, by their ids; at least one. */
struct waiting_owner {
    struct list_node node;
    uint64_t owner_id;
    struct waiting_event *first, *last;
};

struct entry_row {
    uint64_t owner_id, id;
    bool is_message;
};

/* ---- Memory ---- */

void owner_index_init(struct owner_index *index) {
    *index = (struct owner_index){ .lag = LIMIT_INDEX_LAG, .waiting = MAP_INIT };
    list_init(&index->owners);
}

static void forget_owner(struct owner_index *index, struct waiting_owner *owner) {
    (void)map_remove(&index->waiting, owner->owner_id);
    list_remove(&owner->node);
    for (struct waiting_event *event = owner->first, *next; event; event = next) {
        next = event->next;
        free(event);
    }
    free(owner);
}

static struct waiting_owner *first_owner(const struct owner_index *index) {
    return list_empty(&index->owners) ? NULL : LIST_ITEM(list_first(&index->owners), struct waiting_owner, node);
}

/* Those whose oldest event is not after `id`. */
static void forget_until(struct owner_index *index, uint64_t id) {
    for (struct waiting_owner *owner; (owner = first_owner(index)) && owner->first->id <= id;)
        forget_owner(index, owner);
}

void owner_index_release(struct owner_index *index) {
    forget_until(index, UINT64_MAX);
    map_release(&index->waiting);
}

static struct waiting_owner *owner_of(struct owner_index *index, uint64_t owner_id) {
    struct waiting_owner *owner = map_get(&index->waiting, owner_id);
    if (owner || !(owner = calloc(1, sizeof *owner)))
        return owner;
    owner->owner_id = owner_id;
    if (map_put(&index->waiting, owner_id, owner) != OK) {
        free(owner);
        return NULL;
    }
    list_append(&index->owners, &owner->node);
    return owner;
}

static bool add(struct owner_index *index, const struct event *event) {
    struct waiting_event *waiting = malloc(sizeof *waiting);
    struct waiting_owner *owner = waiting ? owner_of(index, event->owner_id) : NULL;
    if (!owner) {
        free(waiting);
        return false;
    }
    *waiting = (struct waiting_event){ .id = event->id, .is_message = event->type == EVENT_MESSAGE_CREATED };
    if (owner->first)
        owner->last->next = waiting;
    else
        owner->first = waiting;
    owner->last = waiting;
    return true;
}

void owner_index_keep(struct owner_index *index, const struct state *state) {
    if (!index->is_table)
        return;
    forget_until(index, state->entered_id);
    index->whole = index->whole || state->entered_id == state->last_id;
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

static enum err enter_after(struct db *db, uint64_t position) {
    struct statement *statement = db_query(db, &enter_all);
    db->driver->bind_id(statement, 1, log_id(position, 0));
    return db_run(db, statement);
}

static enum err read_last(struct db *db, uint64_t *ret_id) {
    struct statement *statement = db_query(db, &last_event);
    bool row;
    enum err err = db->driver->step(statement, &row);
    *ret_id = err == OK && row ? db->driver->column_id(statement, 0) : 0;
    db->driver->finish(statement);
    return err;
}

enum err owner_index_open(struct owner_index *index, struct db *db) {
    uint64_t last_id;
    index->is_table = db->driver->dialect == DIALECT_SQLITE;
    if (!index->is_table)
        return OK;
    enum err err = db->driver->begin(db);
    if (err == OK)
        err = read_last(db, &last_id);
    if (err == OK)
        err = enter_after(db, position_before(last_id, index->lag));
    if (err == OK)
        err = db->driver->commit(db);
    if (err != OK)
        db->driver->rollback(db);
    index->whole = err == OK;
    return err;
}

static void push(struct state *state, struct vec *rows, uint64_t owner_id, uint64_t id, bool is_message) {
    struct entry_row *row = state_alloc(state, sizeof *row);
    if (!row)
        return;
    *row = (struct entry_row){ .owner_id = owner_id, .id = id, .is_message = is_message };
    state_push(state, rows, row);
}

static void push_waiting(struct state *state, const struct waiting_owner *owner, struct vec *rows) {
    for (const struct waiting_event *event = owner->first; event; event = event->next)
        push(state, rows, owner->owner_id, event->id, event->is_message);
}

/* Of a batch that is longer than the distance. */
static void push_own(struct state *state, uint64_t id, struct vec *rows) {
    for (size_t i = 0; i < state->events.count; i++) {
        const struct event *event = &((const struct event_entry *)state->events.items[i])->event;
        if (event->id > id)
            break;
        push(state, rows, event->owner_id, event->id, event->type == EVENT_MESSAGE_CREATED);
    }
}

static void bind_row(struct statement *statement, const void *rows, size_t index) {
    const struct entry_row *row = ((const struct vec *)rows)->items[index];
    sqlite_driver.bind_id(statement, 1, row->owner_id);
    sqlite_driver.bind_id(statement, 2, row->is_message);
    sqlite_driver.bind_id(statement, 3, row->id);
}

enum err owner_index_enter(struct state *state, struct db *db, uint64_t id) {
    const struct owner_index *index = state->owner_index;
    struct vec rows = { 0 };
    if (!index->is_table || id <= state->entered_id)
        return OK;
    LIST_EACH(&index->owners, node) {
        const struct waiting_owner *owner = LIST_ITEM(node, struct waiting_owner, node);
        if (owner->first->id > id)
            break;
        if (owner->first->id > state->entered_id)
            push_waiting(state, owner, &rows);
    }
    state->entered_id = id;
    return state->failed ? ERR_NO_MEMORY : db->driver->write_rows(db, &enter_row, &rows, rows.count, bind_row);
}

enum err owner_index_write(struct state *state, struct db *db) {
    struct vec rows = { 0 };
    if (!state->owner_index->is_table)
        return OK;
    if (!state->owner_index->whole) {
        state->entered_id = state->last_id;
        return enter_after(db, position_before(state->last_id, state->owner_index->lag + state->events.count));
    }
    uint64_t id = owner_index_bound(state->owner_index, state->last_id);
    push_own(state, id, &rows);
    enum err err = state->failed ? ERR_NO_MEMORY : db->driver->write_rows(db, &enter_row, &rows, rows.count, bind_row);
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
