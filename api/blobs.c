/* Owns what presigned requests of the local storage may do, and their transfers. */
#include "api/blobs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "api/conditions.h"
#include "api/handlers.h"
#include "api/head.h"
#include "api/rate.h"
#include "api/server_internal.h"
#include "core/clock.h"
#include "core/content_type.h"
#include "core/log.h"
#include "media/local.h"

struct blob {
    struct list_node node; /* in server->blobs */
    uint64_t address;      /* its client's, hashed */
    const char *key;
    /* Receiving */
    struct local_put put;
    struct local_upload *upload; /* once the first block came to a storage thread */
    /* Sending */
    int fd; /* -1: none */
    struct range range;
    uint64_t block_position; /* of the block within the range */
    uint64_t wanted_position;
};

/* ---- Whether the request may ---- */

/* The signature of GET is good for HEAD, which tells less. */
static const char *signed_method(const struct request *request) { return request->head_only ? "GET" : request->method_name; }

static const char *lower_case(struct request *request, const char *name) {
    char *text = arena_string(&request->arena, name);
    for (char *at = text; at != NULL && *at != '\0'; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at | 0x20);
    return text;
}

struct signed_part {
    struct sigv4_pair query[LIMIT_QUERY_ARGUMENTS];
    struct sigv4_pair headers[4 + LIMIT_AMZ_HEADERS];
    struct sigv4_request request;
};

static void add_header(struct signed_part *part, const char *name, const char *value) {
    if (value != NULL)
        part->headers[part->request.header_count++] = (struct sigv4_pair){ name, value };
}

static enum err collect(struct request *request, struct signed_part *part) {
    const struct headers *headers = &request->headers;
    *part = (struct signed_part){ .request = { .method = signed_method(request), .payload_hash = SIGV4_UNSIGNED_PAYLOAD } };
    part->request.path = request_printf(request, LOCAL_PATH "%s", request->blob->key);
    part->request.time_ms = clock_now_ms();
    add_header(part, "host", headers->host);
    add_header(part, "content-type", headers->content_type);
    add_header(part, "content-length", headers->content_length);
    add_header(part, "content-md5", headers->content_md5);
    for (size_t i = 0; i < headers->amz_count; i++)
        add_header(part, lower_case(request, headers->amz[i].name), headers->amz[i].value);
    for (size_t i = 0; i < request->query_count; i++)
        part->query[i] = (struct sigv4_pair){ request->query[i].name, query_text(request, request->query[i].name) };
    part->request.query = part->query;
    part->request.query_count = request->query_count;
    part->request.headers = part->headers;
    for (size_t i = 0; i < part->request.header_count; i++)
        if (part->headers[i].name == NULL)
            return ERR_NO_MEMORY;
    for (size_t i = 0; i < part->request.query_count; i++)
        if (part->query[i].value == NULL)
            return ERR_NO_MEMORY;
    return part->request.path != NULL ? OK : ERR_NO_MEMORY;
}

static enum err require_signed(struct request *request, const struct signed_part *part, const char *header) {
    if (sigv4_signs(&part->request, header))
        return OK;
    return request_refuse(request, ERR_BAD_SIGNATURE, header, "the URL does not allow this header");
}

/* What says how the storage treats an object must not be added to a request by whoever has the URL. */
static enum err check_headers(struct request *request, const struct signed_part *part) {
    const struct headers *headers = &request->headers;
    enum err err = OK;
    for (size_t i = 0; i < headers->amz_count && err == OK; i++)
        err = require_signed(request, part, lower_case(request, headers->amz[i].name));
    if (err == OK && request->method == METHOD_PUT)
        err = require_signed(request, part, "content-length");
    if (err == OK && request->method == METHOD_PUT && query_text(request, "uploadId") == NULL)
        err = require_signed(request, part, "content-type");
    return err;
}

static enum err refuse_expired(struct request *request) { return request_refuse(request, ERR_URL_EXPIRED, NULL, "ask for a new URL"); }

