/* Groups: what members may, slow mode, links, requests, bans and avatars, where commands meet in one batch. */
#include "db_support.h"
#include "unit.h"

#include "core/limits.h"

#define GUESTS 12
#define CROWD 120

static void set_token(uint8_t token[SHA256_SIZE], size_t number) {
    memset(token, 0, SHA256_SIZE);
    token[0] = 1 + (uint8_t)number;
}

/* Submits all while the writer waits, so that they meet in as few batches as may be. */
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

static size_t count_outcomes(const struct command *commands, size_t count, enum err err) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += commands[i].refusal.err == err;
    return found;
}

static enum err run(struct fixture *fixture, struct command command) {
    enum err err = store_run(fixture->store, &command);
    command_release(&command);
    return err;
}

static struct command link_command(uint64_t actor_id, uint64_t chat_id, const uint8_t *hash, uint32_t uses_max, bool needs_approval) {
    return (struct command){
        .type = COMMAND_LINK_CREATE,
        .actor_id = actor_id,
        .in.link_create = { .chat_id = chat_id, .token = "t", .hash = hash, .uses_max = uses_max, .needs_approval = needs_approval },
    };
}

static uint64_t make_link(struct fixture *fixture, uint64_t actor_id, uint64_t chat_id, size_t number, uint32_t uses_max, bool approval) {
    uint8_t token[SHA256_SIZE];
    set_token(token, number);
    struct command command = link_command(actor_id, chat_id, token, uses_max, approval);
    assert_int_equal(store_run(fixture->store, &command), OK);
    command_release(&command);
    return command.out.id;
}

static struct command join_command(uint64_t actor_id, uint64_t chat_id, uint64_t link_id) {
    return (struct command){ .type = COMMAND_LINK_JOIN, .actor_id = actor_id, .in.link_join = { .chat_id = chat_id, .link_id = link_id } };
}

static struct command ban_command(uint64_t actor_id, uint64_t chat_id, uint64_t user_id) {
    return (struct command){ .type = COMMAND_BAN_PUT, .actor_id = actor_id, .in.ban_put = { .chat_id = chat_id, .user_id = user_id } };
}

static struct command post_command(uint64_t actor_id, uint64_t chat_id) {
    return (struct command){ .type = COMMAND_MESSAGE_POST,
                             .actor_id = actor_id,
                             .in.message_post = { .chat_id = chat_id, .text = "m", .text_size = 1 } };
}

static void set_slow_mode(struct fixture *fixture, uint64_t actor_id, uint64_t chat_id, int64_t slow_mode_ms) {
    struct command command = { .type = COMMAND_CHAT_UPDATE,
                               .actor_id = actor_id,
                               .in.chat_update = { .chat_id = chat_id, .set_slow_mode = true, .slow_mode_ms = slow_mode_ms } };
    assert_int_equal(run(fixture, command), OK);
}

static uint32_t members_of(struct fixture *fixture, uint64_t user_id, uint64_t chat_id) {
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, user_id, chat_id, &seen), OK);
    return seen.chat.member_count;
}

static void make_guests(struct fixture *fixture, char letter, uint64_t guests[GUESTS]) {
    for (int i = 0; i < GUESTS; i++) {
        char name[] = { 'g', 'u', 'e', 's', 't', letter, (char)('a' + i), '\0' };
        guests[i] = make_user(fixture, name);
    }
}

/* ---- Links -------------------------------------------------------------------------------------------------------------------------- */

static void the_last_uses_are_taken_once_each(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann1"), chat = make_group(fixture, ann, NULL, 0), link = make_link(fixture, ann, chat, 1, 3, false);
    uint64_t guests[GUESTS];
    struct command commands[GUESTS];
    make_guests(fixture, 'a', guests);
    for (size_t i = 0; i < GUESTS; i++)
        commands[i] = join_command(guests[i], chat, link);
    run_at_once(fixture, commands, GUESTS);
    assert_int_equal(count_outcomes(commands, GUESTS, OK), 3);
    assert_int_equal(count_outcomes(commands, GUESTS, ERR_LINK_ENDED), GUESTS - 3);
    assert_int_equal(members_of(fixture, ann, chat), 4);
    release_all(commands, GUESTS);
}

