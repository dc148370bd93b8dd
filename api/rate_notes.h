/* What was taken from buckets and others were not told yet: one note for each bucket, however often it was taken from.
 *
 * Bounded: a bucket for which there is no room is left out. Not thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/rate.h"
#include "core/limits.h"

struct rate_note {
    uint64_t key;
    struct rate_rule rule;
    uint32_t taken; /* tokens */
};

/* All zero: empty. */
struct rate_notes {
    struct rate_note items[LIMIT_RATE_NOTES]; /* the first `count`, in the order in which they came */
    size_t count;
    uint16_t places[2 * LIMIT_RATE_NOTES]; /* by key: 1 + the index in `items`; 0: free */
};

/* False: there is no room. */
bool rate_notes_add(struct rate_notes *notes, uint64_t key, const struct rate_rule *rule, uint32_t taken);
/* The tokens noted for one bucket. */
uint32_t rate_notes_taken(const struct rate_notes *notes, uint64_t key);
void rate_notes_clear(struct rate_notes *notes);
