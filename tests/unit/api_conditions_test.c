#include "api/conditions.h"
#include "api/head.h"
#include "tests/unit/unit.h"

#define MODIFIED_S INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */

static const struct version VERSION = { "abc", MODIFIED_S * 1000 + 999, 100 };

static enum portion check(struct headers headers, struct range *ret_range) {
    struct request request = { .method = METHOD_GET, .headers = headers };
    return conditions_check(&request, &VERSION, ret_range);
}

static void all_three_forms_of_dates_are_read(void **state) {
    (void)state;
    static const char *const FORMS[] = { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994" };
    int64_t time_s = 0;
    for (size_t i = 0; i < COUNT_OF(FORMS); i++) {
        assert_true(head_date_parse(FORMS[i], &time_s));
        assert_int_equal(time_s, MODIFIED_S);
    }
    static const char *const NONE[] = { "", "soon", "Sun, 06 Nov 1994 08:49:37 GMT+1", "Sun, 06 Nov 1994", "1994-11-06T08:49:37Z" };
    for (size_t i = 0; i < COUNT_OF(NONE); i++)
        assert_false(head_date_parse(NONE[i], &time_s));
    char text[HTTP_DATE_SIZE];
    head_date_format(MODIFIED_S * 1000, text);
    assert_string_equal(text, FORMS[0]);
}

static void without_conditions_the_whole_is_sent(void **state) {
    (void)state;
    struct range range;
    assert_int_equal(check((struct headers){ NULL }, &range), PORTION_WHOLE);
    assert_int_equal(range.first, 0);
    assert_int_equal(range.size, 100);
}

static void entity_tags_are_compared(void **state) {
    (void)state;
    static const struct {
        const char *list;
        enum portion weakly, strongly;
    } CASES[] = {
        { "\"abc\"", PORTION_NONE, PORTION_WHOLE },     { "*", PORTION_NONE, PORTION_WHOLE },
        { "W/\"abc\"", PORTION_NONE, PORTION_REFUSED }, { "\"x\",\"abc\"", PORTION_NONE, PORTION_WHOLE },
        { "\"ab\"", PORTION_WHOLE, PORTION_REFUSED },   { "\"abcd\"", PORTION_WHOLE, PORTION_REFUSED },
        { "abc", PORTION_WHOLE, PORTION_REFUSED },      { "\"abc", PORTION_WHOLE, PORTION_REFUSED },
        { "", PORTION_WHOLE, PORTION_REFUSED },         { ", ,", PORTION_WHOLE, PORTION_REFUSED },
        { "\"x\" W/", PORTION_WHOLE, PORTION_REFUSED },
    };
    struct range range;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        assert_int_equal(check((struct headers){ .if_none_match = CASES[i].list }, &range), CASES[i].weakly);
        assert_int_equal(check((struct headers){ .if_match = CASES[i].list }, &range), CASES[i].strongly);
    }
}

static void assert_range(const char *header, uint64_t first, uint64_t size) {
    struct range range;
    assert_int_equal(check((struct headers){ .range = header }, &range), PORTION_RANGE);
    assert_int_equal(range.first, first);
    assert_int_equal(range.size, size);
}

static void ranges_are_cut_to_what_there_is(void **state) {
    (void)state;
    assert_range("bytes=0-0", 0, 1);
    assert_range("bytes=99-", 99, 1);
    assert_range("BYTES= 5-9 ", 5, 5);
    assert_range("bytes=50-100", 50, 50);
    assert_range("bytes=50-18446744073709551615", 50, 50);
    assert_range("bytes=-1", 99, 1);
    assert_range("bytes=-100", 0, 100);
    assert_range("bytes=-101", 0, 100);
}

static void what_is_empty_has_no_ranges(void **state) {
    (void)state;
    struct request request = { .method = METHOD_GET, .headers = { .range = "bytes=0-" } };
    const struct version empty = { "abc", 0, 0 };
    struct range range;
    assert_int_equal(conditions_check(&request, &empty, &range), PORTION_UNSATISFIABLE);
    request.headers.range = "bytes=-5";
    assert_int_equal(conditions_check(&request, &empty, &range), PORTION_WHOLE);
    assert_int_equal(range.size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_three_forms_of_dates_are_read), cmocka_unit_test(without_conditions_the_whole_is_sent),
        cmocka_unit_test(entity_tags_are_compared),          cmocka_unit_test(ranges_are_cut_to_what_there_is),
        cmocka_unit_test(what_is_empty_has_no_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
