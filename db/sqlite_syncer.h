/* Syncs a file on a thread of its own, so that whoever asked for that can do something else meanwhile.
 *
 * Threads: one asks at a time. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

struct syncer;

/* NULL: out of memory or threads. */
struct syncer *syncer_start(void);
/* NULL is fine. No sync is under way. */
void syncer_stop(struct syncer *syncer);

/* Begins a sync. Until its end nobody else may use the file. */
void syncer_begin(struct syncer *syncer, sqlite3_file *file, int flags);
/* Whether it would end at once. */
bool syncer_is_done(const struct syncer *syncer);
/* Waits for it, and gives SQLite's code. */
int syncer_end(struct syncer *syncer);
