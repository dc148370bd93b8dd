/* See buf.h. */
#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"

#define CAPACITY_MIN 256

static const char hex_digits[] = "0123456789abcdef";

void buf_release(struct buf *buf) {
    free(buf->bytes);
    *buf = (struct buf)BUF_INIT;
}

void buf_clear(struct buf *buf) {
    buf->size = 0;
    buf->failed = false;
    if (buf->bytes != NULL)
        buf->bytes[0] = '\0';
}

/* The next power of two that holds `needed` bytes; 0 when there is none. */
static size_t capacity_for(size_t needed) {
    size_t capacity = CAPACITY_MIN;
    while (capacity < needed && capacity != 0)
        capacity <<= 1;
    return capacity;
}

static bool grow(struct buf *buf, size_t more) {
    size_t needed;
    if (buf->failed)
        return false;

    size_t capacity = __builtin_add_overflow(buf->size, more, &needed) || needed == SIZE_MAX ? 0 : capacity_for(needed + 1);
    char *bytes = capacity == 0 ? NULL : realloc(buf->bytes, capacity);
    if (bytes == NULL) {
        buf->failed = true;
        return false;
    }
    buf->bytes = bytes;
    buf->capacity = capacity;
    return true;
}

/* Room for `more` bytes and the NUL. */
static inline bool has_room(struct buf *buf, size_t more) {
    if (more < buf->capacity - buf->size && !buf->failed)
        return true;
    return grow(buf, more);
}

char *buf_reserve(struct buf *buf, size_t more) { return has_room(buf, more) ? buf->bytes + buf->size : NULL; }

void buf_append(struct buf *buf, const void *bytes, size_t size) {
    if (!has_room(buf, size))
        return;
    if (size > 0)
        memcpy(buf->bytes + buf->size, bytes, size);
    buf->size += size;
    buf->bytes[buf->size] = '\0';
}

void buf_string(struct buf *buf, const char *string) { buf_append(buf, string, strlen(string)); }

void buf_char(struct buf *buf, char character) { buf_append(buf, &character, 1); }

void buf_printf(struct buf *buf, const char *format, ...) {
    va_list arguments, again;

    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);

    if (size < 0)
        buf->failed = true;
    else if (has_room(buf, (size_t)size)) {
        vsnprintf(buf->bytes + buf->size, (size_t)size + 1, format, again);
        buf->size += (size_t)size;
    }
    va_end(again);
}

void buf_u64(struct buf *buf, uint64_t number) {
    char digits[20];
    size_t first = sizeof(digits);
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    buf_append(buf, digits + first, sizeof(digits) - first);
}

void buf_hex(struct buf *buf, const uint8_t *bytes, size_t size) {
    if (size > SIZE_MAX / 2 || !has_room(buf, size * 2)) {
        buf->failed = true;
        return;
    }
    char *out = buf->bytes + buf->size;
    for (size_t i = 0; i < size; i++) {
        *out++ = hex_digits[bytes[i] >> 4];
        *out++ = hex_digits[bytes[i] & 15];
    }
    *out = '\0';
    buf->size += size * 2;
}

char *buf_detach(struct buf *buf) {
    char *bytes = buf->bytes;
    *buf = (struct buf)BUF_INIT;
    return bytes;
}

/* How a byte is written inside a JSON string: 0 as it is, 'u' as \u00XX, anything else after a backslash. */
static const char escapes[256] = {
    [0x00 ... 0x07] = 'u', ['\b'] = 'b', ['\t'] = 't',          ['\n'] = 'n', [0x0b] = 'u',
    ['\f'] = 'f',          ['\r'] = 'r', [0x0e ... 0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\',
};

static void append_escape(struct buf *buf, uint8_t byte) {
    const char simple[2] = { '\\', escapes[byte] };
    const char numeric[6] = { '\\', 'u', '0', '0', hex_digits[byte >> 4], hex_digits[byte & 15] };
    if (escapes[byte] == 'u')
        buf_append(buf, numeric, sizeof(numeric));
    else
        buf_append(buf, simple, sizeof(simple));
}

void json_quote(struct buf *buf, const char *utf8, size_t size) {
    const char *end = utf8 + size;

    buf_char(buf, '"');
    while (utf8 < end) {
        const char *run = utf8;
        while (utf8 < end && escapes[(uint8_t)*utf8] == 0)
            utf8++;
        if (utf8 > run)
            buf_append(buf, run, (size_t)(utf8 - run));
        if (utf8 < end)
            append_escape(buf, (uint8_t)*utf8++);
    }
    buf_char(buf, '"');
}

size_t json_quoted_size(const char *utf8, size_t size) {
    size_t quoted = size + 2;
    for (size_t i = 0; i < size; i++)
        quoted += escapes[(uint8_t)utf8[i]] == 0 ? 0 : escapes[(uint8_t)utf8[i]] == 'u' ? 5 : 1;
    return quoted;
}

void json_comma(struct buf *buf) {
    if (buf->size == 0)
        return;
    char last = buf->bytes[buf->size - 1];
    if (last != '{' && last != '[')
        buf_char(buf, ',');
}

void json_key(struct buf *buf, const char *name) {
    buf_char(buf, '"');
    buf_string(buf, name);
    buf_append(buf, "\":", 2);
}

static void member(struct buf *buf, const char *name) {
    json_comma(buf);
    json_key(buf, name);
}

void json_member_string(struct buf *buf, const char *name, const char *utf8) { json_member_text(buf, name, utf8, strlen(utf8)); }

void json_member_text(struct buf *buf, const char *name, const char *utf8, size_t size) {
    member(buf, name);
    json_quote(buf, utf8, size);
}

void json_member_id(struct buf *buf, const char *name, uint64_t id) {
    member(buf, name);
    buf_char(buf, '"');
    buf_u64(buf, id);
    buf_char(buf, '"');
}

void json_member_number(struct buf *buf, const char *name, uint64_t number) {
    member(buf, name);
    buf_u64(buf, number);
}

void json_member_bool(struct buf *buf, const char *name, bool value) {
    member(buf, name);
    buf_string(buf, value ? "true" : "false");
}

void json_member_null(struct buf *buf, const char *name) {
    member(buf, name);
    buf_append(buf, "null", 4);
}

void json_member_time(struct buf *buf, const char *name, int64_t time_ms) {
    char text[CLOCK_RFC3339_SIZE];
    size_t size = clock_format(time_ms, text);
    member(buf, name);
    buf_char(buf, '"');
    buf_append(buf, text, size);
    buf_char(buf, '"');
}

void json_member_hex(struct buf *buf, const char *name, const uint8_t *bytes, size_t size) {
    member(buf, name);
    buf_char(buf, '"');
    buf_hex(buf, bytes, size);
    buf_char(buf, '"');
}
