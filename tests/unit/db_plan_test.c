/* How many rows MariaDB reads for what is asked most: look-ups, whatever else the tables hold. On SQLite, which is told the order of joins and has no
 * such counters, this is skipped. */
#include "db_meter.h"
#include "db_support.h"
#include "unit.h"

#include <unistd.h>

#include "db/reader_internal.h"
#include "db/store_internal.h"

#define CHATS 4
#define MESSAGES 300 /* of each */

static void analyse(const struct fixture *fixture) {
    struct db *db = open_database(fixture->url, DB_WRITER);
    assert_int_equal(db->driver->execute(db, "ANALYZE TABLE event, stay, chat, idempotency"), OK);
    db_close(db);
}

struct filled {
    uint64_t ann, bob, chats[CHATS];
    struct command commands[CHATS * MESSAGES];
};

/* Each with a key. */
static struct filled *fill(struct fixture *fixture) {
    static struct filled filled;
    struct volley volley;
    filled = (struct filled){ .ann = make_user(fixture, "ann"), .bob = make_user(fixture, "bob") };
    for (size_t i = 0; i < CHATS; i++)
        filled.chats[i] = make_group(fixture, filled.ann, &filled.bob, 1);
    volley_begin(&volley, fixture);
    for (size_t i = 0; i < COUNT_OF(filled.commands); i++) {
        filled.commands[i] = (struct command){ .type = COMMAND_MESSAGE_POST,
                                               .actor_id = filled.ann,
                                               .idempotency = { .given = true, .key = i + 1 },
                                               .in.message_post = { .chat_id = filled.chats[i % CHATS], .text = "m", .text_size = 1 } };
        assert_int_equal(volley_submit(&volley, &filled.commands[i]), OK);
    }
    volley_wait(&volley);
    for (size_t i = 0; i < COUNT_OF(filled.commands); i++)
        command_release(&filled.commands[i]);
    return &filled;
}

static void check_feed(struct fixture *fixture, const struct filled *filled) {
    uint64_t head = 0, after_id = store_head(fixture->store);
    struct feed_page page;
    post_ok(fixture, filled->ann, filled->chats[0], "new");
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    struct meter meter = meter_start(fixture->reader->db);
    assert_int_equal(read_feed(fixture->reader, filled->bob, after_id, &page), OK);
    assert_in_range(meter_end(&meter), 0, 30);
    assert_int_equal(page.count, 1);
    feed_page_release(&page);
    read_end(fixture->reader);
}

static void a_feed_reads_what_is_new(void **state) {
    struct fixture *fixture = *state;
    skip_without_mariadb();
    const struct filled *filled = fill(fixture);
    check_feed(fixture, filled);
    analyse(fixture);
    check_feed(fixture, filled);
}

static void check_post(struct fixture *fixture, const struct filled *filled, uint64_t key) {
    struct command command = { .type = COMMAND_MESSAGE_POST,
                               .actor_id = filled->ann,
                               .idempotency = { .given = true, .key = key },
                               .in.message_post = { .chat_id = filled->chats[0], .text = "m", .text_size = 1 } };
    assert_in_range(meter_run(fixture, &command), 0, 60);
    command_release(&command);
}

static void a_post_looks_up_its_key(void **state) {
    struct fixture *fixture = *state;
    skip_without_mariadb();
    const struct filled *filled = fill(fixture);
    check_post(fixture, filled, 1000001);
    analyse(fixture);
    check_post(fixture, filled, 1000002);
}

#define STRANGERS 60

/* Others in chats of their own, each with two members; the first shares one with ann, too. */
static void fill_with_strangers(struct fixture *fixture, uint64_t ann, uint64_t strangers[STRANGERS]) {
    for (size_t i = 0; i < STRANGERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "stranger%zu", i);
        strangers[i] = make_user(fixture, name);
        if (i > 0)
            make_group(fixture, strangers[i], &strangers[i - 1], 1);
    }
    make_group(fixture, ann, strangers, 1);
}

static void check_presence(struct fixture *fixture, uint64_t user_id, const uint64_t *ids, size_t count) {
    struct presence_row *rows;
    size_t found;
    struct meter meter = meter_start(fixture->reader->db);
    assert_int_equal(read_presence(fixture->reader, user_id, ids, count, &fixture->arena, &rows, &found), OK);
    assert_in_range(meter_end(&meter), 0, 10 * count);
    assert_int_equal(found, 1);
    assert_int_equal(rows[0].user_id, ids[0]);
}

