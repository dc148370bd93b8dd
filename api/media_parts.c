/* Owns uploads in parts: signing URLs for parts, telling which have arrived, and joining them. */
#include "api/media.h"

#include <string.h>

#include "api/handlers.h"
#include "api/server_internal.h"

struct media_parts_form {
    struct part_list parts;
};

static const struct field MEDIA_PARTS_FIELDS[] = {
    { "parts", FIELD_PARTS, true, 1, LIMIT_PARTS_PAGE, offsetof(struct media_parts_form, parts), NULL },
};
const struct form media_parts_form = FORM(media_parts_form, MEDIA_PARTS_FIELDS);

unsigned media_part_count(const struct media *media) {
    return media->part_size == 0 ? 0 : (unsigned)((media->size + media->part_size - 1) / media->part_size);
}

int64_t media_part_bytes(const struct media *media, unsigned number) {
    bool last = number == media_part_count(media);
    return last ? media->size - media->part_size * (int64_t)(number - 1) : media->part_size;
}

/* The user's own, while its parts may be uploaded. */
static enum err read_upload(struct request *request, struct media *ret_media) {
    enum err err = media_read_own(request, ret_media);
    if (err != OK)
        return err;
    if (ret_media->state != MEDIA_PENDING)
        return request_refuse(request, ERR_CONFLICT, NULL, "its upload has been completed");
    if (ret_media->part_size == 0)
        return request_refuse(request, ERR_CONFLICT, NULL, "it is uploaded in one piece");
    return OK;
}

/* ---- Which have arrived ---- */

/* The storage knows the upload no more: it was completed, but its media is not, or it was given up. */
static enum err refuse_lost(struct request *request) {
    return request_refuse(request, ERR_CONFLICT, NULL, "the storage no longer has this upload: complete it, or announce the file again");
}

static void write_part(struct buf *buf, const struct part *part) {
    json_comma(buf);
    buf_char(buf, '{');
    json_member_number(buf, "number", part->number);
    json_member_number(buf, "size", part->size);
    json_member_string(buf, "md5", part->etag);
    buf_char(buf, '}');
}

/* `next` 0: these are the last. */
static void answer_parts(struct request *request, const struct part *parts, size_t count, unsigned next) {
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < count; i++)
        write_part(buf, &parts[i]);
    buf_char(buf, ']');
    if (next == 0)
        json_member_null(buf, "next");
    else
        json_member_id(buf, "next", next);
    buf_char(buf, '}');
}

static enum err list_parts(struct request *request, const struct media *media, unsigned after, size_t limit) {
    char key[STORAGE_KEY_SIZE];
    struct part *parts;
    size_t count;
    bool more;
    media_key_of(request, media, key);
    enum err err = storage_multipart_parts(request->server->storage, key, media->upload_id, after, &request->arena, &parts, &count, &more);
    if (err == ERR_NOT_FOUND)
        return refuse_lost(request);
    if (err != OK)
        return media_storage_result(request, err);
    size_t shown = count < limit ? count : limit;
    answer_parts(request, parts, shown, shown > 0 && (more || count > limit) ? parts[shown - 1].number : 0);
    return OK;
}

enum err media_parts_list(struct request *request) {
    uint64_t cursor;
    size_t limit;
    struct media media;
    enum err err = query_cursor(request, "cursor", &cursor);
    if (err == OK)
        err = query_limit(request, LIMIT_PAGE_ITEMS_DEFAULT, LIMIT_PARTS_PAGE, &limit);
    if (err == OK && cursor > STORAGE_PARTS_MAX)
        err = request_refuse(request, ERR_BAD_CURSOR, "cursor", "must be the number of a part");
    if (err == OK)
        err = read_upload(request, &media);
    if (err != OK)
        return err;
    if (media.upload_id == NULL) {
        answer_parts(request, NULL, 0, 0);
        return OK;
    }
    return list_parts(request, &media, (unsigned)cursor, limit);
}

/* ---- Signing ---- */

