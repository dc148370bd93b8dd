/* Blocks and contacts: where commands meet in one batch, how many there may be, and what whoever follows the log gets of hidden messages. */
#include "db_support.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

static enum err run(struct fixture *fixture, struct command command) {
    enum err err = store_run(fixture->store, &command);
    command_release(&command);
    return err;
}

static struct command block_command(uint64_t actor_id, uint64_t user_id) {
    return (struct command){ .type = COMMAND_BLOCK_PUT, .actor_id = actor_id, .in.block_put = { .user_id = user_id } };
}

static struct command unblock_command(uint64_t actor_id, uint64_t user_id) {
    return (struct command){ .type = COMMAND_BLOCK_REMOVE, .actor_id = actor_id, .in.block_remove = { .user_id = user_id } };
}

static struct command direct_command(uint64_t actor_id, const uint64_t *user_id) {
    return (struct command){ .type = COMMAND_CHAT_CREATE,
                             .actor_id = actor_id,
                             .in.chat_create = { .type = CHAT_DIRECT, .member_ids = user_id, .member_count = 1 } };
}

static struct command post_command(uint64_t actor_id, uint64_t chat_id) {
    return (struct command){ .type = COMMAND_MESSAGE_POST,
                             .actor_id = actor_id,
                             .in.message_post = { .chat_id = chat_id, .text = "words", .text_size = 5 } };
}

static uint64_t make_direct(struct fixture *fixture, uint64_t actor_id, uint64_t user_id) {
    struct command command = direct_command(actor_id, &user_id);
    assert_int_equal(store_run(fixture->store, &command), OK);
    command_release(&command);
    return command.out.id;
}

static void run_at_once(struct fixture *fixture, struct command *commands, size_t count) {
    struct volley volley;
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    volley_wait(&volley);
}

static void release_all(struct command *commands, size_t count) {
    for (size_t i = 0; i < count; i++)
        command_release(&commands[i]);
}

static bool is_hidden(struct fixture *fixture, uint64_t reader_id, uint64_t chat_id, uint64_t message_id) {
    struct message message;
    assert_int_equal(find_message(fixture, reader_id, chat_id, message_id, &message), OK);
    assert_true(message.hidden == (message.text == NULL));
    return message.hidden;
}

static void a_block_holds_for_what_follows_it_in_the_batch(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann1"), bob = make_user(fixture, "bob1"), chat = make_direct(fixture, ann, bob);
    struct command commands[] = {
        post_command(ann, chat), block_command(bob, ann),   post_command(ann, chat), post_command(bob, chat), block_command(ann, bob),
        post_command(bob, chat), unblock_command(bob, ann), post_command(ann, chat), block_command(bob, ann), post_command(ann, chat),
    };
    static const bool hidden[] = { false, false, true, false, false, true, false, false, false, true };
    run_at_once(fixture, commands, COUNT_OF(commands));
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        assert_int_equal(commands[i].refusal.err, OK);
        if (commands[i].type != COMMAND_MESSAGE_POST)
            continue;
        uint64_t sender = commands[i].actor_id;
        assert_false(is_hidden(fixture, sender, chat, commands[i].out.id));
        assert_int_equal(is_hidden(fixture, sender == ann ? bob : ann, chat, commands[i].out.id), hidden[i]);
    }
    release_all(commands, COUNT_OF(commands));
}

static void a_chat_that_begins_with_the_block_or_beside_it_knows_of_it(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann2"), bob = make_user(fixture, "bob2"), cid = make_user(fixture, "cid2");
    struct command commands[] = { direct_command(ann, &bob), block_command(bob, ann), block_command(bob, cid), direct_command(cid, &bob),
                                  direct_command(bob, &cid) };
    run_at_once(fixture, commands, COUNT_OF(commands));
    static const enum err expected[] = { OK, OK, OK, ERR_BAD_FIELD, OK };
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        assert_int_equal(commands[i].refusal.err, expected[i]);
    assert_true(is_hidden(fixture, bob, commands[0].out.id, post_ok(fixture, ann, commands[0].out.id, "x")));
    assert_true(is_hidden(fixture, bob, commands[4].out.id, post_ok(fixture, cid, commands[4].out.id, "x")));
    release_all(commands, COUNT_OF(commands));
    fixture_reopen(fixture); /* from the rows, not from what the writer remembers */
    assert_true(is_hidden(fixture, bob, commands[0].out.id, post_ok(fixture, ann, commands[0].out.id, "x")));
}

static void whoever_follows_the_log_gets_the_hidden_form(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann3"), bob = make_user(fixture, "bob3"), chat = make_direct(fixture, ann, bob), head_id;
    assert_int_equal(run(fixture, block_command(bob, ann)), OK);
    uint64_t before = store_head(fixture->store), message = post_ok(fixture, ann, chat, "rude");
    assert_int_equal(edit(fixture, ann, chat, message, "ruder"), OK);
    post_ok(fixture, bob, chat, "polite");
    struct feed_page page;
    assert_int_equal(read_begin(fixture->reader, &head_id), OK);
    assert_int_equal(read_log(fixture->reader, before, &page), OK);
    read_end(fixture->reader);
    assert_int_equal(page.count, 3);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(page.frames[i]->hidden_from, bob);
        assert_non_null(memmem(page.frames[i]->bytes, page.frames[i]->size, "ruder", 5));
        assert_null(memmem(page.frames[i]->hidden->bytes, page.frames[i]->hidden->size, "rude", 4));
    }
    assert_null(page.frames[2]->hidden);
    feed_page_release(&page);
}

