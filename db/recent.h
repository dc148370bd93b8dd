/* The newest events of the log, found by their owner: a ring in memory, in the order of the log, with a chain through it for each bucket of owners.
 *
 * The writer adds what it has committed. A reader's snapshot may begin before what the ring still has, or end behind what was added to it, for a commit is seen
 * before it is: so recent_find() says what the ring knows, and the rest is for who asks.
 *
 * Any thread. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An event as it is kept here: its id, twice, and whether it is a message, 1. Ids have 63 bits. */
static inline uint64_t recent_pack(uint64_t id, bool is_message) { return id << 1 | is_message; }
static inline uint64_t recent_id(uint64_t event) { return event >> 1; }
static inline bool recent_is_message(uint64_t event) { return event & 1; }

struct recent_slot {
    uint64_t owner_id;
    uint64_t event;
    uint64_t before; /* number of the one before in its bucket */
};

struct recent {
    pthread_mutex_t mutex;       /* of all that follows */
    size_t capacity;             /* a power of two */
    struct recent_slot *slots;   /* owned; NULL: nothing is known */
    uint64_t *newest;            /* of each bucket, its number; as many; owned */
    uint64_t count;              /* numbers begin with 1, and this is the last */
    uint64_t after_id, up_to_id; /* all events after the one, up to the other, are here */
};

/* What a snapshot needs from the ring: events after the one, up to the other. */
struct recent_view {
    struct recent *recent;
    uint64_t after_id, up_to_id;
};

/* With room for `capacity` events, a power of two. Takes no memory, and knows nothing. */
void recent_init(struct recent *recent, size_t capacity);
void recent_release(struct recent *recent);

/* Begins: what comes after this id will be added. Without memory nothing will ever be known. */
void recent_begin(struct recent *recent, uint64_t id);
/* The log's next events are added between these two, in their order. Up to `last_id` there are no others. */
void recent_lock(struct recent *recent);
void recent_add(struct recent *recent, uint64_t owner_id, uint64_t event);
void recent_unlock(struct recent *recent, uint64_t last_id);

/* The events of an owner that the view needs, as far as the ring has them: the newest first, into `ret_events`, and how many there are, or room + 1 where that is
 * more than `room`. False: the ring does not know them all from the view's begin on. `*ret_up_to_id`: up to which it does. */
bool recent_find(const struct recent_view *view, uint64_t owner_id, uint64_t *ret_events, size_t room, size_t *ret_count,
                 uint64_t *ret_up_to_id);
