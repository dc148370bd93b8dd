/* What the handlers of media share: finding the media of a path, its place in the storage, and the JSON with presigned URLs.
 *
 *   media.c           declaring, showing, fetching and deleting
 *   media_complete.c  comparing what was uploaded with what was announced
 *   media_parts.c     uploads in parts
 *   media_links.c     presigned URLs
 *
 * Presigning is pure; what asks the storage runs on the threads for that (ON_STORAGE). */
#pragma once

#include "api/json.h"
#include "api/request.h"
#include "media/storage.h"

/* ---- media.c ---- */

/* The media that the path names, in a snapshot of its own: the user's in whatever state but DOOMED, or a READY one that the user can see in a message.
 * Anything else is ERR_NOT_FOUND. Strings live in the request's arena. */
enum err media_read(struct request *request, struct media *ret_media) MUST_USE;
/* The same, but only the user's own. */
enum err media_read_own(struct request *request, struct media *ret_media) MUST_USE;
/* Answers with the media as its owner sees it: with what to upload while it is PENDING, and with its URL once it is READY. */
enum err media_answer(struct request *request, unsigned status, const struct media *media) MUST_USE;
/* Its key in the storage. */
void media_key_of(const struct request *request, const struct media *media, char ret_key[STORAGE_KEY_SIZE]);
/* Logs why the storage failed, if it did, and returns `err`. */
enum err media_storage_result(const struct request *request, enum err err) MUST_USE;

/* ---- media_links.c ---- */

/* A download URL that works from now on for config->media_download_ms. */
enum err link_download(struct request *request, const struct media *media, struct presigned *ret_link) MUST_USE;
/* The time up to which upload URLs that are made now are to work; the store must note it before they are given out. */
int64_t link_upload_until_ms(const struct request *request);
/* The URL for the whole object, or for one part of it, both up to media->upload_until_ms. */
enum err link_upload(struct request *request, const struct media *media, struct presigned *ret_link) MUST_USE;
enum err link_part(struct request *request, const struct media *media, const struct part_digest *part, struct presigned *ret_link) MUST_USE;
/* Writes the members method, url, headers and expires_at. */
void link_write(struct buf *buf, const struct presigned *link);

/* ---- media_parts.c ---- */

/* 0: it is uploaded in one piece. */
unsigned media_part_count(const struct media *media);
int64_t media_part_bytes(const struct media *media, unsigned number);
/* What the storage's ETag of an object should be: the MD5 of its bytes or, uploaded in parts, the MD5 of the parts' MD5s and their number. */
struct etag {
    unsigned parts; /* 0: uploaded in one piece */
    bool is_known;  /* false: any MD5 is right */
    uint8_t md5[MD5_SIZE];
};
/* Makes the parts that have arrived an object. Refuses with ERR_UPLOAD_MISSING or ERR_UPLOAD_MISMATCH what is not complete, or not there any more because
 * another try has joined it. Blocks. */
enum err media_join_parts(struct request *request, const struct media *media, struct etag *ret_etag) MUST_USE;
