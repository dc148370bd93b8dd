/* Several writers of one database, and commits whose answers get lost. On SQLite, which has one writer, all of this is skipped. */
#include "db_support.h"
#include "unit.h"

#include <stdatomic.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/limits.h"
#include "db/store_internal.h"
#include "tests/db/commit_cutter.h"

#define NEVER_MS 3600000
#define HANG_MS 30000 /* nothing here takes so long */
#define HOLD_MS 3000  /* longer than the server lets a writer wait for the head */

static struct fixture *on_mariadb(void **state) {
    skip_without_mariadb();
    return *state;
}

static uint64_t position_of(uint64_t id) { return log_position(id); }

/* The messages of a chat are exactly these, in this order, and numbered without a hole. */
static void check_texts(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, const char *const *texts, size_t count) {
    struct page_request request = { .chat_id = chat_id, .direction = PAGE_BEFORE, .limit = LIMIT_PAGE_ITEMS };
    struct message *messages = NULL;
    size_t found = 0;
    bool more;
    assert_int_equal(find_messages(fixture, user_id, &request, &messages, &found, &more), OK);
    assert_int_equal(found, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(messages[i].text, texts[i]);
        assert_int_equal(messages[i].seq, i + 1);
    }
}

/* Every position above `after_id` up to the end of the log is there, once; returns how many. */
static size_t check_dense(struct fixture *fixture, uint64_t after_id) {
    struct feed_page page = { .complete = false };
    size_t count = 0;
    while (!page.complete) {
        assert_int_equal(read_log(fixture->reader, after_id, &page), OK);
        for (size_t i = 0; i < page.count; i++, count++) {
            assert_int_equal(position_of(page.frames[i]->id), position_of(after_id) + 1);
            after_id = page.frames[i]->id;
        }
        feed_page_release(&page);
    }
    return count;
}

/* ---- Others ------------------------------------------------------------------------------------------------------------------------- */

static void two_writers_continue_each_other(void **state) {
    struct fixture *fixture = on_mariadb(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    struct fixture other;
    other_open(&other, fixture, fixture->url);
    uint64_t one = post_ok(fixture, ann, chat, "one"), two = post_ok(&other, ann, chat, "two");
    uint64_t three = post_ok(fixture, ann, chat, "three"), four = post_ok(&other, ann, chat, "four");
    assert_int_equal(position_of(two), position_of(one) + 1);
    assert_int_equal(position_of(three), position_of(two) + 1);
    assert_int_equal(position_of(four), position_of(three) + 1);
    check_texts(fixture, ann, chat, (const char *const[]){ "one", "two", "three", "four" }, 4);
    assert_int_equal(check_dense(fixture, 0), position_of(four));
    fixture_close(&other);
}

static void what_another_took_away_is_not_remembered(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct command command;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_group(fixture, ann, &bob, 1);
    struct fixture other;
    other_open(&other, fixture, fixture->url);
    post_ok(fixture, bob, chat, "still here");
    assert_int_equal(remove_member(&other, ann, chat, bob), OK);
    assert_int_equal(post(fixture, bob, chat, "gone", 0, &command), ERR_NOT_FOUND);
    command_release(&command);
    assert_int_equal(put_member(&other, ann, chat, bob, ROLE_MEMBER), OK);
    post_ok(fixture, bob, chat, "back");
    fixture_close(&other);
}

struct heard {
    atomic_ulong commits;
    uint64_t previous_id, first_id;
};

/* The thread that follows the log may tell of a commit, too, before the writer does: it counts once. */
static void hear(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct heard *heard = context;
    assert_true(count > 0);
    if (frames[0]->id <= heard->first_id)
        return;
    heard->previous_id = previous_id;
    heard->first_id = frames[0]->id;
    atomic_fetch_add(&heard->commits, 1);
}

/* Who follows the log sees by the last id before a commit that it has missed something. The node does not look by itself what that was. */
static void listeners_learn_that_another_wrote(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct heard heard = { .commits = 0 };
    fixture->config.poll_interval_ms = NEVER_MS;
    fixture->listener = hear;
    fixture->listener_context = &heard;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    struct fixture other;
    other_open(&other, fixture, fixture->url);
    uint64_t one = post_ok(fixture, ann, chat, "one"), two = post_ok(&other, ann, chat, "two");
    assert_int_equal(heard.first_id, one);
    uint64_t three = post_ok(fixture, ann, chat, "three");
    assert_true(heard.previous_id == two && heard.first_id == three);
    fixture_close(&other);
    fixture->listener = NULL;
    fixture_reopen(fixture);
}

#define POSTS_AT_ONCE 400

struct poster {
    struct fixture *fixture;
    uint64_t user_id, chat_id;
};

static void *post_on_and_on(void *context) {
    struct poster *poster = context;
    for (int i = 0; i < POSTS_AT_ONCE; i++)
        post_ok(poster->fixture, poster->user_id, poster->chat_id, "m");
    return NULL;
}

static void two_writers_at_once_leave_no_hole(void **state) {
    struct fixture *fixture = on_mariadb(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), start = store_head(fixture->store);
    struct fixture other;
    pthread_t threads[2];
    other_open(&other, fixture, fixture->url);
    struct poster posters[] = { { fixture, ann, chat }, { &other, ann, chat } };
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_on_and_on, &posters[i]), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(check_dense(fixture, start), COUNT_OF(threads) * POSTS_AT_ONCE);
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, ann, chat, &seen), OK);
    assert_int_equal(seen.chat.last_seq, COUNT_OF(threads) * POSTS_AT_ONCE);
    fixture_close(&other);
}

