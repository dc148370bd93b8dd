/* Pages of the log for those who follow it: what a message says there must not be what somebody who had left by then would see. */
#include "db_support.h"
#include "unit.h"

#include <string.h>
#include <unistd.h>

struct page {
    struct feed_page feed;
    uint64_t head_id;
};

static void page_read(struct page *page, const struct fixture *fixture, uint64_t after_id) {
    assert_int_equal(read_begin(fixture->reader, &page->head_id), OK);
    assert_int_equal(read_log(fixture->reader, after_id, &page->feed), OK);
    read_end(fixture->reader);
}

static bool has_text(const struct frame *frame, const char *text) { return memmem(frame->bytes, frame->size, text, strlen(text)) != NULL; }

static void who_left_before_an_edit_does_not_get_it_with_the_message(void **state) {
    struct fixture *fixture = *state;
    struct page page;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob");
    uint64_t chat = make_group(fixture, ann, &bob, 1), before = store_head(fixture->store);
    uint64_t message = post_ok(fixture, ann, chat, "at first");
    assert_int_equal(remove_member(fixture, ann, chat, bob), OK);
    assert_int_equal(edit(fixture, ann, chat, message, "later"), OK);
    page_read(&page, fixture, before);
    assert_int_equal(page.feed.count, 3);
    assert_false(has_text(page.feed.frames[0], "later"));
    assert_true(has_text(page.feed.frames[0], "\"withheld\":true"));
    assert_true(has_text(page.feed.frames[2], "later"));
    feed_page_release(&page.feed);
}

static void when_nobody_left_the_message_comes_as_it_is(void **state) {
    struct fixture *fixture = *state;
    struct page page;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), cid = make_user(fixture, "cid");
    uint64_t members[] = { bob, cid };
    uint64_t chat = make_group(fixture, ann, members, 2);
    assert_int_equal(remove_member(fixture, ann, chat, cid), OK); /* before */
    uint64_t before = store_head(fixture->store), message = post_ok(fixture, ann, chat, "at first");
    assert_int_equal(edit(fixture, ann, chat, message, "later"), OK);
    assert_int_equal(remove_member(fixture, ann, chat, bob), OK); /* afterwards */
    page_read(&page, fixture, before);
    assert_int_equal(page.feed.count, 3);
    assert_true(has_text(page.feed.frames[0], "later"));
    assert_true(has_text(page.feed.frames[1], "later"));
    feed_page_release(&page.feed);
}

int main(void) {
    alarm(300);
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_left_before_an_edit_does_not_get_it_with_the_message),
        TEST(when_nobody_left_the_message_comes_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
