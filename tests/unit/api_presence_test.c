/* Who counts as online, who is told of it, and what is stored. */
#include "api/presence_table.h"

#include "core/limits.h"
#include "core/random.h"
#include "tests/unit/unit.h"

#define TTL_MS 15000
#define ANNA 100
#define BEN 200
#define PHONE 1000

struct world {
    struct presence_table table;
    struct presence_now now;
    size_t stored_count;
    uint64_t stored_id;
    int64_t stored_ms;
    bool refuses_to_store;
    bool has_stream;
};

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof(*world));
    world->now = (struct presence_now){ 1000000, 1700000000000 };
    presence_table_init(&world->table, TTL_MS);
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    presence_table_release(&world->table);
    free(world);
    return 0;
}

static bool store(void *context, uint64_t user_id, int64_t active_ms) {
    struct world *world = context;
    if (world->refuses_to_store)
        return false;
    world->stored_count++;
    world->stored_id = user_id;
    world->stored_ms = active_ms;
    return true;
}

static bool has_stream(void *context, uint64_t device_id) {
    (void)device_id;
    return ((struct world *)context)->has_stream;
}

static void pass(struct world *world, int64_t ms) {
    world->now.monotonic_ms += ms;
    world->now.wall_ms += ms;
    presence_table_tick(&world->table, &world->now, false, store, world);
}

static bool be_active(struct world *world, uint64_t user_id) {
    bool tell;
    assert_true(presence_table_note(&world->table, user_id, true, &world->now, &tell));
    return tell;
}

static bool is_online(struct world *world, uint64_t user_id) {
    int64_t active_ms;
    return presence_table_look(&world->table, user_id, &active_ms);
}

static void watch(struct world *world, uint64_t device_id, uint64_t subscriber_id, uint64_t user_id) {
    uint32_t state = presence_table_state(&world->table, subscriber_id, user_id);
    assert_true(presence_table_watch(&world->table, &(struct presence_subscriber){ subscriber_id, device_id }, &user_id, &state, 1,
                                     world->now.monotonic_ms));
}

/* The next change, which must be of this user and have so many notices. */
static void expect_change(struct world *world, uint64_t user_id, bool online, size_t notices, struct presence_notice *ret_first) {
    struct presence_change change;
    assert_true(presence_table_take(&world->table, &change));
    assert_int_equal(change.user_id, user_id);
    assert_int_equal(change.is_online, online);
    assert_int_equal(change.count, notices);
    if (ret_first != NULL)
        *ret_first = change.notices[0];
    free(change.notices);
}

static void expect_no_change(struct world *world) {
    struct presence_change change;
    assert_false(presence_table_take(&world->table, &change));
}

static void activity_lasts_for_the_time_to_live(void **state) {
    struct world *world = *state;
    assert_false(is_online(world, ANNA));
    be_active(world, ANNA);
    assert_true(is_online(world, ANNA));
    pass(world, TTL_MS - 1);
    be_active(world, ANNA);
    pass(world, TTL_MS - 1);
    assert_true(is_online(world, ANNA));
    pass(world, 1);
    assert_false(is_online(world, ANNA));
}

static void only_changes_are_told(void **state) {
    struct world *world = *state;
    watch(world, PHONE, BEN, ANNA);
    be_active(world, ANNA);
    be_active(world, ANNA);
    expect_change(world, ANNA, true, 1, NULL);
    be_active(world, ANNA);
    expect_no_change(world);
    pass(world, TTL_MS);
    be_active(world, ANNA); /* back before anybody was told */
    expect_no_change(world);
    pass(world, TTL_MS);
    expect_change(world, ANNA, false, 1, NULL);
    expect_no_change(world);
}

static void other_nodes_are_told_thrice_in_a_time_to_live(void **state) {
    struct world *world = *state;
    size_t told = 0;
    for (int64_t ms = 0; ms < TTL_MS; ms += 100) {
        told += be_active(world, ANNA);
        pass(world, 100);
    }
    assert_int_equal(told, 3);
}

static void what_is_stored_is_a_minute_apart(void **state) {
    struct world *world = *state;
    int64_t last_ms = 0;
    for (int i = 0; i < 600; i++) {
        be_active(world, ANNA);
        last_ms = world->now.wall_ms;
        pass(world, 500);
    }
    assert_int_equal(world->stored_count, 5);
    assert_true(world->stored_ms < last_ms);
    pass(world, PRESENCE_STORE_INTERVAL_MS); /* the last one is not forgotten */
    assert_int_equal(world->stored_count, 6);
    assert_int_equal(world->stored_ms, last_ms);
    pass(world, PRESENCE_STORE_INTERVAL_MS);
    assert_int_equal(world->stored_count, 6);
}

