/* What comes from the bus, as somebody might send it who knows the key: the input is an envelope without its code, and its size is set right. What is read
 * must be sound, and be the same bytes when it is written again. */
#include <string.h>

#include "core/id.h"
#include "db/envelope.h"
#include "tests/fuzz/fuzz.h"

#define SIZE_AT 1 /* where the size lies, behind the version */
#define SIZE_BYTES 4

static const uint8_t key[SHA256_SIZE];

static void check_frame(const struct frame *frame) {
    MUST(frame->size > 0 && frame->unnamed < frame->size);
    MUST(frame->object <= frame->size && frame->object_size <= frame->size - frame->object);
    MUST(event_is_message(frame->type) == (frame->object != 0));
    MUST((frame->members != NULL) == (frame->member_count != 0));
    MUST(frame->member_count == 0 || frame->type == EVENT_CHAT_CREATED);
    MUST(frame->id >= 1 && frame->id <= ID_MAX);
    if (frame->withheld == NULL)
        return;
    MUST(frame->withheld->withheld == NULL && frame->withheld->id == frame->id);
    check_frame(frame->withheld);
}

static void check_envelope(const struct envelope *envelope) {
    uint64_t last_id = envelope->previous_id;
    for (size_t i = 0; i < envelope->count; i++) {
        check_frame(envelope->frames[i]);
        MUST(log_position(envelope->frames[i]->id) == log_position(last_id) + 1);
        last_id = envelope->frames[i]->id;
    }
    MUST(envelope->count == 0 || last_id == envelope->last_id);
}

static void check_again(const struct envelope *envelope, const uint8_t *bytes, size_t size) {
    struct buf again = BUF_INIT;
    envelope_write(envelope, key, &again);
    MUST(buf_ok(&again));
    MUST(again.size == size && memcmp(again.bytes, bytes, size) == 0);
    buf_release(&again);
}

/* Of exactly its size, so that the sanitizer sees a byte too many. */
static uint8_t *seal(const uint8_t *input, size_t size, size_t *ret_size) {
    uint8_t code[SHA256_SIZE], *envelope = malloc(ENVELOPE_CODE_SIZE + size), *rest = envelope + ENVELOPE_CODE_SIZE;
    *ret_size = ENVELOPE_CODE_SIZE + size;
    memcpy(rest, input, size);
    for (size_t i = 0; i < SIZE_BYTES && SIZE_AT + i < size; i++)
        rest[SIZE_AT + i] = (uint8_t)(*ret_size >> 8 * i);
    hmac_sha256(key, sizeof(key), &(struct slice){ rest, size }, 1, code);
    memcpy(envelope, code, ENVELOPE_CODE_SIZE);
    return envelope;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct envelope envelope;
    size_t sealed_size;
    uint8_t *sealed = seal(input, size, &sealed_size);
    MUST(envelope_read(input, size, key, &envelope) == ERR_BAD_SIGNATURE);
    enum err err = envelope_read(sealed, sealed_size, key, &envelope);
    MUST(err == OK || err == ERR_BAD_REQUEST);
    if (err == OK) {
        check_envelope(&envelope);
        check_again(&envelope, sealed, sealed_size);
        envelope_release(&envelope);
    }
    free(sealed);
    return 0;
}
