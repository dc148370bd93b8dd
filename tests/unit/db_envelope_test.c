#include "unit.h"

#include "core/id.h"
#include "core/limits.h"
#include "db/envelope.h"

static uint8_t key[SHA256_SIZE];

static int make_key(void **state) {
    (void)state;
    envelope_key((const uint8_t[32]){ 1, 2, 3 }, key);
    return 0;
}

static uint64_t id_at(uint64_t position) { return log_id(position, 0xabcd); }

static struct frame *message_frame(uint64_t position, enum event_type type, const char *text, size_t size) {
    struct event event = { .id = id_at(position),
                           .owner_id = 77,
                           .type = type,
                           .actor_id = 5,
                           .ref_id = id_at(type == EVENT_MESSAGE_CREATED ? position : 3),
                           .rev = position,
                           .message = { .id = id_at(type == EVENT_MESSAGE_CREATED ? position : 3),
                                        .chat_id = 77,
                                        .changed_id = id_at(position),
                                        .sender_id = 5,
                                        .seq = 1,
                                        .rev = position,
                                        .created_ms = 1700000000000,
                                        .expires_ms = 1800000000000,
                                        .text = text,
                                        .text_size = size } };
    struct frame *frame = frame_new(&event);
    assert_non_null(frame);
    if (type == EVENT_MESSAGE_EDITED)
        assert_true(frame_set_withheld(frame, &event));
    return frame;
}

static struct frame *thin_frame(uint64_t position, enum event_type type, enum removal removal) {
    struct frame *frame =
        frame_new(&(struct event){ .id = id_at(position), .owner_id = 77, .type = type, .ref_id = 9, .removal = removal });
    assert_non_null(frame);
    return frame;
}

static struct frame *reaction_frame(uint64_t position) {
    struct event event = {
        .id = id_at(position), .owner_id = 77, .type = EVENT_MESSAGE_REACTED, .ref_id = id_at(3), .body = "\"on\":true", .body_size = 9
    };
    struct frame *frame = frame_new(&event);
    assert_non_null(frame);
    assert_true(frame_set_withheld(frame, &event));
    assert_true(frame_set_hidden(frame, &event));
    frame->hidden_from = BOTH_MEMBERS;
    return frame;
}

/* A message that user 6 gets without content. */
static struct frame *hidden_frame(uint64_t position) {
    struct event event = {
        .id = id_at(position),
        .owner_id = 77,
        .type = EVENT_MESSAGE_CREATED,
        .ref_id = id_at(position),
        .message = { .id = id_at(position), .chat_id = 77, .seq = 2, .text = "unheard", .text_size = 7 },
        .hidden_from = 6,
    };
    struct frame *frame = frame_new(&event);
    assert_non_null(frame);
    assert_true(frame_set_hidden(frame, &event));
    return frame;
}

#define FRAMES 7

/* One of each kind, at positions 11 to 17. */
static void make_frames(struct frame *frames[FRAMES]) {
    frames[0] = message_frame(11, EVENT_MESSAGE_CREATED, "hello", 5);
    frames[1] = message_frame(12, EVENT_MESSAGE_EDITED, "hello again", 11);
    frames[2] = thin_frame(13, EVENT_CHAT_CREATED, 0);
    assert_true(frame_set_members(frames[2], (const uint64_t[]){ 5, 6, ID_MAX }, 3));
    frames[3] = thin_frame(14, EVENT_DEVICE_REMOVED, REMOVAL_REVOKED);
    frames[4] = message_frame(15, EVENT_MESSAGE_DELETED, NULL, 0);
    frames[5] = reaction_frame(16);
    frames[6] = hidden_frame(17);
}

static void drop_frames(struct frame **frames, size_t count) {
    for (size_t i = 0; i < count; i++)
        frame_drop(frames[i]);
}

static struct envelope envelope_of(struct frame **frames, size_t count) {
    return (struct envelope){ .sender = 42, .previous_id = id_at(10), .last_id = id_at(10 + count), .count = count, .frames = frames };
}

/* The code made anew over bytes that were changed: as by another who knows the key. */
static void seal(struct buf *buf) {
    uint8_t mac[SHA256_SIZE];
    hmac_sha256(key, sizeof key, &(struct slice){ buf->bytes + ENVELOPE_CODE_SIZE, buf->size - ENVELOPE_CODE_SIZE }, 1, mac);
    memcpy(buf->bytes, mac, ENVELOPE_CODE_SIZE);
}

