/* The object storage: where the bytes of media are. Clients send and fetch them by presigned URLs; this is the server's own side.
 *
 * Two drivers: S3-compatible storage over HTTP (s3.c), and a folder of this machine whose URLs the server serves itself (local.c). Both are reached by
 * the same presigned requests, signed by sigv4.h. A storage is shared by all threads; operations block (up to config->s3_timeout_ms, with retries), except for
 * presigning, which is pure. Errors: ERR_STORAGE_UNAVAILABLE (down, refused, wrong credentials: storage_problem() says what), ERR_NOT_FOUND,
 * ERR_NO_MEMORY. */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "core/config.h"
#include "core/crypto.h"
#include "media/sigv4.h"

struct storage;

#define STORAGE_KEY_SIZE 256        /* of an object's key, with its NUL */
#define STORAGE_TYPE_SIZE 128       /* of a content type, with its NUL */
#define STORAGE_ETAG_SIZE 64        /* of an ETag without quotes, with its NUL */
#define STORAGE_UPLOAD_ID_SIZE 1024 /* of a multipart upload's id, with its NUL */
#define STORAGE_DELETE_MAX 1000     /* keys in one deletion */
#define STORAGE_PAGE 1000           /* entries of one listing */
#define STORAGE_PARTS_MAX 10000
#define STORAGE_PART_MIN_BYTES (INT64_C(5) << 20) /* but for the last */
#define STORAGE_PUT_MAX_BYTES (INT64_C(5) << 30)  /* in one PUT */

/* Opens what the settings say: s3_endpoint, or without one the folder `media` in the data folder. `secret` (32 bytes) makes the local storage's own
 * credentials. Does not contact the storage. ERR_CONFIG or ERR_IO with a sentence in `problem`. `config` must outlive it. */
enum err storage_open(const struct config *config, const uint8_t secret[32], struct storage **ret_storage, char *problem,
                      size_t problem_size) MUST_USE;
void storage_close(struct storage *storage); /* NULL is fine */
/* Whether the server itself serves the presigned URLs. */
bool storage_is_local(const struct storage *storage);
/* scheme://host[:port] of the presigned URLs; NULL: that of the server itself. */
const char *storage_origin(const struct storage *storage);
/* What went wrong last on this thread, for the log; never a secret or a signed URL. "" when nothing did. */
const char *storage_problem(void);

/* ---- Presigned requests (pure) ---- */

/* What a client has to send. Strings live in the arena. */
struct presigned {
    const char *method;
    const char *url;
    struct sigv4_pair headers[6]; /* all but host and content-length, which clients' HTTP libraries send themselves */
    size_t header_count;
    int64_t expires_ms;
};

/* A whole object. `md5` may be NULL: not signed then. `base` is how clients reach this server ("http://host:port"), for the local storage; S3 has its own
 * public endpoint. */
struct presign_put {
    const char *key;
    const char *content_type;
    int64_t size;
    const uint8_t *md5;
};
enum err storage_presign_put(const struct storage *storage, const char *base, const struct presign_put *put, int64_t now_ms,
                             struct arena *arena, struct presigned *ret_presigned) MUST_USE;
/* One part, 1..STORAGE_PARTS_MAX, of a multipart upload. */
struct presign_part {
    const char *key;
    const char *upload_id;
    unsigned number;
    int64_t size;
    const uint8_t *md5;
};
enum err storage_presign_part(const struct storage *storage, const char *base, const struct presign_part *part, int64_t now_ms,
                              struct arena *arena, struct presigned *ret_presigned) MUST_USE;
/* A download: the storage answers with exactly this type and disposition. */
struct presign_get {
    const char *key;
    const char *content_type;
    const char *disposition; /* the value of Content-Disposition */
};
enum err storage_presign_get(const struct storage *storage, const char *base, const struct presign_get *get, int64_t now_ms,
                             struct arena *arena, struct presigned *ret_presigned) MUST_USE;

/* ---- Objects ---- */

struct object {
    uint64_t size;
    int64_t modified_ms;
    char etag[STORAGE_ETAG_SIZE]; /* hex MD5, or for multipart uploads hex MD5 of the parts' MD5s, '-', their number */
    char content_type[STORAGE_TYPE_SIZE];
};
/* ERR_NOT_FOUND. */
enum err storage_head(struct storage *storage, const char *key, struct object *ret_object) MUST_USE;
/* At most STORAGE_DELETE_MAX; those that are not there count as deleted. All or an error: then some may be gone, and doing it again is right. */
enum err storage_delete(struct storage *storage, const char *const *keys, size_t count) MUST_USE;

struct listed_object {
    char key[STORAGE_KEY_SIZE];
    uint64_t size;
    int64_t modified_ms;
};
/* Those of ours (below config->s3_prefix) with a key after `after` ("" for the first), ascending by bytes; at most STORAGE_PAGE, in the arena. */
enum err storage_list(struct storage *storage, const char *after, struct arena *arena, struct listed_object **ret_objects,
                      size_t *ret_count, bool *ret_more) MUST_USE;

/* ---- Multipart uploads ---- */

struct part {
    unsigned number;
    uint64_t size;
    char etag[STORAGE_ETAG_SIZE];
};
enum err storage_multipart_begin(struct storage *storage, const char *key, const char *content_type,
                                 char ret_upload_id[STORAGE_UPLOAD_ID_SIZE]) MUST_USE;
/* The parts that have arrived, with number > after, ascending; at most STORAGE_PAGE, in the arena. ERR_NOT_FOUND: there is no such upload (any more). */
enum err storage_multipart_parts(struct storage *storage, const char *key, const char *upload_id, unsigned after, struct arena *arena,
                                 struct part **ret_parts, size_t *ret_count, bool *ret_more) MUST_USE;
/* Ascending by number. ERR_NOT_FOUND as above (then storage_head() tells whether an earlier try succeeded); ERR_CONFLICT: the parts are not those. */
enum err storage_multipart_complete(struct storage *storage, const char *key, const char *upload_id, const struct part *parts,
                                    size_t count) MUST_USE;
/* OK, too, when there is no such upload. */
enum err storage_multipart_abort(struct storage *storage, const char *key, const char *upload_id) MUST_USE;

struct listed_upload {
    char key[STORAGE_KEY_SIZE];
    char upload_id[STORAGE_UPLOAD_ID_SIZE];
    int64_t begun_ms;
};
/* Where a listing of uploads goes on; all zero for the first page. */
struct upload_cursor {
    char key[STORAGE_KEY_SIZE];
    char upload_id[STORAGE_UPLOAD_ID_SIZE];
};
/* Uploads of ours that are neither completed nor aborted; advances the cursor. */
enum err storage_list_uploads(struct storage *storage, struct upload_cursor *cursor, struct arena *arena,
                              struct listed_upload **ret_uploads, size_t *ret_count, bool *ret_more) MUST_USE;

/* ---- Setting up (parley media setup) ---- */

/* Calls `report` for each step: what was done, or why it was not (some storages do not know public access blocks); an error only when uploads and downloads
 * could not work. Creates the bucket when it is missing; CORS for config->cors_origins and config->public_url; blocks public access; a lifecycle
 * rule that aborts multipart uploads after a week. */
typedef void (*storage_report)(void *context, const char *step, enum err err, const char *detail);
enum err storage_setup(struct storage *storage, storage_report report, void *context) MUST_USE;
