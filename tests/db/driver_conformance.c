/* What db/driver.h promises, of the driver that PARLEY_DB names (default: SQLite in a folder of its own).
 *
 * For MariaDB, `tests/support/mariadb.sh run build/db/driver_conformance` makes a server; where DIR names its folder, it is also killed and restarted. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "db/driver.h"
#include "tests/db/commit_cutter.h"

#define MANY 10000
#define HANG_MS 30000
#define LONG_TEXT_BYTES (4 * 1024 * 1024)

static const char *url;
static char folder[] = "/tmp/parley-driver.XXXXXX";
static bool is_mariadb;

struct fixture {
    struct db *writer, *reader;
};

static struct db *open_db(const char *place, enum db_mode mode) {
    struct db *db = NULL;
    char problem[512] = "";
    if (db_open(place, mode, &db, problem, sizeof problem) != OK)
        fail_msg("%s", problem);
    return db;
}

static const char sqlite_tables[] = "DROP TABLE IF EXISTS item; DROP TABLE IF EXISTS pair;"
                                    "CREATE TABLE item(id INTEGER PRIMARY KEY, number BIGINT, text TEXT, bytes BLOB, name TEXT UNIQUE);"
                                    "CREATE TABLE pair(a BIGINT NOT NULL, b BIGINT NOT NULL, PRIMARY KEY(a, b)) WITHOUT ROWID;";
static const char mariadb_tables[] =
    "DROP TABLE IF EXISTS item; DROP TABLE IF EXISTS pair;"
    "CREATE TABLE item(id BIGINT NOT NULL PRIMARY KEY, number BIGINT, text LONGTEXT, bytes LONGBLOB, name VARCHAR(255) UNIQUE)"
    " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;"
    "CREATE TABLE pair(a BIGINT NOT NULL, b BIGINT NOT NULL, PRIMARY KEY(a, b)) ENGINE=InnoDB;";

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    *state = fixture;
    fixture->writer = open_db(url, DB_WRITER);
    int failed = fixture->writer->driver->execute(fixture->writer, is_mariadb ? mariadb_tables : sqlite_tables) != OK;
    fixture->reader = open_db(url, DB_READER);
    return failed;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    db_close(fixture->reader);
    db_close(fixture->writer);
    free(fixture);
    return 0;
}

static void skip_unless_mariadb(void) {
    if (!is_mariadb)
        skip();
}

/* ---- Short forms ---- */

static const struct query insert_item = { "INSERT INTO item(id, number, text, bytes, name) VALUES(?1,?2,?3,?4,?5)" };
static const struct query select_item = { "SELECT number, text, bytes, name FROM item WHERE id = ?1" };
static const struct query count_items = { "SELECT count(*) FROM item" };
static const struct query set_number = { "UPDATE item SET number = ?2 WHERE id = ?1" };
static const struct query number_of = { "SELECT number FROM item WHERE id = ?1" };

static enum err try_number(struct db *db, const struct query *query, uint64_t argument, uint64_t *ret_number) {
    struct statement *statement = db_query(db, query);
    bool row = false;
    if (argument)
        db->driver->bind_id(statement, 1, argument);
    enum err err = db->driver->step(statement, &row);
    if (err == OK)
        *ret_number = row ? db->driver->column_id(statement, 0) : 0;
    db->driver->finish(statement);
    return err;
}

static uint64_t number(struct db *db, const struct query *query, uint64_t argument) {
    uint64_t found = 0;
    assert_int_equal(try_number(db, query, argument, &found), OK);
    return found;
}

static enum err try_insert(struct db *db, uint64_t id, const char *name) {
    struct statement *statement = db_query(db, &insert_item);
    db->driver->bind_id(statement, 1, id);
    db->driver->bind_id(statement, 2, 0);
    db->driver->bind_text(statement, 3, NULL, 0);
    db->driver->bind_blob(statement, 4, NULL, 0);
    db->driver->bind_text(statement, 5, name, name ? strlen(name) : 0);
    return db_run(db, statement);
}

static void insert(struct db *db, uint64_t id, const char *name) { assert_int_equal(try_insert(db, id, name), OK); }

static enum err try_set(struct db *db, uint64_t id, uint64_t value) {
    struct statement *statement = db_query(db, &set_number);
    db->driver->bind_id(statement, 1, id);
    db->driver->bind_id(statement, 2, value);
    return db_run(db, statement);
}

static void begin(struct db *db) { assert_int_equal(db->driver->begin(db), OK); }
static void commit(struct db *db) { assert_int_equal(db->driver->commit(db), OK); }

static bool next(struct db *db, struct statement *statement) {
    bool row = false;
    assert_int_equal(db->driver->step(statement, &row), OK);
    return row;
}

static void assert_bytes(struct db *db, struct statement *row, int column, const void *bytes, size_t size) {
    size_t found_size = 1;
    const void *found = db->driver->column_bytes(row, column, &found_size);
    assert_false(db->driver->is_null(row, column));
    assert_int_equal(found_size, size);
    if (size)
        assert_memory_equal(found, bytes, size);
}

/* ---- Values ---- */

struct content {
    uint64_t number;
    const char *text;
    size_t text_size;
    const void *bytes;
    size_t bytes_size;
};

static void store_content(struct db *db, uint64_t id, const struct content *content) {
    struct statement *statement = db_query(db, &insert_item);
    db->driver->bind_id(statement, 1, id);
    db->driver->bind_id(statement, 2, content->number);
    db->driver->bind_text(statement, 3, content->text, content->text_size);
    db->driver->bind_blob(statement, 4, content->bytes, content->bytes_size);
    db->driver->bind_text(statement, 5, NULL, 0);
    assert_int_equal(db_run(db, statement), OK);
}

static void check_content(struct db *db, uint64_t id, const struct content *content) {
    struct statement *statement = db_query(db, &select_item);
    db->driver->bind_id(statement, 1, id);
    assert_true(next(db, statement));
    assert_true(db->driver->column_id(statement, 0) == content->number);
    assert_bytes(db, statement, 1, content->text, content->text_size);
    assert_bytes(db, statement, 2, content->bytes, content->bytes_size);
    assert_true(db->driver->is_null(statement, 3));
    assert_false(next(db, statement));
    db->driver->finish(statement);
}

static void values_of_every_type_come_back(void **state) {
    struct fixture *fixture = *state;
    const char bytes[] = "\0\xff\x80'\"\\?\0";
    const char text[] = "caf\u00e9 \u4f60\u597d \U0001F600\U0001F468\u200d\U0001F469 'quoted' \"twice\" back\\slash ?1 {ids}";
    const struct content contents[] = {
        { 0, "", 0, "", 0 },
        { 1, text, sizeof text - 1, bytes, sizeof bytes },
        { INT64_MAX, "a", 1, "a", 1 },
        { UINT64_MAX, " trailing ", 10, " ", 1 },
        { (uint64_t)INT64_MIN, "%", 1, "\0", 1 },
        { UINT64_C(0x8000000000000001), "\x01\x7f", 2, "\n", 1 },
    };
    for (size_t i = 0; i < COUNT_OF(contents); i++)
        store_content(fixture->writer, i + 1, &contents[i]);
    for (size_t i = 0; i < COUNT_OF(contents); i++)
        check_content(fixture->reader, i + 1, &contents[i]);
}

static void null_is_not_empty(void **state) {
    struct fixture *fixture = *state;
    struct db *db = fixture->writer;
    insert(db, 1, NULL);
    struct statement *statement = db_query(db, &select_item);
    db->driver->bind_id(statement, 1, 1);
    assert_true(next(db, statement));
    for (int column = 1; column < 4; column++) {
        size_t size = 1;
        assert_true(db->driver->is_null(statement, column));
        assert_null(db->driver->column_bytes(statement, column, &size));
        assert_int_equal(size, 0);
        assert_int_equal(db->driver->column_id(statement, column), 0);
    }
    assert_false(db->driver->is_null(statement, 0));
    db->driver->finish(statement);
}

