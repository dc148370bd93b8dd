/* The harvest: what a stream that is behind takes from the ring in one turn.
 *
 * Costs what the stream's feed has in the ring, not what the ring has: each chat's events are linked there (ring_newest_of). Only a feed with very much
 * in it, or of somebody in very many chats, is found by looking at one position after the other.
 *
 * Frames are what they were when they were committed, but for edits and deletions (ring.h). What else has become of a message since, or of what this user
 * may see of it, the store knows, and is asked: so what is taken here is what a page of the store would have. The hub's thread only. */
#pragma once

#include "stream/hub_state.h"

struct harvest {
    struct frame *frames[LIMIT_WRITE_FRAMES]; /* borrowed from the ring */
    size_t count;
    uint64_t scanned_id; /* nothing else of the feed is up to here; 0: nothing was looked at */
    bool forgotten;      /* the next one is only in the store */
};

/* The next frames after the stream's position, as the stream's user may see them, if the rule of index.h lets it take from the ring. */
void harvest_take(struct hub *hub, const struct stream *stream, struct harvest *ret_harvest);
