/* A growable byte buffer, and the writer of JSON into it.
 *
 * Appending never fails towards the caller: when memory runs out the buffer turns `failed`, ignores
 * what follows, and the caller asks once at the end (buf_ok). `bytes` is NUL-terminated whenever it is
 * not NULL. Not thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct buf {
    char *bytes; /* owned; NULL until something was appended */
    size_t size; /* bytes used, without the final NUL */
    size_t capacity;
    bool failed;
};

#define BUF_INIT \
    { NULL, 0, 0, false }

/* Frees the bytes and makes the buffer empty again. */
void buf_release(struct buf *buf);

/* Forgets the content and keeps the memory. */
void buf_clear(struct buf *buf);

/* False after any append ran out of memory. */
static inline bool buf_ok(const struct buf *buf) { return !buf->failed; }

/* Makes room for `more` bytes and returns where they go; NULL when out of memory. The caller adds what it
 * wrote to `size`. */
char *buf_reserve(struct buf *buf, size_t more) MUST_USE;

void buf_append(struct buf *buf, const void *bytes, size_t size);
void buf_string(struct buf *buf, const char *string);
void buf_char(struct buf *buf, char character);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_u64(struct buf *buf, uint64_t number);
void buf_hex(struct buf *buf, const uint8_t *bytes, size_t size);

/* Hands the bytes over to the caller (to free()) and empties the buffer. */
char *buf_detach(struct buf *buf);

/* JSON. The functions write exactly one token each; the `_member` family writes `"name":value` with a comma
 * before it unless it is the first in its object (the last byte written is '{' or '['). `name` needs no escaping. */
/* A string in quotes. */
void json_quote(struct buf *buf, const char *utf8, size_t size);
/* The bytes that json_quote() writes. */
size_t json_quoted_size(const char *utf8, size_t size);
void json_key(struct buf *buf, const char *name);
void json_comma(struct buf *buf); /* a comma, unless at the start of an object or array */
void json_member_string(struct buf *buf, const char *name, const char *utf8);
void json_member_text(struct buf *buf, const char *name, const char *utf8, size_t size);
void json_member_id(struct buf *buf, const char *name, uint64_t id);         /* a decimal string */
void json_member_number(struct buf *buf, const char *name, uint64_t number); /* a JSON number */
void json_member_bool(struct buf *buf, const char *name, bool value);
void json_member_null(struct buf *buf, const char *name);
void json_member_time(struct buf *buf, const char *name, int64_t time_ms); /* RFC 3339 UTC, milliseconds */
void json_member_hex(struct buf *buf, const char *name, const uint8_t *bytes, size_t size);
