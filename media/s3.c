/* The S3 driver: what a storage does, as calls to an S3-compatible service (Amazon S3 API reference). Owns the table of the driver and the
 * reading of answers; the way of a call is in s3_call.c. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/s3_internal.h"

#define NUMBER_SIZE 24 /* of 64 bits in decimal, with its NUL */

static_assert(STORAGE_PAGE == 1000, "as STORAGE_PAGE_TEXT says");

/* ---- Reading values ---- */

/* 0 for what is no number. */
static uint64_t read_number(const char *text) { return *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0; }

/* ETags come in quotes; false when it does not fit. */
static bool read_etag(const char *text, char out[STORAGE_ETAG_SIZE]) {
    size_t size = strlen(text);
    if (size >= 2 && text[0] == '"' && text[size - 1] == '"') {
        text++;
        size -= 2;
    }
    if (size >= STORAGE_ETAG_SIZE)
        return false;
    memcpy(out, text, size);
    out[size] = '\0';
    return true;
}

/* 0 for what is no time. `format` is strptime's, without a zone: all are UTC. */
static int64_t read_time_ms(const char *text, const char *format) {
    struct tm broken_down = { 0 };
    const char *rest = strptime(text, format, &broken_down);
    if (rest == NULL)
        return 0;
    int64_t time_ms = (int64_t)timegm(&broken_down) * 1000;
    if (rest[0] == '.' && strspn(rest + 1, "0123456789") >= 3)
        time_ms += (rest[1] - '0') * 100 + (rest[2] - '0') * 10 + (rest[3] - '0');
    return time_ms;
}

static int64_t read_iso_ms(const char *text) { return read_time_ms(text, "%Y-%m-%dT%H:%M:%S"); }
static int64_t read_http_ms(const char *text) { return read_time_ms(text, "%a, %d %b %Y %H:%M:%S GMT"); }

/* A key of a listing, percent-encoded with '+' for a space where the storage did as it was asked (encoding-type=url), because XML cannot hold all that keys may
 * hold. In place; false when it is no text. */
static bool decode_key(char *key, bool is_encoded) {
    char *out = key;
    for (const char *at = key; is_encoded && *at != '\0'; at++) {
        uint8_t byte = (uint8_t)*at;
        if (byte == '%') {
            if (at[1] == '\0' || !hex_decode(at + 1, 2, &byte, 1) || byte == '\0')
                return false;
            at += 2;
        } else if (byte == '+') {
            byte = ' ';
        }
        *out++ = (char)byte;
    }
    if (is_encoded)
        *out = '\0';
    return true;
}

/* The key below `parent`, decoded, in the arena; NULL: out of memory, or none. */
static const char *read_key(const struct xml *root, const struct xml *parent, const char *name, struct arena *arena) {
    char *key = arena_string(arena, xml_text(parent, name));
    if (key == NULL || !decode_key(key, strcmp(xml_text(root, "EncodingType"), "url") == 0))
        return NULL;
    return key;
}

/* Copies what fits; false otherwise. */
static bool copy_text(const char *text, char *out, size_t out_size) {
    size_t size = strlen(text);
    if (size == 0 || size >= out_size)
        return false;
    memcpy(out, text, size + 1);
    return true;
}

/* Runs a call whose answer is a document: there must be one. */
static enum err run_for_document(struct s3 *s3, const struct s3_call *call, struct arena *arena, const struct xml **ret_root) {
    struct s3_answer answer;
    enum err err = s3_run(s3, call, arena, &answer);
    if (err != OK)
        return err;
    if (answer.root == NULL) {
        storage_note_problem("%s: %s answered nothing: is it an S3 storage?", call->operation, s3->origin);
        return ERR_STORAGE_UNAVAILABLE;
    }
    *ret_root = answer.root;
    return OK;
}

/* Runs a call of which only the success matters. */
static enum err run_for_nothing(struct s3 *s3, const struct s3_call *call) {
    struct arena scratch = ARENA_INIT(S3_SCRATCH_BYTES);
    struct s3_answer answer;
    enum err err = s3_run(s3, call, &scratch, &answer);
    arena_release(&scratch);
    return err;
}

