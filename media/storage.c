/* Owns the choice of the driver, presigning, and the counting of what the drivers do. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/metrics.h"
#include "media/driver.h"
#include "media/local.h"

static _Thread_local char last_problem[512];

void storage_note_problem(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_problem, sizeof(last_problem), format, arguments);
    va_end(arguments);
}

const char *storage_problem(void) { return last_problem; }

enum err storage_open(const struct config *config, const uint8_t secret[32], struct storage **ret_storage, char *problem,
                      size_t problem_size) {
    if (*config->s3_endpoint != '\0')
        return s3_open(config, ret_storage, problem, problem_size);
    return local_open(config, secret, ret_storage, problem, problem_size);
}

void storage_close(struct storage *storage) {
    if (storage != NULL)
        storage->driver->close(storage);
}

bool storage_is_local(const struct storage *storage) { return storage->public_base == NULL; }

const char *storage_origin(const struct storage *storage) { return storage->public_base; }

/* ---- Objects and uploads: the driver's, counted ---- */

static enum err counted(enum err err) {
    metric_add(COUNTER_STORAGE_REQUESTS, 1);
    if (err == ERR_STORAGE_UNAVAILABLE)
        metric_add(COUNTER_STORAGE_FAILURES, 1);
    return err;
}

enum err storage_head(struct storage *storage, const char *key, struct object *ret_object) {
    return counted(storage->driver->head(storage, key, ret_object));
}

enum err storage_delete(struct storage *storage, const char *const *keys, size_t count) {
    return count == 0 ? OK : counted(storage->driver->delete (storage, keys, count));
}

enum err storage_list(struct storage *storage, const char *after, struct arena *arena, struct listed_object **ret_objects,
                      size_t *ret_count, bool *ret_more) {
    return counted(storage->driver->list(storage, after, arena, ret_objects, ret_count, ret_more));
}

enum err storage_multipart_begin(struct storage *storage, const char *key, const char *content_type,
                                 char ret_upload_id[STORAGE_UPLOAD_ID_SIZE]) {
    return counted(storage->driver->multipart_begin(storage, key, content_type, ret_upload_id));
}

enum err storage_multipart_parts(struct storage *storage, const char *key, const char *upload_id, unsigned after, struct arena *arena,
                                 struct part **ret_parts, size_t *ret_count, bool *ret_more) {
    return counted(storage->driver->multipart_parts(storage, key, upload_id, after, arena, ret_parts, ret_count, ret_more));
}

enum err storage_multipart_complete(struct storage *storage, const char *key, const char *upload_id, const struct part *parts,
                                    size_t count) {
    return counted(storage->driver->multipart_complete(storage, key, upload_id, parts, count));
}

enum err storage_multipart_abort(struct storage *storage, const char *key, const char *upload_id) {
    return counted(storage->driver->multipart_abort(storage, key, upload_id));
}

enum err storage_list_uploads(struct storage *storage, struct upload_cursor *cursor, struct arena *arena,
                              struct listed_upload **ret_uploads, size_t *ret_count, bool *ret_more) {
    return counted(storage->driver->list_uploads(storage, cursor, arena, ret_uploads, ret_count, ret_more));
}

enum err storage_setup(struct storage *storage, storage_report report, void *context) {
    return storage->driver->setup(storage, report, context);
}

/* ---- Presigned requests ---- */

/* What is signed, but for `host`. */
struct call {
    const char *method;
    const char *key;
    struct sigv4_pair query[4];
    size_t query_count;
    struct sigv4_pair headers[5];
    size_t header_count;
    char length[21];
    int64_t life_ms;
};

static void add_argument(struct call *call, const char *name, const char *value) {
    assert(call->query_count < sizeof(call->query) / sizeof(call->query[0]));
    call->query[call->query_count++] = (struct sigv4_pair){ name, value };
}

static void add_header(struct call *call, const char *name, const char *value) {
    assert(call->header_count < sizeof(call->headers) / sizeof(call->headers[0]));
    call->headers[call->header_count++] = (struct sigv4_pair){ name, value };
}

static void add_length(struct call *call, int64_t size) {
    snprintf(call->length, sizeof(call->length), "%" PRId64, size);
    add_header(call, "content-length", call->length);
}

