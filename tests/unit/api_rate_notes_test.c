#include "api/rate_notes.h"
#include "tests/unit/unit.h"

static const struct rate_rule RULE = { 0.01, 40 };

static struct rate_notes *fresh(void) {
    struct rate_notes *notes = calloc(1, sizeof(*notes));
    assert_non_null(notes);
    return notes;
}

static void what_is_noted_of_one_bucket_adds_up(void **state) {
    (void)state;
    struct rate_notes *notes = fresh();
    assert_int_equal(rate_notes_taken(notes, 7), 0);
    assert_true(rate_notes_add(notes, 7, &RULE, 1));
    assert_true(rate_notes_add(notes, 9, &RULE, 1));
    assert_true(rate_notes_add(notes, 7, &RULE, 3));
    assert_int_equal(notes->count, 2);
    assert_int_equal(notes->items[0].key, 7);
    assert_int_equal(notes->items[0].taken, 4);
    assert_int_equal(rate_notes_taken(notes, 7), 4);
    assert_int_equal(rate_notes_taken(notes, 9), 1);
    free(notes);
}

/* Keys that begin at the same place, which is the last one. */
static void keys_that_collide_are_told_apart(void **state) {
    (void)state;
    struct rate_notes *notes = fresh();
    for (uint64_t i = 0; i < 100; i++)
        assert_true(rate_notes_add(notes, i << 32 | (2 * (2 * LIMIT_RATE_NOTES) - 1), &RULE, (uint32_t)i + 1));
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(rate_notes_taken(notes, i << 32 | (2 * (2 * LIMIT_RATE_NOTES) - 1)), i + 1);
    assert_int_equal(rate_notes_taken(notes, 1), 0);
    free(notes);
}

static void what_has_no_room_is_left_out_and_the_rest_still_adds_up(void **state) {
    (void)state;
    struct rate_notes *notes = fresh();
    for (uint64_t i = 0; i < LIMIT_RATE_NOTES; i++)
        assert_true(rate_notes_add(notes, i * 31 | 1, &RULE, 1));
    size_t count = notes->count;
    while (notes->count < LIMIT_RATE_NOTES)
        assert_true(rate_notes_add(notes, ++count << 40 | 1, &RULE, 1));
    assert_false(rate_notes_add(notes, UINT64_MAX, &RULE, 1));
    assert_true(rate_notes_add(notes, 31 | 1, &RULE, 1));
    assert_int_equal(notes->count, LIMIT_RATE_NOTES);
    assert_int_equal(rate_notes_taken(notes, UINT64_MAX), 0);
    free(notes);
}

static void cleared_notes_are_empty(void **state) {
    (void)state;
    struct rate_notes *notes = fresh();
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(rate_notes_add(notes, i << 20 | 1, &RULE, 1));
    rate_notes_clear(notes);
    assert_int_equal(notes->count, 0);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(rate_notes_taken(notes, i << 20 | 1), 0);
    free(notes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_noted_of_one_bucket_adds_up),
        cmocka_unit_test(keys_that_collide_are_told_apart),
        cmocka_unit_test(what_has_no_room_is_left_out_and_the_rest_still_adds_up),
        cmocka_unit_test(cleared_notes_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
