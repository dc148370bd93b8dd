#include "api/json.h"
#include "tests/unit/unit.h"

struct sample_form {
    struct text name;
    struct text note;
    bool flag;
    int color;
    struct id_list ids;
    struct flag maybe;
    struct integer number;
    const uint8_t *hex;
    uint64_t id;
    struct part_list parts;
    struct optional_id maybe_id;
    struct who_may may;
};

static const struct choice COLORS[] = { { "red", 1 }, { "blue", 2 }, { NULL, 0 } };
static const struct choice DEEDS[] = { { "read", 1 }, { "write", 4 }, { NULL, 0 } };
static const struct field FIELDS[] = {
    { "name", FIELD_LINE, true, 1, 4, offsetof(struct sample_form, name), NULL },
    { "note", FIELD_BYTES, false, 2, 4, offsetof(struct sample_form, note), NULL },
    { "flag", FIELD_BOOL, false, 0, 0, offsetof(struct sample_form, flag), NULL },
    { "color", FIELD_CHOICE, false, 0, 0, offsetof(struct sample_form, color), COLORS },
    { "ids", FIELD_IDS, false, 1, 2, offsetof(struct sample_form, ids), NULL },
    { "maybe", FIELD_FLAG, false, 0, 0, offsetof(struct sample_form, maybe), NULL },
    { "number", FIELD_INTEGER, false, -1, INT64_C(5) << 40, offsetof(struct sample_form, number), NULL },
    { "hex", FIELD_HEX, false, 2, 2, offsetof(struct sample_form, hex), NULL },
    { "id", FIELD_ID, false, 0, 0, offsetof(struct sample_form, id), NULL },
    { "parts", FIELD_PARTS, false, 1, 2, offsetof(struct sample_form, parts), NULL },
    { "maybe_id", FIELD_ID_OR_NULL, false, 0, 0, offsetof(struct sample_form, maybe_id), NULL },
    { "may", FIELD_WHO_MAY, false, 0, 0, offsetof(struct sample_form, may), DEEDS },
};
static const struct form FORM_OF_SAMPLE = FORM(sample_form, FIELDS);

static struct request request;

static enum err read_bytes(const void *bytes, size_t size) {
    memset(&request, 0, sizeof(request));
    arena_init(&request.arena, 1024 * 1024);
    buf_append(&request.body, bytes, size);
    return form_read(&request, &FORM_OF_SAMPLE);
}

static void release(void) {
    form_release(&request);
    buf_release(&request.body);
    arena_release(&request.arena);
}

static void assert_refused(const char *json, enum err err, const char *field) {
    assert_int_equal(read_bytes(json, strlen(json)), err);
    if (field == NULL)
        assert_null(request.refusal.field);
    else
        assert_string_equal(request.refusal.field, field);
    assert_non_null(request.refusal.detail);
    release();
}

static void a_whole_form_is_read(void **state) {
    (void)state;
    const char *json =
        "{\"name\":\"\\u00e9\\ud83d\\ude00\",\"note\":\"ab\",\"flag\":true,\"color\":\"blue\",\"ids\":[\"1\",\"9223372036854775807\"]}";
    assert_int_equal(read_bytes(json, strlen(json)), OK);
    const struct sample_form *form = request.form;
    assert_string_equal(form->name.bytes, "\xc3\xa9\xf0\x9f\x98\x80");
    assert_int_equal(form->name.size, 6);
    assert_string_equal(form->note.bytes, "ab");
    assert_true(form->flag);
    assert_int_equal(form->color, 2);
    assert_int_equal(form->ids.count, 2);
    assert_int_equal(form->ids.ids[1], INT64_MAX);
    release();
}

static void what_is_absent_is_zero(void **state) {
    (void)state;
    assert_int_equal(read_bytes("{\"name\":\"a\"}", 12), OK);
    const struct sample_form *form = request.form;
    assert_null(form->note.bytes);
    assert_false(form->flag);
    assert_int_equal(form->color, 0);
    assert_null(form->ids.ids);
    assert_false(form->maybe.given);
    assert_false(form->number.given);
    assert_int_equal(form->number.value, 0);
    assert_null(form->hex);
    assert_int_equal(form->id, 0);
    assert_null(form->parts.parts);
    assert_false(form->maybe_id.given);
    assert_int_equal(form->may.given, 0);
    release();
}

