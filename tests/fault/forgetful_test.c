/* Proves the forgetful VFS: a child writes numbered rows through it, tells
 * each commit over a pipe and is killed with SIGKILL; this process then looks
 * at what is left with the VFS of the system.
 *
 * Started again with the argument "writer" this program is that child. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs setjmp.h, stdarg.h, stddef.h and stdint.h before it */

#include "db/sqlite_gather.h"
#include "db/sqlite_log.h"
#include "tests/fault/forgetful_vfs.h"

#define PATH_BYTES 256
#define SQL_BYTES 256
#define KILL_AFTER_COMMITS 150
#define ROUNDS 6
#define MOVER_ROUNDS 12
#define TRUNCATE_EVERY 45

struct writer {
    pid_t pid;
    int reports; /* read end of the pipe */
};

/* ---- the child ---- */

static void must(int condition, const char *what) {
    if (condition)
        return;
    fprintf(stderr, "forgetful_test: %s failed\n", what);
    _exit(3);
}

static void must_exec(sqlite3 *db, const char *sql) { must(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, sql); }

static long long query_number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement;
    long long number = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

/* A second connection that reads all the time, as the server's do. */
static void *read_always(void *path) {
    sqlite3 *db;
    long long last = 0;

    must(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK, "open");
    sqlite3_busy_timeout(db, 5000);
    for (;;) {
        long long now = query_number(db, "SELECT coalesce(max(n), 0) FROM rows");

        must(now >= last, "a reader that sees every commit");
        last = now;
    }
    return NULL;
}

static void open_for_writing(const char *path, const char *synchronous, sqlite3 **ret_db) {
    const char *vfs = strcmp(synchronous, "FULL") == 0 ? sqlite_gather_vfs() : NULL;
    char sql[SQL_BYTES];
    sqlite3 *db;

    must(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs) == SQLITE_OK, "open");
    sqlite3_busy_timeout(db, 5000);
    must_exec(db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=40;"
                  "PRAGMA synchronous=FULL; PRAGMA mmap_size=1000000;"
                  "CREATE TABLE IF NOT EXISTS rows(n INTEGER PRIMARY KEY, filler BLOB)");
    snprintf(sql, sizeof(sql), "PRAGMA synchronous=%s", synchronous);
    must_exec(db, sql);
    *ret_db = db;
}

/* As the server does it: two connections move the log, here every few commits. */
static struct sqlite_log *take_over_checkpoints(const char *path, sqlite3 *db) {
    static const struct sqlite_log_sizes sizes = { .due = 40, .rest = 4, .ahead = 80 };
    struct sqlite_log *log;

    must_exec(db, "PRAGMA wal_autocheckpoint=0");
    log = sqlite_log_open(path, db, &sizes);
    must(log != NULL, "memory");
    return log;
}

static void commit_row(sqlite3 *db, long long n) {
    char sql[SQL_BYTES];

    snprintf(sql, sizeof(sql), "INSERT INTO rows VALUES(%lld, randomblob(%lld))", n, 10 + n * 37 % 3000);
    must_exec(db, sql);
}

/* Never returns normally: it writes until it is killed. */
static void writer_main(const char *path, const char *synchronous, int reports) {
    pthread_t reader;
    sqlite3 *db;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    must(vfs && strcmp(vfs->zName, forgetful_vfs_name) == 0, "the shim as default VFS");
    open_for_writing(path, synchronous, &db);
    must(pthread_create(&reader, NULL, read_always, (void *)(uintptr_t)path) == 0, "thread");
    for (long long n = query_number(db, "SELECT coalesce(max(n), 0) FROM rows") + 1;; n++) {
        commit_row(db, n);
        must(write(reports, &n, sizeof(n)) == sizeof(n), "report");
    }
}

/* The same, where two threads move the log, and truncate it now and then. */
static void mover_main(const char *path, const char *synchronous, int reports) {
    struct sqlite_log *log;
    pthread_t reader;
    sqlite3 *db;

    open_for_writing(path, synchronous, &db);
    log = take_over_checkpoints(path, db);
    must(pthread_create(&reader, NULL, read_always, (void *)(uintptr_t)path) == 0, "thread");
    for (long long n = query_number(db, "SELECT coalesce(max(n), 0) FROM rows") + 1;; n++) {
        commit_row(db, n);
        must(write(reports, &n, sizeof(n)) == sizeof(n), "report");
        must(sqlite_log_move(log) == SQLITE_OK, "moving the log");
        if (n % TRUNCATE_EVERY == 0 && sqlite_log_is_short(log))
            must((sqlite_log_truncate(log) & ~SQLITE_BUSY) == 0, "truncating the log");
    }
}