static enum err check_signature(struct request *request) {
    struct signed_part part;
    if (request->headers.amz_count > LIMIT_AMZ_HEADERS)
        return request_refuse(request, ERR_BAD_SIGNATURE, NULL, "too many x-amz- headers");
    enum err err = collect(request, &part);
    if (err == OK)
        err = sigv4_verify(local_credentials(request->server->storage), &part.request);
    if (err == ERR_BAD_SIGNATURE)
        return request_refuse(request, err, NULL, "method, path, query or headers are not those that the URL was made for");
    if (err == ERR_URL_EXPIRED)
        return refuse_expired(request);
    if (err != OK)
        return err;
    request->blob->put.until_ms = sigv4_expires_ms(&part.request);
    return check_headers(request, &part);
}

/* Nobody may keep all others from transferring. */
static enum err check_share(struct request *request, uint64_t address) {
    const struct server *server = request->server;
    size_t all = 0, own = 0;
    LIST_EACH(&server->blobs, node) {
        all++;
        own += LIST_ITEM(node, const struct blob, node)->address == address;
    }
    if (all >= LIMIT_BLOBS)
        return request_refuse(request, ERR_OVERLOADED, NULL, "too many transfers");
    if (server->config->rate_limit && own >= LIMIT_BLOBS_PER_ADDRESS)
        return request_refuse(request, ERR_OVERLOADED, NULL, "too many transfers from one address");
    return OK;
}

static enum err begin(struct request *request) {
    struct server *server = request->server;
    if (!storage_is_local(server->storage))
        return request_refuse(request, ERR_NOT_FOUND, NULL, "media is not stored by this server");
    uint64_t address = rate_address_key(server->rate, RATE_OF_ADDRESS, request->address.bytes);
    enum err err = check_share(request, address);
    if (err != OK)
        return err;
    struct blob *blob = ARENA_NEW(&request->arena, struct blob);
    if (blob == NULL)
        return ERR_NO_MEMORY;
    blob->fd = -1;
    blob->address = address;
    blob->key = request_decode(request, request->object);
    if (blob->key == NULL)
        return ERR_NO_MEMORY;
    request->blob = blob;
    list_append(&server->blobs, &blob->node);
    if (strlen(blob->key) >= STORAGE_KEY_SIZE)
        return request_refuse(request, ERR_BAD_SIGNATURE, NULL, "this cannot be an object");
    return OK;
}

static bool read_part_number(const char *text, unsigned *ret_number) {
    char *end = NULL;
    unsigned long number = text != NULL && *text >= '1' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    if (number < 1 || number > STORAGE_PARTS_MAX || *end != '\0')
        return false;
    *ret_number = (unsigned)number;
    return true;
}

static enum err read_put(struct request *request) {
    struct local_put *put = &request->blob->put;
    const char *md5 = request->headers.content_md5, *part = query_text(request, "partNumber");
    put->key = request->blob->key;
    put->content_type = request->headers.content_type;
    put->size = strtoull(request->headers.content_length, NULL, 10);
    put->upload_id = query_text(request, "uploadId");
    put->has_md5 = md5 != NULL;
    if (md5 != NULL && !base64_decode(md5, strlen(md5), put->md5, sizeof(put->md5)))
        return request_refuse(request, ERR_BAD_DIGEST, "Content-MD5", "must be the base64 of an MD5");
    if ((put->upload_id != NULL) != (part != NULL) || (part != NULL && !read_part_number(part, &put->part)))
        return request_refuse(request, ERR_BAD_QUERY, "partNumber", "must be a number from 1 to 10000, beside an uploadId");
    return OK;
}

/* What is on its way takes room beside what was reserved for it: so it must not be on its way many times. */
static enum err check_copies(struct request *request) {
    const struct local_put *put = &request->blob->put;
    size_t copies = 0;
    LIST_EACH(&request->server->blobs, node) {
        const struct local_put *other = &LIST_ITEM(node, const struct blob, node)->put;
        copies += other->key != NULL && other->part == put->part && strcmp(other->key, put->key) == 0;
    }
    return copies <= LIMIT_BLOB_COPIES ? OK : request_refuse(request, ERR_OVERLOADED, NULL, "this is being uploaded several times already");
}

