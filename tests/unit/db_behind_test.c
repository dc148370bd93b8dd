/* Batches that go by a head that nobody waits to see, and those of them that are sent to MariaDB behind the commit before theirs: whatever becomes of that commit,
 * or of them, it is as if they had been sent after its answer, and had looked.
 *
 * Most tests run two batches. A transaction of the test's own holds the row of the first one's chat until all of the second is decided, and so the second is
 * there when the first one's commit is sent. */
#include "db_cut.h"
#include "db_posts.h"
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/metrics.h"
#include "db/rows.h"
#include "db/store_head.h"
#include "db/store_internal.h"

#define POSTS 40 /* more than it takes to begin with them ahead */

static int set_up(void **state) { return cut_set_up(state, 1); }

static struct fixture *fixture_of(void **state) {
    struct fixture *fixture = *state;
    skip_without_mariadb();
    if (!cutter)
        skip();
    if (fixture->store->db->in_cluster) /* where nothing is sent behind a commit */
        skip();
    return fixture;
}

/* ---- Rows that are held -------------------------------------------------------------------------------------------------------------- */

static const struct query touch_chat = { "UPDATE chat SET title = title WHERE id = ?1" };
static const struct query count_waiting = {
    "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE meta SET number%'"
};
static const struct query own_id = { "SELECT connection_id()" };
static const struct query find_writer = { "SELECT id FROM information_schema.processlist WHERE info LIKE 'INSERT INTO chat(%'" };

/* Whoever waits for a row of it, and it while it does nothing, may do so for long: otherwise the server gives each two seconds, which a machine that stands
 * still may use up. Until it connects anew. */
static void be_patient(struct db *db) {
    assert_int_equal(db->driver->execute(db, "SET SESSION innodb_lock_wait_timeout = 60, idle_write_transaction_timeout = 60"), OK);
}

static struct db *hold_chat(struct fixture *fixture, uint64_t chat_id) {
    struct db *db = open_database(fixture->url, DB_WRITER);
    be_patient(db);
    assert_int_equal(db->driver->begin(db), OK);
    struct statement *statement = db_query(db, &touch_chat);
    db->driver->bind_id(statement, 1, chat_id);
    assert_int_equal(db_run(db, statement), OK);
    return db;
}

static void let_go(struct db *db) {
    db->driver->rollback(db);
    db_close(db);
}

static uint64_t ask(struct db *db, const struct query *query) {
    uint64_t found = 0;
    enum err err = OK;
    struct statement *statement = db_query(db, query);
    for (bool row; rows_next(db, statement, &err, &row);)
        found = db->driver->column_id(statement, 0);
    assert_int_equal(err, OK);
    return found;
}

/* ---- Two batches --------------------------------------------------------------------------------------------------------------------- */

struct two {
    struct volley volley;
    struct command *commands;
    size_t count;
    struct db *holder, *watcher;
    uint64_t ahead_before, behind_before;
};

/* The first batch is commands[0]: as large as a batch may be. It has the head when this returns. */
static void begin_two(struct two *two, struct fixture *fixture, struct command *commands, size_t count) {
    while (marks_due_ms(&fixture->store->marks) != INT64_MAX) /* they would have their turn first */
        clock_sleep_ms(1);
    *two = (struct two){ .commands = commands, .count = count, .behind_before = metric_get(COUNTER_BATCHES_BEHIND) };
    two->watcher = open_database(fixture->url, DB_READER);
    two->ahead_before = metric_get(COUNTER_COMMANDS_AHEAD);
    volley_begin_shut(&two->volley, fixture);
    be_patient(fixture->store->db); /* whose thread is at the gate */
    commands[0].bytes = LIMIT_BATCH_BYTES;
    for (size_t i = 1; i < count; i++)
        commands[i].bytes = 3000; /* as those of requests */
    for (size_t i = 0; i < count; i++)
        assert_int_equal(volley_submit(&two->volley, &commands[i]), OK);
    two->holder = hold_chat(fixture, commands[0].in.message_post.chat_id);
    volley_open(&two->volley);
    while (metric_get(COUNTER_COMMANDS_AHEAD) - two->ahead_before < count - 1 || ask(two->watcher, &find_writer) == 0)
        clock_sleep_ms(1);
}

