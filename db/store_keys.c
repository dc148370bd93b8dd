/* See keys.h: how keys get to disk and back. Within the writer's transactions, but for keys_load() at the start. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "db/keys_internal.h"
#include "db/rows.h"
#include "db/state.h"

static const struct query read_runs = { "SELECT id, period, until_id, fingerprints FROM key_run WHERE id > ?1 ORDER BY id" };
static const struct query count_runs = { "SELECT count(*) FROM key_run WHERE id > ?1 AND period >= ?2" };
/* The last column is of the whole table: a node of an earlier version may still be writing there. */
static const struct query read_recent = { "SELECT id, run_id, period, entries, EXISTS(SELECT 1 FROM idempotency) FROM recent_key"
                                          " WHERE id > ?1 ORDER BY id" };
static const struct query read_blocks = { "SELECT entries FROM key_block WHERE id >= ?1 AND id < ?2 ORDER BY id" };
static const struct query read_block = { "SELECT entries FROM key_block WHERE id = ?1" };
static const struct query read_older = { "SELECT 1 FROM idempotency LIMIT 1" };
static const struct query insert_recent = { "INSERT INTO recent_key(id, run_id, period, entries) VALUES(?1,?2,?3,?4)" };
/* Versions before step 14 need the filter, and stop at one that is empty: to them keys of the run would be new. */
static const struct query insert_run = { "INSERT INTO key_run(id, period, until_id, filter, fingerprints) VALUES(?1,?2,?3,x'',?4)" };
static const struct query insert_block = { "INSERT INTO key_block(id, entries) VALUES(?1,?2)" };

/* ---- Entries ---- */

static uint8_t *put_number(uint8_t *bytes, uint64_t number) {
    uint64_t ordered = htobe64(number);
    memcpy(bytes, &ordered, sizeof ordered);
    return bytes + sizeof ordered;
}

static const uint8_t *take_number(const uint8_t *bytes, uint64_t *ret_number) {
    uint64_t ordered;
    memcpy(&ordered, bytes, sizeof ordered);
    *ret_number = be64toh(ordered);
    return bytes + sizeof ordered;
}

static void put_entry(uint8_t bytes[KEY_ENTRY_BYTES], uint64_t user_id, uint64_t key, uint64_t result_id, const uint8_t *request) {
    bytes = put_number(bytes, user_id);
    bytes = put_number(bytes, key);
    bytes = put_number(bytes, result_id);
    memcpy(bytes, request, HASH128_SIZE);
}

static struct known_key take_entry(const uint8_t *bytes) {
    struct known_key key = { .next = NULL };
    bytes = take_number(bytes, &key.user_id);
    bytes = take_number(bytes, &key.key);
    bytes = take_number(bytes, &key.result_id);
    memcpy(key.request, bytes, HASH128_SIZE);
    return key;
}

/* ---- Reading what is there ---- */

static uint64_t block_id(uint64_t run_id, size_t part) { return run_id * KEY_RUN_PARTS_MAX + part; }

/* A run of a version before step 14: its row has no fingerprints. */
struct bare_run {
    uint64_t id, period;
};

struct bare_runs {
    struct bare_run *items; /* owned */
    size_t count;
};

static enum err push_bare(struct bare_runs *bare, uint64_t id, uint64_t period) {
    struct bare_run *items = realloc(bare->items, (bare->count + 1) * sizeof *items);
    if (!items)
        return ERR_NO_MEMORY;
    bare->items = items;
    items[bare->count++] = (struct bare_run){ id, period };
    return OK;
}

static enum err add_run(struct keys *keys, uint64_t id, uint64_t period, const uint8_t *fingerprints, size_t key_count) {
    enum err err = key_filters_reserve(&keys->filters, key_count);
    return err == OK ? key_filters_add(&keys->filters, id, period, fingerprints, key_count) : err;
}

