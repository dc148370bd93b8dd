/* Media, and messages that go by themselves: what is refused, who sees what, what is kept and what is released, one rule after the other. That all of it
 * holds together is db_model_test's business. */
#include "db_support.h"
#include "unit.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"

#define SECOND_MS INT64_C(1000)
#define HOUR_MS (3600 * SECOND_MS)
#define DAY_MS (24 * HOUR_MS)

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

static struct command create_command(uint64_t user_id, int64_t size) {
    return (struct command){ .type = COMMAND_MEDIA_CREATE,
                             .actor_id = user_id,
                             .in.media_create = { .media = { .content_type = "image/png", .size = size, .file_name = "a \"cat\".png" },
                                                  .upload_until_ms = atomic_load(&wall_ms) + HOUR_MS } };
}

static enum err run(struct fixture *fixture, struct command *command) {
    enum err err = store_run(fixture->store, command);
    command_release(command);
    return err;
}

static uint64_t create(struct fixture *fixture, uint64_t user_id, int64_t size) {
    struct command command = create_command(user_id, size);
    assert_int_equal(run(fixture, &command), OK);
    return command.out.id;
}

static enum err complete(struct fixture *fixture, uint64_t user_id, uint64_t media_id) {
    struct command command = { .type = COMMAND_MEDIA_COMPLETE, .actor_id = user_id, .in.media_complete = { media_id } };
    return run(fixture, &command);
}

static uint64_t ready(struct fixture *fixture, uint64_t user_id) {
    uint64_t media_id = create(fixture, user_id, 1000);
    assert_int_equal(complete(fixture, user_id, media_id), OK);
    return media_id;
}

static enum err delete_media(struct fixture *fixture, uint64_t user_id, uint64_t media_id) {
    struct command command = { .type = COMMAND_MEDIA_DELETE, .actor_id = user_id, .in.media_delete = { media_id } };
    return run(fixture, &command);
}

static enum err sign(struct fixture *fixture, uint64_t user_id, uint64_t media_id, int64_t until_ms) {
    struct command command = { .type = COMMAND_MEDIA_SIGN, .actor_id = user_id, .in.media_sign = { media_id, until_ms } };
    return run(fixture, &command);
}

static enum err begin(struct fixture *fixture, uint64_t user_id, uint64_t media_id, const char *upload_id) {
    struct command command = { .type = COMMAND_MEDIA_BEGIN, .actor_id = user_id, .in.media_begin = { media_id, upload_id } };
    return run(fixture, &command);
}

static uint64_t forget(struct fixture *fixture, uint64_t media_id) {
    struct command command = { .type = COMMAND_MEDIA_FORGET, .in.media_forget = { &media_id, 1 } };
    assert_int_equal(run(fixture, &command), OK);
    return command.out.sweep.rows;
}

static struct command post_command(uint64_t user_id, uint64_t chat_id, const uint64_t *media_ids, size_t count) {
    return (struct command){ .type = COMMAND_MESSAGE_POST,
                             .actor_id = user_id,
                             .in.message_post = {
                                 .chat_id = chat_id, .text = "look", .text_size = 4, .media_ids = media_ids, .media_count = count } };
}

static enum err attach(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t media_id) {
    struct command command = post_command(user_id, chat_id, &media_id, 1);
    return run(fixture, &command);
}

static uint64_t attach_ok(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t media_id) {
    struct command command = post_command(user_id, chat_id, &media_id, 1);
    assert_int_equal(run(fixture, &command), OK);
    return command.out.id;
}

static uint64_t post_for(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, int64_t ttl_ms) {
    struct command command = post_command(user_id, chat_id, NULL, 0);
    command.in.message_post.ttl_ms = ttl_ms;
    assert_int_equal(run(fixture, &command), OK);
    return command.out.id;
}

/* The row, whatever its state; false: there is none. */
static bool find_row(struct fixture *fixture, uint64_t media_id, struct media *ret_media) {
    struct media *media = NULL;
    size_t count = 0;
    assert_int_equal(read_media_set(fixture->reader, &media_id, 1, &fixture->arena, &media, &count), OK);
    if (count == 1)
        *ret_media = media[0];
    return count == 1;
}

static struct media row_of(struct fixture *fixture, uint64_t media_id) {
    struct media media = { 0 };
    assert_true(find_row(fixture, media_id, &media));
    return media;
}

static enum err see(struct fixture *fixture, uint64_t user_id, uint64_t media_id) {
    struct media media;
    return read_media(fixture->reader, user_id, media_id, &fixture->arena, &media);
}

static int64_t bytes_of(struct fixture *fixture, uint64_t user_id) {
    struct user user;
    assert_int_equal(read_user(fixture->reader, user_id, &fixture->arena, &user), OK);
    return user.media_bytes;
}

static uint64_t device_of(struct fixture *fixture, uint64_t user_id) {
    struct device *devices = NULL;
    size_t count = 0;
    assert_int_equal(read_devices(fixture->reader, user_id, &fixture->arena, &devices, &count), OK);
    assert_true(count > 0);
    return devices[count - 1].id;
}

static enum err ack(struct fixture *fixture, uint64_t user_id, uint64_t id) {
    struct command command = {
        .type = COMMAND_EVENTS_ACK, .actor_id = user_id, .device_id = device_of(fixture, user_id), .in.events_ack = { id }
    };
    return run(fixture, &command);
}

static struct message message_of(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t message_id) {
    struct message message;
    assert_int_equal(find_message(fixture, user_id, chat_id, message_id, &message), OK);
    return message;
}

static enum err update_chat(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, int64_t ttl_ms, bool until_delivered) {
    struct command command = { .type = COMMAND_CHAT_UPDATE,
                               .actor_id = user_id,
                               .in.chat_update = { .chat_id = chat_id,
                                                   .set_ttl = true,
                                                   .message_ttl_ms = ttl_ms,
                                                   .set_until_delivered = true,
                                                   .until_delivered = until_delivered } };
    return run(fixture, &command);
}

