/* See ejabberd.h. */
#include "ejabberd.h"

#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "database.h"
#include "peer.h"
#include "post.h"

#ifdef __aarch64__
#define MACHINE "aarch64"
#else
#define MACHINE "x86_64"
#endif
#define USERS 64
#define ROWS_PER_MESSAGE 2 /* in the archives of the sender and of the receiver */
#define SCHEMA "/usr/share/ejabberd/sql/mysql.sql"
#define CODE_FOLDER "/usr/lib/" MACHINE "-linux-gnu" /* where Debian has ejabberd's and Erlang looks for it */
#define STORE_LIMIT_NS (60 * NS_PER_SECOND)
#define STORE_POLL_MS 20

struct archive {
    const struct options *options;
    struct database database;
    struct peer peer;
    MYSQL *db;
    struct load_result *result; /* not owned */
};

/* ---- Messages ---- */

static size_t write_api_request(const struct archive *archive, const char *command, const char *body, char *bytes) {
    return (size_t)snprintf(
        bytes, HTTP_REQUEST_BYTES_MAX,
        "POST /api/%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", command,
        archive->peer.ports[0], strlen(body), body);
}

static size_t archive_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct archive *archive = context;
    char text[BENCH_TEXT_BYTES_MAX + 1], body[BENCH_TEXT_BYTES_MAX + 256];
    struct post post = { .time_ns = time_ns, .text_bytes = archive->options->text_bytes };
    post_write_text(&post, text);
    snprintf(body, sizeof body,
             "{\"type\":\"chat\",\"from\":\"bench%u@localhost\",\"to\":\"bench%u@localhost\",\"subject\":\"\",\"body\":\"%s\"}",
             connection % USERS, (connection + 1 + connection / USERS) % USERS, text);
    return write_api_request(archive, "send_message", body, bytes);
}

static const struct load_driver archive_driver = { .write_request = archive_write_request };

static void print_log(const struct archive *archive) {
    char log[PATH_MAX];
    peer_path(&archive->peer, "ejabberd.log", log);
    process_print_log(log);
}

static enum outcome register_users(const struct archive *archive) {
    char bytes[HTTP_REQUEST_BYTES_MAX], body[128], answer[256];
    for (unsigned user = 0; user < USERS; user++) {
        snprintf(body, sizeof body, "{\"user\":\"bench%u\",\"host\":\"localhost\",\"password\":\"bench\"}", user);
        const struct http_call call = { .port = archive->peer.ports[0],
                                        .what = "POST of an ejabberd user",
                                        .bytes = bytes,
                                        .len = write_api_request(archive, "register", body, bytes),
                                        .expected_status = 200 };
        if (http_call(&call, answer, sizeof answer)) {
            print_log(archive);
            return OUTCOME_FAILED;
        }
    }
    return OUTCOME_OK;
}

/* ---- What is stored ---- */

static enum outcome count_rows(const struct archive *archive, uint64_t *ret_rows) {
    MYSQL_RES *result = mysql_query(archive->db, "SELECT count(*) FROM archive") == 0 ? mysql_store_result(archive->db) : NULL;
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    *ret_rows = row && row[0] ? strtoull(row[0], NULL, 10) : 0;
    if (!row)
        complain("ejabberd's archive cannot be counted: %s", mysql_error(archive->db));
    mysql_free_result(result);
    return row ? OUTCOME_OK : OUTCOME_FAILED;
}

/* Counts until every answered message is there; `ret_end_ns` is then when. */
static enum outcome wait_until_stored(const struct archive *archive, uint64_t *ret_stored, uint64_t *ret_end_ns) {
    uint64_t wanted = archive->result->answered * ROWS_PER_MESSAGE, rows = 0, deadline_ns = now_ns() + STORE_LIMIT_NS;
    *ret_end_ns = archive->result->end_ns;
    while (now_ns() < deadline_ns && !bench_interrupted()) {
        if (count_rows(archive, &rows))
            return OUTCOME_FAILED;
        if (rows >= wanted)
            break;
        *ret_end_ns = now_ns();
        process_sleep_ms(STORE_POLL_MS);
    }
    *ret_stored = rows / ROWS_PER_MESSAGE;
    return OUTCOME_OK;
}