/* A normal end is no power cut. */
static void quitter_main(const char *path) {
    sqlite3 *db;

    open_for_writing(path, "OFF", &db);
    commit_row(db, 1);
    commit_row(db, 2);
    exit(0);
}

/* ---- the parent ---- */

static struct writer writer_start(const char *role, const char *path, const char *synchronous, const char *seed) {
    int ends[2];
    char end[16];
    struct writer writer;

    assert_int_equal(pipe(ends), 0);
    writer.pid = fork();
    assert_true(writer.pid >= 0);
    if (writer.pid == 0) {
        close(ends[0]);
        snprintf(end, sizeof(end), "%d", ends[1]);
        setenv("PARLEY_FORGETFUL_VFS", "1", 1);
        if (seed)
            setenv("PARLEY_FORGETFUL_SEED", seed, 1);
        execl("/proc/self/exe", "forgetful_test", role, path, synchronous, end, NULL);
        _exit(127);
    }
    close(ends[1]);
    writer.reports = ends[0];
    return writer;
}

static long long next_report(const struct writer *writer) {
    long long n = 0;
    ssize_t got;

    do
        got = read(writer->reports, &n, sizeof(n));
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(n) ? n : -1;
}

/* Kills after `commits` more reports; returns the last number reported. */
static long long writer_kill_after(struct writer *writer, int commits) {
    long long last = 0;
    int status;

    for (int i = 0; i < commits; i++) {
        last = next_report(writer);
        assert_true(last > 0);
    }
    assert_int_equal(kill(writer->pid, SIGKILL), 0);
    for (long long n = next_report(writer); n > 0; n = next_report(writer))
        last = n;
    close(writer->reports);
    assert_int_equal(waitpid(writer->pid, &status, 0), writer->pid);
    assert_true(WIFSIGNALED(status));
    return last;
}

static sqlite3 *open_plain(const char *path) {
    sqlite3 *db;

    assert_string_not_equal(sqlite3_vfs_find(NULL)->zName, forgetful_vfs_name);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void assert_sound(sqlite3 *db) {
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
}

static long long rows_left(const char *path, int want_sound) {
    sqlite3 *db = open_plain(path);
    long long rows = query_number(db, "SELECT count(*) FROM rows");

    if (want_sound)
        assert_sound(db);
    sqlite3_close(db);
    return rows < 0 ? 0 : rows;
}

static int make_folder(void **state) {
    char *folder = strdup("/tmp/parley-forgetful-XXXXXX");

    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    static const char *const names[] = { "db", "db-wal", "db-shm", "db-journal" };
    char path[PATH_BYTES];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", (char *)*state, names[i]);
        unlink(path);
    }
    rmdir(*state);
    free(*state);
    return 0;
}

static void database_path(void **state, char path[PATH_BYTES]) { snprintf(path, PATH_BYTES, "%s/db", (char *)*state); }

/* Many power cuts in a row; some fall into a checkpoint (every 40 pages). */
static void keep_every_row(void **state, const char *role, const char *first_seed, int rounds) {
    char path[PATH_BYTES];
    char seed[24];

    database_path(state, path);
    for (int round = 0; round < rounds; round++) {
        struct writer writer;
        long long last;

        snprintf(seed, sizeof(seed), "%s%d", first_seed ? first_seed : "", round);
        writer = writer_start(role, path, "FULL", first_seed ? seed : NULL);
        last = writer_kill_after(&writer, KILL_AFTER_COMMITS + round * 7);
        assert_true(rows_left(path, 1) >= last);
    }
}

static void full_keeps_every_reported_row(void **state) { keep_every_row(state, "writer", NULL, ROUNDS); }

static void full_keeps_every_reported_row_when_writes_survive_in_part(void **state) { keep_every_row(state, "writer", "7", ROUNDS); }

static void a_log_moved_by_two_threads_keeps_every_reported_row(void **state) { keep_every_row(state, "mover", NULL, MOVER_ROUNDS); }

