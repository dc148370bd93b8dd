/* What every test of the storage's contract needs: a storage opened by the settings of the environment (PARLEY_*), with a prefix of its own, and the
 * client's side, which is HTTP for S3 and the functions of media/local.h for the local storage. */
#pragma once

#include "media/storage.h"
#include "media/transfer.h"
#include "tests/unit/unit.h"

#define WORLD_PROBLEM_SIZE 512

struct world {
    struct config config;
    struct storage *storage;
    struct transfer_pool *pool; /* of the client */
    struct arena arena;         /* of one test */
    bool is_local;
};

/* For cmocka: before and after each test. */
int world_set_up(void **state);
int world_tear_down(void **state);

/* Another storage with the settings that `config` has by now. */
struct storage *world_open(const struct config *config);
/* The same object's key in the arena: prefix and `name`. */
const char *world_key(struct world *world, const char *name);
void world_md5(const void *bytes, size_t size, uint8_t out[MD5_SIZE]);
void world_hex(const uint8_t *bytes, size_t size, char *out);

/* ---- The client ---- */

struct reply {
    unsigned status;
    struct buf body; /* in the arena's life: released by world_tear_down() with the next reply */
    char content_type[STORAGE_TYPE_SIZE];
    char disposition[256];
    char content_range[64];
    char etag[STORAGE_ETAG_SIZE + 2];
    char allow_origin[256];
};
/* Sends what was presigned with `more` headers after it; one of these that was presigned, too, takes its place. The reply is valid until the next. */
const struct reply *world_send(struct world *world, const struct presigned *presigned, const char *body, size_t body_size,
                               const struct sigv4_pair *more, size_t more_count);
void world_upload(struct world *world, const char *key, const char *content_type, const char *bytes, size_t size);
/* The ETag of the part in hex. */
void world_upload_part(struct world *world, const struct presign_part *part, const char *bytes, char ret_etag[STORAGE_ETAG_SIZE]);
/* Fails unless the object has exactly these bytes. */
void world_assert_bytes(struct world *world, const char *key, const char *bytes, size_t size);
