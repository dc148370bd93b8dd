/* See store_head.h. */
#include "db/store_head.h"

#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/random.h"
#include "db/rows.h"

#define WRITER_FORGOTTEN_MS (INT64_C(2) * 24 * 3600 * 1000)

static const struct query read_floor = { "SELECT number FROM meta WHERE name = 'floor'" };
static const struct query read_last_event = { "SELECT id, created_ms FROM event ORDER BY id DESC LIMIT 1" };
/* It must change something. Otherwise the transaction has written nothing yet, and a server that gives up idle ones that have written lets it keep the
 * lock for as long as its node is frozen. */
static const struct query take_head = { "UPDATE meta SET number = number + 1 WHERE name = 'head'" };
/* The same if it is as this writer left it, which need not be read then. (An insertion that returns the row would do for both, but MariaDB 10.11 does not
 * answer it when it has waited in vain for the lock.) */
static const struct query take_head_as_left = { "UPDATE meta SET number = number + 1 WHERE name = 'head' AND number = ?1 AND bytes = ?2" };
static const struct query read_head = { "SELECT number - 1, bytes FROM meta WHERE name = 'head'" };
/* Only where the head is as this transaction's first statement left it, and in one statement with the writer's own row: a server of a cluster that has ended
 * the transaction may say so too late, and what follows is then in another, which must not leave the tag of a commit that never was. */
#define WRITE_HEAD                                                                                          \
    "UPDATE meta h JOIN meta w ON w.name = ?1 SET h.number = ?2, h.bytes = ?3, w.number = ?4, w.bytes = ?3" \
    " WHERE h.name = 'head' AND h.number = ?5"
static const struct query write_head = { WRITE_HEAD };
static const struct query write_head_as_left = { WRITE_HEAD " AND h.bytes = ?6" };
static const struct query make_writer = { "REPLACE INTO meta(name, number, bytes) VALUES(?1, 0, ?2)" };
static const struct query read_writer = { "SELECT bytes FROM meta WHERE name = ?1" };
static const struct query forget_writers = { "DELETE FROM meta WHERE name > 'writer.' AND name < 'writer/' AND number < ?1" };

/* The head is the last event's id, or the floor when everything was cut. */
enum err head_load(struct store *store) {
    const struct db_driver *driver = store->db->driver;
    uint64_t floor = 0, head = 0;
    enum err err = OK;
    struct statement *statement = db_query(store->db, &read_floor);
    for (bool row; rows_next(store->db, statement, &err, &row);)
        floor = driver->column_id(statement, 0);
    statement = db_query(store->db, &read_last_event);
    for (bool row; rows_next(store->db, statement, &err, &row);) {
        head = driver->column_id(statement, 0);
        store->last_ms = (int64_t)driver->column_id(statement, 1);
    }
    if (err != OK)
        return err;
    if (store->swept_id > floor) /* the database is an older one */
        store->swept_id = 0;
    store->last_id = head > floor ? head : floor;
    atomic_store(&store->floor, floor);
    atomic_store(&store->head, store->last_id);
    return OK;
}

static enum err read_row(struct store *store, uint64_t *ret_id, uint8_t ret_tag[COMMIT_TAG_SIZE]) {
    struct statement *statement = db_query(store->db, &read_head);
    bool row = false;
    enum err err = store->db->driver->step(statement, &row);
    if (err == OK && row) {
        *ret_id = store->db->driver->column_id(statement, 0);
        db_column_blob(store->db, statement, 1, ret_tag, COMMIT_TAG_SIZE);
    }
    store->db->driver->finish(statement);
    return err == OK && !row ? ERR_INTERNAL : err;
}

static bool is_as_left(const struct store *store, uint64_t id, const uint8_t tag[COMMIT_TAG_SIZE]) {
    return id == store->left.id && memcmp(tag, store->left.tag, COMMIT_TAG_SIZE) == 0;
}

