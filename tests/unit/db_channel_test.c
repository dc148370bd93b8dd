/* Channels with many followers: nothing that happens in one, and nothing that a follower does, walks over the others. */
#include "db_meter.h"
#include "db_support.h"
#include "unit.h"

#include <unistd.h>

#include "core/limits.h"
#include "db/reader_internal.h"
#include "db/store_internal.h"

#define FOLLOWERS 8000
#define FEW_FOLLOWERS 2500 /* on MariaDB, which reads rows and counts them one by one */
#define LEFT_OVER 500      /* that do not follow */
#define WORK 1000          /* of one act, in db_meter.h's unit: what walks over the followers does more, */
#define USER_NAME_BYTES 32

struct crowd {
    uint64_t ids[FOLLOWERS + LEFT_OVER];
    size_t count;     /* all */
    size_t followers; /* the first ones */
    uint64_t owner, admin, chat;
};

static int set_up(void **state) {
    if (!is_on_mariadb())
        meter_prepare();
    return fixture_set_up(state);
}

/* ---- The crowd ---------------------------------------------------------------------------------------------------------------------- */

static void make_users(struct fixture *fixture, uint64_t *ids, size_t first, size_t count) {
    static struct command commands[VOLLEY_COMMANDS];
    static char names[VOLLEY_COMMANDS][USER_NAME_BYTES];
    struct volley volley;
    volley_begin(&volley, fixture);
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "crowd%zu", first + i);
        commands[i] = (struct command){ .type = COMMAND_USER_CREATE,
                                        .in.user_create = { .username = names[i], .display_name = names[i], .device_name = "d" } };
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    }
    volley_wait(&volley);
    for (size_t i = 0; i < count; i++) {
        ids[i] = commands[i].out.id;
        command_release(&commands[i]);
    }
}

static uint64_t make_channel(struct fixture *fixture, uint64_t owner_id) {
    struct command command = { .type = COMMAND_CHAT_CREATE,
                               .actor_id = owner_id,
                               .in.chat_create = { .type = CHAT_CHANNEL, .title = "News", .history = HISTORY_ALL, .is_public = true } };
    assert_int_equal(store_run(fixture->store, &command), OK);
    uint64_t id = command.out.id;
    command_release(&command);
    return id;
}

static uint32_t add_followers(struct fixture *fixture, uint64_t chat_id, const uint64_t *ids, size_t count) {
    struct command command = { .type = COMMAND_FOLLOWERS_ADD, .in.followers_add = { chat_id, ids, count } };
    assert_int_equal(store_run(fixture->store, &command), OK);
    command_release(&command);
    return command.out.followers.added;
}

static struct crowd *gather(struct fixture *fixture) {
    static struct crowd crowd;
    crowd = (struct crowd){ .followers = is_on_mariadb() ? FEW_FOLLOWERS : FOLLOWERS };
    crowd.count = crowd.followers + LEFT_OVER;
    for (size_t i = 0; i < crowd.count; i += LEFT_OVER)
        make_users(fixture, crowd.ids + i, i, LEFT_OVER);
    crowd.owner = make_user(fixture, "owner");
    crowd.admin = make_user(fixture, "admin");
    crowd.chat = make_channel(fixture, crowd.owner);
    assert_int_equal(put_member(fixture, crowd.admin, crowd.chat, crowd.admin, ROLE_NONE), OK);
    assert_int_equal(put_member(fixture, crowd.owner, crowd.chat, crowd.admin, ROLE_ADMIN), OK);
    for (size_t i = 0; i < crowd.followers; i += LIMIT_FOLLOWERS_AT_ONCE)
        assert_int_equal(add_followers(fixture, crowd.chat, crowd.ids + i, LIMIT_FOLLOWERS_AT_ONCE), LIMIT_FOLLOWERS_AT_ONCE);
    return &crowd;
}

static void analyse(struct fixture *fixture) {
    if (!is_on_mariadb())
        return;
    struct db *db = open_database(fixture->url, DB_WRITER);
    assert_int_equal(db->driver->execute(db, "ANALYZE TABLE stay, event, chat, user, reaction"), OK);
    db_close(db);
}

/* ---- What is measured --------------------------------------------------------------------------------------------------------------- */

static void check_work(uint64_t work, const char *what) {
    if (work > WORK)
        fail_msg("%s took %llu", what, (unsigned long long)work);
}

static void check(const struct meter *meter, const char *what) { check_work(meter_end(meter), what); }

static void run(struct fixture *fixture, const char *what, struct command command) {
    check_work(meter_run(fixture, &command), what);
    command_release(&command);
}

static struct command put_command(uint64_t actor_id, uint64_t chat_id, uint64_t user_id, enum role role) {
    return (struct command){ .type = COMMAND_MEMBER_PUT, .actor_id = actor_id, .in.member_put = { chat_id, user_id, role } };
}

static struct command remove_command(uint64_t actor_id, uint64_t chat_id, uint64_t user_id) {
    return (struct command){ .type = COMMAND_MEMBER_REMOVE, .actor_id = actor_id, .in.member_remove = { chat_id, user_id } };
}