static enum err take_run(struct keys *keys, struct db *db, struct statement *row, uint64_t first_period, struct bare_runs *bare) {
    size_t size = 0;
    uint64_t period = db->driver->column_id(row, 1);
    keys->run_id = db->driver->column_id(row, 0);
    keys->until_id = db->driver->column_id(row, 2);
    if (period < first_period)
        return OK;
    if (db->driver->is_null(row, 3))
        return push_bare(bare, keys->run_id, period);
    const uint8_t *fingerprints = db->driver->column_bytes(row, 3, &size);
    return add_run(keys, keys->run_id, period, fingerprints, size / KEY_FINGERPRINT_BYTES);
}

/* Appends those of the block's keys. */
static enum err take_block(struct db *db, struct statement *row, uint8_t *fingerprints, size_t *count) {
    size_t size;
    const uint8_t *entries = db->driver->column_bytes(row, 0, &size);
    if (*count + size / KEY_ENTRY_BYTES > KEY_FILTER_RUN_KEYS_MAX)
        return ERR_INTERNAL;
    for (size_t i = 0; i < size / KEY_ENTRY_BYTES; i++) {
        const struct known_key key = take_entry(entries + i * KEY_ENTRY_BYTES);
        key_fingerprint_put(fingerprints + (*count)++ * KEY_FINGERPRINT_BYTES, key.user_id, key.key);
    }
    return OK;
}

static enum err load_bare(struct keys *keys, struct db *db, const struct bare_run *run, uint8_t *fingerprints) {
    size_t count = 0;
    enum err err = OK;
    struct statement *statement = db_query(db, &read_blocks);
    db->driver->bind_id(statement, 1, block_id(run->id, 0));
    db->driver->bind_id(statement, 2, block_id(run->id + 1, 0));
    for (bool row; rows_next(db, statement, &err, &row);)
        err = take_block(db, statement, fingerprints, &count);
    return err == OK ? add_run(keys, run->id, run->period, fingerprints, count) : err;
}

static enum err load_all_bare(struct keys *keys, struct db *db, const struct bare_runs *bare) {
    uint8_t *fingerprints = malloc((size_t)KEY_FILTER_RUN_KEYS_MAX * KEY_FINGERPRINT_BYTES);
    enum err err = fingerprints ? OK : ERR_NO_MEMORY;
    for (size_t i = 0; err == OK && i < bare->count; i++)
        err = load_bare(keys, db, &bare->items[i], fingerprints);
    free(fingerprints);
    return err;
}

static enum err expect_runs(struct keys *keys, struct db *db, uint64_t first_period) {
    struct statement *statement = db_query(db, &count_runs);
    db->driver->bind_id(statement, 1, keys->run_id);
    db->driver->bind_id(statement, 2, first_period);
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);)
        keys->filters.expected = db->driver->column_id(statement, 0);
    return err;
}

/* Those after the last one that is known. */
static enum err load_runs(struct keys *keys, struct db *db, uint64_t first_period) {
    struct bare_runs bare = { 0 };
    enum err err = expect_runs(keys, db, first_period);
    if (err != OK)
        return err;
    struct statement *statement = db_query(db, &read_runs);
    db->driver->bind_id(statement, 1, keys->run_id);
    for (bool row; rows_next(db, statement, &err, &row);)
        err = take_run(keys, db, statement, first_period, &bare);
    if (err == OK && bare.count)
        err = load_all_bare(keys, db, &bare);
    free(bare.items);
    return err;
}

static enum err take_recent(struct keys *keys, struct db *db, struct statement *row, uint64_t first_period) {
    size_t size;
    uint64_t period = db->driver->column_id(row, 2);
    keys->row_id = db->driver->column_id(row, 0);
    const uint8_t *entries = db->driver->column_bytes(row, 3, &size);
    enum err err = size >= KEY_ENTRY_BYTES ? OK : ERR_INTERNAL;
    for (size_t i = 0; err == OK && period >= first_period && i < size / KEY_ENTRY_BYTES; i++) {
        const struct known_key key = take_entry(entries + i * KEY_ENTRY_BYTES);
        err = keys_put(keys, &key);
        keys->period = period;
    }
    if (err == OK)
        memcpy(keys->row_end, entries + size - KEY_ENTRY_BYTES, KEY_ENTRY_BYTES);
    return err;
}

