/* Owns the names of the local storage's files and their records, and how a file gets into its place. */
#include "media/local_folder.h"

#include <assert.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/random.h"

#define TRIES 16 /* against folders that are removed, because they are empty, while something is put into them */

enum err local_failed(const char *what) {
    int reason = errno;
    if (reason == ENOENT || reason == ENOTDIR)
        return ERR_NOT_FOUND;
    storage_note_problem("%s: %s", what, strerror(reason));
    return ERR_STORAGE_UNAVAILABLE;
}

/* ---- Names ---- */

static bool is_plain(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

bool name_encode(const char *bytes, size_t size, char out[NAME_SIZE]) {
    static const char DIGITS[] = "0123456789ABCDEF";
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        if (used + 3 > NAME_MAX)
            return false;
        unsigned char byte = (unsigned char)bytes[i];
        if (is_plain(bytes[i])) {
            out[used++] = bytes[i];
        } else {
            out[used++] = '%';
            out[used++] = DIGITS[byte >> 4];
            out[used++] = DIGITS[byte & 15];
        }
    }
    if (size == 0)
        out[used++] = '%';
    out[used] = '\0';
    return true;
}

bool name_decode(const char *name, char *out, size_t out_size) {
    size_t used = 0;
    char again[NAME_SIZE];
    if (strcmp(name, "%") == 0) {
        out[0] = '\0';
        return true;
    }
    for (const char *in = name; *in != '\0'; in++) {
        uint8_t byte = (uint8_t)*in;
        if (*in == '%' && (strlen(in) < 3 || !hex_decode(in + 1, 2, &byte, 1)))
            return false;
        in += *in == '%' ? 2 : 0;
        if (byte == 0 || used + 1 >= out_size)
            return false;
        out[used++] = (char)byte;
    }
    out[used] = '\0';
    return name_encode(out, used, again) && strcmp(again, name) == 0;
}

void key_split(const char *name, char outer[OUTER_BYTES + 1], char inner[INNER_BYTES + 1]) {
    size_t outer_size = strnlen(name, OUTER_BYTES);
    memcpy(outer, name, outer_size);
    outer[outer_size] = '\0';
    size_t inner_size = strnlen(name + outer_size, INNER_BYTES);
    memcpy(inner, name + outer_size, inner_size);
    inner[inner_size] = '\0';
}

bool place_of(const struct local *local, const char *key, struct place *ret_place) {
    const char *prefix = local->storage.config->s3_prefix;
    size_t prefix_size = strlen(prefix);
    if (strncmp(key, prefix, prefix_size) != 0 || key[prefix_size] == '\0' || strlen(key) >= STORAGE_KEY_SIZE)
        return false;
    const char *rest = key + prefix_size;
    char outer[OUTER_BYTES + 1], inner[INNER_BYTES + 1], name[NAME_SIZE];
    if (!name_encode(rest, strlen(rest), ret_place->name))
        return false;
    key_split(rest, outer, inner);
    if (!name_encode(outer, strlen(outer), name))
        return false;
    memcpy(ret_place->outer, name, strlen(name) + 1);
    if (!name_encode(inner, strlen(inner), name))
        return false;
    memcpy(ret_place->inner, name, strlen(name) + 1);
    return true;
}

bool is_local_id(const char *text) {
    uint8_t bytes[LOCAL_ID_BYTES];
    return hex_decode(text, strlen(text), bytes, sizeof(bytes)) && strpbrk(text, "ABCDEF") == NULL;
}

void local_id_new(char out[LOCAL_ID_SIZE]) {
    static const char DIGITS[] = "0123456789abcdef";
    uint8_t bytes[LOCAL_ID_BYTES];
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out[2 * i] = DIGITS[bytes[i] >> 4];
        out[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    out[LOCAL_ID_SIZE - 1] = '\0';
}

bool copy_text(char *out, size_t out_size, const char *text) {
    size_t size = text != NULL ? strlen(text) : 0;
    if (size >= out_size)
        return false;
    if (size > 0)
        memcpy(out, text, size);
    out[size] = '\0';
    return true;
}

void etag_of(const uint8_t md5[MD5_SIZE], char out[STORAGE_ETAG_SIZE]) {
    for (size_t i = 0; i < MD5_SIZE; i++)
        snprintf(out + 2 * i, STORAGE_ETAG_SIZE - 2 * i, "%02x", md5[i]);
}

/* ---- Records ---- */

static const char MAGIC[8] = { 'P', 'a', 'r', 'l', 'e', 'y', 'O', '\n' };
#define RECORD_VERSION 1

/* As it is on disk; numbers are little-endian. */
struct stored_record {
    char magic[sizeof(MAGIC)];
    uint32_t version;
    uint32_t unused;
    uint64_t size;
    char etag[STORAGE_ETAG_SIZE];
    char content_type[STORAGE_TYPE_SIZE];
    char room[40];
};
static_assert(sizeof(struct stored_record) == RECORD_BYTES, "a record has the size that files were written with");

enum err write_all(int fd, const void *bytes, size_t size) {
    for (const char *at = bytes; size > 0;) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return local_failed("writing");
        at += written;
        size -= (size_t)written;
    }
    return OK;
}

enum err record_write(int fd, const struct record *record) {
    struct stored_record stored = { .version = htole32(RECORD_VERSION), .size = htole64(record->size) };
    memcpy(stored.magic, MAGIC, sizeof(MAGIC));
    memcpy(stored.etag, record->etag, sizeof(stored.etag));
    memcpy(stored.content_type, record->content_type, sizeof(stored.content_type));
    return write_all(fd, &stored, sizeof(stored));
}

