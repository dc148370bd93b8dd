/* Backups: everything that the schema has, whatever its values, comes back on either database; and nothing else is taken for one. */
#include "db_support.h"
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/random.h"
#include "db/backup.h"
#include "db/backup_file.h"
#include "db/migrations.h"

#define LINES_MAX 256
#define PLACES 3
#define DAY_MS (INT64_C(24) * 3600 * 1000)

/* ---- Databases and files ------------------------------------------------------------------------------------------------------------ */

/* A database that nobody has opened. */
struct place {
    char folder[64];
    char url[DATABASE_URL_BYTES];
    struct config config;
    bool is_mariadb;
};

struct world {
    struct place places[PLACES]; /* the first two where tests run, the last on SQLite */
    int fd;                      /* of a file without a name */
    char problem[512];
};

static void make_place(struct place *place, bool is_mariadb) {
    place->is_mariadb = is_mariadb;
    snprintf(place->folder, sizeof place->folder, "/tmp/parley-backup-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    if (is_mariadb)
        mariadb_create(place->url);
    else
        snprintf(place->url, sizeof place->url, "sqlite:%s/parley.db", place->folder);
    setenv("PARLEY_DATA_DIR", place->folder, 1);
    setenv("PARLEY_DB", place->url, 1);
    char problem[256] = "";
    assert_int_equal(config_load(&place->config, problem, sizeof problem), OK);
}

static void remove_place(struct place *place) {
    static const char *const files[] = { "parley.db", "parley.db-wal", "parley.db-shm", "parley.lock" };
    char path[128];
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        snprintf(path, sizeof path, "%s/%s", place->folder, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(place->folder), 0); /* nothing else was left in it */
    if (place->is_mariadb)
        mariadb_drop(place->url);
    config_release(&place->config);
}

static int make_file(void) {
    char path[] = "/tmp/parley-backup-file-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    return fd;
}

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof *world);
    *state = world;
    for (size_t i = 0; i < PLACES; i++)
        make_place(&world->places[i], is_on_mariadb() && i < PLACES - 1);
    world->fd = make_file();
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    for (size_t i = 0; i < PLACES; i++)
        remove_place(&world->places[i]);
    close(world->fd);
    free(world);
    return 0;
}

static void execute(struct db *db, const char *sql) {
    if (db->driver->execute(db, sql) != OK)
        fail_msg("%s: %s", sql, db->driver->problem(db));
}

static uint64_t read_number(const struct place *place, const struct query *query) {
    bool row = false;
    struct db *db = open_database(place->url, DB_READER);
    struct statement *statement = db_query(db, query);
    if (db->driver->step(statement, &row) != OK || !row)
        fail_msg("%s: %s", query->sql, db->driver->problem(db));
    uint64_t number = db->driver->column_id(statement, 0);
    db->driver->finish(statement);
    db_close(db);
    return number;
}

/* A database with the schema as it was with `step`. */
static struct db *make_schema(const struct place *place, unsigned step) {
    char problem[256] = "";
    struct db *db = open_database(place->url, DB_WRITER);
    if (schema_begin_restore(db, step, problem, sizeof problem) != OK || schema_end_restore(db) != OK)
        fail_msg("%s", problem);
    return db;
}

static struct backup_job job_of(struct world *world, const struct place *place) {
    assert_int_equal(lseek(world->fd, 0, SEEK_SET), 0);
    world->problem[0] = '\0';
    return (
        struct backup_job){ .config = &place->config, .fd = world->fd, .problem = world->problem, .problem_size = sizeof world->problem };
}

static struct backup_result back_up(struct world *world, const struct place *place) {
    struct backup_result result = { .rows = 0 };
    const struct backup_job job = job_of(world, place);
    assert_int_equal(ftruncate(world->fd, 0), 0);
    if (backup_write(&job, &result) != OK)
        fail_msg("%s", world->problem);
    assert_int_equal(lseek(world->fd, 0, SEEK_END), result.bytes);
    return result;
}

static enum err try_restore(struct world *world, const struct place *place, struct backup_result *ret_result) {
    const struct backup_job job = job_of(world, place);
    return backup_restore(&job, ret_result);
}

