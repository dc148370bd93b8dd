#include "stream/ring.h"
#include "tests/unit/stream_frames.h"

#define CHAT 5

static void append(struct ring *ring, struct frame *frame, int64_t now_ms) {
    ring_append(ring, frame, now_ms);
    frame_drop(frame);
}

static void append_message(struct ring *ring, uint64_t position, const char *text) {
    append(ring, message_frame(&(struct message_event){ EVENT_MESSAGE_CREATED, position, CHAT, 0, text }), 0);
}

static void append_edit(struct ring *ring, uint64_t position, uint64_t message_position, const char *text) {
    enum event_type type = text != NULL ? EVENT_MESSAGE_EDITED : EVENT_MESSAGE_DELETED;
    append(ring, message_frame(&(struct message_event){ type, position, CHAT, id_at(message_position), text }), 0);
}

static struct ring new_ring(size_t event_limit, size_t byte_limit) {
    struct ring ring;
    assert_int_equal(ring_init(&ring, event_limit, byte_limit, 0), OK);
    return ring;
}

static void positions_are_dense_and_the_oldest_leave(void **state) {
    (void)state;
    struct ring ring = new_ring(8, 1 << 20);
    assert_true(ring_reaches(&ring, 0));
    for (uint64_t position = 1; position <= 20; position++)
        append_message(&ring, position, "hello");
    assert_int_equal(ring.base, 13);
    assert_int_equal(ring_end(&ring), 21);
    assert_null(ring_at(&ring, 12));
    assert_null(ring_at(&ring, 21));
    for (uint64_t position = 13; position <= 20; position++)
        assert_int_equal(ring_at(&ring, position)->id, id_at(position));
    assert_false(ring_reaches(&ring, id_at(11)));
    assert_true(ring_reaches(&ring, id_at(12)));
    assert_false(ring_knows(&ring, id_at(11)));
    assert_true(ring_knows(&ring, id_at(12))); /* whoever has this one has all that left */
    assert_false(ring_knows(&ring, id_at(12) ^ 1));
    assert_true(ring_knows(&ring, id_at(13)));
    assert_false(ring_knows(&ring, id_at(13) ^ 1));
    ring_release(&ring);
}

static void bytes_are_bounded(void **state) {
    (void)state;
    struct ring ring = new_ring(1024, 10000);
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    for (uint64_t position = 1; position <= 100; position++) {
        append_message(&ring, position, text);
        assert_true(ring.bytes <= 10000);
    }
    assert_in_range(ring.count, 4, 9);
    ring_release(&ring);
}

static void what_does_not_continue_starts_anew(void **state) {
    (void)state;
    struct ring ring = new_ring(8, 1 << 20);
    append_message(&ring, 1, "one");
    append_message(&ring, 5, "five");
    assert_int_equal(ring.base, 5);
    assert_int_equal(ring.count, 1);
    assert_false(ring_reaches(&ring, id_at(1)));
    assert_false(ring_knows(&ring, id_at(4)));
    assert_false(ring_knows(&ring, 0));
    ring_release(&ring);
}

static void an_edit_replaces_what_is_older(void **state) {
    (void)state;
    struct ring ring = new_ring(8, 1 << 20);
    append_message(&ring, 1, "first words");
    append_message(&ring, 2, "another");
    append_edit(&ring, 3, 1, "second words, longer than the first");
    append_edit(&ring, 4, 1, "third");

    for (uint64_t position = 1; position <= 4; position++) {
        const struct frame *frame = ring_at(&ring, position)->frame;
        assert_int_equal(frame->id, id_at(position));
        assert_int_equal(frame_shows(frame, "third"), position != 2);
        assert_false(frame_shows(frame, "words"));
        assert_memory_equal(frame->bytes + frame->size - 3, "}\n\n", 3);
        assert_int_equal(frame->bytes[frame->object], '{');
        assert_int_equal(frame->bytes[frame->object + frame->object_size - 1], '}');
    }
    const struct frame *created = ring_at(&ring, 1)->frame, *edited = ring_at(&ring, 3)->frame;
    assert_int_equal(created->type, EVENT_MESSAGE_CREATED);
    assert_memory_equal(created->bytes, "event: message.created\nid: ", 27);
    assert_true(frame_shows(created, "\"rev\":1,\"actor_id\":\"77\""));
    assert_true(frame_shows(created, "\"rev\":4,\"created_at\"")); /* the message's own */
    assert_true(frame_shows(edited, "\"type\":\"message.edited\""));
    assert_true(frame_shows(edited, "\"rev\":3,\"actor_id\":\"77\""));
    assert_false(frame_shows(edited->withheld, "third"));
    assert_true(frame_shows(edited->withheld, "withheld"));
    ring_release(&ring);
}

