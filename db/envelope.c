/* See envelope.h. */
#include "db/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "core/limits.h"

#define VERSION 2
#define WHISPERS 0x80 /* where the others have their version */
#define PURPOSE "envelope"
#define HEAD_SIZE (ENVELOPE_CODE_SIZE + 1 + 4 + 8 + 8 + 8 + 4)

/* A frame's numbers, in the order in which they are written, each in `size` bytes. */
struct frame_head {
    uint64_t type, id, owner_id, ref_id, changed_id, expires_ms, removal;
    uint64_t size, unnamed, object, object_size;
    uint64_t member_count, has_withheld, hidden_from;
};

static const struct field {
    size_t offset;
    unsigned size;
} frame_fields[] = {
    { offsetof(struct frame_head, type), 1 },         { offsetof(struct frame_head, id), 8 },
    { offsetof(struct frame_head, owner_id), 8 },     { offsetof(struct frame_head, ref_id), 8 },
    { offsetof(struct frame_head, changed_id), 8 },   { offsetof(struct frame_head, expires_ms), 8 },
    { offsetof(struct frame_head, removal), 1 },      { offsetof(struct frame_head, size), 4 },
    { offsetof(struct frame_head, unnamed), 4 },      { offsetof(struct frame_head, object), 4 },
    { offsetof(struct frame_head, object_size), 4 },  { offsetof(struct frame_head, member_count), 4 },
    { offsetof(struct frame_head, has_withheld), 1 }, { offsetof(struct frame_head, hidden_from), 8 },
};
#define FIELD_COUNT (sizeof frame_fields / sizeof *frame_fields)
#define FRAME_HEAD_SIZE (1 + 8 * 5 + 1 + 4 * 5 + 1 + 8)

void envelope_key(const uint8_t secret[32], uint8_t ret_key[SHA256_SIZE]) {
    hmac_sha256(secret, 32, &(struct slice){ PURPOSE, sizeof PURPOSE - 1 }, 1, ret_key);
}

static void make_code(const uint8_t *bytes, size_t size, const uint8_t key[SHA256_SIZE], uint8_t ret_code[ENVELOPE_CODE_SIZE]) {
    uint8_t whole[SHA256_SIZE];
    hmac_sha256(key, SHA256_SIZE, &(struct slice){ bytes, size }, 1, whole);
    memcpy(ret_code, whole, ENVELOPE_CODE_SIZE);
}

/* ---- Writing ---- */

static size_t written_size(const struct frame *frame) {
    size_t size = FRAME_HEAD_SIZE + (size_t)frame->member_count * 8 + frame->size;
    if (frame->withheld)
        size += written_size(frame->withheld);
    return frame->hidden ? size + written_size(frame->hidden) : size;
}

size_t envelope_fitting(struct frame *const *frames, size_t count) {
    size_t size = HEAD_SIZE, fitting = 0;
    for (; fitting < count; fitting++) {
        size += written_size(frames[fitting]);
        if (size > LIMIT_ENVELOPE_BYTES)
            break;
    }
    return fitting;
}

static void put(struct buf *buf, uint64_t number, unsigned size) {
    uint8_t bytes[8];
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number >> 8 * i);
    buf_append(buf, bytes, size);
}

static void put_frame_head(struct buf *buf, const struct frame *frame) {
    const struct frame_head head = {
        .type = frame->type,
        .id = frame->id,
        .owner_id = frame->owner_id,
        .ref_id = frame->ref_id,
        .changed_id = frame->changed_id,
        .expires_ms = (uint64_t)frame->expires_ms,
        .removal = frame->removal,
        .size = frame->size,
        .unnamed = frame->unnamed,
        .object = frame->object,
        .object_size = frame->object_size,
        .member_count = frame->member_count,
        .has_withheld = frame->withheld != NULL,
        .hidden_from = frame->hidden_from,
    };
    for (size_t i = 0; i < FIELD_COUNT; i++)
        put(buf, *(const uint64_t *)(const void *)((const char *)&head + frame_fields[i].offset), frame_fields[i].size);
}

static void put_frame(struct buf *buf, const struct frame *frame) {
    put_frame_head(buf, frame);
    for (size_t i = 0; i < frame->member_count; i++)
        put(buf, frame->members[i], 8);
    buf_append(buf, frame->bytes, frame->size);
    if (frame->withheld)
        put_frame(buf, frame->withheld);
    if (frame->hidden)
        put_frame(buf, frame->hidden);
}

static size_t envelope_size(const struct envelope *envelope) {
    size_t size = HEAD_SIZE;
    for (size_t i = 0; i < envelope->count; i++)
        size += written_size(envelope->frames[i]);
    return size;
}