/* Another request has begun the upload meanwhile: that one counts. */
static enum err take_theirs(struct request *request, const char *key, const char *upload_id, struct media *media) {
    enum err err = media_storage_result(request, storage_multipart_abort(request->server->storage, key, upload_id));
    /* What could not be aborted is found by the cleanup. */
    if (err != OK && err != ERR_STORAGE_UNAVAILABLE)
        return err;
    err = read_upload(request, media);
    return err == OK && media->upload_id == NULL ? ERR_CONFLICT : err;
}

/* An upload that was begun and could not be noted is left to the cleanup, unless it is certain that it was not noted. */
static enum err note_upload(struct request *request, const char *upload_id, uint64_t media_id) {
    struct command command = {
        .type = COMMAND_MEDIA_BEGIN,
        .actor_id = request->session.user_id,
        .device_id = request->session.device_id,
        .in.media_begin = { media_id, upload_id },
    };
    enum err err = store_run(request->server->store, &command);
    command_release(&command);
    return err;
}

static enum err begin_upload(struct request *request, struct media *media) {
    char key[STORAGE_KEY_SIZE];
    char *upload_id = arena_alloc(&request->arena, STORAGE_UPLOAD_ID_SIZE);
    if (upload_id == NULL)
        return ERR_NO_MEMORY;
    media_key_of(request, media, key);
    enum err err = storage_multipart_begin(request->server->storage, key, media->content_type, upload_id);
    if (err != OK)
        return media_storage_result(request, err);
    err = note_upload(request, upload_id, media->id);
    if (err == ERR_CONFLICT || err == ERR_NOT_FOUND)
        return take_theirs(request, key, upload_id, media);
    media->upload_id = upload_id;
    return err;
}

static enum err check_numbers(struct request *request, const struct part_list *list, unsigned part_count) {
    for (size_t i = 0; i < list->count; i++)
        if (list->parts[i].number > part_count)
            return request_refuse(request, ERR_BAD_FIELD, "parts",
                                  request_printf(request, "part %u: this upload has %u parts", list->parts[i].number, part_count));
    return OK;
}

static enum err write_signed(struct request *request, struct buf *buf, const struct media *media, const struct part_digest *part) {
    struct presigned link;
    enum err err = link_part(request, media, part, &link);
    if (err != OK)
        return err;
    json_comma(buf);
    buf_char(buf, '{');
    json_member_number(buf, "number", part->number);
    json_member_number(buf, "size", (uint64_t)media_part_bytes(media, part->number));
    link_write(buf, &link);
    buf_char(buf, '}');
    return OK;
}

static enum err answer_signed(struct request *request, const struct media *media, const struct part_list *list) {
    struct buf *buf = answer_json(request, request->route->success);
    buf_string(buf, "{\"parts\":[");
    for (size_t i = 0; i < list->count; i++) {
        enum err err = write_signed(request, buf, media, &list->parts[i]);
        if (err != OK)
            return err;
    }
    buf_string(buf, "]}");
    return OK;
}

enum err media_parts_sign(struct request *request) {
    const struct part_list *list = &REQUEST_FORM(request, media_parts_form)->parts;
    struct media media;
    enum err err = read_upload(request, &media);
    if (err == OK)
        err = check_numbers(request, list, media_part_count(&media));
    if (err == OK && media.upload_id == NULL)
        err = begin_upload(request, &media);
    if (err != OK)
        return err;
    media.upload_until_ms = link_upload_until_ms(request);
    struct command *command = request_command(request, COMMAND_MEDIA_SIGN);
    command->in.media_sign.media_id = media.id;
    command->in.media_sign.upload_until_ms = media.upload_until_ms;
    return answer_signed(request, &media, list);
}

/* ---- Joining ---- */

static enum err check_part(struct request *request, const struct media *media, const struct part *part, unsigned number) {
    if (part->number > media_part_count(media))
        return request_refuse(
            request, ERR_UPLOAD_MISMATCH, NULL,
            request_printf(request, "part %u was uploaded, and there are only %u", part->number, media_part_count(media)));
    if (part->number != number)
        return request_refuse(request, ERR_UPLOAD_MISSING, NULL, request_printf(request, "part %u has not been uploaded", number));
    if (part->size != (uint64_t)media_part_bytes(media, number))
        return request_refuse(request, ERR_UPLOAD_MISMATCH, NULL,
                              request_printf(request, "part %u has %llu bytes instead of %lld", number, (unsigned long long)part->size,
                                             (long long)media_part_bytes(media, number)));
    return OK;
}

