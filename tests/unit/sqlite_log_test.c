/* The write-ahead log is moved by two threads while commits and readers go on: nothing is lost, and it stays short.
 *
 * PARLEY_SEED repeats a run's choices (not its timing), PARLEY_STEPS sets its length in commits. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/random.h"
#include "db/sqlite_gather.h"
#include "db/sqlite_log.h"

#define PATH_BYTES 128
#define SQL_BYTES 256
#define ITEMS 300
#define READERS 2
#define READ_GAP_COMMITS 8
#define DEFAULT_STEPS 2000
#define CHANGES_MAX 6     /* of items by a commit */
#define TRUNCATE_EVERY 97 /* commits */
#define HOLD_EVERY 100    /* reads */
#define HOLD_COMMITS 20
#define FRAME_BYTES (4096 + 24)
#define SEQUENCE_OFFSET 12 /* in the log's header: how often it was begun anew */

static const struct sqlite_log_sizes tiny = { .due = 24, .rest = 6, .ahead = 48 };

struct place {
    char folder[64];
    char path[PATH_BYTES];
    sqlite3 *writer;
    struct sqlite_log *log;
    unsigned versions[ITEMS]; /* what each item should be at */
    unsigned total;           /* of the versions; in the table `total`, too */
    uint64_t random;
    atomic_uint commits;
    atomic_bool done;
};

/* ---- The database ---- */

static void execute(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static sqlite3 *open_by(const char *vfs, const char *path) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, vfs), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    execute(db, "PRAGMA wal_autocheckpoint=0");
    return db;
}

static sqlite3 *open_plainly(const char *path) { return open_by(NULL, path); }

static int64_t number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* An item's filler follows from its version and is of some hundred bytes: its pages change hands between leaves and overflow. */
static void write_item(struct place *place, unsigned item, unsigned version) {
    char sql[SQL_BYTES];
    snprintf(sql, sizeof sql, "REPLACE INTO item VALUES (%u, %u, printf('%%0*d', %u, %u))", item, version,
             100 + (item + version) * 131 % 1900, version);
    execute(place->writer, sql);
    place->total += version - place->versions[item];
    place->versions[item] = version;
}

static void write_total(struct place *place) {
    char sql[SQL_BYTES];
    snprintf(sql, sizeof sql, "UPDATE total SET n = %u", place->total);
    execute(place->writer, sql);
}

static int set_up(void **state) {
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->folder, sizeof place->folder, "/tmp/parley-unit-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/db", place->folder);
    place->writer = open_by(sqlite_gather_vfs(), place->path);
    execute(place->writer, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;"
                           "CREATE TABLE item(id INTEGER PRIMARY KEY, version INTEGER, filler TEXT); CREATE TABLE total(n INTEGER);"
                           "INSERT INTO total VALUES (0)");
    place->log = sqlite_log_open(place->path, place->writer, &tiny);
    assert_non_null(place->log);
    for (unsigned item = 0; item < ITEMS; item++)
        write_item(place, item, 1);
    write_total(place);
    *state = place;
    return 0;
}

static void close_all(struct place *place) {
    sqlite_log_close(place->log);
    sqlite3_close(place->writer);
    place->log = NULL;
    place->writer = NULL;
}

static int tear_down(void **state) {
    static const char *const endings[] = { "", "-wal", "-shm" };
    struct place *place = *state;
    close_all(place);
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        char path[PATH_BYTES + 8];
        snprintf(path, sizeof path, "%s%s", place->path, endings[i]);
        unlink(path);
    }
    int result = rmdir(place->folder);
    free(place);
    return result;
}

static off_t file_size(const struct place *place, const char *ending) {
    char path[PATH_BYTES + 8];
    struct stat status;
    snprintf(path, sizeof path, "%s%s", place->path, ending);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

/* How often the log was begun anew; 0 when it is empty. */
static unsigned log_sequence(const struct place *place) {
    char path[PATH_BYTES + 8];
    uint8_t bytes[4] = { 0 };
    snprintf(path, sizeof path, "%s-wal", place->path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, SEQUENCE_OFFSET, SEEK_SET), 0);
    size_t got = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return got < sizeof bytes ? 0 : (unsigned)bytes[0] << 24 | (unsigned)bytes[1] << 16 | (unsigned)bytes[2] << 8 | bytes[3];
}

/* ---- What must be there ---- */

