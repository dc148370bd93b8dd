/* Owns the local storage: its folders, its credentials, and whole objects. Names and records are local_folder.c's, receiving
 * local_upload.c's, multipart uploads local_multipart.c's, listing local_list.c's. */
#include "media/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/local_folder.h"

/* ---- Objects ---- */

enum err local_object_open(struct storage *storage, const char *key, struct object *ret_object, int *ret_fd) {
    struct local *local = local_of(storage);
    struct place place;
    char path[sizeof(struct place) + 2];
    if (!place_of(local, key, &place))
        return ERR_NOT_FOUND;
    snprintf(path, sizeof(path), "%s/%s/%s", place.outer, place.inner, place.name);
    int fd = openat(local->objects_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return local_failed("opening an object");
    enum err err = record_read(fd, ret_object);
    if (err != OK) {
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return OK;
}

enum err local_object_read(int fd, uint64_t position, void *out, size_t size) {
    for (char *at = out; size > 0;) {
        ssize_t got = pread(fd, at, size, (off_t)position);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO;
        if (got <= 0)
            return local_failed("reading an object");
        at += got;
        position += (uint64_t)got;
        size -= (size_t)got;
    }
    return OK;
}

static enum err local_head(struct storage *storage, const char *key, struct object *ret_object) {
    int fd;
    enum err err = local_object_open(storage, key, ret_object, &fd);
    if (err == OK)
        close(fd);
    return err;
}

/* The folder that is deleted from. */
struct deletion {
    struct local *local;
    struct place place;
    int outer_fd, inner_fd; /* -1: none */
};

/* Deletions are answered when they are on disk. Folders go when they are empty; what is put into one at that moment makes it anew. */
static enum err leave_folder(struct deletion *deletion) {
    enum err err = OK;
    if (deletion->inner_fd >= 0) {
        if (fsync(deletion->inner_fd) != 0)
            err = local_failed("deleting");
        close(deletion->inner_fd);
        (void)unlinkat(deletion->outer_fd, deletion->place.inner, AT_REMOVEDIR);
    }
    if (deletion->outer_fd >= 0) {
        close(deletion->outer_fd);
        (void)unlinkat(deletion->local->objects_fd, deletion->place.outer, AT_REMOVEDIR);
    }
    deletion->outer_fd = deletion->inner_fd = -1;
    return err;
}

static enum err enter_folder(struct deletion *deletion, const struct place *place) {
    if (deletion->inner_fd >= 0 && strcmp(place->outer, deletion->place.outer) == 0 && strcmp(place->inner, deletion->place.inner) == 0)
        return OK;
    enum err err = leave_folder(deletion);
    deletion->place = *place;
    if (err == OK)
        err = folder_open(deletion->local->objects_fd, place->outer, &deletion->outer_fd);
    return err == OK ? folder_open(deletion->outer_fd, place->inner, &deletion->inner_fd) : err;
}

static enum err delete_one(struct deletion *deletion, const char *key) {
    struct place place;
    if (!place_of(deletion->local, key, &place))
        return OK;
    enum err err = enter_folder(deletion, &place);
    if (err == OK && unlinkat(deletion->inner_fd, place.name, 0) != 0)
        err = local_failed("deleting");
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err local_delete(struct storage *storage, const char *const *keys, size_t count) {
    struct deletion deletion = { .local = local_of(storage), .outer_fd = -1, .inner_fd = -1 };
    enum err err = OK;
    for (size_t i = 0; i < count && err == OK; i++)
        err = delete_one(&deletion, keys[i]);
    enum err last = leave_folder(&deletion);
    return err == OK ? last : err;
}

/* ---- Life ---- */

static enum err local_setup(struct storage *storage, storage_report report, void *context) {
    const struct local *local = local_of(storage);
    report(context, "folder", OK, local->path);
    report(context, "cors", OK, "the server itself answers for the origins of PARLEY_CORS_ORIGINS");
    report(context, "public access", OK, "only presigned URLs are served");
    return OK;
}

static void close_fd(int fd) {
    if (fd >= 0)
        close(fd);
}

static void local_close(struct storage *storage) {
    struct local *local = local_of(storage);
    close_fd(local->objects_fd);
    close_fd(local->multipart_fd);
    close_fd(local->incoming_fd);
    close_fd(local->root_fd);
    pthread_mutex_destroy(&local->making);
    free(local->path);
    free(local);
}

static const struct storage_driver DRIVER = {
    .close = local_close,
    .head = local_head,
    .delete = local_delete,
    .list = local_list,
    .multipart_begin = local_multipart_begin,
    .multipart_parts = local_multipart_parts,
    .multipart_complete = local_multipart_complete,
    .multipart_abort = local_multipart_abort,
    .list_uploads = local_list_uploads,
    .setup = local_setup,
};

/* The access key is no secret: it only has to be there. */
static void make_credentials(struct local *local, const uint8_t secret[32]) {
    static const char PURPOSE[] = "presigned URLs of the local media storage";
    uint8_t mac[SHA256_SIZE];
    hmac_sha256(secret, 32, &(struct slice){ PURPOSE, sizeof(PURPOSE) - 1 }, 1, mac);
    for (size_t i = 0; i < sizeof(mac); i++)
        snprintf(local->secret_key + 2 * i, 3, "%02x", mac[i]);
    local->storage.credentials = (struct sigv4_credentials){
        .access_key = "local",
        .secret_key = local->secret_key,
        .region = "local",
        .service = "s3",
    };
}

static bool open_folder(int parent_fd, const char *name, int *ret_fd) {
    if (mkdirat(parent_fd, name, 0700) != 0 && errno != EEXIST)
        return false;
    *ret_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0;
}

static bool open_folders(struct local *local) {
    return open_folder(AT_FDCWD, local->path, &local->root_fd) && open_folder(local->root_fd, "objects", &local->objects_fd) &&
           open_folder(local->root_fd, "multipart", &local->multipart_fd) && open_folder(local->root_fd, "incoming", &local->incoming_fd) &&
           fsync(local->root_fd) == 0;
}

enum err local_open(const struct config *config, const uint8_t secret[32], struct storage **ret_storage, char *problem,
                    size_t problem_size) {
    struct local *local = calloc(1, sizeof(*local));
    if (local == NULL)
        return ERR_NO_MEMORY;
    local->storage = (struct storage){ .driver = &DRIVER, .config = config, .public_path = LOCAL_PATH };
    local->root_fd = local->objects_fd = local->multipart_fd = local->incoming_fd = -1;
    pthread_mutex_init(&local->making, NULL);
    make_credentials(local, secret);
    enum err err = asprintf(&local->path, "%s/media", config->data_dir) < 0 ? ERR_NO_MEMORY : OK;
    if (err != OK) {
        local->path = NULL;
    } else if (!open_folders(local)) {
        snprintf(problem, problem_size, "PARLEY_DATA_DIR: %s: %s", local->path, strerror(errno));
        err = ERR_IO;
    }
    if (err != OK) {
        local_close(&local->storage);
        return err;
    }
    incoming_sweep(local);
    *ret_storage = &local->storage;
    return OK;
}

const struct sigv4_credentials *local_credentials(const struct storage *storage) { return &storage->credentials; }
