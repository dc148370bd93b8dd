/* See world.h. */
#include "tests/storage/world.h"

#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/random.h"
#include "media/local.h"

#define ARENA_BYTES (256 * 1024 * 1024)
#define CLIENT_TIMEOUT_MS 20000

static struct reply last_reply;

struct storage *world_open(const struct config *config) {
    static const uint8_t secret[32] = "thirty-two bytes, and no secret";
    char problem[WORLD_PROBLEM_SIZE] = "";
    struct storage *storage = NULL;
    if (storage_open(config, secret, &storage, problem, sizeof(problem)) != OK)
        fail_msg("the storage does not open: %s", problem);
    return storage;
}

/* For the local storage, which knows no prefixes: its folder holds the keys of one. */
static void use_own_folder(struct config *config) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s/%016" PRIx64, config->data_dir, random_u64());
    if (mkdir(folder, 0700) != 0)
        fail_msg("%s cannot be made", folder);
    free(config->data_dir);
    config->data_dir = strdup(folder);
    assert_non_null(config->data_dir);
}

int world_set_up(void **state) {
    char problem[WORLD_PROBLEM_SIZE] = "", prefix[64];
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);

    snprintf(prefix, sizeof(prefix), "run %016" PRIx64 "/+&\xc3\xa9~'/", random_u64());
    setenv("PARLEY_S3_PREFIX", prefix, 1);
    if (config_load(&world->config, problem, sizeof(problem)) != OK)
        fail_msg("settings: %s", problem);
    use_own_folder(&world->config);
    arena_init(&world->arena, ARENA_BYTES);
    world->storage = world_open(&world->config);
    world->is_local = storage_is_local(world->storage);
    world->pool = transfer_pool_new(CLIENT_TIMEOUT_MS);
    assert_non_null(world->pool);
    *state = world;
    return 0;
}

int world_tear_down(void **state) {
    struct world *world = *state;
    transfer_pool_free(world->pool);
    storage_close(world->storage);
    arena_release(&world->arena);
    config_release(&world->config);
    buf_release(&last_reply.body);
    free(world);
    return 0;
}

const char *world_key(struct world *world, const char *name) {
    size_t size = strlen(world->config.s3_prefix) + strlen(name) + 1;
    char *key = arena_alloc(&world->arena, size);
    assert_non_null(key);
    snprintf(key, size, "%s%s", world->config.s3_prefix, name);
    return key;
}

void world_md5(const void *bytes, size_t size, uint8_t out[MD5_SIZE]) {
    struct md5 *md5 = md5_begin();
    assert_non_null(md5);
    md5_add(md5, bytes, size);
    md5_end(md5, out);
}

void world_hex(const uint8_t *bytes, size_t size, char *out) {
    for (size_t i = 0; i < size; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* ---- The client, over HTTP ---- */

static bool is_among(const char *name, const struct sigv4_pair *pairs, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].name, name) == 0)
            return true;
    return false;
}

const struct reply *world_send(struct world *world, const struct presigned *presigned, const char *body, size_t body_size,
                               const struct sigv4_pair *more, size_t more_count) {
    struct sigv4_pair headers[TRANSFER_HEADERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < presigned->header_count; i++)
        if (!is_among(presigned->headers[i].name, more, more_count))
            headers[count++] = presigned->headers[i];
    for (size_t i = 0; i < more_count; i++)
        headers[count++] = more[i];

    buf_release(&last_reply.body);
    last_reply = (struct reply){ .body = BUF_INIT };
    struct transfer_field fields[] = {
        { "content-type", last_reply.content_type, sizeof(last_reply.content_type) },
        { "content-disposition", last_reply.disposition, sizeof(last_reply.disposition) },
        { "content-range", last_reply.content_range, sizeof(last_reply.content_range) },
        { "etag", last_reply.etag, sizeof(last_reply.etag) },
        { "access-control-allow-origin", last_reply.allow_origin, sizeof(last_reply.allow_origin) },
    };
    struct transfer transfer = { presigned->method, presigned->url, headers, count, body, body_size };
    struct transfer_answer answer = { .body = BUF_INIT, .fields = fields, .field_count = COUNT_OF(fields) };
    char problem[TRANSFER_PROBLEM_SIZE] = "";
    if (transfer_run(world->pool, &transfer, &answer, problem) != OK)
        fail_msg("%s %s: %s", presigned->method, presigned->url, problem);
    last_reply.status = answer.status;
    last_reply.body = answer.body;
    return &last_reply;
}