static void check_items(sqlite3 *db, const struct place *place) {
    sqlite3_stmt *statement = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT id, version, CAST(filler AS INTEGER), length(filler) FROM item ORDER BY id", -1, &statement, NULL),
        SQLITE_OK);
    for (unsigned item = 0; item < ITEMS; item++) {
        unsigned version = place->versions[item];
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int64(statement, 0), item);
        assert_int_equal(sqlite3_column_int64(statement, 1), version);
        assert_int_equal(sqlite3_column_int64(statement, 2), version);
        assert_int_equal(sqlite3_column_int64(statement, 3), 100 + (item + version) * 131 % 1900);
    }
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    sqlite3_finalize(statement);
}

static void check_all(const char *path, const struct place *place) {
    sqlite3 *db = open_plainly(path);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    assert_int_equal(number(db, "SELECT n FROM total"), place->total);
    check_items(db, place);
    sqlite3_close(db);
}

static void copy_file(const char *from, const char *to) {
    char bytes[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, in)) > 0;)
        assert_int_equal(fwrite(bytes, 1, got, out), got);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* The files as they would be found after a crash, without the index that is in memory. Nobody may write meanwhile. */
static void check_after_crash(const struct place *place) {
    char from[PATH_BYTES + 8], to[PATH_BYTES + 8], log[PATH_BYTES + 16];
    snprintf(to, sizeof to, "%s-copy", place->path);
    snprintf(log, sizeof log, "%s-wal", to);
    snprintf(from, sizeof from, "%s-wal", place->path);
    copy_file(place->path, to);
    copy_file(from, log);
    check_all(to, place); /* closing it removes the log */
    unlink(to);
}

/* ---- Commits and readers ---- */

static unsigned below(struct place *place, unsigned limit) {
    place->random = place->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((place->random >> 33) % limit);
}

static void commit_changes(struct place *place) {
    execute(place->writer, "BEGIN IMMEDIATE");
    for (unsigned i = 1 + below(place, CHANGES_MAX); i > 0; i--) {
        unsigned item = below(place, ITEMS);
        write_item(place, item, place->versions[item] + 1);
    }
    write_total(place);
    execute(place->writer, "COMMIT");
    atomic_fetch_add(&place->commits, 1);
}

/* One that will not do. */
static void roll_changes_back(struct place *place) { execute(place->writer, "BEGIN IMMEDIATE; UPDATE item SET version = 0; ROLLBACK"); }

static void wait_for_commits(struct place *place, unsigned count) {
    unsigned commits = atomic_load(&place->commits);
    while (!atomic_load(&place->done) && atomic_load(&place->commits) < commits + count)
        sched_yield();
}

static void read_once(struct place *place, sqlite3 *db, int64_t *last, bool holds) {
    execute(db, "BEGIN");
    int64_t total = number(db, "SELECT n FROM total");
    if (holds)
        wait_for_commits(place, HOLD_COMMITS);
    assert_int_equal(number(db, "SELECT sum(version) FROM item"), total);
    assert_true(total >= *last);
    *last = total;
    execute(db, "COMMIT");
}

/* Each read sees one commit, and none before the last one seen. Between reads there are times without a reader, in which the log can be begun anew. */
static void *read_always(void *context) {
    struct place *place = context;
    sqlite3 *db = open_plainly(place->path);
    int64_t last = 0;
    for (unsigned i = 0; !atomic_load(&place->done); i++) {
        read_once(place, db, &last, i % HOLD_EVERY == HOLD_EVERY - 1);
        wait_for_commits(place, i % READ_GAP_COMMITS);
    }
    sqlite3_close(db);
    return NULL;
}

static uint64_t setting(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* The log may be truncated, unless readers are in the way. */
static void truncate_log(struct place *place) {
    int code = sqlite_log_truncate(place->log);
    assert_true(code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY);
    if (code == SQLITE_OK)
        assert_int_equal(file_size(place, "-wal"), 0);
}

static void step(struct place *place, uint64_t index, bool *truncates) {
    if (below(place, 40) == 0)
        roll_changes_back(place);
    commit_changes(place);
    assert_int_equal(sqlite_log_move(place->log), SQLITE_OK);
    *truncates = *truncates || index % TRUNCATE_EVERY == 0;
    if (*truncates && sqlite_log_is_short(place->log)) {
        truncate_log(place);
        *truncates = false;
    }
}

static unsigned run_steps(struct place *place, uint64_t steps) {
    bool truncates = false;
    unsigned anew = 0, sequence = log_sequence(place);
    for (uint64_t i = 1; i <= steps; i++) {
        step(place, i, &truncates);
        unsigned now = log_sequence(place);
        anew += now != sequence;
        sequence = now;
        if (i % 1000 == 0)
            check_after_crash(place);
    }
    print_message("the log was begun anew %u times in %u commits\n", anew, (unsigned)steps);
    return anew;
}

/* Returns how often the log was begun anew. */
static unsigned stress(struct place *place, int reader_count) {
    pthread_t readers[READERS];
    place->random = setting("PARLEY_SEED", random_u64());
    print_message("PARLEY_SEED=%llu\n", (unsigned long long)place->random);
    for (int i = 0; i < reader_count; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_always, place), 0);
    unsigned anew = run_steps(place, setting("PARLEY_STEPS", DEFAULT_STEPS));
    atomic_store(&place->done, true);
    for (int i = 0; i < reader_count; i++)
        pthread_join(readers[i], NULL);
    sqlite_log_close(place->log);
    place->log = NULL;
    check_after_crash(place);
    close_all(place);
    check_all(place->path, place);
    return anew;
}

