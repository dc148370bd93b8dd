/* See place.h. */
#include "db/place.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "db/rows.h"
#include "db/store_head.h"

#define NAME_BYTES 16
#define PREFIX "node."
#define NOBODY 0
#define LONE_HOLDER 1 /* of a database with one writer: a process that was killed goes on with its leases at once */

static_assert(PLACE_PROLONG_MS < PLACE_LEASE_MS, "a lease is prolonged before it is over");

static const struct query read_last_id = { "SELECT max(id) FROM (SELECT max(id) AS id FROM user UNION ALL SELECT max(id) FROM chat"
                                           " UNION ALL SELECT max(id) FROM device UNION ALL SELECT max(id) FROM media) d" };
static const struct query read_place = { "SELECT holder, until_ms FROM lease WHERE name = ?1" };
static const struct query read_places = { "SELECT name, holder, until_ms FROM lease WHERE name > 'node.' AND name < 'node/'" };
static const struct query set_place = { "REPLACE INTO lease(name, holder, until_ms) VALUES(?1, ?2, ?3)" };

void place_init(struct place *place, bool is_leased) {
    uint64_t holder = random_u64() >> 1;
    *place = (struct place){ .holder = is_leased && holder > LONE_HOLDER ? holder : LONE_HOLDER, .is_leased = is_leased };
}

/* ---- Rows ---- */

static void write_name(uint32_t number, char ret_name[NAME_BYTES]) { snprintf(ret_name, NAME_BYTES, PREFIX "%u", (unsigned)number); }

/* False for a name that is no number's. */
static bool read_name(const char *name, size_t size, uint32_t *ret_number) {
    char text[NAME_BYTES], again[NAME_BYTES];
    size_t prefix_size = strlen(PREFIX);
    if (size <= prefix_size || size >= sizeof text)
        return false;
    memcpy(text, name, size);
    text[size] = '\0';
    uint32_t number = (uint32_t)strtoul(text + prefix_size, NULL, 10);
    write_name(number, again);
    if (number >= ID_NODE_COUNT || strcmp(text, again) != 0)
        return false;
    *ret_number = number;
    return true;
}

static enum err write_row(struct place *place, struct db *db, uint64_t holder, int64_t until_ms) {
    char name[NAME_BYTES];
    write_name(place->ids.node, name);
    struct statement *statement = db_query(db, &set_place);
    db->driver->bind_text(statement, 1, name, strlen(name));
    db->driver->bind_id(statement, 2, holder);
    db->driver->bind_id(statement, 3, (uint64_t)until_ms);
    enum err err = db_run(db, statement);
    if (err == OK)
        place->until_ms = until_ms;
    return err;
}

/* ---- Whether the number is still ours ---- */

static enum err look_again(struct place *place, struct db *db) {
    char name[NAME_BYTES];
    enum err err = OK;
    bool is_ours = false;
    write_name(place->ids.node, name);
    struct statement *statement = db_query(db, &read_place);
    db->driver->bind_text(statement, 1, name, strlen(name));
    for (bool row; rows_next(db, statement, &err, &row);) {
        is_ours = db->driver->column_id(statement, 0) == place->holder;
        place->until_ms = (int64_t)db->driver->column_id(statement, 1);
    }
    place->has_number = err == OK && is_ours;
    return err;
}

/* ---- Taking one ---- */

struct number {
    uint64_t holder;
    int64_t until_ms; /* 0: nobody ever had it */
};

struct choice {
    uint32_t number;
    int64_t until_ms;
    bool found;
};

static enum err read_numbers(struct db *db, struct number numbers[ID_NODE_COUNT]) {
    enum err err = OK;
    struct statement *statement = db_query(db, &read_places);
    for (bool row; rows_next(db, statement, &err, &row);) {
        size_t size = 0;
        uint32_t number;
        const char *name = db->driver->column_bytes(statement, 0, &size);
        if (name && read_name(name, size, &number))
            numbers[number] = (struct number){ db->driver->column_id(statement, 1), (int64_t)db->driver->column_id(statement, 2) };
    }
    return err;
}