static void long_texts_come_back_between_short_ones(void **state) {
    struct fixture *fixture = *state;
    char *text = malloc(LONG_TEXT_BYTES);
    for (size_t i = 0; i < LONG_TEXT_BYTES; i++)
        text[i] = (char)('a' + i % 23);
    const struct content small = { 1, "short", 5, "b", 1 }, large = { 2, text, LONG_TEXT_BYTES, text, 300000 };
    for (uint64_t id = 1; id <= 5; id++)
        store_content(fixture->writer, id, id % 2 ? &small : &large);
    for (int round = 0; round < 2; round++)
        for (uint64_t id = 1; id <= 5; id++)
            check_content(fixture->reader, id, id % 2 ? &small : &large);

    static const struct query select_texts = { "SELECT text, bytes FROM item ORDER BY id" };
    struct statement *statement = db_query(fixture->reader, &select_texts);
    for (uint64_t id = 1; id <= 5; id++) {
        assert_true(next(fixture->reader, statement));
        const struct content *content = id % 2 ? &small : &large;
        assert_bytes(fixture->reader, statement, 0, content->text, content->text_size);
        assert_bytes(fixture->reader, statement, 1, content->bytes, content->bytes_size);
    }
    assert_false(next(fixture->reader, statement));
    fixture->reader->driver->finish(statement);
    free(text);
}

static void texts_are_compared_byte_by_byte(void **state) {
    struct fixture *fixture = *state;
    static const struct query by_name = { "SELECT id FROM item WHERE name = ?1" };
    static const struct query in_order = { "SELECT name FROM item ORDER BY name" };
    const char *const names[] = { "A", "a", "a ", "b", "\u00e4", "\u00c4", "\U0001F600", "\U0001F601" };
    const char *const ordered[] = { "A", "a", "a ", "b", "\u00c4", "\u00e4", "\U0001F600", "\U0001F601" };
    struct db *db = fixture->writer;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        insert(db, i + 1, names[i]);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct statement *statement = db_query(db, &by_name);
        db->driver->bind_text(statement, 1, names[i], strlen(names[i]));
        assert_true(next(db, statement));
        assert_int_equal(db->driver->column_id(statement, 0), i + 1);
        assert_false(next(db, statement));
        db->driver->finish(statement);
    }
    struct statement *statement = db_query(db, &in_order);
    for (size_t i = 0; i < COUNT_OF(ordered); i++) {
        assert_true(next(db, statement));
        assert_bytes(db, statement, 0, ordered[i], strlen(ordered[i]));
    }
    db->driver->finish(statement);
}

static void numbers_of_expressions_are_exact(void **state) {
    struct fixture *fixture = *state;
    static const struct query totals = {
        "SELECT count(*), sum(id), max(id), coalesce(min(number), 7), CASE WHEN max(id) > 1 THEN ?1 ELSE 0 END FROM item"
    };
    struct db *db = fixture->writer;
    insert(db, (UINT64_C(1) << 62) + 1, "first");
    insert(db, (UINT64_C(1) << 61) + 1, "second");
    struct statement *statement = db_query(db, &totals);
    db->driver->bind_id(statement, 1, INT64_MAX);
    assert_true(next(db, statement));
    assert_int_equal(db->driver->column_id(statement, 0), 2);
    assert_true(db->driver->column_id(statement, 1) == (UINT64_C(1) << 62) + (UINT64_C(1) << 61) + 2);
    assert_true(db->driver->column_id(statement, 2) == (UINT64_C(1) << 62) + 1);
    assert_int_equal(db->driver->column_id(statement, 3), 0);
    assert_true(db->driver->column_id(statement, 4) == INT64_MAX);
    db->driver->finish(statement);
}

/* ---- Parameters and placeholders ---- */

static void parameters_are_numbered(void **state) {
    struct fixture *fixture = *state;
    static const struct query reversed = { "SELECT ?12, ?2, ?1, ?2, '?3', ?10" };
    struct db *db = fixture->reader;
    for (uint64_t round = 0; round < 3; round++) {
        struct statement *statement = db_query(db, &reversed);
        for (int i = 1; i <= 12; i++)
            db->driver->bind_id(statement, i, round * 100 + (uint64_t)i);
        assert_true(next(db, statement));
        const uint64_t expected[] = { 12, 2, 1, 2 };
        for (int column = 0; column < 4; column++)
            assert_int_equal(db->driver->column_id(statement, column), round * 100 + expected[column]);
        assert_bytes(db, statement, 4, "?3", 2);
        assert_int_equal(db->driver->column_id(statement, 5), round * 100 + 10);
        db->driver->finish(statement);
    }
}

static void a_parameter_may_be_of_another_type_each_time(void **state) {
    struct fixture *fixture = *state;
    static const struct query echo = { "SELECT ?1" };
    struct db *db = fixture->reader;
    for (int round = 0; round < 2; round++) {
        assert_true(number(db, &echo, 7) == 7);
        struct statement *statement = db_query(db, &echo);
        db->driver->bind_text(statement, 1, "seven", 5);
        assert_true(next(db, statement));
        assert_bytes(db, statement, 0, "seven", 5);
        statement = db_query(db, &echo);
        db->driver->bind_blob(statement, 1, NULL, 0);
        assert_true(next(db, statement));
        assert_true(db->driver->is_null(statement, 0));
        db->driver->finish(statement);
    }
}

static void bind_json(struct db *db, struct statement *statement, struct buf *json) {
    buf_char(json, ']');
    db->driver->bind_text(statement, 1, json->bytes, json->size);
}

/* Runs a query that counts what is found and sums it up. */
static void assert_found(struct db *db, const struct query *query, struct buf *json, uint64_t count, uint64_t sum) {
    struct statement *statement = db_query(db, query);
    bind_json(db, statement, json);
    assert_true(next(db, statement));
    assert_int_equal(db->driver->column_id(statement, 0), count);
    assert_int_equal(db->driver->column_id(statement, 1), sum);
    db->driver->finish(statement);
    buf_release(json);
}

static void bind_many(struct statement *statement, const void *rows, size_t index) {
    const struct db *db = rows;
    static char names[MANY][16];
    snprintf(names[index], sizeof names[index], "name %zu", index + 1);
    db->driver->bind_id(statement, 1, index + 1);
    if (index % 3)
        db->driver->bind_id(statement, 2, index);
    else
        db->driver->bind_text(statement, 2, NULL, 0);
    db->driver->bind_text(statement, 3, index % 5 == 0 ? names[index] : NULL, strlen(names[index]));
    db->driver->bind_blob(statement, 4, index % 2 ? names[index] : NULL, index % 7);
    db->driver->bind_text(statement, 5, names[index], strlen(names[index]));
}

static void insert_many(struct db *db, size_t count) {
    begin(db);
    assert_int_equal(db->driver->write_rows(db, &insert_item, db, count, bind_many), OK);
    commit(db);
}

