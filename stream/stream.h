/* One stream: a socket, a position and a state. Plain data; life.c makes the arrows.
 *
 *                                     rest sent, needs the store
 *            ┌───────────────────────────────────────────────┐
 *            ▼                                               │
 *  open → WAITING ──slot──▶ READING ──page──▶ CATCHING_UP ──▶ BLOCKED ◀── socket full ── LIVE
 *            ▲                                 │   ▲  │          │                        ▲
 *            └── needs the store (again) ──────┘   └──┼─rest sent┘                        │
 *                                                     └── has everything up to the hub ───┘
 *  any ──last words──▶ CLOSING ──sent──▶ CLOSED;   any ──peer gone, or blocked when it has to end──▶ CLOSED
 *
 * Invariants:
 *  1. Everything of the feed up to `position` has been handed to the socket, or is the start of `rest`; nothing above it has.
 *  2. A LIVE stream, besides, has everything up to the hub's position.
 *  3. `rest` is the only unsent data a stream keeps, and it keeps it in BLOCKED and CLOSING alone.
 *  4. A stream is in the list of its state, in a bucket of the wheel and in its listener's list until it is CLOSED.
 *
 * The hub's thread only. */
#pragma once

#include "core/limits.h"
#include "core/list.h"
#include "db/render.h"

enum stream_state {
    STREAM_WAITING,     /* for a replay slot */
    STREAM_READING,     /* a replay thread reads its page */
    STREAM_CATCHING_UP, /* its next turn sends from its page or from the ring */
    STREAM_BLOCKED,     /* its socket is full */
    STREAM_LIVE,
    STREAM_CLOSING, /* its last frame is being sent */
    STREAM_CLOSED,  /* freed at the end of the turn */
};
#define STREAM_STATES (STREAM_CLOSED + 1)

/* There are very many of them, so every byte counts. What a delivery looks at comes first. */
struct stream {
    struct list_node in_listener;
    struct listener *listener;
    uint64_t position;      /* an id */
    int64_t written_ms;     /* monotonic; the last write */
    uint32_t pending_first; /* this tick's frames for it (push.c); 0: none */
    uint32_t pending_last;
    int fd;
    uint32_t input_bytes : 20;    /* thrown away so far */
    uint32_t state : 4;           /* enum stream_state */
    uint32_t reset : 4;           /* enum reset: its client has to be told so before anything else; in CATCHING_UP and BLOCKED alone */
    uint32_t unsure_position : 1; /* the store has to say whether its position is still in the log, */
    uint32_t unsure_device : 1;   /* and whether there is still its device, before it takes from the ring again */
    uint32_t named : 1;           /* write `event:` lines */
    struct list_node in_state;
    struct list_node in_wheel;
    struct opening *opening;   /* owned; NULL once `ready` was written */
    struct replay_job *replay; /* its slot while READING, and while there is something left of its page; else NULL */
    struct frame *rest;        /* held; the last frame that was begun, if not all of it was sent */
    uint64_t device_id;
    uint64_t address_hash;
    uint32_t rest_offset;    /* bytes of `rest` that were sent */
    uint32_t session_ends_s; /* wall time, rounded up; 0: never */
    uint32_t touched_s;      /* wall time, rounded down; when the device's last use was stored */
};
