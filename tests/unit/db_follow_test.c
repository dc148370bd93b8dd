/* What a node does with what it hears of another: two stores on one database, and envelopes handed over by hand. On SQLite, where there is no other node, all
 * of this is skipped. The nodes look for themselves so rarely that they never do. */
#include "db_support.h"
#include "unit.h"

#include "core/clock.h"
#include "core/id.h"
#include "core/metrics.h"
#include "db/envelope.h"
#include "db/follow.h"
#include "db/store_internal.h"

#define NEVER_MS 3600000
#define PATIENCE_MS 30000
#define TRIALS 20
#define HEARD_MAX 256

/* One commit of the other node. */
struct said {
    uint64_t previous_id;
    struct frame *frames[16];
    size_t count;
};

struct world {
    struct fixture *fixture;
    struct fixture other; /* another node, */
    struct said said;     /* and its last commit */
    uint64_t user_id, chat_id;
    pthread_mutex_t mutex;
    uint64_t heard[HEARD_MAX]; /* by the fixture's listener; under the mutex, as is the count */
    size_t heard_count;
    uint64_t used, filled; /* counters as they were */
};

static struct world world;

static void hear(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    (void)context, (void)previous_id;
    pthread_mutex_lock(&world.mutex);
    for (size_t i = 0; i < count; i++) {
        assert_true(world.heard_count < HEARD_MAX);
        world.heard[world.heard_count++] = frames[i]->id;
    }
    pthread_mutex_unlock(&world.mutex);
}

static void forget_said(void) {
    for (size_t i = 0; i < world.said.count; i++)
        frame_drop(world.said.frames[i]);
    world.said.count = 0;
}

static void keep_said(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    (void)context;
    forget_said();
    world.said.previous_id = previous_id;
    for (size_t i = 0; i < count; i++)
        world.said.frames[i] = frame_hold(frames[i]);
    world.said.count = count;
}

static void open_other(void) {
    world.other = fixture_beside(world.fixture, world.fixture->url);
    world.other.listener = keep_said;
    fixture_open(&world.other);
}

static int set_up(void **state) {
    int result = fixture_set_up(state);
    if (result != 0 || !is_on_mariadb())
        return result;
    world = (struct world){ .fixture = *state, .mutex = PTHREAD_MUTEX_INITIALIZER };
    fixture_close(world.fixture);
    world.fixture->config.poll_interval_ms = NEVER_MS;
    world.fixture->listener = hear;
    fixture_open(world.fixture);
    world.user_id = make_user(world.fixture, "ann");
    world.chat_id = make_group(world.fixture, world.user_id, NULL, 0);
    open_other();
    world.heard_count = 0;
    world.used = metric_get(COUNTER_ENVELOPES_USED);
    world.filled = metric_get(COUNTER_LOG_HOLES_FILLED);
    return 0;
}

static int tear_down(void **state) {
    if (is_on_mariadb()) {
        fixture_close(&world.other);
        forget_said();
        pthread_mutex_destroy(&world.mutex);
    }
    return fixture_tear_down(state);
}

static uint64_t post_here(void) { return post_ok(world.fixture, world.user_id, world.chat_id, "here"); }

static uint64_t post_there(void) { return post_ok(&world.other, world.user_id, world.chat_id, "there"); }

static struct envelope envelope_of(struct said *said) {
    return (struct envelope){ .sender = 1,
                              .previous_id = said->previous_id,
                              .last_id = said->frames[said->count - 1]->id,
                              .count = said->count,
                              .frames = said->frames };
}

/* The other's last commit arrives here. */
static void arrive(void) {
    struct envelope envelope = envelope_of(&world.said);
    follow_hear(world.fixture->store->follow, &envelope);
}

/* The same without its frames. */
static void arrive_bare(void) {
    struct envelope envelope = envelope_of(&world.said);
    envelope.count = 0;
    envelope.frames = NULL;
    follow_hear(world.fixture->store->follow, &envelope);
}

