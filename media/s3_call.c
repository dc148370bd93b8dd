/* See s3_internal.h. Owns the way of one call: signing, sending, repeating, and what its answer means. */
#include "media/s3_internal.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "core/clock.h"
#include "core/crypto.h"
#include "core/random.h"

#define TRIES 3
#define BACKOFF_FIRST_MS 100 /* the longest wait before the second try; it doubles for each one after */
#define HEX_SHA256_SIZE (2 * SHA256_SIZE + 1)

void s3_add_query(struct s3_call *call, const char *name, const char *value) {
    assert(call->query_count < S3_QUERY_MAX);
    if (*value != '\0')
        call->query[call->query_count++] = (struct sigv4_pair){ name, value };
}

void s3_escape(struct buf *buf, const char *text) {
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            buf_string(buf, "&amp;");
            break;
        case '<':
            buf_string(buf, "&lt;");
            break;
        case '>':
            buf_string(buf, "&gt;");
            break;
        case '"':
            buf_string(buf, "&quot;");
            break;
        case '\t':
        case '\n':
        case '\r': /* readers change them to spaces and line feeds otherwise */
            buf_printf(buf, "&#%d;", *text);
            break;
        default:
            buf_char(buf, *text);
        }
    }
}

/* ---- What an answer means ---- */

/* Codes that say what the operator could do. */
static const struct {
    const char *code;
    const char *hint;
} hints[] = {
    { "InvalidAccessKeyId", "the storage does not know PARLEY_S3_ACCESS_KEY" },
    { "SignatureDoesNotMatch", "PARLEY_S3_SECRET_KEY is not that of PARLEY_S3_ACCESS_KEY, or something in between changes requests" },
    { "RequestTimeTooSkewed", "the clock of this machine or that of the storage is wrong" },
    { "ExpiredToken", "PARLEY_S3_SESSION_TOKEN has expired" },
    { "InvalidToken", "PARLEY_S3_SESSION_TOKEN is not that of PARLEY_S3_ACCESS_KEY" },
    { "AccessDenied", "PARLEY_S3_ACCESS_KEY may not do this" },
    { "NoSuchBucket", "there is no bucket PARLEY_S3_BUCKET; `parley media setup` creates it" },
    { "PermanentRedirect", "the bucket is at another endpoint than PARLEY_S3_ENDPOINT" },
    { "AuthorizationHeaderMalformed", "the bucket is in another region than PARLEY_S3_REGION" },
    { "IllegalLocationConstraintException", "PARLEY_S3_REGION is not that of PARLEY_S3_ENDPOINT" },
    { "AccessControlListNotSupported", "the bucket refuses ACLs: PARLEY_S3_ACL=none is right for it" },
    { "SlowDown", "the storage asks for fewer requests" },
    { "QuotaExceeded", "the storage is full" },
};

static const char *hint_of(const struct s3_answer *answer) {
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        if (strcmp(answer->code, hints[i].code) == 0)
            return hints[i].hint;
    if (answer->status == 403) /* answers to HEAD have no body, so no code */
        return "the keys are wrong, the clock is, or the key may not do this (without the right to list, also when there is no such object)";
    if (answer->status >= 300 && answer->status < 400)
        return "the storage is elsewhere: PARLEY_S3_ENDPOINT or PARLEY_S3_REGION is wrong";
    return "";
}

static bool is_code(const struct s3_answer *answer, const char *code) { return strcmp(answer->code, code) == 0; }

/* The one place that knows S3's codes. */
static enum err error_of(const struct s3_answer *answer) {
    if (answer->status >= 200 && answer->status < 300 && *answer->code == '\0')
        return OK;
    if (is_code(answer, "NoSuchUpload") || is_code(answer, "NoSuchKey"))
        return ERR_NOT_FOUND;
    if (answer->status == 404 && *answer->code == '\0')
        return ERR_NOT_FOUND;
    if (is_code(answer, "InvalidPart") || is_code(answer, "InvalidPartOrder") || is_code(answer, "EntityTooSmall"))
        return ERR_CONFLICT;
    return ERR_STORAGE_UNAVAILABLE;
}

static bool may_pass(const struct s3_answer *answer) {
    switch (answer->status) {
    case 0:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return true;
    default:
        return is_code(answer, "SlowDown") || is_code(answer, "InternalError");
    }
}

void s3_copy_code(const char *text, char out[S3_CODE_SIZE]) {
    size_t size = 0;
    for (; *text != '\0' && size < S3_CODE_SIZE - 1; text++)
        if (isalnum((unsigned char)*text))
            out[size++] = *text;
    out[size] = '\0';
}

