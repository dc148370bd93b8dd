/* Messages that wait for their time, in the tables themselves: that a row is posted by one command however many find it, and what ends it otherwise.
 * What clients see of it is in tests/api. */
#include "db_support.h"
#include "unit.h"

#include <unistd.h>

#include "core/clock.h"
#include "core/limits.h"
#include "db/reader.h"

#define MINUTE_MS INT64_C(60000)
#define FINDERS 8

static const struct query count_scheduled = { "SELECT count(*) FROM scheduled" };
static const struct query count_messages = { "SELECT count(*) FROM event WHERE is_message = 1" };
static const struct query count_said = { "SELECT count(*) FROM scheduled WHERE text IS NOT NULL" };
static const struct query count_failed = { "SELECT count(*) FROM event WHERE type = 38" };

static uint64_t rows(struct fixture *fixture, const struct query *query) { return count_rows(&fixture->config, query); }

static uint64_t schedule(struct fixture *fixture, uint64_t user_id, uint64_t chat_id) {
    struct command command = { .type = COMMAND_SCHEDULE_CREATE, .actor_id = user_id };
    command.in.message_post.chat_id = chat_id;
    command.in.message_post.text = "later";
    command.in.message_post.text_size = 5;
    command.in.message_post.scheduled.due_ms = clock_now_ms() + MINUTE_MS;
    assert_int_equal(store_run(fixture->store, &command), OK);
    uint64_t id = command.out.id;
    command_release(&command);
    return id;
}

static struct command sending(uint64_t user_id, uint64_t chat_id, uint64_t scheduled_id) {
    struct command command = { .type = COMMAND_SCHEDULE_SEND, .actor_id = user_id };
    command.in.message_post.chat_id = chat_id;
    command.in.message_post.text = "later";
    command.in.message_post.text_size = 5;
    command.in.message_post.scheduled.id = scheduled_id;
    return command;
}

static void send_once(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t scheduled_id) {
    struct command command = sending(user_id, chat_id, scheduled_id);
    assert_int_equal(store_run(fixture->store, &command), OK);
    command_release(&command);
}

static void many_that_find_it_post_it_once(void **state) {
    struct fixture *fixture = *state;
    struct command commands[FINDERS];
    struct volley volley;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), id = schedule(fixture, ann, chat);
    volley_begin(&volley, fixture);
    for (size_t i = 0; i < FINDERS; i++) {
        commands[i] = sending(ann, chat, id);
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    }
    volley_wait(&volley);
    size_t posted = 0;
    for (size_t i = 0; i < FINDERS; i++) {
        assert_int_equal(commands[i].refusal.err, OK);
        posted += commands[i].out.id != 0;
        command_release(&commands[i]);
    }
    assert_int_equal(posted, 1);
    send_once(fixture, ann, chat, id);
    assert_int_equal(rows(fixture, &count_messages), 1);
    assert_int_equal(rows(fixture, &count_scheduled), 0);
}

static void a_stay_that_ends_takes_the_text_and_then_the_row(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_group(fixture, ann, &bob, 1);
    uint64_t id = schedule(fixture, bob, chat);
    assert_int_equal(remove_member(fixture, ann, chat, bob), OK);
    assert_int_equal(rows(fixture, &count_said), 0);
    assert_int_equal(put_member(fixture, ann, chat, bob, ROLE_MEMBER), OK);
    send_once(fixture, bob, chat, id);
    assert_int_equal(rows(fixture, &count_messages), 0);
    assert_int_equal(rows(fixture, &count_failed), 0);
    assert_int_equal(rows(fixture, &count_scheduled), 0);
}

static void what_is_refused_fails_once(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_group(fixture, ann, &bob, 1);
    uint64_t id = schedule(fixture, bob, chat);
    struct command command = { .type = COMMAND_CHAT_UPDATE, .actor_id = ann };
    command.in.chat_update.chat_id = chat;
    command.in.chat_update.set_permissions = MEMBERS_POST;
    assert_int_equal(store_run(fixture->store, &command), OK);
    command_release(&command);
    send_once(fixture, bob, chat, id);
    send_once(fixture, bob, chat, id);
    assert_int_equal(rows(fixture, &count_messages), 0);
    assert_int_equal(rows(fixture, &count_failed), 1);
    assert_int_equal(rows(fixture, &count_scheduled), 1);
}

static void what_is_due_is_found_in_order(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    uint64_t first = schedule(fixture, ann, chat), second = schedule(fixture, ann, chat);
    struct arena arena = ARENA_INIT(LIMIT_SCHEDULE_ARENA_BYTES);
    struct scheduled *scheduled;
    size_t count;
    int64_t due_ms;
    assert_int_equal(read_next_due(fixture->reader, 0, &due_ms), OK);
    struct due_request request = { .now_ms = due_ms - 1 };
    assert_int_equal(read_due(fixture->reader, &request, &arena, &scheduled, &count), OK);
    assert_int_equal(count, 0);
    request.now_ms = due_ms + MINUTE_MS;
    assert_int_equal(read_due(fixture->reader, &request, &arena, &scheduled, &count), OK);
    assert_int_equal(count, 2);
    assert_int_equal(scheduled[0].id, first);
    assert_int_equal(scheduled[1].id, second);
    assert_string_equal(scheduled[1].text, "later");
    request.after_due_ms = scheduled[0].due_ms;
    request.after_id = scheduled[0].id;
    assert_int_equal(read_due(fixture->reader, &request, &arena, &scheduled, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(scheduled[0].id, second);
    arena_release(&arena);
}

int main(void) {
    alarm(300);
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(many_that_find_it_post_it_once),
        TEST(a_stay_that_ends_takes_the_text_and_then_the_row),
        TEST(what_is_refused_fails_once),
        TEST(what_is_due_is_found_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
