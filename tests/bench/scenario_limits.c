/* What the libraries allow at most, with nothing of a chat server around them: answers of libmicrohttpd, and rows in durable batches on SQLite and MariaDB.
 *
 * The rows are those of a post, so the indexes are, too: a row with its text, found by its chat, and a random key. */
#include <errno.h>
#include <limits.h>
#include <mysql.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "database.h"
#include "empty.h"
#include "figures.h"
#include "http_load.h"
#include "post.h"
#include "process.h"
#include "report.h"

#define BATCH_ROWS 256 /* as many posts as connections can have waiting */
#define CHATS 64
#define STATEMENT_BYTES (BATCH_ROWS * (BENCH_TEXT_BYTES_MAX + 128))

static const char create_message[] = "CREATE TABLE message(id BIGINT PRIMARY KEY, chat_id BIGINT NOT NULL, body TEXT NOT NULL)";
static const char create_message_by_chat[] = "CREATE INDEX message_by_chat ON message(chat_id, id)";
static const char create_key[] = "CREATE TABLE used(name BIGINT PRIMARY KEY, id BIGINT NOT NULL)";

struct limits {
    const struct options *options;
    uint64_t random_state;
    uint64_t next_id;
    char text[BENCH_TEXT_BYTES_MAX + 1];
    struct load_result result;
    struct histogram batches;
    struct table table;
};

static void add_row(struct limits *limits, const char *what, uint64_t per_second, const struct histogram *latency, const char *note) {
    table_cell(&limits->table, "%s", what);
    table_count(&limits->table, per_second);
    table_latencies(&limits->table, latency);
    table_cell(&limits->table, "%s", note);
}

/* ---- HTTP ---- */

static enum outcome load_empty(struct limits *limits, uint32_t connections, const char *what, const char *note) {
    if (empty_load(limits->options, connections, limits->options->seconds, &limits->result))
        return OUTCOME_FAILED;
    add_row(limits, what, load_rate(&limits->result), &limits->result.latency, note);
    return OUTCOME_OK;
}

/* What a post alone waits for, besides everything that a server does about it: its commit, and the way there and back. */
static void note_single(const struct histogram *answer) {
    double sync_p50_ms, sync_p99_ms;
    double p50_ms = histogram_percentile_ms(answer, 500000), p99_ms = histogram_percentile_ms(answer, 990000);
    if (figure_get(FIGURE_FDATASYNC_P50_MS, &sync_p50_ms))
        figure_set(FIGURE_SINGLE_P50_MS, sync_p50_ms + p50_ms);
    if (figure_get(FIGURE_FDATASYNC_P99_MS, &sync_p99_ms))
        figure_set(FIGURE_SINGLE_P99_MS, sync_p99_ms + p99_ms);
}

static enum outcome measure_empty(struct limits *limits) {
    complain("limits: libmicrohttpd");
    if (load_empty(limits, EMPTY_CONNECTIONS, "libmicrohttpd, empty 201", "120 connections, the requests of posts"))
        return OUTCOME_FAILED;
    figure_set(FIGURE_EMPTY_ANSWERS, (double)load_rate(&limits->result));
    if (load_empty(limits, 1, "libmicrohttpd, one at a time", "the same on one connection"))
        return OUTCOME_FAILED;
    note_single(&limits->result.latency);
    return OUTCOME_OK;
}

/* ---- SQLite ---- */

struct sqlite {
    sqlite3 *db;
    sqlite3_stmt *message, *key;
};

static bool sqlite_run(sqlite3 *db, const char *statement) { return sqlite3_exec(db, statement, NULL, NULL, NULL) == SQLITE_OK; }

static bool sqlite_open_at(const char *path, struct sqlite *ret_sqlite) {
    struct sqlite sqlite = { 0 };
    bool opened = sqlite3_open(path, &sqlite.db) == SQLITE_OK && sqlite_run(sqlite.db, "PRAGMA journal_mode=WAL") &&
                  sqlite_run(sqlite.db, "PRAGMA synchronous=FULL") && sqlite_run(sqlite.db, create_message) &&
                  sqlite_run(sqlite.db, create_message_by_chat) && sqlite_run(sqlite.db, create_key) &&
                  sqlite3_prepare_v2(sqlite.db, "INSERT INTO message VALUES(?, ?, ?)", -1, &sqlite.message, NULL) == SQLITE_OK &&
                  sqlite3_prepare_v2(sqlite.db, "INSERT INTO used VALUES(?, ?)", -1, &sqlite.key, NULL) == SQLITE_OK;
    *ret_sqlite = sqlite;
    return opened;
}

static bool sqlite_step(sqlite3_stmt *statement) { return sqlite3_step(statement) == SQLITE_DONE && sqlite3_reset(statement) == SQLITE_OK; }

static bool sqlite_insert(struct limits *limits, const struct sqlite *sqlite) {
    sqlite3_int64 id = (sqlite3_int64)++limits->next_id;
    return sqlite3_bind_int64(sqlite->message, 1, id) == SQLITE_OK && sqlite3_bind_int64(sqlite->message, 2, id % CHATS) == SQLITE_OK &&
           sqlite3_bind_text(sqlite->message, 3, limits->text, -1, SQLITE_STATIC) == SQLITE_OK && sqlite_step(sqlite->message) &&
           sqlite3_bind_int64(sqlite->key, 1, (sqlite3_int64)random_next(&limits->random_state)) == SQLITE_OK &&
           sqlite3_bind_int64(sqlite->key, 2, id) == SQLITE_OK && sqlite_step(sqlite->key);
}

