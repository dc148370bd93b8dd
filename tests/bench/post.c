#include "post.h"

#include <stdio.h>
#include <string.h>

#include "http.h"

#define BODY_START "{\"text\":\""
#define BODY_END "\"}"
#define BODY_END_BYTES (sizeof BODY_END - 1)
#define STAMP_DIGITS (POST_STAMP_BYTES - 2)

size_t post_write(const struct post *post, char *bytes) {
    size_t body_len = strlen(BODY_START) + post->text_bytes + BODY_END_BYTES;
    int head_len =
        snprintf(bytes, HTTP_REQUEST_BYTES_MAX,
                 "POST /v1/chats/%s/messages HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAuthorization: Bearer %s\r\n"
                 "Content-Type: application/json\r\nIdempotency-Key: %016llx%016llx\r\nContent-Length: %zu\r\n\r\n" BODY_START "@%0*llu@",
                 post->chat_id, post->port, post->token, (unsigned long long)post->key[0], (unsigned long long)post->key[1], body_len,
                 STAMP_DIGITS, (unsigned long long)post->time_ns);
    size_t filler_len = post->text_bytes - POST_STAMP_BYTES;
    memset(bytes + head_len, 'x', filler_len);
    memcpy(bytes + head_len + filler_len, BODY_END, BODY_END_BYTES);
    return (size_t)head_len + filler_len + BODY_END_BYTES;
}

void post_write_text(const struct post *post, char *text) {
    snprintf(text, POST_STAMP_BYTES + 1, "@%0*llu@", STAMP_DIGITS, (unsigned long long)post->time_ns);
    memset(text + POST_STAMP_BYTES, 'x', post->text_bytes - POST_STAMP_BYTES);
    text[post->text_bytes] = '\0';
}

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
