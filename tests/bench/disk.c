#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum outcome append_synced(int file, uint64_t end_ns, struct histogram *latency, uint64_t *ret_count) {
    static const char block[DISK_APPEND_BYTES] = { 1 };
    uint64_t start_ns;
    while ((start_ns = now_ns()) < end_ns && !bench_interrupted()) {
        if (write(file, block, sizeof block) != (ssize_t)sizeof block || fdatasync(file)) {
            complain("cannot append to a file: %s", strerror(errno));
            return OUTCOME_FAILED;
        }
        histogram_record(latency, now_ns() - start_ns);
        *ret_count += 1;
    }
    return OUTCOME_OK;
}

enum outcome disk_measure(const struct options *options, uint32_t seconds, struct histogram *latency, uint64_t *ret_per_second) {
    char path[PATH_MAX];
    uint64_t count = 0;
    snprintf(path, sizeof path, "%.3900s/parley-bench-disk-XXXXXX", options->data_parent);
    int file = mkostemp(path, O_APPEND | O_CLOEXEC);
    if (file < 0) {
        complain("cannot make a file in %s: %s", options->data_parent, strerror(errno));
        return OUTCOME_FAILED;
    }
    unlink(path);
    uint64_t start_ns = now_ns();
    enum outcome outcome = append_synced(file, start_ns + seconds * NS_PER_SECOND, latency, &count);
    uint64_t duration_ns = now_ns() - start_ns;
    close(file);
    *ret_per_second = count * NS_PER_SECOND / (duration_ns ? duration_ns : 1);
    return outcome;
}