static struct backup_result restore(struct world *world, const struct place *place) {
    struct backup_result result = { .rows = 0 };
    if (try_restore(world, place, &result) != OK)
        fail_msg("%s", world->problem);
    return result;
}

static void expect_refusal(struct world *world, const struct place *place, enum err err, const char *words) {
    struct backup_result result;
    assert_int_equal(try_restore(world, place, &result), err);
    if (!strstr(world->problem, words))
        fail_msg("\"%s\" does not say \"%s\"", world->problem, words);
}

/* ---- The list and the schema --------------------------------------------------------------------------------------------------------- */

/* But for what follows from other tables. */
static const struct query sqlite_columns = { "SELECT m.name || '.' || c.name || CASE WHEN c.type IN ('INTEGER', 'BIGINT') THEN ' n'"
                                             " WHEN c.type = 'TEXT' THEN ' t' WHEN c.type = 'BLOB' THEN ' b' ELSE c.type END"
                                             " || CASE WHEN c.pk > 0 THEN ' ' || c.pk ELSE '' END FROM sqlite_schema m"
                                             " JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
                                             " AND m.name <> 'event_of_owner' ORDER BY m.name, c.cid" };
static const struct query mariadb_columns = {
    "SELECT c.table_name || '.' || c.column_name || CASE WHEN c.data_type = 'bigint' THEN ' n'"
    " WHEN c.data_type IN ('varchar', 'text', 'mediumtext') THEN ' t' WHEN c.data_type IN ('varbinary', 'mediumblob') THEN ' b' ELSE c.data_type END"
    " || coalesce((SELECT ' ' || s.seq_in_index FROM information_schema.statistics s WHERE s.table_schema = database()"
    " AND s.table_name = c.table_name AND s.column_name = c.column_name AND s.index_name = 'PRIMARY'), '')"
    " FROM information_schema.columns c WHERE c.table_schema = database() ORDER BY c.table_name, c.ordinal_position"
};

struct lines {
    char items[LINES_MAX][96];
    size_t count;
};

static int compare_lines(const void *a, const void *b) { return strcmp(a, b); }

static void sort_lines(struct lines *lines) { qsort(lines->items, lines->count, sizeof *lines->items, compare_lines); }

static char *next_line(struct lines *lines) {
    assert_true(lines->count < LINES_MAX);
    return lines->items[lines->count++];
}

static void describe_schema(struct db *db, struct lines *lines) {
    struct statement *statement = db_query(db, db->driver->dialect == DIALECT_SQLITE ? &sqlite_columns : &mariadb_columns);
    bool row = false;
    while (db->driver->step(statement, &row) == OK && row) {
        size_t size = 0;
        const char *text = db->driver->column_bytes(statement, 0, &size);
        snprintf(next_line(lines), sizeof *lines->items, "%.*s", (int)size, text);
    }
    db->driver->finish(statement);
    sort_lines(lines);
}

static void describe_list(unsigned step, struct lines *lines) {
    static const char kinds[] = { [CELL_NUMBER] = 'n', [CELL_TEXT] = 't', [CELL_BYTES] = 'b' };
    for (size_t i = 0; i < backup_table_count; i++) {
        const struct backup_table *table = &backup_tables[i];
        assert_true(table->key_columns >= 1 && table->key_columns <= BACKUP_KEY_MAX && table->column_count <= BACKUP_COLUMNS_MAX);
        for (size_t j = 0; table->since <= step && j < backup_columns(table, step); j++) {
            char key[16] = "";
            if (j < table->key_columns)
                snprintf(key, sizeof key, " %d", (int)j + 1);
            snprintf(next_line(lines), sizeof *lines->items, "%s.%s %c%s", table->name, table->columns[j].name,
                     kinds[table->columns[j].kind], key);
        }
    }
    sort_lines(lines);
}

/* Of every step, because a backup may be of an older one. */
static void the_list_has_every_table_and_column_of_the_schema(void **state) {
    (void)state;
    unsigned newest = schema_newest();
    for (unsigned step = 1; step <= newest; step++) {
        static struct lines schema, list;
        schema.count = list.count = 0;
        struct place place = { .is_mariadb = false };
        make_place(&place, is_on_mariadb());
        struct db *db = make_schema(&place, step);
        describe_schema(db, &schema);
        db_close(db);
        describe_list(step, &list);
        for (size_t i = 0; i < schema.count && i < list.count; i++)
            assert_string_equal(list.items[i], schema.items[i]);
        assert_int_equal(list.count, schema.count);
        remove_place(&place);
    }
}

