/* The hub's state, shared by hub.c (thread, loop, the public functions), tail.c (following the log), life.c (the life of streams), harvest.c and whisper.c.
 * Nobody else includes it.
 *
 * Everything but `inbox`, `replays` and `devices` belongs to the hub's thread.
 *
 * Invariants of a hub at position p (an id):
 *  1. Every event of the log up to p, from where the hub started, was applied: once, in log order. Only what continues p is applied; what does
 *     not is a gap, and is read from the store (tail.c).
 *  2. The ring ends at p.
 *  3. The index is right as of p, or as of a later snapshot that a listener was installed from (index.h).
 *  4. Outside a tick no stream has pending frames, so every LIVE stream has its whole feed up to p.
 *  5. Work per turn of the loop is bounded by the LIMIT_TURN_… and LIMIT_TICK_… values, whatever waits, but for the walk over all streams when the log breaks.
 *  6. When p is not in the log any more, the hub begins again at the log's head: nothing that it learnt from the lost one stays, every stream is told `reset`
 *     before anything of the other log, and those whose devices it does not have are closed (life_restart). */
#pragma once

#include "core/pool.h"
#include "stream/devices.h"
#include "stream/gate.h"
#include "stream/inbox.h"
#include "stream/index.h"
#include "stream/push.h"
#include "stream/replay.h"
#include "stream/ring.h"
#include "stream/socket.h"
#include "stream/wheel.h"

/* Where the hub is with reading what it did not hear. */
struct tail {
    struct commit *commits; /* taken from the inbox, oldest first; the first ones may be applied in part */
    struct commit *applied; /* their frames may be pending: freed after the tick */
    struct replay_job job;  /* a page of the log */
    bool lost;              /* commits before those in `commits` were forgotten */
    bool is_reading;        /* the job is out */
    bool is_stale;          /* and what it brings is of no use */
    int64_t read_at_ms;     /* not before: a failed read is repeated after a pause (monotonic) */
    bool took_some;         /* the last look into the inbox found commits: there may be more */
    uint64_t checked_id;    /* the hub's position at the last tail_check() */
    int64_t rest_us;        /* that are due after this turn */
};

struct hub {
    struct store *store;
    const struct config *config;
    struct inbox inbox;         /* shared */
    struct replay_pool replays; /* shared */
    struct devices devices;     /* shared */
    pthread_t thread;
    int epoll_fd;

    uint64_t position;
    struct tail tail;
    struct ring ring;
    struct index index;
    struct push push;

    struct pool stream_pool;
    struct list_node streams[STREAM_STATES]; /* of struct stream, by state */
    size_t counts[STREAM_STATES];
    struct opening *openings; /* taken from the inbox, oldest first */
    struct replay_job jobs[LIMIT_REPLAYS_AT_ONCE];
    bool has_whispers;   /* the last look into the inbox left some */
    bool was_full;       /* since the last whispers the streams had more to take than fits a tick */
    size_t next_to_rob;  /* of `jobs`: whose stream loses its page next */
    uint64_t log_number; /* the inbox's, as of the last break */
    struct gate gate;
    struct outlet outlet;
    struct wheel wheel;

    int64_t now_ms;  /* monotonic, read once a turn */
    int64_t wall_ms; /* the same moment as wall time */
    int64_t chores_at_ms;
    uint64_t failed_reads; /* since they were last logged */
    bool has_broken;       /* listeners whose streams have to be closed */
    bool draining;
    bool ended; /* the threads have; main thread */
    /* Faults that tests ask for; false in the product. */
    bool loses_event_at_resume;
    bool reorders_pair;
};
