#include "db_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/store_internal.h"

/* ---- Databases ---------------------------------------------------------------------------------------------------------------------- */

bool is_on_mariadb(void) { return getenv("PARLEY_TEST_DB") != NULL; }

void skip_on_mariadb(void) {
    if (!is_on_mariadb())
        return;
    print_message("this is about SQLite's files\n");
    skip();
}

void skip_without_mariadb(void) {
    if (is_on_mariadb())
        return;
    print_message("PARLEY_TEST_DB names no MariaDB server\n");
    skip();
}

struct db *open_database(const char *url, enum db_mode mode) {
    struct db *db = NULL;
    char problem[256] = "";
    if (db_open(url, mode, &db, problem, sizeof problem) != OK)
        fail_msg("db_open: %s", problem);
    return db;
}

/* On the database that PARLEY_TEST_DB itself names. */
static void run_on_server(const char *sql) {
    struct db *db = open_database(getenv("PARLEY_TEST_DB"), DB_WRITER);
    if (db->driver->execute(db, sql) != OK)
        fail_msg("%s: %s", sql, db->driver->problem(db));
    db_close(db);
}

/* The name of a database, in a URL: after the host, up to the options. */
static const char *find_name(const char *url, int *ret_size) {
    const char *authority = strstr(url, "//"), *slash = authority ? strchr(authority + 2, '/') : NULL;
    if (!slash)
        fail_msg("PARLEY_TEST_DB names no database: mariadb://user:password@host:port/database");
    *ret_size = (int)strcspn(slash + 1, "?");
    return slash + 1;
}

void mariadb_create(char ret_url[DATABASE_URL_BYTES]) {
    static unsigned count;
    const char *url = getenv("PARLEY_TEST_DB");
    int size;
    const char *name = find_name(url, &size);
    char own[64], sql[256];
    snprintf(own, sizeof own, "%.*s_unit_%d_%u", size, name, (int)getpid(), ++count);
    snprintf(ret_url, DATABASE_URL_BYTES, "%.*s%s%s", (int)(name - url), url, own, name + size);
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS \"%s\"; CREATE DATABASE \"%s\"", own, own);
    run_on_server(sql);
}

void mariadb_drop(const char *url) {
    int size;
    const char *name = find_name(url, &size);
    char sql[128];
    snprintf(sql, sizeof sql, "DROP DATABASE \"%.*s\"", size, name);
    run_on_server(sql);
}

/* ---- Fixtures ----------------------------------------------------------------------------------------------------------------------- */

void fixture_open(struct fixture *fixture) {
    char problem[256] = "";
    if (store_open(&fixture->config, &fixture->store, problem, sizeof problem) != OK)
        fail_msg("store_open: %s", problem);
    if (fixture->index_lag)
        fixture->store->owner_index.lag = fixture->index_lag;
    if (fixture->trusts_after)
        fixture->store->trusts_after = fixture->trusts_after;
    if (fixture->key_run)
        fixture->store->keys.run_size = fixture->key_run;
    if (fixture->listener)
        store_on_commit(fixture->store, fixture->listener, fixture->listener_context);
    assert_int_equal(store_start(fixture->store), OK);
    assert_int_equal(reader_open(fixture->store, &fixture->reader), OK);
}

void fixture_close(struct fixture *fixture) {
    reader_close(fixture->reader);
    store_close(fixture->store);
}

