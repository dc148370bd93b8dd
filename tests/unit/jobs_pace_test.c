#include "jobs/pace.h"
#include "tests/unit/unit.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

static struct pace pace_of(int64_t overdue_ms) {
    return (struct pace){ .deadline_ms = HOUR_MS, .interval_ms = MINUTE_MS, .overdue_ms = overdue_ms };
}

static int64_t rest_ms(int64_t overdue_ms, int64_t writer_us) {
    const struct pace pace = pace_of(overdue_ms);
    return pace_rest_ms(&pace, writer_us);
}

static int64_t pause_ms(int64_t overdue_ms) {
    const struct pace pace = pace_of(overdue_ms);
    return pace_pause_ms(&pace);
}

static void in_time_it_rests_eight_times_as_long_as_a_step_took(void **state) {
    (void)state;
    assert_int_equal(rest_ms(0, 5000), 40);
    assert_int_equal(rest_ms(MINUTE_MS, 5000), 40);
}

static void a_rest_is_neither_too_short_for_posts_nor_too_long(void **state) {
    (void)state;
    assert_int_equal(rest_ms(0, 0), 10);
    assert_int_equal(rest_ms(0, 300), 10);
    assert_int_equal(rest_ms(0, INT64_C(60000000)), 100);
}

static void late_it_rests_less(void **state) {
    (void)state;
    assert_int_equal(rest_ms(MINUTE_MS + SECOND_MS / 2, 5000), 20);
    assert_int_equal(rest_ms(MINUTE_MS + 3 * SECOND_MS / 2, 5000), 10);
    assert_int_equal(rest_ms(MINUTE_MS + 7 * SECOND_MS / 2, 5000), 5);
    assert_int_equal(rest_ms(MINUTE_MS + SECOND_MS / 2, 300), 5);
}

static void the_later_it_is_the_less_it_rests(void **state) {
    (void)state;
    int64_t last_ms = INT64_MAX;
    for (int64_t overdue_ms = 0; overdue_ms <= 20 * MINUTE_MS; overdue_ms += SECOND_MS) {
        int64_t now_ms = rest_ms(overdue_ms, 12500);
        assert_true(now_ms <= last_ms);
        last_ms = now_ms;
    }
}

static void a_quarter_of_the_deadline_late_it_does_not_rest(void **state) {
    (void)state;
    struct pace pace = pace_of(15 * MINUTE_MS - 1);
    pace.waiting = SIZE_MAX;
    assert_int_equal(pace_rest_ms(&pace, 12500), 100);
    pace.overdue_ms = 15 * MINUTE_MS;
    assert_int_equal(pace_rest_ms(&pace, 12500), 0);
    pace.overdue_ms = INT64_MAX;
    assert_int_equal(pace_rest_ms(&pace, 12500), 0);
}

static void late_it_does_not_take_what_posts_wait_for(void **state) {
    (void)state;
    struct pace pace = pace_of(MINUTE_MS + 7 * SECOND_MS / 2);
    pace.waiting = 32;
    assert_int_equal(pace_rest_ms(&pace, 5000), 5);
    pace.waiting = 33;
    assert_int_equal(pace_rest_ms(&pace, 5000), 40);
}

static void the_longest_deadline_is_no_reason_to_be_late(void **state) {
    (void)state;
    const struct pace years = { .deadline_ms = 365 * 24 * HOUR_MS, .interval_ms = 0, .overdue_ms = 24 * HOUR_MS };
    assert_int_equal(pace_rest_ms(&years, 12500), 0);
    const struct pace soon = { .deadline_ms = SECOND_MS, .interval_ms = 0, .overdue_ms = 249 };
    assert_int_equal(pace_rest_ms(&soon, 12500), 66);
}

static void late_the_next_run_is_soon(void **state) {
    (void)state;
    assert_int_equal(pause_ms(0), MINUTE_MS);
    assert_int_equal(pause_ms(MINUTE_MS), MINUTE_MS);
    assert_int_equal(pause_ms(MINUTE_MS + 1), SECOND_MS);
    const struct pace often = { .deadline_ms = HOUR_MS, .interval_ms = 10, .overdue_ms = HOUR_MS };
    assert_int_equal(pace_pause_ms(&often), 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_time_it_rests_eight_times_as_long_as_a_step_took),
        cmocka_unit_test(a_rest_is_neither_too_short_for_posts_nor_too_long),
        cmocka_unit_test(late_it_rests_less),
        cmocka_unit_test(the_later_it_is_the_less_it_rests),
        cmocka_unit_test(a_quarter_of_the_deadline_late_it_does_not_rest),
        cmocka_unit_test(late_it_does_not_take_what_posts_wait_for),
        cmocka_unit_test(the_longest_deadline_is_no_reason_to_be_late),
        cmocka_unit_test(late_the_next_run_is_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