static void ids_are_a_table(void **state) {
    struct fixture *fixture = *state;
    static const struct query found = { "SELECT count(*), coalesce(sum(t.id), 0) FROM {ids} i {straight} item t ON t.id = i.id" };
    static const struct query echo = { "SELECT count(*), sum(i.id) FROM {ids} i" };
    insert_many(fixture->writer, MANY);
    const size_t sizes[] = { 0, 1, MANY, 3 };
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct buf json = BUF_INIT;
        buf_char(&json, '[');
        for (uint64_t id = sizes[i]; id > 0; id--)
            buf_printf(&json, "%s%llu", id == sizes[i] ? "" : ",", (unsigned long long)id);
        assert_found(fixture->reader, &found, &json, sizes[i], sizes[i] * (sizes[i] + 1) / 2);
    }
    struct buf extremes = BUF_INIT;
    buf_string(&extremes, "[9223372036854775807,-9223372036854775808,1");
    assert_found(fixture->reader, &echo, &extremes, 3, 0);
}

static void pairs_are_a_table(void **state) {
    struct fixture *fixture = *state;
    static const struct query insert_pair = { "INSERT INTO pair(a, b) SELECT id, id + 5 FROM item" };
    static const struct query found = {
        "SELECT count(*), coalesce(sum(t.b), 0) FROM {pairs} p {straight} pair t ON t.a = p.a AND t.b = p.b {straight} item i ON i.id = p.a"
    };
    insert_many(fixture->writer, MANY);
    assert_int_equal(db_run(fixture->writer, db_query(fixture->writer, &insert_pair)), OK);
    const size_t sizes[] = { 0, 1, MANY };
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct buf json = BUF_INIT;
        buf_char(&json, '[');
        for (size_t a = 1; a <= sizes[i]; a++)
            buf_printf(&json, "%s[%zu,%zu]", a == 1 ? "" : ",", a, a + 5);
        if (sizes[i])
            buf_string(&json, ",[1,5]"); /* there is no such pair */
        assert_found(fixture->reader, &found, &json, sizes[i], sizes[i] * (sizes[i] + 1) / 2 + 5 * sizes[i]);
    }
}

static void names_are_a_table(void **state) {
    struct fixture *fixture = *state;
    static const struct query found = { "SELECT count(*), coalesce(sum(t.id), 0) FROM {names} n {straight} item t ON t.name = n.id" };
    static const struct query few = { "SELECT count(*), sum(t.id) FROM {names} n {straight} item t ON t.name = n.id WHERE t.id > 20000" };
    insert_many(fixture->writer, MANY);
    const size_t sizes[] = { 0, 1, MANY };
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct buf json = BUF_INIT;
        buf_char(&json, '[');
        for (size_t id = 1; id <= sizes[i]; id++)
            buf_printf(&json, "%s\"name %zu\"", id == 1 ? "" : ",", id);
        assert_found(fixture->reader, &found, &json, sizes[i], sizes[i] * (sizes[i] + 1) / 2);
    }
    insert(fixture->writer, 20001, "\U0001F600 \"quoted\" back\\slash");
    insert(fixture->writer, 20002, "Case");
    struct buf json = BUF_INIT;
    buf_string(&json, "[\"\\ud83d\\ude00 \\\"quoted\\\" back\\\\slash\",\"case\",\"Case \"");
    assert_found(fixture->reader, &few, &json, 1, 20001);
}

/* ---- Statements ---- */

static void a_statement_can_be_left_early_and_run_again(void **state) {
    struct fixture *fixture = *state;
    static const struct query all = { "SELECT id FROM item ORDER BY id" };
    struct db *db = fixture->reader;
    insert_many(fixture->writer, 100);
    for (int round = 0; round < 3; round++) {
        struct statement *statement = db_query(db, &all);
        assert_true(next(db, statement));
        assert_true(next(db, statement));
        assert_int_equal(db->driver->column_id(statement, 0), 2);
        if (round)
            db->driver->finish(statement);
    }
    struct statement *statement = db_query(db, &all);
    size_t count = 0;
    while (next(db, statement))
        count++;
    assert_int_equal(count, 100);
    db->driver->finish(statement);
    db->driver->finish(NULL);
}

static void statements_can_be_open_beside_each_other(void **state) {
    struct fixture *fixture = *state;
    static const struct query all = { "SELECT id FROM item ORDER BY id" };
    struct db *db = fixture->reader;
    insert_many(fixture->writer, 50);
    struct statement *statement = db_query(db, &all);
    for (uint64_t id = 1; id <= 50; id++) {
        assert_true(next(db, statement));
        assert_int_equal(db->driver->column_id(statement, 0), id);
        assert_int_equal(number(db, &number_of, id), (id - 1) % 3 ? id - 1 : 0);
    }
    assert_false(next(db, statement));
    db->driver->finish(statement);
}

static void a_deletion_can_return_what_it_took(void **state) {
    struct fixture *fixture = *state;
    static const struct query take = { "DELETE FROM item WHERE id <= ?1 RETURNING id" };
    struct db *db = fixture->writer;
    insert_many(db, 20);
    begin(db);
    struct statement *statement = db_query(db, &take);
    db->driver->bind_id(statement, 1, 12);
    size_t count = 0;
    while (next(db, statement))
        count++;
    db->driver->finish(statement);
    commit(db);
    assert_int_equal(count, 12);
    assert_int_equal(number(fixture->reader, &count_items, 0), 8);
}

static void errors_are_told_apart(void **state) {
    struct fixture *fixture = *state;
    static const struct query wrong = { "SELEC 1" };
    static const struct query nowhere = { "SELECT 1 FROM nowhere" };
    static const struct query no_column = { "SELECT nothing FROM item" };
    static const struct query nothing = { "INSERT INTO pair(a, b) VALUES(?1, NULL)" };
    struct db *db = fixture->writer;
    uint64_t ignored;
    insert(db, 1, "one");
    assert_int_equal(try_insert(db, 1, "other"), ERR_CONFLICT);
    assert_int_equal(try_insert(db, 2, "one"), ERR_CONFLICT);
    assert_int_equal(try_number(db, &nothing, 1, &ignored), ERR_CONFLICT);
    if (is_mariadb) { /* SQLite prepares at once, and has no statement to tell the error by */
        assert_int_equal(try_number(db, &wrong, 0, &ignored), ERR_INTERNAL);
        assert_int_equal(try_number(db, &nowhere, 0, &ignored), ERR_INTERNAL);
        assert_int_equal(try_number(db, &no_column, 0, &ignored), ERR_INTERNAL);
    }
    assert_int_equal(db->driver->execute(db, "SELEC 1"), ERR_INTERNAL);
    assert_int_equal(db->driver->execute(db, "UPDATE item SET number = 1; SELEC 1"), ERR_INTERNAL);
    assert_true(strlen(db->driver->problem(db)) > 0);
    insert(db, 2, "two");
    assert_int_equal(number(db, &count_items, 0), 2);
}

static void a_reader_cannot_write(void **state) {
    struct fixture *fixture = *state;
    assert_int_not_equal(try_insert(fixture->reader, 1, "one"), OK);
    begin(fixture->reader);
    assert_int_not_equal(try_insert(fixture->reader, 1, "one"), OK);
    fixture->reader->driver->rollback(fixture->reader);
    assert_int_equal(number(fixture->reader, &count_items, 0), 0);
}

/* ---- Array writes ---- */

static void check_many(struct db *db, uint64_t id) {
    size_t index = (size_t)id - 1;
    char name[16];
    snprintf(name, sizeof name, "name %zu", (size_t)id);
    struct statement *statement = db_query(db, &select_item);
    db->driver->bind_id(statement, 1, id);
    assert_true(next(db, statement));
    assert_true(db->driver->is_null(statement, 0) == (index % 3 == 0));
    assert_true(db->driver->is_null(statement, 1) == (index % 5 != 0));
    assert_true(db->driver->is_null(statement, 2) == (index % 2 == 0));
    if (index % 3)
        assert_int_equal(db->driver->column_id(statement, 0), index);
    if (index % 5 == 0)
        assert_bytes(db, statement, 1, name, strlen(name));
    if (index % 2)
        assert_bytes(db, statement, 2, name, index % 7);
    assert_bytes(db, statement, 3, name, strlen(name));
    db->driver->finish(statement);
}