/* Adds content-md5, if there is one. */
static enum err add_md5(struct call *call, const uint8_t *md5, struct arena *arena) {
    if (md5 == NULL)
        return OK;
    char *text = arena_alloc(arena, BASE64_SIZE(MD5_SIZE));
    if (text == NULL)
        return ERR_NO_MEMORY;
    base64_encode(md5, MD5_SIZE, text);
    add_header(call, "content-md5", text);
    return OK;
}

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* The origin as browsers and HTTP libraries write it, since they say the host of the URL so: lower case, without the port that the scheme implies. */
static char *origin_of(struct arena *arena, const char *base) {
    char *origin = arena_string(arena, base);
    if (origin == NULL)
        return NULL;
    for (char *at = origin; *at != '\0'; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at |= 0x20;
    const char *port = strncmp(origin, "https:", 6) == 0 ? ":443" : ":80";
    if (ends_with(origin, port))
        origin[strlen(origin) - strlen(port)] = '\0';
    return origin;
}

/* Appends the URL of the call at `origin`. */
static void append_url(const struct storage *storage, const struct call *call, const char *origin, int64_t now_ms, struct buf *buf) {
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s%s", storage->public_path, call->key);
    if (!buf_ok(&path)) {
        buf_release(&path);
        buf->failed = true;
        return;
    }
    struct sigv4_pair headers[sizeof(call->headers) / sizeof(call->headers[0]) + 1] = { { "host", strstr(origin, "://") + 3 } };
    memcpy(headers + 1, call->headers, sizeof(call->headers));
    const struct sigv4_request request = { .method = call->method,
                                           .path = path.bytes,
                                           .query = call->query,
                                           .query_count = call->query_count,
                                           .headers = headers,
                                           .header_count = call->header_count + 1,
                                           .payload_hash = SIGV4_UNSIGNED_PAYLOAD,
                                           .time_ms = now_ms };
    buf_string(buf, origin);
    sigv4_encode(buf, path.bytes, false);
    buf_char(buf, '?');
    sigv4_presign(&storage->credentials, &request, call->life_ms / 1000, buf);
    buf_release(&path);
}

/* Copies the headers that the client has to send by itself. */
static enum err copy_headers(const struct call *call, struct arena *arena, struct presigned *presigned) {
    for (size_t i = 0; i < call->header_count; i++) {
        if (call->headers[i].value == call->length)
            continue;
        char *value = arena_string(arena, call->headers[i].value);
        if (value == NULL)
            return ERR_NO_MEMORY;
        presigned->headers[presigned->header_count++] = (struct sigv4_pair){ call->headers[i].name, value };
    }
    return OK;
}

/* Signs the call as far as it is filled in. */
static enum err presign(const struct storage *storage, const char *base, struct call *call, int64_t now_ms, struct arena *arena,
                        struct presigned *ret_presigned) {
    struct presigned presigned = { .method = call->method, .expires_ms = (now_ms / 1000 + call->life_ms / 1000) * 1000 };
    char *origin = origin_of(arena, storage->public_base != NULL ? storage->public_base : base);
    if (origin == NULL || copy_headers(call, arena, &presigned) != OK)
        return ERR_NO_MEMORY;

    /* The signature would hold without: AWS's presigner says it in every URL, and ours are the same as its. */
    add_argument(call, SIGV4_ARGUMENT_PAYLOAD_HASH, SIGV4_UNSIGNED_PAYLOAD);
    struct buf url = BUF_INIT;
    append_url(storage, call, origin, now_ms, &url);
    presigned.url = buf_ok(&url) ? arena_copy(arena, url.bytes, url.size) : NULL;
    buf_release(&url);
    if (presigned.url == NULL)
        return ERR_NO_MEMORY;
    *ret_presigned = presigned;
    return OK;
}

enum err storage_presign_put(const struct storage *storage, const char *base, const struct presign_put *put, int64_t now_ms,
                             struct arena *arena, struct presigned *ret_presigned) {
    struct call call = { .method = "PUT", .key = put->key, .life_ms = storage->config->media_upload_ms };
    add_length(&call, put->size);
    add_header(&call, "content-type", put->content_type);
    enum err err = add_md5(&call, put->md5, arena);
    if (err != OK)
        return err;
    if (storage->signs_acl)
        add_header(&call, "x-amz-acl", "private");
    return presign(storage, base, &call, now_ms, arena, ret_presigned);
}

enum err storage_presign_part(const struct storage *storage, const char *base, const struct presign_part *part, int64_t now_ms,
                              struct arena *arena, struct presigned *ret_presigned) {
    struct call call = { .method = "PUT", .key = part->key, .life_ms = storage->config->media_upload_ms };
    char number[11];
    snprintf(number, sizeof(number), "%u", part->number);
    add_argument(&call, "partNumber", number);
    add_argument(&call, "uploadId", part->upload_id);
    add_length(&call, part->size);
    enum err err = add_md5(&call, part->md5, arena);
    return err != OK ? err : presign(storage, base, &call, now_ms, arena, ret_presigned);
}

enum err storage_presign_get(const struct storage *storage, const char *base, const struct presign_get *get, int64_t now_ms,
                             struct arena *arena, struct presigned *ret_presigned) {
    struct call call = { .method = "GET", .key = get->key, .life_ms = storage->config->media_download_ms };
    add_argument(&call, "response-content-type", get->content_type);
    add_argument(&call, "response-content-disposition", get->disposition);
    return presign(storage, base, &call, now_ms, arena, ret_presigned);
}