static uint64_t make_direct(struct fixture *fixture, uint64_t user_id, uint64_t peer_id) {
    struct command command = { .type = COMMAND_CHAT_CREATE,
                               .actor_id = user_id,
                               .in.chat_create = { .type = CHAT_DIRECT, .member_ids = &peer_id, .member_count = 1 } };
    assert_int_equal(run(fixture, &command), OK);
    return command.out.id;
}

static const struct query count_attachments = { "SELECT count(*) FROM attachment" };
static const struct query count_expiries = { "SELECT count(*) FROM expiry" };
static const struct query count_deliveries = { "SELECT count(*) FROM delivery" };
static const struct query count_contents = {
    "SELECT count(*) FROM event WHERE is_message = 1 AND (body IS NOT NULL OR attachments IS NOT NULL)"
};

static bool contains(const char *bytes, size_t size, const char *text) { return memmem(bytes, size, text, strlen(text)) != NULL; }

/* ---- A media's life ----------------------------------------------------------------------------------------------------------------- */

static void a_media_lives_from_upload_to_grace(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    uint64_t id = create(fixture, ann, 1000);
    struct media media = row_of(fixture, id);
    assert_true(media.state == MEDIA_PENDING && media.owner_id == ann && media.size == 1000);
    assert_string_equal(media.file_name, "a \"cat\".png");
    assert_int_equal(media.expires_ms, atomic_load(&wall_ms) + fixture->config.media_unused_ms);
    assert_int_equal(bytes_of(fixture, ann), 1000);
    pass_time(SECOND_MS);
    assert_int_equal(complete(fixture, ann, id), OK);
    media = row_of(fixture, id);
    assert_true(media.state == MEDIA_READY && media.expires_ms == atomic_load(&wall_ms) + fixture->config.media_unused_ms);
    uint64_t message = attach_ok(fixture, ann, chat, id);
    assert_true(row_of(fixture, id).expires_ms == MEDIA_NEVER);
    pass_time(3 * DAY_MS);
    sweep_all(fixture);
    assert_int_equal(row_of(fixture, id).state, MEDIA_READY);
    assert_int_equal(delete_message(fixture, ann, chat, message), OK);
    assert_int_equal(row_of(fixture, id).expires_ms, atomic_load(&wall_ms) + fixture->config.media_grace_ms);
    pass_time(fixture->config.media_grace_ms - 1);
    sweep_all(fixture);
    assert_int_equal(row_of(fixture, id).state, MEDIA_READY);
    pass_time(1);
    sweep_all(fixture);
    assert_int_equal(row_of(fixture, id).state, MEDIA_DOOMED);
    assert_int_equal(see(fixture, ann, id), ERR_NOT_FOUND);
    assert_int_equal(bytes_of(fixture, ann), 1000);
    assert_int_equal(forget(fixture, id), 1);
    assert_false(find_row(fixture, id, &media));
    assert_int_equal(bytes_of(fixture, ann), 0);
}

static void what_was_never_used_is_doomed(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), pending = create(fixture, ann, 10), unused = ready(fixture, ann);
    struct command sweep = { .type = COMMAND_SWEEP, .in.sweep = { .kind = SWEEP_MEDIA, .dry_run = true } };
    pass_time(fixture->config.media_unused_ms - 1);
    sweep_all(fixture);
    assert_true(row_of(fixture, pending).state == MEDIA_PENDING && row_of(fixture, unused).state == MEDIA_READY);
    pass_time(1 + SECOND_MS);
    assert_int_equal(store_run(fixture->store, &sweep), OK);
    assert_true(sweep.out.sweep.rows == 2 && sweep.out.sweep.bytes == 1010 && sweep.out.sweep.overdue_ms == SECOND_MS);
    assert_int_equal(row_of(fixture, pending).state, MEDIA_PENDING);
    assert_int_equal(sweep_all(fixture), 2);
    assert_true(row_of(fixture, pending).state == MEDIA_DOOMED && row_of(fixture, unused).state == MEDIA_DOOMED);
    struct media *doomed = NULL;
    size_t count = 0;
    int64_t overdue_ms = 0;
    assert_int_equal(read_doomed(fixture->reader, 10, &fixture->arena, &doomed, &count, &overdue_ms), OK);
    assert_true(count == 2 && overdue_ms == SECOND_MS);
}

static void limits_of_a_user_are_kept(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann");
    fixture->config.media_pending = 2;
    fixture->config.media_quota = 5000;
    uint64_t first = create(fixture, ann, 1000), second = create(fixture, ann, 1000);
    struct command command = create_command(ann, 1000);
    assert_int_equal(run(fixture, &command), ERR_TOO_MANY_UPLOADS);
    assert_int_equal(complete(fixture, ann, first), OK);
    command = create_command(ann, 3001);
    assert_int_equal(run(fixture, &command), ERR_MEDIA_QUOTA);
    uint64_t third = create(fixture, ann, 3000);
    assert_int_equal(delete_media(fixture, ann, second), OK);
    command = create_command(ann, 1);
    assert_int_equal(run(fixture, &command), ERR_MEDIA_QUOTA); /* the bytes are there until the object is gone */
    assert_int_equal(delete_media(fixture, ann, third), OK);
    pass_time(2 * HOUR_MS);
    assert_int_equal(forget(fixture, second), 0); /* its URL had not ended when it was deleted */
    assert_int_equal(forget(fixture, second), 1);
    assert_int_equal(bytes_of(fixture, ann), 4000);
    command = create_command(ann, 1001);
    assert_int_equal(run(fixture, &command), ERR_MEDIA_QUOTA);
    create(fixture, ann, 1000);
    fixture->config.media_quota = 0;
    create(fixture, ann, INT64_C(1) << 50);
}