static void an_array_write_writes_every_row(void **state) {
    struct fixture *fixture = *state;
    const size_t counts[] = { 0, 1, 2, MANY };
    static const struct query empty = { "DELETE FROM item" };
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        assert_int_equal(db_run(fixture->writer, db_query(fixture->writer, &empty)), OK);
        insert_many(fixture->writer, counts[i]);
        assert_int_equal(number(fixture->reader, &count_items, 0), counts[i]);
        for (uint64_t id = 1; id <= counts[i] && id <= 70; id++)
            check_many(fixture->reader, id);
        if (counts[i] == MANY)
            check_many(fixture->reader, MANY);
    }
}

/* A parameter used twice, another within a function, and no values at all in a column. */
static void bind_update(struct statement *statement, const void *rows, size_t index) {
    const struct db *db = rows;
    db->driver->bind_id(statement, 1, index + 1);
    db->driver->bind_id(statement, 2, index % 2 ? 0 : 5);
}

static void an_array_write_updates_and_deletes(void **state) {
    struct fixture *fixture = *state;
    static const struct query update = { "UPDATE item SET number = nullif(?2, 0), text = ?3 WHERE id = ?1 AND ?1 > 0" };
    static const struct query drop = { "DELETE FROM item WHERE id = ?1 AND ?2 >= 0" };
    static const struct query fives = { "SELECT count(*) FROM item WHERE number = 5 AND text IS NULL" };
    static const struct query nulls = { "SELECT count(*) FROM item WHERE number IS NULL" };
    struct db *db = fixture->writer;
    insert_many(db, 1000);
    begin(db);
    assert_int_equal(db->driver->write_rows(db, &update, db, 1000, bind_update), OK);
    assert_int_equal(number(db, &fives, 0), 500);
    assert_int_equal(number(db, &nulls, 0), 500);
    assert_int_equal(db->driver->write_rows(db, &drop, db, 400, bind_update), OK);
    commit(db);
    assert_int_equal(number(fixture->reader, &count_items, 0), 600);
    assert_int_equal(try_set(db, 1000, 77), OK); /* the same connection goes on one by one */
    assert_int_equal(number(db, &number_of, 1000), 77);
}

static char *long_row;

static void bind_long(struct statement *statement, const void *rows, size_t index) {
    const struct db *db = rows;
    db->driver->bind_id(statement, 1, index + 1);
    db->driver->bind_text(statement, 3, long_row, index == 2 ? LONG_TEXT_BYTES : LONG_TEXT_BYTES / 4);
}

/* More than one packet may hold, so several are sent. */
static void an_array_write_may_be_large(void **state) {
    struct fixture *fixture = *state;
    static const struct query bytes = { "SELECT sum(length(text)) FROM item" };
    struct db *db = fixture->writer;
    long_row = malloc(LONG_TEXT_BYTES);
    memset(long_row, 'x', LONG_TEXT_BYTES);
    begin(db);
    assert_int_equal(db->driver->write_rows(db, &insert_item, db, 21, bind_long), OK);
    commit(db);
    assert_int_equal(number(db, &bytes, 0), 6 * (uint64_t)LONG_TEXT_BYTES);
    free(long_row);
}

static void bind_same(struct statement *statement, const void *rows, size_t index) {
    const struct db *db = rows;
    db->driver->bind_id(statement, 1, index == 7 ? 3 : index + 1);
}

static void an_array_write_fails_as_a_whole(void **state) {
    struct fixture *fixture = *state;
    struct db *db = fixture->writer;
    begin(db);
    assert_int_equal(db->driver->write_rows(db, &insert_item, db, 10, bind_same), ERR_CONFLICT);
    db->driver->rollback(db);
    assert_int_equal(number(db, &count_items, 0), 0);
    insert_many(db, 10);
    assert_int_equal(number(db, &count_items, 0), 10);
}

static const struct query round_trips = {
    "SELECT CAST(variable_value AS UNSIGNED) FROM information_schema.session_status WHERE variable_name = 'QUESTIONS'"
};

static void an_array_write_is_one_round_trip(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer;
    begin(db);
    assert_int_equal(db->driver->write_rows(db, &insert_item, db, 0, bind_many), OK);
    insert(db, MANY + 1, "prepared");
    uint64_t before = number(db, &round_trips, 0);
    assert_int_equal(number(db, &round_trips, 0) - before, 1);
    assert_int_equal(db->driver->write_rows(db, &insert_item, db, MANY, bind_many), OK);
    assert_int_equal(number(db, &round_trips, 0) - before, 3);
    commit(db);
}

/* ---- Transactions ---- */

static void what_is_rolled_back_was_never_there(void **state) {
    struct fixture *fixture = *state;
    struct db *db = fixture->writer;
    begin(db);
    insert(db, 1, "one");
    assert_int_equal(number(db, &count_items, 0), 1);
    assert_int_equal(number(fixture->reader, &count_items, 0), 0);
    db->driver->rollback(db);
    db->driver->rollback(db);
    assert_int_equal(number(db, &count_items, 0), 0);
    begin(db);
    insert(db, 1, "one");
    commit(db);
    db->driver->rollback(db);
    assert_int_equal(number(fixture->reader, &count_items, 0), 1);
}

static void an_error_does_not_end_the_transaction_by_itself(void **state) {
    struct fixture *fixture = *state;
    struct db *db = fixture->writer;
    begin(db);
    insert(db, 1, "one");
    assert_int_equal(try_insert(db, 1, "one"), ERR_CONFLICT);
    assert_int_equal(number(db, &count_items, 0), 1);
    db->driver->rollback(db);
    assert_int_equal(number(db, &count_items, 0), 0);
}

static void a_reader_sees_one_snapshot(void **state) {
    struct fixture *fixture = *state;
    insert(fixture->writer, 1, "one");
    begin(fixture->reader);
    assert_int_equal(number(fixture->reader, &count_items, 0), 1);
    insert(fixture->writer, 2, "two");
    assert_int_equal(try_set(fixture->writer, 1, 9), OK);
    assert_int_equal(number(fixture->reader, &count_items, 0), 1);
    assert_int_equal(number(fixture->reader, &number_of, 1), 0);
    fixture->reader->driver->rollback(fixture->reader);
    assert_int_equal(number(fixture->reader, &count_items, 0), 2);
    begin(fixture->reader);
    assert_int_equal(number(fixture->reader, &number_of, 1), 9);
    commit(fixture->reader);
}

struct late_set {
    struct db *db;
    uint64_t id;
    enum err err;
    pthread_t thread;
};

/* For `id` seconds. */
static void *sleep_in_thread(void *context) {
    static const struct query sleep_long = { "SELECT sleep(?1)" };
    struct late_set *late = context;
    uint64_t ignored;
    late->err = try_number(late->db, &sleep_long, late->id, &ignored);
    return NULL;
}

