/* Envelopes: what one node tells the others about a commit, as one message on the bus (db/bus.h). Pure.
 *
 * Whoever can write to the bus must not be able to make events up: an envelope begins with a code that follows from the database's secret, and what comes
 * with another code is not looked at. Beyond that the reader trusts nothing, since another version may have written it. Numbers are little-endian:
 *
 *     code           16 bytes: HMAC-SHA-256, cut, of all that follows
 *     version        1 byte
 *     size           4: of the whole envelope
 *     sender         8: random, of the process
 *     previous_id    8: the log's last id before the frames
 *     last_id        8: the last frame's, or up to where the log goes when there are none
 *     count          4: of the frames, whose positions are the ones after previous_id
 *     frames         each: the fields of `frame_head` in db/envelope.c, its members (8 each), its bytes, and, when it has them, its withheld and its hidden form alike */
#pragma once

#include "core/limits.h"
#include "db/whisper.h"

#define ENVELOPE_CODE_SIZE 16

struct envelope {
    uint64_t sender;
    uint64_t previous_id;
    uint64_t last_id;
    size_t count;
    struct frame **frames; /* NULL when there are none; of one that was read: owned, and so are the references */
};

/* The key for codes, from the database's secret. */
void envelope_key(const uint8_t secret[32], uint8_t ret_key[SHA256_SIZE]);

/* How many of the first of these frames fit into an envelope of LIMIT_ENVELOPE_BYTES; 0: not even one does, so that only the ids can be sent. */
size_t envelope_fitting(struct frame *const *frames, size_t count);
/* Replaces the buffer's content by the envelope; ask buf_ok(). */
void envelope_write(const struct envelope *envelope, const uint8_t key[SHA256_SIZE], struct buf *buf);

/* ERR_BAD_SIGNATURE: by nobody who knows the key. ERR_BAD_REQUEST: wrong all the same, or of another version. ERR_NO_MEMORY. */
enum err envelope_read(const void *bytes, size_t size, const uint8_t key[SHA256_SIZE], struct envelope *ret_envelope) MUST_USE;
/* Drops what envelope_read() gave. */
void envelope_release(struct envelope *envelope);

/* Whispers travel in envelopes of their own kind:
 *
 *     code, kind (1 byte, no version of the others), size, sender    as above
 *     whispers       each: target (1), target_id (8), except_user_id (8), sizes of type (1) and object (2), and these
 */

/* Appends one to those that will leave together. */
void envelope_put_whisper(struct buf *whispers, const struct whisper *whisper);
/* Replaces the buffer's content by an envelope with what envelope_put_whisper() has written; ask buf_ok(). */
void envelope_write_whispers(uint64_t sender, const struct buf *whispers, const uint8_t key[SHA256_SIZE], struct buf *buf);
/* Which of the two kinds it claims to be. */
bool envelope_has_whispers(const void *bytes, size_t size);

/* What an envelope of whispers is read by, one after the other. */
struct whisper_reader {
    uint64_t sender;
    const uint8_t *bytes; /* what is left; borrowed */
    size_t size;
    char type[LIMIT_WHISPER_TYPE_BYTES + 1]; /* of the last one */
};
/* Errors as envelope_read(). The bytes must outlive the reader. */
enum err whisper_reader_open(struct whisper_reader *reader, const void *bytes, size_t size, const uint8_t key[SHA256_SIZE]) MUST_USE;
/* The same for what envelope_put_whisper() wrote. */
void whisper_reader_of_buf(struct whisper_reader *reader, const struct buf *whispers);
/* False: there are no more, or what follows is wrong. The whisper is sound, and borrows from the reader. */
bool whisper_reader_next(struct whisper_reader *reader, struct whisper *ret_whisper);