/* Several of one batch count together. */
static void limits_hold_within_a_batch(void **state) {
    struct fixture *fixture = *state;
    static struct volley volley;
    uint64_t ann = make_user(fixture, "ann");
    struct command commands[4];
    fixture->config.media_pending = 2;
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        commands[i] = create_command(ann, 10);
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    }
    volley_wait(&volley);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        assert_int_equal(commands[i].refusal.err, i < 2 ? OK : ERR_TOO_MANY_UPLOADS);
        command_release(&commands[i]);
    }
    assert_int_equal(bytes_of(fixture, ann), 20);
}

static void a_key_answers_the_same_media(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann");
    struct command first = create_command(ann, 1000), again = create_command(ann, 1000);
    first.idempotency = again.idempotency = (struct idempotency){ .given = true, .key = 7 };
    assert_int_equal(store_run(fixture->store, &first), OK);
    assert_true(!first.out.existed && first.out.media.state == MEDIA_PENDING);
    assert_string_equal(first.out.media.file_name, "a \"cat\".png");
    assert_int_equal(begin(fixture, ann, first.out.id, "upload"), OK);
    assert_int_equal(store_run(fixture->store, &again), OK);
    assert_true(again.out.existed && again.out.media.id == first.out.id);
    assert_memory_equal(again.out.media.token, first.out.media.token, MEDIA_TOKEN_BYTES);
    assert_string_equal(again.out.media.upload_id, "upload");
    assert_int_equal(bytes_of(fixture, ann), 1000);
    assert_int_equal(delete_media(fixture, ann, first.out.id), OK);
    command_release(&first);
    command_release(&again);
    again = create_command(ann, 1000);
    again.idempotency = (struct idempotency){ .given = true, .key = 7 };
    assert_int_equal(run(fixture, &again), ERR_NOT_FOUND);
    again = create_command(ann, 1000);
    again.idempotency = (struct idempotency){ .given = true, .key = 7, .request = { 1 } };
    assert_int_equal(run(fixture, &again), ERR_IDEMPOTENCY_MISMATCH);
}

static void somebody_else_s_media_is_not_there(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), eve = make_user(fixture, "eve"), id = create(fixture, ann, 10);
    uint64_t ids[] = { id, 12345 };
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        assert_int_equal(begin(fixture, eve, ids[i], "upload"), ERR_NOT_FOUND);
        assert_int_equal(sign(fixture, eve, ids[i], atomic_load(&wall_ms)), ERR_NOT_FOUND);
        assert_int_equal(complete(fixture, eve, ids[i]), ERR_NOT_FOUND);
        assert_int_equal(delete_media(fixture, eve, ids[i]), ERR_NOT_FOUND);
        assert_int_equal(see(fixture, eve, ids[i]), ERR_NOT_FOUND);
    }
    assert_int_equal(see(fixture, ann, id), OK);
    assert_int_equal(delete_media(fixture, ann, id), OK);
    assert_int_equal(delete_media(fixture, ann, id), ERR_NOT_FOUND);
    assert_int_equal(complete(fixture, ann, id), ERR_NOT_FOUND);
    assert_int_equal(sign(fixture, ann, id, atomic_load(&wall_ms)), ERR_NOT_FOUND);
}

static void an_upload_is_begun_once_and_signed_until_it_is_complete(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), id = create(fixture, ann, 10);
    int64_t until_ms = row_of(fixture, id).upload_until_ms;
    assert_int_equal(begin(fixture, ann, id, "first"), OK);
    assert_int_equal(begin(fixture, ann, id, "second"), ERR_CONFLICT);
    assert_string_equal(row_of(fixture, id).upload_id, "first");
    assert_int_equal(sign(fixture, ann, id, until_ms + 5), OK);
    assert_int_equal(sign(fixture, ann, id, until_ms + 3), OK);
    assert_int_equal(row_of(fixture, id).upload_until_ms, until_ms + 5);
    struct command command = { .type = COMMAND_MEDIA_COMPLETE, .actor_id = ann, .in.media_complete = { id } };
    assert_int_equal(run(fixture, &command), OK);
    assert_false(command.out.existed);
    assert_int_equal(run(fixture, &command), OK);
    assert_true(command.out.existed);
    assert_int_equal(sign(fixture, ann, id, until_ms + 9), ERR_CONFLICT);
    assert_int_equal(begin(fixture, ann, id, "third"), ERR_CONFLICT);
}

/* An upload URL may put the object back after it was deleted: the row stays until a deletion that began after the URL's end. */
static void rows_outlive_their_upload_urls(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), id = create(fixture, ann, 10);
    int64_t until_ms = row_of(fixture, id).upload_until_ms;
    assert_int_equal(forget(fixture, id), 0); /* not doomed */
    assert_int_equal(delete_media(fixture, ann, id), OK);
    assert_int_equal(forget(fixture, id), 0);
    assert_int_equal(row_of(fixture, id).expires_ms, until_ms + SECOND_MS);
    assert_int_equal(forget(fixture, id), 0); /* not due */
    atomic_store(&wall_ms, until_ms + SECOND_MS);
    assert_int_equal(forget(fixture, id), 1);
    assert_int_equal(forget(fixture, id), 0);
    assert_int_equal(bytes_of(fixture, ann), 0);
}

/* ---- Messages that refer to media --------------------------------------------------------------------------------------------------- */

