/* A thread that writes 4 KiB into a file of its own and syncs them, again and again, and notes which of these writes took long. The file has its length before, so
 * that a sync needs nothing of the file system's journal: it waits for the disk, and for what others have the disk do, the server's checkpoints included. */
#pragma once

#include "bench.h"
#include "histogram.h"
#include "pauses.h"

#define DISK_WATCH_BYTES 4096
/* Between two writes: of a disk that stands still, no more than that is not seen. A server at work syncs many times as often. */
#define DISK_WATCH_REST_NS (10 * NS_PER_MS)
#define DISK_WATCH_WAIT_NS (20 * NS_PER_MS) /* what is noted */

struct disk_watch;

/* The file is in `folder`, and without a name there. NULL when it cannot be made, or there is no memory or thread; that has been said. */
struct disk_watch *disk_watch_start(const char *folder);
/* Ends the thread; then what it has noted can be read. */
void disk_watch_stop(struct disk_watch *watch);
const struct pauses *disk_watch_waits(const struct disk_watch *watch);
/* Of all its writes. */
const struct histogram *disk_watch_latency(const struct disk_watch *watch);
void disk_watch_free(struct disk_watch *watch);
