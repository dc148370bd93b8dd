/* The index of events by owner that follows the log: what waits, what is entered, and that readers see both. */
#include "db_support.h"
#include "unit.h"

#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/limits.h"
#include "db/reader_internal.h"
#include "db/store_internal.h"

#define LAG 16
#define LAG_SQL "16"
#define CHATS 3
#define POSTS 40 /* in each */

#define WAITS "NOT EXISTS (SELECT 1 FROM event_of_owner o WHERE o.owner_id = e.owner_id AND o.is_message = e.is_message AND o.id = e.id)"
static const struct query count_waiting = { "SELECT count(*) FROM event e WHERE " WAITS };
/* Which there must be none of. */
static const struct query count_late = { "SELECT count(*) FROM event e WHERE (e.id >> 16) <= (SELECT max(id) >> 16 FROM event) - " LAG_SQL
                                         " AND " WAITS };
static const struct query count_of_nothing = {
    "SELECT count(*) FROM event_of_owner o WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.id = o.id AND e.owner_id = o.owner_id"
    " AND e.is_message = o.is_message)"
};
static const struct query count_bodies = { "SELECT count(*) FROM event WHERE body IS NOT NULL" };
static_assert(ID_TAG_BITS == 16, "the queries above");

static int set_up(void **state) {
    if (is_on_mariadb())
        return 0;
    int result = fixture_set_up(state);
    struct fixture *fixture = *state;
    fixture->index_lag = LAG;
    fixture_reopen(fixture);
    return result;
}

static int tear_down(void **state) { return is_on_mariadb() ? 0 : fixture_tear_down(state); }

/* MariaDB has an index. */
static struct fixture *fixture_of(void **state) {
    if (is_on_mariadb())
        skip();
    return *state;
}

static uint64_t check(struct fixture *fixture) {
    uint64_t waiting = count_rows(&fixture->config, &count_waiting);
    assert_int_equal(count_rows(&fixture->config, &count_late), 0);
    assert_int_equal(count_rows(&fixture->config, &count_of_nothing), 0);
    assert_in_range(waiting, 0, LAG);
    return waiting;
}

/* ---- What readers see --------------------------------------------------------------------------------------------------------------- */

/* All pages of a chat, one way, of which each message must follow the one before. Returns how many there are. */
static size_t read_all(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, bool down, size_t limit) {
    struct page_request request = { .chat_id = chat_id, .direction = down ? PAGE_BEFORE : PAGE_AFTER, .limit = limit };
    size_t total = 0, count;
    uint64_t head, next_seq = 0;
    bool more = true;
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    while (more) {
        struct message *messages;
        assert_int_equal(read_messages(fixture->reader, user_id, &request, &fixture->arena, &messages, &count, &more), OK);
        for (size_t i = 0; i < count; i++) {
            const struct message *message = down ? &messages[count - 1 - i] : &messages[i];
            if (next_seq)
                assert_int_equal(message->seq, next_seq);
            next_seq = down ? message->seq - 1 : message->seq + 1;
            request.cursor = message->id;
        }
        total += count;
    }
    read_end(fixture->reader);
    return total;
}

static void check_pages(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, size_t expected) {
    for (size_t limit = 1; limit < 60; limit += 7) {
        assert_int_equal(read_all(fixture, user_id, chat_id, true, limit), expected);
        assert_int_equal(read_all(fixture, user_id, chat_id, false, limit), expected);
    }
}

static size_t count_feed(struct fixture *fixture, uint64_t user_id) {
    uint64_t head, after_id = 0;
    size_t total = 0;
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    for (bool more = true; more;) {
        struct feed_page page;
        assert_int_equal(read_feed(fixture->reader, user_id, after_id, &page), OK);
        for (size_t i = 0; i < page.count; i++) {
            assert_true(page.frames[i]->id > after_id);
            after_id = page.frames[i]->id;
        }
        total += page.count;
        more = page.count > 0;
        feed_page_release(&page);
    }
    read_end(fixture->reader);
    return total;
}

static void check_last(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t message_id) {
    struct chat_of_member chat;
    uint64_t head;
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    assert_int_equal(read_chat(fixture->reader, user_id, chat_id, &fixture->arena, &chat), OK);
    read_end(fixture->reader);
    assert_int_equal(chat.last_message->id, message_id);
}

/* ---- Tests -------------------------------------------------------------------------------------------------------------------------- */