/* So many batches were sent behind a commit that was kept. */
static void end_two(struct two *two, uint64_t behind) {
    volley_wait(&two->volley);
    assert_true(two->volley.in_order);
    assert_int_equal(two->volley.done, two->count);
    assert_int_equal(metric_get(COUNTER_BATCHES_BEHIND) - two->behind_before, behind);
    db_close(two->watcher);
}

static void run_two(struct fixture *fixture, struct command *commands, size_t count, uint64_t behind) {
    struct two two;
    begin_two(&two, fixture, commands, count);
    let_go(two.holder);
    end_two(&two, behind);
}

/* ---- As if they came after ----------------------------------------------------------------------------------------------------------- */

static void posts_go_behind_the_commit_before(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + POSTS];
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), failed = metric_get(COUNTER_BATCHES_FAILED);
    for (size_t round = 1; round <= 2; round++) {
        fill_posts(commands, COUNT_OF(commands), ann, chat);
        run_two(fixture, commands, COUNT_OF(commands), 1);
        check_answers(fixture, commands, COUNT_OF(commands));
        for (size_t i = 1; i < COUNT_OF(commands); i++)
            assert_int_equal(log_position(commands[i].out.id), log_position(commands[i - 1].out.id) + 1);
        check_chat(fixture, ann, chat, round * COUNT_OF(commands));
        check_log(fixture, chat);
        release_all(commands, COUNT_OF(commands));
    }
    assert_int_equal(metric_get(COUNTER_BATCHES_FAILED), failed);
    fixture_reopen(fixture);
    check_chat(fixture, ann, chat, 2 * COUNT_OF(commands));
}

/* Also where the first batch, the second, or both, make a run of those before. */
static void keys_go_behind_the_commit_before(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + POSTS];
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    for (uint64_t size = 1; size <= POSTS + 2; size += POSTS / 4) {
        fixture->store->keys.run_size = size;
        for (size_t i = 0; i < COUNT_OF(commands); i++)
            commands[i] = post_with_key(ann, chat, 1000 * size + i);
        run_two(fixture, commands, COUNT_OF(commands), 1);
        check_answers(fixture, commands, COUNT_OF(commands));
        fixture_reopen(fixture);
        for (size_t i = 0; i < COUNT_OF(commands); i += POSTS / 4) {
            struct command again = post_with_key(ann, chat, 1000 * size + i);
            assert_int_equal(store_run(fixture->store, &again), OK);
            assert_int_equal(again.out.id, commands[i].out.id);
            command_release(&again);
        }
        release_all(commands, COUNT_OF(commands));
    }
    check_log(fixture, chat);
}

static void marks_have_their_turn(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + POSTS];
    struct two two;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    fill_posts(commands, COUNT_OF(commands), ann, chat);
    begin_two(&two, fixture, commands, COUNT_OF(commands));
    const struct mark mark = { .kind = MARK_READ, .chat_id = chat, .owner_id = ann, .value = 1 };
    bool first;
    assert_int_equal(marks_move(&fixture->store->marks, &mark, 0, &first), OK); /* long ago */
    let_go(two.holder);
    end_two(&two, 0);
    check_answers(fixture, commands, COUNT_OF(commands));
    release_all(commands, COUNT_OF(commands));
}

/* ---- Failures ------------------------------------------------------------------------------------------------------------------------ */

/* The answer to the commit gets lost, and with it what was sent behind it: it was kept, or it was not. */
static void a_commit_that_got_lost_is_settled_first(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + POSTS];
    struct two two;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    for (int early = 0; early < 2; early++) {
        for (size_t i = 0; i < COUNT_OF(commands); i++)
            commands[i] = post_with_key(ann, chat, 1000 * (uint64_t)early + i);
        begin_two(&two, fixture, commands, COUNT_OF(commands));
        (early ? commit_cutter_arm_early : commit_cutter_arm)(cutter);
        let_go(two.holder);
        end_two(&two, 0);
        check_answers(fixture, commands, COUNT_OF(commands));
        for (size_t i = 1; i < COUNT_OF(commands); i++)
            assert_int_equal(log_position(commands[i].out.id), log_position(commands[0].out.id) + i);
        assert_true(store_healthy(fixture->store));
        check_chat(fixture, ann, chat, (size_t)(early + 1) * COUNT_OF(commands));
        check_log(fixture, chat);
        release_all(commands, COUNT_OF(commands));
    }
}

