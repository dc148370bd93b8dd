/* See representation.h. Owns nothing. */
#include "api/representation.h"

#include <string.h>

#include "api/conditions.h"
#include "api/encoding.h"

static bool is_read(const struct request *request) {
    const struct answer *answer = &request->answer;
    return request->method == METHOD_GET && request->route->place == ON_READER && answer->status == 200 && !answer->has_secret &&
           answer->body.size > 0 && buf_ok(&answer->body);
}

/* Within JSON such bytes are a member and no text: a text's quotes are escaped. */
static void leave_as_of(struct slice body, struct slice ret_parts[2]) {
    static const char NAME[] = ",\"as_of\":\"";
    const char *end = (const char *)body.bytes + body.size;
    const char *member = memmem(body.bytes, body.size, NAME, sizeof(NAME) - 1);
    const char *value = member != NULL ? member + sizeof(NAME) - 1 : end;
    const char *quote = memchr(value, '"', (size_t)(end - value));
    ret_parts[0] = (struct slice){ body.bytes, (size_t)(value - (const char *)body.bytes) };
    ret_parts[1] = quote != NULL ? (struct slice){ quote, (size_t)(end - quote) } : (struct slice){ end, 0 };
}

static const char *tag_of(struct request *request) {
    struct slice parts[2];
    uint8_t hash[HASH128_SIZE];
    leave_as_of((struct slice){ request->answer.body.bytes, request->answer.body.size }, parts);
    hash128(parts, 2, hash);
    char tag[BASE64_SIZE(HASH128_SIZE)];
    base64_encode(hash, sizeof(hash), tag);
    return arena_string(&request->arena, tag);
}

/* Without memory for it the answer leaves as it is. */
static void compress(struct request *request) {
    struct buf packed = BUF_INIT;
    answer_header(request, "Vary", "Accept-Encoding");
    if (!encoding_takes_gzip(request->headers.accept_encoding))
        return;
    if (encoding_pack(request->answer.body.bytes, request->answer.body.size, &packed) != OK) {
        buf_release(&packed);
        return;
    }
    buf_release(&request->answer.body);
    request->answer.body = packed;
    answer_header(request, "Content-Encoding", "gzip");
}

/* What is known is compressed, too: the answer without a body still says how long it would be (RFC 9110, 8.6). */
void representation_choose(struct request *request) {
    if (!is_read(request))
        return;
    const char *tag = tag_of(request);
    if (tag == NULL)
        return;
    answer_header(request, "ETag", request_printf(request, "W/\"%s\"", tag));
    if (request->answer.body.size >= LIMIT_PLAIN_ANSWER_BYTES)
        compress(request);
    if (conditions_knows(request, tag))
        request->answer.status = 304;
}