static void put_code(struct buf *buf, const uint8_t key[SHA256_SIZE]) {
    uint8_t code[ENVELOPE_CODE_SIZE];
    make_code((const uint8_t *)buf->bytes + ENVELOPE_CODE_SIZE, buf->size - ENVELOPE_CODE_SIZE, key, code);
    memcpy(buf->bytes, code, sizeof code);
}

void envelope_write(const struct envelope *envelope, const uint8_t key[SHA256_SIZE], struct buf *buf) {
    static const uint8_t gap[ENVELOPE_CODE_SIZE];
    buf_clear(buf);
    buf_append(buf, gap, sizeof gap);
    put(buf, VERSION, 1);
    put(buf, envelope_size(envelope), 4);
    put(buf, envelope->sender, 8);
    put(buf, envelope->previous_id, 8);
    put(buf, envelope->last_id, 8);
    put(buf, envelope->count, 4);
    for (size_t i = 0; i < envelope->count; i++)
        put_frame(buf, envelope->frames[i]);
    if (buf_ok(buf))
        put_code(buf, key);
}

/* ---- Reading ---- */

/* What is left to read. Once something was not there, everything reads as 0. */
struct input {
    const uint8_t *bytes;
    size_t size;
    bool failed;
};

/* NULL when that much is not there. */
static const uint8_t *take_bytes(struct input *input, size_t size) {
    const uint8_t *bytes = input->bytes;
    if (input->failed || size > input->size) {
        input->failed = true;
        return NULL;
    }
    input->bytes += size;
    input->size -= size;
    return bytes;
}

static uint64_t take(struct input *input, unsigned size) {
    const uint8_t *bytes = take_bytes(input, size);
    uint64_t number = 0;
    for (unsigned i = 0; bytes && i < size; i++)
        number |= (uint64_t)bytes[i] << 8 * i;
    return number;
}

static struct frame_head take_frame_head(struct input *input) {
    struct frame_head head = { 0 };
    for (size_t i = 0; i < FIELD_COUNT; i++)
        *(uint64_t *)(void *)((char *)&head + frame_fields[i].offset) = take(input, frame_fields[i].size);
    return head;
}

static bool is_type(uint64_t type) {
    switch ((enum event_type)type) {
    case EVENT_MESSAGE_CREATED:
    case EVENT_MESSAGE_EDITED:
    case EVENT_MESSAGE_DELETED:
    case EVENT_CHAT_CREATED:
    case EVENT_CHAT_UPDATED:
    case EVENT_CHAT_DELETED:
    case EVENT_MESSAGE_REACTED:
    case EVENT_MESSAGE_PINNED:
    case EVENT_MESSAGE_UNPINNED:
    case EVENT_MEMBER_ADDED:
    case EVENT_MEMBER_UPDATED:
    case EVENT_MEMBER_REMOVED:
    case EVENT_USER_UPDATED:
    case EVENT_DEVICE_ADDED:
    case EVENT_DEVICE_REMOVED:
    case EVENT_MESSAGE_HIDDEN:
    case EVENT_JOIN_REQUESTED:
    case EVENT_JOIN_DECLINED:
    case EVENT_CHAT_SETTINGS:
    case EVENT_SCHEDULED_SENT:
    case EVENT_SCHEDULED_FAILED:
    case EVENT_USER_BLOCKED:
    case EVENT_USER_UNBLOCKED:
    case EVENT_CONTACT_SAVED:
    case EVENT_CONTACT_REMOVED:
    case EVENT_CHANNEL_FOLLOWED:
    case EVENT_CHANNEL_LEFT:
        return true;
    }
    return false;
}

static bool is_id(uint64_t id) { return id >= 1 && id <= ID_MAX; }

/* What whoever uses a frame takes for granted, and that the rest is there. */
static bool is_sound(const struct frame_head *head, const struct input *input) {
    bool is_message = is_type(head->type) && event_is_message((enum event_type)head->type);
    bool may_hide = is_message || event_is_about_message((enum event_type)head->type);
    if (input->failed || !is_type(head->type) || !is_id(head->id) || !is_id(head->owner_id))
        return false;
    if (head->size == 0 || head->unnamed >= head->size || head->member_count * 8 + head->size > input->size)
        return false;
    if (is_message != (head->object != 0) || head->object + head->object_size > head->size)
        return false;
    if (head->expires_ms > INT64_MAX || head->removal > REMOVAL_EXPIRED || head->has_withheld > 1)
        return false;
    if (head->hidden_from != 0 && (!may_hide || !is_id(head->hidden_from)))
        return false;
    return head->member_count == 0 || head->type == EVENT_CHAT_CREATED;
}

