#include "core/id.h"
#include "tests/unit/unit.h"

#define NOW_MS (ID_EPOCH_MS + INT64_C(60000000000))
#define TIME_SHIFT (ID_NODE_BITS + ID_SEQUENCE_BITS)

static int64_t time_of(uint64_t id) { return (int64_t)(id >> TIME_SHIFT) + ID_EPOCH_MS; }

static uint32_t node_of(uint64_t id) { return (uint32_t)(id >> ID_SEQUENCE_BITS) & (ID_NODE_COUNT - 1); }

static void an_id_holds_time_and_node(void **state) {
    (void)state;
    struct id_generator generator;
    id_generator_init(&generator, 1023, 0);
    uint64_t id = id_next(&generator, NOW_MS);
    assert_int_equal(time_of(id), NOW_MS);
    assert_int_equal(node_of(id), 1023);
    assert_true(id <= ID_MAX);
}

static void ten_thousand_in_a_millisecond_increase(void **state) {
    (void)state;
    struct id_generator generator;
    uint64_t last = 0;
    id_generator_init(&generator, 5, 0);
    for (int i = 0; i < 10000; i++) {
        uint64_t id = id_next(&generator, NOW_MS);
        assert_true(id > last);
        assert_int_equal(node_of(id), 5);
        last = id;
    }
    /* 4,096 each: the third millisecond, borrowed from the future. */
    assert_int_equal(time_of(last), NOW_MS + 2);
    assert_int_equal(time_of(id_next(&generator, NOW_MS + 3)), NOW_MS + 3);
}

static void a_clock_that_goes_back_does_not_take_ids_along(void **state) {
    (void)state;
    struct id_generator generator;
    id_generator_init(&generator, 1, 0);
    uint64_t last = id_next(&generator, NOW_MS);
    for (int i = 0; i < 5000; i++) {
        uint64_t id = id_next(&generator, NOW_MS - 3600000 - i);
        assert_true(id > last);
        last = id;
    }
    assert_true(id_next(&generator, 0) > last);
    assert_true(id_next(&generator, INT64_MIN) > last);
}

static void a_clock_before_the_epoch_still_gives_ids(void **state) {
    (void)state;
    struct id_generator generator;
    id_generator_init(&generator, 0, 0);
    uint64_t id = id_next(&generator, 0);
    assert_true(id > 0);
    assert_true(id_next(&generator, 0) > id);
}

static void a_restart_continues_above_the_floor(void **state) {
    (void)state;
    struct id_generator before, after;
    uint64_t last = 0;
    id_generator_init(&before, 7, 0);
    for (int i = 0; i < 4097; i++)
        last = id_next(&before, NOW_MS);

    id_generator_init(&after, 7, last);
    uint64_t next = id_next(&after, NOW_MS - 1000);
    assert_true(next > last);
    assert_int_equal(node_of(next), 7);
}

static void a_time_has_a_last_id(void **state) {
    (void)state;
    struct id_generator generator;
    id_generator_init(&generator, 3, id_last_of(NOW_MS));
    assert_int_equal(time_of(id_last_of(NOW_MS)), NOW_MS);
    assert_int_equal(id_generator_time_ms(&generator), NOW_MS);
    assert_int_equal(time_of(id_next(&generator, NOW_MS)), NOW_MS + 1);
    assert_int_equal(id_generator_time_ms(&generator), NOW_MS + 1);
    assert_int_equal(time_of(id_last_of(INT64_MIN)), ID_EPOCH_MS);
    assert_true(id_last_of(ID_EPOCH_MS + (INT64_C(1) << 41) - 1) == ID_MAX);
}

static void nodes_never_meet(void **state) {
    (void)state;
    struct id_generator a, b;
    id_generator_init(&a, 1, 0);
    id_generator_init(&b, 2, 0);
    for (int i = 0; i < 100; i++)
        assert_true(id_next(&a, NOW_MS) != id_next(&b, NOW_MS));
}

static void sixty_years_fit(void **state) {
    (void)state;
    struct id_generator generator;
    id_generator_init(&generator, 1023, 0);
    const int64_t last_ms = ID_EPOCH_MS + (INT64_C(1) << 41) - 1;
    uint64_t id = id_next(&generator, last_ms);
    for (int i = 0; i < 4095; i++)
        id = id_next(&generator, last_ms);
    assert_true(id == ID_MAX);
}

static void assert_refused(const char *text, size_t size) {
    uint64_t id = 42;
    assert_false(id_parse(text, size, &id));
    assert_int_equal(id, 42);
}

static void parsing_takes_plain_decimals_only(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "0",
        "01",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1a",
        "0x1",
        "1.0",
        "1e3",
        "9223372036854775808",
        "9999999999999999999",
        "18446744073709551616",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_refused(wrong[i], strlen(wrong[i]));
    assert_refused("1\0", 2);
}

static void parsing_and_formatting_are_inverse(void **state) {
    (void)state;
    static const uint64_t ids[] = { 1, 9, 10, 65536, UINT64_C(1234567890123456789), ID_MAX };
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        char text[ID_TEXT_SIZE];
        uint64_t id;
        size_t size = id_format(ids[i], text);
        assert_int_equal(size, strlen(text));
        assert_true(id_parse(text, size, &id));
        assert_true(id == ids[i]);
    }
    uint64_t id;
    assert_true(id_parse("12345", 3, &id)); /* the size counts, not a NUL */
    assert_int_equal(id, 123);
}

static void log_ids_hold_position_and_tag(void **state) {
    (void)state;
    assert_int_equal(log_id(1, 0xffff), 0x1ffff);
    assert_int_equal(log_position(log_id(123456789, 0xabcd)), 123456789);
    assert_true(log_id(2, 0) > log_id(1, 0xffff));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_holds_time_and_node),
        cmocka_unit_test(ten_thousand_in_a_millisecond_increase),
        cmocka_unit_test(a_clock_that_goes_back_does_not_take_ids_along),
        cmocka_unit_test(a_clock_before_the_epoch_still_gives_ids),
        cmocka_unit_test(a_restart_continues_above_the_floor),
        cmocka_unit_test(a_time_has_a_last_id),
        cmocka_unit_test(nodes_never_meet),
        cmocka_unit_test(sixty_years_fit),
        cmocka_unit_test(parsing_takes_plain_decimals_only),
        cmocka_unit_test(parsing_and_formatting_are_inverse),
        cmocka_unit_test(log_ids_hold_position_and_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