static void what_could_not_be_stored_is_tried_again(void **state) {
    struct world *world = *state;
    world->refuses_to_store = true;
    be_active(world, ANNA);
    pass(world, 2 * PRESENCE_STORE_INTERVAL_MS);
    world->refuses_to_store = false;
    pass(world, 1);
    assert_int_equal(world->stored_count, 1);
    be_active(world, ANNA);
    presence_table_tick(&world->table, &world->now, true, store, world); /* at the end at once */
    assert_int_equal(world->stored_count, 2);
}

static void what_another_node_was_told_it_stores(void **state) {
    struct world *world = *state;
    bool tell;
    assert_true(presence_table_note(&world->table, ANNA, false, &world->now, &tell));
    assert_false(tell);
    assert_true(is_online(world, ANNA));
    pass(world, PRESENCE_STORE_INTERVAL_MS);
    assert_int_equal(world->stored_count, 0);
}

static void nobody_is_kept_without_a_reason(void **state) {
    struct world *world = *state;
    be_active(world, ANNA);
    watch(world, PHONE, ANNA, BEN);
    expect_change(world, ANNA, true, 0, NULL);
    pass(world, TTL_MS);
    expect_change(world, ANNA, false, 0, NULL);
    pass(world, PRESENCE_STORE_INTERVAL_MS);
    assert_int_equal(world->table.users.count, 1);
    presence_table_sweep(&world->table, world->now.monotonic_ms, has_stream, world);
    pass(world, 1);
    assert_int_equal(world->table.users.count, 0);
    assert_int_equal(world->table.watchers.count, 0);
    assert_int_equal(world->table.watch_count, 0);
}

static void subscriptions_end_a_while_after_the_last_stream(void **state) {
    struct world *world = *state;
    watch(world, PHONE, BEN, ANNA);
    world->has_stream = true;
    for (int i = 0; i < 10; i++) {
        pass(world, PRESENCE_GRACE_MS);
        presence_table_sweep(&world->table, world->now.monotonic_ms, has_stream, world);
    }
    assert_int_equal(world->table.watchers.count, 1);
    world->has_stream = false;
    pass(world, PRESENCE_GRACE_MS - 1);
    presence_table_sweep(&world->table, world->now.monotonic_ms, has_stream, world);
    assert_int_equal(world->table.watchers.count, 1);
    pass(world, 1);
    presence_table_sweep(&world->table, world->now.monotonic_ms, has_stream, world);
    assert_int_equal(world->table.watchers.count, 0);
}

static void expect_sureness(struct world *world, bool is_sure) {
    struct presence_notice notice;
    be_active(world, ANNA);
    expect_change(world, ANNA, true, 1, &notice);
    assert_int_equal(notice.is_sure, is_sure);
    presence_table_settle(&world->table, &notice, ANNA, true);
    pass(world, TTL_MS);
    expect_change(world, ANNA, false, 1, &notice);
    assert_true(notice.is_sure);
}

static void whatever_may_end_a_permission_is_doubted(void **state) {
    struct world *world = *state;
    watch(world, PHONE, BEN, ANNA);
    expect_sureness(world, true);
    presence_table_doubt(&world->table, ANNA);
    expect_sureness(world, false);
    presence_table_doubt(&world->table, BEN);
    expect_sureness(world, false);
    presence_table_doubt_all(&world->table);
    expect_sureness(world, false);
    presence_table_doubt(&world->table, 12345);
    expect_sureness(world, true);
    assert_true(presence_table_watch(&world->table, &(struct presence_subscriber){ BEN, PHONE }, (uint64_t[]){ ANNA }, NULL, 1, 0));
    expect_sureness(world, false); /* heard of another node */
}

/* A doubt that came while the database was asked stays. */
static void a_newer_doubt_is_not_settled_by_an_older_answer(void **state) {
    struct world *world = *state;
    struct presence_notice notice;
    watch(world, PHONE, BEN, ANNA);
    presence_table_doubt(&world->table, ANNA);
    be_active(world, ANNA);
    expect_change(world, ANNA, true, 1, &notice);
    presence_table_doubt(&world->table, ANNA);
    presence_table_settle(&world->table, &notice, ANNA, true);
    pass(world, TTL_MS);
    expect_change(world, ANNA, false, 1, &notice);
    assert_false(notice.is_sure);
    presence_table_settle(&world->table, &notice, ANNA, false);
    be_active(world, ANNA);
    expect_change(world, ANNA, true, 0, NULL);
}

