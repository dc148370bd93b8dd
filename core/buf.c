/* See buf.h. */
#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"

#define CAPACITY_MIN 256

#define NUMBER_DIGITS 20 /* of the largest */

static const char hex_digits[] = "0123456789abcdef";
static const char decimal_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
                                    "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
                                    "9899";

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

/* After writing into the room, up to `end`. */
static inline void end_at(struct buf *buf, char *end) {
    *end = '\0';
    buf->size = (size_t)(end - buf->bytes);
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

void buf_char(struct buf *buf, char character) {
    if (!has_room(buf, 1))
        return;
    buf->bytes[buf->size] = character;
    end_at(buf, buf->bytes + buf->size + 1);
}

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

/* Into room for NUMBER_DIGITS; returns what follows. */
static char *put_number(char *out, uint64_t number) {
    char digits[NUMBER_DIGITS];
    size_t first = sizeof digits;
    for (; number >= 10; number /= 100) {
        first -= 2;
        memcpy(digits + first, decimal_pairs + number % 100 * 2, 2);
    }
    if (number > 0 || first == sizeof digits)
        digits[--first] = (char)('0' + number);
    memcpy(out, digits + first, sizeof digits - first);
    return out + (sizeof digits - first);
}

void buf_u64(struct buf *buf, uint64_t number) {
    if (has_room(buf, NUMBER_DIGITS))
        end_at(buf, put_number(buf->bytes + buf->size, number));
}

static char *put_hex(char *out, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        *out++ = hex_digits[bytes[i] >> 4];
        *out++ = hex_digits[bytes[i] & 15];
    }
    return out;
}

void buf_hex(struct buf *buf, const uint8_t *bytes, size_t size) {
    if (size > SIZE_MAX / 2 || !has_room(buf, size * 2)) {
        buf->failed = true;
        return;
    }
    end_at(buf, put_hex(buf->bytes + buf->size, bytes, size));
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

#define OF_EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether one of eight bytes may want an escape: is below a space, a quotation mark or a backslash. Seldom also when none does. */
static inline bool may_want_escape(const char *bytes) {
    uint64_t eight;
    memcpy(&eight, bytes, sizeof eight);
    uint64_t quotes = eight ^ OF_EACH_BYTE('"'), backslashes = eight ^ OF_EACH_BYTE('\\');
    uint64_t found =
        ((eight - OF_EACH_BYTE(' ')) & ~eight) | ((quotes - OF_EACH_BYTE(1)) & ~quotes) | ((backslashes - OF_EACH_BYTE(1)) & ~backslashes);
    return found & OF_EACH_BYTE(0x80);
}

/* The first byte that wants an escape, or the end. */
static const char *skip_plain(const char *utf8, const char *end) {
    while (end - utf8 >= 8 && !may_want_escape(utf8))
        utf8 += 8;
    while (utf8 < end && escapes[(uint8_t)*utf8] == 0)
        utf8++;
    return utf8;
}

void json_quote(struct buf *buf, const char *utf8, size_t size) {
    const char *end = utf8 + size;

    buf_char(buf, '"');
    while (utf8 < end) {
        const char *run = utf8;
        utf8 = skip_plain(utf8, end);
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

static inline bool wants_comma(const struct buf *buf) {
    return buf->size > 0 && buf->bytes[buf->size - 1] != '{' && buf->bytes[buf->size - 1] != '[';
}

void json_comma(struct buf *buf) {
    if (wants_comma(buf))
        buf_char(buf, ',');
}

static char *put_key(char *out, const char *name, size_t size) {
    *out++ = '"';
    memcpy(out, name, size);
    out += size;
    *out++ = '"';
    *out++ = ':';
    return out;
}

void json_key(struct buf *buf, const char *name) {
    size_t size = strlen(name);
    if (has_room(buf, size + 3))
        end_at(buf, put_key(buf->bytes + buf->size, name, size));
}

/* Begins a member, and gives where its value goes, with room for `more` bytes; NULL when out of memory. It ends with end_at(). */
static char *open_member(struct buf *buf, const char *name, size_t more) {
    size_t size = strlen(name);
    if (!has_room(buf, size + 4 + more))
        return NULL;
    char *out = buf->bytes + buf->size;
    if (wants_comma(buf))
        *out++ = ',';
    return put_key(out, name, size);
}

static void member(struct buf *buf, const char *name) {
    char *out = open_member(buf, name, 0);
    if (out)
        end_at(buf, out);
}

void json_member_string(struct buf *buf, const char *name, const char *utf8) { json_member_text(buf, name, utf8, strlen(utf8)); }

void json_member_text(struct buf *buf, const char *name, const char *utf8, size_t size) {
    member(buf, name);
    json_quote(buf, utf8, size);
}

void json_member_id(struct buf *buf, const char *name, uint64_t id) {
    char *out = open_member(buf, name, NUMBER_DIGITS + 2);
    if (!out)
        return;
    *out++ = '"';
    out = put_number(out, id);
    *out++ = '"';
    end_at(buf, out);
}

void json_member_number(struct buf *buf, const char *name, uint64_t number) {
    char *out = open_member(buf, name, NUMBER_DIGITS);
    if (out)
        end_at(buf, put_number(out, number));
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
    char *out = open_member(buf, name, CLOCK_RFC3339_SIZE + 1);
    if (!out)
        return;
    *out++ = '"';
    out += clock_format(time_ms, out);
    *out++ = '"';
    end_at(buf, out);
}

void json_member_hex(struct buf *buf, const char *name, const uint8_t *bytes, size_t size) {
    member(buf, name);
    buf_char(buf, '"');
    buf_hex(buf, bytes, size);
    buf_char(buf, '"');
}