static void check_writing(struct fixture *fixture, const struct crowd *crowd, uint64_t message_id) {
    uint64_t one = crowd->ids[1], guest = crowd->ids[crowd->followers];
    const struct command post = { .type = COMMAND_MESSAGE_POST,
                                  .actor_id = crowd->admin,
                                  .in.message_post = { .chat_id = crowd->chat, .text = "m", .text_size = 1 } };
    struct command react = { .type = COMMAND_MESSAGE_REACT,
                             .actor_id = one,
                             .in.message_react = { .chat_id = crowd->chat, .message_id = message_id, .emoji = "+", .on = true } };
    run(fixture, "posting", post);
    run(fixture, "reacting", react);
    react.in.message_react.on = false;
    run(fixture, "taking a reaction back", react);
    run(fixture, "following", put_command(guest, crowd->chat, guest, ROLE_NONE));
    run(fixture, "promoting", put_command(crowd->owner, crowd->chat, one, ROLE_OWNER));
    run(fixture, "demoting", put_command(crowd->owner, crowd->chat, one, ROLE_MEMBER));
    run(fixture, "leaving", remove_command(guest, crowd->chat, guest));
    run(fixture, "an owner's leaving", remove_command(crowd->owner, crowd->chat, crowd->owner));
    run(fixture, "coming back", put_command(crowd->owner, crowd->chat, crowd->owner, ROLE_NONE));
    run(fixture, "handing over", put_command(crowd->admin, crowd->chat, crowd->owner, ROLE_OWNER));
    run(fixture, "becoming an admin again", put_command(crowd->owner, crowd->chat, crowd->admin, ROLE_ADMIN));
}

static void check_lists(struct fixture *fixture, const struct crowd *crowd, uint64_t message_id) {
    struct chat_of_member *chats;
    struct stay *stays;
    struct reaction *reactions;
    struct presence_row *rows;
    size_t count;
    bool more;
    const struct reaction_request wanted = { crowd->chat, message_id, "+", 0, 10 };
    uint64_t head = 0;
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    struct meter meter = meter_start(fixture->reader->db);
    assert_int_equal(read_members(fixture->reader, crowd->ids[5], crowd->chat, 0, 100, &fixture->arena, &stays, &count), OK);
    check(&meter, "listing members");
    assert_int_equal(count, 2);
    meter = meter_start(fixture->reader->db);
    assert_int_equal(read_chats(fixture->reader, crowd->ids[5], &(struct chat_page){ .limit = 10 }, &fixture->arena, &chats, &count, &more),
                     OK);
    check(&meter, "listing chats");
    assert_int_equal(count, 1);
    meter = meter_start(fixture->reader->db);
    assert_int_equal(read_reactions(fixture->reader, crowd->ids[5], &wanted, &fixture->arena, &reactions, &count), OK);
    check(&meter, "listing reactions");
    meter = meter_start(fixture->reader->db);
    assert_int_equal(read_presence(fixture->reader, crowd->ids[5], &crowd->ids[6], 2, &fixture->arena, &rows, &count), OK);
    check(&meter, "asking for presence");
    assert_int_equal(count, 0);
    read_end(fixture->reader);
}

static void check_marks(struct fixture *fixture, const struct crowd *crowd) {
    struct audience audience;
    uint64_t chat_ids[LIMIT_RECEIPT_CHATS];
    size_t count;
    const struct delivery_range range = { .after_id = 0, .up_to_id = store_head(fixture->store), .members = UINT32_MAX };
    uint64_t head = 0;
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    struct meter meter = meter_start(fixture->reader->db);
    assert_int_equal(read_audience(fixture->reader, crowd->chat, UINT32_MAX, &fixture->arena, &audience), OK);
    assert_int_equal(audience.count, 0);
    assert_int_equal(read_delivered_chats(fixture->reader, crowd->ids[5], &range, chat_ids, &count), OK);
    check(&meter, "telling of marks");
    assert_int_equal(count, 0);
    read_end(fixture->reader);
}

/* An edit, and somebody who leaves before it, so that who follows the log asks who has left; and the events by which a channel begins. */
static void check_log(struct fixture *fixture, const struct crowd *crowd) {
    uint64_t head = 0, after_id = store_head(fixture->store);
    struct feed_page page;
    uint64_t message_id = post_ok(fixture, crowd->owner, crowd->chat, "soon edited"), other = make_channel(fixture, crowd->owner);
    assert_int_equal(remove_member(fixture, crowd->ids[2], crowd->chat, crowd->ids[2]), OK);
    assert_int_equal(edit(fixture, crowd->owner, crowd->chat, message_id, "edited"), OK);
    assert_int_equal(read_begin(fixture->reader, &head), OK);
    struct meter meter = meter_start(fixture->reader->db);
    assert_int_equal(read_log(fixture->reader, after_id, &page), OK);
    check(&meter, "following the log");
    assert_int_equal(page.count, 4);
    assert_int_equal(page.frames[1]->member_count, 1);
    feed_page_release(&page);
    meter = meter_start(fixture->reader->db);
    assert_int_equal(read_feed(fixture->reader, crowd->ids[5], after_id, &page), OK);
    check(&meter, "reading a feed");
    assert_int_equal(page.count, 2);
    feed_page_release(&page);
    read_end(fixture->reader);
    assert_int_equal(remove_member(fixture, crowd->owner, other, crowd->owner), OK);
}

