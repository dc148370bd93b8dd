/* The writer when things go wrong: a command that breaks a constraint, a full queue, a stop, a full disk, a second opener; and the schema's steps. */
#include "db_support.h"
#include "unit.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/id.h"
#include "core/limits.h"

static struct command post_command(uint64_t user_id, uint64_t chat_id, const char *text) {
    return (struct command){ .type = COMMAND_MESSAGE_POST,
                             .actor_id = user_id,
                             .in.message_post = { .chat_id = chat_id, .text = text, .text_size = strlen(text) } };
}

static struct command user_command(const char *username, const uint8_t (*tokens)[SHA256_SIZE]) {
    return (struct command){
        .type = COMMAND_USER_CREATE,
        .in.user_create = { .username = username, .display_name = username, .device_name = "device", .tokens = tokens, .token_count = 1 },
    };
}

static void release_all(struct command *commands, size_t count) {
    for (size_t i = 0; i < count; i++)
        command_release(&commands[i]);
}

/* ---- Batches ------------------------------------------------------------------------------------------------------------------------ */

/* Two users with one token in the same batch: the second is refused, and neither it nor its neighbours leave anything half done. */
static void one_that_breaks_a_constraint_is_refused_alone(void **state) {
    static const uint8_t token[1][SHA256_SIZE] = { { 200, 1 } };
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann");
    uint64_t chat = make_group(fixture, ann, NULL, 0), before = store_head(fixture->store);
    struct command commands[] = { post_command(ann, chat, "one"), user_command("bob", token), user_command("cid", token),
                                  post_command(ann, chat, "two") };
    struct volley volley;
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    volley_wait(&volley);
    assert_true(volley.in_order);
    static const enum err expected[] = { OK, OK, ERR_CONFLICT, OK };
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        assert_int_equal(commands[i].refusal.err, expected[i]);
    assert_int_equal(log_position(commands[0].out.id), log_position(before) + 1);
    assert_int_equal(log_position(commands[3].out.id), log_position(before) + 2);
    assert_int_equal(store_head(fixture->store), commands[3].out.id);
    assert_true(store_healthy(fixture->store));
    struct user user;
    assert_int_equal(read_user_by_name(fixture->reader, "bob", &fixture->arena, &user), OK);
    assert_int_equal(read_user_by_name(fixture->reader, "cid", &fixture->arena, &user), ERR_NOT_FOUND);
    struct session session;
    assert_int_equal(read_session(fixture->reader, token[0], &session), OK);
    assert_int_equal(session.user_id, commands[1].out.id);
    release_all(commands, COUNT_OF(commands));
    make_user(fixture, "cid"); /* its name is still free */
}

/* Both ask for the last use of one code at once. */
static void an_invitation_is_used_up_once(void **state) {
    static const uint8_t invite[SHA256_SIZE] = { 201 }, tokens[2][1][SHA256_SIZE] = { { { 202 } }, { { 203 } } };
    struct fixture *fixture = *state;
    struct command made = { .type = COMMAND_INVITE_CREATE, .in.invite_create = { .invite = invite, .uses = 1, .expires_ms = INT64_MAX } };
    assert_int_equal(store_run(fixture->store, &made), OK);
    struct command commands[] = { user_command("dan", tokens[0]), user_command("eve", tokens[1]) };
    struct volley volley;
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        commands[i].in.user_create.invite = invite;
        commands[i].in.user_create.invite_required = true;
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    }
    volley_wait(&volley);
    assert_int_equal(commands[0].refusal.err, OK);
    assert_int_equal(commands[1].refusal.err, ERR_BAD_INVITE);
    release_all(commands, COUNT_OF(commands));
}

/* ---- The queue ---------------------------------------------------------------------------------------------------------------------- */