static void only_what_is_written_last_follows_nothing(void **state) {
    (void)state;
    const char *last = "";
    for (size_t i = 0; i < backup_table_count; i++)
        last = backup_has_table(&backup_tables[i], schema_newest()) ? backup_tables[i].name : last;
    assert_string_equal(last, "meta");
}

/* ---- Values ------------------------------------------------------------------------------------------------------------------------- */

/* Hardest of each kind. The schema takes NULL only in some columns. */
static void fill_with_hard_values(const struct place *place) {
    char problem[256] = "";
    struct db *db = open_database(place->url, DB_WRITER);
    if (migrate(db, NULL, problem, sizeof problem) != OK)
        fail_msg("%s", problem);
    execute(db, "INSERT INTO user(id, username, display_name, password, created_ms, media_bytes) VALUES"
                " (1, 'a', '', NULL, 0, -1), (2, 'A', 'Zo\xc3\xab \xf0\x9f\x90\x98', '', -9223372036854775807, 5),"
                " (9223372036854775807, 'b', ' b ', 'scrypt$', 9223372036854775807, 0)");
    execute(db, "INSERT INTO device(id, user_id, name, token, created_ms, seen_ms, acked_id) VALUES(7, 1, '', x'00', 1, 2, 3),"
                " (8, 1, 'x', x'', 1, 2, 3), (9, 1, 'x', x'ff00fe0d0a5c27', 1, 2, 3)");
    execute(db, "INSERT INTO ticket(ticket, device_id, created_ms, used_ms) VALUES(x'ff', 7, 0, 0), (x'00ff', 7, 0, 0), (x'', 7, 0, 0)");
    execute(db, "INSERT INTO chat(id, type, history, title, created_by, created_ms, deleted_ms, last_id, last_rev, last_seq, changed_rev,"
                " chain, member_count, owner_count, direct_low, direct_high, message_ttl_ms, until_delivered) VALUES"
                " (5, 1, 1, NULL, 1, 1, 0, 9, 2, 1, 1, x'00112233445566778899aabbccddeeff', 2, 1, 1, 2, 0, 1),"
                " (6, 2, 0, '', 1, 1, 0, 9, 2, 1, 1, x'', 2, 1, NULL, NULL, -4, 0)");
    execute(
        db,
        "INSERT INTO event(id, owner_id, is_message, type, actor_id, ref_id, rev, seq, created_ms, body, changed_id, changed_rev,"
        " edited_ms, deleted_ms, original, seal, chain, client_key, attachments, expires_ms) VALUES"
        " (65537, 5, 1, 0, 1, 65537, 1, 1, 1, 'back\\slash ''quote'' \"double\"', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
        " (131073, 5, 1, 0, 1, 65537, 1, 1, 1, '', 0, 0, 0, 0, 0, x'', x'00', '', '', -1),"
        " (196609, 5, 0, 0, 1, 65537, 1, 1, 1, NULL, -1, 9223372036854775807, 0, 0, 0, x'00', x'', ' ', '[]', 0)");
    execute(
        db,
        "INSERT INTO media(id, owner_id, state, token, content_type, size, md5, sha256, file_name, width, height, duration_ms, blurhash,"
        " thumbnail_id, part_size, upload_id, created_ms, expires_ms, upload_until_ms) VALUES"
        " (3, 1, 1, x'0102', 'image/png', 1, x'00', NULL, '\xe2\x98\x83', 0, 0, 0, NULL, 0, 0, '', 0, 0, 0)");
    execute(db, "UPDATE meta SET number = 65536 WHERE name = 'floor'");
    db_close(db);
}

