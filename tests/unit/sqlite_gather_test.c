/* What a commit adds to the log is written at once, and fails as it would have failed page by page. */
#include "unit.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/limits.h"
#include "db/sqlite_gather.h"

#define PATH_BYTES 128
#define ROWS_OF_A_BATCH 40 /* of a page and more each, so that a batch has more pages than fit in one write */

/* ---- The storage below: SQLite's own, whose log counts and may fail ---- */

struct counted_file {
    sqlite3_file base;
    sqlite3_file below[];
};

static sqlite3_vfs *plain;
static struct {
    unsigned writes, syncs; /* of the log */
    int write_code;         /* SQLITE_OK: writes are done */
    sqlite3_int64 room;     /* where the disk is full; 0: nowhere */
    bool harms_neighbours;
} storage;

static sqlite3_file *below(sqlite3_file *file) { return ((struct counted_file *)file)->below; }

static int counted_close(sqlite3_file *file) { return below(file)->pMethods->xClose(below(file)); }

static int counted_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset) {
    return below(file)->pMethods->xRead(below(file), bytes, size, offset);
}

static int counted_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset) {
    storage.writes++;
    if (storage.room && offset + size > storage.room)
        return SQLITE_FULL;
    return storage.write_code == SQLITE_OK ? below(file)->pMethods->xWrite(below(file), bytes, size, offset) : storage.write_code;
}

static int counted_truncate(sqlite3_file *file, sqlite3_int64 size) { return below(file)->pMethods->xTruncate(below(file), size); }

static int counted_sync(sqlite3_file *file, int flags) {
    storage.syncs++;
    return below(file)->pMethods->xSync(below(file), flags);
}

static int counted_size(sqlite3_file *file, sqlite3_int64 *ret_size) { return below(file)->pMethods->xFileSize(below(file), ret_size); }

static int counted_control(sqlite3_file *file, int operation, void *argument) {
    return below(file)->pMethods->xFileControl(below(file), operation, argument);
}

static int counted_characteristics(sqlite3_file *file) {
    int all = below(file)->pMethods->xDeviceCharacteristics(below(file));
    return storage.harms_neighbours ? all & ~SQLITE_IOCAP_POWERSAFE_OVERWRITE : all;
}

static const sqlite3_io_methods counted_methods = {
    .iVersion = 1,
    .xClose = counted_close,
    .xRead = counted_read,
    .xWrite = counted_write,
    .xTruncate = counted_truncate,
    .xSync = counted_sync,
    .xFileSize = counted_size,
    .xFileControl = counted_control,
    .xDeviceCharacteristics = counted_characteristics,
};

static int counted_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags) {
    struct counted_file *counted = (struct counted_file *)file;
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL))
        return plain->xOpen(plain, path, file, flags, ret_flags);
    counted->below->pMethods = NULL;
    int code = plain->xOpen(plain, path, counted->below, flags, ret_flags);
    counted->base.pMethods = counted->below->pMethods ? &counted_methods : NULL;
    return code;
}

static int register_storage(void **state) {
    static sqlite3_vfs counted;
    (void)state;
    plain = sqlite3_vfs_find(NULL);
    counted = *plain;
    counted.zName = "counted";
    counted.szOsFile = (int)sizeof(struct counted_file) + plain->szOsFile;
    counted.xOpen = counted_open;
    return sqlite3_vfs_register(&counted, 1);
}

/* ---- The database ---- */

struct place {
    char folder[64];
    char path[PATH_BYTES];
    sqlite3 *writer;
};

