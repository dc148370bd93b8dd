/* Who is known to be a member, and when the others are told. */
#include "api/typing.h"

#include "core/limits.h"
#include "tests/unit/stream_frames.h"

#define ANNA 100
#define CHAT 200

static int set_up(void **state) {
    struct typing *typing;
    assert_int_equal(typing_new(&typing), OK);
    *state = typing;
    return 0;
}

static int tear_down(void **state) {
    typing_free(*state);
    return 0;
}

static enum typing_verdict take_at(struct typing *typing, uint64_t user_id, uint64_t chat_id, int64_t now_ms) {
    uint64_t generation;
    return typing_take(typing, &(struct typist){ user_id, chat_id, now_ms }, &generation);
}

/* Asks, and learns what the database says. */
static enum typing_verdict learn_at(struct typing *typing, uint64_t user_id, uint64_t chat_id, int64_t now_ms) {
    const struct typist typist = { user_id, chat_id, now_ms };
    uint64_t generation;
    assert_int_equal(typing_take(typing, &typist, &generation), TYPING_UNKNOWN);
    return typing_learn(typing, &typist, true, generation);
}

static void hear(struct typing *typing, enum event_type type, uint64_t chat_id, uint64_t user_id) {
    struct frame *frame = plain_frame(type, 1, chat_id, user_id);
    typing_commit(typing, 0, &frame, 1);
    frame_drop(frame);
}

static void others_are_told_once_in_an_interval(void **state) {
    assert_int_equal(learn_at(*state, ANNA, CHAT, 1000), TYPING_DUE);
    assert_int_equal(take_at(*state, ANNA, CHAT, 1001), TYPING_QUIET);
    assert_int_equal(take_at(*state, ANNA, CHAT, 1000 + TYPING_INTERVAL_MS - 1), TYPING_QUIET);
    assert_int_equal(take_at(*state, ANNA, CHAT, 1000 + TYPING_INTERVAL_MS), TYPING_DUE);
    assert_int_equal(take_at(*state, ANNA, CHAT, 1000 + TYPING_INTERVAL_MS), TYPING_QUIET);
    assert_int_equal(learn_at(*state, ANNA, CHAT + 1, 1001), TYPING_DUE);
    assert_int_equal(learn_at(*state, ANNA + 1, CHAT, 1001), TYPING_DUE);
}

static void in_a_large_chat_nobody_is_told(void **state) {
    uint64_t generation;
    const struct typist typist = { ANNA, CHAT, 1000 };
    assert_int_equal(typing_take(*state, &typist, &generation), TYPING_UNKNOWN);
    assert_int_equal(typing_learn(*state, &typist, false, generation), TYPING_QUIET);
    assert_int_equal(take_at(*state, ANNA, CHAT, 1000 + TYPING_INTERVAL_MS), TYPING_QUIET);
}

static void a_member_is_looked_up_again_after_a_while(void **state) {
    assert_int_equal(learn_at(*state, ANNA, CHAT, 1000), TYPING_DUE);
    assert_int_equal(take_at(*state, ANNA, CHAT, 1000 + TYPING_MEMBER_MS - 1), TYPING_DUE);
    assert_int_equal(learn_at(*state, ANNA, CHAT, 1000 + TYPING_MEMBER_MS), TYPING_QUIET); /* just told */
}

static void who_left_is_looked_up_at_once(void **state) {
    assert_int_equal(learn_at(*state, ANNA, CHAT, 1000), TYPING_DUE);
    hear(*state, EVENT_MEMBER_REMOVED, CHAT, ANNA + 1);
    hear(*state, EVENT_MEMBER_REMOVED, CHAT + 1, ANNA);
    hear(*state, EVENT_CHAT_UPDATED, CHAT, ANNA);
    assert_int_equal(take_at(*state, ANNA, CHAT, 1001), TYPING_QUIET);
    hear(*state, EVENT_MEMBER_REMOVED, CHAT, ANNA);
    assert_int_equal(take_at(*state, ANNA, CHAT, 1002), TYPING_UNKNOWN);
    assert_int_equal(learn_at(*state, ANNA, CHAT, 1003), TYPING_QUIET); /* joined again */
    hear(*state, EVENT_CHAT_DELETED, CHAT, 0);
    assert_int_equal(take_at(*state, ANNA, CHAT, 1004), TYPING_UNKNOWN);
    assert_int_equal(learn_at(*state, ANNA, CHAT, 1005), TYPING_QUIET);
    typing_break(*state, LOG_DOUBTED, 0);
    assert_int_equal(take_at(*state, ANNA, CHAT, 1006), TYPING_UNKNOWN);
}

/* What was read before somebody left is not remembered after it. */
static void a_removal_wins_over_an_older_look_up(void **state) {
    static const enum event_type ends[] = { EVENT_MEMBER_REMOVED, EVENT_CHAT_DELETED };
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        const struct typist typist = { ANNA, CHAT + i, 1000 };
        uint64_t generation;
        assert_int_equal(typing_take(*state, &typist, &generation), TYPING_UNKNOWN);
        hear(*state, ends[i], CHAT + i, ANNA);
        assert_int_equal(typing_learn(*state, &typist, true, generation), TYPING_DUE);
        assert_int_equal(take_at(*state, ANNA, CHAT + i, 1001), TYPING_UNKNOWN);
    }
}

/* More of them than there are seats: nobody is taken for somebody else. */
static void those_who_share_a_seat_are_told_apart(void **state) {
    for (uint64_t user_id = 1; user_id <= 3 * LIMIT_TYPISTS; user_id++)
        assert_int_equal(learn_at(*state, user_id, CHAT, 1000), TYPING_DUE);
    for (uint64_t user_id = 1; user_id <= 3 * LIMIT_TYPISTS; user_id++)
        assert_int_not_equal(take_at(*state, user_id, CHAT, 1001), TYPING_DUE);
}

#define TYPING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TYPING_TEST(others_are_told_once_in_an_interval),       TYPING_TEST(in_a_large_chat_nobody_is_told),
        TYPING_TEST(a_member_is_looked_up_again_after_a_while), TYPING_TEST(who_left_is_looked_up_at_once),
        TYPING_TEST(a_removal_wins_over_an_older_look_up),      TYPING_TEST(those_who_share_a_seat_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
