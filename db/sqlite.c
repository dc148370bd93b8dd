/* The SQLite driver. Owns connections and their prepared statements; knows no table.
 *
 * One connection writes; all others are query_only, and none checkpoints but by what db/sqlite_log.h decides on the writer's thread. */
#include <pthread.h>
#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/limits.h"
#include "core/map.h"
#include "db/driver.h"
#include "db/sqlite_gather.h"
#include "db/sqlite_log.h"
#include "db/sqlite_pages.h"
#include "db/sqlite_recent.h"

#define BUSY_TIMEOUT_MS 5000
#define TRUNCATE_TIMEOUT_MS 100 /* posts wait meanwhile */

struct sqlite_db {
    struct db base;
    sqlite3 *handle;
    struct map statements; /* address of the query → struct statement, owned */
    enum db_mode mode;
    struct sqlite_log *log; /* the writer's */
};

struct statement {
    struct sqlite_db *db;
    sqlite3_stmt *handle;
    int bind_result; /* the first failure of a bind, given by the next step */
};

/* The one place that knows SQLite's codes. */
static enum err error_of(int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return OK;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
        return ERR_INTERNAL;
    default: /* busy, full, I/O, corrupt, read-only: the machine's or the operator's to mend */
        return ERR_DATABASE_UNAVAILABLE;
    }
}

