/* The ring: the log's most recent frames in memory, so that streams that fell behind need not ask the store.
 *
 * Invariants:
 *  1. Positions are dense: slot i is position base + i. A frame that does not continue the ring starts it anew.
 *  2. A slot never shows content that a later frame of the ring changed: an edit or a deletion replaces the older frames of its message
 *     by frames of the same type, id, rev and actor around the newer message object. Beyond LIMIT_REPLACED_FRAMES or LIMIT_REPLACED_BYTES for
 *     one change the older ones are forgotten instead: their slots stay, without a frame, and whoever wants them asks the store.
 *  3. Of the edits of one message, older ones than a forgotten one are forgotten, too.
 *  4. Of a chat's messages, and what is about them, nothing from before its newest chat.updated or chat.deleted is there: what they are now may depend on it.
 *  5. Each slot is linked to the one before it whose owner falls into the same bucket, so that an owner's events are found without those of others.
 *  6. Frames of messages past their own time stay where they are, but are as good as forgotten (ring_shown).
 *
 * Owns references to its frames. The hub's thread only. */
#pragma once

#include "core/limits.h"
#include "core/map.h"
#include "db/render.h"

struct ring_slot {
    struct frame *frame; /* NULL: forgotten; an event of owner_id about a message then */
    uint64_t id;
    uint64_t owner_id;
    uint64_t message_id; /* edits and deletions: of what; else 0 */
    uint64_t before;     /* position of the slot before it in the same bucket; may be below base */
    uint64_t older;      /* position of the previous edit of the same message; may be below base */
    int64_t appended_ms; /* wall time */
};

struct ring {
    struct ring_slot *slots; /* `event_limit` of them; that of position p is p % event_limit */
    uint64_t *newest;        /* `event_limit` buckets of owners: the position of each one's newest slot; may be below base */
    size_t event_limit;
    size_t byte_limit;
    uint64_t base;      /* position of the oldest slot, or of the next frame when there is none */
    uint64_t before_id; /* the id right before `base`; 0: not known */
    size_t count;
    size_t bytes;      /* of the frames */
    struct map edits;  /* message id → slot of its newest edit or deletion */
    uint64_t floor_id; /* what ring_trim() was told last */
};

/* An empty ring whose next frame is the one after `last_id`. */
enum err ring_init(struct ring *ring, size_t event_limit, size_t byte_limit, uint64_t last_id) MUST_USE;
void ring_release(struct ring *ring);
/* Forgets everything: it is another log now, whose next frame is the one after `last_id`. */
void ring_restart(struct ring *ring, uint64_t last_id);

/* Appends the frame (holding it), replaces what it changes, and evicts what no longer fits. */
void ring_append(struct ring *ring, struct frame *frame, int64_t now_ms);

/* Evicts what the store has dropped (ids up to the floor) and what was appended before `before_ms`, and forgets other frames that show such messages. */
void ring_trim(struct ring *ring, uint64_t floor_id, int64_t before_ms);

/* Whether every event after `id` up to the newest is in the ring. */
bool ring_reaches(const struct ring *ring, uint64_t id);
/* Whether `id`, tag included, is in the ring, or the one right before it. */
bool ring_knows(const struct ring *ring, uint64_t id);
/* NULL when the position is not in the ring. */
const struct ring_slot *ring_at(const struct ring *ring, uint64_t position);
/* The position of the newest event of that owner in the ring; 0: there is none. */
uint64_t ring_newest_of(const struct ring *ring, uint64_t owner_id);
/* The position of the event of the same owner before that at `position`, which is in the ring; 0: the ring has no older one. */
uint64_t ring_older_of(const struct ring *ring, uint64_t position);
/* The slot's frame, or NULL when only the store has it: forgotten, or past its time. */
static inline struct frame *ring_shown(const struct ring_slot *slot, int64_t now_ms) {
    bool expired = slot->frame != NULL && slot->frame->expires_ms != 0 && slot->frame->expires_ms <= now_ms;
    return expired ? NULL : slot->frame;
}
/* Whether the message's content has gone, or may have, as far as the ring knows: it was deleted, is past its time, or below the store's floor. */
bool ring_says_gone(const struct ring *ring, uint64_t message_id, int64_t now_ms);
/* The position after the newest. */
static inline uint64_t ring_end(const struct ring *ring) { return ring->base + ring->count; }

/* A frame like `old` around the message object of `changed`, with one reference, or NULL when out of memory. It has a withheld form if both have one
 * (a deletion has none: there is no text left to withhold), and a hidden form if one has. */
struct frame *frame_with_object(const struct frame *old, const struct frame *changed) MUST_USE;