static size_t times_heard(uint64_t id) {
    size_t times = 0;
    pthread_mutex_lock(&world.mutex);
    for (size_t i = 0; i < world.heard_count; i++)
        times += world.heard[i] == id;
    pthread_mutex_unlock(&world.mutex);
    return times;
}

static void wait_heard(uint64_t id) {
    for (int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS; times_heard(id) == 0 && clock_monotonic_ms() < end_ms;)
        clock_sleep_ms(1);
    assert_true(times_heard(id) > 0);
}

static void wait_heard_once(uint64_t id) {
    wait_heard(id);
    assert_int_equal(times_heard(id), 1);
}

static uint64_t used(void) { return metric_get(COUNTER_ENVELOPES_USED) - world.used; }

static uint64_t filled(void) { return metric_get(COUNTER_LOG_HOLES_FILLED) - world.filled; }

/* It is counted after the listeners were told. */
static void wait_filled(uint64_t times) {
    for (int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS; filled() < times && clock_monotonic_ms() < end_ms;)
        clock_sleep_ms(1);
    assert_int_equal(filled(), times);
}

static void what_goes_on_is_told_at_once(void **state) {
    (void)state;
    skip_without_mariadb();
    for (uint64_t i = 1; i <= 3; i++) {
        uint64_t id = post_there();
        assert_int_equal(times_heard(id), 0);
        arrive();
        assert_int_equal(times_heard(id), 1);
        assert_int_equal(store_head(world.fixture->store), id);
        assert_int_equal(used(), i);
    }
    assert_int_equal(filled(), 0);
}

static void what_arrives_again_is_told_once(void **state) {
    (void)state;
    skip_without_mariadb();
    uint64_t id = post_there();
    arrive();
    arrive();
    arrive_bare();
    assert_int_equal(times_heard(id), 1);
    assert_int_equal(used(), 1);
}

static void a_hole_is_read_soon(void **state) {
    (void)state;
    skip_without_mariadb();
    uint64_t lost = post_there(), id = post_there();
    arrive();
    wait_heard_once(id);
    assert_int_equal(times_heard(lost), 1);
    assert_int_equal(used(), 0);
    wait_filled(1);
    uint64_t next = post_there();
    arrive();
    assert_int_equal(times_heard(next), 1);
    assert_int_equal(used(), 1);
}

static void what_comes_without_its_events_is_read(void **state) {
    (void)state;
    skip_without_mariadb();
    uint64_t id = post_there();
    arrive_bare();
    wait_heard_once(id);
    wait_filled(1);
}

/* The other's came first and is heard last: what this node committed meanwhile needs no reading. */
static void a_commit_of_ones_own_may_be_ahead(void **state) {
    (void)state;
    skip_without_mariadb();
    uint64_t theirs = post_there(), ours = post_here(), ours_too = post_here();
    assert_int_equal(times_heard(ours), 1);
    assert_int_equal(times_heard(ours_too), 1);
    arrive();
    assert_int_equal(times_heard(theirs), 1);
    uint64_t next = post_there();
    assert_int_equal(world.said.previous_id, ours_too);
    arrive();
    assert_int_equal(times_heard(next), 1);
    assert_int_equal(used(), 2);
    assert_int_equal(filled(), 0);
}

static size_t place_heard(uint64_t id) {
    size_t place = 0;
    pthread_mutex_lock(&world.mutex);
    while (place < world.heard_count && world.heard[place] != id)
        place++;
    pthread_mutex_unlock(&world.mutex);
    return place;
}

static void begin_hearing(void) {
    uint64_t id = post_there();
    follow_hearing(world.fixture->store->follow, true);
    wait_heard_once(id);
}

/* Where the bus is about to bring what comes before it, the listeners hear it in order. On a slow machine it may come too late, after all was read: then order is
 * all that can be asked for, and the test begins again. */