static void links_beyond_the_limit_are_refused_within_a_batch(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann2"), chat = make_group(fixture, ann, NULL, 0);
    uint8_t hashes[CROWD][SHA256_SIZE];
    struct command commands[CROWD];
    for (size_t i = 0; i < CROWD; i++) {
        set_token(hashes[i], i);
        hashes[i][1] = 2;
        commands[i] = link_command(ann, chat, hashes[i], 0, false);
    }
    run_at_once(fixture, commands, CROWD);
    assert_int_equal(count_outcomes(commands, CROWD, OK), LIMIT_LINKS_PER_CHAT);
    assert_int_equal(count_outcomes(commands, CROWD, ERR_TOO_MANY_LINKS), CROWD - LIMIT_LINKS_PER_CHAT);
    release_all(commands, CROWD);
}

/* The last member leaves while somebody comes: either there is a chat with an owner, or none. */
static void a_chat_that_is_joined_while_it_ends_is_never_without_an_owner(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann3"), bob = make_user(fixture, "bob3");
    for (size_t round = 0; round < 4; round++) {
        uint64_t chat = make_group(fixture, ann, NULL, 0), link = make_link(fixture, ann, chat, 130 + round, 0, false);
        struct command leave = { .type = COMMAND_MEMBER_REMOVE, .actor_id = ann, .in.member_remove = { .chat_id = chat, .user_id = ann } };
        struct command join = join_command(bob, chat, link);
        struct command commands[] = { round % 2 ? leave : join, round % 2 ? join : leave };
        run_at_once(fixture, commands, COUNT_OF(commands));
        struct chat_of_member seen;
        enum err err = find_chat(fixture, bob, chat, &seen);
        assert_true(round % 2 ? err == ERR_NOT_FOUND : err == OK && seen.role == ROLE_OWNER);
        release_all(commands, COUNT_OF(commands));
    }
}

static void a_link_is_found_by_its_token_alone(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann4"), chat = make_group(fixture, ann, NULL, 0), id = make_link(fixture, ann, chat, 140, 0, true);
    uint8_t token[SHA256_SIZE];
    struct link link;
    struct chat found;
    bool works = false;
    set_token(token, 140);
    assert_int_equal(read_link(fixture->reader, token, &fixture->arena, &link, &found, &works), OK);
    assert_true(works);
    assert_true(link.id == id && found.id == chat && link.needs_approval && link.expires_ms == LINK_NEVER && link.uses_max == 0);
    token[31] = 1;
    assert_int_equal(read_link(fixture->reader, token, &fixture->arena, &link, &found, &works), ERR_NOT_FOUND);
}

/* ---- Requests and bans -------------------------------------------------------------------------------------------------------------- */

static void who_asks_and_is_banned_at_once_is_out(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann5"), bob = make_user(fixture, "bob5"), chat = make_group(fixture, ann, NULL, 0);
    uint64_t link = make_link(fixture, ann, chat, 150, 0, true);
    struct command commands[] = {
        join_command(bob, chat, link),
        ban_command(ann, chat, bob),
        { .type = COMMAND_JOIN_ANSWER, .actor_id = ann, .in.join_answer = { .chat_id = chat, .user_id = bob, .approve = true } },
        join_command(bob, chat, link),
        { .type = COMMAND_MEMBER_PUT, .actor_id = ann, .in.member_put = { .chat_id = chat, .user_id = bob } },
    };
    static const enum err expected[] = { OK, OK, ERR_NOT_FOUND, ERR_BANNED, ERR_BANNED };
    run_at_once(fixture, commands, COUNT_OF(commands));
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        assert_int_equal(commands[i].refusal.err, expected[i]);
    assert_true(commands[0].out.waits);
    release_all(commands, COUNT_OF(commands));
    assert_int_equal(members_of(fixture, ann, chat), 1);
}

static void a_ban_that_is_lifted_and_made_again_is_there(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann6"), bob = make_user(fixture, "bob6"), chat = make_group(fixture, ann, &bob, 1);
    struct command lift = { .type = COMMAND_BAN_REMOVE, .actor_id = ann, .in.ban_remove = { .chat_id = chat, .user_id = bob } };
    struct command commands[] = { ban_command(ann, chat, bob), lift, ban_command(ann, chat, bob), lift, ban_command(ann, chat, bob) };
    run_at_once(fixture, commands, COUNT_OF(commands));
    assert_int_equal(count_outcomes(commands, COUNT_OF(commands), OK), COUNT_OF(commands));
    release_all(commands, COUNT_OF(commands));
    fixture_reopen(fixture);
    assert_int_equal(put_member(fixture, ann, chat, bob, ROLE_NONE), ERR_BANNED);
}

/* ---- Slow mode ---------------------------------------------------------------------------------------------------------------------- */