/* Others have written since, or what this writer wrote is gone: what it remembers is of no use. */
static enum err notice_others(struct store *store, uint64_t id, const uint8_t tag[COMMIT_TAG_SIZE]) {
    if (is_as_left(store, id, tag))
        return OK;
    cache_release(&store->cache);
    store->keys.doubted = true;
    place_doubt(&store->place);
    head_doubt(store); /* should the head go back to what was left, what is read now is of no use, either */
    return head_load(store);
}

/* As it was left, the head need not be read. But where others write, too, asking for it so would mean to wait for the lock twice. */
static enum err begin_by_head(struct store *store, bool *ret_as_left, bool *ret_taken) {
    bool taken = false, as_left = store->left.found > 0;
    struct statement *statement = db_query(store->db, as_left ? &take_head_as_left : &take_head);
    if (as_left) {
        store->db->driver->bind_id(statement, 1, store->left.id);
        store->db->driver->bind_blob(statement, 2, store->left.tag, COMMIT_TAG_SIZE);
    }
    enum err err = store->db->driver->begin_by(statement, &taken);
    *ret_as_left = as_left && taken;
    *ret_taken = taken;
    return err;
}

static enum err take_head_row(struct store *store, uint64_t *ret_id, uint8_t ret_tag[COMMIT_TAG_SIZE]) {
    bool as_left, taken;
    enum err err = begin_by_head(store, &as_left, &taken);
    if (err == OK && as_left) {
        *ret_id = store->left.id;
        memcpy(ret_tag, store->left.tag, COMMIT_TAG_SIZE);
    } else {
        if (err == OK && !taken)
            err = db_run(store->db, db_query(store->db, &take_head));
        if (err == OK)
            err = read_row(store, ret_id, ret_tag);
    }
    store->left.found = err == OK && is_as_left(store, *ret_id, ret_tag) ? store->left.found + 1 : 0;
    return err;
}

static void note_taken(struct store *store, uint64_t id, bool trusting) {
    store->taken_number = id + 1;
    store->taken_trusting = trusting;
}

static enum err take_turn(struct store *store, uint64_t *ret_id, uint8_t ret_tag[COMMIT_TAG_SIZE]) {
    enum err err = take_head_row(store, ret_id, ret_tag);
    if (err == OK)
        note_taken(store, *ret_id, false);
    return err;
}

/* A server of a cluster is waited for after each statement anyhow. */
bool head_is_trusted(const struct store *store) {
    return store->db->driver->is_shared && !store->db->in_cluster && store->left.found >= store->trusts_after;
}

static enum err begin_trusting(struct store *store) {
    note_taken(store, store->left.id, true);
    return store->db->driver->begin_by(db_query(store->db, &take_head), NULL);
}

static enum err begin_asking(struct store *store) {
    uint64_t id;
    uint8_t tag[COMMIT_TAG_SIZE];
    enum err err = take_turn(store, &id, tag);
    return err == OK ? notice_others(store, id, tag) : err;
}

enum err head_begin(struct store *store) {
    if (!store->db->driver->is_shared)
        return store->db->driver->begin(store->db);
    enum err err = head_is_trusted(store) ? begin_trusting(store) : begin_asking(store);
    if (err == OK)
        fault_freeze_at("freeze_with_head");
    return err;
}

static enum err make_own_row(struct store *store, const uint8_t tag[COMMIT_TAG_SIZE]) {
    struct statement *statement = db_query(store->db, &make_writer);
    store->db->driver->bind_text(statement, 1, store->writer, strlen(store->writer));
    store->db->driver->bind_blob(statement, 2, tag, COMMIT_TAG_SIZE);
    return db_run(store->db, statement);
}

static struct statement *bind_head(struct store *store, uint64_t last_id, const uint8_t tag[COMMIT_TAG_SIZE]) {
    const struct db_driver *driver = store->db->driver;
    struct statement *statement = db_query(store->db, store->taken_trusting ? &write_head_as_left : &write_head);
    driver->bind_text(statement, 1, store->writer, strlen(store->writer));
    driver->bind_id(statement, 2, last_id);
    driver->bind_blob(statement, 3, tag, COMMIT_TAG_SIZE);
    driver->bind_id(statement, 4, (uint64_t)clock_now_ms());
    driver->bind_id(statement, 5, store->taken_number);
    if (store->taken_trusting)
        driver->bind_blob(statement, 6, store->left.tag, COMMIT_TAG_SIZE);
    return statement;
}

