/* What an array write is worth: rows a second into a table like `event` (its rows, and three indexes), one transaction per batch.
 *
 * usage: PARLEY_DB=... build/db/array_bench [SECONDS]     or: tests/support/mariadb.sh run build/db/array_bench */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/random.h"
#include "db/driver.h"

static const char tables[] =
    "DROP TABLE IF EXISTS log;"
    "CREATE TABLE log(id BIGINT NOT NULL PRIMARY KEY, owner_id BIGINT NOT NULL, is_message BIGINT NOT NULL, actor_id BIGINT NOT NULL,"
    " rev BIGINT NOT NULL, seq BIGINT NOT NULL, created_ms BIGINT NOT NULL, body TEXT, seal BLOB, chain BLOB, random_key BIGINT NOT NULL);"
    "CREATE INDEX log_by_owner ON log(owner_id, is_message, id);"
    "CREATE UNIQUE INDEX log_by_key ON log(actor_id, random_key);";
static const struct query insert_row = {
    "INSERT INTO log(id, owner_id, is_message, actor_id, rev, seq, created_ms, body, seal, chain, random_key)"
    " VALUES(?1,?2,1,?3,?4,?4,?5,?6,?7,?8,?9)"
};

static char body[101];
static uint64_t last_id;

static void bind_row(struct statement *statement, const void *rows, size_t index) {
    const struct db *db = rows;
    uint64_t id = last_id + index + 1;
    db->driver->bind_id(statement, 1, id << 16);
    db->driver->bind_id(statement, 2, id % 64);
    db->driver->bind_id(statement, 3, id % 1000);
    db->driver->bind_id(statement, 4, id / 64);
    db->driver->bind_id(statement, 5, id);
    db->driver->bind_text(statement, 6, body, sizeof body - 1);
    db->driver->bind_blob(statement, 7, body, 16);
    db->driver->bind_blob(statement, 8, body, 16);
    db->driver->bind_id(statement, 9, random_u64() >> 1);
}

static enum err write_array(struct db *db, size_t count) { return db->driver->write_rows(db, &insert_row, db, count, bind_row); }

static enum err write_singly(struct db *db, size_t count) {
    enum err err = OK;
    for (size_t i = 0; err == OK && i < count; i++) {
        struct statement *statement = db_query(db, &insert_row);
        bind_row(statement, db, i);
        err = db_run(db, statement);
    }
    return err;
}

static enum err write_batch(struct db *db, size_t count, enum err (*write)(struct db *db, size_t count)) {
    enum err err = db->driver->begin(db);
    if (err == OK)
        err = write(db, count);
    if (err == OK)
        err = db->driver->commit(db);
    last_id += count;
    return err;
}

static enum err measure(struct db *db, size_t count, enum err (*write)(struct db *db, size_t count), int64_t duration_us) {
    enum err err = db->driver->execute(db, tables);
    int64_t started_us = clock_monotonic_us(), took_us = 0;
    uint64_t rows = 0;
    for (; err == OK && took_us < duration_us; rows += count, took_us = clock_monotonic_us() - started_us)
        err = write_batch(db, count, write);
    if (err == OK)
        printf("%4zu rows a batch, %s: %8.0f rows/s\n", count, write == write_array ? "array " : "singly",
               (double)rows * 1e6 / (double)took_us);
    return err;
}

int main(int argc, char **argv) {
    const size_t counts[] = { 1, 50, 500 };
    int64_t duration_us = (argc > 1 ? strtol(argv[1], NULL, 10) : 5) * INT64_C(1000000);
    const char *url = getenv("PARLEY_DB");
    char problem[512] = "PARLEY_DB is not set";
    struct db *db = NULL;
    memset(body, 'x', sizeof body - 1);
    enum err err = url ? db_open(url, DB_WRITER, &db, problem, sizeof problem) : ERR_CONFIG;
    if (err != OK) {
        fprintf(stderr, "%s\n", problem);
        return 1;
    }
    for (size_t i = 0; err == OK && i < sizeof counts / sizeof *counts; i++) {
        err = measure(db, counts[i], write_array, duration_us);
        if (err == OK)
            err = measure(db, counts[i], write_singly, duration_us);
    }
    if (err != OK)
        fprintf(stderr, "%s: %s\n", err_name(err), db->driver->problem(db));
    db_close(db);
    return err == OK ? 0 : 1;
}
