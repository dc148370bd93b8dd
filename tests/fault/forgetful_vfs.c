/* A SQLite VFS that forgets, at a simulated power cut, what was not synced.
 *
 * kill -9 alone does not lose what a process wrote: the kernel still has it.
 * With PARLEY_FORGETFUL_VFS=1 this shim becomes the default VFS and keeps
 * every write in the memory of this process until xSync, so that kill -9
 * takes with it exactly what a power cut could have taken.
 *
 * With PARLEY_FORGETFUL_SEED=N a write of at most 128 KiB may also survive in
 * part before it is synced: a coin for each 512-byte sector decides whether
 * the sector's bytes go to the file at once, as a disk's cache may do in any
 * order it likes.
 *
 * Owned here: one image per path, shared by all connections of the process.
 * Main databases, their journals and WALs have images; temporary files and
 * the -shm file belong to the VFS below, and so do all locks.
 *
 * Invariants of an image (all under its lock):
 *   1. size is the length that the file has for this process.
 *   2. Bytes at [0, synced) of the file below are valid unless a block covers
 *      them; bytes at or after `synced` are in a block or are zero, whatever
 *      the file below has there.
 *   3. A block holds the whole content of its BLOCK_BYTES, zero after size.
 *   4. synced <= size.
 *
 * Not simulated: a directory entry that a power cut forgets. Creations and
 * deletions take effect at once. A normal exit() is no power cut: it writes
 * what is left, as the kernel would have.
 *
 * Any thread. An image's lock is held while bytes move, never while the file
 * below is being flushed. Only one process may use a database this way. */
#include "tests/fault/forgetful_vfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES 4096
#define SECTOR_BYTES 512
#define TORN_WRITE_MAX_BYTES (128 * 1024)

struct image {
    struct image *next;
    char *path;
    int handles;  /* open files of this image; under images_lock */
    bool deleted; /* no longer in the list; under images_lock */
    pthread_mutex_t lock;
    sqlite3_int64 size;
    sqlite3_int64 synced;
    unsigned char **blocks; /* by block number, NULL: not written since the last sync */
    size_t block_slots;
    size_t block_count;
    uint64_t coin; /* state of the sector coin; 0: nothing survives */
};

/* What SQLite allocates for an open file: ours, then the one below. */
struct handle {
    sqlite3_file base;
    struct image *image;
    sqlite3_file below[];
};

/* A range of a file within one block. */
struct span {
    size_t block;
    size_t start; /* within the block, bytes */
    size_t len;
};

static pthread_mutex_t images_lock = PTHREAD_MUTEX_INITIALIZER;
static struct image *images;
static sqlite3_vfs *vfs_below;
static pid_t owner_pid;

static sqlite3_file *below(sqlite3_file *file) { return ((struct handle *)file)->below; }

static sqlite3_int64 smaller(sqlite3_int64 a, sqlite3_int64 b) { return a < b ? a : b; }

/* The part of [offset, offset + len) that lies in the block of `offset`. */
static struct span span_at(sqlite3_int64 offset, sqlite3_int64 len) {
    size_t start = (size_t)(offset % BLOCK_BYTES);

    return (struct span){
        .block = (size_t)(offset / BLOCK_BYTES),
        .start = start,
        .len = (size_t)smaller(len, (sqlite3_int64)(BLOCK_BYTES - start)),
    };
}

/* ---- the image ---- */

/* The seed of PARLEY_FORGETFUL_SEED mixed with the path; 0 when unset. */
static uint64_t coin_seed(const char *path) {
    const char *seed = getenv("PARLEY_FORGETFUL_SEED");
    uint64_t mix = 14695981039346656037u;

    if (!seed || !*seed)
        return 0;
    mix ^= strtoull(seed, NULL, 10) * 0x9e3779b97f4a7c15u;
    for (; *path; path++)
        mix = (mix ^ (unsigned char)*path) * 1099511628211u;
    return mix ? mix : 1;
}

static bool coin_toss(uint64_t *coin) {
    *coin ^= *coin << 13;
    *coin ^= *coin >> 7;
    *coin ^= *coin << 17;
    return (*coin >> 33) & 1;
}

static struct image *image_new(const char *path) {
    struct image *image = calloc(1, sizeof(*image));

    if (!image)
        return NULL;
    image->path = strdup(path);
    if (!image->path) {
        free(image);
        return NULL;
    }
    pthread_mutex_init(&image->lock, NULL);
    image->coin = coin_seed(path);
    return image;
}

