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

#include "db/render.h"
#include "core/list.h"

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

struct stream {
    struct list_node in_state;
    struct list_node in_wheel;
    struct list_node in_listener;
    struct listener *listener;
    struct opening *opening;   /* owned; NULL once `ready` was written */
    struct replay_job *replay; /* its slot while READING, and while there is something left of its page; else NULL */
    struct frame *rest;        /* held; the last frame that was begun, if not all of it was sent */
    uint64_t position;         /* an id */
    uint64_t device_id;
    uint64_t address_hash;
    int64_t session_ends_ms; /* wall time */
    int64_t touched_ms;      /* wall time; when the device's last use was stored */
    int64_t written_ms;      /* monotonic; the last write */
    uint32_t rest_offset;    /* bytes of `rest` that were sent */
    uint32_t input_bytes;    /* thrown away so far */
    uint32_t pending_first;  /* this tick's frames for it (push.c); 0: none */
    uint32_t pending_last;
    int fd;
    uint8_t state;        /* enum stream_state */
    uint8_t reset;        /* enum reset: its client has to be told so before anything else; in CATCHING_UP and BLOCKED alone */
    bool unsure_position; /* the store has to say whether its position is still in the log, */
    bool unsure_device;   /* and whether there is still its device, before it takes from the ring again */
    bool named;           /* write `event:` lines */
};
