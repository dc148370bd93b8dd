/* The MariaDB driver. Owns connections and their prepared statements; knows no table.
 *
 * Results are fetched whole, because a connection can have only one that is not. An array write is one round trip (bulk execution), however many rows it has.
 * Where the caller allows it (`defers`), what only writes is sent without waiting, and the answers are read together: by whatever has to know, and before a commit
 * is sent, which would keep the rest of a transaction that the server has begun anew after a deadlock.
 *
 * A connection that was lost is opened again by the next begin(), or by the next statement outside a transaction, and its statements are prepared anew. What
 * was open in it is over, and the caller was told by an error. An error that ends a transaction, or may have, stays with it until the rollback: a
 * caller that went on would write outside of it.
 *
 * Threads: the connector keeps nothing per thread (its mysql_thread_init() is empty since 3.0), so a connection may go from one to another; only its library's
 * start is not safe, and happens once. */
#include <mysql.h>

#include <errmsg.h>
#include <fcntl.h>
#include <mysqld_error.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/limits.h"
#include "core/map.h"
#include "db/driver.h"
#include "db/mariadb_sql.h"
#include "db/mariadb_servers.h"

#define OLDEST_SERVER 100600 /* JSON_TABLE */
#define CONNECT_TIMEOUT_S 5
#define CONNECT_ONE_TIMEOUT_S 2 /* where there are several servers */
#define ANSWER_TIMEOUT_S 30
#define KEEPALIVE_S 5 /* of silence, before a server is asked whether its machine still is there, */
#define KEEPALIVE_EACH_S 2
#define KEEPALIVE_COUNT 3
#define UNHEARD_MS 10000              /* and how long it may leave what was sent unconfirmed */
#define PASSWORD_BYTES 1024           /* in a file */
#define COLUMN_BYTES 256              /* room for a value at first, */
#define COLUMN_KEPT_BYTES (64 * 1024) /* and what a statement keeps of it at most when it is finished */
#define NOT_ANSWERED (~0ULL)          /* rows that a statement has changed, before its answer has been read */
#define DUE_MAX 16                    /* answers. A server whose answers nobody reads stops reading, too: a Unix socket holds some 250; */
#define DUE_BYTES (96 * 1024) /* and what it does not read while a statement takes its time must not look as if its machine were gone */
#define BULK_ROWS 16384
#define BULK_BYTES (2 * LIMIT_BATCH_BYTES)   /* of one execution, unless a single row is larger */
#define CELL_BYTES 16                        /* what a value costs on the wire beside its bytes, at most */
#define PACKET_BYTES (3 * LIMIT_BATCH_BYTES) /* what max_allowed_packet must be at least */

static_assert(PACKET_BYTES >= BULK_BYTES + LIMIT_MESSAGE_BODY_BYTES, "a bulk that ends with a long row fits into a packet");
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

/* ---- Errors ---- */

/* The one place that knows MariaDB's codes. */
static enum err error_of(unsigned code) {
    switch (code) {
    case 0:
        return OK;
    case CR_OUT_OF_MEMORY:
    case ER_OUTOFMEMORY:
    case ER_OUT_OF_RESOURCES:
        return ERR_NO_MEMORY;
    case ER_DUP_ENTRY:
    case ER_DUP_ENTRY_WITH_KEY_NAME:
    case ER_DUP_KEY:
    case ER_DUP_UNIQUE:
    case ER_BAD_NULL_ERROR:
    case ER_NO_DEFAULT_FOR_FIELD:
    case ER_CONSTRAINT_FAILED:
        return ERR_CONFLICT;
    case ER_LOCK_DEADLOCK: /* also a write set that another node of the cluster was faster with */
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_CHECKREAD: /* the row changed since the snapshot */
        return ERR_DATABASE_BUSY;
    case CR_PARAMS_NOT_BOUND:
    case CR_INVALID_PARAMETER_NO:
    case CR_UNSUPPORTED_PARAM_TYPE:
    case CR_NO_PREPARE_STMT:
    case ER_PARSE_ERROR:
    case ER_EMPTY_QUERY:
    case ER_WRONG_ARGUMENTS:
    case ER_UNSUPPORTED_PS:
    case ER_NOT_SUPPORTED_YET:
    case ER_UNKNOWN_SYSTEM_VARIABLE:
    case ER_NO_SUCH_TABLE:
    case ER_BAD_TABLE_ERROR:
    case ER_TABLE_EXISTS_ERROR:
    case ER_BAD_FIELD_ERROR:
    case ER_NON_UNIQ_ERROR:
    case ER_DUP_FIELDNAME:
    case ER_DUP_KEYNAME:
    case ER_SP_DOES_NOT_EXIST:
    case ER_OPERAND_COLUMNS:
    case ER_SUBQUERY_NO_1_ROW:
    case ER_DERIVED_MUST_HAVE_ALIAS:
    case ER_WRONG_VALUE_COUNT_ON_ROW:
    case ER_WRONG_VALUE_COUNT:
    case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
    case ER_TRUNCATED_WRONG_VALUE:
    case ER_WARN_DATA_OUT_OF_RANGE:
    case ER_DATA_OUT_OF_RANGE:
    case ER_DATA_TOO_LONG:
        return ERR_INTERNAL;
    default: /* gone, killed, shutting down, read-only, not ready, too many connections, full: the machine's or the operator's to mend */
        return ERR_DATABASE_UNAVAILABLE;
    }
}

static enum err fail(struct mariadb_db *db, enum err err, const char *problem) {
    snprintf(db->problem, sizeof db->problem, "%s", problem);
    return err;
}

