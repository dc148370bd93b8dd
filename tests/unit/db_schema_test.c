/* The schema's steps: what they make is the same on both databases, and they can be interrupted, repeated and run at once. */
#include "db_support.h"
#include "unit.h"

#include <pthread.h>
#include <unistd.h>

#include "db/migrations.h"

#define LINES_MAX 512
#define PROGRAMS 4

/* ---- Empty databases ---------------------------------------------------------------------------------------------------------------- */

struct place {
    char folder[64];
    char url[DATABASE_URL_BYTES];
};

static void make_sqlite(struct place *place) {
    snprintf(place->folder, sizeof place->folder, "/tmp/parley-schema-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->url, sizeof place->url, "sqlite:%s/parley.db", place->folder);
}

static void remove_sqlite(const struct place *place) {
    assert_int_equal(unlink(strchr(place->url, ':') + 1), 0);
    assert_int_equal(rmdir(place->folder), 0);
}

static int set_up(void **state) {
    struct place *place = calloc(1, sizeof *place);
    *state = place;
    if (is_on_mariadb())
        mariadb_create(place->url);
    else
        make_sqlite(place);
    db_close(open_database(place->url, DB_WRITER));
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    if (is_on_mariadb())
        mariadb_drop(place->url);
    else
        remove_sqlite(place);
    free(place);
    return 0;
}

static unsigned migrate_all(struct db *db) {
    char problem[256] = "";
    unsigned applied = 0;
    if (migrate(db, &applied, problem, sizeof problem) != OK)
        fail_msg("migrate: %s", problem);
    return applied;
}

static void execute(struct db *db, const char *sql) {
    if (db->driver->execute(db, sql) != OK)
        fail_msg("%s: %s", sql, db->driver->problem(db));
}

static uint64_t read_number(struct db *db, const struct query *query) {
    bool row = false;
    struct statement *statement = db_query(db, query);
    if (db->driver->step(statement, &row) != OK || !row)
        fail_msg("%s: %s", query->sql, db->driver->problem(db));
    uint64_t number = db->driver->column_id(statement, 0);
    db->driver->finish(statement);
    return number;
}

/* ---- Both the same ------------------------------------------------------------------------------------------------------------------ */

/* Each tells the same of its database, a line for each column and key: "chat.title text", "chat.id number not null", "chat primary (id)". The key of a
 * table is never NULL, though SQLite does not say so, and has an index in MariaDB alone. */
#define OF_BOTH "WHERE m.type = 'table' AND m.name <> 'event_of_owner'" /* in whose place MariaDB has an index: event_by_owner */
static const struct query sqlite_columns = {
    "SELECT m.name || '.' || c.name || CASE WHEN c.type IN ('INTEGER', 'BIGINT') THEN ' number' WHEN c.type = 'BLOB' THEN ' bytes'"
    " WHEN c.type = 'TEXT' THEN ' text' ELSE c.type END || CASE WHEN c.\"notnull\" OR c.pk > 0 THEN ' not null' ELSE '' END"
    " || coalesce(' default ' || c.dflt_value, '') FROM sqlite_schema m JOIN pragma_table_info(m.name) c " OF_BOTH
};
static const struct query mariadb_columns = {
    "SELECT table_name || '.' || column_name || CASE WHEN data_type = 'bigint' THEN ' number' WHEN data_type IN ('varbinary', 'mediumblob') THEN ' bytes'"
    " WHEN data_type IN ('varchar', 'text', 'mediumtext') THEN ' text' ELSE data_type END"
    " || CASE WHEN is_nullable = 'NO' THEN ' not null' ELSE '' END"
    " || CASE WHEN coalesce(column_default, 'NULL') = 'NULL' THEN '' ELSE ' default ' || column_default END"
    " FROM information_schema.columns WHERE table_schema = database()"
};
static const struct query sqlite_keys = {
    "SELECT m.name || ' primary (' || (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_table_info(m.name) WHERE pk > 0 ORDER BY pk)) || ')'"
    " FROM sqlite_schema m " OF_BOTH " UNION ALL"
    " SELECT m.name || CASE WHEN i.\"unique\" THEN ' unique (' ELSE ' index (' END"
    " || (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)) || ')'"
    " FROM sqlite_schema m JOIN pragma_index_list(m.name) i " OF_BOTH " AND i.origin <> 'pk'"
};
static const struct query mariadb_keys = {
    "SELECT table_name || CASE WHEN index_name = 'PRIMARY' THEN ' primary (' WHEN non_unique = 0 THEN ' unique (' ELSE ' index (' END"
    " || group_concat(column_name ORDER BY seq_in_index SEPARATOR ', ') || ')'"
    " FROM information_schema.statistics WHERE table_schema = database() AND index_name <> 'event_by_owner' GROUP BY table_name, index_name, non_unique"
};

struct lines {
    char *items[LINES_MAX];
    size_t count;
};

static void add_lines(struct lines *lines, struct db *db, const struct query *query) {
    struct statement *statement = db_query(db, query);
    bool row = false;
    enum err err;
    while ((err = db->driver->step(statement, &row)) == OK && row) {
        size_t size = 0;
        const char *text = db->driver->column_bytes(statement, 0, &size);
        assert_true(text && lines->count < LINES_MAX);
        lines->items[lines->count++] = strndup(text, size);
    }
    if (err != OK)
        fail_msg("%s: %s", query->sql, db->driver->problem(db));
    db->driver->finish(statement);
}

static int compare_lines(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void describe(const char *url, const struct query *columns, const struct query *keys, struct lines *ret_lines) {
    struct db *db = open_database(url, DB_WRITER);
    migrate_all(db);
    add_lines(ret_lines, db, columns);
    add_lines(ret_lines, db, keys);
    qsort(ret_lines->items, ret_lines->count, sizeof *ret_lines->items, compare_lines);
    db_close(db);
}

/* Sorted lines: what only one of both has. */
static size_t print_differences(const struct lines *sqlite, const struct lines *mariadb) {
    size_t differences = 0;
    for (size_t i = 0, j = 0; i < sqlite->count || j < mariadb->count;) {
        int order = i == sqlite->count ? 1 : j == mariadb->count ? -1 : strcmp(sqlite->items[i], mariadb->items[j]);
        if (order != 0)
            print_message("only %s: %s\n", order < 0 ? "SQLite" : "MariaDB", order < 0 ? sqlite->items[i] : mariadb->items[j]);
        differences += order != 0;
        i += order <= 0;
        j += order >= 0;
    }
    return differences;
}

static void release_lines(struct lines *lines) {
    for (size_t i = 0; i < lines->count; i++)
        free(lines->items[i]);
}

static void both_databases_have_the_same_schema(void **state) {
    struct place *place = *state, other = { 0 };
    struct lines sqlite = { 0 }, mariadb = { 0 };
    skip_without_mariadb();
    make_sqlite(&other);
    describe(other.url, &sqlite_columns, &sqlite_keys, &sqlite);
    describe(place->url, &mariadb_columns, &mariadb_keys, &mariadb);
    assert_true(sqlite.count > 100);
    assert_int_equal(print_differences(&sqlite, &mariadb), 0);
    release_lines(&sqlite);
    release_lines(&mariadb);
    remove_sqlite(&other);
}

/* Whatever the database's own defaults are. */
static void tables_are_transactional_and_texts_compared_byte_by_byte(void **state) {
    static const struct query wrong_columns = { "SELECT count(*) FROM information_schema.columns WHERE table_schema = database()"
                                                " AND collation_name IS NOT NULL AND collation_name <> 'utf8mb4_nopad_bin'" };
    static const struct query wrong_tables = { "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()"
                                               " AND (engine <> 'InnoDB' OR table_collation <> 'utf8mb4_nopad_bin')" };
    struct place *place = *state;
    skip_without_mariadb();
    struct db *db = open_database(place->url, DB_WRITER);
    execute(db, "SET SESSION default_storage_engine = 'Aria'");
    migrate_all(db);
    assert_int_equal(read_number(db, &wrong_columns), 0);
    assert_int_equal(read_number(db, &wrong_tables), 0);
    db_close(db);
}

/* ---- Steps -------------------------------------------------------------------------------------------------------------------------- */

static const struct query count_secrets = { "SELECT count(*) FROM meta WHERE name = 'secret'" };
static const struct query count_steps = { "SELECT count(*) FROM migration" };
static const struct query count_leases = { "SELECT count(*) FROM lease" };
static const struct query count_stays = { "SELECT count(*) FROM stay" };
static const struct query head_of_log = { "SELECT number FROM meta WHERE name = 'head' AND length(bytes) = 16" };

static void steps_are_applied_once(void **state) {
    struct place *place = *state;
    struct db *db = open_database(place->url, DB_WRITER);
    unsigned steps = migrate_all(db);
    assert_true(steps > 0);
    assert_int_equal(migrate_all(db), 0);
    db_close(db);
    db = open_database(place->url, DB_WRITER);
    assert_int_equal(migrate_all(db), 0);
    assert_int_equal(read_number(db, &count_steps), steps);
    assert_int_equal(read_number(db, &head_of_log), 0);
    db_close(db);
}

/* It had changed some of the schema, and ended before it could note so. */
static void an_interrupted_step_is_repeated(void **state) {
    struct place *place = *state;
    skip_without_mariadb(); /* SQLite takes an interrupted step back */
    struct db *db = open_database(place->url, DB_WRITER);
    unsigned steps = migrate_all(db);
    execute(db, "DELETE FROM migration WHERE step >= 2; DROP TABLE lease; ALTER TABLE event DROP COLUMN expires_ms");
    assert_int_equal(migrate_all(db), steps - 1);
    assert_int_equal(read_number(db, &count_leases), 0);
    execute(db, "DELETE FROM migration; DELETE FROM meta; DROP TABLE stay");
    assert_int_equal(migrate_all(db), steps);
    assert_int_equal(read_number(db, &count_stays), 0);
    assert_int_equal(read_number(db, &count_secrets), 1);
    assert_int_equal(read_number(db, &head_of_log), 0);
    db_close(db);
}

/* A database from before the log's head had a row, with the next steps to come. */
static struct db *open_before_heads(const struct place *place) {
    char problem[256] = "";
    struct db *db = open_database(place->url, DB_WRITER);
    if (schema_begin_restore(db, 2, problem, sizeof problem) != OK)
        fail_msg("%s", problem);
    assert_int_equal(schema_end_restore(db), OK);
    return db;
}

static void the_head_of_an_empty_log_is_the_floor(void **state) {
    struct db *db = open_before_heads(*state);
    execute(db, "UPDATE meta SET number = 7 WHERE name = 'floor'");
    migrate_all(db);
    assert_int_equal(read_number(db, &head_of_log), 7);
    db_close(db);
}

static void the_head_is_the_last_event(void **state) {
    struct db *db = open_before_heads(*state);
    execute(db, "UPDATE meta SET number = 7 WHERE name = 'floor'");
    execute(
        db,
        "INSERT INTO event(id, owner_id, is_message, type, actor_id, ref_id, rev, seq, created_ms) VALUES(65536, 0, 0, 0, 0, 0, 0, 0, 0)");
    migrate_all(db);
    assert_int_equal(read_number(db, &head_of_log), 65536);
    db_close(db);
}

struct program {
    pthread_t thread;
    pthread_barrier_t *start;
    const char *url;
    enum err err;
    char problem[256];
};

static void *run_program(void *context) {
    struct program *program = context;
    struct db *db = NULL;
    program->err = db_open(program->url, DB_WRITER, &db, program->problem, sizeof program->problem);
    pthread_barrier_wait(program->start);
    if (program->err == OK)
        program->err = migrate(db, NULL, program->problem, sizeof program->problem);
    db_close(db);
    return NULL;
}

static void several_may_migrate_at_once(void **state) {
    struct place *place = *state;
    struct program programs[PROGRAMS] = { 0 };
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, PROGRAMS);
    struct db *db = open_database(place->url, DB_WRITER); /* it stays: who closes SQLite's last connection keeps others out */
    for (size_t i = 0; i < PROGRAMS; i++) {
        programs[i].start = &start;
        programs[i].url = place->url;
        assert_int_equal(pthread_create(&programs[i].thread, NULL, run_program, &programs[i]), 0);
    }
    for (size_t i = 0; i < PROGRAMS; i++) {
        pthread_join(programs[i].thread, NULL);
        if (programs[i].err != OK)
            fail_msg("%s", programs[i].problem);
    }
    pthread_barrier_destroy(&start);
    assert_int_equal(migrate_all(db), 0);
    assert_int_equal(read_number(db, &count_secrets), 1);
    db_close(db);
}

static void a_newer_schema_is_refused(void **state) {
    struct place *place = *state;
    char problem[256] = "";
    unsigned applied = 0;
    struct db *db = open_database(place->url, DB_WRITER);
    migrate_all(db);
    execute(db, "INSERT INTO migration(step, applied_ms) VALUES(1000, 0)");
    assert_int_equal(migrate(db, &applied, problem, sizeof problem), ERR_CONFIG);
    assert_int_equal(applied, 0);
    assert_non_null(strstr(problem, "newer"));
    execute(db, "DELETE FROM migration WHERE step = 1000");
    assert_int_equal(migrate_all(db), 0); /* and nobody has to wait for the one that was refused */
    db_close(db);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(both_databases_have_the_same_schema),
        TEST(tables_are_transactional_and_texts_compared_byte_by_byte),
        TEST(steps_are_applied_once),
        TEST(an_interrupted_step_is_repeated),
        TEST(the_head_of_an_empty_log_is_the_floor),
        TEST(the_head_is_the_last_event),
        TEST(several_may_migrate_at_once),
        TEST(a_newer_schema_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
