#include "core/content_type.h"
#include "tests/unit/unit.h"

#define SETTING "image/gif:0,image/*:20MiB,text/plain:1B,audio/*:200KiB,*/*:1TiB"

/* 127 bytes: the longest there is. */
#define LONGEST    \
    "application/" \
    "x234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345"

static void types_are_valid(void **state) {
    (void)state;
    static const char *const valid[] = { "image/png",
                                         "IMAGE/PNG",
                                         "a/b",
                                         "application/vnd.oasis.opendocument.text",
                                         "x-!#$%&'+/-.^_`|~",
                                         "text/plain;charset=utf-8",
                                         "text/plain ; charset=\"utf-8\"",
                                         "video/webm;codecs=vp8,opus",
                                         LONGEST };
    for (size_t i = 0; i < COUNT_OF(valid); i++)
        assert_true(content_type_is_valid(valid[i]));
}

static void other_types_are_not_valid(void **state) {
    (void)state;
    static const char *const wrong[] = { "",
                                         "image",
                                         "image/",
                                         "/png",
                                         "image//png",
                                         "image/png/x",
                                         "image/png,text/html",
                                         "image/png x",
                                         " image/png",
                                         "image /png",
                                         "image/*",
                                         "*/*",
                                         "im*ge/png",
                                         "image/png\r\nX: y",
                                         "image/png;a=\"\r\n\"",
                                         "image/png;\t",
                                         "image/p\xc3\xa4",
                                         "image/png;a=\xc3\xa4",
                                         "image/png;\x7f",
                                         "image/\"png\"",
                                         LONGEST "6" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(content_type_is_valid(wrong[i]));
}

static void the_first_rule_that_fits_decides(void **state) {
    (void)state;
    assert_int_equal(content_type_limit(SETTING, "image/gif"), 0);
    assert_int_equal(content_type_limit(SETTING, "image/gif; a=b"), 0);
    assert_int_equal(content_type_limit(SETTING, "Image/GIF"), 0);
    assert_int_equal(content_type_limit(SETTING, "image/png"), 20 << 20);
    assert_int_equal(content_type_limit(SETTING, "image/gif2"), 20 << 20);
    assert_int_equal(content_type_limit(SETTING, "text/plain;charset=utf-8"), 1);
    assert_int_equal(content_type_limit(SETTING, "text/plain2"), INT64_C(1) << 40);
    assert_int_equal(content_type_limit(SETTING, "text/plai"), INT64_C(1) << 40);
    assert_int_equal(content_type_limit(SETTING, "audio/ogg"), 200 << 10);
    assert_int_equal(content_type_limit(SETTING, "audiox/ogg"), INT64_C(1) << 40);
}

static void what_no_rule_fits_is_not_allowed(void **state) {
    (void)state;
    assert_int_equal(content_type_limit("image/png:1MiB", "image/jpeg"), 0);
    assert_int_equal(content_type_limit("image/*:1MiB", "video/mp4"), 0);
    assert_int_equal(content_type_limit("", "video/mp4"), 0);
    assert_int_equal(content_type_limit("*/*:1MiB", ""), 0); /* no type at all */
    assert_int_equal(content_type_limit("*/*:1MiB", "image"), 0);
}

static void settings_are_checked(void **state) {
    (void)state;
    static const char *const valid[] = { SETTING, "*/*:1B", "a/b:0", "a/*:1GiB" };
    static const char *const wrong[] = { "",        ",",       ":",        ":1MiB",   "image/*",          "image/*:",      "image/*:x",
                                         "a/b:1",   "a/b:1MB", "a/b:-1B",  "a/b:1B,", "a/b:1B,,c/d:1B",   "a/b:1B;c/d:1B", " a/b:1B",
                                         "a/b :1B", "a/b: 1B", "a:1B",     "*:1B",    "*/png:1B",         "a/p*:1B",       "a/*x:1B",
                                         "a*/*:1B", "a/**:1B", "a/b/c:1B", "/b:1B",   "a/b:9999999999TiB" };
    for (size_t i = 0; i < COUNT_OF(valid); i++)
        assert_null(content_type_check_setting(valid[i]));
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_non_null(content_type_check_setting(wrong[i]));
}

static void browsers_may_show_what_holds_no_scripts(void **state) {
    (void)state;
    static const char *const shown[] = { "image/png",
                                         "IMAGE/JPEG",
                                         "image/avif;a=b",
                                         "audio/ogg",
                                         "video/mp4; codecs=\"avc1\"",
                                         "text/plain",
                                         "text/plain;charset=utf-8",
                                         "application/pdf",
                                         "Application/PDF; v=1" };
    for (size_t i = 0; i < COUNT_OF(shown); i++)
        assert_true(content_type_is_shown(shown[i]));
}

/* As types of a URL's answer they would run scripts in the storage's origin. */
static void browsers_may_not_show_the_rest(void **state) {
    (void)state;
    static const char *const hidden[] = {
        "text/html",
        "text/html;a=text/plain",
        "application/xhtml+xml",
        "text/xml",
        "application/xml",
        "image/svg+xml",
        "Image/SVG+XML; charset=x",
        "image/svg",
        "image/x+xml",
        "video/x+XML",
        "audio/a+xml;b=c",
        "application/octet-stream",
        "text/javascript",
        "text/plainx",
        "text/plai",
        "application/pdfx",
        "imagex/png",
        "image",
        "multipart/x-mixed-replace",
        "image/png;a=b,text/html",
        "text/plain;,text/html",
        "",
    };
    for (size_t i = 0; i < COUNT_OF(hidden); i++)
        assert_false(content_type_is_shown(hidden[i]));
}

static const char *problem(const char *name) { return file_name_problem(name, strlen(name)); }

static void names_of_files(void **state) {
    (void)state;
    static const char *const fine[] = { "a",
                                        "photo.jpg",
                                        "...",
                                        ".a",
                                        "..a",
                                        "a b",
                                        "it's;100%.txt",
                                        "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80.png",
                                        "\xc2\xa0",                 /* after the C1 controls */
                                        "\xe2\x80\x8d\xe2\x80\xaf", /* a joiner, a narrow space: beside the marks */
                                        "\xd7\x90\xd7\x91.txt" };
    char longest[256];
    for (size_t i = 0; i < COUNT_OF(fine); i++)
        assert_null(problem(fine[i]));
    memset(longest, 'x', sizeof(longest));
    assert_null(file_name_problem(longest, 255));
    assert_non_null(file_name_problem(longest, 256));
}

static void other_names_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        ".",
        "..",
        "/",
        "a/b",
        "../a",
        "a\\b",
        "a\"b",
        "a\nb",
        "a\rb",
        "a\tb",
        "\x7f",
        "\x01",
        "a\xff",
        "a\xc2",
        "\xed\xa0\x80", /* a surrogate */
        "\xc2\x80",
        "a\xc2\x85",
        "\xc2\x9f", /* C1 controls */
        "\xd8\x9c", /* U+061C */
        "\xe2\x80\x8e",
        "a\xe2\x80\x8f",
        "\xe2\x80\xa8",
        "\xe2\x80\xa9",
        "\xe2\x80\xaa",
        "gpj.\xe2\x80\xae.exe",
        "\xe2\x81\xa6",
        "\xe2\x81\xa9",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_non_null(problem(wrong[i]));
    assert_non_null(file_name_problem("a\0b", 3));
}

/* Only its own bytes count, whatever comes after them. */
static void a_name_ends_where_its_size_says(void **state) {
    (void)state;
    char *name = malloc(3); /* exactly: the sanitizer sees a byte too many */
    memcpy(name, "a.b", 3);
    assert_null(file_name_problem(name, 3));
    free(name);
    assert_null(file_name_problem("ab/", 2));
    assert_non_null(file_name_problem("..a", 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_valid),
        cmocka_unit_test(other_types_are_not_valid),
        cmocka_unit_test(the_first_rule_that_fits_decides),
        cmocka_unit_test(what_no_rule_fits_is_not_allowed),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(browsers_may_show_what_holds_no_scripts),
        cmocka_unit_test(browsers_may_not_show_the_rest),
        cmocka_unit_test(names_of_files),
        cmocka_unit_test(other_names_are_refused),
        cmocka_unit_test(a_name_ends_where_its_size_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