/* Rows by the thousand whose keys begin alike, so that pages end everywhere. */
static void fill_with_long_keys(const struct place *place) {
    char sql[256];
    struct db *db = open_database(place->url, DB_WRITER);
    execute(db, "BEGIN");
    for (unsigned i = 0; i < 1500; i++) {
        unsigned low = i % LIMIT_BACKUP_PAGE_ROWS;
        snprintf(sql, sizeof sql, "INSERT INTO stay(chat_id, user_id, joined_id, left_id, role, joined_ms) VALUES(%u, %u, %u, %u, 0, 0)",
                 i < 700 ? 1 : 1 + i / 100, i < 300 ? 5 : i / 2, i, i);
        execute(db, sql);
        snprintf(sql, sizeof sql,
                 "INSERT INTO idempotency(period, user_id, idempotency_key, request, result_id) VALUES(%d, %u, %d, x'00', 1)",
                 (int)(i / 500) - 1, low, (int)i - 750);
        execute(db, sql);
        snprintf(sql, sizeof sql, "INSERT INTO attachment(message_id, media_id, chat_id) VALUES(%u, %u, 1)", i / LIMIT_BACKUP_PAGE_ROWS, i);
        execute(db, sql);
    }
    execute(db, "COMMIT");
    db_close(db);
}

/* Both files block by block: tables, rows and number of rows are the same. */
static void expect_same_content(int one_fd, int other_fd) {
    int fds[] = { one_fd, other_fd };
    struct backup_reader readers[2];
    struct backup_header headers[2];
    struct backup_block blocks[2] = { { .kind = BACKUP_HEADER }, { .kind = BACKUP_HEADER } };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lseek(fds[i], 0, SEEK_SET), 0);
        assert_int_equal(backup_reader_open(&readers[i], fds[i], &headers[i]), OK);
    }
    while (blocks[0].kind != BACKUP_END) {
        for (int i = 0; i < 2; i++)
            assert_int_equal(backup_next(&readers[i], &blocks[i]), OK);
        assert_int_equal(blocks[0].kind, blocks[1].kind);
        assert_int_equal(blocks[0].size, blocks[1].size);
        assert_memory_equal(blocks[0].bytes, blocks[1].bytes, blocks[0].size);
    }
    for (int i = 0; i < 2; i++)
        backup_reader_close(&readers[i]);
}

/* Restores the world's file into the place, and backs that up again. */
static void expect_round_trip(struct world *world, const struct place *place, struct backup_result original) {
    struct backup_result restored = restore(world, place);
    int first_fd = world->fd;
    world->fd = make_file();
    struct backup_result again = back_up(world, place);
    expect_same_content(first_fd, world->fd);
    assert_int_equal(restored.rows, original.rows);
    assert_int_equal(again.rows, original.rows);
    assert_int_equal(again.head_id, restored.head_id);
    close(first_fd);
}

static void every_value_comes_back_on_either_database(void **state) {
    struct world *world = *state;
    fill_with_hard_values(&world->places[0]);
    fill_with_long_keys(&world->places[0]);
    struct backup_result original = back_up(world, &world->places[0]);
    assert_int_equal(original.rows, 3 + 3 + 3 + 2 + 3 + 1 + 3 * 1500 + 1);
    assert_int_equal(original.head_id, 196609);
    expect_round_trip(world, &world->places[1], original); /* MariaDB to MariaDB, where there is one, */
    expect_round_trip(world, &world->places[2], original); /* to SQLite, */
    if (!is_on_mariadb())
        return;
    struct place back = { .is_mariadb = true };
    make_place(&back, true);
    expect_round_trip(world, &back, original); /* and to MariaDB again */
    remove_place(&back);
}

static void a_text_of_the_longest_fits(void **state) {
    static const struct query insert = { "INSERT INTO event(id, owner_id, is_message, type, actor_id, ref_id, rev, seq, created_ms, body)"
                                         " VALUES(?1, 1, 1, 0, 1, 1, 1, 1, 1, ?2)" };
    struct world *world = *state;
    size_t size = 4 * LIMIT_TEXT_CHARACTERS;
    char *text = malloc(size);
    for (size_t i = 0; i < size; i++)
        text[i] = "\xf0\x9f\x90\x98"[i % 4];
    fill_with_hard_values(&world->places[0]);
    struct db *db = open_database(world->places[0].url, DB_WRITER);
    for (uint64_t id = 1; id <= 12; id++) {
        struct statement *statement = db_query(db, &insert);
        db->driver->bind_id(statement, 1, id << 32);
        db->driver->bind_text(statement, 2, text, size);
        assert_int_equal(db_run(db, statement), OK);
    }
    db_close(db);
    free(text);
    struct backup_result original = back_up(world, &world->places[0]);
    assert_true(original.bytes > 12 * size);
    expect_round_trip(world, &world->places[1], original);
    expect_round_trip(world, &world->places[2], original);
}