/* A frame of that head with room for its bytes, or NULL when out of memory. */
static struct frame *frame_of(const struct frame_head *head) {
    struct frame *frame = malloc(sizeof *frame + head->size);
    if (!frame)
        return NULL;
    *frame = (struct frame){
        .references = 1,
        .type = (enum event_type)head->type,
        .id = head->id,
        .owner_id = head->owner_id,
        .ref_id = head->ref_id,
        .changed_id = head->changed_id,
        .size = (uint32_t)head->size,
        .unnamed = (uint32_t)head->unnamed,
        .object = (uint32_t)head->object,
        .object_size = (uint32_t)head->object_size,
        .expires_ms = (int64_t)head->expires_ms,
        .removal = (enum removal)head->removal,
    };
    return frame;
}

static bool take_members(struct input *input, struct frame *frame, size_t count) {
    frame->members = count > 0 ? malloc(count * sizeof *frame->members) : NULL;
    if (count > 0 && !frame->members)
        return false;
    for (size_t i = 0; i < count; i++)
        frame->members[i] = take(input, 8);
    frame->member_count = (uint32_t)count;
    return true;
}

/* Which forms follow a frame. */
struct forms {
    bool has_withheld;
    uint64_t hidden_from; /* 0: no hidden one */
};

/* One frame without its other forms. */
static enum err take_plain_frame(struct input *input, struct forms *ret_forms, struct frame **ret_frame) {
    struct frame_head head = take_frame_head(input);
    if (!is_sound(&head, input))
        return ERR_BAD_REQUEST;
    struct frame *frame = frame_of(&head);
    if (!frame || !take_members(input, frame, head.member_count)) {
        frame_drop(frame);
        return ERR_NO_MEMORY;
    }
    memcpy(frame->bytes, take_bytes(input, head.size), head.size);
    *ret_forms = (struct forms){ head.has_withheld, head.hidden_from };
    *ret_frame = frame;
    return OK;
}

/* It is the same event, and has no such forms itself. */
static enum err take_form(struct input *input, const struct frame *frame, struct frame **ret_form) {
    struct forms forms = { 0 };
    enum err err = take_plain_frame(input, &forms, ret_form);
    if (err != OK)
        return err;
    bool fits = (*ret_form)->type == frame->type && (*ret_form)->id == frame->id;
    return fits && !forms.has_withheld && forms.hidden_from == 0 ? OK : ERR_BAD_REQUEST;
}

static enum err take_forms(struct input *input, const struct forms *forms, struct frame *frame) {
    enum err err = forms->has_withheld && !event_has_withheld(frame->type) ? ERR_BAD_REQUEST : OK;
    if (err == OK && forms->has_withheld)
        err = take_form(input, frame, &frame->withheld);
    if (err == OK && forms->hidden_from != 0)
        err = take_form(input, frame, &frame->hidden);
    frame->hidden_from = forms->hidden_from;
    return err;
}

static enum err take_frame(struct input *input, struct frame **ret_frame) {
    struct forms forms = { 0 };
    struct frame *frame = NULL;
    enum err err = take_plain_frame(input, &forms, &frame);
    if (err == OK)
        err = take_forms(input, &forms, frame);
    if (err == OK)
        *ret_frame = frame;
    else
        frame_drop(frame);
    return err;
}

static enum err take_frames(struct input *input, size_t count, struct envelope *envelope) {
    uint64_t last_id = envelope->previous_id;
    enum err err = OK;
    while (err == OK && envelope->count < count) {
        err = take_frame(input, &envelope->frames[envelope->count]);
        if (err != OK)
            break;
        uint64_t id = envelope->frames[envelope->count++]->id;
        if (log_position(id) != log_position(last_id) + 1)
            err = ERR_BAD_REQUEST;
        last_id = id;
    }
    bool ends = input->size == 0 && (count == 0 || last_id == envelope->last_id);
    return err == OK && !ends ? ERR_BAD_REQUEST : err;
}

static enum err check_code(struct input *input, const uint8_t key[SHA256_SIZE]) {
    uint8_t right[ENVELOPE_CODE_SIZE];
    const uint8_t *code = take_bytes(input, ENVELOPE_CODE_SIZE);
    if (!code)
        return ERR_BAD_SIGNATURE;
    make_code(input->bytes, input->size, key, right);
    return secret_equal(code, right, sizeof right) ? OK : ERR_BAD_SIGNATURE;
}

static enum err take_envelope(struct input *input, size_t size, struct envelope *envelope) {
    if (take(input, 1) != VERSION || take(input, 4) != size)
        return ERR_BAD_REQUEST;
    envelope->sender = take(input, 8);
    envelope->previous_id = take(input, 8);
    envelope->last_id = take(input, 8);
    size_t count = take(input, 4);
    bool fits = !input->failed && count <= input->size / FRAME_HEAD_SIZE;
    if (!fits || envelope->previous_id > ID_MAX || envelope->last_id > ID_MAX)
        return ERR_BAD_REQUEST;
    if (count > 0 && !(envelope->frames = malloc(count * sizeof(struct frame *))))
        return ERR_NO_MEMORY;
    return take_frames(input, count, envelope);
}

