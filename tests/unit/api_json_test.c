#include "api/json.h"
#include "tests/unit/unit.h"

struct sample_form {
    struct text name;
    struct text note;
    bool flag;
    int color;
    struct id_list ids;
};

static const struct choice COLORS[] = { { "red", 1 }, { "blue", 2 }, { NULL, 0 } };
static const struct field FIELDS[] = {
    { "name", FIELD_LINE, true, 1, 4, offsetof(struct sample_form, name), NULL },
    { "note", FIELD_BYTES, false, 2, 4, offsetof(struct sample_form, note), NULL },
    { "flag", FIELD_BOOL, false, 0, 0, offsetof(struct sample_form, flag), NULL },
    { "color", FIELD_CHOICE, false, 0, 0, offsetof(struct sample_form, color), COLORS },
    { "ids", FIELD_IDS, false, 0, 0, offsetof(struct sample_form, ids), NULL },
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
        cmocka_unit_test(a_whole_form_is_read),        cmocka_unit_test(what_is_absent_is_zero),
        cmocka_unit_test(what_is_not_json_is_refused), cmocka_unit_test(brackets_in_strings_are_not_depth),
        cmocka_unit_test(each_wrong_field_is_named),   cmocka_unit_test(an_unknown_name_is_shown_in_part),
    };
    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
