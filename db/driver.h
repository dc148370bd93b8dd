/* The driver table: a connection, its statements, and nothing about chats.
 *
 * SQL is written once, in db/, with placeholders that a driver turns into its dialect. Three are tables made from the JSON array bound at ?1, and need an
 * alias: `{ids}` has one column `id`, of numbers; `{names}` has one column `id`, of texts of at most 255 characters; `{pairs}` has columns `a` and `b`, from
 * two-element arrays of numbers. `{straight}` is a join that keeps the order: a look-up on its right side for each row of its left. `{by_owner}`
 * is where the numbers of events are found by their owner (db/owner_index.h): owner_id, is_message, id. Values are always bound, never pasted.
 *
 * Numbers are 64 bits, bound and read as such and compared as signed. Texts are UTF-8 and compared byte by byte.
 *
 * A connection belongs to one thread at a time; which one may change. */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "db/recent.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum db_mode {
    DB_WRITER, /* the only connection that changes anything, and that decides on checkpoints */
    DB_READER, /* can only query */
};

/* When the log of recent writes is moved into the database. */
enum db_checkpoint {
    CHECKPOINT_LARGE,    /* when it has grown beyond LIMIT_WAL_PAGES; the bulk of it on another thread, while commits go on */
    CHECKPOINT_TRUNCATE, /* when it is short, or else after its bulk was moved; afterwards it is empty */
};

/* What the migrations of a database are written in, and the few statements for which one of them has something better. */
enum db_dialect { DIALECT_SQLITE, DIALECT_MARIADB };

struct db;        /* one connection; the driver's */
struct statement; /* one prepared statement of a connection; the driver's */

/* SQL with an identity: connections keep one prepared statement per query, found by its address. Always static const. */
struct query {
    const char *sql;
};

/* Gives row `index` of an array write its parameters, all of them. */
typedef void (*row_binder)(struct statement *statement, const void *rows, size_t index);

struct db_driver {
    const char *scheme; /* of PARLEY_DB, without the colon */
    enum db_dialect dialect;
    bool is_shared; /* other processes may write, too: a transaction of the writer begins with the head row (db/store_head.h) */
    /* Blocking. `target` is what follows the scheme. ERR_DATABASE_UNAVAILABLE with a sentence in `problem`. */
    enum err (*open)(const char *target, enum db_mode mode, struct db **ret_db, char *problem, size_t problem_size);
    void (*close)(struct db *db);
    /* What the database said of its last error; until the next call. */
    const char *(*problem)(struct db *db);
    /* Statements without parameters or rows, several allowed (migrations). */
    enum err (*execute)(struct db *db, const char *sql);
    /* A reader's snapshot is fixed at its first read at the latest. A writer's takes the write lock where the database has one; elsewhere (MariaDB) the
     * transaction's first statement must update a row that all writers update, and a writer sees what others committed until then.
     * A connection that was lost is opened again here, or by the next statement outside a transaction. */
    enum err (*begin)(struct db *db);
    /* The same by the transaction's first statement, which saves a round trip. It returns no rows, and has run once this returns OK: `*ret_changed` says whether
     * it changed any. Otherwise there is no transaction. `ret_changed` NULL: it is deferred like what `defers`, and a connection that was lost may show only
     * later. For writers of a shared database; elsewhere NULL. */
    enum err (*begin_by)(struct statement *first, bool *ret_changed);
    /* The transaction is over, whatever this returns, but for an error of an earlier statement, told before or deferred: then roll back.
     * ERR_DATABASE_UNKNOWN: the answer to the commit got lost. Only who knows what was written can tell what became of it: the writer (db/writer.c), before
     * it answers anybody, takes the head of the log in a new transaction and looks for the commit's tag. */
    enum err (*commit)(struct db *db);
    /* The same without its answer, which await_commit() gives. Between them the next transaction may begin, by begin_by() without waiting; should the commit have
     * failed, it is to be rolled back. For writers of a shared database; elsewhere NULL. */
    enum err (*send_commit)(struct db *db);
    enum err (*await_commit)(struct db *db);
    /* After ERR_DATABASE_BUSY and ERR_DATABASE_UNAVAILABLE nothing but this ends a transaction: until then every statement fails. Without one: nothing. */
    void (*rollback)(struct db *db);
    /* Ready to bind; any earlier run of the same query on this connection is over. NULL: the error is given by the step that follows. */
    struct statement *(*query)(struct db *db, const struct query *query);
    void (*bind_id)(struct statement *statement, int index, uint64_t value);
    void (*bind_text)(struct statement *statement, int index, const char *text,
                      size_t size); /* NULL text binds NULL; borrowed until the next step */
    void (*bind_blob)(struct statement *statement, int index, const void *bytes, size_t size);
    /* Runs on to the next row. `*ret_row` false: it is done. */
    enum err (*step)(struct statement *statement, bool *ret_row);
    void (*finish)(struct statement *statement); /* ends the run; NULL is fine */
    /* Whether the connection's last statement, which gave no rows, changed any. For writers of a shared database; elsewhere NULL. */
    enum err (*has_changed)(struct db *db, bool *ret_changed);
    bool (*is_null)(struct statement *statement, int column);
    uint64_t (*column_id)(struct statement *statement, int column); /* of a number; NULL is 0 */
    const void *(*column_bytes)(struct statement *statement, int column,
                                size_t *ret_size); /* of a text or blob; valid until the next step; NULL when NULL or empty */
    /* Runs `query`, which returns no rows, once per row, as one array write where the database has such: what the binder bound must live until
     * this returns, and a parameter is a number in all rows, or a text, or bytes, or NULL. Inside a transaction: it may stop half-way. */
    enum err (*write_rows)(struct db *db, const struct query *query, const void *rows, size_t count, row_binder binder);
    /* Writer only, outside a transaction: moves the log of recent writes into the database. ERR_OVERLOADED: it should be truncated, but readers are in the
     * way. ERR_DATABASE_BUSY: it shall be truncated, and its bulk is being moved before: call again, not at once. That is so some times at most.
     * NULL: the database does this itself. */
    enum err (*checkpoint)(struct db *db, enum db_checkpoint when);
};

