/* What members add to messages, in the tables themselves: that counts are those of the rows, that mentions are noted with stays, and that all of it goes
 * with its message, whichever way that goes. What clients see of it is in tests/api. */
#include "db_support.h"
#include "unit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/limits.h"
#include "db/reactions.h"

#define SECOND_MS INT64_C(1000)
#define THUMB "\xf0\x9f\x91\x8d"
#define PARTY "\xf0\x9f\x8e\x89"

/* Wall time stands still but for pass_time(). */
static _Atomic int64_t wall_ms = INT64_C(1800000000000);

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (clock != CLOCK_REALTIME)
        return (int)syscall(SYS_clock_gettime, clock, out);
    int64_t now_ms = atomic_load(&wall_ms);
    *out = (struct timespec){ .tv_sec = now_ms / SECOND_MS, .tv_nsec = now_ms % SECOND_MS * 1000000 };
    return 0;
}

static void pass_time(int64_t duration_ms) { atomic_fetch_add(&wall_ms, duration_ms); }

/* ---- Short forms -------------------------------------------------------------------------------------------------------------------- */

static const struct query count_reactions = { "SELECT count(*) FROM reaction" };
static const struct query count_pins = { "SELECT count(*) FROM pin" };
static const struct query count_hidden = { "SELECT count(*) FROM hidden" };
static const struct query count_revisions = { "SELECT count(*) FROM revision" };
static const struct query count_content = {
    "SELECT count(*) FROM event WHERE is_message = 1 AND (mentions IS NOT NULL OR reactions IS NOT NULL"
    " OR reply_id IS NOT NULL OR forwarded IS NOT NULL)"
};
static const struct query mentioned = { "SELECT max(mentioned_seq) FROM stay" };

static enum err run(struct fixture *fixture, struct command *command) {
    enum err err = store_run(fixture->store, command);
    command_release(command);
    return err;
}

static struct command reaction(uint64_t user_id, uint64_t chat_id, uint64_t message_id, const char *emoji, bool on) {
    return (struct command){ .type = COMMAND_MESSAGE_REACT, .actor_id = user_id, .in.message_react = { chat_id, message_id, emoji, on } };
}

static void react(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t message_id, const char *emoji) {
    struct command command = reaction(user_id, chat_id, message_id, emoji, true);
    assert_int_equal(run(fixture, &command), OK);
}

static uint64_t mention(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t mentioned_id) {
    struct mention mention = { .user_id = mentioned_id, .offset = 0, .length = 2 };
    struct command command = { .type = COMMAND_MESSAGE_POST,
                               .actor_id = user_id,
                               .in.message_post = {
                                   .chat_id = chat_id, .text = "@x", .text_size = 2, .mentions = &mention, .mention_count = 1 } };
    assert_int_equal(run(fixture, &command), OK);
    return command.out.id;
}

static uint64_t rows(struct fixture *fixture, const struct query *query) { return count_rows(&fixture->config, query); }

/* A chat of three with a message that has one of everything, is hidden from the third, and lives so long (0: for ever). */
struct scene {
    uint64_t ann, bob, cid, chat, message;
};

static void post_full(struct fixture *fixture, struct scene *scene, int64_t ttl_ms) {
    struct mention mentions[] = { { .user_id = scene->bob, .offset = 0, .length = 1 } };
    uint64_t first = post_ok(fixture, scene->ann, scene->chat, "first");
    struct command command = { .type = COMMAND_MESSAGE_POST, .actor_id = scene->ann };
    command.in.message_post.chat_id = scene->chat;
    command.in.message_post.text = "full";
    command.in.message_post.text_size = 4;
    command.in.message_post.reply_to = first;
    command.in.message_post.mentions = mentions;
    command.in.message_post.mention_count = 1;
    command.in.message_post.ttl_ms = ttl_ms;
    assert_int_equal(run(fixture, &command), OK);
    scene->message = command.out.id;
}