/* What is gathered while the storage's list is read. */
struct gathering {
    struct part *parts; /* as many as there are to be */
    unsigned count;
};

static enum err take_page(struct request *request, const struct media *media, const struct part *page, size_t count,
                          struct gathering *gathering) {
    for (size_t i = 0; i < count; i++) {
        enum err err = check_part(request, media, &page[i], gathering->count + 1);
        if (err != OK)
            return err;
        gathering->parts[gathering->count++] = page[i];
    }
    return OK;
}

static enum err gather(struct request *request, const struct media *media, const char *key, struct gathering *gathering) {
    bool more = true;
    while (more) {
        struct part *page;
        size_t count;
        enum err err = storage_multipart_parts(request->server->storage, key, media->upload_id, gathering->count, &request->arena, &page,
                                               &count, &more);
        if (err == OK)
            err = take_page(request, media, page, count, gathering);
        if (err != OK)
            return err;
        if (count == 0)
            break;
    }
    if (gathering->count == media_part_count(media))
        return OK;
    return request_refuse(request, ERR_UPLOAD_MISSING, NULL,
                          request_printf(request, "part %u of %u has not been uploaded", gathering->count + 1, media_part_count(media)));
}

static enum err etag_of(const struct gathering *gathering, struct etag *etag) {
    struct md5 *md5 = md5_begin();
    if (md5 == NULL)
        return ERR_NO_MEMORY;
    etag->is_known = true;
    for (unsigned i = 0; i < gathering->count; i++) {
        const char *text = gathering->parts[i].etag;
        uint8_t digest[MD5_SIZE];
        etag->is_known &= hex_decode(text, strlen(text), digest, sizeof(digest));
        md5_add(md5, digest, sizeof(digest));
    }
    md5_end(md5, etag->md5);
    return OK;
}

/* Joining may take long, and nothing holds the row meanwhile: as after an upload URL, it stays until what could still appear is deleted again. */
static enum err keep_row(struct request *request, uint64_t media_id) {
    struct command command = {
        .type = COMMAND_MEDIA_SIGN,
        .actor_id = request->session.user_id,
        .device_id = request->session.device_id,
        .in.media_sign = { media_id, link_upload_until_ms(request) },
    };
    enum err err = store_run(request->server->store, &command);
    command_release(&command);
    return err == ERR_CONFLICT ? OK : err; /* another try has completed it: the parts are gone */
}

static enum err join(struct request *request, const struct media *media, const char *key, struct etag *etag) {
    struct gathering gathering = { ARENA_ARRAY(&request->arena, struct part, etag->parts), 0 };
    if (gathering.parts == NULL)
        return ERR_NO_MEMORY;
    enum err err = gather(request, media, key, &gathering);
    if (err == OK)
        err = etag_of(&gathering, etag);
    if (err == OK)
        err = keep_row(request, media->id);
    if (err == OK)
        err = storage_multipart_complete(request->server->storage, key, media->upload_id, gathering.parts, gathering.count);
    return err;
}

enum err media_join_parts(struct request *request, const struct media *media, struct etag *ret_etag) {
    char key[STORAGE_KEY_SIZE];
    struct etag etag = { .parts = media_part_count(media) };
    if (media->upload_id == NULL)
        return request_refuse(request, ERR_UPLOAD_MISSING, NULL, "no part has been uploaded");
    media_key_of(request, media, key);
    enum err err = join(request, media, key, &etag);
    if (err == ERR_CONFLICT)
        return request_refuse(request, ERR_UPLOAD_MISMATCH, NULL, "the parts were changed while they were joined");
    if (err == ERR_NOT_FOUND)
        return request_refuse(request, ERR_UPLOAD_MISSING, NULL, "the storage no longer has this upload: announce the file again");
    if (err == OK)
        *ret_etag = etag;
    return media_storage_result(request, err);
}
