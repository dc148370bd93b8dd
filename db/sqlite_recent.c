/* See sqlite_recent.h. */
#include "db/sqlite_recent.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "db/model.h"
#include "db/recent.h"

#define FIRST_ROOM 64 /* events: more than a page, mostly */

enum column { COLUMN_OWNER, COLUMN_IS_MESSAGE, COLUMN_ID };

/* How a plan asks, in xFilter's idxNum: the owner is its first argument, bounds follow in this order. */
enum plan { PLAN_AFTER = 1, PLAN_UP_TO = 2, PLAN_DESCENDING = 4 };

struct recent_table {
    sqlite3_vtab base;
    sqlite3 *handle;
    const struct db *db;
    sqlite3_stmt *scan; /* of the log; owned; NULL: it was not needed yet */
    struct recent own;  /* what it found; empty until it is needed */
};

struct recent_cursor {
    sqlite3_vtab_cursor base;
    uint64_t owner_id;
    uint64_t *events; /* as db/recent.h packs them, the newest first; owned */
    size_t count, room;
    size_t at; /* the row's place, in the order of the plan */
    bool descends;
    struct recent_view older; /* what is not in `events` yet, for they are the newest; up to 0: nothing */
};

/* ---- The table ---- */

static void free_table(struct recent_table *table) {
    sqlite3_finalize(table->scan);
    recent_release(&table->own);
    free(table);
}

static int table_connect(sqlite3 *handle, void *context, int count, const char *const *words, sqlite3_vtab **ret_table,
                         char **ret_problem) {
    (void)count;
    (void)words;
    (void)ret_problem;
    struct recent_table *table = calloc(1, sizeof *table);
    if (!table)
        return SQLITE_NOMEM;
    table->handle = handle;
    table->db = context;
    recent_init(&table->own, LIMIT_RECENT_EVENTS);
    int code = sqlite3_declare_vtab(handle, "CREATE TABLE recent(owner_id INTEGER, is_message INTEGER, id INTEGER)");
    if (code == SQLITE_OK)
        *ret_table = &table->base;
    else
        free_table(table);
    return code;
}

static int table_disconnect(sqlite3_vtab *base) {
    free_table((struct recent_table *)base);
    return SQLITE_OK;
}

/* Which constraint of the plan is of this column and kind; -1: none that can be used. */
static int find_constraint(const sqlite3_index_info *info, enum column column, int kind, int kind_or_equal) {
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *constraint = &info->aConstraint[i];
        if (constraint->usable && constraint->iColumn == (int)column && (constraint->op == kind || constraint->op == kind_or_equal))
            return i;
    }
    return -1;
}

static void pass(sqlite3_index_info *info, int constraint, int flag, int *argument_count) {
    if (constraint < 0)
        return;
    info->aConstraintUsage[constraint].argvIndex = ++*argument_count;
    info->idxNum |= flag;
}

/* SQLite checks all constraints again, so that a bound may be taken for one that includes its id. */
static int table_plan(sqlite3_vtab *base, sqlite3_index_info *info) {
    int owner = find_constraint(info, COLUMN_OWNER, SQLITE_INDEX_CONSTRAINT_EQ, SQLITE_INDEX_CONSTRAINT_EQ);
    int argument_count = 0;
    (void)base;
    if (owner < 0)
        return SQLITE_CONSTRAINT;
    pass(info, owner, 0, &argument_count);
    pass(info, find_constraint(info, COLUMN_ID, SQLITE_INDEX_CONSTRAINT_GT, SQLITE_INDEX_CONSTRAINT_GE), PLAN_AFTER, &argument_count);
    pass(info, find_constraint(info, COLUMN_ID, SQLITE_INDEX_CONSTRAINT_LT, SQLITE_INDEX_CONSTRAINT_LE), PLAN_UP_TO, &argument_count);
    if (info->nOrderBy == 1 && info->aOrderBy[0].iColumn == COLUMN_ID) {
        info->idxNum |= info->aOrderBy[0].desc ? PLAN_DESCENDING : 0;
        info->orderByConsumed = 1;
    }
    info->estimatedCost = 10;
    info->estimatedRows = 10;
    return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **ret_cursor) {
    (void)base;
    struct recent_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return SQLITE_NOMEM;
    *ret_cursor = &cursor->base;
    return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *base) {
    struct recent_cursor *cursor = (struct recent_cursor *)base;
    free(cursor->events);
    free(cursor);
    return SQLITE_OK;
}