/* After these nobody knows what the server knows of the connection. */
static bool loses_connection(enum err err) { return err == ERR_DATABASE_UNAVAILABLE || err == ERR_NO_MEMORY; }

static enum err note_error(struct mariadb_db *db, unsigned code, const char *text) {
    enum err err = error_of(code);
    snprintf(db->problem, sizeof db->problem, "%u: %s", code, text);
    db->lost = db->lost || loses_connection(err);
    if (db->in_transaction && (db->lost || err == ERR_DATABASE_BUSY))
        db->broken = err;
    return err;
}

static enum err connection_error(struct mariadb_db *db) { return note_error(db, mysql_errno(db->handle), mysql_error(db->handle)); }

static enum err statement_error(struct statement *statement) {
    return note_error(statement->db, mysql_stmt_errno(statement->handle), mysql_stmt_error(statement->handle));
}

static const char *mariadb_problem(struct db *base) { return ((struct mariadb_db *)base)->problem; }

/* ---- Answers ---- */

static bool has_answer(struct mariadb_db *db) {
    struct pollfd answer = { .fd = mysql_get_socket(db->handle), .events = POLLIN };
    return poll(&answer, 1, 0) != 0;
}

/* Or until nothing is left to do: the connector may have read the answer with the one before, which the socket does not show. */
static void work_until_answer(struct mariadb_db *db) {
    const struct db_meanwhile *meanwhile = &db->base.meanwhile;
    if (db_is_busy_meanwhile(&db->base))
        while (!has_answer(db) && meanwhile->work(meanwhile->context))
            ;
}

static enum err read_answer(struct mariadb_db *db) {
    work_until_answer(db);
    db->due--;
    if (mysql_read_query_result(db->handle) != 0)
        return connection_error(db);
    if (mysql_field_count(db->handle) == 0)
        return OK;
    db->lost = true;
    return fail(db, ERR_INTERNAL, "rows that nobody waits for");
}

/* Only of a deadlock (in a cluster: of a write set that lost) is it certain that nothing was kept. What a reader commits is nothing. */
static enum err commit_error(struct mariadb_db *db, enum err err) {
    if (err == OK || err == ERR_DATABASE_BUSY || db->mode == DB_READER)
        return err;
    db->lost = true;
    return ERR_DATABASE_UNKNOWN;
}

/* Its error is that of the transaction behind it, too. */
static enum err read_commit_answer(struct mariadb_db *db) {
    enum err err = read_answer(db);
    db->commit_due = false;
    db->commit_err = commit_error(db, err);
    return err;
}

/* Reads the answers to all that was sent. The first error is the transaction's, because the caller may have gone on. What was sent behind it is run, too, by
 * then perhaps in a transaction of its own, and undone with the rollback. */
static enum err collect(struct mariadb_db *db) {
    enum err err = db->commit_due ? read_commit_answer(db) : OK;
    while (err == OK && db->due > 0)
        err = read_answer(db);
    for (; db->due > 0 && !db->lost; db->due--)
        if (mysql_read_query_result(db->handle) != 0)
            db->lost = loses_connection(error_of(mysql_errno(db->handle)));
    db->due_bytes = 0;
    if (err != OK && db->in_transaction)
        db->broken = err;
    return err;
}

/* ---- Connections ---- */

static void forget_prepared(struct statement *statement) {
    if (statement->handle)
        mysql_stmt_close(statement->handle);
    statement->handle = NULL;
    statement->run = RUN_NOT_YET;
}

/* The connection first: statements without one are closed without a word to the server. */
static void disconnect(struct mariadb_db *db) {
    if (db->handle)
        mysql_close(db->handle);
    db->handle = NULL;
    struct statement *statement;
    for (size_t cursor = 0; (statement = map_next(&db->statements, &cursor));)
        forget_prepared(statement);
    db->lost = false;
    db->holds_open = false;
    db->due = 0;
    db->due_bytes = 0;
    db->commit_due = false;
}

static enum err run_text(struct mariadb_db *db, const char *sql) { return mysql_query(db->handle, sql) == 0 ? OK : connection_error(db); }

static enum err hold_open(struct mariadb_db *db, bool on) {
    if (db->holds_open && on)
        return OK; /* perhaps behind a commit */
    enum err err = collect(db);
    if (err == OK && db->holds_open != on)
        err = run_text(db, on ? "SET autocommit = 0" : "SET autocommit = 1");
    if (err == OK)
        db->holds_open = on;
    return err;
}

/* SQL means what it means to SQLite: names in double quotes, || joins texts, a backslash is a backslash, and what does not fit is an error. */
#define SQL_MODE \
    "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1"
#define COLLATION "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin"

/* The writer sees what is committed, and loses its transaction soon when it freezes: the others wait for its locks. */
static const char *const writer_setup[] = {
    COLLATION,
    SQL_MODE,
    "SET SESSION innodb_lock_wait_timeout = 2, idle_write_transaction_timeout = 2",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    NULL,
};
static const char *const reader_setup[] = {
    COLLATION,
    SQL_MODE,
    "SET SESSION idle_readonly_transaction_timeout = 30",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    NULL,
};
/* In a Galera cluster a reader sees what any node had committed when it began. Servers without Galera do not know it. */
static const char wait_for_cluster[] = "SET SESSION wsrep_sync_wait = 1";

static bool has_choice(const struct mariadb_db *db) { return db->url->host_count > 1; }

