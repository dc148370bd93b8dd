/* Bloom filters: which runs of idempotency keys (db/keys.h) may hold a key, for all runs at once.
 *
 * Each run has a filter of 24 bits for a key and sixteen probes, so that one in 100,000 says yes for nothing. In memory the filters of 32 to 512 runs lie crosswise,
 * as a group: bit b of all of them side by side, in one cache line. The sixteen of a key, one and-ed with the next, tell which of the runs may hold it; a key that
 * is in none of n is mostly found out by log2 n + 1. A new group has room for 32 runs, and two full ones next to each other become one that is twice as wide, a
 * piece with each run that is added: so groups are few, each run is copied four times at most, and nobody waits for that. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define KEY_FILTER_WIDTH_MAX 16 /* words for a bit, of 32 runs each: a cache line */

struct key_filters {
    struct key_filter_group *groups; /* oldest first; owned */
    size_t count;
    struct key_filter_group *merged; /* what two next to each other become; owned; NULL: none do */
    size_t merged_first;             /* of these two */
    size_t merged_bits;              /* are there already */
};

/* A run that may hold the key. */
struct key_match {
    uint64_t run_id;
    size_t bit_count;
};

/* Where a search is; begin with zeroes. */
struct key_search {
    size_t groups_done;
    uint32_t lanes[KEY_FILTER_WIDTH_MAX];
};

/* The size of a filter of so many keys, in bits: a power of two times that of the smallest, which is for 32. */
size_t key_filter_size(size_t key_count);
/* Adds a key to a filter of `bit_count` / 8 bytes, which began as zeroes. */
void key_filter_put(uint8_t *filter, size_t bit_count, uint64_t user_id, uint64_t key);
/* Which of `count` (a power of two) parts of a run the key is in. */
size_t key_filter_part(uint64_t user_id, uint64_t key, size_t count);

/* Makes room for one more run, whose filter has so many bits: then key_filters_add() of it cannot fail. */
enum err key_filters_reserve(struct key_filters *filters, size_t bit_count) MUST_USE;
/* The run's filter, as key_filter_put() made it, is copied. */
void key_filters_add(struct key_filters *filters, uint64_t run_id, uint64_t period, const uint8_t *filter, size_t bit_count);
/* Forgets the runs of earlier periods. */
void key_filters_forget(struct key_filters *filters, uint64_t first_period);
/* A hint that key_filters_next() will be asked for the key soon. */
void key_filters_prefetch(const struct key_filters *filters, uint64_t user_id, uint64_t key);
/* Finds the next run that may hold the key, the latest first; false: there is none. Runs of earlier periods than `first_period` are left out. */
bool key_filters_next(const struct key_filters *filters, uint64_t user_id, uint64_t key, uint64_t first_period, struct key_search *search,
                      struct key_match *ret_match);
void key_filters_release(struct key_filters *filters);
