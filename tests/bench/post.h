/* One POST of a message. Its text begins with the time it was sent, by which a stream in the same process tells how long it took. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"

#define POST_STAMP_BYTES 22 /* "@" + 20 digits of nanoseconds + "@" */

struct post {
    const char *token;
    const char *chat_id;
    uint64_t key[2]; /* a random Idempotency-Key, as a client's UUID would be */
    uint64_t time_ns;
    uint32_t text_bytes; /* POST_STAMP_BYTES to BENCH_TEXT_BYTES_MAX */
    uint16_t port;
};

/* Writes the whole request into HTTP_REQUEST_BYTES_MAX bytes; returns its length. */
size_t post_write(const struct post *post, char *bytes);
/* Writes the text alone, `text_bytes` and a NUL: for servers that take it in another form. */
void post_write_text(const struct post *post, char *text);
/* The time in the first stamp of `text`; false when there is none. */
bool post_read_stamp(const char *text, size_t len, uint64_t *ret_time_ns);