static void set_options(struct mariadb_db *db) {
    unsigned connect_timeout = has_choice(db) ? CONNECT_ONE_TIMEOUT_S : CONNECT_TIMEOUT_S, answer_timeout = ANSWER_TIMEOUT_S, off = 0;
    unsigned protocol = db->url->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP; /* otherwise "localhost" is a socket */
    my_bool on = 1;
    mysql_optionsv(db->handle, MYSQL_OPT_CONNECT_TIMEOUT, &connect_timeout);
    mysql_optionsv(db->handle, MYSQL_OPT_READ_TIMEOUT, &answer_timeout);
    mysql_optionsv(db->handle, MYSQL_OPT_WRITE_TIMEOUT, &answer_timeout);
    mysql_optionsv(db->handle, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_optionsv(db->handle, MYSQL_OPT_LOCAL_INFILE, &off); /* no server may ask for our files */
    mysql_optionsv(db->handle, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (db->url->requires_tls)
        mysql_optionsv(db->handle, MYSQL_OPT_SSL_ENFORCE, &on);
    if (db->url->ca_file) {
        mysql_optionsv(db->handle, MYSQL_OPT_SSL_CA, db->url->ca_file);
        mysql_optionsv(db->handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
    }
}

/* The first line of the file. */
static enum err read_password(struct mariadb_db *db, char password[PASSWORD_BYTES]) {
    int fd = open(db->url->password_file, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, password, PASSWORD_BYTES - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (size < 0)
        return fail(db, ERR_DATABASE_UNAVAILABLE, "password_file cannot be read");
    password[size] = '\0';
    password[strcspn(password, "\r\n")] = '\0';
    return OK;
}

static enum err log_in(struct mariadb_db *db) {
    const struct mariadb_url *url = db->url;
    const struct mariadb_host *host = &url->hosts[db->server];
    char stored[PASSWORD_BYTES];
    enum err err = url->password_file ? read_password(db, stored) : OK;
    if (err != OK)
        return err;
    const char *password = url->password_file ? stored : url->password;
    if (!mysql_real_connect(db->handle, url->socket ? NULL : host->name, url->user, password, url->database, host->port, url->socket, 0))
        err = connection_error(db);
    explicit_bzero(stored, sizeof stored);
    return err;
}

/* A machine that is gone without a word is noticed in seconds, while a statement that takes long has its time. */
static void watch_peer(struct mariadb_db *db) {
    int fd = mysql_get_socket(db->handle), on = 1, idle_s = KEEPALIVE_S, each_s = KEEPALIVE_EACH_S, count = KEEPALIVE_COUNT;
    unsigned unheard_ms = UNHEARD_MS;
    if (db->url->socket)
        return;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &each_s, sizeof each_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unheard_ms, sizeof unheard_ms);
}

/* Asked for TLS, the connector goes on without it when the server has none. */
static enum err check_tls(struct mariadb_db *db) {
    if (!db->url->requires_tls || mysql_get_ssl_cipher(db->handle))
        return OK;
    return fail(db, ERR_CONFIG, "TLS is asked for, and the server has none");
}

static enum err check_version(struct mariadb_db *db) {
    bool is_mariadb = mariadb_connection(db->handle);
    if (is_mariadb && mysql_get_server_version(db->handle) >= OLDEST_SERVER)
        return OK;
    return fail(db, ERR_CONFIG, "the server is no MariaDB 10.6 or newer");
}

static enum err check_packet(struct mariadb_db *db) {
    enum err err = run_text(db, "SELECT @@max_allowed_packet");
    MYSQL_RES *result = err == OK ? mysql_store_result(db->handle) : NULL;
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    unsigned long long bytes = row && row[0] ? strtoull(row[0], NULL, 10) : 0;
    mysql_free_result(result);
    if (err == OK && bytes < PACKET_BYTES)
        err = fail(db, ERR_CONFIG, "the server's max_allowed_packet is too small: 16M, its default, will do");
    return err;
}

/* What a SHOW of one name says of it; "" when the server does not know it. */
static enum err show(struct mariadb_db *db, const char *sql, char *ret_text, size_t size) {
    enum err err = run_text(db, sql);
    MYSQL_RES *result = err == OK ? mysql_store_result(db->handle) : NULL;
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    if (err == OK)
        snprintf(ret_text, size, "%s", row && row[1] ? row[1] : "");
    mysql_free_result(result);
    return err;
}

/* A server of a cluster that has lost the others, or has not caught up with them, is none. */
static enum err check_cluster(struct mariadb_db *db) {
    char ready[8] = "";
    enum err err = show(db, "SHOW GLOBAL STATUS LIKE 'wsrep_ready'", ready, sizeof ready);
    if (err == OK)
        err = show(db, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'", db->cluster, sizeof db->cluster);
    if (err == OK && strcmp(ready, "ON") != 0)
        err = fail(db, ERR_DATABASE_UNAVAILABLE, "the server is not in step with its cluster");
    return err;
}

/* Where there is another, one that only reads will not do either. */
static enum err check_choice(struct mariadb_db *db) {
    char reads_only[8] = "";
    enum err err = show(db, "SHOW GLOBAL VARIABLES LIKE 'read_only'", reads_only, sizeof reads_only);
    if (err == OK && strcmp(reads_only, "OFF") != 0)
        err = fail(db, ERR_DATABASE_UNAVAILABLE, "the server only reads");
    return err == OK && db->base.in_cluster ? check_cluster(db) : err;
}

static enum err check_ready(struct mariadb_db *db) {
    char in_cluster[8] = "";
    db->cluster[0] = '\0';
    enum err err = show(db, "SHOW GLOBAL VARIABLES LIKE 'wsrep_on'", in_cluster, sizeof in_cluster);
    db->base.in_cluster = strcmp(in_cluster, "ON") == 0;
    return err == OK && has_choice(db) ? check_choice(db) : err;
}

static enum err set_up_session(struct mariadb_db *db) {
    enum err err = OK;
    for (const char *const *sql = db->mode == DB_WRITER ? writer_setup : reader_setup; err == OK && *sql; sql++)
        err = run_text(db, *sql);
    if (err == OK && db->mode == DB_READER && run_text(db, wait_for_cluster) != OK && db->lost)
        err = ERR_DATABASE_UNAVAILABLE;
    return err;
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void start_library(void) { (void)mysql_library_init(0, NULL, NULL); }

static enum err check_server(struct mariadb_db *db) {
    enum err err = check_tls(db);
    if (err == OK)
        err = check_version(db);
    if (err == OK)
        err = check_ready(db);
    return err == OK ? check_packet(db) : err;
}

static enum err connect_to(struct mariadb_db *db, unsigned server) {
    disconnect(db);
    db->server = server;
    pthread_once(&library_once, start_library);
    db->handle = mysql_init(NULL);
    if (!db->handle)
        return fail(db, ERR_NO_MEMORY, "out of memory");
    set_options(db);
    enum err err = log_in(db);
    if (err == OK) {
        watch_peer(db);
        err = check_server(db);
    }
    if (err == OK)
        err = set_up_session(db);
    db->lost = err != OK;
    return err;
}

/* The current server, or the first of the others that will do; that one is then everybody's. */
static enum err connect_now(struct mariadb_db *db) {
    unsigned current = mariadb_servers_current(db->servers);
    enum err err = connect_to(db, current);
    for (unsigned server = 0; err != OK && err != ERR_NO_MEMORY && server < db->url->host_count; server++)
        if (server != current)
            err = connect_to(db, server);
    if (err == OK) {
        mariadb_servers_choose(db->servers, current, db->server, db->cluster);
        db->base.connections++;
    }
    return err;
}

static bool probe_server(struct mariadb_servers *servers, unsigned server, char ret_cluster[MARIADB_CLUSTER_SIZE]) {
    struct mariadb_db db = { .servers = servers, .url = mariadb_servers_url(servers), .mode = DB_WRITER };
    bool ready = connect_to(&db, server) == OK;
    memcpy(ret_cluster, db.cluster, sizeof db.cluster);
    disconnect(&db);
    return ready;
}

/* And with the server that all are to use. */
static bool is_connected(const struct mariadb_db *db) {
    return db->handle && !db->lost && db->server == mariadb_servers_current(db->servers);
}

/* In a transaction a lost connection stays lost. */
static enum err ensure_connected(struct mariadb_db *db) {
    if (db->in_transaction)
        return db->broken;
    return is_connected(db) ? hold_open(db, false) : connect_now(db);
}

static void free_columns(struct statement *statement) {
    for (unsigned i = 0; i < statement->column_count; i++)
        free(statement->columns[i].bytes);
    free(statement->columns);
    free(statement->results);
    statement->columns = NULL;
    statement->results = NULL;
    statement->column_count = 0;
}

static void free_statement(struct statement *statement) {
    forget_prepared(statement);
    free_columns(statement);
    mariadb_sql_release(&statement->sql);
    free(statement);
}

static void mariadb_close(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    disconnect(db);
    struct statement *statement;
    for (size_t cursor = 0; (statement = map_next(&db->statements, &cursor));)
        free_statement(statement);
    map_release(&db->statements);
    mariadb_servers_drop(db->servers);
    free(db);
}

static enum err mariadb_open(const char *target, enum db_mode mode, struct db **ret_db, char *problem, size_t problem_size) {
    struct mariadb_db *db = calloc(1, sizeof *db);
    if (!db)
        return ERR_NO_MEMORY;
    db->base.driver = &mariadb_driver;
    db->mode = mode;
    enum err err = mariadb_servers_hold(target, probe_server, &db->servers, problem, problem_size);
    if (err == OK) {
        db->url = mariadb_servers_url(db->servers);
        err = connect_now(db);
        if (err != OK)
            snprintf(problem, problem_size, "PARLEY_DB: %s", db->problem);
    }
    if (err != OK) {
        mariadb_close(&db->base);
        return err;
    }
    *ret_db = &db->base;
    return OK;
}

/* ---- Transactions ---- */

static enum err try_begin(struct mariadb_db *db) {
    enum err err = ensure_connected(db);
    if (err != OK)
        return err;
    return run_text(db, db->mode == DB_WRITER ? "START TRANSACTION" : "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
}

/* A connection that was lost while it was idle shows it here, where nothing has happened yet. */
static enum err mariadb_begin(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    if (db->in_transaction)
        return fail(db, ERR_INTERNAL, "a transaction within a transaction");
    bool was_connected = is_connected(db);
    enum err err = try_begin(db);
    if (err == ERR_DATABASE_UNAVAILABLE && was_connected)
        err = try_begin(db);
    db->in_transaction = err == OK;
    db->broken = OK;
    return err;
}

/* Not before all that it is to keep has been answered for. */
static enum err check_written(struct mariadb_db *db) {
    if (!db->in_transaction)
        return fail(db, ERR_INTERNAL, "a commit without a transaction");
    return db->broken == OK ? collect(db) : db->broken;
}

static enum err send_commit(struct mariadb_db *db) {
    if (mysql_send_query(db->handle, "COMMIT", strlen("COMMIT")) != 0)
        return connection_error(db);
    db->due++;
    return OK;
}

static enum err mariadb_commit(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    enum err err = check_written(db);
    if (err != OK)
        return err;
    err = send_commit(db);
    if (err == OK)
        err = collect(db);
    db->in_transaction = false;
    return commit_error(db, err);
}

static enum err mariadb_send_commit(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    enum err err = check_written(db);
    if (err != OK)
        return err;
    err = send_commit(db);
    db->commit_due = err == OK;
    db->commit_err = ERR_DATABASE_UNKNOWN; /* should the connection end before it is read */
    db->in_transaction = false;
    return commit_error(db, err);
}

static enum err mariadb_await_commit(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    if (db->commit_due)
        (void)read_commit_answer(db);
    return db->commit_err;
}

static void mariadb_rollback(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    if (!db->in_transaction)
        return;
    if (!db->lost)
        (void)collect(db);
    db->in_transaction = false;
    if (!db->lost)
        (void)run_text(db, "ROLLBACK");
    if (db->lost) /* at once: the server gives its locks back when it sees the end of the connection, behind what was sent */
        disconnect(db);
}

/* Reads the answers of all statements; the first error ends them. */
static enum err drain(struct mariadb_db *db) {
    int more;
    do {
        mysql_free_result(mysql_store_result(db->handle));
        more = mysql_next_result(db->handle);
    } while (more == 0);
    return more > 0 ? connection_error(db) : OK;
}

/* Several statements are allowed only here, where none comes from values. */
static enum err mariadb_execute(struct db *base, const char *sql) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    enum err err = ensure_connected(db);
    if (err == OK)
        err = collect(db);
    if (err == OK && mysql_set_server_option(db->handle, MYSQL_OPTION_MULTI_STATEMENTS_ON) != 0)
        err = connection_error(db);
    if (err != OK)
        return err;
    err = run_text(db, sql);
    if (err == OK)
        err = drain(db);
    if (!db->lost)
        mysql_set_server_option(db->handle, MYSQL_OPTION_MULTI_STATEMENTS_OFF);
    return err;
}

/* ---- Statements ---- */

static struct statement *new_statement(struct mariadb_db *db, const struct query *query) {
    struct statement *statement = calloc(1, sizeof *statement);
    if (!statement)
        return NULL;
    statement->db = db;
    enum err err = mariadb_sql_translate(query->sql, &statement->sql);
    if (err == OK)
        err = map_put(&db->statements, (uintptr_t)query, statement);
    if (err == OK)
        return statement;
    fail(db, err, "the statement cannot be translated");
    free_statement(statement);
    return NULL;
}

static void give_back_room(struct column *column) {
    if (column->capacity <= COLUMN_KEPT_BYTES)
        return;
    free(column->bytes);
    column->bytes = NULL;
    column->capacity = 0;
}

static void mariadb_finish(struct statement *statement) {
    if (!statement || statement->run == RUN_NOT_YET)
        return;
    statement->run = RUN_NOT_YET;
    if (statement->handle && mysql_stmt_field_count(statement->handle) > 0)
        mysql_stmt_free_result(statement->handle);
    for (unsigned i = 0; i < statement->column_count; i++)
        give_back_room(&statement->columns[i]);
}

/* It is prepared when it is run: a statement outlives its connection. */
static struct statement *mariadb_query(struct db *base, const struct query *query) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    struct statement *statement = map_get(&db->statements, (uintptr_t)query);
    if (!statement)
        return new_statement(db, query);
    mariadb_finish(statement);
    memset(statement->values, 0, statement->sql.parameter_count * sizeof *statement->values);
    statement->misuse = OK;
    return statement;
}

static void set_value(struct statement *statement, int index, struct value value) {
    if (!statement)
        return;
    if (index < 1 || (unsigned)index > statement->sql.parameter_count)
        statement->misuse = fail(statement->db, ERR_INTERNAL, "a value for no parameter");
    else
        statement->values[index - 1] = value;
}

static void mariadb_bind_id(struct statement *statement, int index, uint64_t value) {
    set_value(statement, index, (struct value){ .kind = VALUE_NUMBER, .number = value });
}

static void mariadb_bind_text(struct statement *statement, int index, const char *text, size_t size) {
    set_value(statement, index, (struct value){ .kind = text ? VALUE_TEXT : VALUE_NULL, .bytes = text, .size = text ? size : 0 });
}

static void mariadb_bind_blob(struct statement *statement, int index, const void *bytes, size_t size) {
    set_value(statement, index, (struct value){ .kind = bytes ? VALUE_BYTES : VALUE_NULL, .bytes = bytes, .size = bytes ? size : 0 });
}

static enum err prepare(struct statement *statement) {
    enum err err = collect(statement->db);
    if (err != OK)
        return err;
    statement->handle = mysql_stmt_init(statement->db->handle);
    if (!statement->handle)
        return fail(statement->db, ERR_NO_MEMORY, "out of memory");
    if (mysql_stmt_prepare(statement->handle, statement->sql.text, statement->sql.size) == 0)
        return OK;
    err = statement_error(statement);
    forget_prepared(statement);
    return err;
}

static enum err make_ready(struct statement *statement) {
    enum err err = statement->misuse == OK ? ensure_connected(statement->db) : statement->misuse;
    return err == OK && !statement->handle ? prepare(statement) : err;
}

static enum enum_field_types type_of(enum value_kind kind) {
    switch (kind) {
    case VALUE_NUMBER:
        return MYSQL_TYPE_LONGLONG;
    case VALUE_BYTES:
        return MYSQL_TYPE_BLOB;
    case VALUE_NULL:
    case VALUE_TEXT:
        break;
    }
    return MYSQL_TYPE_STRING;
}

/* Numbers are bound as signed: columns are, and all 64 bits come back. */
static void bind_values(struct statement *statement, MYSQL_BIND *binds) {
    static my_bool yes = 1;
    for (unsigned i = 0; i < statement->sql.position_count; i++) {
        struct value *value = &statement->values[statement->sql.parameters[i]];
        bool is_number = value->kind == VALUE_NUMBER;
        binds[i] = (MYSQL_BIND){ .buffer_type = type_of(value->kind),
                                 .buffer = is_number ? (void *)&value->number : (void *)(uintptr_t)value->bytes,
                                 .buffer_length = value->size,
                                 .length = (unsigned long *)&value->size,
                                 .is_null = value->kind == VALUE_NULL ? &yes : NULL };
    }
}

/* What the bound values take on the wire, repeated ones as often as they are sent. */
static size_t bytes_of_row(const struct statement *statement) {
    size_t bytes = 0;
    for (unsigned i = 0; i < statement->sql.position_count; i++)
        bytes += statement->values[statement->sql.parameters[i]].size + CELL_BYTES;
    return bytes;
}

/* A connector that does not know the option reads the answer at once. */
static enum err send_bound(struct statement *statement) {
    struct mariadb_db *db = statement->db;
    my_bool on = 1, off = 0;
    bool skips = mysql_optionsv(db->handle, MARIADB_OPT_SKIP_READ_RESPONSE, &on) == 0;
    enum err err = skips ? OK : collect(db);
    if (err != OK)
        return err;
    bool sent = mysql_stmt_execute(statement->handle) == 0;
    mysql_optionsv(db->handle, MARIADB_OPT_SKIP_READ_RESPONSE, &off);
    if (!sent)
        return statement_error(statement);
    if (mysql_affected_rows(db->handle) == NOT_ANSWERED)
        db->due++;
    return OK;
}

static enum err execute_now(struct statement *statement) {
    enum err err = collect(statement->db);
    if (err != OK)
        return err;
    return mysql_stmt_execute(statement->handle) == 0 ? OK : statement_error(statement);
}

/* A server of a cluster is asked after each array write whether the transaction still is there (check_transaction). */
static enum err execute_later(struct statement *statement, size_t bytes) {
    struct mariadb_db *db = statement->db;
    enum err err = db->due > 0 && db->due_bytes + bytes > DUE_BYTES ? collect(db) : OK;
    if (err == OK)
        err = send_bound(statement);
    db->due_bytes += bytes;
    if (err == OK && (db->base.in_cluster || db->due >= DUE_MAX))
        err = collect(db);
    return err;
}

/* Not in a transaction that started with autocommit on: once the server has ended that, what follows is kept. */
static bool may_defer(const struct statement *statement) {
    const struct mariadb_db *db = statement->db;
    return db->base.defers && db->in_transaction && db->holds_open && mysql_stmt_field_count(statement->handle) == 0;
}

/* `rows` 0: one plain execution; otherwise a bulk of so many. `bytes`: of the values. */
static enum err execute_bound(struct statement *statement, MYSQL_BIND *binds, unsigned rows, size_t bytes) {
    mysql_stmt_attr_set(statement->handle, STMT_ATTR_ARRAY_SIZE, &rows);
    if (statement->sql.position_count > 0 && mysql_stmt_bind_param(statement->handle, binds) != 0)
        return statement_error(statement);
    return may_defer(statement) ? execute_later(statement, bytes) : execute_now(statement);
}

/* ---- Rows ---- */

static enum err make_columns(struct statement *statement, unsigned count) {
    if (statement->column_count == count)
        return OK;
    free_columns(statement);
    statement->columns = calloc(count, sizeof *statement->columns);
    statement->results = calloc(count, sizeof *statement->results);
    statement->column_count = statement->columns && statement->results ? count : 0;
    return statement->column_count == count ? OK : ERR_NO_MEMORY;
}

/* Room for `size` bytes; what was there is lost. */
static enum err make_room(struct column *column, size_t size) {
    size_t capacity = column->capacity ? column->capacity : COLUMN_BYTES;
    if (column->capacity >= size)
        return OK;
    while (capacity < size)
        capacity *= 2;
    free(column->bytes);
    column->bytes = malloc(capacity);
    column->capacity = column->bytes ? capacity : 0;
    return column->bytes ? OK : ERR_NO_MEMORY;
}

static void aim_result(struct column *column, MYSQL_BIND *result) {
    *result = (MYSQL_BIND){ .buffer_type = column->is_number ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_BLOB,
                            .buffer = column->is_number ? (void *)&column->number : column->bytes,
                            .buffer_length = column->is_number ? sizeof column->number : column->capacity,
                            .length = &column->size,
                            .is_null = &column->is_null };
}

/* A column's type may change from one execution to the next: that of a parameter is its value's. There is room for the longest value of the result, so
 * that nothing has to be fetched twice, which the connector's 3.3.19 does wrong. */
static enum err aim_columns(struct statement *statement) {
    const MYSQL_FIELD *fields = mariadb_stmt_fetch_fields(statement->handle);
    enum err err = make_columns(statement, mysql_stmt_field_count(statement->handle));
    for (unsigned i = 0; err == OK && i < statement->column_count; i++) {
        statement->columns[i].is_number = IS_NUM(fields[i].type);
        if (!statement->columns[i].is_number)
            err = make_room(&statement->columns[i], fields[i].max_length > COLUMN_BYTES ? fields[i].max_length : COLUMN_BYTES);
        aim_result(&statement->columns[i], &statement->results[i]);
    }
    if (err == OK && mysql_stmt_bind_result(statement->handle, statement->results) != 0)
        err = statement_error(statement);
    return err;
}

static enum err store_rows(struct statement *statement) {
    my_bool measures = 1;
    mysql_stmt_attr_set(statement->handle, STMT_ATTR_UPDATE_MAX_LENGTH, &measures);
    return mysql_stmt_store_result(statement->handle) == 0 ? aim_columns(statement) : statement_error(statement);
}

static enum err try_run(struct statement *statement) {
    MYSQL_BIND binds[MARIADB_POSITIONS_MAX];
    enum err err = make_ready(statement);
    if (err != OK)
        return err;
    bind_values(statement, binds);
    err = execute_bound(statement, binds, 0, bytes_of_row(statement));
    statement->run = RUN_IS_OVER;
    if (err != OK || mysql_stmt_field_count(statement->handle) == 0)
        return err;
    err = store_rows(statement);
    statement->run = err == OK ? RUN_HAS_ROWS : RUN_IS_OVER;
    return err;
}

static enum err mariadb_has_changed(struct db *base, bool *ret_changed) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    enum err err = db->broken == OK ? collect(db) : db->broken;
    *ret_changed = err == OK && mysql_affected_rows(db->handle) > 0;
    return err;
}

static enum err try_begin_by(struct statement *first, bool *ret_changed) {
    struct mariadb_db *db = first->db;
    enum err err = is_connected(db) ? OK : connect_now(db);
    if (err == OK)
        err = hold_open(db, true);
    if (err != OK)
        return err;
    db->in_transaction = true;
    db->broken = OK;
    bool defers = db->base.defers;
    db->base.defers = !ret_changed;
    err = try_run(first);
    db->base.defers = defers;
    if (err == OK && ret_changed)
        err = mariadb_has_changed(&db->base, ret_changed);
    if (err != OK)
        mariadb_rollback(&db->base);
    return err;
}

/* As in begin(), a connection that was lost while it was idle is opened again: what the statement may have done on it is undone with it. */
static enum err mariadb_begin_by(struct statement *first, bool *ret_changed) {
    if (!first)
        return ERR_INTERNAL;
    struct mariadb_db *db = first->db;
    if (db->in_transaction)
        return fail(db, ERR_INTERNAL, "a transaction within a transaction");
    bool was_connected = is_connected(db), is_behind = db->commit_due;
    if (is_behind && !was_connected)
        return fail(db, ERR_DATABASE_UNAVAILABLE, "the connection of the commit before is lost");
    enum err err = try_begin_by(first, ret_changed);
    return err == ERR_DATABASE_UNAVAILABLE && was_connected && !is_behind ? try_begin_by(first, ret_changed) : err;
}

/* What only reads, outside a transaction, does not hang on its connection. */
static enum err run(struct statement *statement) {
    const struct mariadb_db *db = statement->db;
    bool may_repeat = is_connected(db) && !db->in_transaction && db->mode == DB_READER;
    enum err err = try_run(statement);
    return err == ERR_DATABASE_UNAVAILABLE && may_repeat ? try_run(statement) : err;
}

static enum err fetch(struct statement *statement, bool *ret_row) {
    int result = mysql_stmt_fetch(statement->handle);
    if (result == MYSQL_NO_DATA) {
        statement->run = RUN_IS_OVER;
        return OK;
    }
    if (result != 0)
        return statement_error(statement);
    *ret_row = true;
    return OK;
}

static enum err mariadb_step(struct statement *statement, bool *ret_row) {
    *ret_row = false;
    if (!statement)
        return ERR_INTERNAL;
    enum err err = statement->run == RUN_NOT_YET ? run(statement) : OK;
    return err == OK && statement->run == RUN_HAS_ROWS ? fetch(statement, ret_row) : err;
}

static bool mariadb_is_null(struct statement *statement, int column) { return statement->columns[column].is_null; }

static uint64_t mariadb_column_id(struct statement *statement, int column) {
    const struct column *found = &statement->columns[column];
    return found->is_number && !found->is_null ? found->number : 0;
}

static const void *mariadb_column_bytes(struct statement *statement, int column, size_t *ret_size) {
    const struct column *found = &statement->columns[column];
    bool has_bytes = !found->is_number && !found->is_null && found->size > 0;
    *ret_size = has_bytes ? found->size : 0;
    return has_bytes ? found->bytes : NULL;
}

/* ---- Array writes ---- */

union cell {
    uint64_t number;
    const void *bytes; /* borrowed */
};

/* Rows that wait to be sent. Columns, one for each parameter, lie one after the other, each with room for all rows. */
struct bulk {
    union cell *cells; /* owned, like the next two */
    unsigned long *sizes;
    char *indicators;
    enum value_kind kinds[MARIADB_PARAMETERS_MAX]; /* VALUE_NULL while a column has nothing else */
    size_t room;
    size_t count;
    size_t bytes;
};

static enum err bulk_init(struct bulk *bulk, const struct statement *statement, size_t count) {
    size_t room = count < BULK_ROWS ? count : BULK_ROWS;
    size_t cells = room * (statement->sql.parameter_count + 1);
    *bulk = (struct bulk){ .cells = malloc(cells * sizeof *bulk->cells),
                           .sizes = malloc(cells * sizeof *bulk->sizes),
                           .indicators = malloc(cells),
                           .room = room };
    return bulk->cells && bulk->sizes && bulk->indicators ? OK : ERR_NO_MEMORY;
}

static void bulk_release(struct bulk *bulk) {
    free(bulk->cells);
    free(bulk->sizes);
    free(bulk->indicators);
}

static enum err bulk_put(struct bulk *bulk, const struct statement *statement) {
    for (unsigned i = 0; i < statement->sql.parameter_count; i++) {
        const struct value *value = &statement->values[i];
        size_t place = i * bulk->room + bulk->count;
        if (value->kind == VALUE_NUMBER)
            bulk->cells[place].number = value->number;
        else
            bulk->cells[place].bytes = value->bytes ? value->bytes : "";
        bulk->sizes[place] = value->size;
        bulk->indicators[place] = value->kind == VALUE_NULL ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
        if (value->kind == VALUE_NULL)
            continue;
        if (bulk->kinds[i] != VALUE_NULL && bulk->kinds[i] != value->kind)
            return fail(statement->db, ERR_INTERNAL, "a column of an array write has values of two kinds");
        bulk->kinds[i] = value->kind;
    }
    bulk->count++;
    bulk->bytes += bytes_of_row(statement);
    return OK;
}

static void bind_bulk(struct bulk *bulk, const struct statement *statement, MYSQL_BIND *binds) {
    for (unsigned i = 0; i < statement->sql.position_count; i++) {
        unsigned parameter = statement->sql.parameters[i];
        size_t place = parameter * bulk->room;
        binds[i] = (MYSQL_BIND){ .buffer_type = type_of(bulk->kinds[parameter]),
                                 .buffer = &bulk->cells[place],
                                 .length = &bulk->sizes[place],
                                 .u.indicator = &bulk->indicators[place] };
    }
}

/* In a Galera cluster a transaction ends when another node's change of the same row arrives. A server that has to say so in answer to a bulk execution says
 * now and then that all went well instead, or nothing at all (10.11.19), and what follows would be written outside of the transaction. The status in its answer
 * tells most of these cases, and the end of the transaction the others (db/store_head.c). */
static enum err check_transaction(struct mariadb_db *db) {
    unsigned status = 0;
    if (!db->in_transaction)
        return OK;
    mariadb_get_infov(db->handle, MARIADB_CONNECTION_SERVER_STATUS, &status);
    if (status & SERVER_STATUS_IN_TRANS)
        return OK;
    db->broken = ERR_DATABASE_BUSY;
    db->lost = true; /* an answer that was wrong once is not followed by others */
    return fail(db, ERR_DATABASE_BUSY, "the server has ended the transaction");
}

static enum err bulk_send(struct bulk *bulk, struct statement *statement) {
    MYSQL_BIND binds[MARIADB_POSITIONS_MAX];
    if (bulk->count == 0)
        return OK;
    bind_bulk(bulk, statement, binds);
    enum err err = execute_bound(statement, binds, (unsigned)bulk->count, bulk->bytes);
    if (err == OK && statement->db->due == 0)
        err = check_transaction(statement->db);
    bulk->count = 0;
    bulk->bytes = 0;
    memset(bulk->kinds, 0, sizeof bulk->kinds);
    return err;
}

/* The row that the binder has bound. */
static enum err bulk_add(struct bulk *bulk, struct statement *statement) {
    enum err err = statement->misuse;
    if (err == OK && (bulk->count == bulk->room || bulk->bytes + bytes_of_row(statement) > BULK_BYTES))
        err = bulk_send(bulk, statement);
    return err == OK ? bulk_put(bulk, statement) : err;
}

static enum err write_array(struct statement *statement, const void *rows, size_t count, row_binder binder) {
    struct bulk bulk;
    enum err err = bulk_init(&bulk, statement, count);
    for (size_t i = 0; err == OK && i < count; i++) {
        memset(statement->values, 0, statement->sql.parameter_count * sizeof *statement->values);
        binder(statement, rows, i);
        err = bulk_add(&bulk, statement);
    }
    if (err == OK)
        err = bulk_send(&bulk, statement);
    bulk_release(&bulk);
    return err;
}

static enum err mariadb_write_rows(struct db *base, const struct query *query, const void *rows, size_t count, row_binder binder) {
    if (count == 0)
        return OK;
    struct statement *statement = mariadb_query(base, query);
    enum err err = statement ? make_ready(statement) : ERR_INTERNAL;
    if (err != OK)
        return err;
    return write_array(statement, rows, count, binder);
}

const struct db_driver mariadb_driver = {
    .scheme = "mariadb",
    .dialect = DIALECT_MARIADB,
    .is_shared = true,
    .open = mariadb_open,
    .close = mariadb_close,
    .problem = mariadb_problem,
    .execute = mariadb_execute,
    .begin = mariadb_begin,
    .begin_by = mariadb_begin_by,
    .commit = mariadb_commit,
    .send_commit = mariadb_send_commit,
    .await_commit = mariadb_await_commit,
    .rollback = mariadb_rollback,
    .query = mariadb_query,
    .bind_id = mariadb_bind_id,
    .bind_text = mariadb_bind_text,
    .bind_blob = mariadb_bind_blob,
    .step = mariadb_step,
    .finish = mariadb_finish,
    .has_changed = mariadb_has_changed,
    .is_null = mariadb_is_null,
    .column_id = mariadb_column_id,
    .column_bytes = mariadb_column_bytes,
    .write_rows = mariadb_write_rows,
    .checkpoint = NULL,
};
