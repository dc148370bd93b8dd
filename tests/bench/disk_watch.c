#include "disk_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct disk_watch {
    pthread_t thread;
    atomic_bool stops;
    int file; /* owned */
    struct pauses waits;
    struct histogram latency;
};

static bool write_synced(int file) {
    static const char block[DISK_WATCH_BYTES] = { 1 };
    return pwrite(file, block, sizeof block, 0) == (ssize_t)sizeof block && fdatasync(file) == 0;
}

static void *disk_watch_main(void *argument) {
    struct disk_watch *watch = argument;
    while (!atomic_load_explicit(&watch->stops, memory_order_relaxed)) {
        uint64_t start_ns = now_ns();
        if (!write_synced(watch->file)) {
            complain("the disk is not watched any longer: %s", strerror(errno));
            return NULL;
        }
        uint64_t duration_ns = now_ns() - start_ns;
        histogram_record(&watch->latency, duration_ns);
        if (duration_ns >= DISK_WATCH_WAIT_NS)
            pauses_add(&watch->waits, start_ns, duration_ns);
        nanosleep(&(struct timespec){ .tv_nsec = DISK_WATCH_REST_NS }, NULL);
    }
    return NULL;
}

/* With its length; -1 with errno when it cannot be made. */
static int make_file(const char *folder) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3900s/disk-watch-XXXXXX", folder);
    int file = mkostemp(path, O_CLOEXEC);
    if (file < 0)
        return -1;
    unlink(path);
    if (write_synced(file))
        return file;
    close(file);
    return -1;
}

struct disk_watch *disk_watch_start(const char *folder) {
    struct disk_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NULL;
    watch->file = make_file(folder);
    if (watch->file >= 0 && pthread_create(&watch->thread, NULL, disk_watch_main, watch) == 0)
        return watch;
    complain("cannot watch the disk of %s: %s", folder, strerror(errno));
    if (watch->file >= 0)
        close(watch->file);
    free(watch);
    return NULL;
}

void disk_watch_stop(struct disk_watch *watch) {
    atomic_store(&watch->stops, true);
    pthread_join(watch->thread, NULL);
}

const struct pauses *disk_watch_waits(const struct disk_watch *watch) { return &watch->waits; }

const struct histogram *disk_watch_latency(const struct disk_watch *watch) { return &watch->latency; }

void disk_watch_free(struct disk_watch *watch) {
    if (watch)
        close(watch->file);
    free(watch);
}