enum err blob_put_admit(struct request *request) {
    enum err err = begin(request);
    if (err == OK && request->headers.content_length == NULL)
        err = request_refuse(request, ERR_BAD_REQUEST, "Content-Length", "this header is required");
    if (err == OK)
        err = check_signature(request);
    if (err == OK)
        err = read_put(request);
    return err == OK ? check_copies(request) : err;
}

enum err blob_get_admit(struct request *request) {
    enum err err = begin(request);
    return err == OK ? check_signature(request) : err;
}

/* ---- Receiving ---- */

size_t blob_take(struct request *request, const char *bytes, size_t size) {
    size_t room = LIMIT_BLOB_BLOCK_BYTES - request->body.size;
    size_t taken = size < room ? size : room;
    buf_append(&request->body, bytes, taken);
    return taken;
}

bool blob_is_full(const struct request *request) { return request->body.size == LIMIT_BLOB_BLOCK_BYTES; }

size_t blob_held_bytes(const struct request *request) {
    const struct blob *blob = request->blob;
    uint64_t size = request->method == METHOD_PUT ? blob->put.size : blob->range.size;
    return size < LIMIT_BLOB_BLOCK_BYTES ? (size_t)size : LIMIT_BLOB_BLOCK_BYTES;
}

bool blob_is_begun(const struct request *request) {
    return request->blob != NULL && (request->blob->upload != NULL || request->blob->fd >= 0);
}

static enum err explain(struct request *request, enum err err) {
    if (err == ERR_STORAGE_UNAVAILABLE)
        log_event(LOG_ERROR, "storage_failed", "request_id=%s route=%s problem=\"%s\"", request->id, request->route->path,
                  storage_problem());
    if (err == ERR_URL_EXPIRED)
        return refuse_expired(request);
    if (err == ERR_BAD_DIGEST)
        return request_refuse(request, err, NULL, "the body is not the one whose length and MD5 were announced");
    if (err == ERR_NOT_FOUND && request->method == METHOD_PUT)
        return request_refuse(request, err, "uploadId", "there is no such upload");
    if (err == ERR_NOT_FOUND)
        return request_refuse(request, err, NULL, "there is no such object");
    return err;
}

static enum err store_block(struct request *request) {
    struct blob *blob = request->blob;
    enum err err = buf_ok(&request->body) ? OK : ERR_NO_MEMORY;
    if (err == OK && blob->upload == NULL)
        err = local_upload_begin(request->server->storage, &blob->put, &blob->upload);
    if (err == OK)
        err = local_upload_write(blob->upload, request->body.bytes, request->body.size);
    buf_clear(&request->body);
    return err;
}

enum err blob_put(struct request *request) {
    char etag[STORAGE_ETAG_SIZE];
    enum err err = store_block(request);
    if (err != OK)
        return explain(request, err);
    struct local_upload *upload = request->blob->upload;
    request->blob->upload = NULL;
    err = local_upload_finish(upload, etag);
    if (err != OK)
        return explain(request, err);
    answer_header(request, "ETag", request_printf(request, "\"%s\"", etag));
    request->answer.status = request->route->success;
    return OK;
}

/* ---- Sending ---- */

size_t blob_give(struct request *request, uint64_t position, char *out, size_t size) {
    struct blob *blob = request->blob;
    const struct buf *block = &request->body;
    if (position < blob->block_position || position - blob->block_position >= block->size) {
        blob->wanted_position = position;
        return 0;
    }
    size_t offset = (size_t)(position - blob->block_position);
    size_t given = block->size - offset < size ? block->size - offset : size;
    memcpy(out, block->bytes + offset, given);
    return given;
}

static enum err fetch_block(struct request *request) {
    struct blob *blob = request->blob;
    uint64_t left = blob->range.size - blob->wanted_position;
    size_t size = left < LIMIT_BLOB_BLOCK_BYTES ? (size_t)left : LIMIT_BLOB_BLOCK_BYTES;
    buf_clear(&request->body);
    char *bytes = buf_reserve(&request->body, size);
    if (bytes == NULL)
        return ERR_NO_MEMORY;
    enum err err = local_object_read(blob->fd, blob->range.first + blob->wanted_position, bytes, size);
    if (err != OK)
        return err;
    request->body.size = size;
    blob->block_position = blob->wanted_position;
    return OK;
}