static void a_message_shows_what_is_attached(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    uint64_t ids[] = { ready(fixture, ann), ready(fixture, ann) };
    char expected[128];
    struct command command = post_command(ann, chat, ids, 2);
    assert_int_equal(store_run(fixture->store, &command), OK);
    const struct frame *frame = command.out.frame;
    snprintf(expected, sizeof expected,
             "\"text\":\"look\",\"attachments\":[{\"id\":\"%llu\",\"content_type\":\"image/png\",\"size\":1000,\"md5\":\"",
             (unsigned long long)ids[0]);
    assert_true(contains(frame->bytes + frame->object, frame->object_size, expected));
    assert_true(contains(frame->bytes, frame->size, "\"file_name\":\"a \\\"cat\\\".png\"},{\"id\":\""));
    assert_false(contains(frame->bytes, frame->size, "expires_at"));
    struct message message = message_of(fixture, ann, chat, command.out.id);
    assert_true(contains(frame->bytes, frame->size, message.attachments));
    assert_int_equal(edit(fixture, ann, chat, message.id, "look again"), OK);
    struct message edited = message_of(fixture, ann, chat, message.id);
    assert_string_equal(edited.attachments, message.attachments);
    assert_int_equal(delete_message(fixture, ann, chat, message.id), OK);
    assert_null(message_of(fixture, ann, chat, message.id).attachments);
    assert_int_equal(count_rows(&fixture->config, &count_attachments), 0);
    command_release(&command);
}

static void only_what_is_ready_and_seen_can_be_attached(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), eve = make_user(fixture, "eve");
    uint64_t chat = make_group(fixture, ann, NULL, 0), hers = make_group(fixture, eve, NULL, 0);
    uint64_t pending = create(fixture, ann, 10), doomed = ready(fixture, ann), good = ready(fixture, ann);
    assert_int_equal(delete_media(fixture, ann, doomed), OK);
    assert_int_equal(attach(fixture, ann, chat, pending), ERR_MEDIA_NOT_READY);
    uint64_t bad_for_eve[] = { pending, doomed, good, 12345 };
    const char *detail = NULL;
    for (size_t i = 0; i < COUNT_OF(bad_for_eve); i++) {
        struct command command = post_command(eve, hers, &bad_for_eve[i], 1);
        assert_int_equal(run(fixture, &command), ERR_BAD_FIELD);
        assert_string_equal(command.refusal.field, "attachments");
        assert_true(!detail || strcmp(detail, command.refusal.detail) == 0);
        detail = command.refusal.detail;
    }
    assert_int_equal(attach(fixture, ann, chat, doomed), ERR_BAD_FIELD);
    assert_int_equal(attach(fixture, ann, chat, 12345), ERR_BAD_FIELD);
    uint64_t mixed[] = { good, pending };
    struct command command = post_command(ann, chat, mixed, 2);
    assert_int_equal(run(fixture, &command), ERR_MEDIA_NOT_READY);
    assert_true(row_of(fixture, good).expires_ms != MEDIA_NEVER);
    assert_int_equal(count_rows(&fixture->config, &count_attachments), 0);
}

/* While `copies` messages that only ann reads have the media, too. */
static void check_readers(struct fixture *fixture, size_t copies) {
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), late = make_user(fixture, "late"),
             eve = make_user(fixture, "eve");
    uint64_t chat = make_group(fixture, ann, &bob, 1), own = make_group(fixture, ann, NULL, 0), id = ready(fixture, ann);
    for (size_t i = 0; i < copies; i++)
        attach_ok(fixture, ann, own, id);
    assert_int_equal(see(fixture, bob, id), ERR_NOT_FOUND);
    uint64_t message = attach_ok(fixture, ann, chat, id);
    assert_int_equal(see(fixture, bob, id), OK);
    assert_int_equal(see(fixture, eve, id), ERR_NOT_FOUND);
    assert_int_equal(put_member(fixture, ann, chat, late, ROLE_MEMBER), OK);
    assert_int_equal(see(fixture, late, id), ERR_NOT_FOUND);
    struct command update = { .type = COMMAND_CHAT_UPDATE,
                              .actor_id = ann,
                              .in.chat_update = { .chat_id = chat, .set_history = true, .history = HISTORY_ALL } };
    assert_int_equal(run(fixture, &update), OK);
    assert_int_equal(see(fixture, late, id), OK);
    assert_int_equal(remove_member(fixture, late, chat, late), OK);
    assert_int_equal(see(fixture, late, id), ERR_NOT_FOUND);
    assert_int_equal(remove_member(fixture, bob, chat, bob), OK);
    assert_int_equal(see(fixture, bob, id), OK); /* it was posted in his stay */
    assert_int_equal(edit(fixture, ann, chat, message, "changed"), OK);
    assert_int_equal(see(fixture, bob, id), ERR_NOT_FOUND); /* the message is withheld */
    assert_int_equal(see(fixture, ann, id), OK);
    for (int i = 0; i < 2; i++) { /* back, and away again */
        assert_int_equal(put_member(fixture, ann, chat, bob, ROLE_MEMBER), OK);
        assert_int_equal(see(fixture, bob, id), OK);
        assert_int_equal(remove_member(fixture, bob, chat, bob), OK);
        assert_int_equal(see(fixture, bob, id), ERR_NOT_FOUND);
    }
    assert_int_equal(see(fixture, eve, id), ERR_NOT_FOUND);
}

static void who_reads_a_message_sees_its_media(void **state) { check_readers(*state, 0); }

static void who_reads_one_of_many_messages_sees_their_media(void **state) { check_readers(*state, 50); }