static unsigned char *image_block(const struct image *image, size_t number) {
    return number < image->block_slots ? image->blocks[number] : NULL;
}

static void image_drop_block(struct image *image, size_t number) {
    if (!image_block(image, number))
        return;
    free(image->blocks[number]);
    image->blocks[number] = NULL;
    image->block_count--;
}

static void image_drop_blocks_from(struct image *image, size_t first) {
    for (size_t i = first; i < image->block_slots; i++)
        image_drop_block(image, i);
}

static void image_free(struct image *image) {
    image_drop_blocks_from(image, 0);
    free(image->blocks);
    free(image->path);
    pthread_mutex_destroy(&image->lock);
    free(image);
}

static bool image_grow(struct image *image, size_t number) {
    size_t slots = image->block_slots ? image->block_slots : 64;
    unsigned char **grown;

    if (number < image->block_slots)
        return true;
    while (slots <= number)
        slots *= 2;
    grown = realloc(image->blocks, slots * sizeof(*grown));
    if (!grown)
        return false;
    memset(grown + image->block_slots, 0, (slots - image->block_slots) * sizeof(*grown));
    image->blocks = grown;
    image->block_slots = slots;
    return true;
}

/* Reads what the file below has before `synced`; the rest is zero. */
static int image_read_below(const struct image *image, sqlite3_file *file, unsigned char *out, sqlite3_int64 offset, size_t len) {
    sqlite3_int64 there = smaller(image->synced - offset, (sqlite3_int64)len);
    int rc;

    memset(out, 0, len);
    if (there <= 0)
        return SQLITE_OK;
    rc = file->pMethods->xRead(file, out, (int)there, offset);
    return rc == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : rc;
}

/* The block, made from the file below when it was not written yet. */
static int image_own_block(struct image *image, sqlite3_file *file, size_t number, unsigned char **ret_block) {
    unsigned char *block = image_block(image, number);
    int rc;

    if (!block) {
        if (!image_grow(image, number))
            return SQLITE_IOERR_NOMEM;
        block = malloc(BLOCK_BYTES);
        if (!block)
            return SQLITE_IOERR_NOMEM;
        rc = image_read_below(image, file, block, (sqlite3_int64)number * BLOCK_BYTES, BLOCK_BYTES);
        if (rc != SQLITE_OK) {
            free(block);
            return rc;
        }
        image->blocks[number] = block;
        image->block_count++;
    }
    *ret_block = block;
    return SQLITE_OK;
}

/* Reads [offset, offset + len), which lies before size. */
static int image_read(const struct image *image, sqlite3_file *file, unsigned char *out, sqlite3_int64 offset, sqlite3_int64 len) {
    while (len > 0) {
        struct span span = span_at(offset, len);
        const unsigned char *block = image_block(image, span.block);
        int rc = SQLITE_OK;

        if (block)
            memcpy(out, block + span.start, span.len);
        else
            rc = image_read_below(image, file, out, offset, span.len);
        if (rc != SQLITE_OK)
            return rc;
        out += span.len;
        offset += (sqlite3_int64)span.len;
        len -= (sqlite3_int64)span.len;
    }
    return SQLITE_OK;
}

static int image_write(struct image *image, sqlite3_file *file, const unsigned char *data, sqlite3_int64 offset, sqlite3_int64 len) {
    while (len > 0) {
        struct span span = span_at(offset, len);
        unsigned char *block;
        int rc = image_own_block(image, file, span.block, &block);

        if (rc != SQLITE_OK)
            return rc;
        memcpy(block + span.start, data, span.len);
        data += span.len;
        offset += (sqlite3_int64)span.len;
        len -= (sqlite3_int64)span.len;
        if (image->size < offset)
            image->size = offset;
    }
    return SQLITE_OK;
}

/* Lets the sectors that win the toss survive: their bytes go to the file now.
 * Invariant 2 holds because the same bytes are in a block already. */
static int image_write_torn(struct image *image, sqlite3_file *file, const unsigned char *data, sqlite3_int64 offset, sqlite3_int64 len) {
    if (image->coin == 0 || len > TORN_WRITE_MAX_BYTES)
        return SQLITE_OK;
    while (len > 0) {
        int part = (int)smaller(len, SECTOR_BYTES - offset % SECTOR_BYTES);
        int rc = SQLITE_OK;

        if (coin_toss(&image->coin))
            rc = file->pMethods->xWrite(file, data, part, offset);
        if (rc != SQLITE_OK)
            return rc;
        data += part;
        offset += part;
        len -= part;
    }
    return SQLITE_OK;
}

