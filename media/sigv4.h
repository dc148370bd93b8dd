/* AWS Signature Version 4, pure: what is signed and how. No I/O, no clock, any thread.
 *
 * Source: "Signature Version 4 signing process" and, for query strings, "Authenticating Requests: Using Query Parameters" of the Amazon S3 API
 * reference. Paths are encoded once and never normalised, as S3 wants it. */
#pragma once

#include "core/buf.h"

#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
#define SIGV4_EXPIRES_MAX_S 604800
#define SIGV4_PAIRS_MAX 32 /* arguments, or headers, that are signed; presigning adds up to seven arguments */

/* An argument that presigned requests may carry and that then says the same as their payload_hash; sigv4_presign() does not add it by itself. */
#define SIGV4_ARGUMENT_PAYLOAD_HASH "X-Amz-Content-Sha256"

struct sigv4_credentials {
    const char *access_key;
    const char *secret_key;
    const char *session_token; /* NULL or "": none */
    const char *region;
    const char *service; /* "s3" */
};

/* Neither encoded nor quoted. */
struct sigv4_pair {
    const char *name; /* headers: lower case, each once */
    const char *value;
};

struct sigv4_request {
    const char *method;
    const char *path; /* begins with '/'; not encoded; slashes separate */
    const struct sigv4_pair *query;
    size_t query_count;
    const struct sigv4_pair *headers; /* all that are to be signed, `host` among them */
    size_t header_count;
    const char *payload_hash; /* lower-case hex of the body's SHA-256, or SIGV4_UNSIGNED_PAYLOAD */
    int64_t time_ms;
};

/* Percent-encodes as AWS does: all but A-Z a-z 0-9 - . _ ~, in upper-case hex; slashes only when `encode_slash`. */
void sigv4_encode(struct buf *buf, const char *text, bool encode_slash);

/* The value of the header Authorization. The caller sends x-amz-date (sigv4_date), x-amz-content-sha256 and, with a token, x-amz-security-token, and has
 * them among the headers. Appends to `buf`, whose buf_ok() says whether memory was enough. */
void sigv4_authorization(const struct sigv4_credentials *credentials, const struct sigv4_request *request, struct buf *buf);

/* The query of a presigned URL, without '?': the request's own arguments and those of the signature, sorted and encoded. `expires_s` is 1 to
 * SIGV4_EXPIRES_MAX_S. Appends to `buf`, as above. */
void sigv4_presign(const struct sigv4_credentials *credentials, const struct sigv4_request *request, int64_t expires_s, struct buf *buf);

/* "20130524T000000Z" */
#define SIGV4_DATE_SIZE 17
void sigv4_date(int64_t time_ms, char out[SIGV4_DATE_SIZE]);

/* Checks a presigned request as a server got it. `request->query` holds all arguments, decoded, those of the signature included; `request->headers` all that the
 * client sent that may have been signed, names in lower case; time_ms is now. ERR_BAD_SIGNATURE: something does not fit, an argument came twice, or a
 * signed header is missing or came twice; `host` must be signed, and so must every x-amz- header that was sent. ERR_URL_EXPIRED: it fits, but its time
 * is over (or begins more than 15 minutes from now). ERR_NO_MEMORY. */
enum err sigv4_verify(const struct sigv4_credentials *credentials, const struct sigv4_request *request) MUST_USE;
/* When the URL of a verified request stops working. */
int64_t sigv4_expires_ms(const struct sigv4_request *request);
/* Whether the arguments say that the header was signed. */
bool sigv4_signs(const struct sigv4_request *request, const char *header);