static void media_of_messages_that_are_gone_are_not_seen(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), id = ready(fixture, ann);
    uint64_t chat = make_group(fixture, ann, &bob, 1), other = make_group(fixture, ann, &bob, 1);
    uint64_t message = attach_ok(fixture, ann, chat, id);
    assert_int_equal(delete_message(fixture, ann, chat, message), OK);
    assert_int_equal(see(fixture, bob, id), ERR_NOT_FOUND);
    struct command expiring = post_command(ann, chat, &id, 1);
    expiring.in.message_post.ttl_ms = 5 * SECOND_MS;
    assert_int_equal(run(fixture, &expiring), OK);
    pass_time(5 * SECOND_MS - 1);
    assert_int_equal(see(fixture, bob, id), OK);
    pass_time(1);
    assert_int_equal(see(fixture, bob, id), ERR_NOT_FOUND);
    assert_int_equal(attach(fixture, bob, other, id), ERR_BAD_FIELD);
    attach_ok(fixture, ann, other, id);
    assert_int_equal(see(fixture, bob, id), OK);
    struct command end = { .type = COMMAND_CHAT_DELETE, .actor_id = ann, .in.chat_delete = { other } };
    assert_int_equal(run(fixture, &end), OK);
    assert_int_equal(see(fixture, bob, id), ERR_NOT_FOUND);
    attach_ok(fixture, ann, chat, id);
    assert_int_equal(see(fixture, bob, id), OK);
    pass_time(fixture->config.retention_ms);
    assert_int_equal(see(fixture, bob, id), ERR_NOT_FOUND);
    sweep_all(fixture);
    assert_int_equal(count_rows(&fixture->config, &count_attachments), 0);
    assert_int_equal(row_of(fixture, id).expires_ms, atomic_load(&wall_ms) + fixture->config.media_grace_ms);
}

static void forwarding_keeps_what_its_owner_let_go(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), eve = make_user(fixture, "eve"), id = ready(fixture, ann);
    uint64_t chat = make_group(fixture, ann, &bob, 1), other = make_group(fixture, bob, &eve, 1);
    uint64_t first = attach_ok(fixture, ann, chat, id), second = attach_ok(fixture, bob, other, id);
    assert_int_equal(see(fixture, eve, id), OK);
    assert_int_equal(delete_media(fixture, ann, id), ERR_MEDIA_IN_USE);
    assert_int_equal(delete_message(fixture, ann, chat, first), OK);
    assert_true(row_of(fixture, id).expires_ms == MEDIA_NEVER);
    assert_int_equal(delete_media(fixture, ann, id), ERR_MEDIA_IN_USE);
    assert_int_equal(see(fixture, eve, id), OK);
    assert_int_equal(delete_message(fixture, bob, other, second), OK);
    assert_int_equal(row_of(fixture, id).expires_ms, atomic_load(&wall_ms) + fixture->config.media_grace_ms);
    pass_time(SECOND_MS);
    attach_ok(fixture, ann, chat, id); /* within its grace it can be used again */
    assert_true(row_of(fixture, id).expires_ms == MEDIA_NEVER);
}

static enum err create_with(struct fixture *fixture, uint64_t user_id, uint64_t thumbnail_id, uint64_t *ret_id) {
    struct command command = create_command(user_id, 10);
    command.in.media_create.media.thumbnail_id = thumbnail_id;
    enum err err = run(fixture, &command);
    *ret_id = command.out.id;
    return err;
}

static void a_thumbnail_goes_where_its_media_goes(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_group(fixture, ann, &bob, 1), id = 0;
    uint64_t thumbnail = ready(fixture, ann);
    pass_time(HOUR_MS);
    assert_int_equal(create_with(fixture, ann, thumbnail, &id), OK);
    assert_int_equal(row_of(fixture, thumbnail).expires_ms, row_of(fixture, id).expires_ms);
    pass_time(HOUR_MS);
    assert_int_equal(complete(fixture, ann, id), OK);
    assert_int_equal(row_of(fixture, thumbnail).expires_ms, row_of(fixture, id).expires_ms);
    uint64_t both[] = { thumbnail, id };
    struct command command = post_command(ann, chat, both, 2); /* it may be attached by itself, too */
    assert_int_equal(run(fixture, &command), OK);
    assert_int_equal(count_rows(&fixture->config, &count_attachments), 2);
    assert_true(row_of(fixture, thumbnail).expires_ms == MEDIA_NEVER);
    assert_int_equal(see(fixture, bob, thumbnail), OK);
    struct message message = message_of(fixture, bob, chat, command.out.id);
    assert_true(contains(message.attachments, message.attachments_size, "\"thumbnail\":{\"id\":"));
    assert_int_equal(delete_message(fixture, ann, chat, command.out.id), OK);
    assert_int_equal(row_of(fixture, thumbnail).expires_ms, row_of(fixture, id).expires_ms);
    assert_int_equal(delete_media(fixture, ann, thumbnail), OK);
    uint64_t bare = attach_ok(fixture, ann, chat, id);
    message = message_of(fixture, bob, chat, bare);
    assert_false(contains(message.attachments, message.attachments_size, "thumbnail"));
}

static void a_thumbnail_is_a_ready_image_of_one_s_own(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), eve = make_user(fixture, "eve"), made = 0;
    struct command command = create_command(ann, 10);
    command.in.media_create.media.content_type = "text/plain";
    assert_int_equal(run(fixture, &command), OK);
    uint64_t text = command.out.id;
    assert_int_equal(complete(fixture, ann, text), OK);
    uint64_t doomed = ready(fixture, ann);
    assert_int_equal(delete_media(fixture, ann, doomed), OK);
    uint64_t bad[] = { text, doomed, create(fixture, ann, 10), ready(fixture, eve), 12345 };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(create_with(fixture, ann, bad[i], &made), ERR_BAD_FIELD);
    assert_int_equal(create_with(fixture, ann, ready(fixture, ann), &made), OK);
}

/* ---- Several commands of one batch -------------------------------------------------------------------------------------------------- */

static void run_as_one(struct fixture *fixture, struct command *commands, size_t count) {
    static struct volley volley;
    volley_begin_shut(&volley, fixture);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(volley_submit(&volley, &commands[i]), OK);
    volley_wait(&volley);
    for (size_t i = 0; i < count; i++)
        command_release(&commands[i]);
}