static bool sqlite_batch(struct limits *limits, const struct sqlite *sqlite) {
    bool inserted = sqlite_run(sqlite->db, "BEGIN IMMEDIATE");
    for (unsigned i = 0; inserted && i < BATCH_ROWS; i++)
        inserted = sqlite_insert(limits, sqlite);
    return inserted && sqlite_run(sqlite->db, "COMMIT");
}

/* Rows a second by batches that follow each other; 0 when one failed. */
static uint64_t run_batches(struct limits *limits, bool (*batch)(struct limits *, void *), void *connection) {
    uint64_t start_ns = now_ns(), end_ns = start_ns + limits->options->seconds * NS_PER_SECOND, rows = 0, batch_ns;
    memset(&limits->batches, 0, sizeof limits->batches);
    while ((batch_ns = now_ns()) < end_ns && !bench_interrupted()) {
        if (!batch(limits, connection))
            return 0;
        histogram_record(&limits->batches, now_ns() - batch_ns);
        rows += BATCH_ROWS;
    }
    return (uint64_t)((double)rows * NS_PER_SECOND / (double)(now_ns() - start_ns));
}

static bool sqlite_batch_of(struct limits *limits, void *connection) { return sqlite_batch(limits, connection); }

static enum outcome measure_sqlite(struct limits *limits) {
    char folder[PATH_MAX], path[PATH_MAX];
    struct sqlite sqlite = { 0 };
    complain("limits: SQLite");
    snprintf(folder, sizeof folder, "%.3900s/parley-bench-sqlite-XXXXXX", limits->options->data_parent);
    if (!mkdtemp(folder)) {
        complain("limits: cannot make %s: %s", folder, strerror(errno));
        return OUTCOME_FAILED;
    }
    snprintf(path, sizeof path, "%.3900s/limits.db", folder);
    uint64_t per_second = sqlite_open_at(path, &sqlite) ? run_batches(limits, sqlite_batch_of, &sqlite) : 0;
    if (per_second == 0)
        complain("limits: SQLite: %s", sqlite3_errmsg(sqlite.db));
    sqlite3_finalize(sqlite.message);
    sqlite3_finalize(sqlite.key);
    sqlite3_close(sqlite.db);
    process_remove_folder(folder);
    add_row(limits, "SQLite, durable batches of 256", per_second, &limits->batches, "synchronous=FULL; latency is a batch's");
    figure_set(FIGURE_SQLITE_ROWS, (double)per_second);
    return per_second > 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

/* ---- MariaDB ---- */

static size_t write_message_rows(struct limits *limits, char *statement) {
    size_t len = (size_t)sprintf(statement, "INSERT INTO message VALUES");
    for (unsigned i = 0; i < BATCH_ROWS; i++) {
        unsigned long long id = limits->next_id + 1 + i;
        len += (size_t)sprintf(statement + len, "%s(%llu,%llu,'%s')", i ? "," : "", id, id % CHATS, limits->text);
    }
    return len;
}

static size_t write_key_rows(struct limits *limits, char *statement) {
    size_t len = (size_t)sprintf(statement, "INSERT INTO used VALUES");
    for (unsigned i = 0; i < BATCH_ROWS; i++) {
        long long name = (long long)random_next(&limits->random_state);
        len += (size_t)sprintf(statement + len, "%s(%lld,%llu)", i ? "," : "", name, (unsigned long long)limits->next_id + 1 + i);
    }
    return len;
}

static bool mariadb_batch_of(struct limits *limits, void *connection) {
    static char statement[STATEMENT_BYTES];
    MYSQL *db = connection;
    bool inserted = mysql_query(db, "BEGIN") == 0 && mysql_real_query(db, statement, write_message_rows(limits, statement)) == 0 &&
                    mysql_real_query(db, statement, write_key_rows(limits, statement)) == 0 && mysql_query(db, "COMMIT") == 0;
    limits->next_id += BATCH_ROWS;
    return inserted;
}

static uint64_t run_on_mariadb(struct limits *limits, const struct database *database) {
    MYSQL *db = mysql_init(NULL);
    bool ready = db && mysql_real_connect(db, NULL, "parley", "", "parley", 0, database->socket, 0) &&
                 mysql_query(db, create_message) == 0 && mysql_query(db, create_message_by_chat) == 0 && mysql_query(db, create_key) == 0;
    uint64_t per_second = ready ? run_batches(limits, mariadb_batch_of, db) : 0;
    if (per_second == 0)
        complain("limits: MariaDB: %s", db ? mysql_error(db) : "no memory");
    if (db)
        mysql_close(db);
    return per_second;
}

static enum outcome measure_mariadb(struct limits *limits) {
    struct database database;
    if (!database_is_installed())
        return OUTCOME_OK;
    complain("limits: MariaDB");
    if (database_start(0, &database))
        return OUTCOME_FAILED;
    uint64_t per_second = run_on_mariadb(limits, &database);
    database_release(&database);
    add_row(limits, "MariaDB, durable batches of 256", per_second, &limits->batches, "flush at commit; latency is a batch's");
    figure_set(FIGURE_MARIADB_ROWS, (double)per_second);
    return per_second > 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

enum outcome scenario_limits(const struct options *options) {
    static const char *const columns[] = { "what", "a second", TABLE_LATENCY_COLUMNS, "note", NULL };
    static struct limits limits;
    limits = (struct limits){ .options = options, .random_state = now_ns() };
    post_write_text(&(struct post){ .text_bytes = options->text_bytes }, limits.text);
    table_start(&limits.table, "limits: the libraries alone", columns);
    enum outcome outcome = measure_empty(&limits);
    if (!bench_interrupted() && measure_sqlite(&limits))
        outcome = OUTCOME_FAILED;
    if (!bench_interrupted() && measure_mariadb(&limits))
        outcome = OUTCOME_FAILED;
    table_print(&limits.table);
    return outcome;
}