static enum err load_recent(struct keys *keys, struct db *db, uint64_t first_period) {
    struct statement *statement = db_query(db, &read_recent);
    db->driver->bind_id(statement, 1, keys->until_id);
    keys_forget_recent(keys);
    keys->row_id = keys->until_id;
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);)
        err = take_recent(keys, db, statement, first_period);
    return err;
}

/* The runs that are not known yet, and then the recent keys, which others may have made a run of. */
static enum err load_further(struct keys *keys, struct db *db, uint64_t first_period) {
    enum err err = load_runs(keys, db, first_period);
    return err == OK ? load_recent(keys, db, first_period) : err;
}

static enum err look_for_older(struct keys *keys, struct db *db) {
    struct statement *statement = db_query(db, &read_older);
    enum err err = OK;
    keys->has_older = false;
    for (bool row; rows_next(db, statement, &err, &row);)
        keys->has_older = true;
    return err;
}

enum err keys_load(struct keys *keys, struct db *db, int64_t now_ms) {
    key_filters_release(&keys->filters);
    keys->run_id = keys->until_id = keys->row_id = 0;
    keys->whole = false;
    enum err err = load_further(keys, db, keys_first_period(now_ms));
    if (err == OK)
        err = look_for_older(keys, db);
    keys->whole = err == OK;
    keys->doubted = err != OK;
    return err;
}

/* ---- What others have written ---- */

enum others {
    OTHERS_READ,   /* whatever they have written is known now */
    OTHERS_SEALED, /* the recent keys have become a run */
    OTHERS_PARTED, /* the last row that was known is gone, or another */
};

static bool is_known_row(const struct keys *keys, struct db *db, struct statement *row) {
    size_t size;
    const uint8_t *entries = db->driver->column_bytes(row, 3, &size);
    return db->driver->column_id(row, 0) == keys->row_id && size >= KEY_ENTRY_BYTES &&
           memcmp(entries + size - KEY_ENTRY_BYTES, keys->row_end, KEY_ENTRY_BYTES) == 0;
}

/* From the last row that is known on. */
static enum err read_others(struct keys *keys, struct db *db, uint64_t first_period, enum others *ret_others) {
    struct statement *statement = db_query(db, &read_recent);
    db->driver->bind_id(statement, 1, keys->row_id ? keys->row_id - 1 : 0);
    *ret_others = keys->row_id ? OTHERS_PARTED : OTHERS_READ;
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        keys->has_older = keys->has_older || db->driver->column_id(statement, 4);
        if (*ret_others == OTHERS_PARTED)
            *ret_others = is_known_row(keys, db, statement) ? OTHERS_READ : OTHERS_PARTED;
        else if (db->driver->column_id(statement, 1) != keys->run_id)
            *ret_others = OTHERS_SEALED;
        else
            err = take_recent(keys, db, statement, first_period);
        if (*ret_others != OTHERS_READ)
            break;
    }
    db->driver->finish(statement);
    return err;
}

enum err keys_refresh(struct keys *keys, struct db *db, int64_t now_ms) {
    uint64_t first_period = keys_first_period(now_ms);
    enum others others = OTHERS_PARTED;
    enum err err = OK;
    if (keys->whole && !keys->doubted)
        return OK;
    if (keys->whole)
        err = read_others(keys, db, first_period, &others);
    if (err == OK && others == OTHERS_SEALED)
        err = load_further(keys, db, first_period);
    if (err == OK && others == OTHERS_PARTED)
        err = keys_load(keys, db, now_ms);
    keys->whole = err == OK;
    keys->doubted = err != OK;
    return err;
}

/* ---- Ids ---- */

/* As in the log, behind a number is the commit's tag: of two writers at different servers of a cluster, who go on from the same row, one is refused because of
 * the head (db/store_head.h), and not because its row is there already. */
static uint64_t next_id(const struct state *state, uint64_t last_id) { return log_id(log_position(last_id) + 1, state->tag); }

/* ---- Looking up ---- */

static void find_in(const uint8_t *entries, size_t size, struct key_entry *entry) {
    for (size_t i = 0; i < size / KEY_ENTRY_BYTES; i++) {
        const struct known_key key = take_entry(entries + i * KEY_ENTRY_BYTES);
        if (key.user_id != entry->user_id || key.key != entry->key)
            continue;
        entry->result_id = key.result_id;
        memcpy(entry->request, key.request, sizeof entry->request);
    }
}