/* And nobody finds out for too long: who comes later goes by what the database has. */
static void a_commit_that_nobody_knows_of_is_not_remembered(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + POSTS];
    struct two two;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    fill_posts(commands, COUNT_OF(commands), ann, chat);
    begin_two(&two, fixture, commands, COUNT_OF(commands));
    commit_cutter_arm(cutter);
    commit_cutter_close(cutter);
    let_go(two.holder);
    end_two(&two, 0);
    assert_int_equal(commands[0].refusal.err, ERR_DATABASE_UNKNOWN);
    all_end_with(commands + 1, POSTS, ERR_DATABASE_UNAVAILABLE);
    commit_cutter_let_in(cutter);
    fixture->config.db = fixture->url;
    post_ok(fixture, ann, chat, "goes on from what was kept");
    check_chat(fixture, ann, chat, 2);
    check_log(fixture, chat);
    release_all(commands, COUNT_OF(commands));
}

/* The first is answered while the second still is under way, which is run again when its connection ends. */
static void a_lost_connection_takes_only_what_was_behind(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + POSTS];
    struct two two;
    char sql[64];
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), other = make_group(fixture, ann, NULL, 0);
    commands[0] = post_of(ann, chat, "m");
    fill_posts(commands + 1, POSTS, ann, other);
    struct db *holder = hold_chat(fixture, other), *killer = open_database(fixture->url, DB_WRITER);
    begin_two(&two, fixture, commands, COUNT_OF(commands));
    let_go(two.holder);
    uint64_t writer_id = 0;
    while (metric_get(COUNTER_BATCHES_BEHIND) == two.behind_before || (writer_id = ask(killer, &find_writer)) == 0)
        clock_sleep_ms(1);
    check_chat(fixture, ann, chat, 1);
    check_chat(fixture, ann, other, 0);
    snprintf(sql, sizeof sql, "KILL %llu", (unsigned long long)writer_id);
    assert_int_equal(killer->driver->execute(killer, sql), OK);
    db_close(killer);
    let_go(holder);
    end_two(&two, 1);
    check_answers(fixture, commands, COUNT_OF(commands));
    check_chat(fixture, ann, other, POSTS);
    check_log(fixture, other);
    release_all(commands, COUNT_OF(commands));
}

/* ---- Where others write, too --------------------------------------------------------------------------------------------------------- */

struct between {
    struct fixture other;
    struct command command;
    pthread_t thread;
};

/* Nobody else has written for two transactions. */
static void gain_trust(struct fixture *fixture, uint64_t user_id) {
    for (int i = 0; i < 2; i++)
        (void)make_group(fixture, user_id, NULL, 0);
    assert_true(head_is_trusted(fixture->store));
}

/* The other node has nothing left to do, such as marks, which would wait for the head in place of what it is told next. */
static void let_rest(struct fixture *other) {
    struct volley volley;
    while (marks_due_ms(&other->store->marks) != INT64_MAX)
        clock_sleep_ms(1);
    volley_begin_shut(&volley, other);
    be_patient(other->store->db);
    other->store->trusts_after = UINT_MAX; /* it waits to see the head */
    volley_wait(&volley);
}

static void *run_between(void *context) {
    struct between *between = context;
    (void)store_run(between->other.store, &between->command);
    return NULL;
}