/* From user 8. */
static struct frame *hidden_frame(enum event_type type, uint64_t position, const char *text) {
    struct event event = { .id = id_at(position),
                           .owner_id = CHAT,
                           .type = type,
                           .ref_id = id_at(1),
                           .rev = position,
                           .message = { .id = id_at(1), .seq = 1, .text = text, .text_size = strlen(text) },
                           .hidden_from = 8 };
    struct frame *frame = frame_of(&event);
    assert_true(frame_set_hidden(frame, &event));
    return frame;
}

static void what_an_edit_hides_is_hidden_in_what_is_older(void **state) {
    (void)state;
    struct ring ring = new_ring(8, 1 << 20);
    append_message(&ring, 1, "polite");
    append(&ring, hidden_frame(EVENT_MESSAGE_EDITED, 2, "rude"), 0);
    for (uint64_t position = 1; position <= 2; position++) {
        const struct frame *frame = ring_at(&ring, position)->frame;
        assert_true(frame_shows(frame, "rude"));
        assert_int_equal(frame->hidden_from, 8);
        assert_false(frame_shows(frame->hidden, "rude"));
        assert_true(frame_shows(frame->hidden, "\"hidden\":true"));
        assert_int_equal(frame->hidden->id, id_at(position));
    }
    assert_true(frame_shows(ring_at(&ring, 1)->frame->hidden, "message.created"));
    ring_release(&ring);
}

static void what_is_hidden_stays_so_when_it_changes(void **state) {
    (void)state;
    struct ring ring = new_ring(8, 1 << 20);
    append(&ring, hidden_frame(EVENT_MESSAGE_CREATED, 1, "rude"), 0);
    append_edit(&ring, 2, 1, NULL);
    const struct frame *frame = ring_at(&ring, 1)->frame;
    assert_true(frame_shows(frame, "\"deleted\":true"));
    assert_true(frame_shows(frame->hidden, "\"hidden\":true"));
    ring_release(&ring);
}

static void a_deletion_leaves_no_text(void **state) {
    (void)state;
    struct ring ring = new_ring(8, 1 << 20);
    append_message(&ring, 1, "secret one");
    append_edit(&ring, 2, 1, "secret two");
    append_edit(&ring, 3, 1, NULL);
    for (uint64_t position = 1; position <= 3; position++) {
        const struct frame *frame = ring_at(&ring, position)->frame;
        assert_false(frame_shows(frame, "secret"));
        assert_true(frame_shows(frame, "\"deleted\":true"));
        assert_null(frame->withheld);
    }
    ring_release(&ring);
}

static void a_replaced_frame_lives_as_long_as_it_is_held(void **state) {
    (void)state;
    struct ring ring = new_ring(8, 1 << 20);
    append_message(&ring, 1, "old");
    struct frame *held = frame_hold(ring_at(&ring, 1)->frame);
    append_edit(&ring, 2, 1, "new");
    assert_true(frame_shows(held, "old"));
    assert_ptr_not_equal(ring_at(&ring, 1)->frame, held);
    frame_drop(held);
    ring_release(&ring);
}

/* One message edited without end must not cost more with each edit. */
static void edits_beyond_the_limit_are_forgotten(void **state) {
    (void)state;
    struct ring ring = new_ring(1024, 1 << 24);
    append_message(&ring, 1, "v1");
    for (uint64_t position = 2; position <= 300; position++)
        append_edit(&ring, position, 1, "another version");
    size_t left = 0;
    for (uint64_t position = 1; position <= 300; position++) {
        const struct ring_slot *slot = ring_at(&ring, position);
        assert_int_equal(slot->owner_id, CHAT);
        left += slot->frame != NULL;
    }
    assert_int_equal(left, LIMIT_REPLACED_FRAMES + 1);
    assert_non_null(ring_at(&ring, 300)->frame);
    ring_release(&ring);
}

static void trimming_drops_what_the_store_dropped(void **state) {
    (void)state;
    struct ring ring = new_ring(64, 1 << 20);
    append_message(&ring, 1, "expired");
    append_message(&ring, 2, "young");
    append_edit(&ring, 3, 1, "expired, too");
    append_edit(&ring, 4, 2, "younger");
    ring_trim(&ring, id_at(1), 0);
    assert_int_equal(ring.base, 2);
    assert_null(ring_at(&ring, 3)->frame);
    assert_non_null(ring_at(&ring, 4)->frame);
    assert_non_null(ring_at(&ring, 2)->frame);
    ring_release(&ring);
}