static enum err find_in_run(struct db *db, const struct key_match *match, struct key_entry *entry) {
    size_t size, part = key_run_part(entry->user_id, entry->key, key_run_parts(match->key_count));
    struct statement *statement = db_query(db, &read_block);
    db->driver->bind_id(statement, 1, block_id(match->run_id, part));
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        const uint8_t *entries = db->driver->column_bytes(statement, 0, &size);
        find_in(entries, size, entry);
    }
    return err;
}

static enum err find_one(const struct state *state, struct db *db, struct key_entry *entry) {
    struct key_search search = { 0 };
    struct key_match match;
    uint64_t first_period = keys_first_period(state->now_ms);
    enum err err = OK;
    while (err == OK && entry->result_id == 0 &&
           key_filters_next(&state->keys->filters, entry->user_id, entry->key, first_period, &search, &match))
        err = find_in_run(db, &match, entry);
    return err;
}

static bool may_be_on_disk(const struct state *state, const struct key_entry *entry) {
    struct key_search search = { 0 };
    struct key_match match;
    return key_filters_next(&state->keys->filters, entry->user_id, entry->key, keys_first_period(state->now_ms), &search, &match);
}

void keys_drop_new(struct state *state) {
    struct vec *sought = &state->sought_keys;
    size_t left = 0;
    for (size_t i = 0; i < sought->count; i++) {
        if (may_be_on_disk(state, sought->items[i]))
            sought->items[left++] = sought->items[i];
    }
    sought->count = left;
}

enum err keys_find(struct state *state, struct db *db) {
    enum err err = OK;
    for (size_t i = 0; err == OK && i < state->sought_keys.count; i++)
        err = find_one(state, db, state->sought_keys.items[i]);
    state->sought_keys.count = 0;
    return err;
}

/* ---- Making a run of the recent ones ---- */

struct run_part {
    uint64_t id;
    uint8_t *entries;
    size_t count;
};

struct run {
    const struct db_driver *driver;
    struct run_part *parts;
    size_t part_count; /* of these, those that hold keys come first once they are gathered */
    uint8_t *fingerprints;
    size_t key_count;
};

static bool start_run(struct state *state, struct db *db, struct run *ret_run) {
    size_t count = state->keys->recent_count, parts = key_run_parts(count);
    *ret_run = (struct run){ .driver = db->driver,
                             .parts = arena_array(state->arena, sizeof(struct run_part), parts),
                             .part_count = parts,
                             .fingerprints = arena_array(state->arena, KEY_FINGERPRINT_BYTES, count) };
    for (size_t part = 0; ret_run->parts && part < parts; part++)
        ret_run->parts[part].id = block_id(state->keys_written.run_id, part);
    return ret_run->parts && ret_run->fingerprints && key_filters_reserve(&state->keys->filters, count) == OK;
}

static struct run_part *part_of(const struct run *run, const struct known_key *key) {
    return &run->parts[key_run_part(key->user_id, key->key, run->part_count)];
}

/* In the order in which they came, as they lie in memory: in that of the map each would be waited for. */
static void count_keys(const struct keys *keys, struct run *run) {
    for (const struct known_key *key = keys->newest; key; key = key->older)
        part_of(run, key)->count++;
}

static bool make_parts(struct state *state, struct run *run) {
    uint8_t *entries = arena_array(state->arena, KEY_ENTRY_BYTES, state->keys->recent_count);
    for (size_t part = 0; entries && part < run->part_count; part++) {
        run->parts[part].entries = entries;
        entries += run->parts[part].count * KEY_ENTRY_BYTES;
        run->parts[part].count = 0;
    }
    return entries;
}

static void fill_parts(const struct keys *keys, struct run *run) {
    for (const struct known_key *key = keys->newest; key; key = key->older) {
        struct run_part *part = part_of(run, key);
        put_entry(part->entries + part->count++ * KEY_ENTRY_BYTES, key->user_id, key->key, key->result_id, key->request);
        key_fingerprint_put(run->fingerprints + run->key_count++ * KEY_FINGERPRINT_BYTES, key->user_id, key->key);
    }
}

