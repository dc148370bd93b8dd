/* See sqlite_gather.h. */
#include "db/sqlite_gather.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "db/sqlite_syncer.h"

/* SQLite's own VFS writes less than 128 KiB at once. Of 4 KiB pages these are 31 frames. */
#define BUFFER_BYTES (127 * 1024)

/* What SQLite allocates for an open log: this, then the file below. */
struct log_file {
    sqlite3_file base;
    unsigned char *waiting; /* owned; NULL: nothing was written yet */
    int size;               /* bytes that wait, */
    sqlite3_int64 offset;   /* and where they belong */
    sqlite3_int64 end;      /* of all that was written, */
    sqlite3_int64 length;   /* and of the file: what lies between was never used */
    bool gathers;
    const struct db *db;   /* whose commits these are, once sqlite_gather_for() has said so */
    struct syncer *syncer; /* owned; NULL: it was of no use yet */
    sqlite3_file below[];
};

static sqlite3_vfs *vfs_below;

static sqlite3_file *below(sqlite3_file *file) { return ((struct log_file *)file)->below; }

static int write_below(struct log_file *log, const void *bytes, int size, sqlite3_int64 offset) {
    if (log->end < offset + size)
        log->end = offset + size;
    return log->below->pMethods->xWrite(log->below, bytes, size, offset);
}

/* What could not be written does not wait any longer: its commit fails by that, and the next one writes to the same place. */
static int write_out(struct log_file *log) {
    int size = log->size;
    log->size = 0;
    return size ? write_below(log, log->waiting, size, log->offset) : SQLITE_OK;
}

/* When the log has grown to the end of its file. A disk that is too full for that is no failure: what was written is there. */
static void make_longer(struct log_file *log) {
    static const unsigned char zeros[BUFFER_BYTES];
    int code = SQLITE_OK;
    if (!log->gathers || log->end <= log->length)
        return;
    log->length = log->end;
    for (int left = LIMIT_WAL_EMPTY_BYTES; code == SQLITE_OK && left > 0; left -= BUFFER_BYTES) {
        int size = left < BUFFER_BYTES ? left : BUFFER_BYTES;
        code = log->below->pMethods->xWrite(log->below, zeros, size, log->length);
        log->length += code == SQLITE_OK ? size : 0;
    }
}

/* Whether these bytes may wait, behind those that do. */
static bool fits(struct log_file *log, int size, sqlite3_int64 offset) {
    if (!log->gathers || size > BUFFER_BYTES - log->size)
        return false;
    return log->size == 0 || offset == log->offset + log->size;
}

static bool has_buffer(struct log_file *log) {
    if (!log->waiting)
        log->waiting = malloc(BUFFER_BYTES);
    return log->waiting;
}

static int log_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset) {
    struct log_file *log = (struct log_file *)file;
    int code = fits(log, size, offset) ? SQLITE_OK : write_out(log);
    if (code != SQLITE_OK)
        return code;
    if (!fits(log, size, offset) || !has_buffer(log))
        return write_below(log, bytes, size, offset);
    if (log->size == 0)
        log->offset = offset;
    memcpy(log->waiting + log->size, bytes, (size_t)size);
    log->size += size;
    return SQLITE_OK;
}

/* No commit waits for what waits here. */
static int log_close(sqlite3_file *file) {
    struct log_file *log = (struct log_file *)file;
    free(log->waiting);
    syncer_stop(log->syncer);
    return below(file)->pMethods->xClose(below(file));
}

static int log_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset) {
    int code = write_out((struct log_file *)file);
    return code == SQLITE_OK ? below(file)->pMethods->xRead(below(file), bytes, size, offset) : code;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size) {
    struct log_file *log = (struct log_file *)file;
    int code = write_out(log);
    log->end = log->length = size;
    return code == SQLITE_OK ? below(file)->pMethods->xTruncate(below(file), size) : code;
}

static bool has_syncer(struct log_file *log) {
    if (!log->syncer)
        log->syncer = syncer_start();
    return log->syncer;
}

/* On this thread, unless there is something to do on it meanwhile. */
static int sync_below(struct log_file *log, int flags) {
    if (!log->db || !db_is_busy_meanwhile(log->db) || !has_syncer(log))
        return log->below->pMethods->xSync(log->below, flags);
    const struct db_meanwhile *meanwhile = &log->db->meanwhile;
    syncer_begin(log->syncer, log->below, flags);
    while (!syncer_is_done(log->syncer) && meanwhile->work(meanwhile->context))
        ;
    return syncer_end(log->syncer);
}