static void a_log_moved_by_two_threads_keeps_every_reported_row_when_writes_survive_in_part(void **state) {
    keep_every_row(state, "mover", "11", MOVER_ROUNDS);
}

static void off_loses_rows(void **state) {
    char path[PATH_BYTES];
    struct writer writer;
    long long last;

    database_path(state, path);
    writer = writer_start("writer", path, "OFF", NULL);
    last = writer_kill_after(&writer, KILL_AFTER_COMMITS);
    assert_true(rows_left(path, 0) < last);
}

static void normal_loses_rows_but_stays_sound(void **state) {
    char path[PATH_BYTES];
    long long last;
    long long rows;
    int lost = 0;

    database_path(state, path);
    for (int round = 0; round < ROUNDS; round++) {
        struct writer writer = writer_start("writer", path, "NORMAL", "3");

        last = writer_kill_after(&writer, KILL_AFTER_COMMITS + round);
        rows = rows_left(path, 1);
        lost += rows < last;
    }
    assert_true(lost > 0);
}

static void a_normal_exit_forgets_nothing(void **state) {
    char path[PATH_BYTES];
    struct writer writer;
    int status;

    database_path(state, path);
    writer = writer_start("quitter", path, "OFF", NULL);
    assert_int_equal(waitpid(writer.pid, &status, 0), writer.pid);
    close(writer.reports);
    assert_int_equal(status, 0);
    assert_int_equal(rows_left(path, 1), 2);
}

/* ---- the methods one by one, in a child's stead: started as "methods" ---- */

struct pair {
    sqlite3_vfs *vfs;
    sqlite3_file *one;
    sqlite3_file *two;
};

static const int open_flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB;

static sqlite3_file *vfs_file(sqlite3_vfs *vfs, const char *path) {
    sqlite3_file *file = calloc(1, (size_t)vfs->szOsFile);

    must(file != NULL, "memory");
    must(vfs->xOpen(vfs, path, file, open_flags, NULL) == SQLITE_OK, "xOpen");
    return file;
}

static long long size_of(sqlite3_file *file) {
    sqlite3_int64 size = -1;

    must(file->pMethods->xFileSize(file, &size) == SQLITE_OK, "xFileSize");
    return size;
}

static void check_short_reads(const struct pair *pair) {
    unsigned char bytes[8];
    static const unsigned char half[8] = { 'a', 'b', 'c' };

    must(pair->one->pMethods->xWrite(pair->one, "abc", 3, 5000) == SQLITE_OK, "xWrite");
    memset(bytes, 0xff, sizeof(bytes));
    must(pair->two->pMethods->xRead(pair->two, bytes, 8, 5000) == SQLITE_IOERR_SHORT_READ, "a short read at the end");
    must(memcmp(bytes, half, 8) == 0, "zero fill after a short read");
    memset(bytes, 0xff, sizeof(bytes));
    must(pair->two->pMethods->xRead(pair->two, bytes, 8, 9000) == SQLITE_IOERR_SHORT_READ, "a read after the end");
    must(memcmp(bytes, "\0\0\0\0\0\0\0\0", 8) == 0, "zero fill after the end");
    must(pair->two->pMethods->xRead(pair->two, bytes, 8, 100) == SQLITE_OK, "a hole");
    must(memcmp(bytes, "\0\0\0\0\0\0\0\0", 8) == 0, "zeros in a hole");
    must(size_of(pair->two) == 5003, "one size for both handles");
}

static void check_truncate(const struct pair *pair) {
    unsigned char bytes[4];

    must(pair->one->pMethods->xSync(pair->one, SQLITE_SYNC_NORMAL) == SQLITE_OK, "xSync");
    must(pair->one->pMethods->xTruncate(pair->one, 5001) == SQLITE_OK, "xTruncate");
    must(size_of(pair->two) == 5001, "a shorter file");
    must(pair->one->pMethods->xWrite(pair->one, "z", 1, 5003) == SQLITE_OK, "xWrite");
    must(pair->two->pMethods->xRead(pair->two, bytes, 4, 5000) == SQLITE_OK, "xRead");
    must(memcmp(bytes, "a\0\0z", 4) == 0, "zeros where the file was cut");
}

