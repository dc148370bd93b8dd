/* Idempotency keys in memory, in runs and in the table of earlier versions. Time stands still but for pass_periods(). */
#include "db_posts.h"
#include "db_support.h"
#include "unit.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/limits.h"
#include "db/key_filter.h"
#include "db/store_internal.h"

static _Atomic int64_t wall_ms = 6000 * IDEMPOTENCY_PERIOD_MS;

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (clock != CLOCK_REALTIME)
        return (int)syscall(SYS_clock_gettime, clock, out);
    int64_t now_ms = atomic_load(&wall_ms);
    *out = (struct timespec){ .tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000 };
    return 0;
}

static void pass_periods(int count) { atomic_fetch_add(&wall_ms, count * IDEMPOTENCY_PERIOD_MS); }

/* ---- Filters ------------------------------------------------------------------------------------------------------------------------ */

/* Adds a run of the keys from `first` on, all of one user. */
static void add_run(struct key_filters *filters, uint64_t run_id, uint64_t period, uint64_t first, size_t count) {
    uint8_t *fingerprints = calloc(count, KEY_FINGERPRINT_BYTES);
    assert_non_null(fingerprints);
    for (size_t i = 0; i < count; i++)
        key_fingerprint_put(&fingerprints[i * KEY_FINGERPRINT_BYTES], 7, first + i);
    assert_int_equal(key_filters_reserve(filters, count), OK);
    assert_int_equal(key_filters_add(filters, run_id, period, fingerprints, count), OK);
    free(fingerprints);
}

/* How many runs may hold it, and whether the one that is looked for is among them. */
static size_t count_matches(const struct key_filters *filters, uint64_t key, uint64_t first_period, uint64_t run_id, bool *ret_found) {
    struct key_search search = { 0 };
    struct key_match match;
    size_t count = 0;
    *ret_found = false;
    for (; key_filters_next(filters, 7, key, first_period, &search, &match); count++)
        *ret_found = *ret_found || match.run_id == run_id;
    return count;
}

#define RUNS 70 /* more than two groups, before two become one */
#define KEYS 500
#define MANY_RUNS 1030 /* twice as many as the widest group has, and six */
#define FEW_KEYS 128

static void every_key_is_found_in_its_run_and_few_elsewhere(void **state) {
    struct key_filters filters = { 0 };
    size_t matches = 0;
    bool found;
    (void)state;
    for (uint64_t run = 1; run <= RUNS; run++)
        add_run(&filters, run, run / 10, run * KEYS, KEYS);
    for (uint64_t key = KEYS; key < (RUNS + 1) * KEYS; key++) {
        matches += count_matches(&filters, key, 0, key / KEYS, &found);
        assert_true(found);
    }
    assert_in_range(matches, RUNS * KEYS, RUNS * KEYS * 101 / 100);
    assert_int_equal(count_matches(&filters, 35 * KEYS, 4, 35, &found), 0);
    key_filters_forget(&filters, 5);
    assert_in_range(count_matches(&filters, 49 * KEYS, 5, 49, &found), 0, 1);
    assert_false(found);
    count_matches(&filters, 50 * KEYS, 5, 50, &found);
    assert_true(found);
    key_filters_forget(&filters, 100);
    assert_int_equal(filters.count, 0);
    key_filters_release(&filters);
}

/* Groups become one with the next, up to the widest. */
static void groups_become_wider(void **state) {
    struct key_filters filters = { 0 };
    size_t matches = 0, groups_max = 0;
    bool found;
    (void)state;
    for (uint64_t run = 1; run <= MANY_RUNS; run++) {
        add_run(&filters, run, run, run * FEW_KEYS, FEW_KEYS);
        groups_max = filters.count > groups_max ? filters.count : groups_max;
    }
    assert_int_equal(groups_max, 6); /* as wide as can be, half of that, and so on to 32, and one more */
    assert_int_equal(filters.count, 3);
    for (uint64_t key = FEW_KEYS; key < (MANY_RUNS + 1) * FEW_KEYS; key++) {
        matches += count_matches(&filters, key, 0, key / FEW_KEYS, &found);
        assert_true(found);
    }
    assert_in_range(matches, MANY_RUNS * FEW_KEYS, MANY_RUNS * FEW_KEYS * 110 / 100);
    key_filters_forget(&filters, 512);
    assert_int_equal(filters.count, 3);
    assert_int_equal(count_matches(&filters, 511 * FEW_KEYS, 512, 511, &found), 0);
    key_filters_forget(&filters, 513);
    assert_int_equal(filters.count, 2);
    assert_in_range(count_matches(&filters, 513 * FEW_KEYS, 0, 513, &found), 1, 2);
    assert_true(found);
    key_filters_release(&filters);
}

