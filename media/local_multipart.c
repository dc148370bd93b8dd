/* Owns multipart uploads: their folders, their parts, and making objects of them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/local_folder.h"

#define COPY_BYTES (1024 * 1024)
#define TRIES 4 /* against folders that are removed, because they have no record yet */

static const char MAGIC[8] = { 'P', 'a', 'r', 'l', 'e', 'y', 'U', '\n' };

/* As it is on disk. */
struct upload_record {
    char magic[sizeof(MAGIC)];
    char key[STORAGE_KEY_SIZE];
    char content_type[STORAGE_TYPE_SIZE];
};

void part_name(unsigned number, char out[8]) { snprintf(out, 8, "%05u", number % 100000); }

static enum err upload_record_read(int folder_fd, struct upload_record *ret_record, int64_t *ret_begun_ms) {
    struct stat status;
    int fd = openat(folder_fd, UPLOAD_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return local_failed("opening an upload");
    ssize_t got = pread(fd, ret_record, sizeof(*ret_record), 0);
    enum err err = got < 0 || fstat(fd, &status) != 0 ? local_failed("reading an upload") : OK;
    close(fd);
    if (err != OK)
        return err;
    if (got != sizeof(*ret_record) || memcmp(ret_record->magic, MAGIC, sizeof(MAGIC)) != 0 ||
        memchr(ret_record->key, '\0', sizeof(ret_record->key)) == NULL ||
        memchr(ret_record->content_type, '\0', sizeof(ret_record->content_type)) == NULL)
        return ERR_NOT_FOUND;
    *ret_begun_ms = (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
    return OK;
}

enum err upload_open(struct local *local, const char *key, const char *upload_id, char ret_content_type[STORAGE_TYPE_SIZE], int *ret_fd) {
    struct upload_record record;
    int64_t begun_ms;
    int fd;
    enum err err = is_local_id(upload_id) ? folder_open(local->multipart_fd, upload_id, &fd) : ERR_NOT_FOUND;
    if (err != OK)
        return err;
    err = upload_record_read(fd, &record, &begun_ms);
    if (err == OK && strcmp(record.key, key) != 0)
        err = ERR_NOT_FOUND;
    if (err != OK) {
        close(fd);
        return err;
    }
    if (ret_content_type != NULL)
        memcpy(ret_content_type, record.content_type, sizeof(record.content_type));
    *ret_fd = fd;
    return OK;
}

/* The record is what makes a folder an upload. */
static enum err upload_make(struct local *local, const char *upload_id, const struct upload_record *record) {
    char name[LOCAL_ID_SIZE];
    int fd, folder_fd;
    if (mkdirat(local->multipart_fd, upload_id, 0700) != 0 || fsync(local->multipart_fd) != 0)
        return local_failed("making a folder");
    enum err err = folder_open(local->multipart_fd, upload_id, &folder_fd);
    if (err != OK)
        return err;
    err = incoming_create(local, name, &fd);
    if (err == OK) {
        err = write_all(fd, record, sizeof(*record));
        if (err == OK)
            err = upload_put_in_place(local, fd, name, folder_fd, UPLOAD_NAME);
        if (err != OK)
            (void)unlinkat(local->incoming_fd, name, 0);
        close(fd);
    }
    close(folder_fd);
    return err;
}

enum err local_multipart_begin(struct storage *storage, const char *key, const char *content_type,
                               char ret_upload_id[STORAGE_UPLOAD_ID_SIZE]) {
    struct local *local = local_of(storage);
    struct upload_record record = { .key = "" };
    struct place place;
    char upload_id[LOCAL_ID_SIZE];
    memcpy(record.magic, MAGIC, sizeof(MAGIC));
    if (!place_of(local, key, &place) || !copy_text(record.key, sizeof(record.key), key) ||
        !copy_text(record.content_type, sizeof(record.content_type), content_type))
        return ERR_BAD_REQUEST;
    enum err err = ERR_NOT_FOUND;
    for (int i = 0; i < TRIES && err == ERR_NOT_FOUND; i++) {
        local_id_new(upload_id);
        err = upload_make(local, upload_id, &record);
        if (err != OK)
            folder_remove(local->multipart_fd, upload_id);
    }
    if (err != OK)
        return err == ERR_NOT_FOUND ? ERR_STORAGE_UNAVAILABLE : err;
    memcpy(ret_upload_id, upload_id, sizeof(upload_id));
    return OK;
}

/* In one step, so that no part can be put into it any more; what a crash leaves in incoming/ is swept. */
static enum err upload_forget(struct local *local, const char *upload_id) {
    if (renameat(local->multipart_fd, upload_id, local->incoming_fd, upload_id) != 0 || fsync(local->multipart_fd) != 0)
        return local_failed("removing an upload");
    folder_remove(local->incoming_fd, upload_id);
    return OK;
}

enum err local_multipart_abort(struct storage *storage, const char *key, const char *upload_id) {
    struct local *local = local_of(storage);
    int fd;
    enum err err = upload_open(local, key, upload_id, NULL, &fd);
    if (err == OK) {
        close(fd);
        err = upload_forget(local, upload_id);
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

/* ---- Parts ---- */

/* 0: the name is none of a part. */
static unsigned part_number(const char *name) {
    char again[8];
    unsigned number = 0;
    for (const char *in = name; *in != '\0'; in++) {
        if (*in < '0' || *in > '9' || number > STORAGE_PARTS_MAX)
            return 0;
        number = number * 10 + (unsigned)(*in - '0');
    }
    part_name(number, again);
    return number <= STORAGE_PARTS_MAX && strcmp(again, name) == 0 ? number : 0;
}

/* Which parts are there, by their numbers; closes the folder. */
static enum err parts_find(int folder_fd, bool *present) {
    DIR *folder = fdopendir(folder_fd);
    if (folder == NULL) {
        close(folder_fd);
        return local_failed("reading an upload");
    }
    errno = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        present[part_number(entry->d_name)] = true;
    enum err err = errno == 0 ? OK : local_failed("reading an upload");
    closedir(folder);
    present[0] = false;
    return err;
}

static enum err part_read(int folder_fd, unsigned number, struct part *ret_part, int *ret_fd) {
    struct object object;
    char name[8];
    part_name(number, name);
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return local_failed("opening a part");
    enum err err = record_read(fd, &object);
    if (err != OK) {
        close(fd);
        return err;
    }
    *ret_part = (struct part){ .number = number, .size = object.size };
    memcpy(ret_part->etag, object.etag, sizeof(object.etag));
    *ret_fd = fd;
    return OK;
}

static enum err parts_read(int folder_fd, const bool *present, unsigned after, struct part *parts, size_t *ret_count, bool *ret_more) {
    size_t count = 0;
    bool more = false;
    for (unsigned number = after + 1; number <= STORAGE_PARTS_MAX && !more; number++) {
        int fd;
        if (!present[number])
            continue;
        more = count == STORAGE_PAGE;
        enum err err = more ? ERR_NOT_FOUND : part_read(folder_fd, number, &parts[count], &fd);
        if (err != OK && err != ERR_NOT_FOUND)
            return err;
        if (err == OK) {
            close(fd);
            count++;
        }
    }
    *ret_count = count;
    *ret_more = more;
    return OK;
}

enum err local_multipart_parts(struct storage *storage, const char *key, const char *upload_id, unsigned after, struct arena *arena,
                               struct part **ret_parts, size_t *ret_count, bool *ret_more) {
    bool *present = ARENA_ARRAY(arena, bool, STORAGE_PARTS_MAX + 1);
    struct part *parts = ARENA_ARRAY(arena, struct part, STORAGE_PAGE);
    int folder_fd, again_fd;
    if (present == NULL || parts == NULL)
        return ERR_NO_MEMORY;
    enum err err = upload_open(local_of(storage), key, upload_id, NULL, &folder_fd);
    if (err != OK)
        return err;
    err = folder_open(folder_fd, ".", &again_fd);
    if (err == OK)
        err = parts_find(again_fd, present);
    if (err == OK)
        err = parts_read(folder_fd, present, after, parts, ret_count, ret_more);
    close(folder_fd);
    if (err == OK)
        *ret_parts = parts;
    return err;
}

/* ---- Completing ---- */

struct join {
    int folder_fd;
    int out_fd;
    struct md5 *md5; /* of the parts' MD5s */
    struct record record;
};

/* Where the kernel cannot copy between the files itself. */
static enum err copy_by_hand(int from_fd, int to_fd, off_t at, uint64_t size) {
    char *bytes = malloc(COPY_BYTES);
    enum err err = bytes != NULL ? OK : ERR_NO_MEMORY;
    while (err == OK && size > 0) {
        ssize_t got = pread(from_fd, bytes, size < COPY_BYTES ? (size_t)size : COPY_BYTES, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO;
        err = got > 0 ? write_all(to_fd, bytes, (size_t)got) : local_failed("reading a part");
        at += got > 0 ? got : 0;
        size -= got > 0 ? (uint64_t)got : 0;
    }
    free(bytes);
    return err;
}

static enum err copy_bytes(int from_fd, int to_fd, uint64_t size) {
    off_t at = 0;
    while (size > 0) {
        ssize_t copied = copy_file_range(from_fd, &at, to_fd, NULL, size < SSIZE_MAX ? (size_t)size : SSIZE_MAX, 0);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
            return local_failed("writing");
        if (copied <= 0)
            return copy_by_hand(from_fd, to_fd, at, size);
        size -= (uint64_t)copied;
    }
    return OK;
}

/* ERR_CONFLICT when the part is not the one that is meant. */
static enum err join_part(struct join *join, const struct part *wanted) {
    struct part part;
    uint8_t md5[MD5_SIZE];
    int fd;
    enum err err = part_read(join->folder_fd, wanted->number, &part, &fd);
    if (err != OK)
        return err == ERR_NOT_FOUND ? ERR_CONFLICT : err;
    if (part.size != wanted->size || strcmp(part.etag, wanted->etag) != 0 || !hex_decode(part.etag, strlen(part.etag), md5, sizeof(md5)))
        err = ERR_CONFLICT;
    else
        err = copy_bytes(fd, join->out_fd, part.size);
    close(fd);
    if (err != OK)
        return err;
    md5_add(join->md5, md5, sizeof(md5));
    join->record.size += part.size;
    return OK;
}

static enum err join_parts(struct join *join, const struct part *parts, size_t count) {
    uint8_t md5[MD5_SIZE];
    enum err err = count > 0 ? OK : ERR_CONFLICT;
    join->md5 = md5_begin();
    if (join->md5 == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count && err == OK; i++)
        err = i > 0 && parts[i].number <= parts[i - 1].number ? ERR_CONFLICT : join_part(join, &parts[i]);
    md5_end(join->md5, md5);
    if (err != OK)
        return err;
    etag_of(md5, join->record.etag);
    size_t size = strlen(join->record.etag);
    snprintf(join->record.etag + size, sizeof(join->record.etag) - size, "-%zu", count);
    return record_write(join->out_fd, &join->record);
}

static enum err join_into(struct local *local, struct join *join, const struct place *place, const struct part *parts, size_t count) {
    char name[LOCAL_ID_SIZE];
    enum err err = incoming_create(local, name, &join->out_fd);
    if (err != OK)
        return err;
    err = join_parts(join, parts, count);
    if (err == OK)
        err = object_put_in_place(local, join->out_fd, name, place);
    if (err != OK)
        (void)unlinkat(local->incoming_fd, name, 0);
    close(join->out_fd);
    return err;
}

/* Tries to join the same upload wait for each other: who comes later finds it joined, instead of copying all its bytes once more. Closing unlocks. */
static enum err upload_lock(int folder_fd) {
    while (flock(folder_fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return local_failed("locking an upload");
    return faccessat(folder_fd, UPLOAD_NAME, F_OK, 0) == 0 ? OK : local_failed("opening an upload");
}

enum err local_multipart_complete(struct storage *storage, const char *key, const char *upload_id, const struct part *parts, size_t count) {
    struct local *local = local_of(storage);
    struct join join = { .out_fd = -1 };
    struct place place;
    if (!place_of(local, key, &place))
        return ERR_NOT_FOUND;
    enum err err = upload_open(local, key, upload_id, join.record.content_type, &join.folder_fd);
    if (err != OK)
        return err;
    err = upload_lock(join.folder_fd);
    if (err == OK)
        err = join_into(local, &join, &place, parts, count);
    if (err == OK) /* The object is there: what is left of the upload goes now, or with the next clean-up. */
        (void)upload_forget(local, upload_id);
    close(join.folder_fd);
    return err;
}

/* ---- Listing uploads: by their ids ---- */

/* False when the folder is not an upload of ours; one that a crash left without a record is removed. */
static bool read_listed(struct local *local, const char *upload_id, struct listed_upload *ret_upload) {
    struct upload_record record;
    const char *prefix = local->storage.config->s3_prefix;
    int fd;
    if (!is_local_id(upload_id) || folder_open(local->multipart_fd, upload_id, &fd) != OK)
        return false;
    enum err err = upload_record_read(fd, &record, &ret_upload->begun_ms);
    close(fd);
    if (err == ERR_NOT_FOUND)
        (void)unlinkat(local->multipart_fd, upload_id, AT_REMOVEDIR);
    if (err != OK || strncmp(record.key, prefix, strlen(prefix)) != 0)
        return false;
    memcpy(ret_upload->key, record.key, sizeof(record.key));
    memcpy(ret_upload->upload_id, upload_id, LOCAL_ID_SIZE);
    return true;
}

enum err local_list_uploads(struct storage *storage, struct upload_cursor *cursor, struct arena *arena, struct listed_upload **ret_uploads,
                            size_t *ret_count, bool *ret_more) {
    struct local *local = local_of(storage);
    struct names names = { .width = LOCAL_ID_SIZE, .max = STORAGE_PAGE };
    names.bytes = arena_array(arena, names.width, names.max + 1);
    struct listed_upload *uploads = ARENA_ARRAY(arena, struct listed_upload, STORAGE_PAGE);
    size_t count = 0;
    if (names.bytes == NULL || uploads == NULL)
        return ERR_NO_MEMORY;
    enum err err = names_read(local->multipart_fd, cursor->upload_id, false, &names);
    if (err != OK)
        return err;
    for (size_t i = 0; i < names.count; i++)
        count += read_listed(local, names_get(&names, i), &uploads[count]);
    *cursor = (struct upload_cursor){ .key = "" };
    if (names.count > 0)
        memcpy(cursor->upload_id, names_get(&names, names.count - 1), names.width);
    *ret_uploads = uploads;
    *ret_count = count;
    *ret_more = names.more;
    return OK;
}