static void trimming_drops_what_is_too_old(void **state) {
    (void)state;
    struct ring ring = new_ring(64, 1 << 20);
    append(&ring, message_frame(&(struct message_event){ EVENT_MESSAGE_CREATED, 1, CHAT, 0, "expired" }), 1000);
    append(&ring, message_frame(&(struct message_event){ EVENT_MESSAGE_CREATED, 2, CHAT, 0, "young" }), 5000);
    append(&ring, message_frame(&(struct message_event){ EVENT_MESSAGE_EDITED, 3, CHAT, id_at(1), "expired" }), 5000);
    ring_trim(&ring, 0, 2000);
    assert_int_equal(ring.base, 2);
    assert_non_null(ring_at(&ring, 2)->frame);
    assert_null(ring_at(&ring, 3)->frame);
    ring_trim(&ring, 0, 9000);
    assert_int_equal(ring.count, 0);
    assert_int_equal(ring.bytes, 0);
    assert_int_equal(ring_end(&ring), 4);
    ring_release(&ring);
}

static struct frame *expiring_frame(enum event_type type, uint64_t position, int64_t expires_ms) {
    struct event event = { .id = id_at(position),
                           .owner_id = CHAT,
                           .type = type,
                           .ref_id = id_at(1),
                           .rev = position,
                           .message = { .id = id_at(1), .text = "short lived", .text_size = 11, .expires_ms = expires_ms } };
    if (type == EVENT_MESSAGE_DELETED)
        event.message.deleted_ms = 1;
    struct frame *frame = frame_of(&event);
    if (type == EVENT_MESSAGE_EDITED)
        assert_true(frame_set_withheld(frame, &event));
    return frame;
}

static void what_is_past_its_time_is_not_shown(void **state) {
    (void)state;
    struct ring ring = new_ring(64, 1 << 20);
    append(&ring, expiring_frame(EVENT_MESSAGE_CREATED, 1, 5000), 0);
    append_message(&ring, 2, "stays");
    append(&ring, expiring_frame(EVENT_MESSAGE_EDITED, 3, 5000), 0);
    for (uint64_t position = 1; position <= 3; position++) {
        const struct ring_slot *slot = ring_at(&ring, position);
        assert_ptr_equal(ring_shown(slot, 4999), slot->frame);
        assert_ptr_equal(ring_shown(slot, 5000), position == 2 ? slot->frame : NULL);
    }
    append(&ring, expiring_frame(EVENT_MESSAGE_DELETED, 4, 5000), 0); /* nothing is left that could expire */
    for (uint64_t position = 1; position <= 4; position++)
        assert_non_null(ring_shown(ring_at(&ring, position), 5000));
    ring_release(&ring);
}

#define MODEL_EVENTS 20000

/* What the model knows of each position: its message's position, and of each message its newest version. */
struct model {
    uint64_t message[MODEL_EVENTS + 1];
    unsigned version[MODEL_EVENTS + 1]; /* by message position; 0: deleted */
};

static void check_ring(const struct ring *ring, const struct model *model, uint64_t last) {
    size_t bytes_shown = 0;
    assert_int_equal(ring_end(ring), last + 1);
    for (uint64_t position = ring->base; position <= last; position++) {
        const struct ring_slot *slot = ring_at(ring, position);
        char expected[64];
        unsigned version = model->version[model->message[position]];
        assert_int_equal(slot->id, id_at(position));
        snprintf(expected, sizeof(expected), version == 0 ? "\"deleted\":true" : "version %u of %llu.", version,
                 (unsigned long long)model->message[position]);
        assert_non_null(slot->frame);
        assert_true(frame_shows(slot->frame, expected));
        bytes_shown += slot->frame->size;
    }
    assert_true(bytes_shown <= ring->bytes);
}

static void the_ring_shows_each_message_as_it_is_now(void **state) {
    (void)state;
    static struct model model;
    struct ring ring = new_ring(256, 100000);
    srand(1);
    for (uint64_t position = 1; position <= MODEL_EVENTS; position++) {
        uint64_t of = position > 1 ? position - 1 - (uint64_t)rand() % (position < 300 ? position - 1 : 299) : 0;
        of = of != 0 ? model.message[of] : 0;
        bool creates = of == 0 || model.version[of] == 0 || rand() % 2 == 0;
        bool deletes = !creates && rand() % 8 == 0;
        model.message[position] = creates ? position : of;
        unsigned *version = &model.version[model.message[position]];
        *version = deletes ? 0 : *version + 1;

        char text[64];
        snprintf(text, sizeof(text), "version %u of %llu.", *version, (unsigned long long)model.message[position]);
        if (creates)
            append_message(&ring, position, text);
        else
            append_edit(&ring, position, of, deletes ? NULL : text);
        if (position % 97 == 0)
            check_ring(&ring, &model, position);
    }
    ring_release(&ring);
}

/* ---- The events of an owner ---- */