static void presence_reads_the_chats_of_those_asked_for(void **state) {
    struct fixture *fixture = *state;
    uint64_t strangers[STRANGERS];
    skip_without_mariadb();
    const struct filled *filled = fill(fixture);
    fill_with_strangers(fixture, filled->ann, strangers);
    for (int i = 0; i < 2; i++) {
        check_presence(fixture, filled->ann, strangers, 1);
        check_presence(fixture, filled->ann, strangers, 5);
        analyse(fixture);
    }
}

static void check_chat_list(struct fixture *fixture, uint64_t user_id) {
    struct chat_of_member *chats;
    size_t count;
    bool more;
    struct meter meter = meter_start(fixture->reader->db);
    assert_int_equal(read_chats(fixture->reader, user_id, &(struct chat_page){ .limit = 2 }, &fixture->arena, &chats, &count, &more), OK);
    assert_in_range(meter_end(&meter), 0, 50);
    assert_int_equal(count, 2);
    assert_true(more);
    assert_non_null(chats[0].last_message);
}

static void check_unread(struct fixture *fixture, uint64_t user_id) {
    uint64_t total;
    struct meter meter = meter_start(fixture->reader->db);
    assert_int_equal(read_unread_total(fixture->reader, user_id, &total), OK);
    assert_in_range(meter_end(&meter), 0, 20);
    assert_int_equal(total, CHATS * MESSAGES);
}

static void a_list_of_chats_reads_the_own_ones(void **state) {
    struct fixture *fixture = *state;
    uint64_t strangers[STRANGERS];
    skip_without_mariadb();
    const struct filled *filled = fill(fixture);
    fill_with_strangers(fixture, make_user(fixture, "eve"), strangers);
    for (int i = 0; i < 2; i++) {
        check_chat_list(fixture, filled->bob);
        check_unread(fixture, filled->bob);
        analyse(fixture);
    }
}

static void check_receipts(struct fixture *fixture, uint64_t chat_id, uint64_t reader_id) {
    struct chat_of_member chat;
    struct receipt *receipts;
    size_t count;
    assert_int_equal(read_membership(fixture->reader, reader_id, chat_id, &fixture->arena, &chat), OK);
    struct meter meter = meter_start(fixture->reader->db);
    assert_int_equal(read_receipts(fixture->reader, &chat.chat, 0, 100, &fixture->arena, &receipts, &count), OK);
    assert_int_equal(count, 2);
    const struct message message = { .id = chat.chat.last_id, .chat_id = chat_id, .sender_id = reader_id };
    struct recipient_counts counts;
    assert_int_equal(count_recipients(fixture->reader, &message, &counts), OK);
    assert_int_equal(counts.members, 1);
    assert_int_equal(read_recipients(fixture->reader, &message, &fixture->arena, &receipts, &count), OK);
    assert_int_equal(count, 1);
    assert_in_range(meter_end(&meter), 0, 30);
}

static void check_audience(struct fixture *fixture, uint64_t chat_id) {
    struct audience audience;
    struct meter meter = meter_start(fixture->reader->db);
    assert_int_equal(read_audience(fixture->reader, chat_id, 256, &fixture->arena, &audience), OK);
    assert_in_range(meter_end(&meter), 0, 10);
    assert_int_equal(audience.count, 2);
}

/* All that was posted lies between: of each chat one look at the index is enough. */
static void check_delivered(struct fixture *fixture, uint64_t user_id) {
    uint64_t chat_ids[LIMIT_RECEIPT_CHATS];
    size_t count;
    const struct delivery_range range = { .after_id = 0, .up_to_id = store_head(fixture->store), .members = 256 };
    struct meter meter = meter_start(fixture->reader->db);
    assert_int_equal(read_delivered_chats(fixture->reader, user_id, &range, chat_ids, &count), OK);
    assert_in_range(meter_end(&meter), 0, 50);
    assert_int_equal(count, CHATS);
}

static void receipts_read_the_members_of_a_chat(void **state) {
    struct fixture *fixture = *state;
    uint64_t strangers[STRANGERS];
    skip_without_mariadb();
    const struct filled *filled = fill(fixture);
    fill_with_strangers(fixture, make_user(fixture, "eve"), strangers);
    for (int i = 0; i < 2; i++) {
        check_receipts(fixture, filled->chats[0], filled->ann);
        check_audience(fixture, filled->chats[0]);
        check_delivered(fixture, filled->bob);
        analyse(fixture);
    }
}

int main(void) {
    alarm(300);
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_feed_reads_what_is_new),
        TEST(a_post_looks_up_its_key),
        TEST(presence_reads_the_chats_of_those_asked_for),
        TEST(a_list_of_chats_reads_the_own_ones),
        TEST(receipts_read_the_members_of_a_chat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
