/* The local storage's inside, for media/local*.c only: its folders, and what their files are called and hold.
 *
 *   objects/OUTER/INNER/NAME   an object: its bytes, then a record (struct object_record)
 *   multipart/ID/upload        a multipart upload: which object it will be (struct upload_record)
 *   multipart/ID/00001 ...     its parts, files like those of objects
 *   incoming/                  what is being received, locked by whoever receives it; and folders that are being removed
 *
 * Names. NAME is the key without config->s3_prefix, percent-encoded; OUTER is its first OUTER_BYTES, INNER the INNER_BYTES after those. A key's folder never
 * comes after that of a larger key, so going through the folders in order is going through the keys in order, whatever the keys are. Those of media begin
 * with the digits of an id, that is, of a time: then an INNER holds what came within 24 seconds, an OUTER a thousand of them, and a year makes 1,300
 * OUTER. So no folder becomes large; where one does all the same, a listing reads it several times rather than keeping more than a page in memory.
 *
 * What is not locked. A file in incoming/ holds a flock() as long as the process that receives it lives; so whoever opens the storage, while a server
 * runs or not, removes exactly what nobody receives any more. */
#pragma once

#include <limits.h>
#include <pthread.h>

#include "media/driver.h"
#include "media/local.h"

#define OUTER_BYTES 4
#define INNER_BYTES 3
#define NAME_SIZE (NAME_MAX + 1)
#define LOCAL_ID_BYTES 16
#define LOCAL_ID_SIZE (2 * LOCAL_ID_BYTES + 1) /* random, in hex: of uploads and of files in incoming/ */
#define UPLOAD_NAME "upload"

struct local {
    struct storage storage;
    char secret_key[2 * SHA256_SIZE + 1];
    char *path; /* owned; for messages */
    int root_fd, objects_fd, multipart_fd, incoming_fd;
    pthread_mutex_t making; /* of folders below objects/ */
};

static inline struct local *local_of(struct storage *storage) { return (struct local *)(void *)storage; }

/* Notes errno as the storage's problem ("writing an object: No space left on device") and says which error it is: ERR_NOT_FOUND for ENOENT and
 * ENOTDIR, otherwise ERR_STORAGE_UNAVAILABLE. */
enum err local_failed(const char *what);

/* ---- Names ---- */

/* Percent-encodes all but letters, digits, '-' and '_'; "%" alone is the empty name. False when it would be longer than a file's name may be. */
bool name_encode(const char *bytes, size_t size, char out[NAME_SIZE]);
/* The reverse, with a NUL; false for what name_encode() does not write, or when it does not fit. */
bool name_decode(const char *name, char *out, size_t out_size);

struct place {
    char outer[3 * OUTER_BYTES + 1];
    char inner[3 * INNER_BYTES + 1];
    char name[NAME_SIZE];
};
/* Where the object of a key is; false when the key cannot be one: not below the prefix, nothing after it, or too long. */
bool place_of(const struct local *local, const char *key, struct place *ret_place);
/* Reads `key` into its first bytes, as OUTER and INNER have them. */
void key_split(const char *name, char outer[OUTER_BYTES + 1], char inner[INNER_BYTES + 1]);
bool is_local_id(const char *text);
void local_id_new(char out[LOCAL_ID_SIZE]);

/* A copy with a NUL; NULL counts as "". False when it does not fit. */
bool copy_text(char *out, size_t out_size, const char *text);
/* "d41d8cd98f00b204e9800998ecf8427e" */
void etag_of(const uint8_t md5[MD5_SIZE], char out[STORAGE_ETAG_SIZE]);

/* ---- Files ---- */

#define RECORD_BYTES 256

/* What an object or a part ends with. */
struct record {
    uint64_t size;
    char etag[STORAGE_ETAG_SIZE];
    char content_type[STORAGE_TYPE_SIZE];
};
enum err record_write(int fd, const struct record *record) MUST_USE;
/* ERR_NOT_FOUND when the file is not whole. */
enum err record_read(int fd, struct object *ret_object) MUST_USE;
enum err write_all(int fd, const void *bytes, size_t size) MUST_USE;

/* A new file in incoming/, locked. */
enum err incoming_create(struct local *local, char ret_name[LOCAL_ID_SIZE], int *ret_fd) MUST_USE;
/* Syncs the file of incoming/ and makes it the object at `place`, in one step. */
enum err object_put_in_place(struct local *local, int fd, const char *incoming_name, const struct place *place) MUST_USE;
/* The same for a file of a multipart upload. */
enum err upload_put_in_place(struct local *local, int fd, const char *incoming_name, int folder_fd, const char *name) MUST_USE;
/* Removes from incoming/ what nobody receives. */
void incoming_sweep(struct local *local);
/* Removes a folder of files, as far as it can. */
void folder_remove(int parent_fd, const char *name);
/* Opens a folder; `parent_fd` may not be read. ERR_NOT_FOUND. */
enum err folder_open(int parent_fd, const char *name, int *ret_fd) MUST_USE;

/* ---- Walking ---- */

/* A page of the names in a folder, decoded, ascending by bytes. */
struct names {
    size_t width; /* of one name with its NUL */
    size_t max;
    size_t count;
    bool more;   /* there are names after these */
    char *bytes; /* max * width */
};
/* Reads those after `after`, or from it when `inclusive`. */
enum err names_read(int folder_fd, const char *after, bool inclusive, struct names *names) MUST_USE;
static inline const char *names_get(const struct names *names, size_t index) { return names->bytes + index * names->width; }

enum err local_list(struct storage *storage, const char *after, struct arena *arena, struct listed_object **ret_objects, size_t *ret_count,
                    bool *ret_more) MUST_USE;

/* ---- Multipart uploads ---- */

/* The folder of an upload of that key; ERR_NOT_FOUND. `ret_content_type` may be NULL. */
enum err upload_open(struct local *local, const char *key, const char *upload_id, char ret_content_type[STORAGE_TYPE_SIZE],
                     int *ret_fd) MUST_USE;
void part_name(unsigned number, char out[8]);

enum err local_multipart_begin(struct storage *storage, const char *key, const char *content_type,
                               char ret_upload_id[STORAGE_UPLOAD_ID_SIZE]) MUST_USE;
enum err local_multipart_parts(struct storage *storage, const char *key, const char *upload_id, unsigned after, struct arena *arena,
                               struct part **ret_parts, size_t *ret_count, bool *ret_more) MUST_USE;
enum err local_multipart_complete(struct storage *storage, const char *key, const char *upload_id, const struct part *parts,
                                  size_t count) MUST_USE;
enum err local_multipart_abort(struct storage *storage, const char *key, const char *upload_id) MUST_USE;
enum err local_list_uploads(struct storage *storage, struct upload_cursor *cursor, struct arena *arena, struct listed_upload **ret_uploads,
                            size_t *ret_count, bool *ret_more) MUST_USE;
