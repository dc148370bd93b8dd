/* A batch: commands that are decided together and written by one commit.
 *
 * Mostly all of it happens within the writer's transaction. But posts are decided ahead of that, while the commit before waits for the disk, where memory alone
 * says all that they need: such a batch is begun with the one before it at hand, whose rows are not there yet (`before` in db/state.h). When that commit
 * fails, or others have written in between, what was decided ahead is forgotten, and the batch is decided anew.
 *
 * The writer's thread only. */
#pragma once

#include "core/limits.h"
#include "db/decide.h"
#include "db/store_internal.h"

struct batch {
    struct slot slots[LIMIT_BATCH_COMMANDS + 1]; /* marks go behind a full one, too */
    size_t count;
    size_t limit;   /* of them */
    size_t bytes;   /* of their commands */
    size_t decided; /* so many of them are; and events have frames */
    bool started;   /* what follows is there */
    struct arena arena;
    struct state state;
    struct sweep_place place;
    uint64_t log_number;          /* of the log when it began */
    uint64_t previous_id;         /* the log's last before it */
    struct frame **frames;        /* of the state's events, in the arena */
    uint8_t tag[COMMIT_TAG_SIZE]; /* of its commit, where others write, too */
    bool kept;                    /* memory is as it leaves it */
    bool trusting;                /* it goes by a head that was trusted (db/store_head.h) */
    bool sent;                    /* the database has all of it but the commit: it was sent behind the commit before */
    bool early;                   /* the fault ack_before_commit: answers have left */
    bool truncate;                /* a cleanup ends with this: what was deleted shall leave the write-ahead log, too */
    struct batch *next;           /* may be decided ahead while this one is being written; NULL: none may */
};

/* With an empty state; what its commands led to before is forgotten. `before`: its commit is under way; NULL: none is. */
void batch_start(struct batch *batch, struct store *store, const struct batch *before);
/* Releases the state and all that was decided, if it was started. The commands stay. */
void batch_stop(struct batch *batch);

/* What its commands led to: nothing. */
void batch_forget(struct batch *batch);

/* Decides those that are not decided yet if that needs nothing of the database, and makes the frames of their events. False: it does, or memory is short. */
bool batch_decide_ahead(struct batch *batch) MUST_USE;

/* Within the transaction: decides the rest and makes all frames and answers. Nothing is being committed any more, unless all is decided and memory is already
 * as that commit leaves it. */
enum err batch_decide(struct batch *batch, struct store *store) MUST_USE;