static bool begins_with(const char *type, const char *start) { return strncasecmp(type, start, strlen(start)) == 0; }

/* Nothing that was uploaded may act on behalf of this server's origin: it is shown without scripts, forms and subresources, as what its signed type says. The
 * documents in which browsers show images, audio and video consist of the file itself and a style; a player asks for the file again, which the
 * origin of a sandbox may not. A PDF viewer does not work in a sandbox at all; it runs nothing in the origin of the file. */
static const char *policy_of(const char *content_type) {
    if (begins_with(content_type, "application/pdf"))
        return "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'";
    if (begins_with(content_type, "audio/") || begins_with(content_type, "video/"))
        return "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox allow-same-origin";
    return "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; sandbox";
}

static void describe(struct request *request, const struct object *object) {
    char date[HTTP_DATE_SIZE];
    head_date_format(object->modified_ms, date);
    answer_header(request, "ETag", request_printf(request, "\"%s\"", object->etag));
    answer_header(request, "Last-Modified", request_printf(request, "%s", date));
    answer_header(request, "Cache-Control", "private");
    answer_header(request, "Accept-Ranges", "bytes");
}

static void show_as(struct request *request) {
    const char *type = query_text(request, "response-content-type");
    const char *disposition = query_text(request, "response-content-disposition");
    if (type == NULL || !content_type_is_valid(type))
        type = "application/octet-stream";
    request->answer.content_type = type;
    answer_header(request, "Content-Disposition", disposition != NULL ? disposition : "attachment");
    answer_header(request, "Content-Security-Policy", policy_of(type));
}

static enum err send_range(struct request *request, enum portion portion, uint64_t object_size) {
    struct blob *blob = request->blob;
    show_as(request);
    request->answer.status = portion == PORTION_RANGE ? 206 : 200;
    if (portion == PORTION_RANGE)
        answer_header(request, "Content-Range",
                      request_printf(request, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, blob->range.first,
                                     blob->range.first + blob->range.size - 1, object_size));
    request->answer.blob_bytes = blob->range.size;
    return request->head_only || blob->range.size == 0 ? OK : fetch_block(request);
}

static enum err answer_portion(struct request *request, const struct object *object) {
    const struct version version = { object->etag, object->modified_ms, object->size };
    enum portion portion = conditions_check(request, &version, &request->blob->range);
    switch (portion) {
    case PORTION_WHOLE:
    case PORTION_RANGE:
        return send_range(request, portion, object->size);
    case PORTION_NONE: /* says how long the object is (RFC 9110, 8.6); no byte of it is asked for */
        request->answer.status = 304;
        request->answer.blob_bytes = object->size;
        return OK;
    case PORTION_REFUSED:
        return request_refuse(request, ERR_PRECONDITION_FAILED, NULL,
                              "the object is not the one that If-Match or If-Unmodified-Since means");
    case PORTION_UNSATISFIABLE:
        answer_header(request, "Content-Range", request_printf(request, "bytes */%" PRIu64, object->size));
        return request_refuse(request, ERR_BAD_RANGE, "Range", "the object has no such bytes");
    }
    return ERR_INTERNAL;
}

enum err blob_get(struct request *request) {
    struct object object;
    enum err err = local_object_open(request->server->storage, request->blob->key, &object, &request->blob->fd);
    if (err == OK) {
        describe(request, &object);
        err = answer_portion(request, &object);
    }
    return explain(request, err);
}

/* ---- Both ---- */

enum err blob_pass(struct request *request) {
    return explain(request, request->method == METHOD_PUT ? store_block(request) : fetch_block(request));
}

void blob_release(struct request *request) {
    struct blob *blob = request->blob;
    if (blob == NULL)
        return;
    local_upload_abort(blob->upload);
    blob->upload = NULL;
    if (blob->fd >= 0)
        close(blob->fd);
    blob->fd = -1;
}

void blob_end(struct request *request) {
    if (request->blob == NULL)
        return;
    blob_release(request);
    list_remove(&request->blob->node);
    request->blob = NULL;
}
