/* When a hub does without whispers. A hub without threads: its state is what the test says. */
#include "stream/whisper.h"

#include "stream/hub_state.h"
#include "tests/unit/stream_frames.h"

static int set_up(void **state) {
    struct hub *hub = calloc(1, sizeof(*hub));
    assert_int_equal(inbox_init(&hub->inbox), OK);
    index_init(&hub->index);
    outlet_init(&hub->outlet);
    *state = hub;
    return 0;
}

static int tear_down(void **state) {
    struct hub *hub = *state;
    inbox_release(&hub->inbox);
    index_release(&hub->index);
    outlet_release(&hub->outlet);
    push_release(&hub->push);
    free(hub);
    return 0;
}

static void hear(struct hub *hub, size_t count) {
    for (size_t i = 0; i < count; i++)
        whisper_hear(hub, &(struct whisper){ WHISPER_USER, 100, 0, "presence", "{}", 2 });
}

static uint64_t dropped(void) { return metric_get(COUNTER_WHISPERS_DROPPED_PRESENCE); }

/* How many of one whisper are dropped in one turn. */
static uint64_t drops_one(struct hub *hub) {
    uint64_t before = dropped();
    hear(hub, 1);
    whisper_deliver(hub);
    return dropped() - before;
}

static void a_hub_that_keeps_up_drops_none(void **state) { assert_int_equal(drops_one(*state), 0); }

static void a_hub_that_reads_what_it_missed_drops_them(void **state) {
    struct hub *hub = *state;
    hub->tail.lost = true;
    assert_int_equal(drops_one(hub), 1);
    hub->tail.lost = false;
    hub->tail.is_reading = true;
    assert_int_equal(drops_one(hub), 1);
    hub->tail.is_reading = false;
    assert_int_equal(drops_one(hub), 0);
}

static void after_a_tick_that_was_full_they_are_dropped_once(void **state) {
    struct hub *hub = *state;
    hub->was_full = true;
    assert_int_equal(drops_one(hub), 1);
    assert_int_equal(drops_one(hub), 0);
}

static void a_hub_with_many_half_sent_frames_drops_them(void **state) {
    struct hub *hub = *state;
    hub->outlet.kept_bytes = LIMIT_PARTIAL_BYTES / 2 + 1;
    assert_int_equal(drops_one(hub), 1);
    hub->outlet.kept_bytes = 0;
}

static void a_hub_to_which_too_much_was_handed_drops_them(void **state) {
    struct hub *hub = *state;
    static char text[1024 * 1024];
    struct frame *frame;
    bool lost;
    memset(text, 'x', sizeof(text) - 1);
    frame = message_frame(&(struct message_event){ EVENT_MESSAGE_CREATED, 1, 200, 0, text });
    for (size_t bytes = 0; bytes <= LIMIT_WHISPERS_COMMIT_BYTES; bytes += frame->size) {
        assert_int_equal(drops_one(hub), 0);
        inbox_add_commit(&hub->inbox, 0, &frame, 1);
    }
    assert_int_equal(drops_one(hub), 1);
    for (struct commit *commit = inbox_take_commits(&hub->inbox, &lost), *next; commit != NULL; commit = next) {
        next = commit->next;
        commit_free(commit);
    }
    assert_int_equal(drops_one(hub), 0);
    frame_drop(frame);
}

static void so_many_wait_and_a_turn_takes_some(void **state) {
    struct hub *hub = *state;
    uint64_t before = dropped();
    hear(hub, LIMIT_WHISPERS_WAITING + 3);
    assert_int_equal(dropped() - before, 3);
    for (size_t taken = LIMIT_TURN_WHISPERS; taken <= LIMIT_WHISPERS_WAITING; taken += LIMIT_TURN_WHISPERS) {
        whisper_deliver(hub);
        assert_int_equal(hub->has_whispers, taken < LIMIT_WHISPERS_WAITING);
    }
    hear(hub, LIMIT_WHISPERS_WAITING);
    assert_int_equal(dropped() - before, 3);
}

static void a_hub_that_ends_takes_none(void **state) {
    struct hub *hub = *state;
    inbox_stop(&hub->inbox);
    assert_int_equal(drops_one(hub), 1);
}

#define WHISPER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WHISPER_TEST(a_hub_that_keeps_up_drops_none),
        WHISPER_TEST(a_hub_that_reads_what_it_missed_drops_them),
        WHISPER_TEST(after_a_tick_that_was_full_they_are_dropped_once),
        WHISPER_TEST(a_hub_with_many_half_sent_frames_drops_them),
        WHISPER_TEST(a_hub_to_which_too_much_was_handed_drops_them),
        WHISPER_TEST(so_many_wait_and_a_turn_takes_some),
        WHISPER_TEST(a_hub_that_ends_takes_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