/* What the writer's thread does while a commit waits for the disk or the network, or what was deferred for its answers. Neither may use the connection. */
struct db_meanwhile {
    bool (*wanted)(void *context); /* whether there is enough to do; NULL: there is nothing */
    bool (*work)(void *context);   /* does a part of it. False: nothing is left to do */
    void *context;
};

struct db {
    const struct db_driver *driver;
    struct db_meanwhile meanwhile; /* for what is run now */
    struct recent_view recent; /* of a reader's snapshot: what its table `recent` has (db/sqlite_recent.h); elsewhere without a meaning */
    /* In a transaction by begin_by(): what returns no rows may say OK when it is only sent; nothing is run then that writes and returns rows. A later call gives
     * its error, the commit at the latest; then roll back. */
    bool defers;
    bool in_cluster;      /* its server is one of several that commit together, and may be wrong about what became of a transaction */
    uint64_t connections; /* how often a server was connected to: when it changes, that may be another, or have forgotten something */
};

extern const struct db_driver sqlite_driver;
extern const struct db_driver mariadb_driver;

/* The driver for the scheme of `url` (PARLEY_DB); NULL: there is none. */
const struct db_driver *db_driver_of(const char *url);
/* Opens what `url` (PARLEY_DB) names, with the driver for its scheme. */
enum err db_open(const char *url, enum db_mode mode, struct db **ret_db, char *problem, size_t problem_size) MUST_USE;
void db_close(struct db *db); /* NULL is fine */

/* Short forms. bind_* are numbered from 1, column_* from 0. */
static inline struct statement *db_query(struct db *db, const struct query *query) { return db->driver->query(db, query); }
/* A number, or NULL for 0. */
static inline void db_bind_optional_id(const struct db_driver *driver, struct statement *statement, int index, uint64_t value) {
    if (value != 0)
        driver->bind_id(statement, index, value);
    else
        driver->bind_text(statement, index, NULL, 0);
}
/* Runs a statement that returns no rows. */
enum err db_run(struct db *db, struct statement *statement) MUST_USE;
/* Text of a column copied into the arena; NULL when the column is NULL or memory is out. */
const char *db_column_text(struct db *db, struct statement *statement, int column, struct arena *arena, size_t *ret_size);
/* Exactly `size` bytes of a column; zeroes when it has another length. */
void db_column_blob(struct db *db, struct statement *statement, int column, void *out, size_t size);
static inline bool db_is_busy_meanwhile(const struct db *db) { return db->meanwhile.wanted && db->meanwhile.wanted(db->meanwhile.context); }