/* From a block of exactly its size, so that the sanitizer sees a byte too many. */
static enum err read_exactly(const struct buf *buf, struct envelope *ret_envelope) {
    uint8_t *exact = malloc(buf->size);
    memcpy(exact, buf->bytes, buf->size);
    enum err err = envelope_read(exact, buf->size, key, ret_envelope);
    free(exact);
    return err;
}

static void assert_same(const struct frame *a, const struct frame *b) {
    assert_int_equal(a->references, b->references);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->owner_id, b->owner_id);
    assert_int_equal(a->ref_id, b->ref_id);
    assert_int_equal(a->changed_id, b->changed_id);
    assert_int_equal(a->expires_ms, b->expires_ms);
    assert_int_equal(a->removal, b->removal);
    assert_int_equal(a->unnamed, b->unnamed);
    assert_int_equal(a->object, b->object);
    assert_int_equal(a->object_size, b->object_size);
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->bytes, b->bytes, a->size);
    assert_int_equal(a->member_count, b->member_count);
    if (a->member_count > 0)
        assert_memory_equal(a->members, b->members, a->member_count * sizeof *a->members);
    assert_int_equal(a->withheld != NULL, b->withheld != NULL);
    if (a->withheld)
        assert_same(a->withheld, b->withheld);
    assert_int_equal(a->hidden_from, b->hidden_from);
    assert_int_equal(a->hidden != NULL, b->hidden != NULL);
    if (a->hidden)
        assert_same(a->hidden, b->hidden);
}

static void what_was_written_is_read(void **state) {
    (void)state;
    struct frame *frames[FRAMES];
    struct envelope read;
    struct buf buf = BUF_INIT;
    make_frames(frames);
    struct envelope written = envelope_of(frames, FRAMES);
    for (int i = 0; i < 2; i++) { /* a second one replaces the first */
        envelope_write(&written, key, &buf);
        assert_true(buf_ok(&buf));
        assert_int_equal(read_exactly(&buf, &read), OK);
        assert_int_equal(read.sender, 42);
        assert_int_equal(read.previous_id, written.previous_id);
        assert_int_equal(read.last_id, written.last_id);
        assert_int_equal(read.count, FRAMES);
        for (size_t j = 0; j < FRAMES; j++)
            assert_same(frames[j], read.frames[j]);
        envelope_release(&read);
    }
    buf_release(&buf);
    drop_frames(frames, FRAMES);
}

static void without_frames_it_tells_a_place(void **state) {
    (void)state;
    struct envelope read;
    struct buf buf = BUF_INIT;
    envelope_write(&(struct envelope){ .sender = 7, .previous_id = id_at(3), .last_id = id_at(90) }, key, &buf);
    assert_int_equal(read_exactly(&buf, &read), OK);
    assert_int_equal(read.count, 0);
    assert_null(read.frames);
    assert_int_equal(read.last_id, id_at(90));
    envelope_release(&read);
    buf_release(&buf);
}

static void no_other_byte_passes(void **state) {
    (void)state;
    struct frame *frames[FRAMES];
    struct envelope read;
    struct buf buf = BUF_INIT;
    make_frames(frames);
    struct envelope written = envelope_of(frames, FRAMES);
    envelope_write(&written, key, &buf);
    for (size_t i = 0; i < buf.size; i++) {
        buf.bytes[i] ^= 1;
        assert_int_equal(read_exactly(&buf, &read), ERR_BAD_SIGNATURE);
        buf.bytes[i] ^= 1;
    }
    uint8_t other[SHA256_SIZE];
    envelope_key((const uint8_t[32]){ 1, 2, 4 }, other);
    assert_int_equal(envelope_read(buf.bytes, buf.size, other, &read), ERR_BAD_SIGNATURE);
    for (size_t size = 0; size < buf.size; size++)
        assert_int_equal(envelope_read(buf.bytes, size, key, &read), ERR_BAD_SIGNATURE);
    buf_release(&buf);
    drop_frames(frames, FRAMES);
}

/* Whatever one byte is: it is refused, or what is read is sound. */
static void a_wrong_byte_under_a_right_code_does_no_harm(void **state) {
    (void)state;
    static const char changes[] = { 0x01, 0x10, (char)0x80, (char)0xff };
    struct frame *frames[FRAMES];
    struct buf buf = BUF_INIT;
    make_frames(frames);
    struct envelope written = envelope_of(frames, FRAMES);
    envelope_write(&written, key, &buf);
    for (size_t i = ENVELOPE_CODE_SIZE; i < buf.size; i++) {
        for (size_t j = 0; j < sizeof changes; j++) {
            struct envelope read;
            buf.bytes[i] ^= changes[j];
            seal(&buf);
            enum err err = read_exactly(&buf, &read);
            assert_true(err == OK || err == ERR_BAD_REQUEST);
            if (err == OK)
                envelope_release(&read);
            buf.bytes[i] ^= changes[j];
        }
    }
    buf_release(&buf);
    drop_frames(frames, FRAMES);
}