enum err envelope_read(const void *bytes, size_t size, const uint8_t key[SHA256_SIZE], struct envelope *ret_envelope) {
    struct input input = { .bytes = bytes, .size = size };
    struct envelope envelope = { 0 };
    enum err err = check_code(&input, key);
    if (err == OK)
        err = take_envelope(&input, size, &envelope);
    if (err == OK)
        *ret_envelope = envelope;
    else
        envelope_release(&envelope);
    return err;
}

void envelope_release(struct envelope *envelope) {
    for (size_t i = 0; i < envelope->count; i++)
        frame_drop(envelope->frames[i]);
    free(envelope->frames);
    *envelope = (struct envelope){ 0 };
}

/* ---- Whispers ---- */

#define WHISPERS_HEAD_SIZE (ENVELOPE_CODE_SIZE + 1 + 4 + 8)

void envelope_put_whisper(struct buf *whispers, const struct whisper *whisper) {
    size_t type_size = strlen(whisper->type);
    put(whispers, whisper->target, 1);
    put(whispers, whisper->target_id, 8);
    put(whispers, whisper->except_user_id, 8);
    put(whispers, type_size, 1);
    put(whispers, whisper->json_size, 2);
    buf_append(whispers, whisper->type, type_size);
    buf_append(whispers, whisper->json, whisper->json_size);
}

void envelope_write_whispers(uint64_t sender, const struct buf *whispers, const uint8_t key[SHA256_SIZE], struct buf *buf) {
    static const uint8_t gap[ENVELOPE_CODE_SIZE];
    buf_clear(buf);
    buf_append(buf, gap, sizeof gap);
    put(buf, WHISPERS, 1);
    put(buf, WHISPERS_HEAD_SIZE + whispers->size, 4);
    put(buf, sender, 8);
    buf_append(buf, whispers->bytes, whispers->size);
    if (buf_ok(buf))
        put_code(buf, key);
}

bool envelope_has_whispers(const void *bytes, size_t size) {
    return size > ENVELOPE_CODE_SIZE && ((const uint8_t *)bytes)[ENVELOPE_CODE_SIZE] == WHISPERS;
}

enum err whisper_reader_open(struct whisper_reader *reader, const void *bytes, size_t size, const uint8_t key[SHA256_SIZE]) {
    struct input input = { .bytes = bytes, .size = size };
    enum err err = check_code(&input, key);
    if (err != OK)
        return err;
    bool fits = take(&input, 1) == WHISPERS && take(&input, 4) == size;
    uint64_t sender = take(&input, 8);
    if (!fits || input.failed)
        return ERR_BAD_REQUEST;
    *reader = (struct whisper_reader){ .sender = sender, .bytes = input.bytes, .size = input.size };
    return OK;
}

void whisper_reader_of_buf(struct whisper_reader *reader, const struct buf *whispers) {
    *reader = (struct whisper_reader){ .bytes = (const uint8_t *)whispers->bytes, .size = whispers->size };
}

/* Into the reader, because on the wire no NUL follows it. */
static bool take_type(struct input *input, size_t size, struct whisper_reader *reader) {
    const uint8_t *type = size <= LIMIT_WHISPER_TYPE_BYTES ? take_bytes(input, size) : NULL;
    if (!type)
        return false;
    memcpy(reader->type, type, size);
    reader->type[size] = '\0';
    return true;
}

static bool take_whisper(struct input *input, struct whisper_reader *reader, struct whisper *ret_whisper) {
    struct whisper whisper = {
        .target = (enum whisper_target)take(input, 1), .target_id = take(input, 8), .except_user_id = take(input, 8), .type = reader->type
    };
    size_t type_size = take(input, 1);
    whisper.json_size = take(input, 2);
    if (!take_type(input, type_size, reader))
        return false;
    whisper.json = (const char *)take_bytes(input, whisper.json_size);
    if (!whisper.json || !whisper_is_sound(&whisper))
        return false;
    *ret_whisper = whisper;
    return true;
}

bool whisper_reader_next(struct whisper_reader *reader, struct whisper *ret_whisper) {
    struct input input = { .bytes = reader->bytes, .size = reader->size };
    bool is_there = reader->size > 0 && take_whisper(&input, reader, ret_whisper);
    reader->bytes = input.bytes;
    reader->size = is_there ? input.size : 0;
    return is_there;
}