static void check_below(const struct pair *pair, const char *path) {
    char bytes[6000] = "";
    FILE *file = fopen(path, "rb");

    must(file != NULL, "fopen");
    must(fread(bytes, 1, sizeof(bytes), file) == 5003, "the file as it was synced");
    must(memcmp(bytes + 5000, "abc", 3) == 0, "the bytes as they were synced");
    rewind(file);
    must(pair->two->pMethods->xSync(pair->two, SQLITE_SYNC_FULL) == SQLITE_OK, "xSync");
    must(fread(bytes, 1, sizeof(bytes), file) == 5004, "the new length");
    must(memcmp(bytes + 5000, "a\0\0z", 4) == 0, "the new bytes");
    fclose(file);
}

static void check_names(const struct pair *pair, const char *path) {
    int there = 0;

    must(pair->one->pMethods->xWrite(pair->one, "x", 1, 0) == SQLITE_OK, "xWrite");
    must(pair->one->pMethods->xClose(pair->one) == SQLITE_OK, "xClose");
    must(pair->two->pMethods->xClose(pair->two) == SQLITE_OK, "xClose");
    must(pair->vfs->xOpen(pair->vfs, path, pair->one, open_flags, NULL) == SQLITE_OK, "xOpen");
    must(size_of(pair->one) == 5004, "an image that outlives its handles");
    must(pair->vfs->xDelete(pair->vfs, path, 0) == SQLITE_OK, "xDelete");
    must(pair->vfs->xAccess(pair->vfs, path, SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK, "xAccess");
    must(!there, "a deleted file that is gone");
    must(pair->vfs->xOpen(pair->vfs, path, pair->two, open_flags, NULL) == SQLITE_OK, "xOpen");
    must(size_of(pair->two) == 0, "a new file after a deletion");
    must(pair->two->pMethods->xWrite(pair->two, "y", 1, 0) == SQLITE_OK, "xWrite");
    must(pair->vfs->xAccess(pair->vfs, path, SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK, "xAccess");
    must(there, "an unsynced file that exists");
    must(size_of(pair->one) == 5004, "a handle on what was deleted");
}

static void methods_main(const char *path) {
    struct pair pair = { .vfs = sqlite3_vfs_find(forgetful_vfs_name) };

    must(pair.vfs != NULL, "the shim by its name");
    pair.one = vfs_file(pair.vfs, path);
    pair.two = vfs_file(pair.vfs, path);
    must(pair.one->pMethods->iVersion == 2, "no memory mapping");
    must((pair.one->pMethods->xDeviceCharacteristics(pair.one) & ~SQLITE_IOCAP_POWERSAFE_OVERWRITE) == 0, "no atomic writes");
    check_short_reads(&pair);
    check_truncate(&pair);
    check_below(&pair, path);
    check_names(&pair, path);
    pair.one->pMethods->xClose(pair.one);
    pair.two->pMethods->xClose(pair.two);
    free(pair.one);
    free(pair.two);
    exit(0);
}

static void methods_keep_their_contracts(void **state) {
    char path[PATH_BYTES];
    struct writer child;
    int status;

    database_path(state, path);
    child = writer_start("methods", path, "-", NULL);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    close(child.reports);
    assert_int_equal(status, 0);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(int argc, char **argv) {
    static const struct CMUnitTest tests[] = {
        IN_FOLDER(methods_keep_their_contracts),
        IN_FOLDER(full_keeps_every_reported_row),
        IN_FOLDER(full_keeps_every_reported_row_when_writes_survive_in_part),
        IN_FOLDER(a_log_moved_by_two_threads_keeps_every_reported_row),
        IN_FOLDER(a_log_moved_by_two_threads_keeps_every_reported_row_when_writes_survive_in_part),
        IN_FOLDER(off_loses_rows),
        IN_FOLDER(normal_loses_rows_but_stays_sound),
        IN_FOLDER(a_normal_exit_forgets_nothing),
    };

    if (argc == 5 && strcmp(argv[1], "writer") == 0)
        writer_main(argv[2], argv[3], atoi(argv[4]));
    if (argc == 5 && strcmp(argv[1], "mover") == 0)
        mover_main(argv[2], argv[3], atoi(argv[4]));
    if (argc == 5 && strcmp(argv[1], "quitter") == 0)
        quitter_main(argv[2]);
    if (argc == 5 && strcmp(argv[1], "methods") == 0)
        methods_main(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