static void what_is_cut_is_refused_under_a_right_code(void **state) {
    (void)state;
    struct frame *frames[FRAMES];
    struct envelope read;
    struct buf buf = BUF_INIT;
    make_frames(frames);
    struct envelope written = envelope_of(frames, FRAMES);
    envelope_write(&written, key, &buf);
    size_t whole = buf.size;
    buf_char(&buf, 'x');
    seal(&buf);
    assert_int_equal(read_exactly(&buf, &read), ERR_BAD_REQUEST);
    while (--buf.size > ENVELOPE_CODE_SIZE) {
        if (buf.size == whole)
            continue;
        seal(&buf);
        assert_int_equal(read_exactly(&buf, &read), ERR_BAD_REQUEST);
    }
    buf_release(&buf);
    drop_frames(frames, FRAMES);
}

/* Writes these frames with these ids around them, and expects a refusal. */
static void refuse(struct frame **frames, size_t count, uint64_t previous_id, uint64_t last_id) {
    struct envelope read;
    struct buf buf = BUF_INIT;
    envelope_write(&(struct envelope){ .sender = 1, .previous_id = previous_id, .last_id = last_id, .count = count, .frames = frames }, key,
                   &buf);
    assert_int_equal(read_exactly(&buf, &read), ERR_BAD_REQUEST);
    buf_release(&buf);
}

static void frames_that_do_not_go_on_are_refused(void **state) {
    (void)state;
    struct frame *frames[FRAMES];
    make_frames(frames);
    refuse(frames, FRAMES, id_at(9), id_at(17));
    refuse(frames, FRAMES, id_at(11), id_at(17));
    refuse(frames, FRAMES, id_at(10), id_at(18));
    refuse(frames, FRAMES, id_at(10), log_id(17, 1));
    refuse((struct frame *[]){ frames[0], frames[2] }, 2, id_at(10), id_at(13));
    refuse((struct frame *[]){ frames[0], frames[0] }, 2, id_at(10), id_at(11));
    refuse(NULL, 0, ID_MAX + 1, id_at(1));
    refuse(NULL, 0, id_at(1), ID_MAX + 1);
    drop_frames(frames, FRAMES);
}

/* Changes one frame, expects a refusal, and changes it back. */
#define REFUSE_WITH(changed, field, wrong)                                            \
    do {                                                                              \
        typeof((changed)->field) right = (changed)->field;                            \
        (changed)->field = (wrong);                                                   \
        refuse(&(changed), 1, id_at(log_position((changed)->id) - 1), (changed)->id); \
        (changed)->field = right;                                                     \
    } while (0)

static void unsound_frames_are_refused(void **state) {
    (void)state;
    struct frame *frames[FRAMES];
    make_frames(frames);
    REFUSE_WITH(frames[0], type, 4);
    REFUSE_WITH(frames[0], type, EVENT_USER_UPDATED); /* which has no message */
    REFUSE_WITH(frames[0], object, 0);
    REFUSE_WITH(frames[0], object, UINT32_MAX);
    REFUSE_WITH(frames[0], object_size, frames[0]->size);
    REFUSE_WITH(frames[0], object_size, UINT32_MAX);
    REFUSE_WITH(frames[0], unnamed, frames[0]->size);
    REFUSE_WITH(frames[0], owner_id, 0);
    REFUSE_WITH(frames[0], expires_ms, -1);
    REFUSE_WITH(frames[2], type, EVENT_CHAT_UPDATED); /* which has no members */
    REFUSE_WITH(frames[3], removal, 6);
    REFUSE_WITH(frames[6], hidden_from, 0); /* and yet there is the form */
    REFUSE_WITH(frames[6], hidden_from, ID_MAX + 1);
    REFUSE_WITH(frames[2], hidden_from, 6); /* which has no message */
    drop_frames(frames, FRAMES);
}

static void a_withheld_form_is_of_the_same_event(void **state) {
    (void)state;
    struct frame *frames[FRAMES];
    make_frames(frames);
    frames[1]->withheld->id++;
    refuse(&frames[1], 1, id_at(11), id_at(12));
    frames[1]->withheld->id--;
    frames[1]->withheld->withheld = frame_hold(frames[0]);
    refuse(&frames[1], 1, id_at(11), id_at(12));
    drop_frames(frames, FRAMES);
}