int fixture_set_up(void **state) {
    char problem[256] = "";
    struct fixture *fixture = calloc(1, sizeof *fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/parley-unit-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    setenv("PARLEY_DATA_DIR", fixture->folder, 1);
    if (is_on_mariadb())
        mariadb_create(fixture->url);
    else
        snprintf(fixture->url, sizeof fixture->url, "sqlite:%s/parley.db", fixture->folder);
    setenv("PARLEY_DB", fixture->url, 1);
    assert_int_equal(config_load(&fixture->config, problem, sizeof problem), OK);
    arena_init(&fixture->arena, 64 * 1024 * 1024);
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

int fixture_tear_down(void **state) {
    static const char *const files[] = { "parley.db", "parley.db-wal", "parley.db-shm", "parley.lock" };
    struct fixture *fixture = *state;
    fixture_close(fixture);
    if (is_on_mariadb())
        mariadb_drop(fixture->url);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", fixture->folder, files[i]);
        unlink(path);
    }
    int result = rmdir(fixture->folder);
    config_release(&fixture->config);
    arena_release(&fixture->arena);
    free(fixture);
    return result;
}

void fixture_reopen(struct fixture *fixture) {
    fixture_close(fixture);
    fixture_open(fixture);
}

struct fixture fixture_beside(const struct fixture *fixture, const char *url) {
    struct fixture other = { .config = fixture->config, .trusts_after = fixture->trusts_after };
    other.config.db = (char *)(uintptr_t)url;
    return other;
}

void other_open(struct fixture *other, const struct fixture *fixture, const char *url) {
    *other = fixture_beside(fixture, url);
    fixture_open(other);
}

/* ---- Commands ----------------------------------------------------------------------------------------------------------------------- */

static void gate_done(struct command *command) {
    struct volley *volley = command->context;
    pthread_mutex_lock(&volley->mutex);
    volley->gate_reached = true;
    pthread_cond_broadcast(&volley->changed);
    while (volley->gate_shut)
        pthread_cond_wait(&volley->changed, &volley->mutex);
    volley->gate_reached = false;
    pthread_cond_broadcast(&volley->changed);
    pthread_mutex_unlock(&volley->mutex);
}

static void volley_done(struct command *command) {
    struct volley *volley = command->context;
    pthread_mutex_lock(&volley->mutex);
    if (volley->commands[volley->done++] != command)
        volley->in_order = false;
    pthread_cond_broadcast(&volley->changed);
    pthread_mutex_unlock(&volley->mutex);
}

void volley_begin(struct volley *volley, struct fixture *fixture) {
    *volley = (struct volley){ .fixture = fixture, .in_order = true };
    pthread_mutex_init(&volley->mutex, NULL);
    pthread_cond_init(&volley->changed, NULL);
}

void volley_begin_shut(struct volley *volley, struct fixture *fixture) {
    volley_begin(volley, fixture);
    volley->gate_shut = true;
    volley->gate = (struct command){ .type = COMMAND_DEVICE_TOUCH, .done = gate_done, .context = volley };
    assert_int_equal(store_submit(fixture->store, &volley->gate), OK);
    pthread_mutex_lock(&volley->mutex);
    while (!volley->gate_reached)
        pthread_cond_wait(&volley->changed, &volley->mutex);
    pthread_mutex_unlock(&volley->mutex);
}

enum err volley_submit(struct volley *volley, struct command *command) {
    assert_true(volley->submitted < VOLLEY_COMMANDS);
    command->done = volley_done;
    command->context = volley;
    volley->commands[volley->submitted] = command;
    enum err err = store_submit(volley->fixture->store, command);
    volley->submitted += err == OK;
    return err;
}

void volley_open(struct volley *volley) {
    pthread_mutex_lock(&volley->mutex);
    volley->gate_shut = false;
    pthread_cond_broadcast(&volley->changed);
    pthread_mutex_unlock(&volley->mutex);
}

void volley_wait(struct volley *volley) {
    volley_open(volley);
    pthread_mutex_lock(&volley->mutex);
    while (volley->done < volley->submitted || volley->gate_reached)
        pthread_cond_wait(&volley->changed, &volley->mutex);
    pthread_mutex_unlock(&volley->mutex);
    pthread_cond_destroy(&volley->changed);
    pthread_mutex_destroy(&volley->mutex);
}

uint64_t make_user(struct fixture *fixture, const char *username) {
    static uint8_t token[1][SHA256_SIZE];
    token[0][0]++;
    if (token[0][0] == 0)
        token[0][1]++;
    struct command command = { .type = COMMAND_USER_CREATE,
                               .in.user_create = { .username = username,
                                                   .display_name = username,
                                                   .device_name = "device",
                                                   .tokens = (const uint8_t(*)[SHA256_SIZE])token,
                                                   .token_count = 1 } };
    assert_int_equal(store_run(fixture->store, &command), OK);
    uint64_t id = command.out.id;
    command_release(&command);
    return id;
}

uint64_t make_group(struct fixture *fixture, uint64_t owner_id, const uint64_t *member_ids, size_t count) {
    struct command command = {
        .type = COMMAND_CHAT_CREATE,
        .actor_id = owner_id,
        .in.chat_create = { .type = CHAT_GROUP, .title = "group", .member_ids = member_ids, .member_count = count },
    };
    assert_int_equal(store_run(fixture->store, &command), OK);
    uint64_t id = command.out.id;
    command_release(&command);
    return id;
}

enum err post(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, const char *text, uint64_t key, struct command *ret_command) {
    *ret_command = (struct command){
        .type = COMMAND_MESSAGE_POST,
        .actor_id = user_id,
        .idempotency = { .given = key != 0, .key = key },
        .in.message_post = { .chat_id = chat_id, .text = text, .text_size = strlen(text) },
    };
    memcpy(ret_command->idempotency.request, text, strlen(text) < HASH128_SIZE ? strlen(text) : HASH128_SIZE);
    return store_run(fixture->store, ret_command);
}

uint64_t post_ok(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, const char *text) {
    struct command command;
    assert_int_equal(post(fixture, user_id, chat_id, text, 0, &command), OK);
    uint64_t id = command.out.id;
    command_release(&command);
    return id;
}

static enum err run_and_release(struct fixture *fixture, struct command *command) {
    enum err err = store_run(fixture->store, command);
    command_release(command);
    return err;
}

void post_many(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, size_t count) {
    struct command *commands = calloc(count, sizeof *commands);
    struct volley volley;
    assert_non_null(commands);
    volley_begin(&volley, fixture);
    for (size_t i = 0; i < count; i++) {
        commands[i] = (struct command){ .type = COMMAND_MESSAGE_POST,
                                        .actor_id = user_id,
                                        .in.message_post = { .chat_id = chat_id, .text = "m", .text_size = 1 } };
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    }
    volley_wait(&volley);
    for (size_t i = 0; i < count; i++)
        command_release(&commands[i]);
    free(commands);
}

enum err put_member(struct fixture *fixture, uint64_t actor_id, uint64_t chat_id, uint64_t user_id, enum role role) {
    struct command command = { .type = COMMAND_MEMBER_PUT, .actor_id = actor_id, .in.member_put = { chat_id, user_id, role } };
    return run_and_release(fixture, &command);
}

enum err remove_member(struct fixture *fixture, uint64_t actor_id, uint64_t chat_id, uint64_t user_id) {
    struct command command = { .type = COMMAND_MEMBER_REMOVE, .actor_id = actor_id, .in.member_remove = { chat_id, user_id } };
    return run_and_release(fixture, &command);
}

enum err edit(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t message_id, const char *text) {
    struct command command = { .type = COMMAND_MESSAGE_EDIT,
                               .actor_id = user_id,
                               .in.message_edit = { chat_id, message_id, text, strlen(text) } };
    return run_and_release(fixture, &command);
}

enum err delete_message(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t message_id) {
    struct command command = { .type = COMMAND_MESSAGE_DELETE, .actor_id = user_id, .in.message_delete = { chat_id, message_id } };
    return run_and_release(fixture, &command);
}

static enum err end_snapshot(struct fixture *fixture, enum err err) {
    read_end(fixture->reader);
    return err;
}

enum err find_message(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t message_id, struct message *ret_message) {
    uint64_t head_id;
    assert_int_equal(read_begin(fixture->reader, &head_id), OK);
    return end_snapshot(fixture, read_message(fixture->reader, user_id, chat_id, message_id, &fixture->arena, ret_message));
}

enum err find_messages(struct fixture *fixture, uint64_t user_id, const struct page_request *request, struct message **ret_messages,
                       size_t *ret_count, bool *ret_more) {
    uint64_t head_id;
    assert_int_equal(read_begin(fixture->reader, &head_id), OK);
    return end_snapshot(fixture, read_messages(fixture->reader, user_id, request, &fixture->arena, ret_messages, ret_count, ret_more));
}

enum err find_chat(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, struct chat_of_member *ret_chat) {
    uint64_t head_id;
    assert_int_equal(read_begin(fixture->reader, &head_id), OK);
    return end_snapshot(fixture, read_chat(fixture->reader, user_id, chat_id, &fixture->arena, ret_chat));
}

uint64_t sweep_kind(struct fixture *fixture, enum sweep_kind kind) {
    struct command sweep;
    uint64_t rows = 0;
    do {
        sweep = (struct command){ .type = COMMAND_SWEEP, .in.sweep = { .kind = kind, .last = kind + 1 == SWEEP_KINDS } };
        assert_int_equal(run_and_release(fixture, &sweep), OK);
        rows += sweep.out.sweep.rows;
    } while (sweep.out.sweep.more);
    assert_int_equal(sweep.out.sweep.overdue_ms, 0);
    return rows;
}

uint64_t sweep_all(struct fixture *fixture) {
    uint64_t rows = 0;
    for (enum sweep_kind kind = 0; kind < SWEEP_KINDS; kind++)
        rows += sweep_kind(fixture, kind);
    return rows;
}

uint64_t count_rows(const struct config *config, const struct query *query) {
    bool row = false;
    struct db *db = open_database(config->db, DB_READER);
    struct statement *statement = db_query(db, query);
    assert_int_equal(db->driver->step(statement, &row), OK);
    assert_true(row);
    uint64_t count = db->driver->column_id(statement, 0);
    db->driver->finish(statement);
    db_close(db);
    return count;
}

struct frame **feed_of(struct fixture *fixture, uint64_t user_id, uint64_t after_id, size_t *ret_count) {
    struct frame **frames = NULL;
    size_t count = 0;
    uint64_t head = 0;
    struct feed_page page = { .complete = false };
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    while (!page.complete) {
        assert_int_equal(read_feed(fixture->reader, user_id, after_id, &page), OK);
        frames = realloc(frames, (count + page.count + 1) * sizeof *frames);
        memcpy(frames + count, page.frames, page.count * sizeof *frames);
        count += page.count;
        after_id = page.last_id;
    }
    read_end(fixture->reader);
    *ret_count = count;
    return frames;
}

void drop_all(struct frame **frames, size_t count) {
    for (size_t i = 0; i < count; i++)
        frame_drop(frames[i]);
    free(frames);
}