/* Somebody may have come after the other node answered, and before this one heard of it. */
static void what_another_node_has_answered_is_told_once_more(void **state) {
    struct world *world = *state;
    struct presence_notice notice;
    const uint64_t ids[] = { ANNA, ANNA + 1, ANNA + 2 };
    be_active(world, ANNA);
    be_active(world, ANNA + 2);
    expect_change(world, ANNA, true, 0, NULL);
    expect_change(world, ANNA + 2, true, 0, NULL);
    assert_true(presence_table_watch(&world->table, &(struct presence_subscriber){ BEN, PHONE }, ids, NULL, 3, 0));
    assert_true(presence_table_has_change(&world->table));
    expect_change(world, ANNA + 2, true, 1, &notice);
    assert_false(notice.is_sure);
    presence_table_settle(&world->table, &notice, ANNA + 2, false);
    expect_change(world, ANNA, true, 1, &notice);
    expect_no_change(world);
    assert_false(presence_table_has_change(&world->table));
    assert_true(presence_table_watch(&world->table, &(struct presence_subscriber){ BEN, PHONE }, ids, NULL, 3, 0));
    presence_table_settle(&world->table, &notice, ANNA, false); /* moves the last one to the first place */
    be_active(world, ANNA + 1);
    expect_change(world, ANNA + 1, true, 1, NULL); /* which tells it, too */
    expect_change(world, ANNA + 2, true, 1, NULL);
    expect_no_change(world);
}

#define USERS 50
#define DEVICES 30

/* Against a matrix. */
static void subscriptions_are_those_made_last(void **state) {
    struct world *world = *state;
    bool wanted[DEVICES][USERS] = { { false } };
    for (int step = 0; step < 3000; step++) {
        size_t device = random_below(DEVICES), count = 0;
        uint64_t ids[USERS];
        uint32_t states[USERS] = { 0 };
        for (size_t user = 0; user < USERS; user++) {
            wanted[device][user] = random_below(4) == 0;
            if (wanted[device][user])
                ids[count++] = ANNA + user;
        }
        const struct presence_subscriber subscriber = { BEN + device, PHONE + device };
        assert_true(presence_table_watch(&world->table, &subscriber, ids, states, count, world->now.monotonic_ms));
        size_t user = random_below(USERS), expected = 0;
        for (size_t i = 0; i < DEVICES; i++)
            expected += wanted[i][user];
        be_active(world, ANNA + user);
        expect_change(world, ANNA + user, true, expected, NULL);
        pass(world, TTL_MS);
        expect_change(world, ANNA + user, false, expected, NULL);
        device = random_below(DEVICES);
        user = random_below(USERS);
        const struct presence_notice ended = { { BEN + device, PHONE + device }, 0, false };
        presence_table_settle(&world->table, &ended, ANNA + user, false);
        wanted[device][user] = false;
    }
}

#define MANY ((size_t)3 * PRESENCE_SLICE + 1)

/* Nobody holds the table for long, however many are in it; and at the end nobody is left out. */
static void many_are_looked_at_in_slices(void **state) {
    struct world *world = *state;
    for (size_t i = 0; i < MANY; i++) {
        be_active(world, ANNA + i);
        watch(world, PHONE + i, BEN, ANNA + i);
    }
    for (size_t slice = 1; slice <= 3; slice++) {
        assert_true(presence_table_tick(&world->table, &world->now, true, store, world));
        assert_int_equal(world->stored_count, slice * PRESENCE_SLICE);
    }
    assert_false(presence_table_tick(&world->table, &world->now, true, store, world));
    assert_int_equal(world->stored_count, MANY);
    world->now.monotonic_ms += PRESENCE_GRACE_MS;
    for (size_t calls = 0; world->table.watchers.count > 0; calls++) {
        size_t before = world->table.watchers.count;
        (void)presence_table_sweep(&world->table, world->now.monotonic_ms, has_stream, world);
        assert_in_range(before - world->table.watchers.count, 0, PRESENCE_SLICE);
        assert_in_range(calls, 0, 20);
    }
}

#define PRESENCE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PRESENCE_TEST(activity_lasts_for_the_time_to_live),
        PRESENCE_TEST(only_changes_are_told),
        PRESENCE_TEST(other_nodes_are_told_thrice_in_a_time_to_live),
        PRESENCE_TEST(what_is_stored_is_a_minute_apart),
        PRESENCE_TEST(what_could_not_be_stored_is_tried_again),
        PRESENCE_TEST(what_another_node_was_told_it_stores),
        PRESENCE_TEST(nobody_is_kept_without_a_reason),
        PRESENCE_TEST(subscriptions_end_a_while_after_the_last_stream),
        PRESENCE_TEST(whatever_may_end_a_permission_is_doubted),
        PRESENCE_TEST(a_newer_doubt_is_not_settled_by_an_older_answer),
        PRESENCE_TEST(what_another_node_has_answered_is_told_once_more),
        PRESENCE_TEST(subscriptions_are_those_made_last),
        PRESENCE_TEST(many_are_looked_at_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
