/* A connection that moves the write-ahead log into the database file on a thread of its own, when it is asked to; it writes nothing else.
 * When it may be asked is db/sqlite_log.h's business.
 *
 * Threads: the writer's, but for the mover's own. */
#pragma once

#include <stdbool.h>

struct mover;

/* What a pass has done. `pages` and `moved` are what SQLite says of the log as the pass found it; where a commit began the log anew right
 * after the pass, `moved` may be 0. They mean nothing when the pass failed. */
struct mover_pass {
    int code; /* SQLite's */
    int pages;
    int moved;
};

/* Opens its connection to `path` at the first pass. NULL: out of memory or threads. */
struct mover *mover_start(const char *path);
/* Waits for the end of a pass. NULL is fine. */
void mover_stop(struct mover *mover);
/* Begins a pass; the one before must have been taken. */
void mover_ask(struct mover *mover);
/* True: the pass that was asked for has ended. With `waits` it is waited for. */
bool mover_take(struct mover *mover, bool waits, struct mover_pass *ret_pass);