static void numbers_digits_and_parts_are_read(void **state) {
    (void)state;
    const char *json = "{\"name\":\"a\",\"maybe\":false,\"number\":5497558138880,\"hex\":\"aF01\",\"id\":\"7\","
                       "\"parts\":[{\"number\":10000,\"md5\":\"000102030405060708090a0b0c0d0e0f\"}]}";
    assert_int_equal(read_bytes(json, strlen(json)), OK);
    const struct sample_form *form = request.form;
    assert_true(form->maybe.given);
    assert_false(form->maybe.value);
    assert_true(form->number.given);
    assert_int_equal(form->number.value, INT64_C(5) << 40);
    assert_memory_equal(form->hex, "\xaf\x01", 2);
    assert_int_equal(form->id, 7);
    assert_int_equal(form->parts.count, 1);
    assert_int_equal(form->parts.parts[0].number, 10000);
    assert_int_equal(form->parts.parts[0].md5[15], 0x0f);
    release();
}

static void who_may_and_nothing_are_read(void **state) {
    (void)state;
    const char *json = "{\"name\":\"a\",\"maybe_id\":null,\"may\":{\"write\":\"admins\",\"read\":\"members\"}}";
    assert_int_equal(read_bytes(json, strlen(json)), OK);
    const struct sample_form *form = request.form;
    assert_true(form->maybe_id.given && form->maybe_id.id == 0);
    assert_true(form->may.given == 5 && form->may.members == 1);
    release();
    json = "{\"name\":\"a\",\"maybe_id\":\"7\",\"may\":{}}";
    assert_int_equal(read_bytes(json, strlen(json)), OK);
    form = request.form;
    assert_true(form->maybe_id.given && form->maybe_id.id == 7);
    assert_true(form->may.given == 0 && form->may.members == 0);
    release();
}

static void what_is_not_json_is_refused(void **state) {
    (void)state;
    static const char *const BAD[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"name\":\"a\"} x",
        "{\"name\":\"a\",\"name\":\"b\"}",
        "{\"name\":\"a\\u0000\"}",
        "{\"name\":\"\\ud800\"}",
        "{\"name\":\"\\udc00\\ud800\"}",
        "{\"name\":\"\xff\"}",
        "{\"name\":\"\xed\xa0\x80\"}",
        "{\"name\":1e999}",
        "{\"name\":99999999999999999999}",
        "{'name':1}",
        "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]",
    };
    for (size_t i = 0; i < COUNT_OF(BAD); i++)
        assert_refused(BAD[i], ERR_BAD_JSON, NULL);
    assert_int_equal(read_bytes("{\"name\":\"a\0b\"}", 14), ERR_BAD_JSON);
    release();
}

static void brackets_in_strings_are_not_depth(void **state) {
    (void)state;
    const char *json = "{\"name\":\"a\",\"zzz\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[\"}";
    assert_refused(json, ERR_UNKNOWN_FIELD, "zzz");
}

static void each_wrong_field_is_named(void **state) {
    (void)state;
    assert_refused("{}", ERR_MISSING_FIELD, "name");
    assert_refused("{\"name\":\"a\",\"nam\":1}", ERR_UNKNOWN_FIELD, "nam");
    assert_refused("{\"name\":null}", ERR_BAD_FIELD, "name");
    assert_refused("{\"name\":1}", ERR_BAD_FIELD, "name");
    assert_refused("{\"name\":\"\"}", ERR_BAD_FIELD, "name");
    assert_refused("{\"name\":\"\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\"}", ERR_BAD_FIELD, "name");
    assert_refused("{\"name\":\"a\\n\"}", ERR_BAD_FIELD, "name");
    assert_refused("{\"name\":\"a\",\"note\":\"\\u00e9\\u00e9\\u00e9\"}", ERR_BAD_FIELD, "note");
    assert_refused("{\"name\":\"a\",\"note\":\"x\"}", ERR_BAD_FIELD, "note");
    assert_refused("{\"name\":\"a\",\"flag\":1}", ERR_BAD_FIELD, "flag");
    assert_refused("{\"name\":\"a\",\"color\":\"green\"}", ERR_BAD_FIELD, "color");
    assert_refused("{\"name\":\"a\",\"color\":2}", ERR_BAD_FIELD, "color");
    assert_refused("{\"name\":\"a\",\"ids\":\"1\"}", ERR_BAD_FIELD, "ids");
    assert_refused("{\"name\":\"a\",\"ids\":[1]}", ERR_BAD_FIELD, "ids");
    assert_refused("{\"name\":\"a\",\"ids\":[\"01\"]}", ERR_BAD_FIELD, "ids");
    assert_refused("{\"name\":\"a\",\"ids\":[]}", ERR_BAD_FIELD, "ids");
    assert_refused("{\"name\":\"a\",\"ids\":[\"1\",\"2\",\"3\"]}", ERR_BAD_FIELD, "ids");
    assert_refused("{\"name\":\"a\",\"maybe\":null}", ERR_BAD_FIELD, "maybe");
    assert_refused("{\"name\":\"a\",\"id\":7}", ERR_BAD_FIELD, "id");
    assert_refused("{\"name\":\"a\",\"id\":\"0\"}", ERR_BAD_FIELD, "id");
    assert_refused("{\"name\":\"a\",\"maybe_id\":\"0\"}", ERR_BAD_FIELD, "maybe_id");
    assert_refused("{\"name\":\"a\",\"maybe_id\":7}", ERR_BAD_FIELD, "maybe_id");
    assert_refused("{\"name\":\"a\",\"may\":null}", ERR_BAD_FIELD, "may");
    assert_refused("{\"name\":\"a\",\"may\":{\"read\":\"all\"}}", ERR_BAD_FIELD, "may");
    assert_refused("{\"name\":\"a\",\"may\":{\"read\":1}}", ERR_BAD_FIELD, "may");
    assert_refused("{\"name\":\"a\",\"may\":{\"run\":\"members\"}}", ERR_BAD_FIELD, "may");
}