static void put(struct world *world, const struct presigned *presigned, const char *bytes, size_t size) {
    const struct reply *reply = world_send(world, presigned, bytes, size, NULL, 0);
    if (reply->status != 200)
        fail_msg("%s: status %u %s", presigned->url, reply->status, reply->body.size > 0 ? reply->body.bytes : "");
}

/* ---- The client, without ---- */

static void put_locally(struct world *world, const struct local_put *put_, const char *bytes, char ret_etag[STORAGE_ETAG_SIZE]) {
    struct local_upload *upload;
    assert_int_equal(local_upload_begin(world->storage, put_, &upload), OK);
    assert_int_equal(local_upload_write(upload, bytes, put_->size / 2), OK);
    assert_int_equal(local_upload_write(upload, bytes + put_->size / 2, put_->size - put_->size / 2), OK);
    assert_int_equal(local_upload_finish(upload, ret_etag), OK);
}

/* ---- Either ---- */

void world_upload(struct world *world, const char *key, const char *content_type, const char *bytes, size_t size) {
    uint8_t md5[MD5_SIZE];
    world_md5(bytes, size, md5);
    if (world->is_local) {
        struct local_put local = { .key = key, .content_type = content_type, .size = size, .has_md5 = true };
        char etag[STORAGE_ETAG_SIZE];
        memcpy(local.md5, md5, MD5_SIZE);
        put_locally(world, &local, bytes, etag);
        return;
    }
    struct presign_put presign = { key, content_type, (int64_t)size, md5 };
    struct presigned presigned;
    assert_int_equal(storage_presign_put(world->storage, NULL, &presign, clock_now_ms(), &world->arena, &presigned), OK);
    put(world, &presigned, bytes, size);
}

void world_upload_part(struct world *world, const struct presign_part *part, const char *bytes, char ret_etag[STORAGE_ETAG_SIZE]) {
    uint8_t md5[MD5_SIZE];
    world_md5(bytes, (size_t)part->size, md5);
    world_hex(md5, MD5_SIZE, ret_etag);
    if (world->is_local) {
        struct local_put local = {
            .key = part->key, .upload_id = part->upload_id, .part = part->number, .size = (uint64_t)part->size, .has_md5 = true
        };
        char etag[STORAGE_ETAG_SIZE];
        memcpy(local.md5, md5, MD5_SIZE);
        put_locally(world, &local, bytes, etag);
        return;
    }
    struct presign_part presign = *part;
    struct presigned presigned;
    presign.md5 = md5;
    assert_int_equal(storage_presign_part(world->storage, NULL, &presign, clock_now_ms(), &world->arena, &presigned), OK);
    put(world, &presigned, bytes, (size_t)part->size);
}

static void assert_local_bytes(struct world *world, const char *key, const char *bytes, size_t size) {
    struct object object;
    int fd;
    assert_int_equal(local_object_open(world->storage, key, &object, &fd), OK);
    assert_int_equal(object.size, size);
    char *read_bytes = test_malloc(size + 1);
    for (size_t done = 0; done < size;) {
        ssize_t more = pread(fd, read_bytes + done, size - done, (off_t)done);
        assert_true(more > 0);
        done += (size_t)more;
    }
    assert_memory_equal(read_bytes, bytes, size);
    test_free(read_bytes);
    close(fd);
}

void world_assert_bytes(struct world *world, const char *key, const char *bytes, size_t size) {
    if (world->is_local) {
        assert_local_bytes(world, key, bytes, size);
        return;
    }
    struct presign_get presign = { key, "application/octet-stream", "attachment" };
    struct presigned presigned;
    assert_int_equal(storage_presign_get(world->storage, NULL, &presign, clock_now_ms(), &world->arena, &presigned), OK);
    const struct reply *reply = world_send(world, &presigned, NULL, 0, NULL, 0);
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->body.size, size);
    assert_memory_equal(reply->body.bytes, bytes, size);
}