static void build(struct fixture *fixture, struct scene *scene, int64_t ttl_ms) {
    fixture->config.edit_history = true;
    scene->ann = make_user(fixture, "ann");
    scene->bob = make_user(fixture, "bob");
    scene->cid = make_user(fixture, "cid");
    scene->chat = make_group(fixture, scene->ann, (uint64_t[]){ scene->bob, scene->cid }, 2);
    post_full(fixture, scene, ttl_ms);
    react(fixture, scene->ann, scene->chat, scene->message, THUMB);
    react(fixture, scene->bob, scene->chat, scene->message, PARTY);
    assert_int_equal(edit(fixture, scene->ann, scene->chat, scene->message, "edited"), OK);
    struct command pin = { .type = COMMAND_MESSAGE_PIN, .actor_id = scene->ann, .in.message_pin = { scene->chat, scene->message, true } };
    assert_int_equal(run(fixture, &pin), OK);
    struct command hide = { .type = COMMAND_MESSAGE_HIDE, .actor_id = scene->cid, .in.message_hide = { scene->chat, scene->message } };
    assert_int_equal(run(fixture, &hide), OK);
    assert_int_equal(rows(fixture, &count_reactions), 2);
    assert_int_equal(rows(fixture, &count_pins), 1);
    assert_int_equal(rows(fixture, &count_hidden), 1);
    assert_int_equal(rows(fixture, &count_revisions), 1);
    assert_int_equal(rows(fixture, &count_content), 1);
}

static void assert_nothing_left(struct fixture *fixture) {
    assert_int_equal(rows(fixture, &count_reactions), 0);
    assert_int_equal(rows(fixture, &count_pins), 0);
    assert_int_equal(rows(fixture, &count_revisions), 0);
    assert_int_equal(rows(fixture, &count_content), 0);
}

/* ---- All of it goes with its message ------------------------------------------------------------------------------------------------ */

static void a_deleted_message_leaves_nothing(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    build(fixture, &scene, 0);
    assert_int_equal(delete_message(fixture, scene.ann, scene.chat, scene.message), OK);
    assert_nothing_left(fixture);
}

static void a_message_past_its_time_leaves_nothing(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    build(fixture, &scene, 5 * SECOND_MS);
    pass_time(5 * SECOND_MS);
    sweep_all(fixture);
    assert_nothing_left(fixture);
}

static void a_deleted_chat_leaves_nothing(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    build(fixture, &scene, 0);
    struct command end = { .type = COMMAND_CHAT_DELETE, .actor_id = scene.ann, .in.chat_delete = { scene.chat } };
    assert_int_equal(run(fixture, &end), OK);
    sweep_all(fixture);
    assert_nothing_left(fixture);
}

static void a_message_past_retention_leaves_nothing(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    build(fixture, &scene, 0);
    pass_time(fixture->config.retention_ms);
    sweep_all(fixture);
    assert_nothing_left(fixture);
    assert_int_equal(rows(fixture, &count_hidden), 0);
}

/* The decisions are in one batch, and so are their rows. */
static void what_is_added_while_a_message_is_deleted_goes_with_it(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    struct volley volley;
    build(fixture, &scene, 0);
    struct command commands[] = {
        reaction(scene.bob, scene.chat, scene.message, THUMB, true),
        { .type = COMMAND_MESSAGE_EDIT, .actor_id = scene.ann, .in.message_edit = { scene.chat, scene.message, "again", 5, NULL, 0 } },
        { .type = COMMAND_MESSAGE_DELETE, .actor_id = scene.ann, .in.message_delete = { scene.chat, scene.message } },
        reaction(scene.bob, scene.chat, scene.message, PARTY, false),
    };
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    volley_wait(&volley);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(commands[i].refusal.err, i < 3 ? OK : ERR_ALREADY_DELETED);
        command_release(&commands[i]);
    }
    assert_nothing_left(fixture);
}

/* ---- Counts ------------------------------------------------------------------------------------------------------------------------- */

static void assert_count(struct fixture *fixture, const struct scene *scene, const char *emoji, uint64_t count) {
    struct message message;
    assert_int_equal(find_message(fixture, scene->ann, scene->chat, scene->message, &message), OK);
    assert_int_equal(reactions_count(&message, emoji), count);
}

