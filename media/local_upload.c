/* Owns receiving objects and parts. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "media/local_folder.h"

#define WRITEBACK_BYTES (8 * 1024 * 1024) /* after so many the disk begins to write, so that the sync at the end is short */

struct local_upload {
    struct local *local;
    char name[LOCAL_ID_SIZE]; /* in incoming/ */
    int fd;
    struct md5 *md5;
    uint64_t received;
    uint64_t written_back;
    struct local_put put; /* its strings are those below */
    char key[STORAGE_KEY_SIZE];
    char content_type[STORAGE_TYPE_SIZE];
    char upload_id[LOCAL_ID_SIZE];
    struct place place;
};

static enum err describe(struct local_upload *upload, const struct local_put *put) {
    upload->put = *put;
    if (!place_of(upload->local, put->key, &upload->place) || !copy_text(upload->key, sizeof(upload->key), put->key) ||
        !copy_text(upload->content_type, sizeof(upload->content_type), put->content_type))
        return ERR_BAD_REQUEST;
    if (put->upload_id == NULL)
        return OK;
    if (put->part < 1 || put->part > STORAGE_PARTS_MAX)
        return ERR_BAD_REQUEST;
    int folder_fd;
    enum err err = upload_open(upload->local, put->key, put->upload_id, NULL, &folder_fd);
    if (err != OK)
        return err;
    close(folder_fd);
    return copy_text(upload->upload_id, sizeof(upload->upload_id), put->upload_id) ? OK : ERR_NOT_FOUND;
}

static void upload_free(struct local_upload *upload) {
    if (upload->fd >= 0)
        close(upload->fd);
    md5_end(upload->md5, NULL);
    free(upload);
}

enum err local_upload_begin(struct storage *storage, const struct local_put *put, struct local_upload **ret_upload) {
    struct local_upload *upload = calloc(1, sizeof(*upload));
    if (upload == NULL)
        return ERR_NO_MEMORY;
    upload->local = local_of(storage);
    upload->fd = -1;
    upload->md5 = md5_begin();
    enum err err = upload->md5 != NULL ? describe(upload, put) : ERR_NO_MEMORY;
    if (err == OK)
        err = incoming_create(upload->local, upload->name, &upload->fd);
    if (err != OK) {
        upload_free(upload);
        return err;
    }
    *ret_upload = upload;
    return OK;
}

static void write_back(struct local_upload *upload) {
    if (upload->received - upload->written_back < WRITEBACK_BYTES)
        return;
    (void)sync_file_range(upload->fd, (off_t)upload->written_back, (off_t)(upload->received - upload->written_back), SYNC_FILE_RANGE_WRITE);
    upload->written_back = upload->received;
}

static enum err check_time(const struct local_upload *upload) {
    return upload->put.until_ms == 0 || clock_now_ms() < upload->put.until_ms ? OK : ERR_URL_EXPIRED;
}

enum err local_upload_write(struct local_upload *upload, const void *bytes, size_t size) {
    if (size > upload->put.size - upload->received)
        return ERR_BODY_TOO_LARGE;
    enum err err = check_time(upload);
    if (err != OK)
        return err;
    err = write_all(upload->fd, bytes, size);
    if (err != OK)
        return err;
    md5_add(upload->md5, bytes, size);
    upload->received += size;
    write_back(upload);
    return OK;
}

static enum err put_part_in_place(struct local_upload *upload) {
    int folder_fd;
    char name[8];
    enum err err = upload_open(upload->local, upload->key, upload->upload_id, NULL, &folder_fd);
    if (err != OK)
        return err;
    part_name(upload->put.part, name);
    err = upload_put_in_place(upload->local, upload->fd, upload->name, folder_fd, name);
    close(folder_fd);
    return err;
}

static enum err put_in_place(struct local_upload *upload, const struct record *record) {
    enum err err = record_write(upload->fd, record);
    if (err == OK && fsync(upload->fd) != 0)
        err = local_failed("storing a file");
    if (err == OK) /* only now: what takes long is done */
        err = check_time(upload);
    if (err != OK)
        return err;
    if (upload->put.upload_id != NULL)
        return put_part_in_place(upload);
    return object_put_in_place(upload->local, upload->fd, upload->name, &upload->place);
}

enum err local_upload_finish(struct local_upload *upload, char ret_etag[STORAGE_ETAG_SIZE]) {
    uint8_t md5[MD5_SIZE];
    struct record record = { .size = upload->received };
    md5_end(upload->md5, md5);
    upload->md5 = NULL;
    etag_of(md5, record.etag);
    memcpy(record.content_type, upload->content_type, sizeof(record.content_type));
    bool as_announced = upload->received == upload->put.size && (!upload->put.has_md5 || memcmp(md5, upload->put.md5, sizeof(md5)) == 0);
    enum err err = as_announced ? put_in_place(upload, &record) : ERR_BAD_DIGEST;
    if (err != OK) {
        local_upload_abort(upload);
        return err;
    }
    memcpy(ret_etag, record.etag, STORAGE_ETAG_SIZE);
    upload_free(upload);
    return OK;
}

void local_upload_abort(struct local_upload *upload) {
    if (upload == NULL)
        return;
    (void)unlinkat(upload->local->incoming_fd, upload->name, 0);
    upload_free(upload);
}
