#include "media/breaker.h"
#include "tests/unit/unit.h"

#define NOW_MS 1000000

static void fail_times(struct breaker *breaker, unsigned times, int64_t now_ms) {
    for (unsigned i = 0; i < times; i++) {
        assert_true(breaker_admits(breaker, now_ms));
        breaker_report(breaker, false, now_ms);
    }
}

static void a_few_failures_change_nothing(void **state) {
    (void)state;
    struct breaker breaker;
    breaker_init(&breaker);
    for (int round = 0; round < 3; round++) {
        fail_times(&breaker, BREAKER_FAILURES - 1, NOW_MS);
        assert_true(breaker_admits(&breaker, NOW_MS));
        breaker_report(&breaker, true, NOW_MS);
    }
    assert_true(breaker_admits(&breaker, NOW_MS));
    breaker_release(&breaker);
}

static void after_many_in_a_row_nobody_tries_for_a_while(void **state) {
    (void)state;
    struct breaker breaker;
    breaker_init(&breaker);
    fail_times(&breaker, BREAKER_FAILURES, NOW_MS);
    assert_false(breaker_admits(&breaker, NOW_MS));
    assert_false(breaker_admits(&breaker, NOW_MS + BREAKER_OPEN_MS - 1));
    breaker_release(&breaker);
}

static void then_one_at_a_time(void **state) {
    (void)state;
    struct breaker breaker;
    int64_t now_ms = NOW_MS;
    breaker_init(&breaker);
    fail_times(&breaker, BREAKER_FAILURES, now_ms);
    for (int round = 0; round < 3; round++) {
        now_ms += BREAKER_OPEN_MS;
        assert_true(breaker_admits(&breaker, now_ms));
        assert_false(breaker_admits(&breaker, now_ms + 5 * BREAKER_OPEN_MS)); /* the probe is still under way */
        breaker_report(&breaker, false, now_ms);
        assert_false(breaker_admits(&breaker, now_ms));
    }
    breaker_release(&breaker);
}

static void an_answer_lets_everybody_in(void **state) {
    (void)state;
    struct breaker breaker;
    breaker_init(&breaker);
    fail_times(&breaker, BREAKER_FAILURES, NOW_MS);
    assert_true(breaker_admits(&breaker, NOW_MS + BREAKER_OPEN_MS));
    breaker_report(&breaker, true, NOW_MS + BREAKER_OPEN_MS);
    for (unsigned i = 0; i < BREAKER_FAILURES - 1; i++) {
        assert_true(breaker_admits(&breaker, NOW_MS + BREAKER_OPEN_MS));
        breaker_report(&breaker, false, NOW_MS + BREAKER_OPEN_MS);
    }
    assert_true(breaker_admits(&breaker, NOW_MS + BREAKER_OPEN_MS));
    breaker_release(&breaker);
}

static void an_answer_to_an_older_try_counts_too(void **state) {
    (void)state;
    struct breaker breaker;
    breaker_init(&breaker);
    assert_true(breaker_admits(&breaker, NOW_MS)); /* slow */
    fail_times(&breaker, BREAKER_FAILURES, NOW_MS);
    breaker_report(&breaker, true, NOW_MS);
    assert_true(breaker_admits(&breaker, NOW_MS));
    breaker_release(&breaker);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_few_failures_change_nothing),
        cmocka_unit_test(after_many_in_a_row_nobody_tries_for_a_while),
        cmocka_unit_test(then_one_at_a_time),
        cmocka_unit_test(an_answer_lets_everybody_in),
        cmocka_unit_test(an_answer_to_an_older_try_counts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