static void the_later_of_a_batch_sees_the_earlier(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), id = ready(fixture, ann);
    uint64_t message = attach_ok(fixture, ann, chat, id);
    struct command post_again = post_command(ann, chat, &id, 1);
    struct command drop = { .type = COMMAND_MESSAGE_DELETE, .actor_id = ann, .in.message_delete = { chat, message } };
    struct command end = { .type = COMMAND_MEDIA_DELETE, .actor_id = ann, .in.media_delete = { id } };

    struct command refers[] = { drop, post_again };
    run_as_one(fixture, refers, 2);
    assert_true(row_of(fixture, id).expires_ms == MEDIA_NEVER);
    assert_int_equal(count_rows(&fixture->config, &count_attachments), 1);

    drop.in.message_delete.message_id = refers[1].out.id;
    struct command twice[] = { post_again, post_again, drop, drop, end };
    run_as_one(fixture, twice, 5);
    assert_true(twice[4].refusal.err == ERR_MEDIA_IN_USE && row_of(fixture, id).expires_ms == MEDIA_NEVER);
    assert_int_equal(count_rows(&fixture->config, &count_attachments), 2);

    struct command first = drop, second = drop;
    first.in.message_delete.message_id = twice[0].out.id;
    second.in.message_delete.message_id = twice[1].out.id;
    struct command ends[] = { first, end, second, end, post_again };
    run_as_one(fixture, ends, 5);
    assert_int_equal(ends[1].refusal.err, ERR_MEDIA_IN_USE);
    assert_int_equal(ends[3].refusal.err, OK);
    assert_int_equal(ends[4].refusal.err, ERR_BAD_FIELD);
    assert_int_equal(row_of(fixture, id).state, MEDIA_DOOMED);
    assert_int_equal(count_rows(&fixture->config, &count_attachments), 0);
}

/* ---- Messages with a time of their own ---------------------------------------------------------------------------------------------- */

static void check_expired(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, const struct message *before) {
    struct message message = message_of(fixture, user_id, chat_id, before->id);
    assert_null(message.text);
    assert_null(message.attachments);
    assert_null(message.client_key);
    assert_int_equal(message.deleted_ms, before->expires_ms);
    assert_true(message.seq == before->seq && message.rev == before->rev && !message.original);
    assert_memory_equal(message.chain, before->chain, HASH128_SIZE);
    size_t count = 0;
    struct frame **frames = feed_of(fixture, user_id, 0, &count);
    assert_false(contains(frames[1]->bytes, frames[1]->size, "look"));
    assert_true(contains(frames[1]->bytes, frames[1]->size, "\"deleted_at\""));
    assert_false(contains(frames[1]->bytes, frames[1]->size, "expires_at"));
    drop_all(frames, count);
}

static void an_expired_message_is_gone_at_once_and_stays_so(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), id = ready(fixture, ann);
    struct command command = post_command(ann, chat, &id, 1);
    command.in.message_post.ttl_ms = 10 * SECOND_MS;
    command.in.message_post.client_key = "mine";
    command.idempotency = (struct idempotency){ .given = true, .key = 3 };
    struct command again = command;
    assert_int_equal(store_run(fixture->store, &command), OK);
    assert_true(contains(command.out.frame->bytes, command.out.frame->size, "\"expires_at\":\""));
    assert_int_equal(command.out.frame->expires_ms, atomic_load(&wall_ms) + 10 * SECOND_MS);
    command_release(&command);
    struct message before = message_of(fixture, ann, chat, command.out.id);
    pass_time(10 * SECOND_MS);
    check_expired(fixture, ann, chat, &before);
    assert_int_equal(edit(fixture, ann, chat, before.id, "later"), ERR_NOT_FOUND);
    assert_int_equal(delete_message(fixture, ann, chat, before.id), ERR_NOT_FOUND);
    assert_int_equal(store_run(fixture->store, &again), OK);
    assert_true(again.out.existed && again.out.id == before.id);
    assert_true(contains(again.out.frame->bytes, again.out.frame->size, "\"deleted\":true"));
    command_release(&again);
    assert_int_equal(delete_media(fixture, ann, id), ERR_MEDIA_IN_USE);
    pass_time(SECOND_MS);
    struct command sweep = { .type = COMMAND_SWEEP, .in.sweep = { .kind = SWEEP_EXPIRED, .dry_run = true } };
    assert_int_equal(run(fixture, &sweep), OK);
    assert_true(sweep.out.sweep.rows == 1 && sweep.out.sweep.overdue_ms == SECOND_MS && !sweep.out.sweep.more);
    assert_int_equal(sweep_all(fixture), 1);
    check_expired(fixture, ann, chat, &before);
    assert_int_equal(count_rows(&fixture->config, &count_expiries), 0);
    assert_int_equal(count_rows(&fixture->config, &count_contents), 0);
    assert_int_equal(row_of(fixture, id).expires_ms, atomic_load(&wall_ms) + fixture->config.media_grace_ms);
}

static void the_shorter_time_counts(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    int64_t now_ms = atomic_load(&wall_ms);
    uint64_t forever = post_ok(fixture, ann, chat, "before");
    assert_int_equal(update_chat(fixture, ann, chat, HOUR_MS, false), OK);
    assert_int_equal(message_of(fixture, ann, chat, forever).expires_ms, 0);
    assert_int_equal(message_of(fixture, ann, chat, post_for(fixture, ann, chat, 0)).expires_ms, now_ms + HOUR_MS);
    assert_int_equal(message_of(fixture, ann, chat, post_for(fixture, ann, chat, SECOND_MS)).expires_ms, now_ms + SECOND_MS);
    assert_int_equal(message_of(fixture, ann, chat, post_for(fixture, ann, chat, DAY_MS)).expires_ms, now_ms + HOUR_MS);
    assert_int_equal(update_chat(fixture, ann, chat, 0, false), OK);
    uint64_t late = post_for(fixture, ann, chat, DAY_MS);
    assert_int_equal(message_of(fixture, ann, chat, late).expires_ms, now_ms + DAY_MS);
    assert_int_equal(count_rows(&fixture->config, &count_expiries), 4);
    assert_int_equal(delete_message(fixture, ann, chat, late), OK);
    assert_int_equal(count_rows(&fixture->config, &count_expiries), 3);
    pass_time(fixture->config.retention_ms);
    sweep_all(fixture);
    assert_int_equal(count_rows(&fixture->config, &count_expiries), 0);
}

