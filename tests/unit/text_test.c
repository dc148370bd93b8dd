#include "core/text.h"
#include "tests/unit/unit.h"

#include "core/limits.h"

struct sample {
    const char *bytes;
    size_t size;
};

#define SAMPLE(literal) \
    { literal, sizeof(literal) - 1 }

/* The first and last characters of each length, and those beside the gaps (RFC 3629 sections 3 and 4). */
static const struct sample well_formed[] = {
    SAMPLE(""),
    SAMPLE("\x01"),
    SAMPLE("\x7f"),
    SAMPLE("\xc2\x80"),
    SAMPLE("\xdf\xbf"),
    SAMPLE("\xe0\xa0\x80"),
    SAMPLE("\xed\x9f\xbf"), /* before the surrogates */
    SAMPLE("\xee\x80\x80"), /* after them */
    SAMPLE("\xef\xbf\xbf"),
    SAMPLE("\xf0\x90\x80\x80"),
    SAMPLE("\xf4\x8f\xbf\xbf"), /* U+10FFFF */
    SAMPLE("\xef\xbb\xbfxyz"),  /* a byte order mark is a character */
    SAMPLE("A\xe2\x89\xa2\xce\x91."),
};

static const struct sample ill_formed[] = {
    SAMPLE("\0"),   /* allowed by the RFC, but not here */
    SAMPLE("\x80"), /* a tail alone */
    SAMPLE("\xbf"),
    SAMPLE("\xc0\x80"),         /* overlong NUL */
    SAMPLE("\xc1\xbf"),         /* overlong */
    SAMPLE("\xe0\x9f\xbf"),     /* overlong */
    SAMPLE("\xf0\x8f\xbf\xbf"), /* overlong */
    SAMPLE("\xed\xa0\x80"),     /* first surrogate */
    SAMPLE("\xed\xbf\xbf"),     /* last surrogate */
    SAMPLE("\xf4\x90\x80\x80"), /* U+110000 */
    SAMPLE("\xf5\x80\x80\x80"),
    SAMPLE("\xf8\x88\x80\x80\x80"),
    SAMPLE("\xfe"),
    SAMPLE("\xff"),
    SAMPLE("\xc2"), /* cut */
    SAMPLE("\xe2\x82"),
    SAMPLE("\xf0\x9f\x98"),
    SAMPLE("\xc2x"), /* no tail */
    SAMPLE("\xe2\x82x"),
    SAMPLE("\xf0\x9f\x98x"),
    SAMPLE("\xe2\x82\xac\x80"), /* a tail too many */
};

static void well_formed_text_is_accepted(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(well_formed); i++)
        assert_true(utf8_valid(well_formed[i].bytes, well_formed[i].size));
}

static void ill_formed_text_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ill_formed); i++)
        assert_false(utf8_valid(ill_formed[i].bytes, ill_formed[i].size));
}

/* The validator reads eight plain bytes at once: each sample at each place among plain ones. */
static void the_place_does_not_matter(void **state) {
    (void)state;
    for (size_t before = 0; before < 20; before++) {
        for (size_t i = 0; i < COUNT_OF(well_formed) + COUNT_OF(ill_formed); i++) {
            bool is_well = i < COUNT_OF(well_formed);
            const struct sample *sample = is_well ? &well_formed[i] : &ill_formed[i - COUNT_OF(well_formed)];
            size_t size = before + sample->size + 9;
            char *text = malloc(size); /* exactly: the sanitizer sees a byte too many */
            memset(text, 'x', size);
            memcpy(text + before, sample->bytes, sample->size);
            assert_int_equal(utf8_valid(text, size), is_well);
            assert_int_equal(utf8_valid(text, before + sample->size), is_well);
            free(text);
        }
    }
}

/* Every code point, encoded by the definition: accepted, and counted as one. */
static void every_code_point(void **state) {
    (void)state;
    for (uint32_t code = 1; code < 0x120000; code++) {
        char text[4];
        size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        static const uint8_t leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
        uint32_t rest = code;
        for (size_t i = size - 1; i > 0; i--, rest >>= 6)
            text[i] = (char)(0x80 | (rest & 0x3f));
        text[0] = (char)(leads[size] | rest);

        bool is_scalar = code < 0x110000 && !(code >= 0xd800 && code <= 0xdfff);
        assert_int_equal(utf8_valid(text, size), is_scalar);
        assert_int_equal(utf8_length(text, size), 1);
    }
}

static void length_counts_characters(void **state) {
    (void)state;
    assert_int_equal(utf8_length("", 0), 0);
    assert_int_equal(utf8_length("abc", 3), 3);
    assert_int_equal(utf8_length("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", 10), 4);
}

static void a_line_has_no_control_characters(void **state) {
    (void)state;
    assert_true(text_is_line("", 0));
    assert_true(text_is_line("a b \xc3\xa4", 6));
    for (int byte = 0; byte < 0x20; byte++)
        assert_false(text_is_line((char[]){ 'a', (char)byte }, 2));
    assert_false(text_is_line("\x7f", 1));
}