static void a_hidden_form_is_of_the_same_event(void **state) {
    (void)state;
    struct frame *frames[FRAMES];
    make_frames(frames);
    frames[6]->hidden->id++;
    refuse(&frames[6], 1, id_at(16), id_at(17));
    frames[6]->hidden->id--;
    frames[6]->hidden->hidden_from = 6;
    frames[6]->hidden->hidden = frame_hold(frames[0]);
    refuse(&frames[6], 1, id_at(16), id_at(17));
    drop_frames(frames, FRAMES);
}

#define MANY 1000

static void a_large_commit_is_divided(void **state) {
    (void)state;
    static char text[1000];
    struct frame *frames[MANY];
    struct buf buf = BUF_INIT;
    size_t envelopes = 0, sent = 0;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < MANY; i++)
        frames[i] = message_frame(11 + i, EVENT_MESSAGE_CREATED, text, sizeof text);
    while (sent < MANY) {
        size_t count = envelope_fitting(frames + sent, MANY - sent);
        assert_true(count > 0);
        envelope_write(&(struct envelope){ 1, id_at(10 + sent), id_at(10 + sent + count), count, frames + sent }, key, &buf);
        assert_true(buf.size <= LIMIT_ENVELOPE_BYTES);
        struct envelope read;
        assert_int_equal(read_exactly(&buf, &read), OK);
        envelope_release(&read);
        sent += count;
        envelopes++;
    }
    assert_in_range(envelopes, 4, 8);
    buf_release(&buf);
    drop_frames(frames, MANY);
}

static void what_is_too_large_for_one_does_not_fit(void **state) {
    (void)state;
    char *text = malloc(LIMIT_ENVELOPE_BYTES);
    memset(text, 'x', LIMIT_ENVELOPE_BYTES);
    struct frame *frames[] = { message_frame(11, EVENT_MESSAGE_CREATED, "small", 5),
                               message_frame(12, EVENT_MESSAGE_CREATED, text, LIMIT_ENVELOPE_BYTES),
                               message_frame(13, EVENT_MESSAGE_CREATED, "small", 5) };
    assert_int_equal(envelope_fitting(frames, 3), 1);
    assert_int_equal(envelope_fitting(frames + 1, 2), 0);
    assert_int_equal(envelope_fitting(frames + 2, 1), 1);
    drop_frames(frames, 3);
    free(text);
}

/* ---- Whispers ---- */

static const struct whisper whispers[] = {
    { WHISPER_CHAT, 77, 5, "typing", "{\"chat_id\":\"77\"}", 16 },
    { WHISPER_USER, ID_MAX, 0, "presence", "{}", 2 },
};

static void write_whispers(const struct whisper *what, size_t count, struct buf *buf) {
    struct buf together = BUF_INIT;
    for (size_t i = 0; i < count; i++)
        envelope_put_whisper(&together, &what[i]);
    envelope_write_whispers(42, &together, key, buf);
    assert_true(buf_ok(buf));
    buf_release(&together);
}

static enum err open_exactly(const struct buf *buf, uint8_t **ret_exact, struct whisper_reader *reader) {
    *ret_exact = malloc(buf->size);
    memcpy(*ret_exact, buf->bytes, buf->size);
    return whisper_reader_open(reader, *ret_exact, buf->size, key);
}

static size_t count_readable(const struct buf *buf) {
    struct whisper_reader reader;
    struct whisper whisper;
    uint8_t *exact;
    size_t count = 0;
    if (open_exactly(buf, &exact, &reader) == OK)
        for (; whisper_reader_next(&reader, &whisper); count++)
            assert_true(whisper_is_sound(&whisper));
    free(exact);
    return count;
}

static void whispers_are_read_as_they_were_written(void **state) {
    (void)state;
    struct whisper_reader reader;
    struct whisper whisper;
    struct buf buf = BUF_INIT;
    uint8_t *exact;
    write_whispers(whispers, COUNT_OF(whispers), &buf);
    assert_true(envelope_has_whispers(buf.bytes, buf.size));
    assert_int_equal(open_exactly(&buf, &exact, &reader), OK);
    assert_int_equal(reader.sender, 42);
    for (size_t i = 0; i < COUNT_OF(whispers); i++) {
        assert_true(whisper_reader_next(&reader, &whisper));
        assert_int_equal(whisper.target, whispers[i].target);
        assert_int_equal(whisper.target_id, whispers[i].target_id);
        assert_int_equal(whisper.except_user_id, whispers[i].except_user_id);
        assert_string_equal(whisper.type, whispers[i].type);
        assert_int_equal(whisper.json_size, whispers[i].json_size);
        assert_memory_equal(whisper.json, whispers[i].json, whisper.json_size);
    }
    assert_false(whisper_reader_next(&reader, &whisper));
    free(exact);
    buf_release(&buf);
}