/* Two that raise the floor and post above it. */
static void another_may_cut_the_log(void **state) {
    struct fixture *fixture = on_mariadb(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), old = post_ok(fixture, ann, chat, "old");
    struct fixture other;
    other_open(&other, fixture, fixture->url);
    other.config.retention_ms = 1;
    clock_sleep_ms(5);
    assert_true(sweep_all(&other) > 0);
    assert_int_equal(store_floor(other.store), old);
    uint64_t next = post_ok(fixture, ann, chat, "next");
    assert_int_equal(position_of(next), position_of(old) + 1);
    assert_int_equal(store_floor(fixture->store), old);
    fixture_close(&other);
}

/* ---- Commits whose answers got lost ------------------------------------------------------------------------------------------------- */

struct cut {
    struct commit_cutter *cutter;
    struct fixture other; /* behind the cutter */
    struct heard heard;
    uint64_t user_id, chat_id;
};

static void cut_open(struct cut *cut, struct fixture *fixture) {
    *cut = (struct cut){ .cutter = commit_cutter_start(fixture->url) };
    if (!cut->cutter) {
        print_message("PARLEY_TEST_DB has no socket\n");
        skip();
    }
    cut->user_id = make_user(fixture, "ann");
    cut->chat_id = make_group(fixture, cut->user_id, NULL, 0);
    cut->other = fixture_beside(fixture, commit_cutter_url(cut->cutter));
    cut->other.listener = hear;
    cut->other.listener_context = &cut->heard;
    fixture_open(&cut->other);
    post_ok(&cut->other, cut->user_id, cut->chat_id, "first");
    assert_int_equal(cut->heard.commits, 1);
}

static void cut_close(struct cut *cut) {
    fixture_close(&cut->other);
    commit_cutter_stop(cut->cutter);
}

static void check_cut(struct cut *cut, struct fixture *fixture) {
    post_ok(&cut->other, cut->user_id, cut->chat_id, "last");
    check_texts(fixture, cut->user_id, cut->chat_id, (const char *const[]){ "first", "second", "last" }, 3);
    check_dense(fixture, 0);
    assert_int_equal(cut->heard.commits, 3);
    assert_true(store_healthy(cut->other.store));
}

static void a_commit_that_was_kept_is_answered(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct cut cut;
    cut_open(&cut, fixture);
    commit_cutter_arm(cut.cutter);
    uint64_t second = post_ok(&cut.other, cut.user_id, cut.chat_id, "second");
    assert_int_equal(cut.heard.first_id, second);
    check_cut(&cut, fixture);
    cut_close(&cut);
}

static void a_commit_that_was_not_kept_is_run_again(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct cut cut;
    cut_open(&cut, fixture);
    commit_cutter_arm_early(cut.cutter);
    uint64_t second = post_ok(&cut.other, cut.user_id, cut.chat_id, "second");
    assert_int_equal(cut.heard.first_id, second);
    check_cut(&cut, fixture);
    cut_close(&cut);
}