static void a_second_writer_is_turned_away(void **state) {
    struct fixture *fixture = *state;
    struct db *second = open_db(url, DB_WRITER);
    insert(fixture->writer, 1, "one");
    begin(fixture->writer);
    assert_int_equal(try_set(fixture->writer, 1, 1), OK);
    struct late_set first = { .db = fixture->writer, .id = 4 };
    if (is_mariadb) /* idle, it would lose its transaction */
        pthread_create(&first.thread, NULL, sleep_in_thread, &first);
    int64_t started_ms = clock_monotonic_us() / 1000;
    enum err err = second->driver->begin(second);
    if (err == OK)
        err = try_set(second, 1, 2);
    assert_int_equal(err, is_mariadb ? ERR_DATABASE_BUSY : ERR_DATABASE_UNAVAILABLE);
    assert_true(clock_monotonic_us() / 1000 - started_ms < HANG_MS);
    second->driver->rollback(second);
    if (is_mariadb)
        pthread_join(first.thread, NULL);
    commit(fixture->writer);
    assert_int_equal(second->driver->begin(second), OK);
    assert_int_equal(number(second, &number_of, 1), 1);
    assert_int_equal(try_set(second, 1, 2), OK);
    commit(second);
    db_close(second);
    assert_int_equal(number(fixture->reader, &number_of, 1), 2);
}

/* ---- What only a server does ---- */

static const struct query count_setting = { "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE item SET%'" };
static const struct query count_sleeping = { "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'SELECT sleep(%'" };
static const struct query count_committing = { "SELECT count(*) FROM information_schema.processlist WHERE info = 'COMMIT'" };

static void wait_for_number(struct db *db, const struct query *query, uint64_t argument, uint64_t expected) {
    uint64_t found = number(db, query, argument);
    for (int64_t end_ms = clock_monotonic_ms() + HANG_MS; found != expected && clock_monotonic_ms() < end_ms;) {
        clock_sleep_ms(1);
        found = number(db, query, argument);
    }
    assert_int_equal(found, expected);
}

static void *set_in_thread(void *context) {
    struct late_set *late = context;
    late->err = try_set(late->db, late->id, 1);
    return NULL;
}

static void of_two_that_wait_for_each_other_one_is_told(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *first = fixture->writer, *second = open_db(url, DB_WRITER);
    insert(first, 1, "one");
    insert(first, 2, "two");
    begin(first);
    begin(second);
    assert_int_equal(try_set(first, 1, 1), OK);
    assert_int_equal(try_set(second, 2, 2), OK);
    struct late_set late = { .db = first, .id = 2 };
    pthread_create(&late.thread, NULL, set_in_thread, &late);
    wait_for_number(fixture->reader, &count_setting, 0, 1);
    enum err err = try_set(second, 1, 2);
    pthread_join(late.thread, NULL);
    assert_true((err == ERR_DATABASE_BUSY) != (late.err == ERR_DATABASE_BUSY));

    struct db *loser = err == OK ? first : second;
    assert_int_equal(try_insert(loser, 3, "three"), ERR_DATABASE_BUSY); /* it would be outside of any transaction */
    assert_int_equal(loser->driver->commit(loser), ERR_DATABASE_BUSY);
    loser->driver->rollback(loser);
    commit(err == OK ? second : first);
    begin(loser);
    insert(loser, 3, "three");
    commit(loser);
    db_close(second);
    assert_int_equal(number(fixture->reader, &count_items, 0), 3);
}

static void a_writer_that_freezes_loses_its_transaction(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *second = open_db(url, DB_WRITER);
    insert(fixture->writer, 1, "one");
    begin(fixture->writer);
    assert_int_equal(try_set(fixture->writer, 1, 1), OK);
    clock_sleep_ms(2500);
    assert_int_equal(try_set(second, 1, 2), OK);
    assert_int_equal(try_set(fixture->writer, 1, 3), ERR_DATABASE_UNAVAILABLE);
    assert_int_equal(fixture->writer->driver->commit(fixture->writer), ERR_DATABASE_UNAVAILABLE);
    fixture->writer->driver->rollback(fixture->writer);
    assert_int_equal(number(fixture->writer, &number_of, 1), 2);
    db_close(second);
}

static const struct query connection_id = { "SELECT connection_id()" };
static const struct query count_connections = { "SELECT count(*) FROM information_schema.processlist WHERE id = ?1" };

static void begin_killing(struct db *killer, uint64_t id) {
    char sql[64];
    snprintf(sql, sizeof sql, "KILL %llu", (unsigned long long)id);
    assert_int_equal(killer->driver->execute(killer, sql), OK);
}

/* And the wait for its end. */
static void kill_connection(struct db *killer, uint64_t id) {
    begin_killing(killer, id);
    wait_for_number(killer, &count_connections, id, 0);
}

static void an_idle_connection_that_was_killed_is_opened_again(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *killer = open_db(url, DB_WRITER);
    insert(fixture->writer, 1, "one");
    uint64_t writer_id = number(fixture->writer, &connection_id, 0), reader_id = number(fixture->reader, &connection_id, 0);
    kill_connection(killer, writer_id);
    kill_connection(killer, reader_id);
    assert_int_equal(number(fixture->reader, &count_items, 0), 1);
    begin(fixture->writer);
    insert(fixture->writer, 2, "two");
    commit(fixture->writer);
    assert_int_equal(number(fixture->reader, &count_items, 0), 2);
    assert_int_not_equal(number(fixture->writer, &connection_id, 0), writer_id);
    kill_connection(killer, number(fixture->reader, &connection_id, 0));
    begin(fixture->reader);
    assert_int_equal(number(fixture->reader, &count_items, 0), 2);
    fixture->reader->driver->rollback(fixture->reader);
    db_close(killer);
}

static enum err try_begin_by_set(struct db *db, uint64_t id, uint64_t value, bool *ret_changed) {
    struct statement *statement = db_query(db, &set_number);
    db->driver->bind_id(statement, 1, id);
    db->driver->bind_id(statement, 2, value);
    return db->driver->begin_by(statement, ret_changed);
}

static void begin_by_set(struct db *db, uint64_t id, uint64_t value, bool changes) {
    bool changed = !changes;
    assert_int_equal(try_begin_by_set(db, id, value, &changed), OK);
    assert_int_equal(changed, changes);
}

static void a_transaction_may_begin_by_its_first_statement(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer;
    bool changed;
    insert(db, 1, "one");
    begin_by_set(db, 1, 5, true);
    assert_int_equal(try_begin_by_set(db, 1, 6, &changed), ERR_INTERNAL);
    assert_int_equal(number(fixture->reader, &number_of, 1), 0);
    commit(db);
    assert_int_equal(number(fixture->reader, &number_of, 1), 5);
    begin_by_set(db, 2, 6, false);
    assert_int_equal(try_set(db, 1, 6), OK);
    db->driver->rollback(db);
    assert_int_equal(number(fixture->reader, &number_of, 1), 5);
    insert(db, 2, "two"); /* outside of transactions statements still stand for themselves */
    assert_int_equal(number(fixture->reader, &count_items, 0), 2);
    begin(db);
    insert(db, 3, "three");
    db->driver->rollback(db);
    assert_int_equal(number(fixture->reader, &count_items, 0), 2);
}

/* ---- Deferred ---- */

static void bind_number(struct statement *statement, const void *rows, size_t index) {
    const struct db *db = rows;
    db->driver->bind_id(statement, 1, index + 1);
    db->driver->bind_id(statement, 2, 7);
}

static void bind_later_number(struct statement *statement, const void *rows, size_t index) { bind_number(statement, rows, index + 50); }

static void begin_deferred(struct db *db) {
    bool changed;
    if (is_mariadb)
        assert_int_equal(try_begin_by_set(db, MANY + 1, 0, &changed), OK);
    else
        begin(db);
    db->defers = true;
}

static void end_deferred(struct db *db) {
    db->defers = false;
    db->driver->rollback(db);
}

