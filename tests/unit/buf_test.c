#include "core/buf.h"
#include "tests/unit/unit.h"

static void assert_json_string(const char *text, size_t size, const char *expected) {
    struct buf buf = BUF_INIT;
    json_quote(&buf, text, size);
    assert_int_equal(json_quoted_size(text, size), buf.size);
    assert_true(buf_ok(&buf));
    assert_string_equal(buf.bytes, expected);
    assert_int_equal(buf.size, strlen(expected));
    buf_release(&buf);
}

static void appending_keeps_the_bytes_and_a_nul(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    for (int i = 0; i < 10000; i++) {
        buf_append(&buf, "ab", 2);
        assert_int_equal(buf.bytes[buf.size], 0);
    }
    buf_append(&buf, NULL, 0);
    assert_int_equal(buf.size, 20000);
    assert_memory_equal(buf.bytes + 19998, "ab", 3);

    buf_clear(&buf);
    assert_int_equal(buf.size, 0);
    assert_string_equal(buf.bytes, "");
    assert_true(buf.capacity > 20000);
    buf_release(&buf);
    assert_null(buf.bytes);
}

static void formatting_grows_the_buffer(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    buf_printf(&buf, "%s=%05d", "number", 42);
    assert_string_equal(buf.bytes, "number=00042");
    buf_printf(&buf, "%1000s", "x");
    assert_int_equal(buf.size, 1012);
    buf_release(&buf);
}

static void numbers_and_hex(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    buf_u64(&buf, 0);
    buf_char(&buf, ' ');
    buf_u64(&buf, UINT64_MAX);
    buf_char(&buf, ' ');
    buf_hex(&buf, (const uint8_t[]){ 0x00, 0x0f, 0xa0, 0xff }, 4);
    assert_string_equal(buf.bytes, "0 18446744073709551615 000fa0ff");
    buf_release(&buf);
}

static void numbers_of_any_length(void **state) {
    (void)state;
    for (uint64_t power = 1;; power *= 10) {
        for (uint64_t number = power - 1; number <= power + 1; number++) {
            char expected[24];
            struct buf buf = BUF_INIT;
            snprintf(expected, sizeof expected, "%llu", (unsigned long long)number);
            buf_u64(&buf, number);
            assert_string_equal(buf.bytes, expected);
            buf_release(&buf);
        }
        if (power > UINT64_MAX / 10)
            break;
    }
}

static void reserving_gives_room_for_the_nul_too(void **state) {
    (void)state;
    for (size_t more = 0; more < 1200; more++) {
        struct buf buf = BUF_INIT;
        char *room = buf_reserve(&buf, more);
        assert_non_null(room);
        assert_true(buf.capacity > more);
        memset(room, 'x', more + 1); /* the sanitizer judges */
        buf_release(&buf);
    }
}

static void a_failed_buffer_stays_failed_and_harmless(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    buf_string(&buf, "kept");
    assert_null(buf_reserve(&buf, SIZE_MAX - 2));
    assert_false(buf_ok(&buf));

    buf_string(&buf, "ignored");
    json_member_number(&buf, "ignored", 1);
    buf_printf(&buf, "%d", 1);
    assert_null(buf_reserve(&buf, 1));
    assert_false(buf_ok(&buf));
    assert_string_equal(buf.bytes, "kept");

    buf_clear(&buf);
    assert_true(buf_ok(&buf));
    buf_release(&buf);
}

static void detaching_hands_the_bytes_over(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    buf_string(&buf, "mine");
    char *bytes = buf_detach(&buf);
    assert_string_equal(bytes, "mine");
    assert_null(buf.bytes);
    assert_int_equal(buf.size, 0);
    free(bytes);
    assert_null(buf_detach(&buf));
}