static struct command react_command(uint64_t actor_id, uint64_t chat_id, uint64_t message_id, const char *emoji) {
    return (
        struct command){ .type = COMMAND_MESSAGE_REACT, .actor_id = actor_id, .in.message_react = { chat_id, message_id, emoji, true } };
}

static struct command pin_command(uint64_t actor_id, uint64_t chat_id, uint64_t message_id) {
    return (struct command){ .type = COMMAND_MESSAGE_PIN, .actor_id = actor_id, .in.message_pin = { chat_id, message_id, true } };
}

static void assert_additions(struct fixture *fixture, uint64_t after_id, const uint64_t *hidden_from, size_t count) {
    struct feed_page page;
    uint64_t head_id;
    assert_int_equal(read_begin(fixture->reader, &head_id), OK);
    assert_int_equal(read_log(fixture->reader, after_id, &page), OK);
    read_end(fixture->reader);
    assert_int_equal(page.count, count);
    for (size_t i = 0; i < count; i++) {
        const struct frame *frame = page.frames[i];
        assert_int_equal(frame->hidden_from, hidden_from[i]);
        assert_int_equal(frame->hidden != NULL, hidden_from[i] != 0);
        assert_true(!frame->hidden || memmem(frame->hidden->bytes, frame->hidden->size, "\"withheld\":true", 15));
        assert_null(memmem(frame->bytes, frame->size, "withheld", 8));
    }
    feed_page_release(&page);
}

static void what_is_added_to_messages_is_hidden_from_who_has_blocked(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann5"), bob = make_user(fixture, "bob5"), chat = make_direct(fixture, ann, bob);
    uint64_t message = post_ok(fixture, bob, chat, "polite");
    assert_int_equal(run(fixture, block_command(bob, ann)), OK);
    uint64_t before = store_head(fixture->store);
    assert_int_equal(run(fixture, react_command(ann, chat, message, "\xf0\x9f\x91\x8d")), OK);
    assert_int_equal(run(fixture, react_command(bob, chat, message, "\xf0\x9f\x91\x8d")), OK);
    assert_int_equal(run(fixture, pin_command(ann, chat, message)), OK);
    assert_int_equal(run(fixture, pin_command(bob, chat, post_ok(fixture, bob, chat, "mine"))), OK);
    assert_additions(fixture, before, (uint64_t[]){ bob, bob, bob, 0, 0 }, 5);
    assert_int_equal(run(fixture, block_command(ann, bob)), OK);
    before = store_head(fixture->store);
    assert_int_equal(run(fixture, react_command(bob, chat, message, "\xe2\x9d\xa4")), OK);
    assert_additions(fixture, before, (uint64_t[]){ BOTH_MEMBERS }, 1);
}

static void assert_unread(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t unread) {
    struct chat_of_member chat;
    uint64_t total;
    assert_int_equal(find_chat(fixture, user_id, chat_id, &chat), OK);
    assert_int_equal(read_unread_total(fixture->reader, user_id, &total), OK);
    assert_int_equal(chat.chat.last_seq - chat.read_seq, unread);
    assert_int_equal(total, unread);
}

/* In the transaction that hides it: a kill takes neither without the other. */
static void what_is_hidden_is_read_on_disk(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann6"), bob = make_user(fixture, "bob6"), chat = make_direct(fixture, ann, bob);
    post_ok(fixture, ann, chat, "heard");
    assert_unread(fixture, bob, chat, 1);
    struct command commands[] = { post_command(ann, chat), block_command(bob, ann), post_command(ann, chat), post_command(ann, chat) };
    run_at_once(fixture, commands, COUNT_OF(commands));
    release_all(commands, COUNT_OF(commands));
    assert_unread(fixture, bob, chat, 0);
    fixture_reopen(fixture);
    assert_unread(fixture, bob, chat, 0);
    assert_int_equal(run(fixture, unblock_command(bob, ann)), OK);
    post_ok(fixture, ann, chat, "heard");
    assert_unread(fixture, bob, chat, 1);
}

#define CROWD (LIMIT_BLOCKS + 3)

static uint64_t *make_crowd(struct fixture *fixture) {
    uint64_t *users = calloc(CROWD, sizeof *users);
    char name[16];
    assert_non_null(users);
    for (size_t i = 0; i < CROWD; i++) {
        snprintf(name, sizeof name, "crowd%zu", i);
        users[i] = make_user(fixture, name);
    }
    return users;
}

static void more_than_the_limit_cannot_be_blocked(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann4"), *users = make_crowd(fixture);
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(run(fixture, block_command(ann, users[i])), i < LIMIT_BLOCKS ? OK : ERR_CONFLICT);
    assert_int_equal(run(fixture, block_command(ann, users[0])), OK); /* is blocked already */
    assert_int_equal(run(fixture, unblock_command(ann, users[0])), OK);
    assert_int_equal(run(fixture, block_command(ann, users[LIMIT_BLOCKS])), OK);
    assert_int_equal(run(fixture, block_command(ann, users[0])), ERR_CONFLICT);
    free(users);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_holds_for_what_follows_it_in_the_batch),
        cmocka_unit_test(a_chat_that_begins_with_the_block_or_beside_it_knows_of_it),
        cmocka_unit_test(whoever_follows_the_log_gets_the_hidden_form),
        cmocka_unit_test(what_is_added_to_messages_is_hidden_from_who_has_blocked),
        cmocka_unit_test(what_is_hidden_is_read_on_disk),
        cmocka_unit_test(more_than_the_limit_cannot_be_blocked),
    };
    return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