static void a_commit_of_ones_own_waits_for_its_turn(void **state) {
    (void)state;
    skip_without_mariadb();
    begin_hearing();
    for (int trials = 0; used() == 0; trials++) {
        assert_in_range(trials, 0, TRIALS);
        uint64_t theirs = post_there(), ours = post_here(), ours_too = post_here();
        arrive();
        wait_heard(ours_too);
        assert_true(place_heard(theirs) < place_heard(ours) && place_heard(ours) < place_heard(ours_too));
        if (used() == 0)
            continue;
        assert_int_equal(times_heard(theirs), 1);
        assert_int_equal(times_heard(ours), 1);
        assert_int_equal(times_heard(ours_too), 1);
    }
}

/* Without what comes before it, it is read. */
static void a_commit_of_ones_own_does_not_wait_for_long(void **state) {
    (void)state;
    skip_without_mariadb();
    begin_hearing();
    uint64_t theirs = post_there(), ours = post_here();
    wait_heard_once(ours);
    assert_int_equal(times_heard(theirs), 1);
    assert_true(place_heard(theirs) < place_heard(ours));
    wait_filled(2);
}

/* The device is out before the one who removed it is answered. Where the bus is late, too, all is read, and told once more. */
static void a_removal_does_not_wait(void **state) {
    (void)state;
    skip_without_mariadb();
    begin_hearing();
    struct device *devices;
    size_t count;
    assert_int_equal(read_devices(world.fixture->reader, world.user_id, &world.fixture->arena, &devices, &count), OK);
    uint64_t theirs = post_there();
    struct command command = { .type = COMMAND_DEVICE_REMOVE,
                               .actor_id = world.user_id,
                               .in.device_remove = { devices[0].id, REMOVAL_REVOKED } };
    assert_int_equal(store_run(world.fixture->store, &command), OK);
    uint64_t removal = store_head(world.fixture->store);
    command_release(&command);
    assert_true(times_heard(removal) > 0);
    arrive();
    wait_heard_once(theirs);
    if (used() > 0)
        assert_int_equal(times_heard(removal), 1);
}

static void envelopes_out_of_order_are_told_in_order(void **state) {
    (void)state;
    skip_without_mariadb();
    uint64_t first = post_there();
    struct said before = world.said;
    world.said.count = 0;
    uint64_t second = post_there();
    arrive();
    struct envelope envelope = envelope_of(&before);
    follow_hear(world.fixture->store->follow, &envelope);
    wait_heard_once(second);
    assert_int_equal(times_heard(first), 1);
    assert_true(place_heard(first) < place_heard(second));
    for (size_t i = 0; i < before.count; i++)
        frame_drop(before.frames[i]);
}

static void hearing_begins_and_ends_with_a_look(void **state) {
    (void)state;
    skip_without_mariadb();
    for (int hearing = 1; hearing >= 0; hearing--) {
        uint64_t id = post_there();
        follow_hearing(world.fixture->store->follow, hearing);
        wait_heard_once(id);
    }
    wait_filled(2);
}

/* Envelopes that end below what is known, of another log, and what cannot be read: a look at the ordinary pace, and nothing is told. */
static void what_is_old_or_foreign_is_not_told(void **state) {
    (void)state;
    skip_without_mariadb();
    uint64_t first = post_there();
    arrive();
    struct said old = world.said;
    world.said.count = 0;
    uint64_t second = post_there();
    arrive();
    struct envelope envelope = envelope_of(&old);
    follow_hear(world.fixture->store->follow, &envelope);
    envelope.previous_id = log_id(log_position(second), (uint16_t)(second + 1)); /* the right place by another tag */
    follow_hear(world.fixture->store->follow, &envelope);
    follow_hear(world.fixture->store->follow, NULL);
    assert_int_equal(times_heard(first), 1);
    assert_int_equal(times_heard(second), 1);
    assert_int_equal(used(), 2);
    for (size_t i = 0; i < old.count; i++)
        frame_drop(old.frames[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_goes_on_is_told_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_arrives_again_is_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hole_is_read_soon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_comes_without_its_events_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_commit_of_ones_own_may_be_ahead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_commit_of_ones_own_waits_for_its_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_commit_of_ones_own_does_not_wait_for_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removal_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(envelopes_out_of_order_are_told_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hearing_begins_and_ends_with_a_look, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_old_or_foreign_is_not_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
