/* How long the disk takes for what a commit needs of it at least: 4 KiB appended to a file, and fdatasync. Main thread. */
#pragma once

#include "bench.h"
#include "histogram.h"

#define DISK_APPEND_BYTES 4096

/* One after the other, in a file of its own beside the servers' data. Adds to `latency`; `*ret_per_second` is how many there were. */
enum outcome disk_measure(const struct options *options, uint32_t seconds, struct histogram *latency, uint64_t *ret_per_second) MUST_USE;