static void what_is_deferred_is_kept_and_read_in_order(void **state) {
    struct fixture *fixture = *state;
    struct db *db = fixture->writer;
    begin_deferred(db);
    insert(db, 1, "one");
    assert_int_equal(try_set(db, 1, 4), OK);
    assert_int_equal(number(db, &number_of, 1), 4);
    assert_int_equal(try_set(db, 1, 5), OK);
    insert(db, 2, "two");
    commit(db);
    db->defers = false;
    assert_int_equal(number(fixture->reader, &number_of, 1), 5);
    assert_int_equal(number(fixture->reader, &count_items, 0), 2);
}

/* More than a socket holds, of which nothing is read while the first array is written. */
static void much_may_be_deferred(void **state) {
    struct fixture *fixture = *state;
    struct db *db = fixture->writer;
    begin_deferred(db);
    assert_int_equal(db->driver->write_rows(db, &insert_item, db, MANY, bind_many), OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(db->driver->write_rows(db, &set_number, db, MANY, bind_number), OK);
        for (uint64_t id = 1; id < 1000; id++)
            assert_int_equal(try_set(db, id, id + 1), OK);
    }
    commit(db);
    db->defers = false;
    assert_int_equal(number(fixture->reader, &number_of, 1), 2);
    assert_int_equal(number(fixture->reader, &number_of, MANY), 7);
}

/* By the commit at the latest, whatever followed it. */
static void a_deferred_error_is_told_and_stays(void **state) {
    struct fixture *fixture = *state;
    struct db *db = fixture->writer;
    insert(db, 1, "one");
    begin_deferred(db);
    enum err err = try_insert(db, 1, "other");
    for (uint64_t id = 2; err == OK && id < 5; id++)
        err = try_set(db, 1, id);
    if (err == OK)
        err = db->driver->commit(db);
    assert_int_equal(err, ERR_CONFLICT);
    end_deferred(db);
    assert_int_equal(number(fixture->reader, &number_of, 1), 0);
    begin(db);
    assert_int_equal(try_insert(db, 1, "other"), ERR_CONFLICT); /* at once again */
    db->driver->rollback(db);
}

static void a_deferred_array_fails_as_a_whole(void **state) {
    struct fixture *fixture = *state;
    struct db *db = fixture->writer;
    begin_deferred(db);
    enum err err = db->driver->write_rows(db, &insert_item, db, 10, bind_same);
    if (err == OK)
        err = try_set(db, 1, 7);
    uint64_t found;
    if (err == OK)
        err = try_number(db, &number_of, 1, &found);
    assert_int_equal(err, ERR_CONFLICT);
    if (is_mariadb) /* who goes on in spite of it keeps nothing */
        assert_int_equal(db->driver->commit(db), ERR_CONFLICT);
    end_deferred(db);
    insert(db, 1, "one");
    assert_int_equal(number(fixture->reader, &count_items, 0), 1);
}

static void what_is_deferred_says_what_it_changed(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer;
    bool row, changed;
    begin_deferred(db);
    insert(db, 1, "one");
    for (uint64_t id = 1; id < 3; id++) {
        struct statement *statement = db_query(db, &set_number);
        db->driver->bind_id(statement, 1, id);
        db->driver->bind_id(statement, 2, 9);
        assert_int_equal(db->driver->step(statement, &row), OK);
        assert_int_equal(db->driver->has_changed(db, &changed), OK);
        assert_int_equal(changed, id == 1);
        db->driver->finish(statement);
    }
    commit(db);
    db->defers = false;
}

/* A server that ended it would keep what followed. */
static void nothing_is_deferred_in_a_transaction_by_begin(void **state) {
    struct fixture *fixture = *state;
    struct db *db = fixture->writer;
    insert(db, 1, "one");
    begin(db);
    db->defers = true;
    assert_int_equal(try_insert(db, 1, "other"), ERR_CONFLICT);
    end_deferred(db);
}

/* The server ends the transaction of the one that has written less, and runs what that one has sent behind the statement in another, which must be undone. */
static void of_two_that_wait_for_each_other_nothing_deferred_is_kept(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer;
    if (db->in_cluster) /* where each answer is waited for */
        skip();
    struct db *other = open_db(url, DB_WRITER);
    insert_many(db, 100);
    begin_deferred(db);
    assert_int_equal(try_set(db, 1, 7), OK);
    assert_int_equal(number(db, &number_of, 1), 7);
    begin(other);
    assert_int_equal(other->driver->write_rows(other, &set_number, other, 50, bind_later_number), OK);
    assert_int_equal(try_set(db, 100, 8), OK); /* waits for the other */
    insert(db, 201, "first");
    insert(db, 202, "second");
    assert_int_equal(try_set(other, 1, 9), OK); /* and it for this one */
    assert_int_equal(db->driver->commit(db), ERR_DATABASE_BUSY);
    end_deferred(db);
    commit(other);
    assert_int_equal(number(fixture->reader, &count_items, 0), 100);
    assert_int_equal(number(fixture->reader, &number_of, 1), 9);
    assert_int_equal(number(fixture->reader, &number_of, 100), 7);
    db_close(other);
}

/* ---- Behind a commit ---- */

/* Sends the commit of a transaction that inserts `id`, and behind it begins one that sets its number to 1. */
static void begin_behind(struct db *db, uint64_t id, const char *name) {
    begin_deferred(db);
    insert(db, id, name);
    assert_int_equal(db->driver->send_commit(db), OK);
    assert_int_equal(try_begin_by_set(db, id, 1, NULL), OK);
}

static void a_transaction_goes_behind_a_commit(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer;
    bool changed;
    begin_behind(db, 1, "before");
    insert(db, 2, "behind");
    assert_int_equal(db->driver->await_commit(db), OK);
    assert_int_equal(number(fixture->reader, &count_items, 0), 1);
    assert_int_equal(number(fixture->reader, &number_of, 1), 0);
    commit(db);
    assert_int_equal(number(fixture->reader, &count_items, 0), 2);
    assert_int_equal(number(fixture->reader, &number_of, 1), 1);
    begin_behind(db, 3, "after");
    assert_int_equal(db->driver->has_changed(db, &changed), OK);
    assert_true(changed);
    assert_int_equal(db->driver->await_commit(db), OK);
    end_deferred(db);
    assert_int_equal(number(fixture->reader, &count_items, 0), 3);
    assert_int_equal(number(fixture->reader, &number_of, 3), 0);
}

static void what_fails_behind_a_commit_leaves_that_alone(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer;
    begin_behind(db, 1, "before");
    enum err err = try_insert(db, 1, "again");
    assert_int_equal(db->driver->await_commit(db), OK);
    assert_int_equal(err == OK ? db->driver->commit(db) : err, ERR_CONFLICT);
    end_deferred(db);
    assert_int_equal(number(fixture->reader, &count_items, 0), 1);
    assert_int_equal(number(fixture->reader, &number_of, 1), 0);
}

static void what_failed_before_a_commit_is_not_sent(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer;
    insert(db, 1, "one");
    begin_deferred(db);
    enum err err = try_insert(db, 1, "other");
    assert_int_equal(err == OK ? db->driver->send_commit(db) : err, ERR_CONFLICT);
    end_deferred(db);
    insert(db, 2, "two");
    assert_int_equal(number(fixture->reader, &count_items, 0), 2);
}

/* Nobody else knows of the commit that was sent. */
static void a_statement_for_itself_comes_behind_a_commit(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer;
    begin_deferred(db);
    insert(db, 1, "one");
    assert_int_equal(db->driver->send_commit(db), OK);
    insert(db, 2, "two");
    assert_int_equal(db->driver->await_commit(db), OK);
    db->defers = false;
    assert_int_equal(number(fixture->reader, &count_items, 0), 2);
}

