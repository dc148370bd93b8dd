/* The cleanup: really deletes what retention has expired, in passes small enough that posting stays fast.
 *
 * Each pass is one COMMAND_SWEEP through the writer, so it is ordered with everything else and safe to repeat after a crash. The server runs
 * it on a thread of its own at an interval; `parley cleanup --once` runs it once. */
#pragma once

#include "core/config.h"
#include "db/store.h"

/* Called after every pass with the rows of that pass and whether there is more to do; false ends the cleanup early. May block. */
typedef bool (*cleanup_progress)(void *context, uint64_t rows, bool more);

/* Sweeps until nothing is left to do, with a short rest after each pass. A dry run changes nothing and is a single pass: what it counts is all
 * there is unless it says `more`. Blocks; any thread but the writer's. Errors are the store's: what was swept before them stays swept. */
enum err cleanup_once(struct store *store, bool dry_run, cleanup_progress progress, void *context) MUST_USE;

struct cleanup;

/* Starts the thread, which sweeps at once and then every config->cleanup_interval_ms (more than 0). The store is started and outlives it. */
enum err cleanup_start(struct store *store, const struct config *config, struct cleanup **ret_cleanup) MUST_USE;
/* Ends the thread after the pass that runs, if any; before store_stop(). NULL is fine. */
void cleanup_stop(struct cleanup *cleanup);
