#include "api/rate.h"
#include "core/limits.h"
#include "tests/unit/unit.h"

static const struct rate_rule TEN_A_SECOND = { 0.01, 40 };

static struct rate *fresh(void) {
    struct rate *rate = NULL;
    assert_int_equal(rate_new("secret", 6, &rate), OK);
    return rate;
}

static void a_burst_is_granted_and_no_more(void **state) {
    (void)state;
    struct rate *rate = fresh();
    struct rate_state shown;
    uint64_t key = rate_key(rate, RATE_OF_USER, "a", 1);
    for (int i = 0; i < 40; i++)
        assert_true(rate_take(rate, key, &TEN_A_SECOND, 1000, &shown));
    assert_int_equal(shown.limit, 40);
    assert_int_equal(shown.remaining, 0);
    assert_int_equal(shown.reset_s, 4);
    assert_false(rate_take(rate, key, &TEN_A_SECOND, 1000, &shown));
    assert_int_equal(shown.retry_s, 1);
    rate_free(rate);
}

static void tokens_come_back_with_time(void **state) {
    (void)state;
    struct rate *rate = fresh();
    struct rate_state shown;
    uint64_t key = rate_key(rate, RATE_OF_USER, "a", 1);
    while (rate_take(rate, key, &TEN_A_SECOND, 1000, &shown))
        continue;
    assert_true(rate_take(rate, key, &TEN_A_SECOND, 1100, &shown));
    assert_false(rate_take(rate, key, &TEN_A_SECOND, 1100, &shown));
    assert_true(rate_take(rate, key, &TEN_A_SECOND, 1000 + 3600 * 1000, &shown));
    assert_int_equal(shown.remaining, 39);
    rate_free(rate);
}

static void no_time_counts_twice(void **state) {
    (void)state;
    struct rate *rate = fresh();
    struct rate_state shown;
    uint64_t key = rate_key(rate, RATE_OF_USER, "a", 1);
    while (rate_take(rate, key, &TEN_A_SECOND, 1000, &shown))
        continue;
    assert_true(rate_take(rate, key, &TEN_A_SECOND, 1100, &shown));
    assert_false(rate_take(rate, key, &TEN_A_SECOND, 1000, &shown));
    assert_false(rate_take(rate, key, &TEN_A_SECOND, 1100, &shown));
    rate_free(rate);
}

static void slow_rules_say_when_to_return(void **state) {
    (void)state;
    struct rate *rate = fresh();
    struct rate_state shown;
    const struct rate_rule two_a_minute = { 2.0 / 60000, 2 };
    uint64_t key = rate_key(rate, RATE_OF_LOGIN_ACCOUNT, "alice", 5);
    assert_true(rate_take(rate, key, &two_a_minute, 0, &shown));
    assert_true(rate_take(rate, key, &two_a_minute, 0, &shown));
    assert_false(rate_take(rate, key, &two_a_minute, 0, &shown));
    assert_in_range(shown.retry_s, 30, 31);
    rate_free(rate);
}

static void kinds_and_keys_are_apart(void **state) {
    (void)state;
    struct rate *rate = fresh();
    uint64_t keys[] = {
        rate_key(rate, RATE_OF_USER, "a", 1),
        rate_key(rate, RATE_OF_ADDRESS, "a", 1),
        rate_key(rate, RATE_OF_USER, "b", 1),
        rate_key(rate, RATE_OF_USER, "a\0", 2),
    };
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        for (size_t j = 0; j < i; j++)
            assert_true(keys[i] != keys[j]);
    rate_free(rate);
}

static void keys_follow_from_the_secret(void **state) {
    (void)state;
    struct rate *rate = fresh(), *same = fresh(), *other = NULL;
    assert_int_equal(rate_new("Secret", 6, &other), OK);
    assert_int_equal(rate_key(rate, RATE_OF_USER, "a", 1), rate_key(same, RATE_OF_USER, "a", 1));
    assert_true(rate_key(rate, RATE_OF_USER, "a", 1) != rate_key(other, RATE_OF_USER, "a", 1));
    rate_free(rate);
    rate_free(same);
    rate_free(other);
}

