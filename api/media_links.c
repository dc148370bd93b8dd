/* Owns what presigned URLs of media say: how clients reach the storage, how browsers may show a file, and under which name they save it. Pure. */
#include "api/media.h"

#include <string.h>
#include <strings.h>

#include "api/server_internal.h"
#include "core/clock.h"
#include "core/content_type.h"

#define HOST_MAX_BYTES 260 /* a DNS name, a colon and a port */

/* ---- How clients reach this server, for a storage that it serves itself ---- */

static bool is_host(const char *host) {
    size_t size = strlen(host);
    return size > 0 && size <= HOST_MAX_BYTES &&
           strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]") == size;
}

static const char *find_base(struct request *request) {
    const struct config *config = request->server->config;
    if (config->public_url[0] != '\0')
        return config->public_url;
    const char *proto = request->headers.forwarded_proto;
    bool secure = config->trusted_proxy && proto != NULL && strcasecmp(proto, "https") == 0;
    const char *host = request->headers.host;
    if (host == NULL || !is_host(host))
        host = server_address(request->server);
    return request_printf(request, "%s://%s", secure ? "https" : "http", host);
}

/* ---- Names of downloads ---- */

/* The name in ASCII, for what cannot read the encoded form. A percent sign would be decoded by some. */
static void write_fallback(struct buf *buf, const char *name) {
    for (const char *at = name; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if ((c & 0xc0) == 0x80)
            continue;
        bool plain = c >= 0x20 && c <= 0x7e && strchr("\"\\%", c) == NULL;
        buf_char(buf, plain ? (char)c : '_');
    }
}

/* RFC 6266, with the name as in RFC 8187. Without a name the id is one: browsers would take the key in the storage. */
static void write_disposition(struct buf *buf, const struct media *media) {
    buf_string(buf, content_type_is_shown(media->content_type) ? "inline" : "attachment");
    buf_string(buf, "; filename=\"");
    if (media->file_name == NULL) {
        buf_u64(buf, media->id);
        buf_char(buf, '"');
        return;
    }
    write_fallback(buf, media->file_name);
    buf_string(buf, "\"; filename*=UTF-8''");
    sigv4_encode(buf, media->file_name, true);
}

static const char *disposition_of(struct request *request, const struct media *media) {
    struct buf buf = BUF_INIT;
    write_disposition(&buf, media);
    const char *disposition = buf_ok(&buf) ? arena_string(&request->arena, buf.bytes) : NULL;
    buf_release(&buf);
    return disposition;
}

/* ---- Links ---- */

/* Signatures tell the time in seconds: with the next one, URLs work for at least as long as configured. */
static int64_t next_second_ms(void) { return (clock_now_ms() + 999) / 1000 * 1000; }

int64_t link_upload_until_ms(const struct request *request) { return next_second_ms() + request->server->config->media_upload_ms; }

enum err link_download(struct request *request, const struct media *media, struct presigned *ret_link) {
    char key[STORAGE_KEY_SIZE];
    media_key_of(request, media, key);
    const char *base = find_base(request), *disposition = disposition_of(request, media);
    if (base == NULL || disposition == NULL)
        return ERR_NO_MEMORY;
    const struct presign_get get = {
        .key = key,
        .content_type = content_type_is_shown(media->content_type) ? media->content_type : "application/octet-stream",
        .disposition = disposition,
    };
    return storage_presign_get(request->server->storage, base, &get, next_second_ms(), &request->arena, ret_link);
}

/* Signed as of the moment from which it works until what the row says: no URL outlives that, whenever it is made. */
static int64_t signing_time_ms(const struct request *request, const struct media *media) {
    return media->upload_until_ms - request->server->config->media_upload_ms;
}

enum err link_upload(struct request *request, const struct media *media, struct presigned *ret_link) {
    char key[STORAGE_KEY_SIZE];
    media_key_of(request, media, key);
    const char *base = find_base(request);
    if (base == NULL)
        return ERR_NO_MEMORY;
    const struct presign_put put = { .key = key, .content_type = media->content_type, .size = media->size, .md5 = media->md5 };
    return storage_presign_put(request->server->storage, base, &put, signing_time_ms(request, media), &request->arena, ret_link);
}

enum err link_part(struct request *request, const struct media *media, const struct part_digest *part, struct presigned *ret_link) {
    char key[STORAGE_KEY_SIZE];
    media_key_of(request, media, key);
    const char *base = find_base(request);
    if (base == NULL)
        return ERR_NO_MEMORY;
    const struct presign_part presign = {
        .key = key,
        .upload_id = media->upload_id,
        .number = part->number,
        .size = media_part_bytes(media, part->number),
        .md5 = part->md5,
    };
    return storage_presign_part(request->server->storage, base, &presign, signing_time_ms(request, media), &request->arena, ret_link);
}

void link_write(struct buf *buf, const struct presigned *link) {
    json_member_string(buf, "method", link->method);
    json_member_string(buf, "url", link->url);
    json_comma(buf);
    json_key(buf, "headers");
    buf_char(buf, '{');
    for (size_t i = 0; i < link->header_count; i++)
        json_member_string(buf, link->headers[i].name, link->headers[i].value);
    buf_char(buf, '}');
    json_member_time(buf, "expires_at", link->expires_ms);
}