static void what_waits_is_seen_and_entered_in_time(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chats[CHATS], last = 0, most = 0;
    for (size_t i = 0; i < CHATS; i++)
        chats[i] = make_group(fixture, ann, &bob, 1);
    uint64_t quiet_last = post_ok(fixture, ann, chats[0], "the last here");
    size_t before = count_feed(fixture, bob);
    for (size_t i = 0; i < POSTS; i++) {
        last = post_ok(fixture, ann, chats[1 + i % 2], "m");
        uint64_t waiting = check(fixture);
        most = waiting > most ? waiting : most;
        assert_int_equal(count_feed(fixture, bob), before + i + 1);
        check_last(fixture, bob, chats[1 + i % 2], last);
    }
    assert_in_range(most, LAG / 2, LAG);
    check_last(fixture, bob, chats[0], quiet_last);
    check_pages(fixture, bob, chats[0], 1);
    check_pages(fixture, bob, chats[1], POSTS / 2);
    check_pages(fixture, bob, chats[2], POSTS / 2);
}

static void the_first_commit_after_a_start_enters_what_waited(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    for (size_t i = 0; i < POSTS; i++)
        post_ok(fixture, ann, chat, "m");
    assert_in_range(check(fixture), 1, LAG);
    fixture_reopen(fixture);
    assert_in_range(check(fixture), 1, LAG);
    check_pages(fixture, ann, chat, POSTS);
    post_ok(fixture, ann, chat, "m");
    assert_int_equal(check(fixture), 0);
    post_ok(fixture, ann, chat, "m");
    assert_int_equal(check(fixture), 1);
    check_pages(fixture, ann, chat, POSTS + 2);
}

/* The writer's thread waits for commands meanwhile. */
static void what_found_no_memory_is_found_again(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    post_ok(fixture, ann, chat, "m");
    assert_in_range(check(fixture), 1, LAG);
    owner_index_release(&fixture->store->owner_index);
    owner_index_init(&fixture->store->owner_index);
    owner_index_open(&fixture->store->owner_index, fixture->store->db);
    fixture->store->owner_index.lag = LAG;
    post_ok(fixture, ann, chat, "m");
    assert_int_equal(check(fixture), 0);
    for (size_t i = 0; i < POSTS; i++)
        post_ok(fixture, ann, chat, "m");
    check(fixture);
    check_pages(fixture, ann, chat, POSTS + 2);
}

static void a_batch_may_be_longer_than_the_distance(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    static struct command commands[VOLLEY_COMMANDS];
    struct volley volley;
    volley_begin(&volley, fixture);
    for (size_t i = 0; i < VOLLEY_COMMANDS; i++) {
        commands[i] = (struct command){ .type = COMMAND_MESSAGE_POST,
                                        .actor_id = ann,
                                        .in.message_post = { .chat_id = chat, .text = "m", .text_size = 1 } };
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    }
    volley_wait(&volley);
    for (size_t i = 0; i < VOLLEY_COMMANDS; i++)
        command_release(&commands[i]);
    check(fixture);
    check_pages(fixture, ann, chat, VOLLEY_COMMANDS);
}

/* Nothing is entered later of what the cleanup took. */
static void what_waits_goes_with_the_log(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    for (size_t i = 0; i < LAG / 2; i++)
        post_ok(fixture, ann, chat, "m");
    assert_in_range(check(fixture), 1, LAG);
    fixture->config.retention_ms = 1;
    fixture_close(fixture);
    fixture_open(fixture);
    uint64_t last = post_ok(fixture, ann, chat, "soon gone");
    for (int64_t posted_ms = clock_now_ms(); clock_now_ms() <= posted_ms + 1;)
        ;
    sweep_all(fixture);
    assert_int_equal(log_position(store_floor(fixture->store)), log_position(last));
    assert_int_equal(check(fixture), 0);
    for (size_t i = 0; i < POSTS; i++)
        post_ok(fixture, ann, chat, "m");
    check(fixture);
}

static void check_purge(struct fixture *fixture, uint64_t user_id, bool restart) {
    uint64_t chat = make_group(fixture, user_id, NULL, 0);
    struct command command = { .type = COMMAND_CHAT_DELETE, .actor_id = user_id, .in.chat_delete = { .chat_id = chat } };
    post_ok(fixture, user_id, chat, "m");
    assert_in_range(check(fixture), 1, LAG);
    assert_int_equal(store_run(fixture->store, &command), OK);
    command_release(&command);
    assert_true(count_rows(&fixture->config, &count_bodies) > 0);
    if (restart)
        fixture_reopen(fixture);
    sweep_all(fixture);
    assert_int_equal(count_rows(&fixture->config, &count_bodies), 0);
    check(fixture);
}

static void a_deleted_chat_is_emptied_of_what_waits(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann");
    check_purge(fixture, ann, false);
    check_purge(fixture, ann, true);
}

int main(void) {
    alarm(300);
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_waits_is_seen_and_entered_in_time), TEST(the_first_commit_after_a_start_enters_what_waited),
        TEST(what_found_no_memory_is_found_again),    TEST(a_batch_may_be_longer_than_the_distance),
        TEST(what_waits_goes_with_the_log),           TEST(a_deleted_chat_is_emptied_of_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