static void many_in_one_batch_are_counted_and_stored_once(void **state) {
    struct fixture *fixture = *state;
    struct scene scene;
    struct volley volley;
    struct command commands[60];
    build(fixture, &scene, 0);
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < 60; i++) { /* both turn it on and off, and it is on in the end */
        commands[i] = reaction(i % 2 ? scene.ann : scene.bob, scene.chat, scene.message, THUMB, i / 2 % 2 == 1);
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    }
    volley_wait(&volley);
    for (size_t i = 0; i < 60; i++) {
        assert_int_equal(commands[i].refusal.err, OK);
        command_release(&commands[i]);
    }
    assert_count(fixture, &scene, THUMB, 2);
    assert_int_equal(rows(fixture, &count_reactions), 3);
}

static void counts_are_found_and_changed_in_what_is_rendered(void **state) {
    (void)state;
    struct message message = { 0 };
    struct buf rendered = BUF_INIT;
    assert_int_equal(reactions_kinds(&message), 0);
    reactions_change(&message, THUMB, 1, &rendered);
    assert_string_equal(rendered.bytes, "{\"emoji\":\"" THUMB "\",\"count\":1}");
    struct buf both = BUF_INIT;
    message.reactions = rendered.bytes;
    message.reactions_size = rendered.size;
    reactions_change(&message, PARTY, 12, &both);
    message.reactions = both.bytes;
    message.reactions_size = both.size;
    assert_int_equal(reactions_kinds(&message), 2);
    assert_int_equal(reactions_count(&message, PARTY), 12);
    assert_int_equal(reactions_count(&message, "\xf0\x9f\x91"), 0);
    struct buf one = BUF_INIT;
    reactions_change(&message, THUMB, 0, &one);
    assert_string_equal(one.bytes, "{\"emoji\":\"" PARTY "\",\"count\":12}");
    buf_release(&rendered);
    buf_release(&both);
    buf_release(&one);
}

/* ---- Mentions ----------------------------------------------------------------------------------------------------------------------- */

static void a_mention_is_noted_with_the_stay(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob");
    uint64_t chat = make_group(fixture, ann, &bob, 1);
    post_ok(fixture, ann, chat, "nobody is meant");
    mention(fixture, ann, chat, ann);
    assert_int_equal(rows(fixture, &mentioned), 0);
    uint64_t third = mention(fixture, ann, chat, bob);
    assert_int_equal(rows(fixture, &mentioned), 3);
    mention(fixture, ann, chat, bob);
    struct mention again = { .user_id = bob, .offset = 0, .length = 1 };
    struct command earlier = { .type = COMMAND_MESSAGE_EDIT, .actor_id = ann, .in.message_edit = { chat, third, "@", 1, &again, 1 } };
    assert_int_equal(run(fixture, &earlier), OK);
    assert_int_equal(rows(fixture, &mentioned), 4);
}

static void whoever_joins_again_begins_without_a_mention(void **state) {
    static const struct query of_open_stays = { "SELECT max(mentioned_seq) FROM stay WHERE left_id = 9223372036854775807" };
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob");
    uint64_t chat = make_group(fixture, ann, &bob, 1);
    mention(fixture, ann, chat, bob);
    assert_int_equal(remove_member(fixture, bob, chat, bob), OK);
    assert_int_equal(put_member(fixture, ann, chat, bob, ROLE_MEMBER), OK);
    assert_int_equal(rows(fixture, &of_open_stays), 0);
    mention(fixture, ann, chat, bob);
    assert_int_equal(rows(fixture, &of_open_stays), 2);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_deleted_message_leaves_nothing),
        TEST(a_message_past_its_time_leaves_nothing),
        TEST(a_deleted_chat_leaves_nothing),
        TEST(a_message_past_retention_leaves_nothing),
        TEST(what_is_added_while_a_message_is_deleted_goes_with_it),
        TEST(many_in_one_batch_are_counted_and_stored_once),
        cmocka_unit_test(counts_are_found_and_changed_in_what_is_rendered),
        TEST(a_mention_is_noted_with_the_stay),
        TEST(whoever_joins_again_begins_without_a_mention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