static void a_cap_lowers_and_never_raises(void **state) {
    (void)state;
    struct rate *rate = fresh();
    struct rate_state shown;
    uint64_t key = rate_key(rate, RATE_OF_USER, "a", 1);
    rate_cap(rate, key, &TEN_A_SECOND, 3, 1000); /* nobody has taken from it yet */
    assert_true(rate_take(rate, key, &TEN_A_SECOND, 1000, &shown));
    assert_int_equal(shown.remaining, 39);
    rate_cap(rate, key, &TEN_A_SECOND, 3, 1000);
    assert_true(rate_take(rate, key, &TEN_A_SECOND, 1000, &shown));
    assert_int_equal(shown.remaining, 2);
    rate_cap(rate, key, &TEN_A_SECOND, 30, 1000);
    assert_true(rate_take(rate, key, &TEN_A_SECOND, 1000, &shown));
    assert_int_equal(shown.remaining, 1);
    rate_free(rate);
}

static void a_debt_has_to_come_back_first(void **state) {
    (void)state;
    struct rate *rate = fresh();
    struct rate_state shown;
    uint64_t key = rate_key(rate, RATE_OF_USER, "a", 1);
    assert_true(rate_take(rate, key, &TEN_A_SECOND, 1000, &shown));
    rate_cap(rate, key, &TEN_A_SECOND, -20, 1000);
    assert_false(rate_take(rate, key, &TEN_A_SECOND, 2000, &shown));
    assert_int_equal(shown.remaining, 0);
    assert_int_equal(shown.retry_s, 2);
    assert_int_equal(shown.reset_s, 5);
    assert_true(rate_take(rate, key, &TEN_A_SECOND, 3100, &shown));
    assert_false(rate_take(rate, key, &TEN_A_SECOND, 3100, &shown));
    rate_free(rate);
}

static void ipv6_networks_count_as_one_address(void **state) {
    (void)state;
    struct rate *rate = fresh();
    uint8_t one[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }, two[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 2 };
    uint8_t ipv4[16] = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 1 }, other[16] = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 2 };
    assert_int_equal(rate_address_key(rate, RATE_OF_ADDRESS, one), rate_address_key(rate, RATE_OF_ADDRESS, two));
    assert_true(rate_address_key(rate, RATE_OF_ADDRESS, ipv4) != rate_address_key(rate, RATE_OF_ADDRESS, other));
    rate_free(rate);
}

static void a_flood_of_keys_does_not_free_an_empty_bucket(void **state) {
    (void)state;
    struct rate *rate = fresh();
    struct rate_state shown;
    uint64_t victim = rate_key(rate, RATE_OF_USER, "victim", 6);
    while (rate_take(rate, victim, &TEN_A_SECOND, 1000, &shown))
        continue;
    for (uint64_t i = 0; i < 3 * LIMIT_RATE_BUCKETS; i++)
        assert_true(rate_take(rate, rate_key(rate, RATE_OF_USER, &i, sizeof(i)), &TEN_A_SECOND, 1000, &shown));
    assert_false(rate_take(rate, victim, &TEN_A_SECOND, 1000, &shown));
    rate_free(rate);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_granted_and_no_more),
        cmocka_unit_test(tokens_come_back_with_time),
        cmocka_unit_test(no_time_counts_twice),
        cmocka_unit_test(slow_rules_say_when_to_return),
        cmocka_unit_test(kinds_and_keys_are_apart),
        cmocka_unit_test(keys_follow_from_the_secret),
        cmocka_unit_test(a_cap_lowers_and_never_raises),
        cmocka_unit_test(a_debt_has_to_come_back_first),
        cmocka_unit_test(ipv6_networks_count_as_one_address),
        cmocka_unit_test(a_flood_of_keys_does_not_free_an_empty_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