static enum err choose(struct db *db, int64_t now_ms, struct choice *ret_choice) {
    struct number numbers[ID_NODE_COUNT] = { { NOBODY, 0 } };
    struct choice choice = { .found = false };
    enum err err = read_numbers(db, numbers);
    for (uint32_t i = 0; err == OK && i < ID_NODE_COUNT; i++) {
        bool is_free = numbers[i].holder == NOBODY || numbers[i].until_ms <= now_ms;
        if (is_free && (!choice.found || numbers[i].until_ms < choice.until_ms))
            choice = (struct choice){ i, numbers[i].until_ms, true };
    }
    *ret_choice = choice;
    return err;
}

static enum err read_largest_id(struct db *db, uint64_t *ret_id) {
    enum err err = OK;
    struct statement *statement = db_query(db, &read_last_id);
    for (bool row; rows_next(db, statement, &err, &row);)
        *ret_id = db->driver->column_id(statement, 0);
    return err;
}

/* The ids that are there count, too: earlier versions made them without a row. So do those this process has made: the database may be an older one now. */
static enum err take_number(struct place *place, struct db *db, int64_t now_ms) {
    struct choice choice;
    uint64_t largest_id = 0;
    enum err err = choose(db, now_ms, &choice);
    if (err == OK && !choice.found)
        err = ERR_OVERLOADED;
    if (err == OK)
        err = read_largest_id(db, &largest_id);
    if (err != OK)
        return err;
    int64_t own_ms = id_generator_time_ms(&place->ids);
    uint64_t floor = id_last_of(choice.until_ms > own_ms ? choice.until_ms : own_ms);
    id_generator_init(&place->ids, choice.number, floor > largest_id ? floor : largest_id);
    place->until_ms = choice.until_ms;
    place->has_number = true;
    return OK;
}

/* The time of the next id. A batch makes fewer ids than the rest of the lease has room for. */
static int64_t time_of_next(const struct place *place, int64_t now_ms) {
    int64_t last_ms = id_generator_time_ms(&place->ids);
    return now_ms > last_ms ? now_ms : last_ms;
}

static enum err prolong(struct place *place, struct db *db, int64_t now_ms) {
    int64_t next_ms = time_of_next(place, now_ms);
    if (place->until_ms - next_ms >= PLACE_PROLONG_MS)
        return OK;
    return write_row(place, db, place->holder, next_ms + PLACE_LEASE_MS);
}

enum err place_take(struct place *place, struct db *db, int64_t now_ms) {
    enum err err = OK;
    if (!place->is_leased)
        return OK;
    if (place->has_number && !place->is_sure)
        err = look_again(place, db);
    if (err == OK && !place->has_number)
        err = take_number(place, db, now_ms);
    if (err == OK)
        err = prolong(place, db, now_ms);
    place->is_sure = err == OK;
    return err;
}

/* ---- Coming and going ---- */

enum err place_open(struct place *place, struct db *db) {
    uint64_t largest_id = 0;
    enum err err = place->is_leased ? OK : read_largest_id(db, &largest_id);
    if (err == OK)
        id_generator_init(&place->ids, 0, largest_id);
    return err;
}

void place_doubt(struct place *place) { place->is_sure = false; }

/* Its ids end where the last one was. */
static enum err give_back(struct store *store) {
    enum err err = look_again(&store->place, store->db);
    if (err == OK && store->place.has_number)
        err = write_row(&store->place, store->db, NOBODY, id_generator_time_ms(&store->place.ids));
    return err;
}

void place_give_back(struct store *store) {
    uint8_t tag[COMMIT_TAG_SIZE];
    if (!store->place.is_leased || !store->place.has_number || !store_healthy(store))
        return;
    random_bytes(tag, sizeof tag);
    head_distrust(store); /* nobody would run it again */
    enum err err = head_begin(store);
    if (err == OK)
        err = give_back(store);
    if (err == OK)
        err = head_write(store, store->last_id, tag);
    if (err == OK)
        err = head_check(store);
    if (err == OK)
        err = store->db->driver->commit(store->db);
    if (err != OK)
        store->db->driver->rollback(store->db);
    store->place.has_number = false;
}