/* ---- The servers ---- */

static enum outcome prepare_database(struct archive *archive) {
    static const char statements[] =
        "SET PASSWORD FOR parley@'127.0.0.1' = PASSWORD('bench'); CREATE DATABASE parley_ejabberd CHARACTER SET utf8mb4;"
        " USE parley_ejabberd; SOURCE " SCHEMA "; ALTER TABLE archive DROP INDEX i_text;";
    if (peer_prepare(archive->options, "ejabberd", &archive->peer) || database_start(archive->peer.ports[1], &archive->database) ||
        database_administrate(&archive->database, statements))
        return OUTCOME_FAILED;
    archive->db = mysql_init(NULL);
    if (archive->db && mysql_real_connect(archive->db, NULL, "parley", "", "parley_ejabberd", 0, archive->database.socket, 0))
        return OUTCOME_OK;
    complain("cannot connect to ejabberd's database");
    return OUTCOME_FAILED;
}

/* Erlang itself, not ejabberdctl, which would become another user and start a daemon that outlives it. */
static enum outcome start_ejabberd(struct archive *archive) {
    static const char *const arguments[] = { "erl", "+K",       "true", "+P", "250000", "-noinput", "-mnesia", "dir", "\"@FOLDER@/spool\"",
                                             "-s",  "ejabberd", NULL };
    char config[PATH_MAX], log[PATH_MAX];
    if (peer_configure(&archive->peer, "ejabberd.yml", NULL))
        return OUTCOME_FAILED;
    peer_path(&archive->peer, "ejabberd.yml", config);
    peer_path(&archive->peer, "ejabberd.log", log);
    const char *const settings[][2] = {
        { "EJABBERD_CONFIG_PATH", config }, { "EJABBERD_LOG_PATH", log }, { "ERL_LIBS", CODE_FOLDER }, { "ERL_MAX_PORTS", "19000" }
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        setenv(settings[i][0], settings[i][1], 1);
    enum outcome outcome = peer_start(&archive->peer, 1, arguments);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        unsetenv(settings[i][0]);
    return outcome;
}

static void stop_all(struct archive *archive) {
    if (archive->db)
        mysql_close(archive->db);
    peer_release(&archive->peer);
    database_release(&archive->database);
}

/* ---- The load ---- */

static enum outcome run(struct archive *archive, uint32_t seconds, struct ejabberd_result *result) {
    uint64_t end_ns;
    if (prepare_database(archive) || start_ejabberd(archive) || register_users(archive))
        return OUTCOME_FAILED;
    const struct load_plan plan = {
        .port = archive->peer.ports[0],
        .connection_count = EJABBERD_CONNECTIONS,
        .duration_ns = (seconds < EJABBERD_SECONDS_MIN ? EJABBERD_SECONDS_MIN : seconds) * NS_PER_SECOND,
        .expected_status = 200,
        .stays = true,
        .driver = &archive_driver,
        .context = archive,
    };
    if (http_load_run(&plan, &result->load) || wait_until_stored(archive, &result->stored, &end_ns))
        return OUTCOME_FAILED;
    if (load_errors(&result->load) > 0)
        complain("ejabberd: %s", result->load.problem);
    result->stored_per_second = (double)result->stored * NS_PER_SECOND / (double)(end_ns - result->load.start_ns);
    return OUTCOME_OK;
}

bool ejabberd_is_installed(void) { return process_is_installed(SCHEMA) && process_is_installed("erl") && database_is_installed(); }

enum outcome ejabberd_load(const struct options *options, uint32_t seconds, struct ejabberd_result *ret_result) {
    struct archive archive = { .options = options, .result = &ret_result->load };
    *ret_result = (struct ejabberd_result){ .stored = 0 };
    enum outcome outcome = run(&archive, seconds, ret_result);
    stop_all(&archive);
    return outcome;
}
