/* Commits that came to this node before the ones before them: kept until their turn comes, within LIMIT_BUS_QUEUE_BYTES. Not thread-safe. */
#pragma once

#include "db/render.h"

struct early {
    struct early *next;
    uint64_t previous_id, last_id;
    bool is_own; /* by this node's writer; else heard of another */
    size_t bytes;
    size_t count;           /* of the frames; 0: the listeners have heard it already */
    struct frame *frames[]; /* held */
};

/* Zeroed: an empty one. */
struct early_list {
    struct early *first;
    size_t bytes;
};

/* Keeps a copy of `what` with these frames, held; false: there is no room for it. */
bool early_keep(struct early_list *list, const struct early *what, struct frame *const *frames) MUST_USE;
/* The one that goes on from `known_id`, to be freed, or NULL. Forgets those that end before. */
struct early *early_next(struct early_list *list, uint64_t known_id);
/* The last id that the listeners have heard early; 0: none. */
uint64_t early_told(const struct early_list *list);
void early_free(struct early *early);
void early_clear(struct early_list *list);