static void note_refusal(const struct s3 *s3, const struct s3_call *call, const struct s3_answer *answer) {
    const char *hint = hint_of(answer);
    storage_note_problem("%s: %s answered %u%s%s%s%s", call->operation, s3->origin, answer->status, *answer->code == '\0' ? "" : " ",
                         answer->code, *hint == '\0' ? "" : ": ", hint);
}

/* A refusal's code, which also comes with status 200 when it was found late. */
static enum err read_answer(const struct s3 *s3, const struct s3_call *call, const struct buf *body, struct arena *arena,
                            struct s3_answer *answer) {
    enum err err = body->size == 0 ? OK : xml_read(body->bytes, body->size, arena, &answer->root);
    if (err == ERR_NO_MEMORY)
        return err;
    bool is_success = answer->status >= 200 && answer->status < 300;
    if (err != OK && is_success) {
        storage_note_problem("%s: %s answered something that is no XML: is it an S3 storage?", call->operation, s3->origin);
        return ERR_STORAGE_UNAVAILABLE;
    }
    if (answer->root != NULL && strcmp(answer->root->name, "Error") == 0)
        s3_copy_code(xml_text(answer->root, "Code"), answer->code);
    else if (err != OK) /* a proxy's page */
        s3_copy_code("NotFromS3", answer->code);

    err = error_of(answer);
    if (err != OK)
        note_refusal(s3, call, answer);
    return err;
}

/* ---- Signing and sending ---- */