static void nothing_walks_over_followers(void **state) {
    struct fixture *fixture = *state;
    const struct crowd *crowd = gather(fixture);
    uint64_t message_id = post_ok(fixture, crowd->owner, crowd->chat, "the first");
    for (int i = 0; i < 2; i++) {
        check_writing(fixture, crowd, message_id);
        check_lists(fixture, crowd, message_id);
        check_marks(fixture, crowd);
        check_log(fixture, crowd);
        assert_int_equal(put_member(fixture, crowd->ids[2], crowd->chat, crowd->ids[2], ROLE_NONE), OK);
        analyse(fixture);
    }
}

/* ---- The end ------------------------------------------------------------------------------------------------------------------------ */

static const struct query open_stays = { "SELECT count(*) FROM stay WHERE left_id = 9223372036854775807" };
static const struct query all_stays = { "SELECT count(*) FROM stay" };
static const struct query all_chats = { "SELECT count(*) FROM chat" };

static void a_deleted_channel_goes_bit_by_bit(void **state) {
    struct fixture *fixture = *state;
    const struct crowd *crowd = gather(fixture);
    struct feed_page page;
    uint64_t head = 0, after_id = store_head(fixture->store);
    run(fixture, "deleting",
        (struct command){ .type = COMMAND_CHAT_DELETE, .actor_id = crowd->owner, .in.chat_delete = { .chat_id = crowd->chat } });
    for (int swept = 0; swept < 2; swept++) {
        assert_int_equal(count_rows(&fixture->config, &open_stays), swept ? 0 : crowd->followers + 2);
        assert_int_equal(read_begin(fixture->reader, &head), OK);
        assert_int_equal(read_feed(fixture->reader, crowd->ids[5], after_id, &page), OK);
        assert_int_equal(page.count, 1);
        assert_int_equal(page.frames[0]->type, EVENT_CHAT_DELETED);
        feed_page_release(&page);
        read_end(fixture->reader);
        assert_true(sweep_all(fixture) >= (swept ? 0 : crowd->followers));
    }
    fixture->config.retention_ms = 1;
    sweep_all(fixture);
    assert_int_equal(count_rows(&fixture->config, &all_stays), 0);
    assert_int_equal(count_rows(&fixture->config, &all_chats), 0);
}

/* ---- Imports ------------------------------------------------------------------------------------------------------------------------ */

static void an_import_adds_each_once(void **state) {
    struct fixture *fixture = *state;
    uint64_t owner = make_user(fixture, "owner"), ids[6] = { 0 };
    make_users(fixture, ids, 0, 4);
    uint64_t chat = make_channel(fixture, owner);
    const struct command ban = { .type = COMMAND_BAN_PUT, .actor_id = owner, .in.ban_put = { chat, ids[3] } };
    run(fixture, "banning", ban);
    ids[4] = ids[0];
    ids[5] = chat;
    struct command command = { .type = COMMAND_FOLLOWERS_ADD, .in.followers_add = { chat, ids, COUNT_OF(ids) } };
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(store_run(fixture->store, &command), OK);
        assert_int_equal(command.out.followers.added, i ? 0 : 3);
        assert_int_equal(command.out.followers.existed, i ? 4 : 1);
        assert_int_equal(command.out.followers.unknown, 1);
        assert_int_equal(command.out.followers.refused, 1);
        command_release(&command);
    }
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, ids[0], chat, &seen), OK);
    assert_int_equal(seen.chat.member_count, 4);
    assert_int_equal(seen.chat.last_rev, 1);
}

static void only_channels_have_followers(void **state) {
    struct fixture *fixture = *state;
    uint64_t owner = make_user(fixture, "owner"), group = make_group(fixture, owner, NULL, 0), chat = make_channel(fixture, owner);
    struct command command = { .type = COMMAND_FOLLOWERS_ADD, .in.followers_add = { group, &owner, 1 } };
    assert_int_equal(store_run(fixture->store, &command), ERR_BAD_FIELD);
    command_release(&command);
    assert_int_equal(remove_member(fixture, owner, chat, owner), OK);
    command.in.followers_add.chat_id = chat;
    assert_int_equal(store_run(fixture->store, &command), ERR_NOT_FOUND);
    command_release(&command);
}

int main(void) {
    alarm(300);
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nothing_walks_over_followers),
        TEST(a_deleted_channel_goes_bit_by_bit),
        TEST(an_import_adds_each_once),
        TEST(only_channels_have_followers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
