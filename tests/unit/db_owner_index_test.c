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
#define OTHERS 4 /* posts in another chat */
#define MANY_CHATS 12
#define PLENTY_AT_MOST 1024 /* what waits of one owner, with the batches that find plenty */

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

/* What the reader asks in place of the store's memory; NULL: that. */
static struct recent *instead;

static void begin_reading(struct fixture *fixture) {
    uint64_t head;
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    if (instead)
        fixture->reader->db->recent.recent = instead;
}

/* ---- What readers see --------------------------------------------------------------------------------------------------------------- */

/* All pages of a chat, one way, of which each message must follow the one before. Returns how many there are. */
static size_t read_all(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, bool down, size_t limit) {
    struct page_request request = { .chat_id = chat_id, .direction = down ? PAGE_BEFORE : PAGE_AFTER, .limit = limit };
    size_t total = 0, count;
    uint64_t next_seq = 0;
    bool more = true;
    begin_reading(fixture);
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
    uint64_t after_id = 0;
    size_t total = 0;
    begin_reading(fixture);
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
    begin_reading(fixture);
    assert_int_equal(read_chat(fixture->reader, user_id, chat_id, &fixture->arena, &chat), OK);
    read_end(fixture->reader);
    assert_int_equal(chat.last_message->id, message_id);
}

/* Of the chat as it is in the snapshot. */
static void check_newest(struct fixture *fixture, uint64_t user_id, uint64_t chat_id) {
    struct page_request request = { .chat_id = chat_id, .direction = PAGE_BEFORE, .limit = 50 };
    struct chat_of_member chat;
    struct message *messages;
    size_t count;
    bool more;
    begin_reading(fixture);
    assert_int_equal(read_chat(fixture->reader, user_id, chat_id, &fixture->arena, &chat), OK);
    assert_int_equal(read_messages(fixture->reader, user_id, &request, &fixture->arena, &messages, &count, &more), OK);
    read_end(fixture->reader);
    assert_int_equal(count, chat.chat.last_seq < 50 ? chat.chat.last_seq : 50);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(messages[i].seq, chat.chat.last_seq - count + 1 + i);
    if (count)
        assert_int_equal(chat.last_message->id, messages[count - 1].id);
    arena_release(&fixture->arena);
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
    assert_in_range(most, LAG / 2, LAG / 2 + 2); /* though each of the two has more than a batch enters */
    check_last(fixture, bob, chats[0], quiet_last);
    check_pages(fixture, bob, chats[0], 1);
    check_pages(fixture, bob, chats[1], POSTS / 2);
    check_pages(fixture, bob, chats[2], POSTS / 2);
}

static void owners_that_begin_together_are_entered_in_turn(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chats[MANY_CHATS];
    for (size_t i = 0; i < MANY_CHATS; i++)
        chats[i] = make_group(fixture, ann, NULL, 0);
    for (size_t i = 0; i < MANY_CHATS * POSTS; i++) {
        post_ok(fixture, ann, chats[i % MANY_CHATS], "m");
        if (i > LAG)
            assert_in_range(check(fixture), LAG / 2, LAG / 2 + 2);
    }
}

