/* Push: which frames of this tick wait for which stream, so that each stream is written to once.
 *
 * A tick is a run of events that the hub applies before it writes. Frames are borrowed until the tick's end. The hub's thread only. */
#pragma once

#include "stream/stream.h"

struct push {
    struct pending *nodes; /* owned; a list per stream, linked by index; 0 is none */
    uint32_t count;        /* used, besides node 0 */
    uint32_t capacity;
    struct stream **streams; /* owned; those with frames, in the order of their first */
    size_t stream_count;
    size_t stream_capacity;
    size_t next; /* of `streams`, to be written to */
};

void push_release(struct push *push);
/* False when out of memory: nothing was added. */
bool push_add(struct push *push, struct stream *stream, struct frame *frame) MUST_USE;
/* Whether the tick should end before another event is applied. */
bool push_is_full(const struct push *push);
/* Whether writes that came a little later would take more with them for each stream: some have several frames, so there is more than one poster, but few. */
bool push_gathers(const struct push *push);
/* The next stream with frames, or NULL: then the tick is over and everything forgotten. */
struct stream *push_next(struct push *push);
/* Takes at most `limit` of the stream's frames, in order; 0: none are left. */
size_t push_take(struct push *push, struct stream *stream, struct frame **frames, size_t limit);
/* Forgets the stream's frames. */
static inline void push_forget(struct stream *stream) { stream->pending_first = 0; }