/* ---- Objects ---- */

static enum err s3_head(struct storage *storage, const char *key, struct object *ret_object) {
    struct object object = { 0 };
    char size[NUMBER_SIZE], etag[STORAGE_ETAG_SIZE + 2], modified[40];
    struct transfer_field fields[] = {
        { "content-length", size, sizeof(size) },
        { "content-type", object.content_type, sizeof(object.content_type) },
        { "etag", etag, sizeof(etag) },
        { "last-modified", modified, sizeof(modified) },
    };
    struct s3_call call = {
        .operation = "HeadObject", .method = "HEAD", .key = key, .fields = fields, .field_count = sizeof(fields) / sizeof(fields[0])
    };
    enum err err = run_for_nothing(s3_of(storage), &call);
    if (err != OK)
        return err;

    object.size = read_number(size);
    object.modified_ms = read_http_ms(modified);
    (void)read_etag(etag, object.etag); /* one that does not fit is none of ours: "" */
    *ret_object = object;
    return OK;
}

static void write_deletion(struct buf *body, const char *const *keys, size_t count) {
    buf_string(body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
    for (size_t i = 0; i < count; i++) {
        buf_string(body, "<Object><Key>");
        s3_escape(body, keys[i]);
        buf_string(body, "</Key></Object>");
    }
    buf_string(body, "</Delete>");
}

/* The answer is a success even if no key could be deleted. */
static enum err check_deletion(const struct s3 *s3, const struct xml *root) {
    for (const struct xml *error = xml_child(root, "Error"); error != NULL; error = xml_next(error)) {
        char code[S3_CODE_SIZE];
        s3_copy_code(xml_text(error, "Code"), code);
        if (strcmp(code, "NoSuchKey") == 0)
            continue;
        storage_note_problem("DeleteObjects: %s refused a key: %s", s3->origin, code);
        return ERR_STORAGE_UNAVAILABLE;
    }
    return OK;
}

static enum err s3_delete(struct storage *storage, const char *const *keys, size_t count) {
    struct arena scratch = ARENA_INIT(S3_SCRATCH_BYTES);
    struct buf body = BUF_INIT;
    const struct xml *root;
    struct s3_call call = {
        .operation = "DeleteObjects", .method = "POST", .query = { { "delete", "" } }, .query_count = 1, .body = &body
    };

    write_deletion(&body, keys, count);
    enum err err = buf_ok(&body) ? run_for_document(s3_of(storage), &call, &scratch, &root) : ERR_NO_MEMORY;
    if (err == OK)
        err = check_deletion(s3_of(storage), root);
    buf_release(&body);
    arena_release(&scratch);
    return err;
}

/* ---- Listing objects ---- */

/* One page of the storage's; entries that are none of ours, because their keys are too long, are left out. */
struct object_page {
    struct listed_object *objects; /* STORAGE_PAGE of them */
    size_t count;
    const char *last_key; /* of all that the storage listed, in the scratch arena; NULL: there were none */
    bool is_truncated;
};

static enum err read_object_page(const struct xml *root, struct arena *scratch, struct object_page *page) {
    page->is_truncated = strcmp(xml_text(root, "IsTruncated"), "true") == 0;
    page->last_key = NULL;
    for (const struct xml *entry = xml_child(root, "Contents"); entry != NULL && page->count < STORAGE_PAGE; entry = xml_next(entry)) {
        page->last_key = read_key(root, entry, "Key", scratch);
        if (page->last_key == NULL)
            return ERR_STORAGE_UNAVAILABLE;
        struct listed_object *object = &page->objects[page->count];
        if (!copy_text(page->last_key, object->key, sizeof(object->key)))
            continue;
        object->size = read_number(xml_text(entry, "Size"));
        object->modified_ms = read_iso_ms(xml_text(entry, "LastModified"));
        page->count++;
    }
    return OK;
}

static enum err list_page(struct s3 *s3, const char *after, struct arena *scratch, struct object_page *page) {
    struct s3_call call = {
        .operation = "ListObjectsV2", .method = "GET", .query = { { "list-type", "2" }, { "encoding-type", "url" } }, .query_count = 2
    };
    const struct xml *root;
    s3_add_query(&call, "max-keys", STORAGE_PAGE_TEXT);
    s3_add_query(&call, "prefix", s3->base.config->s3_prefix);
    s3_add_query(&call, "start-after", after);
    enum err err = run_for_document(s3, &call, scratch, &root);
    if (err != OK)
        return err;
    err = read_object_page(root, scratch, page);
    if (err != OK || (page->is_truncated && page->last_key == NULL)) {
        storage_note_problem("ListObjectsV2: %s listed what cannot be read", s3->origin);
        return ERR_STORAGE_UNAVAILABLE;
    }
    return OK;
}

static enum err list_until_some(struct s3 *s3, const char *after, struct arena *scratch, struct object_page *page) {
    enum err err = list_page(s3, after, scratch, page);
    while (err == OK && page->count == 0 && page->is_truncated) {
        char *next = strdup(page->last_key);
        if (next == NULL)
            return ERR_NO_MEMORY;
        arena_release(scratch);
        err = list_page(s3, next, scratch, page);
        free(next);
    }
    return err;
}

static enum err s3_list(struct storage *storage, const char *after, struct arena *arena, struct listed_object **ret_objects,
                        size_t *ret_count, bool *ret_more) {
    struct arena scratch = ARENA_INIT(S3_SCRATCH_BYTES);
    struct object_page page = { .objects = ARENA_ARRAY(arena, struct listed_object, STORAGE_PAGE) };
    enum err err = page.objects == NULL ? ERR_NO_MEMORY : list_until_some(s3_of(storage), after, &scratch, &page);
    arena_release(&scratch);
    if (err != OK)
        return err;
    *ret_objects = page.objects;
    *ret_count = page.count;
    *ret_more = page.is_truncated;
    return OK;
}

/* ---- Multipart uploads ---- */

static enum err s3_multipart_begin(struct storage *storage, const char *key, const char *content_type,
                                   char ret_upload_id[STORAGE_UPLOAD_ID_SIZE]) {
    struct s3 *s3 = s3_of(storage);
    struct arena scratch = ARENA_INIT(S3_SCRATCH_BYTES);
    struct s3_call call = {
        .operation = "CreateMultipartUpload",
        .method = "POST",
        .key = key,
        .query = { { "uploads", "" } },
        .query_count = 1,
        .content_type = content_type,
        .acl = storage->signs_acl ? "private" : NULL,
    };
    const struct xml *root;
    enum err err = run_for_document(s3, &call, &scratch, &root);
    if (err == OK && !copy_text(xml_text(root, "UploadId"), ret_upload_id, STORAGE_UPLOAD_ID_SIZE)) {
        storage_note_problem("CreateMultipartUpload: %s gave no id, or one that is too long", s3->origin);
        err = ERR_STORAGE_UNAVAILABLE;
    }
    arena_release(&scratch);
    return err;
}

static enum err read_parts(const struct xml *root, struct part *parts, size_t *ret_count) {
    size_t count = 0;
    for (const struct xml *entry = xml_child(root, "Part"); entry != NULL && count < STORAGE_PAGE; entry = xml_next(entry)) {
        struct part *part = &parts[count++];
        part->number = (unsigned)read_number(xml_text(entry, "PartNumber"));
        part->size = read_number(xml_text(entry, "Size"));
        if (part->number == 0 || !read_etag(xml_text(entry, "ETag"), part->etag))
            return ERR_STORAGE_UNAVAILABLE;
    }
    *ret_count = count;
    return OK;
}

static enum err s3_multipart_parts(struct storage *storage, const char *key, const char *upload_id, unsigned after, struct arena *arena,
                                   struct part **ret_parts, size_t *ret_count, bool *ret_more) {
    struct s3 *s3 = s3_of(storage);
    struct arena scratch = ARENA_INIT(S3_SCRATCH_BYTES);
    char marker[NUMBER_SIZE];
    struct s3_call call = { .operation = "ListParts", .method = "GET", .key = key };
    struct part *parts = ARENA_ARRAY(arena, struct part, STORAGE_PAGE);
    const struct xml *root;

    snprintf(marker, sizeof(marker), "%u", after);
    s3_add_query(&call, "uploadId", upload_id);
    s3_add_query(&call, "max-parts", STORAGE_PAGE_TEXT);
    s3_add_query(&call, "part-number-marker", marker);
    enum err err = parts == NULL ? ERR_NO_MEMORY : run_for_document(s3, &call, &scratch, &root);
    if (err == OK) {
        *ret_more = strcmp(xml_text(root, "IsTruncated"), "true") == 0;
        *ret_parts = parts;
        err = read_parts(root, parts, ret_count);
        if (err != OK)
            storage_note_problem("ListParts: %s listed what cannot be read", s3->origin);
    }
    arena_release(&scratch);
    return err;
}

static void write_completion(struct buf *body, const struct part *parts, size_t count) {
    buf_string(body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < count; i++) {
        buf_printf(body, "<Part><PartNumber>%u</PartNumber><ETag>&quot;", parts[i].number);
        s3_escape(body, parts[i].etag);
        buf_string(body, "&quot;</ETag></Part>");
    }
    buf_string(body, "</CompleteMultipartUpload>");
}

static bool is_gone(struct storage *storage, const char *key, const char *upload_id) {
    struct arena scratch = ARENA_INIT(S3_SCRATCH_BYTES);
    struct part *parts;
    size_t count;
    bool has_more;
    enum err err = s3_multipart_parts(storage, key, upload_id, 0, &scratch, &parts, &count, &has_more);
    arena_release(&scratch);
    return err == ERR_NOT_FOUND;
}

/* Done twice because the first answer was lost, it says ERR_NOT_FOUND, or OK again: the caller looks for the object then, as storage.h says. */
static enum err s3_multipart_complete(struct storage *storage, const char *key, const char *upload_id, const struct part *parts,
                                      size_t count) {
    if (count == 0)
        return ERR_CONFLICT; /* which some storages accept, and others call malformed */
    struct arena scratch = ARENA_INIT(S3_SCRATCH_BYTES);
    struct buf body = BUF_INIT;
    struct s3_answer answer = { 0 };
    struct s3_call call = {
        .operation = "CompleteMultipartUpload",
        .method = "POST",
        .key = key,
        .query = { { "uploadId", upload_id } },
        .query_count = 1,
        .body = &body,
    };
    write_completion(&body, parts, count);
    enum err err = buf_ok(&body) ? s3_run(s3_of(storage), &call, &scratch, &answer) : ERR_NO_MEMORY;
    buf_release(&body);
    arena_release(&scratch);
    /* What Ceph's gateway 16 answers for an upload that was aborted. */
    if (err == ERR_STORAGE_UNAVAILABLE && answer.status == 500 && is_gone(storage, key, upload_id))
        return ERR_NOT_FOUND;
    return err;
}

static enum err s3_multipart_abort(struct storage *storage, const char *key, const char *upload_id) {
    struct s3_call call = {
        .operation = "AbortMultipartUpload", .method = "DELETE", .key = key, .query = { { "uploadId", upload_id } }, .query_count = 1
    };
    enum err err = run_for_nothing(s3_of(storage), &call);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* ---- Listing uploads ---- */

struct upload_page {
    struct listed_upload *uploads; /* STORAGE_PAGE of them */
    size_t count;
    const char *next_key; /* in the scratch arena */
    const char *next_upload_id;
    bool is_truncated;
};

static bool read_upload(const struct xml *root, const struct xml *entry, struct arena *scratch, struct listed_upload *upload) {
    const char *key = read_key(root, entry, "Key", scratch);
    if (key == NULL || !copy_text(key, upload->key, sizeof(upload->key)))
        return false;
    upload->begun_ms = read_iso_ms(xml_text(entry, "Initiated"));
    return copy_text(xml_text(entry, "UploadId"), upload->upload_id, sizeof(upload->upload_id));
}

static void read_upload_page(const struct xml *root, struct arena *scratch, struct upload_page *page) {
    page->is_truncated = strcmp(xml_text(root, "IsTruncated"), "true") == 0;
    page->next_key = read_key(root, root, "NextKeyMarker", scratch);
    page->next_upload_id = xml_text(root, "NextUploadIdMarker");
    for (const struct xml *entry = xml_child(root, "Upload"); entry != NULL && page->count < STORAGE_PAGE; entry = xml_next(entry))
        if (read_upload(root, entry, scratch, &page->uploads[page->count]))
            page->count++;
}

/* Without encoding-type: Ceph's gateway encodes then and does not say so. Keys that XML cannot hold are not in this listing: none of ours is such a key. */
static enum err list_upload_page(struct s3 *s3, const char *key, const char *upload_id, struct arena *scratch, struct upload_page *page) {
    struct s3_call call = { .operation = "ListMultipartUploads", .method = "GET", .query = { { "uploads", "" } }, .query_count = 1 };
    const struct xml *root;
    s3_add_query(&call, "max-uploads", STORAGE_PAGE_TEXT);
    s3_add_query(&call, "prefix", s3->base.config->s3_prefix);
    s3_add_query(&call, "key-marker", key);
    s3_add_query(&call, "upload-id-marker", upload_id);
    enum err err = run_for_document(s3, &call, scratch, &root);
    if (err != OK)
        return err;
    read_upload_page(root, scratch, page);
    if (page->is_truncated && (page->next_key == NULL || *page->next_key == '\0')) {
        storage_note_problem("ListMultipartUploads: %s did not say where to go on", s3->origin);
        return ERR_STORAGE_UNAVAILABLE;
    }
    return OK;
}

static enum err list_uploads_until_some(struct s3 *s3, const struct upload_cursor *cursor, struct arena *scratch,
                                        struct upload_page *page) {
    enum err err = list_upload_page(s3, cursor->key, cursor->upload_id, scratch, page);
    while (err == OK && page->count == 0 && page->is_truncated) {
        char *key = strdup(page->next_key), *upload_id = strdup(page->next_upload_id);
        arena_release(scratch);
        err = key == NULL || upload_id == NULL ? ERR_NO_MEMORY : list_upload_page(s3, key, upload_id, scratch, page);
        free(key);
        free(upload_id);
    }
    return err;
}

/* The storage's own markers, or where these are too long for ours, the last upload that was not. */
static void advance(struct upload_cursor *cursor, const struct upload_page *page) {
    *cursor = (struct upload_cursor){ 0 };
    if (copy_text(page->next_key, cursor->key, sizeof(cursor->key)) &&
        (*page->next_upload_id == '\0' || copy_text(page->next_upload_id, cursor->upload_id, sizeof(cursor->upload_id))))
        return;
    const struct listed_upload *last = &page->uploads[page->count - 1];
    memcpy(cursor->key, last->key, sizeof(cursor->key));
    memcpy(cursor->upload_id, last->upload_id, sizeof(cursor->upload_id));
}

static enum err s3_list_uploads(struct storage *storage, struct upload_cursor *cursor, struct arena *arena,
                                struct listed_upload **ret_uploads, size_t *ret_count, bool *ret_more) {
    struct arena scratch = ARENA_INIT(S3_SCRATCH_BYTES);
    struct upload_page page = { .uploads = ARENA_ARRAY(arena, struct listed_upload, STORAGE_PAGE) };
    enum err err = page.uploads == NULL ? ERR_NO_MEMORY : list_uploads_until_some(s3_of(storage), cursor, &scratch, &page);
    if (err == OK) {
        if (page.is_truncated)
            advance(cursor, &page);
        *ret_uploads = page.uploads;
        *ret_count = page.count;
        *ret_more = page.is_truncated;
    }
    arena_release(&scratch);
    return err;
}

const struct storage_driver s3_driver = {
    .close = s3_close,
    .head = s3_head,
    .delete = s3_delete,
    .list = s3_list,
    .multipart_begin = s3_multipart_begin,
    .multipart_parts = s3_multipart_parts,
    .multipart_complete = s3_multipart_complete,
    .multipart_abort = s3_multipart_abort,
    .list_uploads = s3_list_uploads,
    .setup = s3_setup,
};
