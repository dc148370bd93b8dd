#include "core/clock.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <time.h>

static void assert_formats(int64_t time_ms, const char *expected) {
    char text[CLOCK_RFC3339_SIZE];
    assert_int_equal(clock_format(time_ms, text), CLOCK_RFC3339_SIZE - 1);
    assert_string_equal(text, expected);
}

static void known_times(void **state) {
    (void)state;
    assert_formats(0, "1970-01-01T00:00:00.000Z");
    assert_formats(-1, "1969-12-31T23:59:59.999Z");
    assert_formats(-86400000, "1969-12-31T00:00:00.000Z");
    assert_formats(INT64_C(951782400000), "2000-02-29T00:00:00.000Z");
    assert_formats(INT64_C(1709164799999), "2024-02-28T23:59:59.999Z");
    assert_formats(INT64_C(1709164800000), "2024-02-29T00:00:00.000Z");
    assert_formats(INT64_C(1709251200000), "2024-03-01T00:00:00.000Z");
    assert_formats(INT64_C(1735689599999), "2024-12-31T23:59:59.999Z");
    assert_formats(INT64_C(2147483648000), "2038-01-19T03:14:08.000Z");
}

static void the_year_2100_is_no_leap_year(void **state) {
    (void)state;
    assert_formats(INT64_C(4107542399999), "2100-02-28T23:59:59.999Z");
    assert_formats(INT64_C(4107542400000), "2100-03-01T00:00:00.000Z");
}

static void years_outside_the_format_are_its_ends(void **state) {
    (void)state;
    assert_formats(INT64_C(253402300799999), "9999-12-31T23:59:59.999Z");
    assert_formats(INT64_C(253402300800000), "9999-12-31T23:59:59.999Z");
    assert_formats(INT64_MAX, "9999-12-31T23:59:59.999Z");
    assert_formats(INT64_C(-62167219200000), "0000-01-01T00:00:00.000Z");
    assert_formats(INT64_MIN, "0000-01-01T00:00:00.000Z");
}

/* Every day of the years 1600 to 2400, against the C library. */
static void agrees_with_the_c_library(void **state) {
    (void)state;
    for (int64_t day = -135140; day < 157054; day++) {
        time_t seconds = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        struct tm parts;
        char expected[64];
        gmtime_r(&seconds, &parts);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.123Z", &parts);
        assert_formats((int64_t)seconds * 1000 + 123, expected);
    }
}

static void assert_reads(const char *text, int64_t expected_ms) {
    int64_t time_ms = 0;
    if (!clock_parse(text, strlen(text), &time_ms))
        fail_msg("%s is not read", text);
    assert_int_equal(time_ms, expected_ms);
}

static void what_is_written_is_read(void **state) {
    (void)state;
    char text[CLOCK_RFC3339_SIZE];
    for (int64_t time_ms = 1; time_ms < INT64_C(253402300799999); time_ms += INT64_C(86399999) * 3) {
        clock_format(time_ms, text);
        assert_reads(text, time_ms);
    }
    assert_reads("9999-12-31T23:59:59.999Z", INT64_C(253402300799999));
}

static void offsets_and_fractions_are_read(void **state) {
    (void)state;
    assert_reads("1970-01-01T00:00:01Z", 1000);
    assert_reads("1970-01-01t00:00:01.5z", 1500);
    assert_reads("1970-01-01 00:00:01.0019999Z", 1001);
    assert_reads("1970-01-01T02:00:01+02:00", 1000);
    assert_reads("1970-01-01T23:29:59-00:30", 86399000);
    assert_reads("2024-02-29T00:00:00Z", INT64_C(1709164800000));
}

static void other_texts_are_no_times(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "1970",
        "1970-01-01",
        "1970-01-01T00:00:00Z", /* the moment that stands for none */
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:01+00:01",
        "2023-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2024-00-10T00:00:00Z",
        "2024-13-10T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-04-00T00:00:00Z",
        "2024-04-01T24:00:00Z",
        "2024-04-01T00:60:00Z",
        "2024-04-01T00:00:60Z",
        "2024-04-01T00:00:00",
        "2024-04-01T00:00:00.Z",
        "2024-04-01T00:00:00+0200",
        "2024-04-01T00:00:00+24:00",
        "2024-04-01T00:00:00Z ",
        " 2024-04-01T00:00:00Z",
        "2024-4-1T00:00:00Z",
        "20240401T000000Z",
        "+024-04-01T00:00:00Z",
    };
    int64_t time_ms = 7;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (clock_parse(wrong[i], strlen(wrong[i]), &time_ms))
            fail_msg("%s is read", wrong[i]);
    assert_false(clock_parse("2024-04-01T00:00:00\0Z", 21, &time_ms));
    assert_int_equal(time_ms, 7);
}

static void monotonic_time_does_not_go_back(void **state) {
    (void)state;
    int64_t last_us = clock_monotonic_us(), last_ms = clock_monotonic_ms();
    for (int i = 0; i < 100000; i++) {
        int64_t now_us = clock_monotonic_us(), now_ms = clock_monotonic_ms();
        assert_true(now_us >= last_us && now_ms >= last_ms);
        last_us = now_us;
        last_ms = now_ms;
    }
}

static void sleeping_reaches_the_deadline(void **state) {
    (void)state;
    struct timespec then = clock_deadline(20);
    int64_t deadline_us = (int64_t)then.tv_sec * 1000000 + then.tv_nsec / 1000;
    clock_sleep_ms(20);
    assert_true(clock_monotonic_us() >= deadline_us);
    clock_sleep_ms(0);
    clock_sleep_ms(-1);
}

static void wall_time_is_the_machines(void **state) {
    (void)state;
    int64_t before_ms = (int64_t)time(NULL) * 1000, now_ms = clock_now_ms(), after_ms = (int64_t)time(NULL) * 1000;
    assert_in_range(now_ms, before_ms, after_ms + 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times),
        cmocka_unit_test(the_year_2100_is_no_leap_year),
        cmocka_unit_test(years_outside_the_format_are_its_ends),
        cmocka_unit_test(agrees_with_the_c_library),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(offsets_and_fractions_are_read),
        cmocka_unit_test(other_texts_are_no_times),
        cmocka_unit_test(monotonic_time_does_not_go_back),
        cmocka_unit_test(sleeping_reaches_the_deadline),
        cmocka_unit_test(wall_time_is_the_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