static void a_full_queue_refuses(void **state) {
    struct fixture *fixture = *state;
    fixture->config.queue_max = 4;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "fay");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    struct command commands[5];
    struct volley volley;
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        commands[i] = post_command(ann, chat, "m");
        assert_int_equal(volley_submit(&volley, &commands[i]), i < 4 ? OK : ERR_OVERLOADED);
    }
    volley_wait(&volley);
    assert_int_equal(volley.done, 4);
    release_all(commands, COUNT_OF(commands));
    post_ok(fixture, ann, chat, "there is room again");
}

static void a_queue_of_long_commands_refuses(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "gus");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    struct command commands[3];
    struct volley volley;
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        commands[i] = post_command(ann, chat, "m");
        commands[i].bytes = LIMIT_QUEUE_BYTES / 2;
        assert_int_equal(volley_submit(&volley, &commands[i]), i < 2 ? OK : ERR_OVERLOADED);
    }
    volley_wait(&volley);
    assert_true(commands[0].refusal.err == OK && commands[1].refusal.err == OK);
    release_all(commands, COUNT_OF(commands));
}

/* Each changes the members of one chat, so each needs a batch of its own: the queue is long when the store stops. */
static void a_stop_finishes_what_is_queued(void **state) {
    enum { COMMANDS = 64 };
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "hal"), bob = make_user(fixture, "ida");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    struct command commands[COMMANDS], late = post_command(ann, chat, "too late");
    struct volley volley;
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < COMMANDS; i++) {
        if (i % 2 == 0)
            commands[i] = (struct command){ .type = COMMAND_MEMBER_PUT, .actor_id = ann, .in.member_put = { chat, bob, ROLE_MEMBER } };
        else
            commands[i] = (struct command){ .type = COMMAND_MEMBER_REMOVE, .actor_id = ann, .in.member_remove = { chat, bob } };
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    }
    volley_open(&volley);
    store_stop(fixture->store);
    assert_int_equal(volley.done, COMMANDS);
    assert_int_equal(volley_submit(&volley, &late), ERR_DRAINING);
    volley_wait(&volley);
    for (size_t i = 0; i < COMMANDS; i++)
        assert_int_equal(commands[i].refusal.err, OK);
    release_all(commands, COMMANDS);
    fixture_reopen(fixture);
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, ann, chat, &seen), OK);
    assert_int_equal(seen.chat.last_rev, COMMANDS + 1);
    assert_int_equal(seen.chat.member_count, 1);
}

/* ---- The folder and the disk -------------------------------------------------------------------------------------------------------- */

static void a_second_opener_is_refused(void **state) {
    struct fixture *fixture = *state;
    skip_on_mariadb();
    struct store *second = NULL;
    char problem[256] = "";
    assert_int_equal(store_open(&fixture->config, &second, problem, sizeof problem), ERR_CONFLICT);
    assert_null(second);
    assert_non_null(strstr(problem, fixture->folder));
    uint64_t ann = make_user(fixture, "jon"); /* the first is none the worse for it */
    post_ok(fixture, ann, make_group(fixture, ann, NULL, 0), "m");
    fixture_reopen(fixture);
}

/* No file may grow beyond `bytes`: to SQLite this is a disk that fails in the middle of a write. */
static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

#define LOG_HEADER_BYTES 32
#define FRAME_HEADER_BYTES 24
#define FRAME_BYTES (FRAME_HEADER_BYTES + 4096)
#define SALT_BYTES 8

/* Where the last commit ends in the log, whose file is longer: behind the last frame with a size of the database (4 bytes, after the page's number), of those
 * with the salt of the log's header. */
static rlim_t log_end(const struct fixture *fixture) {
    char path[128];
    uint8_t header[LOG_HEADER_BYTES], frame[FRAME_BYTES];
    long end = LOG_HEADER_BYTES;
    snprintf(path, sizeof path, "%s/parley.db-wal", fixture->folder);
    FILE *log = fopen(path, "rb");
    assert_non_null(log);
    assert_int_equal(fread(header, sizeof header, 1, log), 1);
    while (fread(frame, sizeof frame, 1, log) == 1 && memcmp(frame + 8, header + 16, SALT_BYTES) == 0)
        if (memcmp(frame + 4, "\0\0\0", 4) != 0)
            end = ftell(log);
    fclose(log);
    return (rlim_t)end;
}