/* ---- Damage ------------------------------------------------------------------------------------------------------------------------- */

static const struct query count_users = { "SELECT count(*) FROM user" };

/* On either database: it can be opened as a fresh one, or restored into. */
static void expect_untouched(const struct place *place) {
    char problem[256] = "";
    struct db *db = open_database(place->url, DB_WRITER);
    if (migrate(db, NULL, problem, sizeof problem) != OK)
        fail_msg("%s", problem);
    db_close(db);
    assert_int_equal(read_number(place, &count_users), 0);
}

static void expect_damage_noticed(struct world *world, int fd) {
    struct backup_result result;
    int whole_fd = world->fd;
    world->fd = fd;
    struct backup_job job = job_of(world, &world->places[1]);
    assert_int_not_equal(backup_check(&job, &result), OK);
    assert_int_not_equal(try_restore(world, &world->places[1], &result), OK);
    assert_true(strlen(world->problem) > 0);
    world->fd = whole_fd;
}

static int copy_of(const char *bytes, size_t size) {
    int fd = make_file();
    assert_int_equal(write(fd, bytes, size), size);
    return fd;
}

static char *content_of(int fd, size_t *ret_size) {
    *ret_size = (size_t)lseek(fd, 0, SEEK_END);
    char *bytes = malloc(*ret_size + 1);
    assert_int_equal(pread(fd, bytes, *ret_size, 0), *ret_size);
    return bytes;
}

static void what_is_cut_off_or_changed_is_refused_and_changes_nothing(void **state) {
    struct world *world = *state;
    size_t size;
    fill_with_hard_values(&world->places[0]);
    back_up(world, &world->places[0]);
    char *bytes = content_of(world->fd, &size);
    for (size_t i = 0; i < 24; i++) {
        size_t place = i < 3 ? (size_t[]){ 0, 10, size - 1 }[i] : random_below(size);
        char change = (char)(1 << random_below(8));
        print_message("byte %zu of %zu, changed by %d\n", place, size, change);
        int cut_fd = copy_of(bytes, place);
        bytes[place] ^= change;
        int changed_fd = copy_of(bytes, size);
        bytes[place] ^= change;
        expect_damage_noticed(world, cut_fd);
        expect_damage_noticed(world, changed_fd);
        close(cut_fd);
        close(changed_fd);
    }
    int fd = copy_of(bytes, size);
    assert_int_equal(write(fd, "\n", 1), 1);
    expect_damage_noticed(world, fd);
    close(fd);
    free(bytes);
    expect_untouched(&world->places[1]);
    restore(world, &world->places[1]);
    assert_int_equal(read_number(&world->places[1], &count_users), 3);
}

static void another_file_is_no_backup(void **state) {
    struct world *world = *state;
    assert_int_equal(write(world->fd, "SQLite format 3, or some such", 29), 29);
    expect_refusal(world, &world->places[1], ERR_BAD_REQUEST, "no backup");
    expect_untouched(&world->places[1]);
}

/* ---- Where it is restored ----------------------------------------------------------------------------------------------------------- */

static void only_an_empty_database_is_restored_into(void **state) {
    struct world *world = *state;
    fill_with_hard_values(&world->places[0]);
    back_up(world, &world->places[0]);
    expect_refusal(world, &world->places[0], ERR_CONFLICT, "empty");
    assert_int_equal(read_number(&world->places[0], &count_users), 3);

    struct db *db = open_database(world->places[1].url, DB_WRITER);
    execute(db, "CREATE TABLE recipe(id BIGINT NOT NULL PRIMARY KEY)");
    db_close(db);
    expect_refusal(world, &world->places[1], ERR_CONFLICT, "something else");
    static const struct query count_recipes = { "SELECT count(*) FROM recipe" };
    assert_int_equal(read_number(&world->places[1], &count_recipes), 0);
}