/* ---- What is in it ---- */

static int make_room(struct recent_cursor *cursor, size_t room) {
    if (room <= cursor->room)
        return SQLITE_OK;
    uint64_t *events = realloc(cursor->events, room * sizeof *events);
    if (!events)
        return SQLITE_NOMEM;
    cursor->events = events;
    cursor->room = room;
    return SQLITE_OK;
}

/* Adds what `view` finds, or `room` of it, the newest. `*ret_up_to_id`: up to which it knows; 0: nothing. */
static int take_some(struct recent_cursor *cursor, const struct recent_view *view, size_t room, bool *ret_more, uint64_t *ret_up_to_id) {
    size_t count = 0;
    int code = make_room(cursor, cursor->count + room);
    if (code != SQLITE_OK)
        return code;
    if (!recent_find(view, cursor->owner_id, cursor->events + cursor->count, room, &count, ret_up_to_id))
        *ret_up_to_id = 0;
    *ret_more = count > room;
    cursor->count += *ret_more ? room : count;
    return SQLITE_OK;
}

static int take_all(struct recent_cursor *cursor, const struct recent_view *view, uint64_t *ret_up_to_id) {
    size_t first = cursor->count;
    bool more = true;
    int code = SQLITE_OK;
    for (size_t room = FIRST_ROOM; code == SQLITE_OK && more; room *= 8) {
        cursor->count = first;
        code = take_some(cursor, view, room, &more, ret_up_to_id);
    }
    return code;
}