static void image_truncate(struct image *image, sqlite3_int64 size) {
    struct span tail = span_at(size, BLOCK_BYTES);
    unsigned char *block = image_block(image, tail.block);

    if (size < image->size) {
        if (block && tail.start > 0)
            memset(block + tail.start, 0, BLOCK_BYTES - tail.start);
        image_drop_blocks_from(image, tail.start > 0 ? tail.block + 1 : tail.block);
    }
    image->size = size;
    image->synced = smaller(image->synced, size);
}

/* Bytes of the block `number` that are part of the file. */
static int image_block_len(const struct image *image, size_t number) {
    return (int)smaller(image->size - (sqlite3_int64)number * BLOCK_BYTES, BLOCK_BYTES);
}

/* Cuts off what the file below has after `synced`, then extends it to size. */
static int image_fit_below(const struct image *image, sqlite3_file *file) {
    sqlite3_int64 real;
    int rc = file->pMethods->xFileSize(file, &real);

    if (rc == SQLITE_OK && real > image->synced)
        rc = file->pMethods->xTruncate(file, image->synced);
    if (rc == SQLITE_OK && image->size > image->synced && image->size > 0)
        rc = file->pMethods->xWrite(file, "", 1, image->size - 1);
    return rc;
}

/* Hands everything to the file below; afterwards the image holds no block. */
static int image_write_out(struct image *image, sqlite3_file *file) {
    int rc = image_fit_below(image, file);

    for (size_t i = 0; rc == SQLITE_OK && i < image->block_slots; i++) {
        if (image->blocks[i])
            rc = file->pMethods->xWrite(file, image->blocks[i], image_block_len(image, i), (sqlite3_int64)i * BLOCK_BYTES);
    }
    if (rc != SQLITE_OK)
        return rc;
    image_drop_blocks_from(image, 0);
    image->synced = image->size;
    return SQLITE_OK;
}

static bool image_is_clean(const struct image *image) { return image->block_count == 0 && image->synced == image->size; }

/* ---- the list of images ---- */

static struct image *images_find(const char *path) {
    struct image *image = images;

    while (image && strcmp(image->path, path) != 0)
        image = image->next;
    return image;
}

static void images_unlink(struct image *image) {
    struct image **link = &images;

    while (*link && *link != image)
        link = &(*link)->next;
    if (*link)
        *link = image->next;
}

/* The image of `path`, made when it is the first one; takes a handle on it. */
static int images_attach(const char *path, sqlite3_file *file, struct image **ret_image) {
    struct image *image;
    int rc = SQLITE_OK;

    pthread_mutex_lock(&images_lock);
    image = images_find(path);
    if (!image) {
        image = image_new(path);
        rc = image ? file->pMethods->xFileSize(file, &image->size) : SQLITE_NOMEM;
        if (rc == SQLITE_OK) {
            image->synced = image->size;
            image->next = images;
            images = image;
        } else if (image) {
            image_free(image);
        }
    }
    if (rc == SQLITE_OK) {
        image->handles++;
        *ret_image = image;
    }
    pthread_mutex_unlock(&images_lock);
    return rc;
}

/* An image with something unsynced outlives its last handle. */
static void images_detach(struct image *image) {
    pthread_mutex_lock(&images_lock);
    image->handles--;
    if (image->handles == 0 && (image->deleted || image_is_clean(image))) {
        images_unlink(image);
        image_free(image);
    }
    pthread_mutex_unlock(&images_lock);
}

static void images_forget(const char *path) {
    struct image *image;

    pthread_mutex_lock(&images_lock);
    image = images_find(path);
    if (image) {
        images_unlink(image);
        image->deleted = true;
        if (image->handles == 0)
            image_free(image);
    }
    pthread_mutex_unlock(&images_lock);
}

/* The size that this process sees at `path`, or -1 without an image. */
static sqlite3_int64 images_size(const char *path) {
    struct image *image;
    sqlite3_int64 size = -1;

    pthread_mutex_lock(&images_lock);
    image = images_find(path);
    if (image) {
        pthread_mutex_lock(&image->lock);
        size = image->size;
        pthread_mutex_unlock(&image->lock);
    }
    pthread_mutex_unlock(&images_lock);
    return size;
}

/* ---- methods of an open file ---- */

static int file_close(sqlite3_file *file) {
    struct handle *handle = (struct handle *)file;
    int rc = handle->below->pMethods->xClose(handle->below);

    images_detach(handle->image);
    file->pMethods = NULL;
    return rc;
}

