/* The write-ahead log of the one connection that writes: when it is moved into the database file, and by whom.
 *
 * The bulk is moved by another connection on its own thread (db/sqlite_mover.h) while commits go on. What they add meanwhile is short, and
 * moved on the writer's thread: then all is moved, and the next commit begins the log anew. Commits wait for the other thread only when the
 * log has grown far beyond its size.
 *
 * SQLite before 3.51.3 can lose pages where connections commit and checkpoint side by side (https://sqlite.org/wal.html, "the WAL-reset
 * bug"): a checkpoint reads the log's header; if everything was moved before, a commit may now begin the log anew; then the checkpoint
 * notes in the index of the new log how much of the old one is moved. That cannot happen here:
 *   1. One checkpoint runs at a time. Each is begun or asked for on the writer's thread, and from asking for a pass until its end is known
 *      the writer begins none.
 *   2. A pass is asked for only when frames were committed that no checkpoint has moved. A commit begins the log anew only where the note
 *      of what is moved equals the log's length. Nobody but the pass raises the note, and commits only add frames: until the pass has
 *      noted what it moved no commit can begin the log anew, and that note is the last thing that a passive checkpoint writes to the index.
 *   3. A checkpoint on the writer's thread has no commit beside it.
 * For the second, what is taken for moved must never be less than the note, or a commit must have come since. It may be more: after a
 * failure, and when the log was begun anew by a commit that is as long as the whole log before.
 *
 * Threads: the writer's. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

/* In pages. */
struct sqlite_log_sizes {
    int due;   /* the log is moved beyond */
    int rest;  /* at most this is moved on the writer's thread, where the other one keeps up */
    int ahead; /* commits wait for the other thread when the log is so much longer than it should be */
};

struct sqlite_log;

/* Takes over the checkpoints of `writer`, a connection to `path` in WAL mode without automatic ones. NULL: out of memory. */
struct sqlite_log *sqlite_log_open(const char *path, sqlite3 *writer, const struct sqlite_log_sizes *sizes);
/* Before the writer's connection is closed. NULL is fine. */
void sqlite_log_close(struct sqlite_log *log);

/* These are called outside of a transaction, and give SQLite's codes. */

/* Moves it, or has it moved, when that is due. A reader may hold an old snapshot: what it still needs stays in the log. */
int sqlite_log_move(struct sqlite_log *log);
/* Whether truncating would be short for those who wait. False: its bulk is being moved; ask again. Not for ever, whatever is committed meanwhile. */
bool sqlite_log_is_short(struct sqlite_log *log);
/* Moves all of it, and leaves it empty. SQLITE_BUSY: readers are in the way. */
int sqlite_log_truncate(struct sqlite_log *log);