static void who_may_say_how_long_messages_stay(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), eve = make_user(fixture, "eve");
    uint64_t group = make_group(fixture, ann, &bob, 1), direct = make_direct(fixture, ann, bob);
    assert_int_equal(update_chat(fixture, bob, group, HOUR_MS, false), ERR_FORBIDDEN);
    assert_int_equal(update_chat(fixture, ann, group, HOUR_MS, false), OK);
    assert_int_equal(update_chat(fixture, bob, direct, HOUR_MS, true), OK);
    assert_int_equal(update_chat(fixture, eve, direct, HOUR_MS, false), ERR_NOT_FOUND);
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, ann, direct, &seen), OK);
    assert_true(seen.chat.message_ttl_ms == HOUR_MS && seen.chat.until_delivered);
    struct command command = { .type = COMMAND_CHAT_UPDATE,
                               .actor_id = ann,
                               .in.chat_update = { .chat_id = direct, .title = "x", .set_ttl = true } };
    assert_int_equal(run(fixture, &command), ERR_DIRECT_CHAT);
    uint64_t before = store_head(fixture->store);
    assert_int_equal(update_chat(fixture, bob, direct, HOUR_MS, true), OK);
    assert_int_equal(store_head(fixture->store), before); /* nothing changed */
    assert_int_equal(count_rows(&fixture->config, &count_deliveries), 1);
    assert_int_equal(update_chat(fixture, ann, direct, HOUR_MS, false), OK);
    assert_int_equal(count_rows(&fixture->config, &count_deliveries), 0);
}

/* ---- Until delivered ---------------------------------------------------------------------------------------------------------------- */

static bool is_blank(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t message_id) {
    struct message message = message_of(fixture, user_id, chat_id, message_id);
    return message.deleted_ms != 0 && !message.text;
}

static void what_everybody_has_goes(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_direct(fixture, ann, bob);
    assert_int_equal(update_chat(fixture, ann, chat, 0, true), OK);
    uint64_t first = post_ok(fixture, ann, chat, "one"), second = post_ok(fixture, bob, chat, "two");
    assert_int_equal(ack(fixture, ann, store_head(fixture->store) + 1), ERR_BAD_FIELD);
    assert_int_equal(ack(fixture, ann, second), OK);
    assert_int_equal(sweep_all(fixture), 0);
    assert_int_equal(ack(fixture, bob, first), OK);
    pass_time(SECOND_MS);
    assert_int_equal(sweep_all(fixture), 1);
    assert_true(is_blank(fixture, ann, chat, first) && !is_blank(fixture, ann, chat, second));
    assert_int_equal(message_of(fixture, ann, chat, first).deleted_ms, atomic_load(&wall_ms));
    assert_int_equal(ack(fixture, bob, second), OK);
    assert_int_equal(ack(fixture, bob, first), OK); /* it never goes back */
    assert_int_equal(sweep_all(fixture), 1);
    assert_true(is_blank(fixture, bob, chat, second));
    uint64_t third = post_ok(fixture, ann, chat, "three");
    assert_int_equal(update_chat(fixture, bob, chat, 0, false), OK);
    assert_int_equal(ack(fixture, ann, third), OK);
    assert_int_equal(ack(fixture, bob, third), OK);
    assert_int_equal(sweep_all(fixture), 0);
}

/* A member who left holds back what was said in the stay, and nothing later. */
static void who_left_holds_back_no_more_than_the_stay(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_group(fixture, ann, &bob, 1);
    assert_int_equal(update_chat(fixture, ann, chat, 0, true), OK);
    uint64_t within = post_ok(fixture, ann, chat, "within");
    assert_int_equal(remove_member(fixture, ann, chat, bob), OK);
    uint64_t left = store_head(fixture->store), after = post_ok(fixture, ann, chat, "after");
    assert_int_equal(ack(fixture, ann, after), OK);
    assert_int_equal(sweep_all(fixture), 0);
    assert_int_equal(ack(fixture, bob, left), OK);
    assert_int_equal(sweep_all(fixture), 2);
    assert_true(is_blank(fixture, ann, chat, within) && is_blank(fixture, ann, chat, after));
}

static void dormant_and_new_devices_hold_nothing_back(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_direct(fixture, ann, bob);
    assert_int_equal(update_chat(fixture, ann, chat, 0, true), OK);
    uint64_t first = post_ok(fixture, ann, chat, "one");
    uint64_t carl = make_user(fixture, "carl"), group = make_group(fixture, ann, &carl, 1);
    assert_int_equal(update_chat(fixture, ann, group, 0, true), OK);
    fixture->config.retention_ms = CONFIG_FOREVER;
    pass_time(fixture->config.dormant_after_ms - SECOND_MS);
    assert_true(store_touch_device(fixture->store, ann, device_of(fixture, ann), atomic_load(&wall_ms)));
    assert_int_equal(ack(fixture, ann, store_head(fixture->store)), OK);
    assert_int_equal(sweep_all(fixture), 0);
    pass_time(SECOND_MS); /* bob's has not been seen for so long now */
    assert_int_equal(sweep_all(fixture), 1);
    assert_true(is_blank(fixture, ann, chat, first));
    uint64_t dora = make_user(fixture, "dora"); /* begins at the log's head: what came before is not waited for */
    assert_int_equal(put_member(fixture, ann, group, dora, ROLE_MEMBER), OK);
    uint64_t next = post_ok(fixture, ann, group, "two");
    assert_int_equal(ack(fixture, ann, next), OK);
    assert_int_equal(sweep_all(fixture), 0);
    assert_int_equal(ack(fixture, dora, next), OK);
    assert_int_equal(sweep_all(fixture), 1);
}