static void an_owner_with_plenty_is_entered_early(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    fixture->index_lag = 0;
    fixture_reopen(fixture);
    for (int round = 0; round < 2; round++) {
        post_many(fixture, ann, chat, VOLLEY_COMMANDS);
        assert_in_range(count_rows(&fixture->config, &count_waiting), 1, PLENTY_AT_MOST);
    }
    check_newest(fixture, ann, chat);
    assert_int_equal(read_all(fixture, ann, chat, true, LIMIT_PAGE_ITEMS), 2 * VOLLEY_COMMANDS);
    assert_int_equal(read_all(fixture, ann, chat, false, LIMIT_PAGE_ITEMS), 2 * VOLLEY_COMMANDS);
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

static const struct query first_events = { "SELECT id, owner_id, is_message FROM event ORDER BY id LIMIT ?1" };

/* The first events of the log, as if the others were committed, and not added yet. */
static size_t copy_log(struct fixture *fixture, struct recent *recent, size_t limit) {
    struct db *db = open_database(fixture->url, DB_READER);
    struct statement *statement = db_query(db, &first_events);
    uint64_t last_id = 0;
    size_t count = 0;
    enum err err = OK;
    db->driver->bind_id(statement, 1, limit);
    recent_begin(recent, 0);
    recent_lock(recent);
    for (bool row; rows_next(db, statement, &err, &row); count++) {
        last_id = db->driver->column_id(statement, 0);
        recent_add(recent, db->driver->column_id(statement, 1), recent_pack(last_id, db->driver->column_id(statement, 2) != 0));
    }
    recent_unlock(recent, last_id);
    assert_int_equal(err, OK);
    db_close(db);
    return count;
}

/* In the snapshot that has begun. */
static size_t count_messages(struct fixture *fixture, uint64_t user_id, uint64_t chat_id) {
    struct page_request request = { .chat_id = chat_id, .direction = PAGE_BEFORE, .limit = 50 };
    struct message *messages;
    size_t count;
    bool more;
    assert_int_equal(read_messages(fixture->reader, user_id, &request, &fixture->arena, &messages, &count, &more), OK);
    return count;
}

/* In the midst of a snapshot, and from its begin on. */
static void what_memory_has_lost_is_found_in_the_log(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), last = 0;
    struct recent small, late;
    size_t events = count_feed(fixture, ann);
    for (size_t i = 0; i < LAG; i++, events++)
        last = post_ok(fixture, ann, chat, "m");
    recent_init(&small, LAG / 2);
    recent_init(&late, 64);
    copy_log(fixture, &small, 64);
    copy_log(fixture, &late, events - 1);
    instead = &late;
    begin_reading(fixture);
    assert_int_equal(count_messages(fixture, ann, chat), LAG);
    fixture->reader->db->recent.recent = &small;
    assert_int_equal(count_messages(fixture, ann, chat), LAG);
    read_end(fixture->reader);
    instead = &small;
    assert_int_equal(count_feed(fixture, ann), events);
    check_last(fixture, ann, chat, last);
    check_pages(fixture, ann, chat, LAG);
    recent_release(&small);
    recent_release(&late);
    instead = NULL;
}

static void what_is_not_in_memory_is_found_in_the_log(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), last = 0;
    struct recent recent;
    size_t events = count_feed(fixture, ann), copied;
    for (size_t i = 0; i < LAG; i++, events++)
        last = post_ok(fixture, ann, chat, "m");
    recent_init(&recent, 64);
    instead = &recent;
    for (size_t limit = 0;; limit++) {
        assert_int_equal(count_feed(fixture, ann), events);
        check_last(fixture, ann, chat, last);
        check_pages(fixture, ann, chat, LAG);
        copied = copy_log(fixture, &recent, limit);
        if (copied < limit)
            break;
    }
    assert_in_range(copied, LAG, 64);
    recent_release(&recent);
    instead = NULL;
}

/* With so little memory that a snapshot is soon too old for it. */
static void readers_see_each_commit_whole(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chats[CHATS];
    static struct command commands[VOLLEY_COMMANDS];
    struct owner_index *index = &fixture->store->owner_index;
    struct volley volley;
    for (size_t i = 0; i < CHATS; i++)
        chats[i] = make_group(fixture, ann, NULL, 0);
    recent_release(&index->recent);
    recent_init(&index->recent, 2 * LAG);
    recent_begin(&index->recent, fixture->store->last_id);
    volley_begin(&volley, fixture);
    for (size_t i = 0; i < VOLLEY_COMMANDS; i++) {
        commands[i] = (struct command){ .type = COMMAND_MESSAGE_POST,
                                        .actor_id = ann,
                                        .in.message_post = { .chat_id = chats[i * i % CHATS], .text = "m", .text_size = 1 } };
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
        if (i % 4 == 0)
            check_newest(fixture, ann, chats[i % CHATS]);
    }
    volley_wait(&volley);
    for (size_t i = 0; i < VOLLEY_COMMANDS; i++)
        command_release(&commands[i]);
    for (size_t i = 0; i < CHATS; i++)
        check_newest(fixture, ann, chats[i]);
    check(fixture);
}