static bool is_whole(const struct stored_record *stored, uint64_t file_size) {
    return memcmp(stored->magic, MAGIC, sizeof(MAGIC)) == 0 && le32toh(stored->version) == RECORD_VERSION &&
           le64toh(stored->size) == file_size - RECORD_BYTES && memchr(stored->etag, '\0', sizeof(stored->etag)) != NULL &&
           memchr(stored->content_type, '\0', sizeof(stored->content_type)) != NULL;
}

enum err record_read(int fd, struct object *ret_object) {
    struct stat status;
    struct stored_record stored;
    if (fstat(fd, &status) != 0)
        return local_failed("reading an object");
    if (!S_ISREG(status.st_mode) || status.st_size < RECORD_BYTES)
        return ERR_NOT_FOUND;
    ssize_t got = pread(fd, &stored, sizeof(stored), status.st_size - RECORD_BYTES);
    if (got < 0)
        return local_failed("reading an object");
    if (got != sizeof(stored) || !is_whole(&stored, (uint64_t)status.st_size)) {
        storage_note_problem("a file of the storage is damaged");
        return ERR_NOT_FOUND;
    }
    ret_object->size = le64toh(stored.size);
    ret_object->modified_ms = (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
    memcpy(ret_object->etag, stored.etag, sizeof(ret_object->etag));
    memcpy(ret_object->content_type, stored.content_type, sizeof(ret_object->content_type));
    return OK;
}

/* ---- Folders ---- */

enum err folder_open(int parent_fd, const char *name, int *ret_fd) {
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return local_failed("opening a folder");
    *ret_fd = fd;
    return OK;
}

/* On disk before anybody uses it: under local->making, so that nobody finds one that is not. */
static enum err folder_make(int parent_fd, const char *name, int *ret_fd) {
    enum err err = folder_open(parent_fd, name, ret_fd);
    if (err != ERR_NOT_FOUND)
        return err;
    if (mkdirat(parent_fd, name, 0700) != 0 && errno != EEXIST)
        return local_failed("making a folder");
    if (fsync(parent_fd) != 0)
        return local_failed("making a folder");
    return folder_open(parent_fd, name, ret_fd);
}

static enum err place_make(struct local *local, const struct place *place, int *ret_fd) {
    int outer_fd;
    pthread_mutex_lock(&local->making);
    enum err err = folder_make(local->objects_fd, place->outer, &outer_fd);
    if (err == OK) {
        err = folder_make(outer_fd, place->inner, ret_fd);
        close(outer_fd);
    }
    pthread_mutex_unlock(&local->making);
    return err;
}

void folder_remove(int parent_fd, const char *name) {
    int fd;
    if (folder_open(parent_fd, name, &fd) != OK)
        return;
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            (void)unlinkat(fd, entry->d_name, 0);
    closedir(folder);
    (void)unlinkat(parent_fd, name, AT_REMOVEDIR);
}

/* ---- Receiving ---- */

/* Whoever sweeps may have been faster than the lock: then the file has no name any more. */
static bool lock_new(int fd) {
    struct stat status;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &status) == 0 && status.st_nlink > 0;
}

enum err incoming_create(struct local *local, char ret_name[LOCAL_ID_SIZE], int *ret_fd) {
    for (int i = 0; i < TRIES; i++) {
        local_id_new(ret_name);
        int fd = openat(local->incoming_fd, ret_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0) {
            enum err err = local_failed("making a file");
            return err == ERR_NOT_FOUND ? ERR_STORAGE_UNAVAILABLE : err;
        }
        if (lock_new(fd)) {
            *ret_fd = fd;
            return OK;
        }
        close(fd);
    }
    storage_note_problem("files cannot be locked");
    return ERR_STORAGE_UNAVAILABLE;
}

enum err upload_put_in_place(struct local *local, int fd, const char *incoming_name, int folder_fd, const char *name) {
    if (fsync(fd) != 0 || renameat(local->incoming_fd, incoming_name, folder_fd, name) != 0 || fsync(folder_fd) != 0)
        return local_failed("putting a file in its place");
    return OK;
}

static enum err try_place(struct local *local, int fd, const char *incoming_name, const struct place *place) {
    int folder_fd;
    enum err err = place_make(local, place, &folder_fd);
    if (err != OK)
        return err;
    err = upload_put_in_place(local, fd, incoming_name, folder_fd, place->name);
    close(folder_fd);
    return err;
}

enum err object_put_in_place(struct local *local, int fd, const char *incoming_name, const struct place *place) {
    enum err err = ERR_NOT_FOUND;
    for (int i = 0; i < TRIES && err == ERR_NOT_FOUND; i++)
        err = try_place(local, fd, incoming_name, place);
    if (err != ERR_NOT_FOUND)
        return err;
    storage_note_problem("a folder cannot be made");
    return ERR_STORAGE_UNAVAILABLE;
}

static void sweep_file(struct local *local, const char *name) {
    int fd = openat(local->incoming_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(local->incoming_fd, name, 0);
    close(fd);
}

void incoming_sweep(struct local *local) {
    int fd;
    if (folder_open(local->incoming_fd, ".", &fd) != OK)
        return;
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct stat status;
        if (!is_local_id(entry->d_name) || fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(status.st_mode))
            folder_remove(fd, entry->d_name);
        else
            sweep_file(local, entry->d_name);
    }
    closedir(folder);
}
