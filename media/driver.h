/* The storage's inside, for media/ only: what a driver is, and what storage.c does for all of them. */
#pragma once

#include "media/storage.h"

/* Each has the contract of the storage_ function of its name (storage.h). Thread-safe; may block. */
struct storage_driver {
    void (*close)(struct storage *storage);
    enum err (*head)(struct storage *storage, const char *key, struct object *ret_object);
    enum err (*delete)(struct storage *storage, const char *const *keys, size_t count);
    enum err (*list)(struct storage *storage, const char *after, struct arena *arena, struct listed_object **ret_objects, size_t *ret_count,
                     bool *ret_more);
    enum err (*multipart_begin)(struct storage *storage, const char *key, const char *content_type,
                                char ret_upload_id[STORAGE_UPLOAD_ID_SIZE]);
    enum err (*multipart_parts)(struct storage *storage, const char *key, const char *upload_id, unsigned after, struct arena *arena,
                                struct part **ret_parts, size_t *ret_count, bool *ret_more);
    enum err (*multipart_complete)(struct storage *storage, const char *key, const char *upload_id, const struct part *parts, size_t count);
    enum err (*multipart_abort)(struct storage *storage, const char *key, const char *upload_id);
    enum err (*list_uploads)(struct storage *storage, struct upload_cursor *cursor, struct arena *arena, struct listed_upload **ret_uploads,
                             size_t *ret_count, bool *ret_more);
    enum err (*setup)(struct storage *storage, storage_report report, void *context);
};

/* A driver's own struct begins with this. */
struct storage {
    const struct storage_driver *driver;
    const struct config *config;
    struct sigv4_credentials credentials; /* that presigned URLs are signed with; strings are the driver's */
    const char *public_base;              /* "https://host" of presigned URLs; NULL: the caller's `base` */
    const char *public_path;              /* what comes before the key in their path: "/bucket/", "/" or LOCAL_PATH */
    bool signs_acl;                       /* uploads carry x-amz-acl: private */
};

enum err s3_open(const struct config *config, struct storage **ret_storage, char *problem, size_t problem_size) MUST_USE;
enum err local_open(const struct config *config, const uint8_t secret[32], struct storage **ret_storage, char *problem,
                    size_t problem_size) MUST_USE;

/* Sets what storage_problem() says on this thread. */
void storage_note_problem(const char *format, ...) PRINTF_LIKE(1, 2);