static void nobody_opens_what_is_being_restored(void **state) {
    struct world *world = *state;
    char problem[256] = "";
    struct store *store;
    fill_with_hard_values(&world->places[0]);
    back_up(world, &world->places[0]);
    struct db *db = open_database(world->places[1].url, DB_WRITER);
    assert_int_equal(schema_begin_restore(db, 1, problem, sizeof problem), OK);
    execute(db, "INSERT INTO user(id, username, display_name, created_ms) VALUES(4, 'half', 'half', 0)");
    db_close(db);
    assert_int_equal(store_open(&world->places[1].config, &store, problem, sizeof problem), ERR_CONFIG);
    assert_non_null(strstr(problem, "restored"));
    assert_int_equal(store_inspect(&world->places[1].config, &store, problem, sizeof problem), ERR_CONFIG);
    const struct backup_job job = job_of(world, &world->places[1]);
    struct backup_result result;
    assert_int_equal(backup_write(&job, &result), ERR_CONFIG);

    restore(world, &world->places[1]); /* but it can be begun again */
    assert_int_equal(read_number(&world->places[1], &count_users), 3);
    assert_int_equal(store_open(&world->places[1].config, &store, problem, sizeof problem), OK);
    store_close(store);
}

static void nobody_is_connected_meanwhile(void **state) {
    struct world *world = *state;
    skip_without_mariadb();
    fill_with_hard_values(&world->places[0]);
    back_up(world, &world->places[0]);
    struct db *db = open_database(world->places[1].url, DB_READER);
    expect_refusal(world, &world->places[1], ERR_CONFLICT, "connected");
    db_close(db);
    restore(world, &world->places[1]);
}

static void a_running_server_keeps_its_file(void **state) {
    struct world *world = *state;
    struct store *store;
    skip_on_mariadb();
    fill_with_hard_values(&world->places[0]);
    back_up(world, &world->places[0]);
    assert_int_equal(store_open(&world->places[1].config, &store, world->problem, sizeof world->problem), OK);
    expect_refusal(world, &world->places[1], ERR_CONFLICT, "in use");
    store_close(store);
    restore(world, &world->places[1]); /* empty, though it has tables */
    assert_int_equal(read_number(&world->places[1], &count_users), 3);
}

static void a_backup_of_an_older_schema_gets_the_newest(void **state) {
    static const struct query newest = { "SELECT max(step) FROM migration" };
    static const struct query sum_of_new_column = { "SELECT sum(media_bytes) + count(*) FROM user" };
    struct world *world = *state;
    struct db *db = make_schema(&world->places[0], 1);
    execute(db, "INSERT INTO user(id, username, display_name, created_ms) VALUES(4, 'old', 'old', 0)");
    db_close(db);
    back_up(world, &world->places[0]);
    assert_int_equal(read_number(&world->places[0], &newest), 1); /* looking at it changes nothing */
    restore(world, &world->places[1]);
    restore(world, &world->places[2]);
    for (int i = 1; i < PLACES; i++) {
        assert_int_equal(read_number(&world->places[i], &newest), schema_newest());
        assert_int_equal(read_number(&world->places[i], &sum_of_new_column), 1);
    }
}

/* ---- The log -------------------------------------------------------------------------------------------------------------------------- */

static struct place place_of(const struct fixture *fixture) {
    struct place place = { .config = fixture->config };
    snprintf(place.folder, sizeof place.folder, "%s", fixture->folder);
    snprintf(place.url, sizeof place.url, "%s", fixture->url);
    return place;
}

/* Its strings are those of the configuration that place_of() has, which is not used any more. */
static void move_to(struct fixture *fixture, const struct place *place) {
    fixture_close(fixture);
    free(fixture->config.db);
    free(fixture->config.data_dir);
    fixture->config.db = strdup(place->url);
    fixture->config.data_dir = strdup(place->folder);
    fixture_open(fixture);
}

static enum token_state judge(struct fixture *fixture, uint64_t token) {
    uint64_t head;
    enum token_state result = TOKEN_GOOD;
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    assert_int_equal(read_token(fixture->reader, token, &result), OK);
    read_end(fixture->reader);
    return result;
}

