/* The S3 driver's inside, for media/s3*.c only: one storage, and one call to it.
 *
 * s3_open.c makes the storage from the settings, s3_call.c signs, sends, repeats and judges calls, s3.c is the table of what a storage does, s3_setup.c makes
 * a bucket ready. Everything but opening and closing may run on any number of threads. */
#pragma once

#include "media/breaker.h"
#include "media/driver.h"
#include "media/transfer.h"
#include "media/xml.h"

#define S3_SCRATCH_BYTES (64 * 1024 * 1024) /* the elements of the largest answer */
#define S3_QUERY_MAX 8
#define STORAGE_PAGE_TEXT "1000" /* STORAGE_PAGE, as an argument */
#define S3_CODE_SIZE 64

struct s3 {
    struct storage base;
    struct transfer_pool *pool;
    struct breaker breaker;
    char *host;        /* of our own requests, with the bucket in virtual-host style; owned, like all below */
    char *origin;      /* scheme://host */
    char *path;        /* of the bucket: "/bucket/" or "/" */
    char *public_base; /* base.public_base */
};

extern const struct storage_driver s3_driver;
void s3_close(struct storage *storage);
enum err s3_setup(struct storage *storage, storage_report report, void *context) MUST_USE;

static inline struct s3 *s3_of(struct storage *storage) { return (struct s3 *)storage; }

/* Strings are borrowed and neither encoded nor quoted. */
struct s3_call {
    const char *operation; /* as Amazon's reference calls it, for problems */
    const char *method;
    const char *key; /* NULL: the bucket */
    struct sigv4_pair query[S3_QUERY_MAX];
    size_t query_count;
    const char *content_type; /* NULL: none, or with a body XML */
    const char *acl;          /* NULL: none */
    const struct buf *body;   /* NULL: none; sent with its MD5 */
    struct transfer_field *fields;
    size_t field_count;
};

struct s3_answer {
    unsigned status;         /* 0: there was no answer */
    char code[S3_CODE_SIZE]; /* of a refusal: "NoSuchUpload"; "" when it had no body */
    const struct xml *root;  /* NULL: no body */
};

/* Signs, sends and, where that can help, repeats the call; `arena` takes the answer's elements. What went wrong is noted (storage_note_problem).
 * ERR_NOT_FOUND: no such object or upload; ERR_CONFLICT: the parts are not those; ERR_STORAGE_UNAVAILABLE: everything else. `ret_answer` is set in every
 * case. Calls are repeated only when it is unknown whether they were done, or when they were not done; each may be done twice, but for
 * CompleteMultipartUpload, of which the second says ERR_NOT_FOUND. */
enum err s3_run(struct s3 *s3, const struct s3_call *call, struct arena *arena, struct s3_answer *ret_answer) MUST_USE;

/* Skips arguments without a value, as a listing's first page has. */
void s3_add_query(struct s3_call *call, const char *name, const char *value);
/* Text for XML: & < > and quotes escaped. */
void s3_escape(struct buf *buf, const char *text);
/* A code of the storage's as it may be logged: its letters and digits, as many as fit. */
void s3_copy_code(const char *text, char out[S3_CODE_SIZE]);