static void json_strings_escape_what_must_be_escaped(void **state) {
    (void)state;
    assert_json_string("", 0, "\"\"");
    assert_json_string("plain", 5, "\"plain\"");
    assert_json_string("\"", 1, "\"\\\"\"");
    assert_json_string("a\\b", 3, "\"a\\\\b\"");
    assert_json_string("\b\t\n\f\r", 5, "\"\\b\\t\\n\\f\\r\"");
    assert_json_string("\0\1\x0b\x1f", 4, "\"\\u0000\\u0001\\u000b\\u001f\"");
    assert_json_string("line\nline\n", 10, "\"line\\nline\\n\"");
}

static void json_strings_leave_the_rest_alone(void **state) {
    (void)state;
    assert_json_string("/\x7f", 2, "\"/\x7f\"");
    assert_json_string("\xe2\x80\xa8 \xf0\x9f\x98\x80", 8, "\"\xe2\x80\xa8 \xf0\x9f\x98\x80\"");
}

static void every_byte_below_space_is_escaped(void **state) {
    (void)state;
    for (int byte = 0; byte < 0x20; byte++) {
        struct buf buf = BUF_INIT;
        json_quote(&buf, &(char){ (char)byte }, 1);
        assert_int_equal(buf.bytes[1], '\\');
        for (size_t i = 0; i < buf.size; i++)
            assert_true((uint8_t)buf.bytes[i] >= 0x20);
        buf_release(&buf);
    }
}

/* Among plain bytes, of which eight are looked at together. */
static void escapes_are_found_wherever_they_stand(void **state) {
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 20; at++) {
            bool plain = byte >= ' ' && byte != '"' && byte != '\\';
            char text[20];
            struct buf buf = BUF_INIT;
            memset(text, at % 2 ? '!' : 0xc3, sizeof text);
            text[at] = (char)byte;
            json_quote(&buf, text, sizeof text);
            assert_int_equal(buf.size, json_quoted_size(text, sizeof text));
            assert_memory_equal(buf.bytes + 1, text, at);
            assert_int_equal((uint8_t)buf.bytes[1 + at], plain ? byte : '\\');
            assert_memory_equal(buf.bytes + buf.size - (sizeof text - at), text + at + 1, sizeof text - at - 1);
            buf_release(&buf);
        }
    }
}

static void members_are_separated_by_commas(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    buf_char(&buf, '{');
    json_member_string(&buf, "string", "a\"b");
    json_member_text(&buf, "text", "ab", 1);
    json_member_id(&buf, "id", 9223372036854775807u);
    json_member_number(&buf, "number", 7);
    json_member_bool(&buf, "yes", true);
    json_member_bool(&buf, "no", false);
    json_member_null(&buf, "nothing");
    json_member_time(&buf, "time", 0);
    json_member_hex(&buf, "hex", (const uint8_t[]){ 0xde, 0xad }, 2);
    json_comma(&buf);
    json_key(&buf, "list");
    buf_char(&buf, '[');
    json_comma(&buf);
    buf_char(&buf, '1');
    json_comma(&buf);
    buf_string(&buf, "2]}");
    assert_string_equal(buf.bytes,
                        "{\"string\":\"a\\\"b\",\"text\":\"a\",\"id\":\"9223372036854775807\",\"number\":7,\"yes\":true,\"no\":false,"
                        "\"nothing\":null,\"time\":\"1970-01-01T00:00:00.000Z\",\"hex\":\"dead\",\"list\":[1,2]}");
    buf_release(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appending_keeps_the_bytes_and_a_nul),
        cmocka_unit_test(formatting_grows_the_buffer),
        cmocka_unit_test(numbers_and_hex),
        cmocka_unit_test(numbers_of_any_length),
        cmocka_unit_test(reserving_gives_room_for_the_nul_too),
        cmocka_unit_test(a_failed_buffer_stays_failed_and_harmless),
        cmocka_unit_test(detaching_hands_the_bytes_over),
        cmocka_unit_test(json_strings_escape_what_must_be_escaped),
        cmocka_unit_test(json_strings_leave_the_rest_alone),
        cmocka_unit_test(every_byte_below_space_is_escaped),
        cmocka_unit_test(escapes_are_found_wherever_they_stand),
        cmocka_unit_test(members_are_separated_by_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