static void the_log_goes_on_where_nothing_was_given_before(void **state) {
    struct world *world = *state;
    void *opened;
    assert_int_equal(fixture_set_up(&opened), 0);
    struct fixture *fixture = opened;
    const struct place own = place_of(fixture);
    uint64_t alice = make_user(fixture, "alice"), chat = make_group(fixture, alice, NULL, 0);
    uint64_t kept = post_ok(fixture, alice, chat, "kept");
    struct backup_result backup = back_up(world, &own);
    uint64_t lost = post_ok(fixture, alice, chat, "lost");
    struct backup_result restored = restore(world, &world->places[1]);
    assert_true(log_position(restored.head_id) >= log_position(backup.head_id) + (UINT64_C(1) << 31));
    assert_true(log_position(restored.head_id) < log_position(backup.head_id) + (UINT64_C(1) << 32));

    move_to(fixture, &world->places[1]);
    assert_true(store_head(fixture->store) == restored.head_id && store_floor(fixture->store) == restored.head_id);
    assert_int_equal(judge(fixture, kept), TOKEN_EXPIRED);
    assert_int_equal(judge(fixture, lost), TOKEN_EXPIRED);
    assert_int_equal(judge(fixture, restored.head_id), TOKEN_GOOD);
    uint64_t next = post_ok(fixture, alice, chat, "next");
    assert_int_equal(log_position(next), log_position(restored.head_id) + 1);
    assert_int_equal(judge(fixture, restored.head_id), TOKEN_GOOD);
    fixture_reopen(fixture);
    assert_true(store_head(fixture->store) == next);
    move_to(fixture, &own);
    assert_int_equal(fixture_tear_down(&opened), 0);
}

static const struct query count_events = { "SELECT count(*) FROM event" };
static const struct query floor_of_log = { "SELECT number FROM meta WHERE name = 'floor'" };

static size_t messages_of(struct fixture *fixture, uint64_t user_id, uint64_t chat_id) {
    const struct page_request request = { .chat_id = chat_id, .direction = PAGE_BEFORE, .limit = LIMIT_PAGE_ITEMS };
    struct message *messages;
    size_t count = 0;
    uint64_t head;
    bool more;
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    assert_int_equal(read_messages(fixture->reader, user_id, &request, &fixture->arena, &messages, &count, &more), OK);
    read_end(fixture->reader);
    return count;
}

static void what_was_restored_expires_as_before(void **state) {
    struct world *world = *state;
    void *opened;
    assert_int_equal(fixture_set_up(&opened), 0);
    struct fixture *fixture = opened;
    const struct place own = place_of(fixture);
    uint64_t alice = make_user(fixture, "alice"), chat = make_group(fixture, alice, NULL, 0);
    for (int i = 0; i < 5; i++)
        post_ok(fixture, alice, chat, "text");
    back_up(world, &own);
    struct backup_result restored = restore(world, &world->places[1]);

    fixture->config.retention_ms = DAY_MS;
    move_to(fixture, &world->places[1]);
    uint64_t rows = count_rows(&fixture->config, &count_events);
    sweep_all(fixture);
    assert_int_equal(count_rows(&fixture->config, &count_events), rows); /* it is young, though below the floor */
    assert_int_equal(messages_of(fixture, alice, chat), 5);
    struct db *db = open_database(world->places[1].url, DB_WRITER);
    execute(db, "UPDATE event SET created_ms = created_ms - 172800000");
    db_close(db);
    fixture_reopen(fixture);
    assert_int_equal(messages_of(fixture, alice, chat), 0);
    sweep_all(fixture);
    assert_int_equal(count_rows(&fixture->config, &count_events), 0);
    assert_int_equal(count_rows(&fixture->config, &floor_of_log), restored.head_id); /* which never sinks */
    move_to(fixture, &own);
    assert_int_equal(fixture_tear_down(&opened), 0);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_list_has_every_table_and_column_of_the_schema),
        TEST(only_what_is_written_last_follows_nothing),
        TEST(every_value_comes_back_on_either_database),
        TEST(a_text_of_the_longest_fits),
        TEST(what_is_cut_off_or_changed_is_refused_and_changes_nothing),
        TEST(another_file_is_no_backup),
        TEST(only_an_empty_database_is_restored_into),
        TEST(nobody_opens_what_is_being_restored),
        TEST(nobody_is_connected_meanwhile),
        TEST(a_running_server_keeps_its_file),
        TEST(a_backup_of_an_older_schema_gets_the_newest),
        TEST(the_log_goes_on_where_nothing_was_given_before),
        TEST(what_was_restored_expires_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