static void check_owner(const struct ring *ring, uint64_t owner_id) {
    uint64_t found = ring_newest_of(ring, owner_id);
    for (uint64_t position = ring_end(ring); position-- > ring->base;) {
        if (ring_at(ring, position)->owner_id != owner_id)
            continue;
        assert_int_equal(found, position);
        found = ring_older_of(ring, found);
    }
    assert_int_equal(found, 0);
}

static void append_owned(struct ring *ring, uint64_t position, uint64_t owner_id) {
    append(ring, plain_frame(EVENT_CHAT_UPDATED, position, owner_id, 0), 0);
}

static void an_owners_events_are_found_without_those_of_others(void **state) {
    (void)state;
    struct ring ring = new_ring(16, 1 << 20); /* fewer buckets than owners */
    for (uint64_t position = 1; position <= 500; position++) {
        append_owned(&ring, position, 100 + (uint64_t)(rand() % 24));
        for (uint64_t owner_id = 99; owner_id < 125; owner_id++)
            check_owner(&ring, owner_id);
    }
    ring_release(&ring);
}

static void positions_that_are_given_again_are_of_the_other_log(void **state) {
    (void)state;
    struct ring ring = new_ring(16, 1 << 20);
    for (uint64_t position = 1; position <= 10; position++)
        append_owned(&ring, position, 100 + position);
    ring_restart(&ring, id_at(3));
    assert_true(ring_knows(&ring, id_at(3)));
    for (uint64_t position = 4; position <= 12; position++) {
        append_owned(&ring, position, 200);
        for (uint64_t owner_id = 101; owner_id <= 110; owner_id++)
            check_owner(&ring, owner_id);
        check_owner(&ring, 200);
    }
    ring_release(&ring);
}

static void the_ring_says_what_has_gone(void **state) {
    (void)state;
    struct ring ring = new_ring(16, 1 << 20);
    for (uint64_t position = 1; position <= 3; position++)
        append_message(&ring, position, "words");
    append_edit(&ring, 4, 2, "other words");
    append_edit(&ring, 5, 3, NULL);
    assert_false(ring_says_gone(&ring, id_at(1), 0));
    assert_false(ring_says_gone(&ring, id_at(2), 0));
    assert_true(ring_says_gone(&ring, id_at(3), 0));
    ring_trim(&ring, id_at(1), 0);
    assert_true(ring_says_gone(&ring, id_at(1), 0));
    assert_false(ring_says_gone(&ring, id_at(2), 0));
    ring_release(&ring);
}

/* Who may see what of them is another question by then. */
static void what_was_said_before_a_chat_changed_is_forgotten(void **state) {
    (void)state;
    struct ring ring = new_ring(16, 1 << 20);
    append_message(&ring, 1, "words");
    append_owned(&ring, 2, CHAT);
    append_message(&ring, 3, "more words");
    append(&ring, plain_frame(EVENT_MEMBER_ADDED, 4, CHAT, 9), 0);
    append(&ring, message_frame(&(struct message_event){ EVENT_MESSAGE_CREATED, 5, CHAT + 1, 0, "elsewhere" }), 0);
    append(&ring, plain_frame(EVENT_CHAT_DELETED, 6, CHAT, 0), 0);
    append_message(&ring, 7, "words again");
    static const bool is_there[] = { false, true, false, true, true, true, true };
    for (uint64_t position = 1; position <= 7; position++)
        assert_int_equal(ring_at(&ring, position)->frame != NULL, is_there[position - 1]);
    append_edit(&ring, 8, 3, "other words");
    assert_null(ring_at(&ring, 3)->frame);
    ring_release(&ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_dense_and_the_oldest_leave),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(what_does_not_continue_starts_anew),
        cmocka_unit_test(an_edit_replaces_what_is_older),
        cmocka_unit_test(a_deletion_leaves_no_text),
        cmocka_unit_test(what_an_edit_hides_is_hidden_in_what_is_older),
        cmocka_unit_test(what_is_hidden_stays_so_when_it_changes),
        cmocka_unit_test(a_replaced_frame_lives_as_long_as_it_is_held),
        cmocka_unit_test(edits_beyond_the_limit_are_forgotten),
        cmocka_unit_test(trimming_drops_what_the_store_dropped),
        cmocka_unit_test(trimming_drops_what_is_too_old),
        cmocka_unit_test(what_is_past_its_time_is_not_shown),
        cmocka_unit_test(the_ring_shows_each_message_as_it_is_now),
        cmocka_unit_test(an_owners_events_are_found_without_those_of_others),
        cmocka_unit_test(positions_that_are_given_again_are_of_the_other_log),
        cmocka_unit_test(the_ring_says_what_has_gone),
        cmocka_unit_test(what_was_said_before_a_chat_changed_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