/* Another node waits for the head, and has it before what was sent behind the commit: to the same chat, and with a key that this one has, too. */
static void what_another_wrote_comes_between(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + POSTS];
    struct between between;
    struct two two;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    other_open(&between.other, fixture, fixture->url);
    for (size_t round = 0; round < 2; round++) {
        fill_posts(commands, COUNT_OF(commands), ann, chat);
        commands[3] = post_with_key(ann, chat, 9 + round);
        between.command = post_with_key(ann, chat, 9 + round);
        let_rest(&between.other);
        gain_trust(fixture, ann);
        begin_two(&two, fixture, commands, COUNT_OF(commands));
        uint64_t commits = metric_get(COUNTER_COMMITS), failed = metric_get(COUNTER_BATCHES_FAILED);
        assert_int_equal(pthread_create(&between.thread, NULL, run_between, &between), 0);
        while (ask(two.watcher, &count_waiting) == 0)
            clock_sleep_ms(1);
        let_go(two.holder);
        pthread_join(between.thread, NULL);
        end_two(&two, 1);
        assert_true(metric_get(COUNTER_BATCHES_FAILED) > failed);
        assert_in_range(metric_get(COUNTER_COMMITS) - commits, 3, 5); /* the two, the other's, and perhaps marks of both */
        assert_int_equal(between.command.refusal.err, OK);
        assert_int_equal(log_position(between.command.out.id), log_position(commands[0].out.id) + 1);
        assert_true(log_position(commands[1].out.id) > log_position(between.command.out.id)); /* at once, but for marks */
        assert_true(commands[3].out.existed && commands[3].out.id == between.command.out.id);
        check_answers(fixture, commands, COUNT_OF(commands));
        check_chat(fixture, ann, chat, (round + 1) * COUNT_OF(commands));
        check_log(fixture, chat);
        command_release(&between.command);
        release_all(commands, COUNT_OF(commands));
        post_ok(fixture, ann, make_group(fixture, ann, NULL, 0), "the head is found as it was left again");
    }
    fixture_close(&between.other);
}

/* Another node has taken nothing but the head and the tag meanwhile: what it did is not in the log, and counts. */
static void anothers_commit_without_events_comes_between(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + POSTS];
    struct two two;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), failed = metric_get(COUNTER_BATCHES_FAILED);
    struct between between;
    other_open(&between.other, fixture, fixture->url);
    fill_posts(commands, COUNT_OF(commands), ann, chat);
    between.command =
        (struct command){ .type = COMMAND_LEASE, .in.lease = { .name = "between", .holder = 7, .until_ms = clock_now_ms() + 60000 } };
    let_rest(&between.other);
    gain_trust(fixture, ann);
    begin_two(&two, fixture, commands, COUNT_OF(commands));
    assert_int_equal(pthread_create(&between.thread, NULL, run_between, &between), 0);
    while (ask(two.watcher, &count_waiting) == 0)
        clock_sleep_ms(1);
    let_go(two.holder);
    pthread_join(between.thread, NULL);
    end_two(&two, 1);
    assert_true(metric_get(COUNTER_BATCHES_FAILED) > failed);
    check_answers(fixture, commands, COUNT_OF(commands));
    check_chat(fixture, ann, chat, COUNT_OF(commands));
    check_log(fixture, chat);
    release_all(commands, COUNT_OF(commands));
    fixture_close(&between.other);
}

/* ---- Under load ---------------------------------------------------------------------------------------------------------------------- */

#define ROUNDS 12
#define RUSH 400

struct rush {
    struct fixture *fixture;
    struct volley volley;
    struct command commands[RUSH];
    uint64_t user_id, chat_id, first_key;
    pthread_t thread;
};

static void *run_rush(void *context) {
    struct rush *rush = context;
    volley_begin(&rush->volley, rush->fixture);
    for (size_t i = 0; i < RUSH; i++) {
        rush->commands[i] = post_with_key(rush->user_id, rush->chat_id, rush->first_key + i);
        assert_int_equal(volley_submit(&rush->volley, &rush->commands[i]), OK);
    }
    volley_wait(&rush->volley);
    return NULL;
}

/* Whoever was refused says it again, with the same key. */
static void repeat_what_failed(struct rush *rush) {
    for (size_t i = 0; i < RUSH; i++) {
        if (rush->commands[i].refusal.err == OK)
            continue;
        command_release(&rush->commands[i]);
        rush->commands[i] = post_with_key(rush->user_id, rush->chat_id, rush->first_key + i);
        assert_int_equal(store_run(rush->fixture->store, &rush->commands[i]), OK);
    }
}

static void kill_writers(struct db *killer) {
    char sql[64];
    uint64_t id = ask(killer, &find_writer);
    snprintf(sql, sizeof sql, "KILL %llu", (unsigned long long)id);
    if (id)
        (void)killer->driver->execute(killer, sql); /* it may have gone by itself */
}