/* Commands that make no event have nothing but the tag to be found by. */
static void a_commit_without_events_is_settled(void **state) {
    static const struct query count_invites = { "SELECT count(*) FROM invite" };
    static const uint8_t invite[SHA256_SIZE] = { 7 };
    struct fixture *fixture = on_mariadb(state);
    struct cut cut;
    cut_open(&cut, fixture);
    for (int early = 0; early < 2; early++) {
        uint8_t own[SHA256_SIZE];
        memcpy(own, invite, sizeof own);
        own[1] = (uint8_t)early;
        struct command command = { .type = COMMAND_INVITE_CREATE,
                                   .in.invite_create = { .invite = own, .uses = 1, .expires_ms = INT64_MAX } };
        (early ? commit_cutter_arm_early : commit_cutter_arm)(cut.cutter);
        assert_int_equal(store_run(cut.other.store, &command), OK);
        command_release(&command);
        assert_int_equal(count_rows(&fixture->config, &count_invites), early + 1);
    }
    cut_close(&cut);
}

static bool becomes(const struct store *store, bool healthy) {
    for (int64_t end_ms = clock_monotonic_ms() + HANG_MS; store_healthy(store) != healthy && clock_monotonic_ms() < end_ms;)
        clock_sleep_ms(1);
    return store_healthy(store) == healthy;
}

/* Posts "second" behind the cutter, without a key, on a thread of its own. */
static void *post_second(void *context) {
    struct cut *cut = context;
    struct command command;
    enum err err = post(&cut->other, cut->user_id, cut->chat_id, "second", 0, &command);
    command_release(&command);
    return (void *)(uintptr_t)err;
}

/* The head has another's tag when the writer comes back; its own commit is found all the same. */
static void a_commit_is_found_below_anothers(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct cut cut;
    pthread_t thread;
    void *result;
    cut_open(&cut, fixture);
    for (int early = 0; early < 2; early++) {
        const char *kept[] = { "first", "second", "third", "fourth", "second" };
        (early ? commit_cutter_arm_early : commit_cutter_arm)(cut.cutter);
        commit_cutter_hold(cut.cutter);
        assert_int_equal(pthread_create(&thread, NULL, post_second, &cut), 0);
        assert_true(becomes(cut.other.store, false));
        post_ok(fixture, cut.user_id, cut.chat_id, early ? "fourth" : "third");
        commit_cutter_let_in(cut.cutter);
        pthread_join(thread, &result);
        assert_int_equal((enum err)(uintptr_t)result, OK);
        assert_true(store_healthy(cut.other.store));
        check_texts(fixture, cut.user_id, cut.chat_id, kept, early ? 5 : 3);
    }
    check_dense(fixture, 0);
    cut_close(&cut);
}

/* The database stays away: after a while nobody knows; with the key it is found out later. */
static void a_key_finds_out_what_became_of_a_commit(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct cut cut;
    struct command command;
    cut_open(&cut, fixture);
    commit_cutter_arm(cut.cutter);
    commit_cutter_close(cut.cutter);
    int64_t started_ms = clock_monotonic_ms();
    assert_int_equal(post(&cut.other, cut.user_id, cut.chat_id, "second", 1, &command), ERR_DATABASE_UNKNOWN);
    command_release(&command);
    assert_in_range(clock_monotonic_ms() - started_ms, LIMIT_SETTLE_MS, LIMIT_SETTLE_MS + HANG_MS / 2);
    assert_false(store_healthy(cut.other.store));
    commit_cutter_let_in(cut.cutter);
    assert_true(becomes(cut.other.store, true));
    assert_int_equal(post(&cut.other, cut.user_id, cut.chat_id, "second", 1, &command), OK);
    assert_true(command.out.existed);
    command_release(&command);
    assert_true(store_healthy(cut.other.store));
    check_texts(fixture, cut.user_id, cut.chat_id, (const char *const[]){ "first", "second" }, 2);
    check_dense(fixture, 0);
    cut_close(&cut);
}

/* ---- Others in the way -------------------------------------------------------------------------------------------------------------- */

/* A transaction that holds the head, for so long at most. */
struct holder {
    struct db *db;
    pthread_t thread;
    int64_t duration_ms;
    atomic_bool over;
};

static void take_head(struct db *db) {
    static const struct query take = { "UPDATE meta SET number = number + 1 WHERE name = 'head'" };
    assert_int_equal(db->driver->begin(db), OK);
    assert_int_equal(db_run(db, db_query(db, &take)), OK);
}

/* It says something from time to time, so that the server does not take it for frozen. */
static void *hold(void *context) {
    static const struct query anything = { "SELECT 1" };
    struct holder *holder = context;
    int64_t end_ms = clock_monotonic_ms() + holder->duration_ms;
    for (; !atomic_load(&holder->over) && clock_monotonic_ms() < end_ms; clock_sleep_ms(100)) {
        bool row;
        struct statement *statement = db_query(holder->db, &anything);
        assert_int_equal(holder->db->driver->step(statement, &row), OK);
        holder->db->driver->finish(statement);
    }
    holder->db->driver->rollback(holder->db);
    return NULL;
}

