/* Owns the handlers for media but for what compares and joins uploads: declaring, showing, fetching and deleting. */
#include "api/media.h"

#include <string.h>

#include "api/handlers.h"
#include "api/server_internal.h"
#include "core/content_type.h"
#include "core/log.h"
#include "media/key.h"

#define MIB (INT64_C(1) << 20)
#define OBJECT_MAX_BYTES (INT64_C(5) << 40) /* S3's largest object */

struct media_create_form {
    struct text content_type;
    struct integer size;
    const uint8_t *md5;
    const uint8_t *sha256;
    struct text file_name;
    struct integer width;
    struct integer height;
    struct integer duration_ms;
    struct text blurhash;
    uint64_t thumbnail_id;
};

#define PLACE(member) offsetof(struct media_create_form, member)
static const struct field MEDIA_CREATE_FIELDS[] = {
    { "content_type", FIELD_LINE, true, 3, STORAGE_TYPE_SIZE - 1, PLACE(content_type), NULL },
    { "size", FIELD_INTEGER, true, 1, OBJECT_MAX_BYTES, PLACE(size), NULL },
    { "md5", FIELD_HEX, true, MD5_SIZE, MD5_SIZE, PLACE(md5), NULL },
    { "sha256", FIELD_HEX, false, SHA256_SIZE, SHA256_SIZE, PLACE(sha256), NULL },
    { "file_name", FIELD_BYTES, false, 1, LIMIT_FILE_NAME_BYTES, PLACE(file_name), NULL },
    { "width", FIELD_INTEGER, false, 1, LIMIT_PIXELS, PLACE(width), NULL },
    { "height", FIELD_INTEGER, false, 1, LIMIT_PIXELS, PLACE(height), NULL },
    { "duration_ms", FIELD_INTEGER, false, 1, UINT32_MAX, PLACE(duration_ms), NULL },
    { "blurhash", FIELD_LINE, false, 1, LIMIT_BLURHASH_CHARACTERS, PLACE(blurhash), NULL },
    { "thumbnail_id", FIELD_ID, false, 0, 0, PLACE(thumbnail_id), NULL },
};
const struct form media_create_form = FORM(media_create_form, MEDIA_CREATE_FIELDS);

static_assert(OBJECT_MAX_BYTES <= STORAGE_PARTS_MAX * STORAGE_PUT_MAX_BYTES, "the largest object fits into its parts");

/* ---- Shared ---- */

void media_key_of(const struct request *request, const struct media *media, char ret_key[STORAGE_KEY_SIZE]) {
    media_key(request->server->config->s3_prefix, media->id, media->token, ret_key);
}

enum err media_storage_result(const struct request *request, enum err err) {
    if (err == ERR_STORAGE_UNAVAILABLE)
        log_event(LOG_WARN, "storage_failed", "request_id=%s method=%s route=%s problem=\"%s\"", request->id, request->method_name,
                  request->route->path, storage_problem());
    return err;
}

static enum err read_one(struct request *request, uint64_t media_id, struct media *ret_media) {
    uint64_t head_id;
    enum err err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = read_media(request->reader, request->session.user_id, media_id, &request->arena, ret_media);
    read_end(request->reader);
    return err == OK && ret_media->state == MEDIA_DOOMED ? ERR_NOT_FOUND : err;
}

enum err media_read(struct request *request, struct media *ret_media) { return read_one(request, request->ids[PATH_MEDIA_ID], ret_media); }

static bool is_owner(const struct request *request, const struct media *media) { return media->owner_id == request->session.user_id; }

enum err media_read_own(struct request *request, struct media *ret_media) {
    enum err err = media_read(request, ret_media);
    return err == OK && !is_owner(request, ret_media) ? ERR_NOT_FOUND : err;
}

/* ---- As JSON ---- */

static void write_link(struct buf *buf, const struct presigned *link) {
    json_member_string(buf, "url", link->url);
    json_member_time(buf, "url_expires_at", link->expires_ms);
}

static enum err write_upload_in_parts(struct request *request, struct buf *buf, const struct media *media) {
    json_member_string(buf, "kind", "multipart");
    json_member_number(buf, "part_size", (uint64_t)media->part_size);
    json_member_number(buf, "part_count", media_part_count(media));
    json_member_string(buf, "parts_url", request_printf(request, "/v1/media/%llu/parts", (unsigned long long)media->id));
    return OK;
}

static enum err write_upload_in_one(struct request *request, struct buf *buf, const struct media *media) {
    struct presigned link;
    enum err err = link_upload(request, media, &link);
    if (err != OK)
        return err;
    request->answer.has_secret = true;
    json_member_string(buf, "kind", "single");
    link_write(buf, &link);
    return OK;
}

static enum err write_upload(struct request *request, struct buf *buf, const struct media *media) {
    json_comma(buf);
    json_key(buf, "upload");
    buf_char(buf, '{');
    enum err err = media->part_size > 0 ? write_upload_in_parts(request, buf, media) : write_upload_in_one(request, buf, media);
    buf_char(buf, '}');
    return err;
}

static enum err write_download(struct request *request, struct buf *buf, const struct media *media) {
    struct presigned link;
    enum err err = link_download(request, media, &link);
    if (err != OK)
        return err;
    request->answer.has_secret = true;
    write_link(buf, &link);
    return OK;
}

enum err media_answer(struct request *request, unsigned status, const struct media *media) {
    struct buf *buf = answer_json(request, status);
    render_media_open(buf, media);
    enum err err = media->state == MEDIA_READY ? write_download(request, buf, media) : write_upload(request, buf, media);
    buf_char(buf, '}');
    return err;
}