static void execute(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void begin_counting(void) { storage.writes = storage.syncs = 0; }

static int64_t number(const struct place *place, const char *sql) {
    sqlite3_stmt *statement = NULL;
    sqlite3 *reader = NULL;
    assert_int_equal(sqlite3_open_v2(place->path, &reader, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(reader, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(reader);
    return value;
}

static int insert(struct place *place, int rows) {
    char sql[256];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO item(filler) SELECT randomblob(3000) FROM n",
             rows);
    return sqlite3_exec(place->writer, sql, NULL, NULL, NULL);
}

static void is_whole(const struct place *place, int64_t rows) {
    assert_int_equal(number(place, "SELECT count(*) FROM item"), rows);
    assert_int_equal(number(place, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
}

static void open_writer(struct place *place) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    assert_non_null(sqlite_gather_vfs());
    assert_int_equal(sqlite3_open_v2(place->path, &place->writer, flags, sqlite_gather_vfs()), SQLITE_OK);
    execute(place->writer, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
                           "CREATE TABLE IF NOT EXISTS item(id INTEGER PRIMARY KEY, filler BLOB)");
}

static int set_up(void **state) {
    struct place *place = calloc(1, sizeof *place);
    storage.write_code = SQLITE_OK;
    storage.harms_neighbours = false;
    storage.room = 0;
    snprintf(place->folder, sizeof place->folder, "/tmp/parley-unit-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/gather.db", place->folder);
    open_writer(place);
    *state = place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    sqlite3_close(place->writer);
    unlink(place->path);
    int result = rmdir(place->folder);
    free(place);
    return result;
}

/* ---- Tests ---- */

static void a_commit_is_one_write_and_one_sync(void **state) {
    struct place *place = *state;
    assert_int_equal(insert(place, 2), SQLITE_OK);
    begin_counting();
    assert_int_equal(insert(place, 5), SQLITE_OK);
    assert_int_equal(storage.writes, 1);
    assert_int_equal(storage.syncs, 1);
    is_whole(place, 7);
}

static void a_long_commit_is_a_few_writes(void **state) {
    struct place *place = *state;
    begin_counting();
    assert_int_equal(insert(place, ROWS_OF_A_BATCH), SQLITE_OK);
    assert_in_range(storage.writes, 2, 3);
    assert_int_equal(storage.syncs, 1);
    is_whole(place, ROWS_OF_A_BATCH);
}

static void a_log_that_begins_anew_is_whole(void **state) {
    struct place *place = *state;
    assert_int_equal(insert(place, ROWS_OF_A_BATCH), SQLITE_OK);
    execute(place->writer, "PRAGMA wal_checkpoint(PASSIVE)");
    assert_int_equal(insert(place, 1), SQLITE_OK);
    is_whole(place, ROWS_OF_A_BATCH + 1);
    execute(place->writer, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(insert(place, 1), SQLITE_OK);
    is_whole(place, ROWS_OF_A_BATCH + 2);
}

/* Pages go to the log before the commit, are read from there, and change again: their frames are rewritten. */
static void a_transaction_larger_than_the_cache_is_whole(void **state) {
    struct place *place = *state;
    execute(place->writer, "PRAGMA cache_size=4; BEGIN");
    for (int i = 0; i < 20; i++) {
        assert_int_equal(insert(place, 10), SQLITE_OK);
        execute(place->writer, "UPDATE item SET filler = randomblob(2900) WHERE id % 7 = 0");
    }
    execute(place->writer, "COMMIT");
    is_whole(place, 200);
}

static void what_was_rolled_back_is_gone(void **state) {
    struct place *place = *state;
    execute(place->writer, "PRAGMA cache_size=4; BEGIN");
    assert_int_equal(insert(place, ROWS_OF_A_BATCH), SQLITE_OK);
    execute(place->writer, "ROLLBACK");
    assert_int_equal(insert(place, 3), SQLITE_OK);
    is_whole(place, 3);
}

/* On a disk that is full, or broken, when the bytes are written at last. */
static void a_commit_fails_as_its_write_does(void **state) {
    static const int codes[] = { SQLITE_FULL, SQLITE_IOERR_WRITE };
    struct place *place = *state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        assert_int_equal(insert(place, 1), SQLITE_OK);
        storage.write_code = codes[i];
        begin_counting();
        assert_int_equal(insert(place, 1), codes[i] & 0xff);
        assert_int_equal(storage.syncs, 0);
        storage.write_code = SQLITE_OK;
        is_whole(place, (int64_t)i + 1);
    }
    assert_int_equal(insert(place, ROWS_OF_A_BATCH), SQLITE_OK);
    is_whole(place, (int64_t)COUNT_OF(codes) + ROWS_OF_A_BATCH);
}

static off_t log_bytes(const struct place *place) {
    char path[PATH_BYTES + 8];
    struct stat status;
    snprintf(path, sizeof path, "%s-wal", place->path);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void the_file_is_made_longer_seldom(void **state) {
    struct place *place = *state;
    unsigned changes = 0;
    off_t last = log_bytes(place);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(insert(place, 5), SQLITE_OK);
        changes += log_bytes(place) != last;
        last = log_bytes(place);
    }
    assert_in_range(changes, 2, 4);
    is_whole(place, 1000);
    execute(place->writer, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(log_bytes(place), 0);
    assert_int_equal(insert(place, 5), SQLITE_OK);
    assert_in_range(log_bytes(place), LIMIT_WAL_EMPTY_BYTES, LIMIT_WAL_EMPTY_BYTES + 64 * 1024);
    is_whole(place, 1005);
}

static void a_disk_without_room_for_more_has_the_commit(void **state) {
    struct place *place = *state;
    execute(place->writer, "PRAGMA wal_checkpoint(TRUNCATE)");
    storage.room = 128 * 1024;
    assert_int_equal(insert(place, 5), SQLITE_OK);
    assert_int_equal(insert(place, 5), SQLITE_OK);
    is_whole(place, 10);
    assert_int_equal(insert(place, 2 * ROWS_OF_A_BATCH), SQLITE_FULL);
    assert_int_equal(insert(place, 1), SQLITE_OK);
    is_whole(place, 11);
}

/* SQLite then writes, after the sync, what no sync follows. */
static void nothing_waits_where_neighbours_may_be_harmed(void **state) {
    struct place *place = *state;
    sqlite3_close(place->writer);
    storage.harms_neighbours = true;
    open_writer(place);
    begin_counting();
    assert_int_equal(insert(place, 5), SQLITE_OK);
    assert_in_range(storage.writes, 10, 30);
    is_whole(place, 5);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    static const struct CMUnitTest tests[] = {
        IN_PLACE(a_commit_is_one_write_and_one_sync),
        IN_PLACE(a_long_commit_is_a_few_writes),
        IN_PLACE(a_log_that_begins_anew_is_whole),
        IN_PLACE(a_transaction_larger_than_the_cache_is_whole),
        IN_PLACE(what_was_rolled_back_is_gone),
        IN_PLACE(a_commit_fails_as_its_write_does),
        IN_PLACE(the_file_is_made_longer_seldom),
        IN_PLACE(a_disk_without_room_for_more_has_the_commit),
        IN_PLACE(nothing_waits_where_neighbours_may_be_harmed),
    };
    return cmocka_run_group_tests(tests, register_storage, NULL);
}