static int file_read(sqlite3_file *file, void *out, int len, sqlite3_int64 offset) {
    struct image *image = ((struct handle *)file)->image;
    sqlite3_int64 there;
    int rc;

    pthread_mutex_lock(&image->lock);
    there = smaller(image->size - offset, len);
    if (there < 0)
        there = 0;
    rc = image_read(image, below(file), out, offset, there);
    pthread_mutex_unlock(&image->lock);
    if (rc != SQLITE_OK || there == len)
        return rc;
    memset((unsigned char *)out + there, 0, (size_t)(len - there));
    return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset) {
    struct image *image = ((struct handle *)file)->image;
    int rc;

    pthread_mutex_lock(&image->lock);
    rc = image_write(image, below(file), data, offset, len);
    if (rc == SQLITE_OK)
        rc = image_write_torn(image, below(file), data, offset, len);
    pthread_mutex_unlock(&image->lock);
    return rc;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    struct image *image = ((struct handle *)file)->image;

    pthread_mutex_lock(&image->lock);
    image_truncate(image, size);
    pthread_mutex_unlock(&image->lock);
    return SQLITE_OK;
}

static int file_sync(sqlite3_file *file, int flags) {
    struct image *image = ((struct handle *)file)->image;
    int rc;

    pthread_mutex_lock(&image->lock);
    rc = image_write_out(image, below(file));
    pthread_mutex_unlock(&image->lock);
    if (rc != SQLITE_OK)
        return rc;
    return below(file)->pMethods->xSync(below(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size) {
    struct image *image = ((struct handle *)file)->image;

    pthread_mutex_lock(&image->lock);
    *ret_size = image->size;
    pthread_mutex_unlock(&image->lock);
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *file, int level) { return below(file)->pMethods->xLock(below(file), level); }

static int file_unlock(sqlite3_file *file, int level) { return below(file)->pMethods->xUnlock(below(file), level); }

static int file_check_reserved_lock(sqlite3_file *file, int *ret_held) {
    return below(file)->pMethods->xCheckReservedLock(below(file), ret_held);
}

/* Hints that would let the VFS below change the file's length or map it are
 * answered here; everything else is its business. */
static int file_control(sqlite3_file *file, int op, void *arg) {
    int rc;

    switch (op) {
    case SQLITE_FCNTL_SIZE_HINT:
    case SQLITE_FCNTL_CHUNK_SIZE:
        return SQLITE_OK;
    case SQLITE_FCNTL_MMAP_SIZE:
        return SQLITE_NOTFOUND;
    }
    rc = below(file)->pMethods->xFileControl(below(file), op, arg);
    if (rc == SQLITE_OK && op == SQLITE_FCNTL_VFSNAME)
        *(char **)arg = sqlite3_mprintf("forgetful/%z", *(char **)arg);
    return rc;
}

static int file_sector_size(sqlite3_file *file) { return below(file)->pMethods->xSectorSize(below(file)); }

/* Of what the device below promises only one thing is kept here: bytes next
 * to a write are never harmed. */
static int file_device_characteristics(sqlite3_file *file) {
    return below(file)->pMethods->xDeviceCharacteristics(below(file)) & SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int file_shm_map(sqlite3_file *file, int region, int len, int extend, void volatile **ret_memory) {
    return below(file)->pMethods->xShmMap(below(file), region, len, extend, ret_memory);
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    return below(file)->pMethods->xShmLock(below(file), offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file) { below(file)->pMethods->xShmBarrier(below(file)); }

static int file_shm_unmap(sqlite3_file *file, int delete) { return below(file)->pMethods->xShmUnmap(below(file), delete); }

/* Version 2: without xFetch SQLite never maps the file. */
static const sqlite3_io_methods file_methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_device_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- methods of the VFS ---- */

static bool is_covered(const char *path, int flags) {
    return path && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags) {
    struct handle *handle = (struct handle *)file;
    int rc;

    (void)vfs;
    if (!is_covered(path, flags))
        return vfs_below->xOpen(vfs_below, path, file, flags, ret_flags);
    file->pMethods = NULL;
    handle->below->pMethods = NULL;
    rc = vfs_below->xOpen(vfs_below, path, handle->below, flags, ret_flags);
    if (rc == SQLITE_OK)
        rc = images_attach(path, handle->below, &handle->image);
    if (rc == SQLITE_OK)
        file->pMethods = &file_methods;
    else if (handle->below->pMethods)
        handle->below->pMethods->xClose(handle->below);
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_directory) {
    int rc = vfs_below->xDelete(vfs_below, path, sync_directory);

    (void)vfs;
    if (rc == SQLITE_OK || rc == SQLITE_IOERR_DELETE_NOENT)
        images_forget(path);
    return rc;
}

/* As in SQLite's unix VFS an empty file does not exist for
 * SQLITE_ACCESS_EXISTS; here the image knows whether it is empty. */
static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret_yes) {
    sqlite3_int64 size = flags == SQLITE_ACCESS_EXISTS ? images_size(path) : -1;

    (void)vfs;
    if (size < 0)
        return vfs_below->xAccess(vfs_below, path, flags, ret_yes);
    *ret_yes = size > 0;
    return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *path, int len, char *out) {
    (void)vfs;
    return vfs_below->xFullPathname(vfs_below, path, len, out);
}

static void *vfs_dl_open(sqlite3_vfs *vfs, const char *path) {
    (void)vfs;
    return vfs_below->xDlOpen(vfs_below, path);
}

static void vfs_dl_error(sqlite3_vfs *vfs, int len, char *message) {
    (void)vfs;
    vfs_below->xDlError(vfs_below, len, message);
}

static void (*vfs_dl_sym(sqlite3_vfs *vfs, void *library, const char *symbol))(void) {
    (void)vfs;
    return vfs_below->xDlSym(vfs_below, library, symbol);
}

static void vfs_dl_close(sqlite3_vfs *vfs, void *library) {
    (void)vfs;
    vfs_below->xDlClose(vfs_below, library);
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *out) {
    (void)vfs;
    return vfs_below->xRandomness(vfs_below, len, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us) {
    (void)vfs;
    return vfs_below->xSleep(vfs_below, us);
}

static int vfs_current_time(sqlite3_vfs *vfs, double *ret_days) {
    (void)vfs;
    return vfs_below->xCurrentTime(vfs_below, ret_days);
}

static int vfs_get_last_error(sqlite3_vfs *vfs, int len, char *out) {
    (void)vfs;
    return vfs_below->xGetLastError(vfs_below, len, out);
}

static int vfs_current_time_int64(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms) {
    (void)vfs;
    return vfs_below->xCurrentTimeInt64(vfs_below, ret_ms);
}

const char forgetful_vfs_name[] = "forgetful";

static sqlite3_vfs forgetful_vfs = {
    .iVersion = 2,
    .zName = forgetful_vfs_name,
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_pathname,
    .xDlOpen = vfs_dl_open,
    .xDlError = vfs_dl_error,
    .xDlSym = vfs_dl_sym,
    .xDlClose = vfs_dl_close,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_current_time,
    .xGetLastError = vfs_get_last_error,
    .xCurrentTimeInt64 = vfs_current_time_int64,
};

/* ---- start and normal end of the process ---- */

__attribute__((constructor)) static void forgetful_register(void) {
    const char *wanted = getenv("PARLEY_FORGETFUL_VFS");

    if (!wanted || strcmp(wanted, "1") != 0)
        return;
    vfs_below = sqlite3_vfs_find(NULL);
    if (!vfs_below || vfs_below->iVersion < 2)
        abort();
    owner_pid = getpid();
    forgetful_vfs.szOsFile = (int)sizeof(struct handle) + vfs_below->szOsFile;
    forgetful_vfs.mxPathname = vfs_below->mxPathname;
    if (sqlite3_vfs_register(&forgetful_vfs, 1) != SQLITE_OK)
        abort();
}

/* The files are closed or about to be: plain writes will do. */
static void image_leave_to_kernel(const struct image *image) {
    int fd = open(image->path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && ftruncate(fd, image->synced) == 0 && ftruncate(fd, image->size) == 0;

    for (size_t i = 0; done && i < image->block_slots; i++) {
        if (image->blocks[i])
            done = pwrite(fd, image->blocks[i], (size_t)image_block_len(image, i), (off_t)i * BLOCK_BYTES) >= 0;
    }
    if (fd >= 0)
        close(fd);
}

__attribute__((destructor)) static void forgetful_exit(void) {
    if (getpid() != owner_pid)
        return;
    pthread_mutex_lock(&images_lock);
    for (struct image *image = images; image; image = image->next) {
        pthread_mutex_lock(&image->lock);
        if (!image_is_clean(image))
            image_leave_to_kernel(image);
        pthread_mutex_unlock(&image->lock);
    }
    pthread_mutex_unlock(&images_lock);
}
