/* What a stream takes from the ring. See harvest.h. */
#include "stream/harvest.h"

#include <stdlib.h>

#include "core/id.h"

/* ---- Where a feed's events are ---- */

/* Where a feed's events are in the ring: ascending, at the end of `positions`. */
struct places {
    uint64_t positions[LIMIT_TURN_SCAN];
    size_t first;
    size_t run_count; /* of owners that have any; each is in order by itself */
};

/* False: these would be too many. */
static bool add_owner(struct places *places, const struct ring *ring, uint64_t owner_id, uint64_t after) {
    size_t first = places->first;
    for (uint64_t position = ring_newest_of(ring, owner_id); position > after; position = ring_older_of(ring, position)) {
        if (places->first == 0)
            return false;
        places->positions[--places->first] = position;
    }
    places->run_count += places->first < first;
    return true;
}

static int compare_positions(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* False: it costs less to look at every position. */
static bool find_places(const struct ring *ring, const struct listener *listener, uint64_t after, struct places *places) {
    places->first = LIMIT_TURN_SCAN;
    places->run_count = 0;
    bool is_dense = listener->link_count >= LIMIT_TURN_SCAN || after + listener->link_count >= ring_end(ring);
    if (is_dense || !add_owner(places, ring, listener->user_id, after))
        return false;
    for (uint32_t i = 0; i < listener->link_count; i++)
        if (!add_owner(places, ring, index_chat_at(listener, i), after))
            return false;
    if (places->run_count > 1)
        qsort(places->positions + places->first, LIMIT_TURN_SCAN - places->first, sizeof(*places->positions), compare_positions);
    return true;
}

/* ---- What only the store knows ---- */

static bool changes_what_is_seen(const struct frame *frame) {
    return frame->type == EVENT_MESSAGE_HIDDEN || frame->type == EVENT_USER_BLOCKED;
}

/* Whether the user has deleted something for itself, or blocked somebody, after what the stream has: what came before is no longer shown to it then. */
static bool has_hidden_since(const struct ring *ring, uint64_t user_id, uint64_t after) {
    size_t looks = 0;
    for (uint64_t position = ring_newest_of(ring, user_id); position > after; position = ring_older_of(ring, position))
        if (++looks > LIMIT_TURN_SCAN || changes_what_is_seen(ring_at(ring, position)->frame))
            return true;
    return false;
}

static bool is_outdated(const struct hub *hub, const struct frame *frame) {
    return frame->type == EVENT_MESSAGE_REACTED && ring_says_gone(&hub->ring, frame->ref_id, hub->wall_ms);
}

/* ---- Taking ---- */

/* Looks at one position; false: only the store has what is there. */
static bool look_at(const struct hub *hub, const struct listener *listener, uint64_t position, struct harvest *harvest) {
    const struct ring_slot *slot = ring_at(&hub->ring, position);
    uint64_t joined_id;
    if (index_wants(&hub->index, listener, slot->owner_id, slot->id, &joined_id)) {
        struct frame *frame = ring_shown(slot, hub->wall_ms);
        harvest->forgotten = frame == NULL || is_outdated(hub, frame);
        if (harvest->forgotten)
            return false;
        harvest->frames[harvest->count++] = index_form(frame, listener->user_id, joined_id);
    }
    harvest->scanned_id = slot->id;
    return true;
}

static void take_places(const struct hub *hub, const struct listener *listener, const struct places *places, struct harvest *harvest) {
    size_t place = places->first;
    while (place < LIMIT_TURN_SCAN && harvest->count < LIMIT_WRITE_FRAMES) {
        if (!look_at(hub, listener, places->positions[place], harvest))
            return;
        place++;
    }
    if (place == LIMIT_TURN_SCAN)
        harvest->scanned_id = hub->position;
}

static void scan(const struct hub *hub, const struct listener *listener, uint64_t position, struct harvest *harvest) {
    uint64_t end = ring_end(&hub->ring);
    if (end > position + LIMIT_TURN_SCAN)
        end = position + LIMIT_TURN_SCAN;
    while (position < end && harvest->count < LIMIT_WRITE_FRAMES) {
        if (!look_at(hub, listener, position, harvest))
            return;
        position++;
    }
    if (position >= ring_end(&hub->ring))
        harvest->scanned_id = hub->position;
}

void harvest_take(struct hub *hub, const struct stream *stream, struct harvest *ret_harvest) {
    const struct listener *listener = stream->listener;
    uint64_t after = log_position(stream->position);
    struct places places;
    ret_harvest->count = 0;
    ret_harvest->scanned_id = 0;
    ret_harvest->forgotten = has_hidden_since(&hub->ring, listener->user_id, after);
    if (ret_harvest->forgotten)
        return;
    index_mark(&hub->index, listener);
    if (find_places(&hub->ring, listener, after, &places))
        take_places(hub, listener, &places, ret_harvest);
    else
        scan(hub, listener, after + 1, ret_harvest);
}