/* ---- The tests ---- */

static void nothing_is_lost(void **state) { assert_true(stress(*state, 0) > setting("PARLEY_STEPS", DEFAULT_STEPS) / 100); }

static void nothing_is_lost_beside_readers(void **state) { assert_true(stress(*state, READERS) > 0); }

/* Without a commit meanwhile nothing is left for the writer. */
static void the_bulk_is_moved_on_another_thread(void **state) {
    struct place *place = *state;
    off_t empty = file_size(place, ""), log = 0;
    while (log < (off_t)FRAME_BYTES * (tiny.due + tiny.ahead)) {
        commit_changes(place);
        log = file_size(place, "-wal");
    }
    assert_int_equal(file_size(place, ""), empty);
    assert_int_equal(sqlite_log_move(place->log), SQLITE_OK);
    while (!sqlite_log_is_short(place->log))
        sched_yield();
    assert_true(file_size(place, "") > empty);
    assert_int_equal(file_size(place, "-wal"), log);
    check_after_crash(place);
}

static void a_log_that_is_due_stays_short(void **state) {
    struct place *place = *state;
    for (int i = 0; i < 1000; i++) {
        commit_changes(place);
        assert_int_equal(sqlite_log_move(place->log), SQLITE_OK);
    }
    /* The set-up's commits came before the first move, and a commit may be as long as it likes. */
    assert_true(file_size(place, "-wal") < (off_t)FRAME_BYTES * 3 * (tiny.due + tiny.ahead) + (off_t)FRAME_BYTES * ITEMS * 3);
}

static void truncating_a_long_log_is_put_off_but_not_for_ever(void **state) {
    struct place *place = *state;
    int refused = 0;
    for (int i = 0; i < 30; i++)
        commit_changes(place);
    assert_false(sqlite_log_is_short(place->log));
    while (!sqlite_log_is_short(place->log)) {
        commit_changes(place);
        assert_true(++refused < 100000);
    }
    assert_int_equal(sqlite_log_truncate(place->log), SQLITE_OK);
    assert_int_equal(file_size(place, "-wal"), 0);
    assert_true(sqlite_log_is_short(place->log));
    check_all(place->path, place);
}

static void a_reader_is_in_the_way_of_truncating_only(void **state) {
    struct place *place = *state;
    sqlite3 *reader = open_plainly(place->path);
    execute(reader, "BEGIN");
    int64_t total = number(reader, "SELECT n FROM total");
    for (int i = 0; i < 200; i++) {
        commit_changes(place);
        assert_int_equal(sqlite_log_move(place->log), SQLITE_OK);
    }
    for (int refused = 0; !sqlite_log_is_short(place->log);) {
        commit_changes(place);
        assert_true(++refused < 100000);
    }
    assert_int_equal(sqlite_log_truncate(place->log) & 0xff, SQLITE_BUSY);
    assert_int_equal(number(reader, "SELECT sum(version) FROM item"), total);
    execute(reader, "COMMIT");
    sqlite3_close(reader);
    assert_int_equal(sqlite_log_truncate(place->log), SQLITE_OK);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    static const struct CMUnitTest tests[] = {
        IN_PLACE(nothing_is_lost),
        IN_PLACE(nothing_is_lost_beside_readers),
        IN_PLACE(the_bulk_is_moved_on_another_thread),
        IN_PLACE(a_log_that_is_due_stays_short),
        IN_PLACE(truncating_a_long_log_is_put_off_but_not_for_ever),
        IN_PLACE(a_reader_is_in_the_way_of_truncating_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