/* Where it is known how many runs will come, as at the start, nothing is copied from one group to the next. */
static void expected_runs_make_wide_groups(void **state) {
    struct key_filters filters = { .expected = 101 };
    bool found;
    (void)state;
    for (uint64_t run = 1; run <= 101; run++) {
        add_run(&filters, run, run, run * KEYS, KEYS);
        assert_int_equal(filters.count, run <= 64 ? 1 : run <= 96 ? 2 : 3);
    }
    for (uint64_t run = 1; run <= 101; run++) {
        count_matches(&filters, run * KEYS, 0, run, &found);
        assert_true(found);
    }
    assert_int_equal(filters.expected, 0);
    key_filters_release(&filters);
}

/* Of 32 runs the first is of the usual size, so that two groups take some runs more to become one. */
static void add_one_of_32(struct key_filters *filters, uint64_t run) {
    add_run(filters, run, run, run * LIMIT_KEY_RUN, run % 32 == 1 ? LIMIT_KEY_RUN : 1);
}

/* The first key of the run, and nowhere else. */
static bool is_found(const struct key_filters *filters, uint64_t run, uint64_t first_period) {
    bool found;
    size_t matches = count_matches(filters, run * LIMIT_KEY_RUN, first_period, run, &found);
    assert_int_equal(matches, found);
    return found;
}

/* The first 32 runs and the next become one while more are added. */
static void what_is_becoming_wider_is_found(void **state) {
    struct key_filters filters = { 0 };
    unsigned added_meanwhile = 0;
    (void)state;
    for (uint64_t run = 1; run <= 90; run++) {
        uint64_t first_period = added_meanwhile < 2 ? 1 : 10;
        add_one_of_32(&filters, run);
        added_meanwhile += filters.merged != NULL;
        key_filters_forget(&filters, first_period);
        for (uint64_t older = 1; older <= run; older++)
            assert_int_equal(is_found(&filters, older, first_period), older >= first_period);
    }
    assert_true(added_meanwhile > 2);
    assert_int_equal(filters.count, 2);
    key_filters_release(&filters);
}

/* A group that goes takes what two were becoming with it; those that are left begin again. */
static void a_group_may_go_while_it_becomes_wider(void **state) {
    struct key_filters filters = { 0 };
    (void)state;
    for (uint64_t run = 1; run <= 65; run++)
        add_one_of_32(&filters, run);
    assert_non_null(filters.merged);
    key_filters_forget(&filters, 33);
    assert_null(filters.merged);
    assert_int_equal(filters.count, 2);
    for (uint64_t run = 66; run <= 120; run++)
        add_one_of_32(&filters, run);
    assert_int_equal(filters.count, 2);
    for (uint64_t run = 33; run <= 120; run++)
        assert_true(is_found(&filters, run, 33));
    key_filters_release(&filters);
}

#define SAME 300 /* more than there are slots in which a key may be */

/* What falls together, as some keys do by chance, is found as well: also when its group has become wider. */
static void check_together(uint64_t key) {
    struct key_filters filters = { 0 };
    uint8_t fingerprints[SAME * KEY_FINGERPRINT_BYTES];
    bool found;
    for (size_t i = 0; i < SAME; i++)
        key_fingerprint_put(&fingerprints[i * KEY_FINGERPRINT_BYTES], 7, key);
    assert_int_equal(key_filters_reserve(&filters, SAME), OK);
    assert_int_equal(key_filters_add(&filters, 1, 1, fingerprints, SAME), OK);
    add_run(&filters, 2, 2, key, 1);
    for (uint64_t run = 3; run <= 70; run++) {
        assert_int_equal(count_matches(&filters, key, 0, 2, &found), SAME + 1);
        assert_true(found);
        assert_int_equal(count_matches(&filters, key, 2, 2, &found), 1);
        add_run(&filters, run, run, run * KEYS, SAME);
    }
    assert_int_equal(filters.count, 2);
    assert_in_range(count_matches(&filters, KEYS, 0, 0, &found), 0, 1);
    key_filters_release(&filters);
}