/* What the log has of the snapshot after an id, for all owners: whoever asks for one asks for others, too. */
static int read_log(struct recent_table *table, uint64_t after_id) {
    static const char sql[] = "SELECT id, owner_id, is_message FROM event WHERE id > ?1 AND id <= ?2 ORDER BY id";
    uint64_t up_to_id = table->db->recent.up_to_id;
    int code = table->scan ? SQLITE_OK : sqlite3_prepare_v3(table->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &table->scan, NULL);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(table->scan, 1, (sqlite3_int64)after_id);
    sqlite3_bind_int64(table->scan, 2, (sqlite3_int64)up_to_id);
    recent_begin(&table->own, after_id);
    recent_lock(&table->own);
    while ((code = sqlite3_step(table->scan)) == SQLITE_ROW) {
        uint64_t event = recent_pack((uint64_t)sqlite3_column_int64(table->scan, 0), sqlite3_column_int64(table->scan, 2) != 0);
        recent_add(&table->own, (uint64_t)sqlite3_column_int64(table->scan, 1), event);
    }
    recent_unlock(&table->own, code == SQLITE_DONE && table->own.slots ? up_to_id : 0);
    sqlite3_reset(table->scan);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Memory knows only what is up to `known_id`, or nothing where that is 0. The rest is read once for a snapshot. */
static int take_from_log(struct recent_table *table, struct recent_cursor *cursor, struct recent_view view, uint64_t known_id) {
    const struct recent_view *snapshot = &table->db->recent;
    uint64_t first_id = known_id > snapshot->after_id ? known_id : snapshot->after_id;
    int code = SQLITE_OK;
    view.recent = &table->own;
    if (view.after_id < first_id)
        view.after_id = first_id;
    if (table->own.up_to_id != snapshot->up_to_id || table->own.after_id > first_id)
        code = read_log(table, first_id);
    if (code == SQLITE_OK)
        code = take_all(cursor, &view, &known_id);
    return code == SQLITE_OK && known_id < view.up_to_id ? SQLITE_NOMEM : code;
}

static int compare_newest_first(const void *a, const void *b) {
    const uint64_t *left = a, *right = b;
    return (*left < *right) - (*left > *right);
}

/* The snapshot's, within the bounds of the plan. */
static struct recent_view view_of(const struct recent_view *snapshot, int plan, sqlite3_value **bounds) {
    struct recent_view view = *snapshot;
    if (plan & PLAN_AFTER) {
        sqlite3_int64 first_id = sqlite3_value_int64(*bounds++);
        if (first_id > 0 && (uint64_t)first_id > view.after_id)
            view.after_id = (uint64_t)first_id - 1;
    }
    if (plan & PLAN_UP_TO) {
        sqlite3_int64 last_id = sqlite3_value_int64(*bounds);
        if (last_id < 0 || (uint64_t)last_id < view.up_to_id)
            view.up_to_id = last_id < 0 ? 0 : (uint64_t)last_id;
    }
    return view;
}

static int fill_with_all(struct recent_table *table, struct recent_cursor *cursor, const struct recent_view *view) {
    uint64_t known_id = 0;
    cursor->count = 0;
    int code = take_all(cursor, view, &known_id);
    if (code != SQLITE_OK || known_id >= view->up_to_id)
        return code;
    code = take_from_log(table, cursor, *view, known_id);
    qsort(cursor->events, cursor->count, sizeof *cursor->events, compare_newest_first);
    return code;
}

/* Who asks for the newest first may need no more than a page of them. */
static int fill(struct recent_table *table, struct recent_cursor *cursor, struct recent_view view) {
    uint64_t known_id = 0;
    bool more = false;
    int code = SQLITE_OK;
    cursor->count = cursor->at = 0;
    cursor->older.up_to_id = 0;
    if (view.after_id >= view.up_to_id)
        return SQLITE_OK;
    if (cursor->descends)
        code = take_some(cursor, &view, FIRST_ROOM, &more, &known_id);
    if (code != SQLITE_OK || known_id < view.up_to_id)
        return code == SQLITE_OK ? fill_with_all(table, cursor, &view) : code;
    if (more)
        cursor->older = (struct recent_view){ view.recent, view.after_id, recent_id(cursor->events[cursor->count - 1]) - 1 };
    return SQLITE_OK;
}

static int cursor_filter(sqlite3_vtab_cursor *base, int plan, const char *name, int count, sqlite3_value **arguments) {
    struct recent_cursor *cursor = (struct recent_cursor *)base;
    struct recent_table *table = (struct recent_table *)base->pVtab;
    (void)name;
    (void)count;
    if (!table->db->recent.recent)
        return SQLITE_MISUSE;
    cursor->owner_id = (uint64_t)sqlite3_value_int64(arguments[0]);
    cursor->descends = plan & PLAN_DESCENDING;
    return fill(table, cursor, view_of(&table->db->recent, plan, arguments + 1));
}

static int cursor_next(sqlite3_vtab_cursor *base) {
    struct recent_cursor *cursor = (struct recent_cursor *)base;
    if (++cursor->at < cursor->count || cursor->older.up_to_id == 0)
        return SQLITE_OK;
    return fill((struct recent_table *)base->pVtab, cursor, cursor->older);
}

static int cursor_is_done(sqlite3_vtab_cursor *base) {
    const struct recent_cursor *cursor = (const struct recent_cursor *)base;
    return cursor->at >= cursor->count;
}

static uint64_t current(const struct recent_cursor *cursor) {
    return cursor->events[cursor->descends ? cursor->at : cursor->count - 1 - cursor->at];
}

static int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *result, int column) {
    const struct recent_cursor *cursor = (const struct recent_cursor *)base;
    switch ((enum column)column) {
    case COLUMN_OWNER:
        sqlite3_result_int64(result, (sqlite3_int64)cursor->owner_id);
        break;
    case COLUMN_IS_MESSAGE:
        sqlite3_result_int64(result, recent_is_message(current(cursor)));
        break;
    case COLUMN_ID:
        sqlite3_result_int64(result, (sqlite3_int64)recent_id(current(cursor)));
        break;
    }
    return SQLITE_OK;
}

static int cursor_row_id(sqlite3_vtab_cursor *base, sqlite3_int64 *ret_id) {
    *ret_id = (sqlite3_int64)recent_id(current((const struct recent_cursor *)base));
    return SQLITE_OK;
}

/* Without xCreate: it is there without being created, and only by this name. */
static const sqlite3_module module = {
    .iVersion = 1,
    .xConnect = table_connect,
    .xBestIndex = table_plan,
    .xDisconnect = table_disconnect,
    .xOpen = cursor_open,
    .xClose = cursor_close,
    .xFilter = cursor_filter,
    .xNext = cursor_next,
    .xEof = cursor_is_done,
    .xColumn = cursor_column,
    .xRowid = cursor_row_id,
};

int sqlite_recent_install(sqlite3 *handle, const struct db *db) {
    return sqlite3_create_module(handle, "recent", &module, (void *)(uintptr_t)db);
}