static void a_batch_takes_one_message_of_each_member_in_slow_mode(void **state) {
    struct fixture *fixture = *state;
    uint64_t users[] = { make_user(fixture, "bob7"), make_user(fixture, "cid7") };
    uint64_t ann = make_user(fixture, "ann7"), chat = make_group(fixture, ann, users, 2);
    struct command commands[12];
    set_slow_mode(fixture, ann, chat, LIMIT_SLOW_MODE_MS);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        commands[i] = post_command(i % 3 == 2 ? ann : users[i % 3], chat);
    run_at_once(fixture, commands, COUNT_OF(commands));
    assert_int_equal(count_outcomes(commands, COUNT_OF(commands), OK), 2 + 4);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        assert_int_equal(commands[i].refusal.err, i < 2 || i % 3 == 2 ? OK : ERR_SLOW_MODE);
        assert_int_equal(commands[i].refusal.retry_after_s, commands[i].refusal.err == OK ? 0 : LIMIT_SLOW_MODE_MS / 1000);
    }
    release_all(commands, COUNT_OF(commands));
    fixture_reopen(fixture); /* it is in the row */
    assert_int_equal(run(fixture, post_command(users[0], chat)), ERR_SLOW_MODE);
    set_slow_mode(fixture, ann, chat, 0);
    assert_int_equal(run(fixture, post_command(users[0], chat)), OK);
}

static void who_posts_and_leaves_at_once_is_gone(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann8"), bob = make_user(fixture, "bob8"), chat = make_group(fixture, ann, &bob, 1);
    set_slow_mode(fixture, ann, chat, 1000);
    struct command commands[] = {
        post_command(bob, chat),
        { .type = COMMAND_MEMBER_REMOVE, .actor_id = bob, .in.member_remove = { .chat_id = chat, .user_id = bob } },
    };
    run_at_once(fixture, commands, COUNT_OF(commands));
    assert_int_equal(count_outcomes(commands, COUNT_OF(commands), OK), 2);
    release_all(commands, COUNT_OF(commands));
    fixture_reopen(fixture);
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, bob, chat, &seen), ERR_NOT_FOUND);
    assert_int_equal(members_of(fixture, ann, chat), 1);
}

/* ---- The end ------------------------------------------------------------------------------------------------------------------------ */

static const struct query rows_of_groups = { "SELECT (SELECT count(*) FROM link) + (SELECT count(*) FROM join_request)"
                                             " + (SELECT count(*) FROM ban) + (SELECT count(*) FROM avatar)" };

static void a_deleted_group_leaves_nothing_of_it(void **state) {
    struct fixture *fixture = *state;
    sweep_all(fixture); /* what earlier tests left */
    uint64_t before = count_rows(&fixture->config, &rows_of_groups);
    uint64_t ann = make_user(fixture, "ann9"), chat = make_group(fixture, ann, NULL, 0), link = make_link(fixture, ann, chat, 190, 0, true);
    uint64_t guests[GUESTS];
    make_guests(fixture, 'z', guests);
    for (size_t i = 0; i < GUESTS; i++)
        assert_int_equal(run(fixture, i % 2 ? join_command(guests[i], chat, link) : ban_command(ann, chat, guests[i])), OK);
    assert_int_equal(count_rows(&fixture->config, &rows_of_groups), before + 1 + GUESTS);
    struct command end = { .type = COMMAND_CHAT_DELETE, .actor_id = ann, .in.chat_delete = { .chat_id = chat } };
    assert_int_equal(run(fixture, end), OK);
    assert_int_equal(run(fixture, join_command(guests[0], chat, link)), ERR_NOT_FOUND);
    assert_true(sweep_all(fixture) > GUESTS);
    assert_int_equal(count_rows(&fixture->config, &rows_of_groups), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_uses_are_taken_once_each),
        cmocka_unit_test(links_beyond_the_limit_are_refused_within_a_batch),
        cmocka_unit_test(a_chat_that_is_joined_while_it_ends_is_never_without_an_owner),
        cmocka_unit_test(a_link_is_found_by_its_token_alone),
        cmocka_unit_test(who_asks_and_is_banned_at_once_is_out),
        cmocka_unit_test(a_ban_that_is_lifted_and_made_again_is_there),
        cmocka_unit_test(a_batch_takes_one_message_of_each_member_in_slow_mode),
        cmocka_unit_test(who_posts_and_leaves_at_once_is_gone),
        cmocka_unit_test(a_deleted_group_leaves_nothing_of_it),
    };
    return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