static int log_sync(sqlite3_file *file, int flags) {
    struct log_file *log = (struct log_file *)file;
    int code = write_out(log);
    if (code != SQLITE_OK)
        return code;
    make_longer(log);
    return sync_below(log, flags);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *ret_size) {
    int code = write_out((struct log_file *)file);
    return code == SQLITE_OK ? below(file)->pMethods->xFileSize(below(file), ret_size) : code;
}

static int log_control(sqlite3_file *file, int operation, void *argument) {
    int code = write_out((struct log_file *)file);
    return code == SQLITE_OK ? below(file)->pMethods->xFileControl(below(file), operation, argument) : code;
}

static int log_lock(sqlite3_file *file, int level) { return below(file)->pMethods->xLock(below(file), level); }

static int log_unlock(sqlite3_file *file, int level) { return below(file)->pMethods->xUnlock(below(file), level); }

static int log_check_lock(sqlite3_file *file, int *ret_held) { return below(file)->pMethods->xCheckReservedLock(below(file), ret_held); }

static int log_sector_size(sqlite3_file *file) { return below(file)->pMethods->xSectorSize(below(file)); }

static int log_characteristics(sqlite3_file *file) { return below(file)->pMethods->xDeviceCharacteristics(below(file)); }

/* Version 1: what came later is for databases. */
static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_lock,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

static int open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags) {
    struct log_file *log = (struct log_file *)file;
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL))
        return vfs_below->xOpen(vfs_below, path, file, flags, ret_flags);
    memset(log, 0, sizeof *log);
    log->below->pMethods = NULL;
    int code = vfs_below->xOpen(vfs_below, path, log->below, flags, ret_flags);
    if (log->below->pMethods)
        log->base.pMethods = &log_methods;
    if (code != SQLITE_OK)
        return code;
    log->gathers = log->below->pMethods->xDeviceCharacteristics(log->below) & SQLITE_IOCAP_POWERSAFE_OVERWRITE;
    return log->below->pMethods->xFileSize(log->below, &log->length);
}

static int delete_file(sqlite3_vfs *vfs, const char *path, int sync_folder) {
    (void)vfs;
    return vfs_below->xDelete(vfs_below, path, sync_folder);
}

static int access_file(sqlite3_vfs *vfs, const char *path, int flags, int *ret_yes) {
    (void)vfs;
    return vfs_below->xAccess(vfs_below, path, flags, ret_yes);
}

static int full_pathname(sqlite3_vfs *vfs, const char *path, int size, char *ret_path) {
    (void)vfs;
    return vfs_below->xFullPathname(vfs_below, path, size, ret_path);
}

static int randomness(sqlite3_vfs *vfs, int size, char *ret_bytes) {
    (void)vfs;
    return vfs_below->xRandomness(vfs_below, size, ret_bytes);
}

static int sleep_us(sqlite3_vfs *vfs, int us) {
    (void)vfs;
    return vfs_below->xSleep(vfs_below, us);
}

static int current_time(sqlite3_vfs *vfs, double *ret_days) {
    (void)vfs;
    return vfs_below->xCurrentTime(vfs_below, ret_days);
}

static int last_error(sqlite3_vfs *vfs, int size, char *ret_text) {
    (void)vfs;
    return vfs_below->xGetLastError(vfs_below, size, ret_text);
}

static int current_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms) {
    (void)vfs;
    return vfs_below->xCurrentTimeInt64(vfs_below, ret_ms);
}

/* Without the functions that load libraries: nothing here does. */
static sqlite3_vfs gather_vfs = {
    .iVersion = 2,
    .zName = "parley-gather",
    .xOpen = open_file,
    .xDelete = delete_file,
    .xAccess = access_file,
    .xFullPathname = full_pathname,
    .xRandomness = randomness,
    .xSleep = sleep_us,
    .xCurrentTime = current_time,
    .xGetLastError = last_error,
    .xCurrentTimeInt64 = current_time_ms,
};

static bool registered;

static void register_once(void) {
    vfs_below = sqlite3_vfs_find(NULL);
    if (!vfs_below || vfs_below->iVersion < 2)
        return;
    gather_vfs.szOsFile = (int)sizeof(struct log_file) + vfs_below->szOsFile;
    gather_vfs.mxPathname = vfs_below->mxPathname;
    registered = sqlite3_vfs_register(&gather_vfs, 0) == SQLITE_OK;
}

const char *sqlite_gather_vfs(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_once);
    return registered ? gather_vfs.zName : NULL;
}

void sqlite_gather_for(sqlite3 *handle, const struct db *db) {
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) == SQLITE_OK && file && file->pMethods == &log_methods)
        ((struct log_file *)file)->db = db;
}