/* For who sees it in a message: what the message shows of it, and where it is. */
static enum err answer_member(struct request *request, const struct media *media) {
    struct media thumbnail;
    enum err err = media->thumbnail_id != 0 ? read_one(request, media->thumbnail_id, &thumbnail) : ERR_NOT_FOUND;
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    struct buf *buf = answer_json(request, 200);
    render_attachment_open(buf, media, err == OK ? &thumbnail : NULL);
    json_member_string(buf, "state", "ready");
    err = write_download(request, buf, media);
    buf_char(buf, '}');
    return err;
}

/* ---- Declaring ---- */

static enum err check_type(struct request *request, const struct media_create_form *form) {
    const char *setting = request->server->config->media_types;
    const char *type = form->content_type.bytes;
    if (!content_type_is_valid(type))
        return request_refuse(request, ERR_BAD_FIELD, "content_type", "must be a media type like image/png");
    int64_t limit = content_type_limit(setting, type);
    if (limit == 0)
        return request_refuse(request, ERR_BAD_FIELD, "content_type", "files of this type are not allowed here");
    if (form->size.value > limit)
        return request_refuse(request, ERR_BAD_FIELD, "size",
                              request_printf(request, "files of this type have at most %lld bytes here", (long long)limit));
    return OK;
}

static enum err check_file_name(struct request *request, const struct text *name) {
    const char *problem = name->bytes != NULL ? file_name_problem(name->bytes, name->size) : NULL;
    return problem != NULL ? request_refuse(request, ERR_BAD_FIELD, "file_name", problem) : OK;
}

/* Of each part but the last: as configured, or what makes STORAGE_PARTS_MAX parts enough. 0: one piece. */
static int64_t part_size_for(const struct config *config, int64_t size) {
    if (size <= config->media_part_above && size <= STORAGE_PUT_MAX_BYTES)
        return 0;
    int64_t least = (size + STORAGE_PARTS_MAX - 1) / STORAGE_PARTS_MAX;
    int64_t rounded = (least + MIB - 1) / MIB * MIB;
    return rounded > config->media_part_size ? rounded : config->media_part_size;
}

static void fill_media(const struct media_create_form *form, const struct config *config, struct media *media) {
    media->content_type = form->content_type.bytes;
    media->size = form->size.value;
    memcpy(media->md5, form->md5, MD5_SIZE);
    media->has_sha256 = form->sha256 != NULL;
    if (form->sha256 != NULL)
        memcpy(media->sha256, form->sha256, SHA256_SIZE);
    media->file_name = form->file_name.bytes;
    media->width = (uint32_t)form->width.value;
    media->height = (uint32_t)form->height.value;
    media->duration_ms = (uint32_t)form->duration_ms.value;
    media->blurhash = form->blurhash.bytes;
    media->thumbnail_id = form->thumbnail_id;
    media->part_size = part_size_for(config, form->size.value);
}

enum err media_create(struct request *request) {
    const struct media_create_form *form = REQUEST_FORM(request, media_create_form);
    const struct config *config = request->server->config;
    enum err err = check_type(request, form);
    if (err == OK)
        err = check_file_name(request, &form->file_name);
    if (err == OK)
        err = request_idempotency(request);
    if (err != OK)
        return err;
    struct command *command = request_command(request, COMMAND_MEDIA_CREATE);
    fill_media(form, config, &command->in.media_create.media);
    command->in.media_create.upload_until_ms = link_upload_until_ms(request);
    return OK;
}

enum err media_created(struct request *request) {
    const struct command *command = &request->command;
    answer_header(request, "Location", request_printf(request, "/v1/media/%llu", (unsigned long long)command->out.id));
    return media_answer(request, command->out.existed ? 200 : request->route->success, &command->out.media);
}

/* ---- Showing and fetching ---- */

/* The answer is written before the commit that lets its URL work so long, and leaves after it. */
static enum err show_pending(struct request *request, struct media *media) {
    media->upload_until_ms = link_upload_until_ms(request);
    enum err err = media_answer(request, request->route->success, media);
    if (err != OK)
        return err;
    struct command *command = request_command(request, COMMAND_MEDIA_SIGN);
    command->in.media_sign.media_id = media->id;
    command->in.media_sign.upload_until_ms = media->upload_until_ms;
    return OK;
}

enum err media_show(struct request *request) {
    struct media media;
    enum err err = media_read(request, &media);
    if (err != OK)
        return err;
    if (!is_owner(request, &media))
        return answer_member(request, &media);
    /* Uploads in parts get their URLs elsewhere. */
    if (media.state == MEDIA_PENDING && media.part_size == 0)
        return show_pending(request, &media);
    return media_answer(request, request->route->success, &media);
}

enum err media_signed(struct request *request) {
    (void)request;
    return OK;
}

enum err media_fetch(struct request *request) {
    struct media media;
    struct presigned link;
    enum err err = media_read(request, &media);
    if (err != OK)
        return err;
    if (media.state != MEDIA_READY)
        return request_refuse(request, ERR_MEDIA_NOT_READY, NULL, "its upload has not been completed");
    err = link_download(request, &media, &link);
    if (err != OK)
        return err;
    request->answer.status = request->route->success;
    answer_header(request, "Location", link.url);
    return OK;
}

/* ---- Deleting ---- */

enum err media_delete(struct request *request) {
    request_command(request, COMMAND_MEDIA_DELETE)->in.media_delete.media_id = request->ids[PATH_MEDIA_ID];
    return OK;
}