static void check_integrity(struct fixture *fixture) {
    static const struct query integrity = { "PRAGMA integrity_check" };
    struct db *db = open_database(fixture->url, DB_READER);
    size_t size = 0;
    bool row = false;
    struct statement *statement = db_query(db, &integrity);
    assert_int_equal(db->driver->step(statement, &row), OK);
    const void *bytes = db->driver->column_bytes(statement, 0, &size);
    assert_true(row && size == 2);
    assert_memory_equal(bytes, "ok", 2);
    db->driver->finish(statement);
    db_close(db);
}

struct listening {
    size_t commits;
};

static void count_commit(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    (void)previous_id;
    (void)frames;
    (void)count;
    ((struct listening *)context)->commits++;
}

/* A batch of posts, each with a key; all of them end with `expected`. */
static void post_batch(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, const char *text, enum err expected) {
    enum { COMMANDS = 40 };
    struct command commands[COMMANDS];
    struct volley volley;
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < COMMANDS; i++) {
        commands[i] = post_command(user_id, chat_id, text);
        commands[i].idempotency = (struct idempotency){ .given = true, .key = i + 1 };
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    }
    volley_wait(&volley);
    for (size_t i = 0; i < COMMANDS; i++) {
        assert_int_equal(commands[i].refusal.err, expected);
        assert_false(commands[i].out.existed);
        assert_true((commands[i].out.frame != NULL) == (expected == OK));
        assert_true(expected != OK || log_position(commands[i].out.id) == log_position(commands[0].out.id) + i);
    }
    release_all(commands, COMMANDS);
}

static size_t count_messages(struct fixture *fixture, uint64_t user_id, uint64_t chat_id) {
    struct page_request request = { .chat_id = chat_id, .direction = PAGE_BEFORE, .limit = LIMIT_PAGE_ITEMS };
    struct message *messages;
    size_t count = 0;
    bool more;
    assert_int_equal(find_messages(fixture, user_id, &request, &messages, &count, &more), OK);
    return count;
}

/* The disk fails at once, within the first page, after some, in the middle of one, and each time it comes back. */
static void a_full_disk_refuses_all_and_heals(void **state) {
    static const rlim_t rooms[] = { 0, 100, 8240, 30000 };
    struct fixture *fixture = *state;
    skip_on_mariadb();
    struct listening listening = { 0 };
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    fixture->listener = count_commit;
    fixture->listener_context = &listening;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "kay");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    post_ok(fixture, ann, chat, "before");
    for (size_t i = 0; i < COUNT_OF(rooms); i++) {
        uint64_t head = store_head(fixture->store);
        size_t commits = listening.commits;
        limit_files(log_end(fixture) + rooms[i]);
        post_batch(fixture, ann, chat, text, ERR_DATABASE_UNAVAILABLE);
        limit_files(RLIM_INFINITY);
        assert_false(store_healthy(fixture->store));
        assert_int_equal(listening.commits, commits);
        assert_int_equal(store_head(fixture->store), head);
        assert_int_equal(count_messages(fixture, ann, chat), 1 + i);
        assert_int_equal(log_position(post_ok(fixture, ann, chat, "after")), log_position(head) + 1);
        assert_true(store_healthy(fixture->store));
    }
    post_batch(fixture, ann, chat, text, OK); /* the keys of what was refused are still free */
    check_integrity(fixture);
    fixture->listener = NULL;
    fixture_reopen(fixture);
    check_integrity(fixture);
    assert_int_equal(count_messages(fixture, ann, chat), 1 + COUNT_OF(rooms) + 40);
}