static void drop_empty_parts(struct run *run) {
    size_t kept = 0;
    for (size_t part = 0; part < run->part_count; part++) {
        if (run->parts[part].count)
            run->parts[kept++] = run->parts[part];
    }
    run->part_count = kept;
}

static void bind_part(struct statement *statement, const void *context, size_t index) {
    const struct run *run = context;
    run->driver->bind_id(statement, 1, run->parts[index].id);
    run->driver->bind_blob(statement, 2, run->parts[index].entries, run->parts[index].count * KEY_ENTRY_BYTES);
}

static enum err write_run(struct state *state, struct db *db, const struct run *run) {
    const struct keys *keys = state->keys;
    enum err err = db->driver->write_rows(db, &insert_block, run, run->part_count, bind_part);
    if (err != OK)
        return err;
    struct statement *statement = db_query(db, &insert_run);
    db->driver->bind_id(statement, 1, state->keys_written.run_id);
    db->driver->bind_id(statement, 2, keys->period);
    db->driver->bind_id(statement, 3, keys->row_id);
    db->driver->bind_blob(statement, 4, run->fingerprints, run->key_count * KEY_FINGERPRINT_BYTES);
    return db_run(db, statement);
}

static enum err make_run(struct state *state, struct db *db) {
    struct run run;
    struct keys_written *written = &state->keys_written;
    written->run_id = next_id(state, state->keys->run_id);
    written->run_period = state->keys->period;
    if (!start_run(state, db, &run))
        return ERR_NO_MEMORY;
    count_keys(state->keys, &run);
    if (!make_parts(state, &run))
        return ERR_NO_MEMORY;
    fill_parts(state->keys, &run);
    drop_empty_parts(&run);
    written->fingerprints = run.fingerprints;
    written->key_count = run.key_count;
    return write_run(state, db, &run);
}

/* A run has keys of one period. One that is a little larger than it should be would have twice as many parts, half as large. */
static enum err seal_when_due(struct state *state, struct db *db, uint64_t period) {
    const struct keys *keys = state->keys;
    bool is_due = keys->recent_count && (keys->recent_count + state->new_keys.count > keys->run_size || keys->period != period);
    if (!is_due)
        return OK;
    state->keys_written.sealed = true;
    return keys->period < keys_first_period(state->now_ms) ? OK : make_run(state, db);
}

/* ---- Writing ---- */

static enum err write_recent(struct state *state, struct db *db, const uint8_t *entries, size_t size) {
    const struct keys_written *written = &state->keys_written;
    struct statement *statement = db_query(db, &insert_recent);
    db->driver->bind_id(statement, 1, written->row_id);
    db->driver->bind_id(statement, 2, written->run_id ? written->run_id : state->keys->run_id);
    db->driver->bind_id(statement, 3, written->period);
    db->driver->bind_blob(statement, 4, entries, size);
    return db_run(db, statement);
}

/* Periods never go back along the rows, whatever clocks do. */
enum err keys_write(struct state *state, struct db *db) {
    struct keys_written *written = &state->keys_written;
    const struct vec *new_keys = &state->new_keys;
    uint64_t period = keys_period(state->now_ms);
    if (new_keys->count == 0)
        return OK;
    written->period = period > state->keys->period ? period : state->keys->period;
    enum err err = seal_when_due(state, db, written->period);
    size_t size = new_keys->count * KEY_ENTRY_BYTES;
    uint8_t *entries = err == OK ? state_alloc(state, size) : NULL;
    if (!entries)
        return err == OK ? ERR_NO_MEMORY : err;
    for (size_t i = 0; i < new_keys->count; i++) {
        const struct key_entry *entry = new_keys->items[i];
        put_entry(entries + i * KEY_ENTRY_BYTES, entry->user_id, entry->key, entry->result_id, entry->request);
    }
    memcpy(written->row_end, entries + size - KEY_ENTRY_BYTES, KEY_ENTRY_BYTES);
    written->row_id = next_id(state, state->keys->row_id);
    return write_recent(state, db, entries, size);
}