static void holder_start(struct holder *holder, const struct fixture *fixture, int64_t duration_ms) {
    *holder = (struct holder){ .db = open_database(fixture->url, DB_WRITER), .duration_ms = duration_ms };
    take_head(holder->db);
    assert_int_equal(pthread_create(&holder->thread, NULL, hold, holder), 0);
}

static void holder_end(struct holder *holder) {
    atomic_store(&holder->over, true);
    pthread_join(holder->thread, NULL);
    db_close(holder->db);
}

static void a_batch_that_was_in_the_way_is_run_again(void **state) {
    struct fixture *fixture = on_mariadb(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), before = store_head(fixture->store);
    struct holder holder;
    int64_t started_ms = clock_monotonic_ms();
    holder_start(&holder, fixture, HOLD_MS); /* the writer waits two seconds for the lock, and comes again */
    uint64_t id = post_ok(fixture, ann, chat, "at last");
    assert_in_range(clock_monotonic_ms() - started_ms, HOLD_MS, HANG_MS / 2);
    assert_int_equal(position_of(id), position_of(before) + 1);
    assert_true(store_healthy(fixture->store));
    holder_end(&holder);
}

static void a_batch_is_not_run_forever(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct command command;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), before = store_head(fixture->store);
    struct holder holder;
    holder_start(&holder, fixture, HANG_MS);
    int64_t started_ms = clock_monotonic_ms();
    assert_int_equal(post(fixture, ann, chat, "in vain", 0, &command), ERR_DATABASE_BUSY);
    assert_in_range(clock_monotonic_ms() - started_ms, 0, HANG_MS / 2);
    command_release(&command);
    assert_false(store_healthy(fixture->store));
    holder_end(&holder);
    assert_int_equal(position_of(post_ok(fixture, ann, chat, "at last")), position_of(before) + 1);
    assert_true(store_healthy(fixture->store));
}

/* A node that was stopped inside its transaction: the server takes the head away from it. */
static void a_frozen_writer_holds_nobody_for_long(void **state) {
    struct fixture *fixture = on_mariadb(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    struct db *frozen = open_database(fixture->url, DB_WRITER);
    take_head(frozen);
    int64_t started_ms = clock_monotonic_ms();
    post_ok(fixture, ann, chat, "m");
    assert_in_range(clock_monotonic_ms() - started_ms, 0, LIMIT_BATCH_PATIENCE_MS + HOLD_MS);
    assert_int_equal(frozen->driver->commit(frozen), ERR_DATABASE_UNKNOWN);
    db_close(frozen);
}

/* Whoever found the head as it was left once goes on without looking (head_is_trusted). */
static int set_up_trusting(void **state) {
    if (fixture_set_up(state) != 0)
        return 1;
    struct fixture *fixture = *state;
    fixture->trusts_after = 1;
    fixture_reopen(fixture);
    return 0;
}

int main(void) {
    alarm(300);
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
#define TRUSTING(function) cmocka_unit_test_setup_teardown(function, set_up_trusting, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(two_writers_continue_each_other),
        TEST(what_another_took_away_is_not_remembered),
        TEST(listeners_learn_that_another_wrote),
        TEST(two_writers_at_once_leave_no_hole),
        TEST(another_may_cut_the_log),
        TEST(a_commit_that_was_kept_is_answered),
        TEST(a_commit_that_was_not_kept_is_run_again),
        TEST(a_commit_without_events_is_settled),
        TEST(a_commit_is_found_below_anothers),
        TEST(a_key_finds_out_what_became_of_a_commit),
        TEST(a_batch_that_was_in_the_way_is_run_again),
        TEST(a_batch_is_not_run_forever),
        TEST(a_frozen_writer_holds_nobody_for_long),
        TRUSTING(two_writers_continue_each_other),
        TRUSTING(what_another_took_away_is_not_remembered),
        TRUSTING(listeners_learn_that_another_wrote),
        TRUSTING(two_writers_at_once_leave_no_hole),
        TRUSTING(another_may_cut_the_log),
        TRUSTING(a_commit_that_was_kept_is_answered),
        TRUSTING(a_commit_that_was_not_kept_is_run_again),
        TRUSTING(a_commit_without_events_is_settled),
        TRUSTING(a_commit_is_found_below_anothers),
        TRUSTING(a_batch_that_was_in_the_way_is_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
