/* The numbers in ids: no two processes on one database have the same at a time. On SQLite, which has one process, most of this is skipped. */
#include "db_support.h"
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "db/place.h"
#include "db/store_head.h"
#include "tests/db/commit_cutter.h"

#define FAR_MS INT64_C(4102444800000) /* in 2100 */
#define HOUR_MS INT64_C(3600000)
#define STRANGER 2 /* a holder */

static struct fixture *on_mariadb(void **state) {
    skip_without_mariadb();
    return *state;
}

static uint32_t number_of(uint64_t id) { return (uint32_t)(id >> ID_SEQUENCE_BITS) & (ID_NODE_COUNT - 1); }

static int64_t time_of(uint64_t id) { return (int64_t)(id >> (ID_SEQUENCE_BITS + ID_NODE_BITS)) + ID_EPOCH_MS; }

/* A user's id shows the number. */
static uint64_t next_id(struct fixture *fixture) {
    static unsigned count;
    char name[32];
    snprintf(name, sizeof name, "user%u", count++);
    return make_user(fixture, name);
}

static enum err try_user(struct fixture *fixture) {
    struct command command = { .type = COMMAND_USER_CREATE,
                               .in.user_create = { .username = "refused", .display_name = "Refused", .device_name = "device" } };
    enum err err = store_run(fixture->store, &command);
    command_release(&command);
    return err;
}

/* ---- The table of leases, as nobody would change it -------------------------------------------------------------------------------- */

static void change(const struct fixture *fixture, const struct query *query, uint64_t first, uint64_t second) {
    struct db *db = open_database(fixture->url, DB_WRITER);
    struct statement *statement = db_query(db, query);
    db->driver->bind_id(statement, 1, first);
    db->driver->bind_id(statement, 2, second);
    assert_int_equal(db_run(db, statement), OK);
    db_close(db);
}

static void set_until(const struct fixture *fixture, uint32_t number, int64_t until_ms) {
    static const struct query set = { "UPDATE lease SET until_ms = ?2 WHERE name = concat('node.', ?1)" };
    change(fixture, &set, number, (uint64_t)until_ms);
}

/* All numbers that nobody had. */
static void take_all_but_those_taken(const struct fixture *fixture) {
    static const struct query take = {
        "INSERT IGNORE INTO lease(name, holder, until_ms) SELECT concat('node.', seq), ?1, ?2 FROM seq_0_to_1023"
    };
    change(fixture, &take, STRANGER, FAR_MS);
}

static int64_t until_of(const struct fixture *fixture, uint32_t number) {
    static const struct query read = { "SELECT until_ms FROM lease WHERE name = concat('node.', ?1)" };
    struct db *db = open_database(fixture->url, DB_READER);
    struct statement *statement = db_query(db, &read);
    bool row;
    db->driver->bind_id(statement, 1, number);
    assert_int_equal(db->driver->step(statement, &row), OK);
    int64_t until_ms = row ? (int64_t)db->driver->column_id(statement, 0) : 0;
    db->driver->finish(statement);
    db_close(db);
    return until_ms;
}

static const struct query count_places = { "SELECT count(*) FROM lease WHERE name > 'node.' AND name < 'node/'" };
static const struct query insert_user = {
    "INSERT INTO user(id, username, display_name, password, created_ms) VALUES(?1, 'later', 'later', '', ?2)"
};

/* ---- Tests -------------------------------------------------------------------------------------------------------------------------- */

static void alone_the_number_is_zero(void **state) {
    skip_on_mariadb();
    struct fixture *fixture = *state;
    assert_int_equal(number_of(next_id(fixture)), 0);
    assert_int_equal(count_rows(&fixture->config, &count_places), 0);
    assert_int_equal(store_holder(fixture->store), 1);
}

/* Whatever number they have: its clock was ahead. */
static void ids_continue_above_those_that_are_there(void **state) {
    struct fixture *fixture = *state;
    uint64_t later_id = id_last_of(clock_now_ms() + HOUR_MS);
    change(fixture, &insert_user, later_id, 0);
    fixture_reopen(fixture);
    assert_true(next_id(fixture) > later_id);
}

static void who_makes_no_ids_takes_no_number(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct fixture other;
    uint64_t ann = next_id(fixture), chat = make_group(fixture, ann, NULL, 0);
    other_open(&other, fixture, fixture->url);
    post_ok(&other, ann, chat, "m");
    assert_int_equal(count_rows(&fixture->config, &count_places), 1);
    fixture_close(&other);
}

static void processes_have_different_numbers(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct fixture others[4];
    bool seen[ID_NODE_COUNT] = { false };
    for (size_t i = 0; i < COUNT_OF(others); i++)
        other_open(&others[i], fixture, fixture->url);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        uint32_t number = number_of(next_id(&others[i]));
        assert_false(seen[number]);
        seen[number] = true;
        assert_int_equal(number_of(next_id(&others[i])), number);
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_true(seen[number_of(next_id(&others[i]))]);
        assert_true(store_holder(others[i].store) != store_holder(fixture->store));
        fixture_close(&others[i]);
    }
}