/* The writer's thread waits for commands meanwhile. */
static void what_found_no_memory_is_found_again(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    post_ok(fixture, ann, chat, "m");
    assert_in_range(check(fixture), 1, LAG);
    owner_index_release(&fixture->store->owner_index);
    owner_index_init(&fixture->store->owner_index);
    assert_int_equal(owner_index_open(&fixture->store->owner_index, fixture->store->db, fixture->store->last_id), OK);
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
    post_many(fixture, ann, chat, VOLLEY_COMMANDS);
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
    uint64_t last = post_ok(fixture, ann, chat, "enters what waited");
    for (size_t i = 0; i < OTHERS; i++)
        last = post_ok(fixture, ann, chat, "soon gone");
    assert_int_equal(check(fixture), OTHERS);
    for (int64_t posted_ms = clock_now_ms(); clock_now_ms() <= posted_ms + 1;)
        ;
    sweep_all(fixture);
    assert_int_equal(log_position(store_floor(fixture->store)), log_position(last));
    assert_int_equal(check(fixture), 0);
    for (size_t i = 0; i < POSTS; i++)
        post_ok(fixture, ann, chat, "m");
    check(fixture);
}

static void what_the_cleanup_took_is_not_looked_for(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    fixture->index_lag = 0;
    fixture->config.retention_ms = 1;
    fixture_reopen(fixture);
    post_many(fixture, ann, chat, VOLLEY_COMMANDS);
    for (int64_t posted_ms = clock_now_ms(); clock_now_ms() <= posted_ms + 1;)
        ;
    sweep_kind(fixture, SWEEP_LOG);
    fixture->config.retention_ms = CONFIG_FOREVER;
    post_ok(fixture, ann, chat, "m");
    assert_int_equal(count_feed(fixture, ann), 1);
    assert_int_equal(read_all(fixture, ann, chat, true, 50), 1);
}

static void readers_ask_within_a_snapshot(void **state) {
    struct fixture *fixture = fixture_of(state);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    struct chat_of_member seen;
    post_ok(fixture, ann, chat, "m");
    assert_int_equal(read_chat(fixture->reader, ann, chat, &fixture->arena, &seen), ERR_INTERNAL);
    assert_int_equal(find_chat(fixture, ann, chat, &seen), OK);
    assert_int_equal(read_chat(fixture->reader, ann, chat, &fixture->arena, &seen), ERR_INTERNAL);
}

/* What waits of a later chat goes on waiting, but for a restart. */
static void check_purge(struct fixture *fixture, uint64_t user_id, bool restart) {
    uint64_t bodies = count_rows(&fixture->config, &count_bodies) + 1 + OTHERS; /* with the one that says that the other chat was made */
    uint64_t chat = make_group(fixture, user_id, NULL, 0), other = make_group(fixture, user_id, NULL, 0);
    struct command command = { .type = COMMAND_CHAT_DELETE, .actor_id = user_id, .in.chat_delete = { .chat_id = chat } };
    post_ok(fixture, user_id, chat, "m");
    for (size_t i = 0; i < OTHERS; i++)
        post_ok(fixture, user_id, other, "m");
    assert_in_range(check(fixture), 1 + OTHERS, LAG);
    assert_int_equal(store_run(fixture->store, &command), OK);
    command_release(&command);
    assert_true(count_rows(&fixture->config, &count_bodies) > bodies);
    if (restart)
        fixture_reopen(fixture);
    sweep_kind(fixture, SWEEP_CHATS);
    assert_int_equal(count_rows(&fixture->config, &count_bodies), bodies);
    assert_in_range(check(fixture), restart ? 0 : OTHERS, LAG);
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
        TEST(what_waits_is_seen_and_entered_in_time),
        TEST(the_first_commit_after_a_start_enters_what_waited),
        TEST(what_found_no_memory_is_found_again),
        TEST(a_batch_may_be_longer_than_the_distance),
        TEST(what_waits_goes_with_the_log),
        TEST(what_the_cleanup_took_is_not_looked_for),
        TEST(readers_ask_within_a_snapshot),
        TEST(a_deleted_chat_is_emptied_of_what_waits),
        TEST(what_is_not_in_memory_is_found_in_the_log),
        TEST(what_memory_has_lost_is_found_in_the_log),
        TEST(readers_see_each_commit_whole),
        TEST(owners_that_begin_together_are_entered_in_turn),
        TEST(an_owner_with_plenty_is_entered_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
