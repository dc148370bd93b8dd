#include "post.h"

#include <string.h>

#define BODY_START "{\"text\":\""
#define BODY_END "\"}"
#define STAMP_DIGITS (POST_STAMP_BYTES - 2)

/* ---- Writing: by hand, for a load generator that is busy with printf() measures itself ---- */

static char *put(char *out, const char *text, size_t len) {
    memcpy(out, text, len);
    return out + len;
}

#define PUT_LITERAL(out, literal) put(out, literal, sizeof(literal) - 1)

static char *put_text(char *out, const char *text) { return put(out, text, strlen(text)); }

static char *put_hex(char *out, uint64_t number) {
    static const char digits[] = "0123456789abcdef";
    for (int shift = 60; shift >= 0; shift -= 4)
        *out++ = digits[number >> shift & 15];
    return out;
}

/* With leading zeros. */
static char *put_decimal(char *out, uint64_t number, size_t width) {
    for (size_t i = width; i-- > 0; number /= 10)
        out[i] = (char)('0' + number % 10);
    return out + width;
}

static size_t width_of(uint64_t number) {
    size_t width = 1;
    while (number /= 10)
        width++;
    return width;
}

static char *put_message(char *out, const struct post *post) {
    size_t filler_len = post->text_bytes - POST_STAMP_BYTES;
    *out++ = '@';
    out = put_decimal(out, post->time_ns, STAMP_DIGITS);
    *out++ = '@';
    memset(out, 'x', filler_len);
    return out + filler_len;
}

size_t post_write(const struct post *post, char *bytes) {
    size_t body_len = sizeof(BODY_START) - 1 + post->text_bytes + sizeof(BODY_END) - 1;
    char *out = PUT_LITERAL(bytes, "POST /v1/chats/");
    out = put_text(out, post->chat_id);
    out = PUT_LITERAL(out, "/messages HTTP/1.1\r\nHost: 127.0.0.1:");
    out = put_decimal(out, post->port, width_of(post->port));
    out = PUT_LITERAL(out, "\r\nAuthorization: Bearer ");
    out = put_text(out, post->token);
    out = PUT_LITERAL(out, "\r\nContent-Type: application/json\r\nIdempotency-Key: ");
    out = put_hex(put_hex(out, post->key[0]), post->key[1]);
    out = PUT_LITERAL(out, "\r\nContent-Length: ");
    out = put_decimal(out, body_len, width_of(body_len));
    out = PUT_LITERAL(out, "\r\n\r\n" BODY_START);
    out = put_message(out, post);
    out = PUT_LITERAL(out, BODY_END);
    return (size_t)(out - bytes);
}

void post_write_text(const struct post *post, char *text) { *put_message(text, post) = '\0'; }

bool post_read_stamp(const char *text, size_t len, uint64_t *ret_time_ns) {
    const char *at = memchr(text, '@', len);
    if (!at || (size_t)(text + len - at) < POST_STAMP_BYTES || at[POST_STAMP_BYTES - 1] != '@')
        return false;
    uint64_t time_ns = 0;
    for (const char *digit = at + 1; digit <= at + STAMP_DIGITS; digit++)
        time_ns = time_ns * 10 + (uint64_t)(*digit - '0');
    *ret_time_ns = time_ns;
    return true;
}