/* One node alone for most of the time, and so trusting; at times another writes, and connections end in the middle. Every message is there once. */
static void what_is_under_way_is_kept_once(void **state) {
    static struct rush own, others;
    struct fixture *fixture = fixture_of(state);
    struct between between;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), behind = metric_get(COUNTER_BATCHES_BEHIND);
    struct db *killer = open_database(fixture->url, DB_WRITER);
    other_open(&between.other, fixture, fixture->url);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        own = (struct rush){ .fixture = fixture, .user_id = ann, .chat_id = chat, .first_key = 10000 * round };
        others = (struct rush){ .fixture = &between.other, .user_id = ann, .chat_id = chat, .first_key = 10000 * round + RUSH };
        assert_int_equal(pthread_create(&own.thread, NULL, run_rush, &own), 0);
        if (round % 3 == 1)
            assert_int_equal(pthread_create(&others.thread, NULL, run_rush, &others), 0);
        for (int i = 0; round % 3 == 2 && i < 5; i++, clock_sleep_ms(2))
            kill_writers(killer);
        pthread_join(own.thread, NULL);
        repeat_what_failed(&own);
        check_answers(fixture, own.commands, RUSH);
        release_all(own.commands, RUSH);
        if (round % 3 != 1)
            continue;
        pthread_join(others.thread, NULL);
        repeat_what_failed(&others);
        check_answers(fixture, others.commands, RUSH);
        release_all(others.commands, RUSH);
    }
    check_log(fixture, chat);
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, ann, chat, &seen), OK);
    assert_int_equal(seen.chat.last_seq, ROUNDS * RUSH + ROUNDS / 3 * RUSH);
    assert_true(metric_get(COUNTER_BATCHES_BEHIND) > behind);
    print_message("%llu commits behind others\n", (unsigned long long)(metric_get(COUNTER_BATCHES_BEHIND) - behind));
    db_close(killer);
    fixture_close(&between.other);
}

/* ---- Trust --------------------------------------------------------------------------------------------------------------------------- */

static void what_was_decided_on_trust_is_decided_anew(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct between between;
    struct command command;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_group(fixture, ann, &bob, 1);
    other_open(&between.other, fixture, fixture->url);
    post_ok(fixture, bob, chat, "a member");
    assert_int_equal(remove_member(&between.other, ann, chat, bob), OK);
    assert_true(head_is_trusted(fixture->store));
    assert_int_equal(post(fixture, bob, chat, "not any more", 0, &command), ERR_NOT_FOUND);
    command_release(&command);
    gain_trust(fixture, ann);
    assert_int_equal(post(fixture, bob, chat, "still not", 0, &command), ERR_NOT_FOUND);
    command_release(&command);
    assert_int_equal(put_member(&between.other, ann, chat, bob, ROLE_MEMBER), OK);
    assert_true(head_is_trusted(fixture->store));
    post_ok(fixture, bob, chat, "again");
    check_log(fixture, chat);
    fixture_close(&between.other);
}

/* Nobody notices. */
static void a_connection_that_was_lost_while_idle_is_opened_again(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct db *killer = open_database(fixture->url, DB_WRITER);
    char sql[64];
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    gain_trust(fixture, ann);
    snprintf(sql, sizeof sql, "KILL %llu", (unsigned long long)ask(fixture->store->db, &own_id)); /* whose thread has nothing to do */
    assert_int_equal(killer->driver->execute(killer, sql), OK);
    post_ok(fixture, ann, chat, "m");
    assert_true(store_healthy(fixture->store));
    check_chat(fixture, ann, chat, 1);
    check_log(fixture, chat);
    db_close(killer);
}

#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, cut_tear_down)

int main(void) {
    alarm(300);
    static const struct CMUnitTest tests[] = {
        IN_FIXTURE(posts_go_behind_the_commit_before),
        IN_FIXTURE(keys_go_behind_the_commit_before),
        IN_FIXTURE(marks_have_their_turn),
        IN_FIXTURE(a_commit_that_got_lost_is_settled_first),
        IN_FIXTURE(a_commit_that_nobody_knows_of_is_not_remembered),
        IN_FIXTURE(a_lost_connection_takes_only_what_was_behind),
        IN_FIXTURE(what_another_wrote_comes_between),
        IN_FIXTURE(anothers_commit_without_events_comes_between),
        IN_FIXTURE(what_is_under_way_is_kept_once),
        IN_FIXTURE(what_was_decided_on_trust_is_decided_anew),
        IN_FIXTURE(a_connection_that_was_lost_while_idle_is_opened_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
