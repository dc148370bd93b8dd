#include "unit.h"

#include "core/limits.h"
#include "db/early.h"

static struct frame *frame_of(uint64_t id, const char *body, size_t body_size) {
    struct frame *frame =
        frame_new(&(struct event){ .id = id, .owner_id = 7, .type = EVENT_CHAT_UPDATED, .body = body, .body_size = body_size });
    assert_non_null(frame);
    return frame;
}

/* A commit of one event; its frame is the list's alone afterwards. */
static void keep(struct early_list *list, uint64_t previous_id, uint64_t id) {
    struct frame *frame = frame_of(id, NULL, 0);
    assert_true(early_keep(list, &(struct early){ .previous_id = previous_id, .last_id = id, .count = 1 }, &frame));
    assert_int_equal(frame->references, 2);
    frame_drop(frame);
}

static void keep_told(struct early_list *list, uint64_t previous_id, uint64_t id) {
    assert_true(early_keep(list, &(struct early){ .previous_id = previous_id, .last_id = id, .is_own = true }, NULL));
}

static void expect_next(struct early_list *list, uint64_t known_id, uint64_t id) {
    struct early *early = early_next(list, known_id);
    assert_non_null(early);
    assert_int_equal(early->previous_id, known_id);
    assert_int_equal(early->last_id, id);
    early_free(early);
}

static void each_comes_in_its_turn(void **state) {
    (void)state;
    struct early_list list = { 0 };
    keep(&list, 30, 40);
    keep(&list, 10, 20);
    keep_told(&list, 20, 30);
    assert_null(early_next(&list, 5));
    expect_next(&list, 10, 20);
    expect_next(&list, 20, 30);
    expect_next(&list, 30, 40);
    assert_null(list.first);
    assert_int_equal(list.bytes, 0);
}

static void what_is_known_is_forgotten(void **state) {
    (void)state;
    struct early_list list = { 0 };
    keep(&list, 10, 20);
    keep(&list, 20, 30);
    keep(&list, 10, 20); /* heard twice */
    keep(&list, 40, 50);
    assert_null(early_next(&list, 35));
    assert_int_equal(list.first->last_id, 50);
    assert_null(list.first->next);
    early_clear(&list);
    assert_int_equal(list.bytes, 0);
}

static void what_the_listeners_heard_is_known_by_its_end(void **state) {
    (void)state;
    struct early_list list = { 0 };
    assert_int_equal(early_told(&list), 0);
    keep(&list, 50, 60);
    keep_told(&list, 20, 30);
    keep_told(&list, 30, 40);
    assert_int_equal(early_told(&list), 40);
    early_clear(&list);
}

static void there_is_room_for_so_much(void **state) {
    (void)state;
    static char body[64 * 1024];
    struct early_list list = { 0 };
    memset(body, 'x', sizeof body);
    struct frame *frame = frame_of(20, body, sizeof body);
    const struct early what = { .previous_id = 10, .last_id = 20, .count = 1 };
    size_t kept = 0;
    while (early_keep(&list, &what, &frame))
        kept++;
    assert_in_range(kept, LIMIT_BUS_QUEUE_BYTES / sizeof body - 8, LIMIT_BUS_QUEUE_BYTES / sizeof body);
    assert_true(list.bytes <= LIMIT_BUS_QUEUE_BYTES);
    assert_int_equal(frame->references, kept + 1);
    early_clear(&list);
    assert_int_equal(frame->references, 1);
    frame_drop(frame);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_comes_in_its_turn),
        cmocka_unit_test(what_is_known_is_forgotten),
        cmocka_unit_test(what_the_listeners_heard_is_known_by_its_end),
        cmocka_unit_test(there_is_room_for_so_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
