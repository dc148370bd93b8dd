#include "api/plain.h"

#include <jansson.h>

#include "tests/unit/unit.h"

static struct plain_object object;

static bool read_text(const char *json) { return plain_read(json, strlen(json), &object); }

static void assert_member(size_t index, const char *name, const char *value) {
    const struct plain_member *member = &object.members[index];
    assert_int_equal(member->name.size, strlen(name));
    assert_memory_equal(member->name.bytes, name, member->name.size);
    assert_int_equal(member->value.size, strlen(value));
    assert_memory_equal(member->value.bytes, value, member->value.size);
}

static void objects_of_strings_are_read(void **state) {
    (void)state;
    assert_true(read_text("{\"text\":\"hello\"}"));
    assert_int_equal(object.count, 1);
    assert_member(0, "text", "hello");
    assert_true(read_text(" \t{ \"a\" :\r\n\"\" , \"\" : \"gr\u00fc\u00df dich \U0001f44b\" } \n"));
    assert_int_equal(object.count, 2);
    assert_member(0, "a", "");
    assert_member(1, "", "gr\u00fc\u00df dich \U0001f44b");
    assert_true(read_text("{ }"));
    assert_int_equal(object.count, 0);
}

static void all_else_is_left_to_others(void **state) {
    static const char *const OTHERS[] = {
        "",
        "{",
        "}",
        "[]",
        "\"a\"",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":\"b}",
        "{\"a\":\"b\"",
        "{a:\"b\"}",
        "{,}",
        "{\"a\":1}",
        "{\"a\":null}",
        "{\"a\":[\"b\"]}",
        "{\"a\":{}}",
        "{\"a\":\"b\"}x",
        "{\"a\":\"b\",}",
        "{\"a\" \"b\"}",
        "x{}",
        "\"\"{}",
        "{}{}",
        "{\"a\":'b'}",
        "{\"a\":\"\\n\"}",
        "{\"\\u0061\":\"b\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\x1f\"}",
        "{\"a\":\"\xff\"}",
        "\xef\xbb\xbf{}",
        "{\"a\":\"b\"\"c\":\"d\"}",
        "{\"a\":\"b\",\"a\":\"b\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\xc3\":\"\"}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(OTHERS); i++)
        assert_false(read_text(OTHERS[i]));
    assert_false(plain_read("{\"a\":\"\0\"}", 9, &object));
    assert_false(plain_read("{}\0", 3, &object));
    assert_false(plain_read(NULL, 0, &object));
}

static void there_is_room_for_so_many_members_only(void **state) {
    (void)state;
    assert_true(read_text("{\"1\":\"\",\"2\":\"\",\"3\":\"\",\"4\":\"\",\"5\":\"\",\"6\":\"\",\"7\":\"\",\"8\":\"\"}"));
    assert_int_equal(object.count, PLAIN_MEMBERS_MAX);
    assert_false(read_text("{\"1\":\"\",\"2\":\"\",\"3\":\"\",\"4\":\"\",\"5\":\"\",\"6\":\"\",\"7\":\"\",\"8\":\"\",\"9\":\"\"}"));
}

/* A fixed sequence: a failure repeats. */
static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void assert_as_jansson(const char *json, size_t size) {
    json_t *document = json_loadb(json, size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    assert_int_equal(json_object_size(document), object.count);
    for (size_t i = 0; i < object.count; i++) {
        const struct plain_member *member = &object.members[i];
        const json_t *value = json_object_getn(document, member->name.bytes, member->name.size);
        assert_true(json_is_string(value));
        assert_int_equal(json_string_length(value), member->value.size);
        assert_memory_equal(json_string_value(value), member->value.bytes, member->value.size);
    }
    json_decref(document);
}

static void what_is_read_is_what_jansson_reads(void **state) {
    static const char START[] = "{\"text\": \"a\u00e9\U0001f44b b\", \"client_key\":\"x\"}";
    static const char BYTES[] = "{}[]\",:\\ \n\ta1x\x7f\x80\xc3\xa9\xf0\x9f";
    uint32_t random = 7;
    size_t read = 0;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        char json[sizeof(START)];
        size_t size = sizeof(START) - 1 - (next_random(&random) % 8 == 0 ? next_random(&random) % 8 : 0);
        memcpy(json, START, sizeof(START));
        for (uint32_t changes = 1 + next_random(&random) % 3; changes > 0; changes--)
            json[next_random(&random) % size] = BYTES[next_random(&random) % (sizeof(BYTES) - 1)];
        if (!plain_read(json, size, &object))
            continue;
        read++;
        assert_as_jansson(json, size);
    }
    assert_true(read > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_of_strings_are_read),
        cmocka_unit_test(all_else_is_left_to_others),
        cmocka_unit_test(there_is_room_for_so_many_members_only),
        cmocka_unit_test(what_is_read_is_what_jansson_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
