/* The store as its callers see it: commands in, rows and feeds out. */
#include "db_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/id.h"

static bool shows(const struct frame *frame, const char *text) { return memmem(frame->bytes, frame->size, text, strlen(text)) != NULL; }

static void post_is_numbered_and_fed(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob");
    uint64_t chat = make_group(fixture, ann, &bob, 1);
    uint64_t first = post_ok(fixture, ann, chat, "one"), second = post_ok(fixture, bob, chat, "two");
    assert_int_equal(log_position(second), log_position(first) + 1);
    size_t count = 0;
    struct frame **frames = feed_of(fixture, bob, 0, &count);
    assert_int_equal(count, 3);
    assert_int_equal(frames[0]->type, EVENT_CHAT_CREATED);
    assert_true(shows(frames[1], "\"text\":\"one\"") && shows(frames[1], "\"seq\":1") && shows(frames[1], "\"rev\":2"));
    assert_true(frames[2]->id == second && shows(frames[2], "\"seq\":2") && shows(frames[2], "\"rev\":3"));
    drop_all(frames, count);
}

static void strangers_see_nothing(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann1"), eve = make_user(fixture, "eve1");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    uint64_t id = post_ok(fixture, ann, chat, "secret");
    struct command command;
    struct message message;
    struct chat_of_member seen;
    struct message *messages;
    size_t count = 0;
    bool more;
    assert_int_equal(post(fixture, eve, chat, "hi", 0, &command), ERR_NOT_FOUND);
    command_release(&command);
    assert_int_equal(find_message(fixture, eve, chat, id, &message), ERR_NOT_FOUND);
    assert_int_equal(find_chat(fixture, eve, chat, &seen), ERR_NOT_FOUND);
    struct page_request request = { .chat_id = chat, .direction = PAGE_BEFORE, .limit = 10 };
    assert_int_equal(find_messages(fixture, eve, &request, &messages, &count, &more), ERR_NOT_FOUND);
    struct frame **frames = feed_of(fixture, eve, 0, &count);
    assert_int_equal(count, 0);
    drop_all(frames, count);
}

static void key_answers_the_same_message(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann2");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    struct command first, again, other;
    assert_int_equal(post(fixture, ann, chat, "x", 77, &first), OK);
    assert_int_equal(edit(fixture, ann, chat, first.out.id, "edited"), OK);
    fixture_reopen(fixture);
    assert_int_equal(post(fixture, ann, chat, "x", 77, &again), OK);
    assert_true(again.out.existed && again.out.id == first.out.id && shows(again.out.frame, "\"text\":\"edited\""));
    assert_int_equal(post(fixture, ann, chat, "y", 77, &other), ERR_IDEMPOTENCY_MISMATCH);
    assert_string_equal(other.refusal.field, "Idempotency-Key");
    command_release(&first);
    command_release(&again);
    command_release(&other);
}

/* The leaver still gets what came before, not what was said or changed after. */
static void leaving_ends_the_feed(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann3"), bob = make_user(fixture, "bob3");
    uint64_t chat = make_group(fixture, ann, &bob, 1);
    uint64_t kept = post_ok(fixture, ann, chat, "kept"), changed = post_ok(fixture, ann, chat, "before");
    assert_int_equal(remove_member(fixture, bob, chat, bob), OK);
    post_ok(fixture, ann, chat, "after");
    assert_int_equal(edit(fixture, ann, chat, changed, "changed later"), OK);
    size_t count = 0;
    struct frame **frames = feed_of(fixture, bob, 0, &count);
    assert_int_equal(count, 4);
    assert_true(frames[1]->id == kept && shows(frames[1], "kept"));
    assert_true(frames[2]->id == changed && !shows(frames[2], "changed later") && shows(frames[2], "\"withheld\":true"));
    assert_int_equal(frames[3]->type, EVENT_MEMBER_REMOVED);
    drop_all(frames, count);
    struct message message;
    assert_int_equal(find_message(fixture, bob, chat, changed, &message), OK);
    assert_true(message.withheld);
    assert_int_equal(edit(fixture, bob, chat, kept, "no"), ERR_NOT_FOUND);
}

/* An edit of a message from before a member's stay is announced without its text. */
static void joining_shows_nothing_old(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann4"), bob = make_user(fixture, "bob4");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    uint64_t old = post_ok(fixture, ann, chat, "old");
    assert_int_equal(put_member(fixture, ann, chat, bob, ROLE_NONE), OK);
    assert_int_equal(edit(fixture, ann, chat, old, "old but edited"), OK);
    size_t count = 0;
    struct frame **frames = feed_of(fixture, bob, 0, &count);
    assert_int_equal(count, 2);
    assert_int_equal(frames[0]->type, EVENT_MEMBER_ADDED);
    assert_true(frames[1]->type == EVENT_MESSAGE_EDITED && !shows(frames[1], "old but edited"));
    drop_all(frames, count);
    struct message message;
    assert_int_equal(find_message(fixture, bob, chat, old, &message), ERR_NOT_FOUND);
}

static void last_owner_hands_over(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann5"), users[] = { make_user(fixture, "bob5"), make_user(fixture, "cid5") };
    uint64_t chat = make_group(fixture, ann, users, 2);
    assert_int_equal(put_member(fixture, ann, chat, users[1], ROLE_ADMIN), OK);
    assert_int_equal(put_member(fixture, ann, chat, ann, ROLE_MEMBER), ERR_CONFLICT);
    assert_int_equal(remove_member(fixture, ann, chat, ann), OK);
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, users[1], chat, &seen), OK);
    assert_int_equal(seen.role, ROLE_OWNER);
    assert_int_equal(seen.chat.owner_count, 1);
    assert_int_equal(seen.chat.member_count, 2);
    assert_int_equal(remove_member(fixture, users[1], chat, users[1]), OK);
    assert_int_equal(remove_member(fixture, users[0], chat, users[0]), OK);
    assert_int_equal(find_chat(fixture, users[0], chat, &seen), ERR_NOT_FOUND);
}