static void a_number_is_kept_over_other_processes_writes(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct fixture other;
    uint64_t last = next_id(fixture);
    other_open(&other, fixture, fixture->url);
    for (int i = 0; i < 5; i++) {
        next_id(&other);
        uint64_t id = next_id(fixture);
        assert_int_equal(number_of(id), number_of(last));
        assert_true(id > last);
        last = id;
    }
    fixture_close(&other);
}

/* Frozen, or with a clock that lies: another has the number, and so this one takes another. */
static void a_number_that_was_lost_is_not_used(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct fixture other;
    uint32_t lost = number_of(next_id(fixture));
    take_all_but_those_taken(fixture);
    set_until(fixture, lost, 1);
    other_open(&other, fixture, fixture->url);
    assert_int_equal(number_of(next_id(&other)), lost);
    assert_int_equal(try_user(fixture), ERR_OVERLOADED);
    assert_int_equal(number_of(next_id(&other)), lost);
    set_until(fixture, 1000, 1);
    assert_int_equal(number_of(next_id(fixture)), 1000);
    fixture_close(&other);
}

static void without_a_number_all_else_goes_on(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct fixture other;
    uint64_t ann = next_id(fixture), chat = make_group(fixture, ann, NULL, 0);
    take_all_but_those_taken(fixture);
    other_open(&other, fixture, fixture->url);
    assert_int_equal(try_user(&other), ERR_OVERLOADED);
    post_ok(&other, ann, chat, "m");
    assert_true(store_healthy(other.store));
    assert_int_equal(count_rows(&fixture->config, &count_places), ID_NODE_COUNT);
    fixture_close(&other);
}

static void a_lease_that_ran_out_unclaimed_is_prolonged(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct fixture other;
    uint32_t number = number_of(next_id(fixture));
    set_until(fixture, number, 1);
    other_open(&other, fixture, fixture->url);
    assert_int_not_equal(number_of(next_id(&other)), number); /* those that nobody had are taken first */
    assert_int_equal(number_of(next_id(fixture)), number);
    assert_in_range(until_of(fixture, number) - clock_now_ms(), PLACE_PROLONG_MS - 5000, PLACE_LEASE_MS);
    fixture_close(&other);
}

static void a_process_that_ends_gives_its_number_back(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct fixture other;
    other_open(&other, fixture, fixture->url);
    uint64_t last = next_id(&other);
    fixture_close(&other);
    assert_int_equal(until_of(fixture, number_of(last)), time_of(last));
    take_all_but_those_taken(fixture);
    other_open(&other, fixture, fixture->url);
    uint64_t next = next_id(&other);
    assert_int_equal(number_of(next), number_of(last));
    assert_true(next > last);
    fixture_close(&other);
}

/* Though another has written since its last commit, and it would not have looked. */
static void a_process_that_ends_does_not_trust(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct fixture other;
    other_open(&other, fixture, fixture->url);
    other.store->trusts_after = 1;
    uint64_t last = next_id(&other);
    for (int i = 0; i < 2; i++)
        last = next_id(&other);
    assert_true(head_is_trusted(other.store));
    next_id(fixture);
    fixture_close(&other);
    assert_int_equal(until_of(fixture, number_of(last)), time_of(last));
}

/* What became of the transaction that took the number is found out, and it is taken once. */
static void a_number_whose_commit_was_cut_off_is_settled(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct commit_cutter *cutter = commit_cutter_start(fixture->url);
    struct fixture other;
    if (!cutter) {
        print_message("PARLEY_TEST_DB has no socket\n");
        skip();
    }
    next_id(fixture);
    for (uint64_t early = 0; early < 2; early++) {
        other_open(&other, fixture, commit_cutter_url(cutter));
        (early ? commit_cutter_arm_early : commit_cutter_arm)(cutter);
        uint64_t first = next_id(&other), second = next_id(&other);
        assert_int_equal(number_of(first), number_of(second));
        assert_true(second > first);
        assert_int_equal(count_rows(&fixture->config, &count_places), 2 + early);
        fixture_close(&other);
    }
    commit_cutter_stop(cutter);
}

int main(void) {
    alarm(300);
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(alone_the_number_is_zero),
        TEST(ids_continue_above_those_that_are_there),
        TEST(who_makes_no_ids_takes_no_number),
        TEST(processes_have_different_numbers),
        TEST(a_number_is_kept_over_other_processes_writes),
        TEST(a_number_that_was_lost_is_not_used),
        TEST(without_a_number_all_else_goes_on),
        TEST(a_lease_that_ran_out_unclaimed_is_prolonged),
        TEST(a_process_that_ends_gives_its_number_back),
        TEST(a_process_that_ends_does_not_trust),
        TEST(a_number_whose_commit_was_cut_off_is_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