/* Of eight, so that what a wider group does not know of a key is something else for each. */
static void keys_that_fall_together_are_found(void **state) {
    (void)state;
    for (uint64_t key = 1; key <= 8; key++)
        check_together(key);
}

/* Many keys do not go to a group of few. */
static void filters_of_all_sizes_stand_side_by_side(void **state) {
    struct key_filters filters = { 0 };
    static const size_t counts[] = { 1, 3000, 31, 3000, 1 };
    bool found;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        add_run(&filters, i + 1, 1, (i + 1) * 10000, counts[i]);
    assert_int_equal(filters.count, 2);
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        count_matches(&filters, (i + 1) * 10000 + counts[i] - 1, 0, i + 1, &found);
        assert_true(found);
    }
    key_filters_release(&filters);
}

/* ---- Runs --------------------------------------------------------------------------------------------------------------------------- */

static const struct query count_recent = { "SELECT count(*) FROM recent_key" };
static const struct query count_runs = { "SELECT count(*) FROM key_run" };
static const struct query count_blocks = { "SELECT count(*) FROM key_block" };
static const struct query count_older = { "SELECT count(*) FROM idempotency" };

/* Posts, or repeats, the message of a key; returns its id. */
static uint64_t post_key(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t key, bool expect_repeated) {
    struct command command;
    assert_int_equal(post(fixture, user_id, chat_id, "m", key, &command), OK);
    assert_int_equal(command.out.existed, expect_repeated);
    uint64_t id = command.out.id;
    command_release(&command);
    return id;
}

#define POSTS 50

static void keys_are_known_wherever_they_are(void **state) {
    struct fixture *fixture = *state;
    uint64_t ids[POSTS];
    struct command other;
    fixture->key_run = 8;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_group(fixture, ann, &bob, 1);
    for (uint64_t i = 0; i < POSTS; i++)
        ids[i] = post_key(fixture, ann, chat, i + 1, false);
    assert_int_equal(count_rows(&fixture->config, &count_runs), (POSTS - 1) / 8);
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < POSTS; i++)
            assert_int_equal(post_key(fixture, ann, chat, i + 1, true), ids[i]);
        fixture_reopen(fixture);
    }
    assert_int_equal(post(fixture, ann, chat, "else", 3, &other), ERR_IDEMPOTENCY_MISMATCH);
    command_release(&other);
    post_key(fixture, bob, chat, 3, false);
    sweep_all(fixture);
    assert_in_range(count_rows(&fixture->config, &count_recent), 1, 8);
    assert_int_equal(count_rows(&fixture->config, &count_older), 0);
    fixture_reopen(fixture);
    assert_int_equal(post_key(fixture, ann, chat, POSTS, true), ids[POSTS - 1]);
    assert_int_equal(post_key(fixture, ann, chat, 1, true), ids[0]);
}

/* What is left of them on disk goes with the cleanup. */
static void keys_end_with_their_period(void **state) {
    struct fixture *fixture = *state;
    fixture->key_run = 4;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "cat"), chat = make_group(fixture, ann, NULL, 0);
    for (uint64_t key = 1; key <= 10; key++)
        post_key(fixture, ann, chat, key, false);
    pass_periods(IDEMPOTENCY_PERIODS - 1);
    for (uint64_t key = 1; key <= 10; key++)
        post_key(fixture, ann, chat, key, true);
    post_key(fixture, ann, chat, 11, false); /* those of before are a run, though too few */
    pass_periods(1);
    post_key(fixture, ann, chat, 1, false);
    post_key(fixture, ann, chat, 10, false);
    post_key(fixture, ann, chat, 11, true);
    pass_periods(IDEMPOTENCY_PERIODS);
    post_key(fixture, ann, chat, 1, false);
    sweep_all(fixture);
    assert_int_equal(count_rows(&fixture->config, &count_runs), 0);
    assert_int_equal(count_rows(&fixture->config, &count_blocks), 0);
    assert_int_equal(count_rows(&fixture->config, &count_recent), 1);
    fixture_reopen(fixture);
    post_key(fixture, ann, chat, 1, true);
    pass_periods(IDEMPOTENCY_PERIODS);
    sweep_all(fixture);
    assert_int_equal(count_rows(&fixture->config, &count_recent), 0);
    post_key(fixture, ann, chat, 1, false);
    post_key(fixture, ann, chat, 1, true);
}

