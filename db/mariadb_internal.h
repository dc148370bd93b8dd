/* What the files of the MariaDB driver share: db/mariadb.c (transactions, statements, rows), db/mariadb_connection.c, db/mariadb_bulk.c and db/mariadb_errors.c. */
#pragma once

#include <assert.h>
#include <mysql.h>

#include "core/limits.h"
#include "core/map.h"
#include "db/driver.h"
#include "db/mariadb_servers.h"
#include "db/mariadb_sql.h"

#define MARIADB_PACKET_BYTES (3 * LIMIT_BATCH_BYTES) /* what max_allowed_packet must be at least */

static_assert(sizeof(size_t) == sizeof(unsigned long), "sizes are the connector's lengths");

struct mariadb_db {
    struct db base;
    MYSQL *handle;                   /* NULL: not connected */
    struct mariadb_servers *servers; /* held */
    const struct mariadb_url *url;   /* theirs */
    unsigned server;                 /* the connection's, by its place in the URL */
    char cluster[MARIADB_CLUSTER_SIZE];
    struct map statements; /* address of the query → struct statement, owned; they outlive connections */
    enum db_mode mode;
    bool lost;       /* the connection is of no use any more */
    bool holds_open; /* autocommit is off: whatever comes begins a transaction */
    bool in_transaction;
    enum err broken;     /* in a transaction: the error after which only a rollback makes sense */
    unsigned due;        /* answers to what was sent that are not read yet, */
    size_t due_bytes;    /* and how much that was */
    bool commit_due;     /* the first of them is a commit's, behind which the next transaction may have begun */
    enum err commit_err; /* what became of it, once it was read */
    char problem[512];
};

enum value_kind { VALUE_NULL, VALUE_NUMBER, VALUE_TEXT, VALUE_BYTES };

struct value {
    enum value_kind kind;
    uint64_t number;
    const void *bytes; /* borrowed */
    size_t size;
};

struct column {
    bool is_number;
    my_bool is_null;
    uint64_t number;
    char *bytes; /* owned */
    size_t capacity;
    unsigned long size;
};

enum run_state { RUN_NOT_YET, RUN_HAS_ROWS, RUN_IS_OVER };

struct statement {
    struct mariadb_db *db;
    MYSQL_STMT *handle; /* NULL: not prepared on this connection */
    struct mariadb_sql sql;
    struct value values[MARIADB_PARAMETERS_MAX];
    struct column *columns; /* owned, like the next */
    MYSQL_BIND *results;
    unsigned column_count;
    enum run_state run;
    enum err misuse; /* of its SQL or of a bind, given by the next step */
};

/* ---- db/mariadb_errors.c ---- */

/* Keeps the problem's text, and returns `err`. */
enum err mariadb_fail(struct mariadb_db *db, enum err err, const char *problem);
/* After such an error nobody knows what the server knows of the connection. */
bool mariadb_loses_connection(enum err err) MUST_USE;
/* What one of the connector's codes means. */
enum err mariadb_error_of(unsigned code) MUST_USE;
/* The connector's last error on the connection or of the statement. It is noted: whether the connection is lost, and the transaction broken. */
enum err mariadb_connection_error(struct mariadb_db *db) MUST_USE;
enum err mariadb_statement_error(struct statement *statement) MUST_USE;

/* ---- db/mariadb_connection.c ---- */

/* Opens a connection to the current server, or to the first of the others that will do; that one is then everybody's. One that was open is closed. */
enum err mariadb_connect_any(struct mariadb_db *db) MUST_USE;
/* Its statements outlive it, and are prepared anew on the next one. */
void mariadb_disconnect(struct mariadb_db *db);
/* To the server that all are to use. */
bool mariadb_is_connected(const struct mariadb_db *db) MUST_USE;
/* Runs a statement without values, and waits. Nothing may be due. */
enum err mariadb_run_text(struct mariadb_db *db, const char *sql);
/* What the connection has prepared of it. */
void mariadb_forget_prepared(struct statement *statement);
/* A `mariadb_probe`. */
bool mariadb_probe_server(struct mariadb_servers *servers, unsigned server, char ret_cluster[MARIADB_CLUSTER_SIZE]);

/* ---- db/mariadb.c ---- */

/* Sends the statement, `rows` 0: once, with the values that `binds` point to; otherwise as a bulk of so many. `bytes`: of the values. Waits for the answer unless
 * the transaction defers. */
enum err mariadb_execute_bound(struct statement *statement, MYSQL_BIND *binds, unsigned rows, size_t bytes) MUST_USE;
/* What the bound values take on the wire, repeated ones as often as they are sent. */
size_t mariadb_bytes_of_row(const struct statement *statement) MUST_USE;
enum enum_field_types mariadb_type_of(enum value_kind kind) MUST_USE;

/* ---- db/mariadb_bulk.c ---- */

/* Runs the statement, which is prepared, for `count` rows: in one round trip or none, unless they are many or large. */
enum err mariadb_write_array(struct statement *statement, const void *rows, size_t count, row_binder binder) MUST_USE;
