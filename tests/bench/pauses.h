/* Stretches of time that a watcher has noted: in the order in which they came, no two at the same time. One thread at a time; zeroed memory is an empty list. */
#pragma once

#include <stdint.h>

#define PAUSES_MAX 4096 /* what comes then is not noted */

struct pause {
    uint64_t start_ns;
    uint64_t duration_ns;
};

struct pauses {
    uint32_t count;
    struct pause list[PAUSES_MAX];
};

/* It starts after all that are there. */
void pauses_add(struct pauses *pauses, uint64_t start_ns, uint64_t duration_ns);
/* All time that is in either; what is in both is there once. */
void pauses_join(const struct pauses *first, const struct pauses *second, struct pauses *ret_joined);
/* How much of the time between these two was within pauses. */
uint64_t pauses_within_ns(const struct pauses *pauses, uint64_t start_ns, uint64_t end_ns);
uint64_t pauses_longest_ns(const struct pauses *pauses);
/* The same with the longest first: only for listing them. */
void pauses_sort(const struct pauses *pauses, struct pauses *ret_sorted);