static void keys_of_earlier_versions_hold(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "dan"), chat = make_group(fixture, ann, NULL, 0);
    uint64_t id = post_key(fixture, ann, chat, 0, false); /* none */
    char sql[256];
    struct db *db = open_database(fixture->url, DB_WRITER);
    snprintf(sql, sizeof sql,
             "INSERT INTO idempotency(period, user_id, idempotency_key, request, result_id) VALUES(%lld, %llu, 5, %s, %llu)",
             (long long)(atomic_load(&wall_ms) / IDEMPOTENCY_PERIOD_MS), (unsigned long long)ann, "x'6d000000000000000000000000000000'",
             (unsigned long long)id);
    assert_int_equal(db->driver->execute(db, sql), OK);
    db_close(db);
    fixture_reopen(fixture);
    assert_int_equal(post_key(fixture, ann, chat, 5, true), id);
    post_key(fixture, ann, chat, 6, false);
    post_key(fixture, ann, chat, 6, true);
    assert_int_equal(count_rows(&fixture->config, &count_older), 1);
    pass_periods(IDEMPOTENCY_PERIODS);
    sweep_all(fixture);
    assert_int_equal(count_rows(&fixture->config, &count_older), 0);
    post_key(fixture, ann, chat, 5, false);
}

#define BATCH 5

/* A batch that would make the recent ones more than a run may have comes after the run. */
static void runs_are_no_larger_than_they_should_be(void **state) {
    static const struct query most_of_a_run = { "SELECT max(length(fingerprints)) FROM key_run" };
    struct fixture *fixture = *state;
    struct command commands[3][BATCH];
    fixture->key_run = 2 * BATCH - 1;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "ida"), chat = make_group(fixture, ann, NULL, 0);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        struct volley volley;
        volley_begin_shut(&volley, fixture);
        for (size_t j = 0; j < BATCH; j++) {
            commands[i][j] = post_with_key(ann, chat, i * BATCH + j + 1);
            assert_int_equal(volley_submit(&volley, &commands[i][j]), OK);
        }
        volley_wait(&volley);
        for (size_t j = 0; j < BATCH; j++)
            command_release(&commands[i][j]);
    }
    assert_int_equal(count_rows(&fixture->config, &count_runs), 2);
    assert_int_equal(count_rows(&fixture->config, &most_of_a_run), BATCH * KEY_FINGERPRINT_BYTES);
}

#define MORE_POSTS 250

/* Theirs have no fingerprints, and many parts; newer ones lie between. */
static void runs_of_earlier_versions_hold(void **state) {
    struct fixture *fixture = *state;
    uint64_t ids[MORE_POSTS];
    fixture->key_run = 100;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "hal"), chat = make_group(fixture, ann, NULL, 0);
    for (uint64_t i = 0; i < MORE_POSTS - 50; i++)
        ids[i] = post_key(fixture, ann, chat, i + 1, false);
    assert_in_range(count_rows(&fixture->config, &count_blocks), 3, 4);
    struct db *db = open_database(fixture->url, DB_WRITER);
    assert_int_equal(db->driver->execute(db, "UPDATE key_run SET fingerprints = NULL"), OK);
    db_close(db);
    for (uint64_t i = MORE_POSTS - 50; i < MORE_POSTS; i++)
        ids[i] = post_key(fixture, ann, chat, i + 1, false);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(count_rows(&fixture->config, &count_runs), 2 + round);
        fixture_reopen(fixture);
        for (uint64_t i = 0; i < MORE_POSTS; i++)
            assert_int_equal(post_key(fixture, ann, chat, i + 1, true), ids[i]);
        for (uint64_t i = 0; i < 100; i++) /* another run */
            post_key(fixture, ann, chat, (uint64_t)(round + 3) * 100000 + i, false);
    }
}