static void hex_sha256(const struct buf *body, char out[HEX_SHA256_SIZE]) {
    uint8_t hash[SHA256_SIZE];
    struct slice slice = { body == NULL ? "" : body->bytes, body == NULL ? 0 : body->size };
    sha256(&slice, 1, hash);
    for (size_t i = 0; i < sizeof(hash); i++) {
        out[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
    out[HEX_SHA256_SIZE - 1] = '\0';
}

static enum err base64_md5(const struct buf *body, char out[BASE64_SIZE(MD5_SIZE)]) {
    uint8_t hash[MD5_SIZE];
    struct md5 *md5 = md5_begin();
    if (md5 == NULL)
        return ERR_NO_MEMORY;
    md5_add(md5, body->bytes, body->size);
    md5_end(md5, hash);
    base64_encode(hash, sizeof(hash), out);
    return OK;
}

/* A call as it is sent, for one try. */
struct attempt {
    struct buf path; /* not encoded */
    struct buf url;
    struct buf authorization;
    char date[SIGV4_DATE_SIZE];
    char body_sha256[HEX_SHA256_SIZE];
    char body_md5[BASE64_SIZE(MD5_SIZE)];
    struct sigv4_pair headers[TRANSFER_HEADERS_MAX];
    size_t header_count;
};

static void attempt_release(struct attempt *attempt) {
    buf_release(&attempt->path);
    buf_release(&attempt->url);
    buf_release(&attempt->authorization);
}

static void add_header(struct attempt *attempt, const char *name, const char *value) {
    assert(attempt->header_count < TRANSFER_HEADERS_MAX);
    if (value != NULL && *value != '\0')
        attempt->headers[attempt->header_count++] = (struct sigv4_pair){ name, value };
}

static enum err add_headers(struct attempt *attempt, const struct s3 *s3, const struct s3_call *call) {
    if (call->body != NULL) {
        enum err err = base64_md5(call->body, attempt->body_md5);
        if (err != OK)
            return err;
    }
    hex_sha256(call->body, attempt->body_sha256);
    add_header(attempt, "host", s3->host);
    add_header(attempt, "content-md5", attempt->body_md5);
    add_header(attempt, "content-type", call->content_type != NULL ? call->content_type : call->body != NULL ? "application/xml" : NULL);
    add_header(attempt, "x-amz-acl", call->acl);
    add_header(attempt, "x-amz-content-sha256", attempt->body_sha256);
    add_header(attempt, "x-amz-date", attempt->date);
    add_header(attempt, "x-amz-security-token", s3->base.credentials.session_token);
    return OK;
}

static void write_url(struct attempt *attempt, const struct s3 *s3, const struct s3_call *call) {
    buf_string(&attempt->path, s3->path);
    buf_string(&attempt->path, call->key == NULL ? "" : call->key);
    buf_string(&attempt->url, s3->origin);
    if (buf_ok(&attempt->path))
        sigv4_encode(&attempt->url, attempt->path.bytes, false);
    for (size_t i = 0; i < call->query_count; i++) {
        buf_char(&attempt->url, i == 0 ? '?' : '&');
        sigv4_encode(&attempt->url, call->query[i].name, true);
        buf_char(&attempt->url, '=');
        sigv4_encode(&attempt->url, call->query[i].value, true);
    }
}

static enum err sign(struct attempt *attempt, const struct s3 *s3, const struct s3_call *call) {
    int64_t now_ms = clock_now_ms();
    sigv4_date(now_ms, attempt->date);
    enum err err = add_headers(attempt, s3, call);
    if (err != OK)
        return err;
    write_url(attempt, s3, call);
    if (!buf_ok(&attempt->path) || !buf_ok(&attempt->url))
        return ERR_NO_MEMORY;

    struct sigv4_request request = {
        .method = call->method,
        .path = attempt->path.bytes,
        .query = call->query,
        .query_count = call->query_count,
        .headers = attempt->headers,
        .header_count = attempt->header_count,
        .payload_hash = attempt->body_sha256,
        .time_ms = now_ms,
    };
    sigv4_authorization(&s3->base.credentials, &request, &attempt->authorization);
    if (!buf_ok(&attempt->authorization))
        return ERR_NO_MEMORY;
    add_header(attempt, "authorization", attempt->authorization.bytes);
    return OK;
}

static enum err send_signed(struct s3 *s3, const struct s3_call *call, const struct attempt *attempt, struct arena *arena,
                            struct s3_answer *answer) {
    char problem[TRANSFER_PROBLEM_SIZE];
    struct transfer transfer = {
        .method = call->method,
        .url = attempt->url.bytes,
        .headers = attempt->headers,
        .header_count = attempt->header_count,
        .body = call->body == NULL ? NULL : call->body->bytes,
        .body_size = call->body == NULL ? 0 : call->body->size,
    };
    struct transfer_answer raw = { .body = BUF_INIT, .fields = call->fields, .field_count = call->field_count };

    enum err err = transfer_run(s3->pool, &transfer, &raw, problem);
    answer->status = err == OK ? raw.status : 0;
    if (err == OK)
        err = read_answer(s3, call, &raw.body, arena, answer);
    else if (err == ERR_STORAGE_UNAVAILABLE)
        storage_note_problem("%s: %s: %s", call->operation, s3->origin, problem);
    buf_release(&raw.body);
    return err;
}

static enum err try_once(struct s3 *s3, const struct s3_call *call, struct arena *arena, struct s3_answer *answer) {
    struct attempt attempt = { .path = BUF_INIT, .url = BUF_INIT, .authorization = BUF_INIT };
    *answer = (struct s3_answer){ 0 };
    enum err err = sign(&attempt, s3, call);
    if (err == OK)
        err = send_signed(s3, call, &attempt, arena, answer);
    attempt_release(&attempt);
    return err;
}

/* ---- Repeating ---- */

/* Exponential, with full jitter, so that those who failed together do not come back together. */
static int64_t backoff_ms(unsigned tries) { return (int64_t)random_below((uint64_t)BACKOFF_FIRST_MS << (tries - 1)) + 1; }

enum err s3_run(struct s3 *s3, const struct s3_call *call, struct arena *arena, struct s3_answer *ret_answer) {
    /* No try begins later, so a caller waits two timeouts at most. */
    int64_t last_start_ms = clock_monotonic_ms() + s3->base.config->s3_timeout_ms;
    enum err err = ERR_STORAGE_UNAVAILABLE;
    *ret_answer = (struct s3_answer){ 0 };

    for (unsigned tries = 1; tries <= TRIES; tries++) {
        if (!breaker_admits(&s3->breaker, clock_monotonic_ms())) {
            if (tries == 1)
                storage_note_problem("%s: %s did not answer the last requests; not asked again yet", call->operation, s3->origin);
            return ERR_STORAGE_UNAVAILABLE;
        }
        err = try_once(s3, call, arena, ret_answer);
        breaker_report(&s3->breaker, ret_answer->status != 0 || err == ERR_NO_MEMORY, clock_monotonic_ms());
        if (err != ERR_STORAGE_UNAVAILABLE || !may_pass(ret_answer))
            return err;

        int64_t wait_ms = backoff_ms(tries);
        if (tries == TRIES || clock_monotonic_ms() + wait_ms > last_start_ms)
            break;
        clock_sleep_ms(wait_ms);
    }
    return err;
}