/* ---- Long logs ---------------------------------------------------------------------------------------------------------------------- */

/* Who has nothing in a long log of others gets through it in a few pages and misses nothing at its ends. */
static void a_feed_skips_what_others_said(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "leo"), bob = make_user(fixture, "mia"), eve = make_user(fixture, "ned");
    uint64_t loud = make_group(fixture, ann, NULL, 0), quiet = make_group(fixture, ann, &bob, 1);
    uint64_t start = store_head(fixture->store);
    for (int i = 0; i < 10; i++)
        post_many(fixture, ann, loud, VOLLEY_COMMANDS);
    uint64_t last = post_ok(fixture, ann, quiet, "at last");
    size_t count = 0;
    struct frame **frames = feed_of(fixture, bob, start, &count);
    assert_true(count == 1 && frames[0]->id == last);
    drop_all(frames, count);
    frames = feed_of(fixture, eve, 0, &count);
    assert_int_equal(count, 0);
    drop_all(frames, count);
    frames = feed_of(fixture, ann, start, &count);
    assert_int_equal(count, 10 * VOLLEY_COMMANDS + 1);
    for (size_t i = 1; i < count; i++)
        assert_int_equal(log_position(frames[i]->id), log_position(frames[i - 1]->id) + 1);
    drop_all(frames, count);
}

/* ---- The schema --------------------------------------------------------------------------------------------------------------------- */

static void the_secret_outlives_a_restart(void **state) {
    struct fixture *fixture = *state;
    uint8_t secret[32];
    memcpy(secret, store_secret(fixture->store), sizeof secret);
    fixture_reopen(fixture);
    assert_memory_equal(secret, store_secret(fixture->store), sizeof secret);
}

static void execute(const struct fixture *fixture, const char *sql) {
    struct db *db = open_database(fixture->url, DB_WRITER);
    assert_int_equal(db->driver->execute(db, sql), OK);
    db_close(db);
}

/* What each step made. */
#define UNDO_2                                                                                                                           \
    "ALTER TABLE user DROP COLUMN media_bytes; ALTER TABLE device DROP COLUMN acked_id; ALTER TABLE chat DROP COLUMN message_ttl_ms;"    \
    "ALTER TABLE chat DROP COLUMN until_delivered; ALTER TABLE event DROP COLUMN attachments; ALTER TABLE event DROP COLUMN expires_ms;" \
    "DROP TABLE media; DROP TABLE attachment; DROP TABLE expiry; DROP TABLE delivery; DROP TABLE lease;"
#define UNDO_3 "DELETE FROM meta WHERE name = 'head';"
#define UNDO_4                                                                             \
    "ALTER TABLE chat DROP COLUMN description; ALTER TABLE chat DROP COLUMN slow_mode_ms;" \
    "ALTER TABLE chat DROP COLUMN permissions; ALTER TABLE stay DROP COLUMN last_post_ms;" \
    "DROP TABLE link; ALTER TABLE chat DROP COLUMN avatar_id; DROP TABLE avatar; DROP TABLE join_request; DROP TABLE ban;"
#define UNDO_5                                                                                                                             \
    "ALTER TABLE event DROP COLUMN reply_id; ALTER TABLE event DROP COLUMN reply_seq; ALTER TABLE event DROP COLUMN reply_sender_id;"      \
    "ALTER TABLE event DROP COLUMN mentions; ALTER TABLE event DROP COLUMN forwarded; ALTER TABLE event DROP COLUMN reactions;"            \
    "ALTER TABLE event DROP COLUMN reactions_rev; ALTER TABLE event DROP COLUMN reactions_id; ALTER TABLE stay DROP COLUMN mentioned_seq;" \
    "DROP TABLE reaction; DROP TABLE pin; DROP TABLE hidden; DROP TABLE revision;"
