/* The MariaDB driver's connections: to which server, how they are set up, and whether the server will do. */
#include <errmsg.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "db/mariadb_internal.h"

#define OLDEST_SERVER 100600 /* JSON_TABLE */
#define CONNECT_TIMEOUT_S 5
#define CONNECT_ONE_TIMEOUT_S 2 /* where there are several servers */
#define FAILS_SOON_MS 1000      /* too soon for a server that says nothing */
#define ANSWER_TIMEOUT_S 30
#define KEEPALIVE_S 5 /* of silence, before a server is asked whether its machine still is there, */
#define KEEPALIVE_EACH_S 2
#define KEEPALIVE_COUNT 3
#define UNHEARD_MS 10000    /* and how long it may leave what was sent unconfirmed */
#define PASSWORD_BYTES 1024 /* in a file */

void mariadb_forget_prepared(struct statement *statement) {
    if (statement->handle)
        mysql_stmt_close(statement->handle);
    statement->handle = NULL;
    statement->run = RUN_NOT_YET;
}

/* The connection first: statements without one are closed without a word to the server. */
void mariadb_disconnect(struct mariadb_db *db) {
    if (db->handle)
        mysql_close(db->handle);
    db->handle = NULL;
    struct statement *statement;
    for (size_t cursor = 0; (statement = map_next(&db->statements, &cursor));)
        mariadb_forget_prepared(statement);
    db->lost = false;
    db->holds_open = false;
    db->due = 0;
    db->due_bytes = 0;
    db->commit_due = false;
}

enum err mariadb_run_text(struct mariadb_db *db, const char *sql) {
    return mysql_query(db->handle, sql) == 0 ? OK : mariadb_connection_error(db);
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
        return mariadb_fail(db, ERR_DATABASE_UNAVAILABLE, "password_file cannot be read");
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
        err = mariadb_connection_error(db);
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
    return mariadb_fail(db, ERR_CONFIG, "TLS is asked for, and the server has none");
}

static enum err check_version(struct mariadb_db *db) {
    bool is_mariadb = mariadb_connection(db->handle);
    if (is_mariadb && mysql_get_server_version(db->handle) >= OLDEST_SERVER)
        return OK;
    return mariadb_fail(db, ERR_CONFIG, "the server is no MariaDB 10.6 or newer");
}

static enum err check_packet(struct mariadb_db *db) {
    enum err err = mariadb_run_text(db, "SELECT @@max_allowed_packet");
    MYSQL_RES *result = err == OK ? mysql_store_result(db->handle) : NULL;
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    unsigned long long bytes = row && row[0] ? strtoull(row[0], NULL, 10) : 0;
    mysql_free_result(result);
    if (err == OK && bytes < MARIADB_PACKET_BYTES)
        err = mariadb_fail(db, ERR_CONFIG, "the server's max_allowed_packet is too small: 16M, its default, will do");
    return err;
}

/* What a SHOW of one name says of it; "" when the server does not know it. */
static enum err show(struct mariadb_db *db, const char *sql, char *ret_text, size_t size) {
    enum err err = mariadb_run_text(db, sql);
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
        err = mariadb_fail(db, ERR_DATABASE_UNAVAILABLE, "the server is not in step with its cluster");
    return err;
}

/* Where there is another, one that only reads will not do either. */
static enum err check_choice(struct mariadb_db *db) {
    char reads_only[8] = "";
    enum err err = show(db, "SHOW GLOBAL VARIABLES LIKE 'read_only'", reads_only, sizeof reads_only);
    if (err == OK && strcmp(reads_only, "OFF") != 0)
        err = mariadb_fail(db, ERR_DATABASE_UNAVAILABLE, "the server only reads");
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
        err = mariadb_run_text(db, *sql);
    if (err == OK && db->mode == DB_READER && mariadb_run_text(db, wait_for_cluster) != OK && db->lost)
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
    mariadb_disconnect(db);
    db->server = server;
    pthread_once(&library_once, start_library);
    db->handle = mysql_init(NULL);
    if (!db->handle)
        return mariadb_fail(db, ERR_NO_MEMORY, "out of memory");
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

/* What ends all connections at once also ends one that is being set up, and the server is there all the same: whatever fails soon is tried once more, before
 * everybody moves to another server, which need not know what was written to this one. */
static enum err connect_to_current(struct mariadb_db *db, unsigned current) {
    int64_t started_ms = clock_monotonic_ms();
    enum err err = connect_to(db, current);
    bool failed_soon = err == ERR_DATABASE_UNAVAILABLE && clock_monotonic_ms() - started_ms < FAILS_SOON_MS;
    return failed_soon && has_choice(db) ? connect_to(db, current) : err;
}

enum err mariadb_connect_any(struct mariadb_db *db) {
    unsigned current = mariadb_servers_current(db->servers);
    enum err err = connect_to_current(db, current);
    for (unsigned server = 0; err != OK && err != ERR_NO_MEMORY && server < db->url->host_count; server++)
        if (server != current)
            err = connect_to(db, server);
    if (err == OK) {
        mariadb_servers_choose(db->servers, current, db->server, db->cluster);
        db->base.connections++;
    }
    return err;
}

bool mariadb_probe_server(struct mariadb_servers *servers, unsigned server, char ret_cluster[MARIADB_CLUSTER_SIZE]) {
    struct mariadb_db db = { .servers = servers, .url = mariadb_servers_url(servers), .mode = DB_WRITER };
    bool ready = connect_to(&db, server) == OK;
    memcpy(ret_cluster, db.cluster, sizeof db.cluster);
    mariadb_disconnect(&db);
    return ready;
}

bool mariadb_is_connected(const struct mariadb_db *db) {
    return db->handle && !db->lost && db->server == mariadb_servers_current(db->servers);
}