static void wrong_numbers_and_digits_are_named(void **state) {
    (void)state;
    static const char *const NUMBERS[] = { "-2", "5497558138881", "1.0", "1e3", "\"1\"", "true", "null" };
    static const char *const DIGITS[] = { "\"\"", "\"aF0\"", "\"aF01a\"", "\"aF01aF\"", "\"aFg1\"", "\" aF1\"", "12", "null" };
    char json[100];
    for (size_t i = 0; i < COUNT_OF(NUMBERS); i++) {
        snprintf(json, sizeof(json), "{\"name\":\"a\",\"number\":%s}", NUMBERS[i]);
        assert_refused(json, ERR_BAD_FIELD, "number");
    }
    for (size_t i = 0; i < COUNT_OF(DIGITS); i++) {
        snprintf(json, sizeof(json), "{\"name\":\"a\",\"hex\":%s}", DIGITS[i]);
        assert_refused(json, ERR_BAD_FIELD, "hex");
    }
}

static void wrong_parts_are_named(void **state) {
    (void)state;
#define MD5_TEXT "\"md5\":\"000102030405060708090a0b0c0d0e0f\""
    static const char *const PARTS[] = {
        "{}",
        "[]",
        "[1]",
        "[{}]",
        "[{\"number\":1}]",
        "[{" MD5_TEXT "}]",
        "[{\"number\":0," MD5_TEXT "}]",
        "[{\"number\":-1," MD5_TEXT "}]",
        "[{\"number\":10001," MD5_TEXT "}]",
        "[{\"number\":4294967297," MD5_TEXT "}]",
        "[{\"number\":\"1\"," MD5_TEXT "}]",
        "[{\"number\":1,\"md5\":\"00\"}]",
        "[{\"number\":1,\"md5\":null}]",
        "[{\"number\":1," MD5_TEXT ",\"more\":1}]",
        "[{\"number\":1," MD5_TEXT "},{\"number\":1," MD5_TEXT "}]",
        "[{\"number\":1," MD5_TEXT "},{\"number\":2," MD5_TEXT "},{\"number\":3," MD5_TEXT "}]",
    };
    char json[400];
    for (size_t i = 0; i < COUNT_OF(PARTS); i++) {
        snprintf(json, sizeof(json), "{\"name\":\"a\",\"parts\":%s}", PARTS[i]);
        assert_refused(json, ERR_BAD_FIELD, "parts");
    }
}

static void an_unknown_name_is_shown_in_part(void **state) {
    (void)state;
    char json[400] = "{\"name\":\"a\",\"";
    memset(json + strlen(json), 'x', 300);
    strcat(json, "\":1}");
    assert_int_equal(read_bytes(json, strlen(json)), ERR_UNKNOWN_FIELD);
    assert_int_equal(strlen(request.refusal.field), 64);
    release();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_form_is_read),
        cmocka_unit_test(what_is_absent_is_zero),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(brackets_in_strings_are_not_depth),
        cmocka_unit_test(each_wrong_field_is_named),
        cmocka_unit_test(an_unknown_name_is_shown_in_part),
        cmocka_unit_test(numbers_digits_and_parts_are_read),
        cmocka_unit_test(wrong_numbers_and_digits_are_named),
        cmocka_unit_test(wrong_parts_are_named),
        cmocka_unit_test(who_may_and_nothing_are_read),
    };
    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