/* The connection ends before the answer is there, or has ended before the commit is sent: who waits for the answer does not know, and nothing behind it is kept. */
static void a_commit_whose_answer_is_lost_takes_along_what_is_behind(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct commit_cutter *cutter = commit_cutter_start(url);
    if (!cutter)
        skip();
    for (uint64_t id = 1; id < 3; id++) {
        struct db *db = open_db(commit_cutter_url(cutter), DB_WRITER);
        (id == 1 ? commit_cutter_arm : commit_cutter_arm_early)(cutter);
        begin_deferred(db);
        insert(db, id, id == 1 ? "kept" : "never sent");
        assert_int_equal(db->driver->send_commit(db), OK);
        (void)try_begin_by_set(db, id, 1, NULL);
        assert_int_equal(db->driver->await_commit(db), ERR_DATABASE_UNKNOWN);
        end_deferred(db);
        insert(db, id + 10, id == 1 ? "after one" : "after the other");
        db_close(db);
    }
    wait_for_number(fixture->reader, &count_items, 0, 3);
    assert_int_equal(number(fixture->reader, &number_of, 1), 0);
    commit_cutter_stop(cutter);
}

/* Nothing was asked to be kept, so that is no doubtful end. */
static void a_connection_that_was_killed_with_answers_due_keeps_nothing(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer, *killer = open_db(url, DB_WRITER);
    begin_deferred(db);
    insert(db, 1, "one");
    kill_connection(killer, number(db, &connection_id, 0));
    (void)try_insert(db, 2, "two");
    (void)try_insert(db, 3, "three");
    assert_int_equal(db->driver->commit(db), ERR_DATABASE_UNAVAILABLE);
    end_deferred(db);
    assert_int_equal(number(db, &count_items, 0), 0);
    insert(db, 4, "four");
    assert_int_equal(number(fixture->reader, &count_items, 0), 1);
    db_close(killer);
}

static void a_first_statement_that_fails_begins_nothing(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *second = open_db(url, DB_WRITER);
    bool changed;
    insert(fixture->writer, 1, "one");
    begin(fixture->writer);
    assert_int_equal(try_set(fixture->writer, 1, 1), OK);
    struct late_set first = { .db = fixture->writer, .id = 4 };
    pthread_create(&first.thread, NULL, sleep_in_thread, &first);
    assert_int_equal(try_begin_by_set(second, 1, 2, &changed), ERR_DATABASE_BUSY);
    assert_int_equal(second->driver->commit(second), ERR_INTERNAL);
    insert(second, 2, "two");
    pthread_join(first.thread, NULL);
    commit(fixture->writer);
    begin_by_set(second, 1, 2, true);
    commit(second);
    db_close(second);
    assert_int_equal(number(fixture->reader, &number_of, 1), 2);
}

static void a_connection_that_was_killed_begins_anew(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer, *killer = open_db(url, DB_WRITER);
    insert(db, 1, "one");
    for (uint64_t value = 1; value < 4; value++) {
        kill_connection(killer, number(db, &connection_id, 0));
        begin_by_set(db, 1, value, true);
        commit(db);
        assert_int_equal(number(fixture->reader, &number_of, 1), value);
    }
    begin_by_set(db, 1, 5, true);
    kill_connection(killer, number(db, &connection_id, 0));
    assert_int_equal(try_set(db, 1, 6), ERR_DATABASE_UNAVAILABLE);
    db->driver->rollback(db);
    assert_int_equal(number(fixture->reader, &number_of, 1), 3);
    db_close(killer);
}

static void a_transaction_whose_connection_was_killed_is_over(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer, *killer = open_db(url, DB_WRITER);
    begin(db);
    insert(db, 1, "one");
    kill_connection(killer, number(db, &connection_id, 0));
    assert_int_equal(try_insert(db, 2, "two"), ERR_DATABASE_UNAVAILABLE);
    assert_int_equal(try_insert(db, 3, "three"), ERR_DATABASE_UNAVAILABLE);
    assert_int_equal(db->driver->write_rows(db, &insert_item, db, 5, bind_many), ERR_DATABASE_UNAVAILABLE);
    assert_int_equal(db->driver->execute(db, "INSERT INTO pair VALUES(1, 1)"), ERR_DATABASE_UNAVAILABLE);
    assert_int_equal(db->driver->commit(db), ERR_DATABASE_UNAVAILABLE);
    db->driver->rollback(db);
    assert_int_equal(number(db, &count_items, 0), 0);
    insert_many(db, 5);
    assert_int_equal(number(db, &count_items, 0), 5);
    db_close(killer);
}

static void a_statement_whose_connection_is_killed_fails(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer, *killer = open_db(url, DB_WRITER);
    begin(db);
    uint64_t id = number(db, &connection_id, 0);
    struct late_set late = { .db = db, .id = 20 };
    pthread_create(&late.thread, NULL, sleep_in_thread, &late);
    wait_for_number(killer, &count_sleeping, 0, 1);
    begin_killing(killer, id);
    pthread_join(late.thread, NULL);
    assert_int_equal(late.err, ERR_DATABASE_UNAVAILABLE);
    db->driver->rollback(db);
    assert_int_equal(number(db, &count_items, 0), 0);
    db_close(killer);
}

static void a_commit_to_a_killed_connection_is_unknown(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer, *killer = open_db(url, DB_WRITER);
    begin(db);
    insert(db, 1, "one");
    kill_connection(killer, number(db, &connection_id, 0));
    assert_int_equal(db->driver->commit(db), ERR_DATABASE_UNKNOWN);
    db->driver->rollback(db);
    begin(db);
    assert_int_equal(number(db, &count_items, 0), 0);
    db->driver->rollback(db);
    db_close(killer);
}

static void *commit_in_thread(void *context) {
    struct late_set *late = context;
    late->err = late->db->driver->commit(late->db);
    return NULL;
}

static void a_connection_that_is_killed_while_it_commits_is_unknown(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer, *killer = open_db(url, DB_WRITER);
    begin(db);
    insert(db, 1, "one");
    uint64_t id = number(db, &connection_id, 0);
    assert_int_equal(killer->driver->execute(killer, "FLUSH TABLES WITH READ LOCK"), OK); /* commits wait */
    struct late_set late = { .db = db };
    pthread_create(&late.thread, NULL, commit_in_thread, &late);
    wait_for_number(killer, &count_committing, 0, 1);
    begin_killing(killer, id);
    pthread_join(late.thread, NULL);
    assert_int_equal(killer->driver->execute(killer, "UNLOCK TABLES"), OK);
    assert_int_equal(late.err, ERR_DATABASE_UNKNOWN);
    begin(db);
    uint64_t count = number(db, &count_items, 0);
    db->driver->rollback(db);
    assert_true(count <= 1);
    assert_int_equal(number(fixture->reader, &count_items, 0), count);
    db_close(killer);
}

/* The server has committed; its answer never arrives. */
static void a_commit_whose_answer_is_lost_is_unknown(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct commit_cutter *cutter = commit_cutter_start(url);
    if (!cutter)
        skip();
    struct db *db = open_db(commit_cutter_url(cutter), DB_WRITER);
    begin(db);
    insert(db, 1, "one");
    commit_cutter_arm(cutter);
    assert_int_equal(db->driver->commit(db), ERR_DATABASE_UNKNOWN);
    db->driver->rollback(db);
    begin(db);
    assert_int_equal(number(db, &count_items, 0), 1);
    insert(db, 2, "two");
    commit(db);
    assert_int_equal(number(fixture->reader, &count_items, 0), 2);
    db_close(db);
    commit_cutter_stop(cutter);
}

static bool server_does(const char *verb) {
    char command[64];
    if (!getenv("DIR"))
        return false;
    snprintf(command, sizeof command, "tests/support/mariadb.sh %s", verb);
    return system(command) == 0;
}