static const char writer_setup[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA wal_autocheckpoint=0;"
                                   "PRAGMA cache_size=-131072; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF;";
static const char reader_setup[] = "PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-256; PRAGMA temp_store=MEMORY;";

static const struct sqlite_log_sizes log_sizes = { LIMIT_WAL_PAGES, LIMIT_WAL_REST_PAGES, LIMIT_WAL_AHEAD_PAGES };

static int set_up(struct sqlite_db *db, const char *path, enum db_mode mode) {
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    int code = sqlite3_exec(db->handle, mode == DB_WRITER ? writer_setup : reader_setup, NULL, NULL, NULL);
    if (code == SQLITE_OK && mode == DB_WRITER) {
        db->log = sqlite_log_open(path, db->handle, &log_sizes);
        code = db->log ? SQLITE_OK : SQLITE_NOMEM;
    }
    if (code == SQLITE_OK && mode == DB_READER)
        code = sqlite_recent_install(db->handle, &db->base);
    if (code == SQLITE_OK && mode == DB_WRITER && fault_is("synchronous_off"))
        code = sqlite3_exec(db->handle, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
    return code;
}

static void sqlite_close(struct db *base) {
    struct sqlite_db *db = (struct sqlite_db *)base;
    struct statement *statement;
    for (size_t cursor = 0; (statement = map_next(&db->statements, &cursor));) {
        sqlite3_finalize(statement->handle);
        free(statement);
    }
    map_release(&db->statements);
    sqlite_log_close(db->log);
    sqlite3_close(db->handle);
    free(db);
}

/* What SQLite has to be told before its first use; where it is in use already it refuses, and does without. It counts what it allocates, under one mutex for all
 * threads, though nobody here asks. And it allocates, and writes to, 20 pages for the cache of each connection at once: 87 KiB, of which most readers need a tenth. */
static void configure(void) {
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
    sqlite_pages_install();
}

static enum err sqlite_open(const char *target, enum db_mode mode, struct db **ret_db, char *problem, size_t problem_size) {
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    pthread_once(&configured, configure);
    struct sqlite_db *db = calloc(1, sizeof *db);
    if (!db)
        return ERR_NO_MEMORY;
    db->base.driver = &sqlite_driver;
    db->mode = mode;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | (mode == DB_WRITER ? SQLITE_OPEN_CREATE : 0);
    bool syncs = mode == DB_WRITER && !fault_is("synchronous_off");
    int code = sqlite3_open_v2(target, &db->handle, flags, syncs ? sqlite_gather_vfs() : NULL);
    if (code == SQLITE_OK)
        code = set_up(db, target, mode);
    if (code != SQLITE_OK) {
        snprintf(problem, problem_size, "PARLEY_DB: %s: %s", target, db->handle ? sqlite3_errmsg(db->handle) : "out of memory");
        sqlite_close(&db->base);
        return ERR_DATABASE_UNAVAILABLE;
    }
    *ret_db = &db->base;
    return OK;
}

static const char *sqlite_problem(struct db *base) {
    struct sqlite_db *db = (struct sqlite_db *)base;
    return sqlite3_errmsg(db->handle);
}

static enum err sqlite_execute(struct db *base, const char *sql) {
    struct sqlite_db *db = (struct sqlite_db *)base;
    return error_of(sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

static void sqlite_rollback(struct db *base) {
    struct sqlite_db *db = (struct sqlite_db *)base;
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* The dialect: what the placeholders of db/driver.h become. */
static const struct {
    const char *name;
    const char *sql;
} placeholders[] = {
    { "{ids}", "(SELECT value AS id FROM json_each(?1))" },
    { "{names}", "(SELECT value AS id FROM json_each(?1))" },
    { "{pairs}", "(SELECT json_extract(value,'$[0]') AS a, json_extract(value,'$[1]') AS b FROM json_each(?1))" },
    { "{straight}", "CROSS JOIN" },
    { "{by_owner}", "event_of_owner" },
};

/* Takes `text`, and gives it with the `size` bytes at `at` replaced; NULL when out of memory. */
static char *replace(char *text, const char *at, size_t size, const char *sql) {
    char *longer = sqlite3_mprintf("%.*s%s%s", (int)(at - text), text, sql, at + size);
    free(text);
    text = longer ? strdup(longer) : NULL;
    sqlite3_free(longer);
    return text;
}

static char *expand(const char *sql) {
    char *text = strdup(sql);
    for (size_t i = 0; text && i < sizeof placeholders / sizeof *placeholders; i++)
        for (const char *at; text && (at = strstr(text, placeholders[i].name));)
            text = replace(text, at, strlen(placeholders[i].name), placeholders[i].sql);
    return text;
}

static struct statement *prepare(struct sqlite_db *db, const struct query *query) {
    struct statement *statement = calloc(1, sizeof *statement);
    char *sql = expand(query->sql);
    if (!statement || !sql)
        goto fail;
    statement->db = db;
    int code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->handle, NULL);
    if (code != SQLITE_OK || map_put(&db->statements, (uintptr_t)query, statement) != OK)
        goto fail;
    free(sql);
    return statement;
fail:
    if (statement)
        sqlite3_finalize(statement->handle);
    free(statement);
    free(sql);
    return NULL;
}

static struct statement *sqlite_query(struct db *base, const struct query *query) {
    struct sqlite_db *db = (struct sqlite_db *)base;
    struct statement *statement = map_get(&db->statements, (uintptr_t)query);
    if (!statement)
        return prepare(db, query);
    sqlite3_reset(statement->handle);
    statement->bind_result = SQLITE_OK;
    return statement;
}

static void note_bind(struct statement *statement, int code) {
    if (statement->bind_result == SQLITE_OK)
        statement->bind_result = code;
}

static void sqlite_bind_id(struct statement *statement, int index, uint64_t value) {
    if (statement)
        note_bind(statement, sqlite3_bind_int64(statement->handle, index, (sqlite3_int64)value));
}

static void sqlite_bind_text(struct statement *statement, int index, const char *text, size_t size) {
    if (statement)
        note_bind(statement, sqlite3_bind_text64(statement->handle, index, text, size, SQLITE_STATIC, SQLITE_UTF8));
}

static void sqlite_bind_blob(struct statement *statement, int index, const void *bytes, size_t size) {
    if (statement)
        note_bind(statement, sqlite3_bind_blob64(statement->handle, index, bytes, size, SQLITE_STATIC));
}

static enum err sqlite_step(struct statement *statement, bool *ret_row) {
    *ret_row = false;
    if (!statement)
        return ERR_DATABASE_UNAVAILABLE;
    if (statement->bind_result != SQLITE_OK)
        return error_of(statement->bind_result);
    int code = sqlite3_step(statement->handle);
    *ret_row = code == SQLITE_ROW;
    return error_of(code);
}

static void sqlite_finish(struct statement *statement) {
    if (statement)
        sqlite3_reset(statement->handle);
}

/* Each once a batch or read, and therefore prepared. */
static const struct query begin_writing = { "BEGIN IMMEDIATE" };
static const struct query begin_reading = { "BEGIN" };
static const struct query commit = { "COMMIT" };

static enum err sqlite_begin(struct db *base) {
    struct sqlite_db *db = (struct sqlite_db *)base;
    return db_run(base, sqlite_query(base, db->mode == DB_WRITER ? &begin_writing : &begin_reading));
}

static enum err sqlite_commit(struct db *base) {
    const struct sqlite_db *db = (struct sqlite_db *)base;
    if (base->meanwhile.wanted)
        sqlite_gather_for(db->handle, base);
    return db_run(base, sqlite_query(base, &commit));
}

static bool sqlite_is_null(struct statement *statement, int column) {
    return sqlite3_column_type(statement->handle, column) == SQLITE_NULL;
}

static uint64_t sqlite_column_id(struct statement *statement, int column) {
    return (uint64_t)sqlite3_column_int64(statement->handle, column);
}

static const void *sqlite_column_bytes(struct statement *statement, int column, size_t *ret_size) {
    const void *bytes = sqlite3_column_blob(statement->handle, column);
    *ret_size = (size_t)sqlite3_column_bytes(statement->handle, column);
    return bytes;
}

static enum err sqlite_write_rows(struct db *base, const struct query *query, const void *rows, size_t count, row_binder binder) {
    struct statement *statement = sqlite_query(base, query);
    enum err err = statement ? OK : ERR_DATABASE_UNAVAILABLE;
    for (size_t i = 0; err == OK && i < count; i++) {
        binder(statement, rows, i);
        err = db_run(base, statement);
    }
    return err;
}

static enum err truncate_log(struct sqlite_db *db) {
    if (!sqlite_log_is_short(db->log))
        return ERR_DATABASE_BUSY;
    sqlite3_busy_timeout(db->handle, TRUNCATE_TIMEOUT_MS);
    int code = sqlite_log_truncate(db->log);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    return (code & 0xff) == SQLITE_BUSY ? ERR_OVERLOADED : error_of(code);
}

static enum err sqlite_checkpoint(struct db *base, enum db_checkpoint when) {
    struct sqlite_db *db = (struct sqlite_db *)base;
    switch (when) {
    case CHECKPOINT_LARGE:
        break;
    case CHECKPOINT_TRUNCATE:
        return truncate_log(db);
    }
    return error_of(sqlite_log_move(db->log));
}

const struct db_driver sqlite_driver = {
    .scheme = "sqlite",
    .dialect = DIALECT_SQLITE,
    .is_shared = false,
    .open = sqlite_open,
    .close = sqlite_close,
    .problem = sqlite_problem,
    .execute = sqlite_execute,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .query = sqlite_query,
    .bind_id = sqlite_bind_id,
    .bind_text = sqlite_bind_text,
    .bind_blob = sqlite_bind_blob,
    .step = sqlite_step,
    .finish = sqlite_finish,
    .is_null = sqlite_is_null,
    .column_id = sqlite_column_id,
    .column_bytes = sqlite_column_bytes,
    .write_rows = sqlite_write_rows,
    .checkpoint = sqlite_checkpoint,
};