struct amount {
    const char *text;
    int64_t bytes;
};

static void amounts_of_bytes(void **state) {
    (void)state;
    static const struct amount amounts[] = {
        { "0", 0 },
        { "00", 0 },
        { "0B", 0 },
        { "0TiB", 0 },
        { "1B", 1 },
        { "007B", 7 },
        { "1KiB", 1024 },
        { "20MiB", 20 << 20 },
        { "5GiB", INT64_C(5) << 30 },
        { "3TiB", INT64_C(3) << 40 },
        { "9223372036854775807B", INT64_MAX },
        { "8388607TiB", INT64_C(8388607) << 40 },
    };
    for (size_t i = 0; i < COUNT_OF(amounts); i++) {
        int64_t bytes = -1;
        assert_true(text_to_bytes(amounts[i].text, strlen(amounts[i].text), &bytes));
        assert_true(bytes == amounts[i].bytes);
    }
}

static void other_amounts_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = { "",           "B",
                                         "1",          "-1B",
                                         "+1B",        " 1B",
                                         "1B ",        "1 B",
                                         "1b",         "1kiB",
                                         "1KB",        "1K",
                                         "1Ki",        "1KiBx",
                                         "1.5MiB",     "0x1B",
                                         "1PiB",       "9223372036854775808B",
                                         "8388608TiB", "99999999999999999999" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        int64_t bytes = -1;
        assert_false(text_to_bytes(wrong[i], strlen(wrong[i]), &bytes));
        assert_true(bytes == -1);
    }
    int64_t bytes;
    assert_true(text_to_bytes("1MiB,2MiB", 4, &bytes)); /* nothing after its size is looked at */
    assert_int_equal(bytes, 1 << 20);
}

static void usernames_are_folded(void **state) {
    (void)state;
    char out[LIMIT_USERNAME_BYTES + 1];
    assert_true(username_fold("Alice_B.c-9", 11, out));
    assert_string_equal(out, "alice_b.c-9");
    assert_true(username_fold("abc", 3, out));
    assert_true(username_fold("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", 32, out));
    assert_string_equal(out, "abcdefghijklmnopqrstuvwxyzabcdef");
}

static void other_usernames_are_refused(void **state) {
    (void)state;
    static const struct sample wrong[] = {
        SAMPLE(""),
        SAMPLE("ab"),
        SAMPLE("a b"),
        SAMPLE("a@b"),
        SAMPLE("a/b"),
        SAMPLE("a\0b"),
        SAMPLE("\xc3\xa4\xc3\xa4"),
        SAMPLE("abcdefghijklmnopqrstuvwxyz0123456"),
    };
    char out[LIMIT_USERNAME_BYTES + 1];
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(username_fold(wrong[i].bytes, wrong[i].size, out));
}

static void emoji_are_short_and_need_no_escaping(void **state) {
    (void)state;
    static const struct sample right[] = {
        SAMPLE("\xf0\x9f\x91\x8d"),
        SAMPLE("1\xef\xb8\x8f\xe2\x83\xa3"),
        SAMPLE("\xe2\x99\xa5"),
        SAMPLE("\xe2\x9d\xa4\xef\xb8\x8f"),
        SAMPLE("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb"),
        SAMPLE(
            "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"),
    };
    static const struct sample wrong[] = {
        SAMPLE(""),
        SAMPLE("1"),
        SAMPLE("a"),
        SAMPLE("\xf0\x9f\x91\x8d "),
        SAMPLE("\xf0\x9f\x91"),
        SAMPLE("\xc2\x85"),
        SAMPLE("\xc2\xa0"),
        SAMPLE("\xe2\x80\x8b"),
        SAMPLE("\xe2\x80\x8d"),
        SAMPLE("\xef\xb8\x8f"),
        SAMPLE("1\xef\xb8\x8f"),
        SAMPLE("\xe2\x99\xa5\xe2\x80\xae"),
        SAMPLE("\xe3\x80\x80"),
        SAMPLE("\xef\xbf\xbf"),
        SAMPLE("\xe2\x99\xa5\""),
        SAMPLE(
            "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
            "1"),
    };
    for (size_t i = 0; i < COUNT_OF(right); i++)
        assert_true(text_is_emoji(right[i].bytes, right[i].size));
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(text_is_emoji(wrong[i].bytes, wrong[i].size));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_text_is_accepted),
        cmocka_unit_test(ill_formed_text_is_refused),
        cmocka_unit_test(the_place_does_not_matter),
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(length_counts_characters),
        cmocka_unit_test(a_line_has_no_control_characters),
        cmocka_unit_test(emoji_are_short_and_need_no_escaping),
        cmocka_unit_test(amounts_of_bytes),
        cmocka_unit_test(other_amounts_are_refused),
        cmocka_unit_test(usernames_are_folded),
        cmocka_unit_test(other_usernames_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
