/* The local storage's other side: what the server does with presigned requests to /blobs/KEY (api/blobs.c).
 *
 * An object is one file, its bytes followed by a record of fixed size (magic, size, type, ETag), so that one rename makes it appear whole; a part is a
 * file of a multipart upload's folder. Folders and names: local_folder.h. What is being received is in `incoming/` and locked by its process; what nobody
 * holds is removed whenever the storage is opened. Files are synced before they are renamed, and their folder afterwards. Any thread; blocking
 * on the disk. */
#pragma once

#include "media/storage.h"

#define LOCAL_PATH "/blobs/" /* of presigned URLs, before the key */

/* The credentials that presigned URLs are signed with; valid as long as the storage. */
const struct sigv4_credentials *local_credentials(const struct storage *storage);

/* ---- Receiving ---- */

struct local_upload; /* an object, or a part, on its way in; one thread at a time */

struct local_put {
    const char *key;
    const char *content_type;
    const char *upload_id; /* NULL: a whole object */
    unsigned part;
    uint64_t size;
    bool has_md5;
    uint8_t md5[MD5_SIZE];
    int64_t until_ms; /* the end of its URL, by wall time; 0: none */
};
/* ERR_NOT_FOUND: no such multipart upload; ERR_BAD_REQUEST: the key cannot be an object's; ERR_STORAGE_UNAVAILABLE: the disk. */
enum err local_upload_begin(struct storage *storage, const struct local_put *put, struct local_upload **ret_upload) MUST_USE;
/* ERR_BODY_TOO_LARGE: more than announced; ERR_URL_EXPIRED: it is past its URL's end. */
enum err local_upload_write(struct local_upload *upload, const void *bytes, size_t size) MUST_USE;
/* ERR_BAD_DIGEST: bytes or number of bytes are not those announced; ERR_URL_EXPIRED: an upload that ends later than its URL leaves nothing, because the
 * row that would find it may be gone. In every case the upload is over and freed. */
enum err local_upload_finish(struct local_upload *upload, char ret_etag[STORAGE_ETAG_SIZE]) MUST_USE;
void local_upload_abort(struct local_upload *upload); /* NULL is fine */

/* ---- Sending ---- */

/* Opens an object for reading: its bytes are the first object->size of the file. ERR_NOT_FOUND. */
enum err local_object_open(struct storage *storage, const char *key, struct object *ret_object, int *ret_fd) MUST_USE;
/* Reads `size` bytes of an object from `position` on, all of which it has. */
enum err local_object_read(int fd, uint64_t position, void *out, size_t size) MUST_USE;