#define UNDO_6 "ALTER TABLE user DROP COLUMN active_ms; ALTER TABLE user DROP COLUMN hides_presence;"
#define UNDO_7                                                                                                                    \
    "ALTER TABLE stay DROP COLUMN read_seq; ALTER TABLE stay DROP COLUMN muted_until_ms; ALTER TABLE stay DROP COLUMN archived;"  \
    "ALTER TABLE stay DROP COLUMN pinned_ms; ALTER TABLE stay DROP COLUMN touched_id; ALTER TABLE user DROP COLUMN delivered_id;" \
    "ALTER TABLE user DROP COLUMN hides_receipts; DROP TABLE draft;"
#define UNDO_8 "DROP TABLE scheduled;"
#define UNDO_9 "DROP TABLE block; DROP TABLE contact; ALTER TABLE chat DROP COLUMN blockers;"
#define UNDO_10 "DROP TABLE report;"
#define UNDO_11 "ALTER TABLE chat DROP COLUMN is_public;"
#define UNDO_12 "DROP TABLE recent_key; DROP TABLE key_run; DROP TABLE key_block;"
/* A database as the first release left it. */
static const char undo_later_steps[] =
    UNDO_12 UNDO_11 UNDO_10 UNDO_9 UNDO_8 UNDO_7 UNDO_6 UNDO_5 UNDO_4 UNDO_3 UNDO_2 "DELETE FROM migration WHERE step >= 2;";

static void an_older_database_is_carried_on(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), old = post_ok(fixture, ann, chat, "of old");
    fixture_close(fixture);
    execute(fixture, is_on_mariadb() ? "DROP INDEX stay_by_role ON stay" : "DROP INDEX stay_by_role"); /* of step 11 */
    if (!is_on_mariadb())
        execute(fixture, "DROP TABLE event_of_owner; CREATE INDEX event_by_owner ON event(owner_id, is_message, id)"); /* of step 13 */
    execute(fixture, undo_later_steps);
    fixture_open(fixture);
    struct message message;
    struct chat_of_member seen;
    assert_int_equal(find_message(fixture, ann, chat, old, &message), OK);
    assert_string_equal(message.text, "of old");
    assert_true(!message.attachments && message.expires_ms == 0 && message.deleted_ms == 0);
    assert_true(!message.mentions && message.reply_to.id == 0 && !message.forwarded && message.reactions_rev == 0);
    assert_int_equal(find_chat(fixture, ann, chat, &seen), OK);
    assert_true(seen.chat.message_ttl_ms == 0 && !seen.chat.until_delivered);
    assert_int_equal(edit(fixture, ann, chat, old, "of late"), OK);
    post_ok(fixture, ann, chat, "new");
    assert_int_equal(sweep_all(fixture), 0);
}

static void a_newer_schema_is_refused(void **state) {
    struct fixture *fixture = *state;
    struct store *store = NULL;
    char problem[256] = "";
    fixture_close(fixture);
    execute(fixture, "INSERT INTO migration(step, applied_ms) VALUES(1000, 0)");
    assert_int_equal(store_open(&fixture->config, &store, problem, sizeof problem), ERR_CONFIG);
    assert_null(store);
    assert_non_null(strstr(problem, "newer"));
    execute(fixture, "DELETE FROM migration WHERE step = 1000");
    fixture_open(fixture);
}

int main(void) {
    alarm(300);               /* a test that fails while the writer is held up would leave it there */
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit shall fail, not kill */
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_that_breaks_a_constraint_is_refused_alone),
        TEST(an_invitation_is_used_up_once),
        TEST(a_full_queue_refuses),
        TEST(a_queue_of_long_commands_refuses),
        TEST(a_stop_finishes_what_is_queued),
        TEST(a_second_opener_is_refused),
        TEST(a_full_disk_refuses_all_and_heals),
        TEST(a_feed_skips_what_others_said),
        TEST(the_secret_outlives_a_restart),
        TEST(an_older_database_is_carried_on),
        TEST(a_newer_schema_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
