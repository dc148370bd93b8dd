/* Marks in memory: they move forward only, wait their turn, and are kept until nobody can have missed them. */
#include "unit.h"

#include "core/limits.h"
#include "db/marks.h"

#define USER 11
#define CHAT 5

static struct mark read_mark(uint64_t chat_id, uint64_t value) {
    return (struct mark){ .kind = MARK_READ, .chat_id = chat_id, .owner_id = USER, .value = value };
}

static bool move(struct marks *marks, struct mark mark, int64_t now_ms) {
    bool first = false;
    assert_int_equal(marks_move(marks, &mark, now_ms, &first), OK);
    return first;
}

static uint64_t value_of(struct marks *marks, uint64_t chat_id) { return marks_value(marks, MARK_READ, chat_id, USER); }

static void a_mark_moves_forward_only(void **state) {
    (void)state;
    struct marks marks;
    marks_init(&marks);
    assert_int_equal(value_of(&marks, CHAT), 0);
    assert_true(move(&marks, read_mark(CHAT, 7), 0));
    assert_false(move(&marks, read_mark(CHAT, 3), 10));
    assert_int_equal(value_of(&marks, CHAT), 7);
    assert_false(move(&marks, read_mark(CHAT, 9), 20));
    assert_int_equal(value_of(&marks, CHAT), 9);
    marks_release(&marks);
}

static void kinds_and_owners_are_apart(void **state) {
    (void)state;
    struct marks marks;
    marks_init(&marks);
    move(&marks, read_mark(CHAT, 7), 0);
    move(&marks, (struct mark){ .kind = MARK_DELIVERED, .owner_id = USER, .value = 70 }, 0);
    move(&marks, (struct mark){ .kind = MARK_ACKED, .owner_id = USER, .value = 700 }, 0);
    assert_int_equal(value_of(&marks, CHAT), 7);
    assert_int_equal(marks_value(&marks, MARK_DELIVERED, 0, USER), 70);
    assert_int_equal(marks_value(&marks, MARK_ACKED, 0, USER), 700);
    assert_int_equal(marks_value(&marks, MARK_READ, CHAT + 1, USER), 0);
    assert_int_equal(marks_value(&marks, MARK_READ, CHAT, USER + 1), 0);
    marks_release(&marks);
}

static void one_is_written_at_most_once_in_a_pause(void **state) {
    (void)state;
    struct marks marks;
    struct mark taken[4];
    marks_init(&marks);
    move(&marks, read_mark(CHAT, 1), 100);
    assert_int_equal(marks_due_ms(&marks), 100 + MARKS_PAUSE_MS);
    assert_int_equal(marks_take(&marks, 99 + MARKS_PAUSE_MS, taken, 4), 0);
    move(&marks, read_mark(CHAT, 2), 900);
    assert_int_equal(marks_take(&marks, 100 + MARKS_PAUSE_MS, taken, 4), 1);
    assert_int_equal(taken[0].value, 2);
    assert_int_equal(marks_due_ms(&marks), INT64_MAX);
    assert_true(move(&marks, read_mark(CHAT, 3), 1150)); /* while it is being written */
    marks_written(&marks, taken, 1, true, 1200);
    assert_int_equal(taken[0].previous, 0);
    assert_int_equal(marks_take(&marks, 1149 + MARKS_PAUSE_MS, taken, 4), 0);
    assert_int_equal(marks_take(&marks, 1150 + MARKS_PAUSE_MS, taken, 4), 1);
    marks_written(&marks, taken, 1, true, 2200);
    assert_int_equal(taken[0].value, 3);
    assert_int_equal(taken[0].previous, 2);
    marks_release(&marks);
}

static void what_was_not_stored_waits_again(void **state) {
    (void)state;
    struct marks marks;
    struct mark taken[4];
    marks_init(&marks);
    move(&marks, read_mark(CHAT, 4), 0);
    assert_int_equal(marks_take(&marks, INT64_MAX, taken, 4), 1);
    marks_written(&marks, taken, 1, false, 50);
    assert_int_equal(marks_due_ms(&marks), 50 + MARKS_PAUSE_MS);
    assert_int_equal(value_of(&marks, CHAT), 4);
    marks_release(&marks);
}