/* More than one pass holds, in more chats than one pass looks at. */
static void many_delivered_messages_go_round_by_round(void **state) {
    enum { CHATS = 300, MESSAGES = 600 };
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), busy = 0;
    fixture->config.chats_per_user = CHATS + 1;
    for (int i = 0; i < CHATS; i++) {
        busy = make_group(fixture, ann, NULL, 0);
        assert_int_equal(update_chat(fixture, ann, busy, 0, true), OK);
        post_ok(fixture, ann, busy, "one");
    }
    for (int i = 0; i < MESSAGES; i++)
        post_ok(fixture, ann, busy, "more");
    assert_int_equal(sweep_all(fixture), 0);
    assert_int_equal(ack(fixture, ann, store_head(fixture->store)), OK);
    assert_int_equal(sweep_all(fixture), CHATS + MESSAGES);
    assert_int_equal(count_rows(&fixture->config, &count_contents), 0);
    assert_int_equal(sweep_all(fixture), 0);
}

/* ---- Leases ------------------------------------------------------------------------------------------------------------------------- */

static enum err lease(struct fixture *fixture, const char *name, uint64_t holder, int64_t until_ms) {
    struct command command = { .type = COMMAND_LEASE, .in.lease = { name, holder, until_ms } };
    return run(fixture, &command);
}

static void a_lease_is_one_holder_s(void **state) {
    struct fixture *fixture = *state;
    int64_t until_ms = atomic_load(&wall_ms) + HOUR_MS;
    assert_int_equal(lease(fixture, "cleanup", 1, until_ms), OK);
    assert_int_equal(lease(fixture, "cleanup", 2, until_ms), ERR_CONFLICT);
    assert_int_equal(lease(fixture, "cleanup", 2, 0), ERR_CONFLICT);
    assert_int_equal(lease(fixture, "other", 2, until_ms), OK);
    assert_int_equal(lease(fixture, "cleanup", 1, until_ms + HOUR_MS), OK);
    pass_time(HOUR_MS);
    assert_int_equal(lease(fixture, "cleanup", 2, until_ms), ERR_CONFLICT);
    assert_int_equal(lease(fixture, "cleanup", 1, 0), OK);
    assert_int_equal(lease(fixture, "cleanup", 2, until_ms + HOUR_MS), OK);
    pass_time(HOUR_MS);
    assert_int_equal(lease(fixture, "cleanup", 1, until_ms + 2 * HOUR_MS), OK);
    struct command both[] = { { .type = COMMAND_LEASE, .in.lease = { "third", 1, until_ms + 9 * HOUR_MS } },
                              { .type = COMMAND_LEASE, .in.lease = { "third", 2, until_ms + 9 * HOUR_MS } } };
    run_as_one(fixture, both, 2);
    assert_true(both[0].refusal.err == OK && both[1].refusal.err == ERR_CONFLICT);
}

static void pages_of_media_are_complete(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann"), ids[5], after_id = 0;
    size_t total = 0, count;
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        ids[i] = create(fixture, ann, 10);
    do {
        struct media *media = NULL;
        assert_int_equal(read_all_media(fixture->reader, after_id, 2, &fixture->arena, &media, &count), OK);
        for (size_t i = 0; i < count; i++, total++)
            assert_int_equal(media[i].id, ids[total]);
        after_id = total > 0 ? ids[total - 1] : 0;
    } while (count == 2);
    assert_int_equal(total, COUNT_OF(ids));
    struct media *media = NULL;
    assert_int_equal(read_media_set(fixture->reader, (uint64_t[]){ ids[3], 12345, ids[1] }, 3, &fixture->arena, &media, &count), OK);
    assert_true(count == 2 && media[0].id == ids[1] && media[1].id == ids[3]);
    fixture_reopen(fixture);
    assert_true(create(fixture, ann, 10) > ids[4]);
}

#define MEDIA_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        MEDIA_TEST(a_media_lives_from_upload_to_grace),
        MEDIA_TEST(what_was_never_used_is_doomed),
        MEDIA_TEST(limits_of_a_user_are_kept),
        MEDIA_TEST(limits_hold_within_a_batch),
        MEDIA_TEST(a_key_answers_the_same_media),
        MEDIA_TEST(somebody_else_s_media_is_not_there),
        MEDIA_TEST(an_upload_is_begun_once_and_signed_until_it_is_complete),
        MEDIA_TEST(rows_outlive_their_upload_urls),
        MEDIA_TEST(a_message_shows_what_is_attached),
        MEDIA_TEST(only_what_is_ready_and_seen_can_be_attached),
        MEDIA_TEST(who_reads_a_message_sees_its_media),
        MEDIA_TEST(who_reads_one_of_many_messages_sees_their_media),
        MEDIA_TEST(media_of_messages_that_are_gone_are_not_seen),
        MEDIA_TEST(forwarding_keeps_what_its_owner_let_go),
        MEDIA_TEST(a_thumbnail_goes_where_its_media_goes),
        MEDIA_TEST(a_thumbnail_is_a_ready_image_of_one_s_own),
        MEDIA_TEST(the_later_of_a_batch_sees_the_earlier),
        MEDIA_TEST(an_expired_message_is_gone_at_once_and_stays_so),
        MEDIA_TEST(the_shorter_time_counts),
        MEDIA_TEST(who_may_say_how_long_messages_stay),
        MEDIA_TEST(what_everybody_has_goes),
        MEDIA_TEST(who_left_holds_back_no_more_than_the_stay),
        MEDIA_TEST(dormant_and_new_devices_hold_nothing_back),
        MEDIA_TEST(many_delivered_messages_go_round_by_round),
        MEDIA_TEST(a_lease_is_one_holder_s),
        MEDIA_TEST(pages_of_media_are_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
