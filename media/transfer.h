/* HTTP requests to the storage, over libcurl: sent as they are, their answer collected.
 *
 * Owns a pool of handles, each with its kept-alive connection, shared by all threads. Knows nothing of S3, signs nothing, retries nothing and follows no
 * redirect. Only http and https; certificates are verified; proxies and .netrc of the environment are ignored, because requests carry credentials
 * and should go where the settings say and nowhere else. */
#pragma once

#include "core/buf.h"
#include "media/sigv4.h"

#define TRANSFER_PROBLEM_SIZE 256
#define TRANSFER_HEADERS_MAX 10

struct transfer_pool;

/* A request takes at most `timeout_ms`, waiting for the connection included. NULL: out of memory. */
struct transfer_pool *transfer_pool_new(int64_t timeout_ms) MUST_USE;
void transfer_pool_free(struct transfer_pool *pool); /* NULL is fine; no request may be under way */

/* Everything borrowed. */
struct transfer {
    const char *method;
    const char *url; /* encoded, and sent as it is */
    const struct sigv4_pair *headers;
    size_t header_count; /* at most TRANSFER_HEADERS_MAX */
    const char *body;    /* NULL: none */
    size_t body_size;
};

/* A header of the answer: `value` becomes "" when there is none, or none that fits. */
struct transfer_field {
    const char *name;
    char *value;
    size_t value_size; /* with its NUL */
};

struct transfer_answer {
    unsigned status;
    struct buf body; /* to be released by the caller, whatever was returned; at most LIMIT_STORAGE_ANSWER_BYTES */
    struct transfer_field *fields;
    size_t field_count;
};
/* Blocks. `answer` comes with its fields and an empty body. ERR_STORAGE_UNAVAILABLE: there was no whole answer; `problem` says why, with host and port but
 * nothing secret. ERR_NO_MEMORY. */
enum err transfer_run(struct transfer_pool *pool, const struct transfer *transfer, struct transfer_answer *answer,
                      char problem[TRANSFER_PROBLEM_SIZE]) MUST_USE;