static void what_was_stored_is_kept_for_a_while(void **state) {
    (void)state;
    struct marks marks;
    struct mark taken[4];
    marks_init(&marks);
    move(&marks, read_mark(CHAT, 4), 0);
    assert_int_equal(marks_take(&marks, INT64_MAX, taken, 4), 1);
    marks_written(&marks, taken, 1, true, 1000);
    marks_written(&marks, NULL, 0, true, 999 + MARKS_KEPT_MS);
    assert_int_equal(value_of(&marks, CHAT), 4);
    marks_written(&marks, NULL, 0, true, 1000 + MARKS_KEPT_MS);
    assert_int_equal(value_of(&marks, CHAT), 0);
    assert_int_equal(marks.count, 0);
    marks_release(&marks);
}

static void oldest_go_first_and_no_more_than_asked_for(void **state) {
    (void)state;
    struct marks marks;
    struct mark taken[2];
    marks_init(&marks);
    for (uint64_t chat_id = 1; chat_id <= 3; chat_id++)
        move(&marks, read_mark(chat_id, chat_id * 10), (int64_t)chat_id);
    move(&marks, read_mark(1, 11), 9); /* keeps its place */
    assert_int_equal(marks_take(&marks, INT64_MAX, taken, 2), 2);
    assert_int_equal(taken[0].value, 11);
    assert_int_equal(taken[1].value, 20);
    marks_written(&marks, taken, 2, true, 10);
    assert_int_equal(marks_take(&marks, INT64_MAX, taken, 2), 1);
    assert_int_equal(taken[0].chat_id, 3);
    marks_release(&marks);
}

static void too_many_that_wait_are_refused_but_kept_ones_make_room(void **state) {
    (void)state;
    static struct mark taken[LIMIT_MARKS];
    struct marks marks;
    bool first;
    marks_init(&marks);
    for (uint64_t chat_id = 1; chat_id <= LIMIT_MARKS; chat_id++)
        move(&marks, read_mark(chat_id, 1), 0);
    struct mark one_more = read_mark(LIMIT_MARKS + 1, 1);
    assert_int_equal(marks_move(&marks, &one_more, 0, &first), ERR_OVERLOADED);
    assert_int_equal(marks_value(&marks, MARK_READ, one_more.chat_id, USER), 0);
    move(&marks, read_mark(7, 2), 0);
    size_t count = marks_take(&marks, INT64_MAX, taken, LIMIT_MARKS);
    assert_int_equal(count, LIMIT_MARKS);
    marks_written(&marks, taken, count, true, 1);
    assert_int_equal(marks_move(&marks, &one_more, 2, &first), OK);
    assert_true(first);
    assert_int_equal(marks.count, LIMIT_MARKS);
    marks_release(&marks);
}

static void others_are_told_unless_every_move_was_silent(void **state) {
    (void)state;
    struct marks marks;
    struct mark taken[4], silent = read_mark(CHAT, 2);
    silent.silent = true;
    marks_init(&marks);
    move(&marks, read_mark(CHAT, 1), 0);
    move(&marks, silent, 0);
    assert_int_equal(marks_take(&marks, INT64_MAX, taken, 4), 1);
    assert_false(taken[0].silent);
    marks_written(&marks, taken, 1, true, 0);
    silent.value = 3;
    move(&marks, silent, 0);
    assert_int_equal(marks_take(&marks, INT64_MAX, taken, 4), 1);
    assert_true(taken[0].silent);
    marks_release(&marks);
}

static void clearing_forgets_what_is_being_written(void **state) {
    (void)state;
    struct marks marks;
    struct mark taken[4];
    marks_init(&marks);
    move(&marks, read_mark(CHAT, 4), 0);
    move(&marks, read_mark(CHAT + 1, 4), 0);
    assert_int_equal(marks_take(&marks, INT64_MAX, taken, 1), 1);
    marks_clear(&marks);
    marks_written(&marks, taken, 1, false, 0);
    assert_int_equal(marks_due_ms(&marks), INT64_MAX);
    assert_int_equal(value_of(&marks, CHAT), 0);
    marks_release(&marks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_moves_forward_only),
        cmocka_unit_test(kinds_and_owners_are_apart),
        cmocka_unit_test(one_is_written_at_most_once_in_a_pause),
        cmocka_unit_test(what_was_not_stored_waits_again),
        cmocka_unit_test(what_was_stored_is_kept_for_a_while),
        cmocka_unit_test(oldest_go_first_and_no_more_than_asked_for),
        cmocka_unit_test(too_many_that_wait_are_refused_but_kept_ones_make_room),
        cmocka_unit_test(others_are_told_unless_every_move_was_silent),
        cmocka_unit_test(clearing_forgets_what_is_being_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
