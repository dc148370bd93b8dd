/* Owns the completion of uploads: what the storage holds is compared with what was announced, before anybody may refer to it. */
#include "api/media.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/handlers.h"
#include "api/server_internal.h"

static enum err refuse_mismatch(struct request *request, const char *detail) {
    return request_refuse(request, ERR_UPLOAD_MISMATCH, NULL, detail);
}

/* hex MD5, or hex MD5 '-' number of parts (storage.h). */
static bool etag_fits(const struct object *object, const struct etag *etag) {
    uint8_t md5[MD5_SIZE];
    size_t size = strcspn(object->etag, "-");
    unsigned long parts = object->etag[size] == '-' ? strtoul(object->etag + size + 1, NULL, 10) : 0;
    return hex_decode(object->etag, size, md5, MD5_SIZE) && parts == etag->parts &&
           (!etag->is_known || memcmp(md5, etag->md5, MD5_SIZE) == 0);
}

static enum err compare(struct request *request, const struct media *media, const struct object *object, const struct etag *etag) {
    if (object->size != (uint64_t)media->size)
        return refuse_mismatch(request, request_printf(request, "%llu bytes were uploaded, and %lld were announced",
                                                       (unsigned long long)object->size, (long long)media->size));
    if (strcasecmp(object->content_type, media->content_type) != 0)
        return refuse_mismatch(
            request, request_printf(request, "the type %s was uploaded, and %s was announced", object->content_type, media->content_type));
    if (!etag_fits(object, etag))
        return refuse_mismatch(request, "the uploaded bytes have another MD5 than was announced");
    return OK;
}

static enum err check_object(struct request *request, const struct media *media, const struct etag *etag) {
    char key[STORAGE_KEY_SIZE];
    struct object object;
    media_key_of(request, media, key);
    enum err err = storage_head(request->server->storage, key, &object);
    if (err == ERR_NOT_FOUND)
        return request_refuse(request, ERR_UPLOAD_MISSING, NULL, "nothing was uploaded to the URL that was given for it");
    if (err != OK)
        return media_storage_result(request, err);
    return compare(request, media, &object, etag);
}

/* The parts are gone, and the object is there, when another try has joined them that was cut off or that runs beside this one. */
static enum err check_joined(struct request *request, const struct media *media, enum err join_err) {
    const struct refusal refusal = request->refusal;
    const struct etag etag = { .parts = media_part_count(media), .is_known = false };
    enum err err = check_object(request, media, &etag);
    if (err != ERR_UPLOAD_MISSING)
        return err;
    request->refusal = refusal;
    return join_err;
}

static enum err check_parts(struct request *request, const struct media *media) {
    struct etag etag;
    enum err err = media_join_parts(request, media, &etag);
    if (err == OK)
        return check_object(request, media, &etag);
    bool may_be_joined = media->upload_id != NULL && (err == ERR_UPLOAD_MISSING || err == ERR_UPLOAD_MISMATCH);
    return may_be_joined ? check_joined(request, media, err) : err;
}

static enum err check_upload(struct request *request, const struct media *media) {
    struct etag etag = { .is_known = true };
    memcpy(etag.md5, media->md5, MD5_SIZE);
    return media->part_size > 0 ? check_parts(request, media) : check_object(request, media, &etag);
}

enum err media_complete(struct request *request) {
    struct media media;
    enum err err = media_read_own(request, &media);
    if (err != OK)
        return err;
    if (media.state == MEDIA_READY)
        return media_answer(request, request->route->success, &media);
    err = check_upload(request, &media);
    if (err == OK)
        request_command(request, COMMAND_MEDIA_COMPLETE)->in.media_complete.media_id = media.id;
    return err;
}

enum err media_completed(struct request *request) { return media_answer(request, request->route->success, &request->command.out.media); }
