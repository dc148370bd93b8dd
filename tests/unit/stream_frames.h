/* Frames for the tests of stream/: events with little in them. */
#pragma once

#include "core/id.h"
#include "db/render.h"
#include "tests/unit/unit.h"

/* The tag of a position's commit; any function of the position does. */
static inline uint64_t id_at(uint64_t position) { return log_id(position, (uint16_t)(position * 40503 % 65536)); }

static inline struct frame *frame_of(const struct event *event) {
    struct frame *frame = frame_new(event);
    assert_non_null(frame);
    return frame;
}

struct message_event {
    enum event_type type;
    uint64_t position;
    uint64_t chat_id;
    uint64_t message_id; /* 0: the event's own id */
    const char *text;    /* NULL: deleted */
};

static inline struct frame *message_frame(const struct message_event *what) {
    uint64_t id = id_at(what->position);
    uint64_t message_id = what->message_id != 0 ? what->message_id : id;
    struct event event = {
        .id = id,
        .owner_id = what->chat_id,
        .type = what->type,
        .actor_id = 77,
        .ref_id = message_id,
        .rev = what->position,
        .message = { .id = message_id, .chat_id = what->chat_id, .sender_id = 77, .seq = 1, .rev = what->position, .changed_id = id },
    };
    if (what->text == NULL) {
        event.message.deleted_ms = 1;
    } else {
        event.message.text = what->text;
        event.message.text_size = strlen(what->text);
    }
    struct frame *frame = frame_of(&event);
    if (what->type == EVENT_MESSAGE_EDITED)
        assert_true(frame_set_withheld(frame, &event));
    return frame;
}

/* chat and member events: `ref_id` is the user; user events: the owner is the user. */
static inline struct frame *plain_frame(enum event_type type, uint64_t position, uint64_t owner_id, uint64_t ref_id) {
    struct event event = { .id = id_at(position), .owner_id = owner_id, .type = type, .ref_id = ref_id, .rev = position };
    return frame_of(&event);
}

static inline bool frame_shows(const struct frame *frame, const char *text) {
    return memmem(frame->bytes, frame->size, text, strlen(text)) != NULL;
}