static void neither_kind_is_taken_for_the_other(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    struct envelope envelope;
    struct whisper_reader reader;
    write_whispers(whispers, 1, &buf);
    assert_int_equal(envelope_read(buf.bytes, buf.size, key, &envelope), ERR_BAD_REQUEST);
    envelope_write(&(struct envelope){ .sender = 7, .previous_id = id_at(3), .last_id = id_at(90) }, key, &buf);
    assert_false(envelope_has_whispers(buf.bytes, buf.size));
    assert_int_equal(whisper_reader_open(&reader, buf.bytes, buf.size, key), ERR_BAD_REQUEST);
    buf_release(&buf);
}

static void whispers_of_nobody_who_knows_the_key_are_refused(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    struct whisper_reader reader;
    uint8_t *exact;
    write_whispers(whispers, COUNT_OF(whispers), &buf);
    for (size_t i = 0; i < buf.size; i++) {
        buf.bytes[i] ^= 1;
        assert_int_equal(open_exactly(&buf, &exact, &reader), ERR_BAD_SIGNATURE);
        free(exact);
        buf.bytes[i] ^= 1;
    }
    for (buf.size = 0; buf.size < ENVELOPE_CODE_SIZE + 20; buf.size++)
        assert_int_equal(count_readable(&buf), 0);
    buf_release(&buf);
}

/* Whatever an other version writes, only sound ones come out, and nothing beyond the bytes is read. */
static void a_wrong_byte_among_whispers_does_no_harm(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    write_whispers(whispers, COUNT_OF(whispers), &buf);
    for (size_t i = ENVELOPE_CODE_SIZE; i < buf.size; i++)
        for (int bit = 0; bit < 8; bit++) {
            buf.bytes[i] ^= (char)(1 << bit);
            seal(&buf);
            assert_in_range(count_readable(&buf), 0, COUNT_OF(whispers));
            buf.bytes[i] ^= (char)(1 << bit);
        }
    buf_release(&buf);
}

static void only_sound_whispers_are_written(void **state) {
    (void)state;
    static const struct whisper bad[] = {
        { (enum whisper_target)4, 77, 0, "typing", "{}", 2 },
        { WHISPER_CHAT, 0, 0, "typing", "{}", 2 },
        { WHISPER_CHAT, 77, 0, "", "{}", 2 },
        { WHISPER_CHAT, 77, 0, "a\nid: 5", "{}", 2 },
        { WHISPER_CHAT, 77, 0, "typing", "[]", 2 },
        { WHISPER_CHAT, 77, 0, "typing", "{\n}", 3 },
        { WHISPER_CHAT, 77, 0, "typing", "{", 1 },
    };
    struct buf buf = BUF_INIT;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(whisper_is_sound(&bad[i]));
        write_whispers(&bad[i], 1, &buf);
        assert_int_equal(count_readable(&buf), 0);
    }
    buf_release(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(without_frames_it_tells_a_place),
        cmocka_unit_test(no_other_byte_passes),
        cmocka_unit_test(a_wrong_byte_under_a_right_code_does_no_harm),
        cmocka_unit_test(what_is_cut_is_refused_under_a_right_code),
        cmocka_unit_test(frames_that_do_not_go_on_are_refused),
        cmocka_unit_test(unsound_frames_are_refused),
        cmocka_unit_test(a_withheld_form_is_of_the_same_event),
        cmocka_unit_test(a_hidden_form_is_of_the_same_event),
        cmocka_unit_test(a_large_commit_is_divided),
        cmocka_unit_test(what_is_too_large_for_one_does_not_fit),
        cmocka_unit_test(whispers_are_read_as_they_were_written),
        cmocka_unit_test(neither_kind_is_taken_for_the_other),
        cmocka_unit_test(whispers_of_nobody_who_knows_the_key_are_refused),
        cmocka_unit_test(a_wrong_byte_among_whispers_does_no_harm),
        cmocka_unit_test(only_sound_whispers_are_written),
    };
    return cmocka_run_group_tests(tests, make_key, NULL);
}