/* ---- Several writers ---------------------------------------------------------------------------------------------------------------- */

/* They write in turns of different lengths, and both make runs. */
static void writers_know_each_others_keys(void **state) {
    struct fixture *fixture = *state;
    uint64_t ids[POSTS];
    skip_without_mariadb();
    fixture->key_run = 5;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "eve"), chat = make_group(fixture, ann, NULL, 0);
    struct fixture other = fixture_beside(fixture, fixture->url);
    other.key_run = 3;
    fixture_open(&other);
    for (uint64_t i = 0; i < POSTS; i++)
        ids[i] = post_key(i % 7 < 3 ? fixture : &other, ann, chat, i + 1, false);
    for (uint64_t i = 0; i < POSTS; i++) {
        assert_int_equal(post_key(&other, ann, chat, i + 1, true), ids[i]);
        assert_int_equal(post_key(fixture, ann, chat, i + 1, true), ids[i]);
    }
    fixture_close(&other);
}

/* A server that forgets what it had shown, as one without durable commits does. */
static void a_writer_forgets_what_the_database_forgot(void **state) {
    struct fixture *fixture = *state;
    skip_without_mariadb();
    fixture->key_run = 4;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "fay"), chat = make_group(fixture, ann, NULL, 0);
    struct fixture other = fixture_beside(fixture, fixture->url);
    other.key_run = 4;
    fixture_open(&other);
    for (uint64_t key = 1; key <= 10; key++)
        post_key(fixture, ann, chat, key, false);
    struct db *db = open_database(fixture->url, DB_WRITER);
    assert_int_equal(db->driver->execute(db, "DELETE FROM recent_key; DELETE FROM key_run; DELETE FROM key_block"), OK);
    db_close(db);
    post_key(&other, ann, chat, 11, false);
    post_key(fixture, ann, chat, 10, false);
    post_key(fixture, ann, chat, 1, false);
    post_key(fixture, ann, chat, 11, true);
    fixture_close(&other);
}

/* A node of an earlier version still writes to its own table while newer ones are there already. */
static void a_writer_learns_of_keys_of_earlier_versions(void **state) {
    struct fixture *fixture = *state;
    char sql[256];
    skip_without_mariadb();
    uint64_t ann = make_user(fixture, "gus"), chat = make_group(fixture, ann, NULL, 0);
    uint64_t id = post_key(fixture, ann, chat, 1, false);
    struct db *db = open_database(fixture->url, DB_WRITER);
    snprintf(sql, sizeof sql,
             "INSERT INTO idempotency(period, user_id, idempotency_key, request, result_id) VALUES(%lld, %llu, 5, %s, %llu)",
             (long long)(atomic_load(&wall_ms) / IDEMPOTENCY_PERIOD_MS), (unsigned long long)ann, "x'6d000000000000000000000000000000'",
             (unsigned long long)id);
    assert_int_equal(db->driver->execute(db, sql), OK);
    assert_int_equal(db->driver->execute(db, "UPDATE meta SET bytes = 'another' WHERE name = 'head'"), OK);
    db_close(db);
    post_key(fixture, ann, chat, 2, false);
    assert_int_equal(post_key(fixture, ann, chat, 5, true), id);
}

int main(void) {
    alarm(300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_found_in_its_run_and_few_elsewhere),
        cmocka_unit_test(groups_become_wider),
        cmocka_unit_test(expected_runs_make_wide_groups),
        cmocka_unit_test(what_is_becoming_wider_is_found),
        cmocka_unit_test(a_group_may_go_while_it_becomes_wider),
        cmocka_unit_test(keys_that_fall_together_are_found),
        cmocka_unit_test(filters_of_all_sizes_stand_side_by_side),
        cmocka_unit_test_setup_teardown(keys_are_known_wherever_they_are, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(keys_end_with_their_period, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(keys_of_earlier_versions_hold, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(runs_are_no_larger_than_they_should_be, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(runs_of_earlier_versions_hold, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(writers_know_each_others_keys, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_writer_learns_of_keys_of_earlier_versions, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_writer_forgets_what_the_database_forgot, fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