enum err head_write(struct store *store, uint64_t last_id, const uint8_t tag[COMMIT_TAG_SIZE]) {
    enum err err = store->has_own_row ? OK : make_own_row(store, (const uint8_t[COMMIT_TAG_SIZE]){ 0 });
    return err == OK ? db_run(store->db, bind_head(store, last_id, tag)) : err;
}

enum err head_check(struct store *store) {
    bool changed = false;
    enum err err = store->db->driver->has_changed(store->db, &changed);
    store->has_own_row = store->has_own_row && changed; /* or another has forgotten it as one of a writer that is long gone */
    return err == OK && !changed ? ERR_DATABASE_BUSY : err;
}

void head_keep(struct store *store, uint64_t last_id, const uint8_t tag[COMMIT_TAG_SIZE]) {
    store->left.id = last_id;
    memcpy(store->left.tag, tag, COMMIT_TAG_SIZE);
    store->has_own_row = true;
}

void head_doubt(struct store *store) {
    store->left.id = UINT64_MAX;
    store->left.found = 0;
}

void head_distrust(struct store *store) { store->left.found = 0; }

/* Untouched when it has no row yet. */
static enum err read_own_tag(struct store *store, uint8_t ret_tag[COMMIT_TAG_SIZE]) {
    enum err err = OK;
    struct statement *statement = db_query(store->db, &read_writer);
    store->db->driver->bind_text(statement, 1, store->writer, strlen(store->writer));
    for (bool row; rows_next(store->db, statement, &err, &row);)
        db_column_blob(store->db, statement, 0, ret_tag, COMMIT_TAG_SIZE);
    return err;
}

enum err head_commit(struct store *store, const uint8_t tag[COMMIT_TAG_SIZE]) {
    uint8_t own_tag[COMMIT_TAG_SIZE] = { 0 };
    enum err err = store->db->driver->commit(store->db);
    if (err != OK || !store->db->in_cluster)
        return err;
    err = read_own_tag(store, own_tag);
    return err == OK && memcmp(own_tag, tag, COMMIT_TAG_SIZE) == 0 ? OK : ERR_DATABASE_UNKNOWN;
}

/* On one server the head's lock is given only when the lost transaction is over. In a cluster it may still be under way to this server; but once a
 * later change of the head is committed, it cannot be any more. */
static enum err shut_out(struct store *store, uint64_t id) {
    uint8_t tag[COMMIT_TAG_SIZE];
    random_bytes(tag, sizeof tag);
    enum err err = head_write(store, id, tag);
    if (err == OK)
        err = head_check(store);
    return err == OK ? head_commit(store, tag) : err;
}

enum err head_settle(struct store *store, const uint8_t tag[COMMIT_TAG_SIZE], bool *ret_kept) {
    uint64_t id;
    uint8_t head_tag[COMMIT_TAG_SIZE], own_tag[COMMIT_TAG_SIZE] = { 0 };
    enum err err = take_turn(store, &id, head_tag);
    if (err == OK)
        err = read_own_tag(store, own_tag);
    bool kept = err == OK && memcmp(own_tag, tag, COMMIT_TAG_SIZE) == 0;
    if (err == OK && !kept)
        err = shut_out(store, id);
    store->db->driver->rollback(store->db);
    if (err == OK)
        *ret_kept = kept;
    return err;
}

enum err head_sweep(struct store *store) {
    struct statement *statement = db_query(store->db, &forget_writers);
    store->db->driver->bind_id(statement, 1, (uint64_t)(clock_now_ms() - WRITER_FORGOTTEN_MS));
    return db_run(store->db, statement);
}