static void a_restarted_server_needs_no_opening(void **state) {
    struct fixture *fixture = *state;
    skip_unless_mariadb();
    struct db *db = fixture->writer;
    insert_many(db, 10);
    if (!server_does("restart"))
        skip();
    begin(db);
    insert(db, 11, "eleven");
    commit(db);
    assert_int_equal(number(fixture->reader, &count_items, 0), 11);

    begin(db);
    insert(db, 12, "twelve");
    assert_true(server_does("kill"));
    assert_int_equal(db->driver->commit(db), ERR_DATABASE_UNKNOWN);
    db->driver->rollback(db);
    uint64_t ignored;
    assert_int_equal(db->driver->begin(db), ERR_DATABASE_UNAVAILABLE);
    assert_int_equal(try_number(fixture->reader, &count_items, 0, &ignored), ERR_DATABASE_UNAVAILABLE);
    assert_int_equal(fixture->reader->driver->begin(fixture->reader), ERR_DATABASE_UNAVAILABLE);
    assert_true(server_does("restart"));
    assert_int_equal(number(fixture->reader, &count_items, 0), 11);
    begin(db);
    insert(db, 12, "twelve");
    commit(db);
    assert_int_equal(number(fixture->reader, &count_items, 0), 12);
}

static void a_connection_may_go_from_thread_to_thread(void **state) {
    struct fixture *fixture = *state;
    insert(fixture->writer, 1, "one");
    for (int i = 0; i < 50; i++) {
        struct late_set late = { .db = fixture->writer, .id = 1 };
        pthread_create(&late.thread, NULL, set_in_thread, &late);
        pthread_join(late.thread, NULL);
        assert_int_equal(late.err, OK);
    }
    assert_int_equal(number(fixture->reader, &number_of, 1), 1);
}

static void *read_in_thread(void *context) {
    struct late_set *late = context;
    char problem[512];
    late->err = db_open(url, DB_READER, &late->db, problem, sizeof problem);
    for (int i = 0; late->err == OK && i < 200; i++) {
        uint64_t found = 0;
        late->err = try_number(late->db, &number_of, 1, &found);
        if (late->err == OK && found != 5)
            late->err = ERR_INTERNAL;
    }
    db_close(late->db);
    return NULL;
}

static void threads_with_connections_of_their_own_do_not_meet(void **state) {
    struct fixture *fixture = *state;
    struct late_set readers[8] = { 0 };
    insert(fixture->writer, 1, "one");
    assert_int_equal(try_set(fixture->writer, 1, 5), OK);
    for (size_t i = 0; i < COUNT_OF(readers); i++)
        pthread_create(&readers[i].thread, NULL, read_in_thread, &readers[i]);
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].err, OK);
    }
}

static void what_cannot_be_opened_says_why(void **state) {
    (void)state;
    struct db *db = NULL;
    char problem[512] = "";
    assert_int_equal(db_open("nothing:at all", DB_READER, &db, problem, sizeof problem), ERR_CONFIG);
    assert_non_null(strstr(problem, "PARLEY_DB"));
    assert_int_equal(db_open("mariadb://user:hunter2@127.0.0.1:1/parley", DB_WRITER, &db, problem, sizeof problem),
                     ERR_DATABASE_UNAVAILABLE);
    assert_non_null(strstr(problem, "PARLEY_DB"));
    assert_null(strstr(problem, "hunter2"));
    assert_int_equal(db_open("sqlite:/nowhere/at/all", DB_READER, &db, problem, sizeof problem), ERR_DATABASE_UNAVAILABLE);
    assert_null(db);
}

static void a_server_without_tls_is_not_enough_where_tls_is_asked_for(void **state) {
    (void)state;
    skip_unless_mariadb();
    struct db *db = NULL;
    char problem[512] = "", asking[512];
    snprintf(asking, sizeof asking, "%s%cssl=on", url, strchr(url, '?') ? '&' : '?');
    assert_int_equal(db_open(asking, DB_READER, &db, problem, sizeof problem), ERR_CONFIG);
    assert_non_null(strstr(problem, "TLS"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

static void choose_database(void) {
    static char place[128];
    url = getenv("PARLEY_DB");
    if (!url || !*url) {
        snprintf(place, sizeof place, "sqlite:%s/parley.db", mkdtemp(folder));
        url = place;
    }
    is_mariadb = strncmp(url, "mariadb:", 8) == 0;
}

static void remove_folder(void) {
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (!strstr(folder, "XXXXXX") && system(command) != 0)
        fprintf(stderr, "%s failed\n", command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(values_of_every_type_come_back),
        TEST(null_is_not_empty),
        TEST(long_texts_come_back_between_short_ones),
        TEST(texts_are_compared_byte_by_byte),
        TEST(numbers_of_expressions_are_exact),
        TEST(parameters_are_numbered),
        TEST(a_parameter_may_be_of_another_type_each_time),
        TEST(ids_are_a_table),
        TEST(pairs_are_a_table),
        TEST(names_are_a_table),
        TEST(a_statement_can_be_left_early_and_run_again),
        TEST(statements_can_be_open_beside_each_other),
        TEST(a_deletion_can_return_what_it_took),
        TEST(errors_are_told_apart),
        TEST(a_reader_cannot_write),
        TEST(an_array_write_writes_every_row),
        TEST(an_array_write_updates_and_deletes),
        TEST(an_array_write_may_be_large),
        TEST(an_array_write_fails_as_a_whole),
        TEST(an_array_write_is_one_round_trip),
        TEST(what_is_rolled_back_was_never_there),
        TEST(an_error_does_not_end_the_transaction_by_itself),
        TEST(a_reader_sees_one_snapshot),
        TEST(a_second_writer_is_turned_away),
        TEST(of_two_that_wait_for_each_other_one_is_told),
        TEST(a_writer_that_freezes_loses_its_transaction),
        TEST(an_idle_connection_that_was_killed_is_opened_again),
        TEST(a_transaction_may_begin_by_its_first_statement),
        TEST(a_first_statement_that_fails_begins_nothing),
        TEST(what_is_deferred_is_kept_and_read_in_order),
        TEST(much_may_be_deferred),
        TEST(a_deferred_error_is_told_and_stays),
        TEST(a_deferred_array_fails_as_a_whole),
        TEST(what_is_deferred_says_what_it_changed),
        TEST(nothing_is_deferred_in_a_transaction_by_begin),
        TEST(of_two_that_wait_for_each_other_nothing_deferred_is_kept),
        TEST(a_transaction_goes_behind_a_commit),
        TEST(what_fails_behind_a_commit_leaves_that_alone),
        TEST(what_failed_before_a_commit_is_not_sent),
        TEST(a_statement_for_itself_comes_behind_a_commit),
        TEST(a_commit_whose_answer_is_lost_takes_along_what_is_behind),
        TEST(a_connection_that_was_killed_with_answers_due_keeps_nothing),
        TEST(a_connection_that_was_killed_begins_anew),
        TEST(a_transaction_whose_connection_was_killed_is_over),
        TEST(a_statement_whose_connection_is_killed_fails),
        TEST(a_commit_to_a_killed_connection_is_unknown),
        TEST(a_connection_that_is_killed_while_it_commits_is_unknown),
        TEST(a_commit_whose_answer_is_lost_is_unknown),
        TEST(a_connection_may_go_from_thread_to_thread),
        TEST(threads_with_connections_of_their_own_do_not_meet),
        TEST(what_cannot_be_opened_says_why),
        TEST(a_server_without_tls_is_not_enough_where_tls_is_asked_for),
        TEST(a_restarted_server_needs_no_opening),
    };
    choose_database();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_folder();
    return failed;
}