static void pages_go_both_ways(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann6"), bob = make_user(fixture, "bob6"), ids[20];
    uint64_t chat = make_group(fixture, ann, &bob, 1);
    for (int i = 0; i < 20; i++) {
        if (i == 8)
            assert_int_equal(remove_member(fixture, ann, chat, bob), OK);
        if (i == 12)
            assert_int_equal(put_member(fixture, ann, chat, bob, ROLE_NONE), OK);
        ids[i] = post_ok(fixture, ann, chat, "m");
    }
    struct message *page;
    size_t count = 0;
    bool more = false;
    struct page_request request = { .chat_id = chat, .direction = PAGE_BEFORE, .limit = 10 };
    assert_int_equal(find_messages(fixture, bob, &request, &page, &count, &more), OK);
    assert_true(count == 10 && more && page[9].id == ids[19] && page[0].id == ids[6] && page[1].id == ids[7] && page[2].id == ids[12]);
    request.cursor = page[0].id;
    assert_int_equal(find_messages(fixture, bob, &request, &page, &count, &more), OK);
    assert_true(count == 6 && !more && page[0].id == ids[0]);
    request = (struct page_request){ .chat_id = chat, .direction = PAGE_AFTER, .cursor = ids[5], .limit = 4 };
    assert_int_equal(find_messages(fixture, bob, &request, &page, &count, &more), OK);
    assert_true(count == 4 && more && page[0].id == ids[6] && page[3].id == ids[13]);
    request = (struct page_request){ .chat_id = chat, .direction = PAGE_AROUND, .cursor = ids[13], .limit = 6 };
    assert_int_equal(find_messages(fixture, bob, &request, &page, &count, &more), OK);
    assert_true(count == 6 && page[0].id == ids[6] && page[3].id == ids[13] && page[5].id == ids[15]);
}

static void tokens_are_judged(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann7");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    uint64_t id = post_ok(fixture, ann, chat, "m");
    enum token_state verdict;
    assert_int_equal(read_token(fixture->reader, id, &verdict), OK);
    assert_int_equal(verdict, TOKEN_GOOD);
    assert_int_equal(read_token(fixture->reader, id ^ 1, &verdict), OK);
    assert_int_equal(verdict, TOKEN_FORK);
    assert_int_equal(read_token(fixture->reader, id + (UINT64_C(1) << 16), &verdict), OK);
    assert_int_equal(verdict, TOKEN_FUTURE);
    assert_int_equal(read_token(fixture->reader, 0, &verdict), OK);
    assert_int_equal(verdict, TOKEN_GOOD);
}

/* With a short retention the text is hidden at once; the sweep cuts the log and old tokens are told so. */
static void retention_hides_and_cuts(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann8");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    uint64_t id = post_ok(fixture, ann, chat, "short lived");
    fixture->config.retention_ms = -1; /* everything is past it */
    fixture_reopen(fixture);           /* readers remember the horizon */
    struct message message;
    assert_int_equal(find_message(fixture, ann, chat, id, &message), ERR_NOT_FOUND);
    size_t count = 0;
    struct frame **frames = feed_of(fixture, ann, 0, &count);
    assert_true(count == 2 && !shows(frames[1], "short lived") && shows(frames[1], "\"deleted\":true"));
    drop_all(frames, count);
    sweep_all(fixture);
    assert_int_equal(store_floor(fixture->store), store_head(fixture->store));
    enum token_state verdict;
    assert_int_equal(read_token(fixture->reader, id - 65536, &verdict), OK);
    assert_int_equal(verdict, TOKEN_EXPIRED);
    fixture->config.retention_ms = CONFIG_FOREVER;
    uint64_t before = store_head(fixture->store);
    fixture_reopen(fixture);
    assert_int_equal(store_head(fixture->store), before);
    assert_int_equal(log_position(post_ok(fixture, ann, chat, "next")), log_position(before) + 1);
}

static void deleted_chat_is_purged(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann9"), bob = make_user(fixture, "bob9");
    uint64_t chat = make_group(fixture, ann, &bob, 1);
    post_ok(fixture, ann, chat, "to be purged");
    struct command command = { .type = COMMAND_CHAT_DELETE, .actor_id = ann, .in.chat_delete = { chat } };
    assert_int_equal(store_run(fixture->store, &command), OK);
    command_release(&command);
    sweep_all(fixture);
    size_t count = 0;
    struct frame **frames = feed_of(fixture, bob, 0, &count);
    assert_int_equal(count, 3);
    assert_false(shows(frames[1], "to be purged"));
    assert_int_equal(frames[2]->type, EVENT_CHAT_DELETED);
    drop_all(frames, count);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(post_is_numbered_and_fed),     cmocka_unit_test(strangers_see_nothing),
        cmocka_unit_test(key_answers_the_same_message), cmocka_unit_test(leaving_ends_the_feed),
        cmocka_unit_test(joining_shows_nothing_old),    cmocka_unit_test(last_owner_hands_over),
        cmocka_unit_test(pages_go_both_ways),           cmocka_unit_test(tokens_are_judged),
        cmocka_unit_test(retention_hides_and_cuts),     cmocka_unit_test(deleted_chat_is_purged),
    };
    return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
