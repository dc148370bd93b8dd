/* Which runs of idempotency keys (db/keys.h) may hold a key: tables of fingerprints, for all runs at once.
 *
 * A run's fingerprints, 40 bits of each key's hash, are on disk. In memory those of 32 to 512 runs next to each other are one table, a group: the hash gives a
 * bucket, which is a cache line, and what a slot there holds of it, 15 to 19 bits, comes with the run's number. So a look-up reads a line or two of each group,
 * and one in some thousand finds a run that has not got the key. A new group has room for 32 runs, and two next to each other become one that is twice as large,
 * a piece with each run that is added: so groups are few, each key is copied four times at most, and nobody waits for that. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define KEY_FINGERPRINT_BYTES 5
#define KEY_FILTER_RUN_KEYS_MAX 262144 /* of one run */

struct key_filters {
    struct key_filter_group *groups; /* in the order in which they began; owned */
    size_t count;
    size_t expected;                 /* runs that will be added soon: then groups begin as large as they will be; 0: not known */
    struct key_filter_group *merged; /* what two next to each other become; owned; NULL: none do */
    size_t merged_first;             /* of these two */
    size_t merged_buckets;           /* of each, that are there already */
};

/* A run that may hold the key. */
struct key_match {
    uint64_t run_id;
    size_t key_count;
};

/* Where a search is; begin with zeroes. */
struct key_search {
    size_t groups_done, at;
};

/* Into how many parts a run of so many keys goes, a power of two, and which of them the key is in. */
size_t key_run_parts(size_t key_count);
size_t key_run_part(uint64_t user_id, uint64_t key, size_t part_count);
/* The key's fingerprint, as it lies on disk. */
void key_fingerprint_put(uint8_t bytes[KEY_FINGERPRINT_BYTES], uint64_t user_id, uint64_t key);

/* Makes room for one more run of so many keys, up to KEY_FILTER_RUN_KEYS_MAX. */
enum err key_filters_reserve(struct key_filters *filters, size_t key_count) MUST_USE;
/* Enters a run that there is room for; its fingerprints are copied. ERR_NO_MEMORY, for those that fall together: some are not there. */
enum err key_filters_add(struct key_filters *filters, uint64_t run_id, uint64_t period, const uint8_t *fingerprints,
                         size_t key_count) MUST_USE;
/* Gives back the memory of groups whose runs all are of earlier periods. */
void key_filters_forget(struct key_filters *filters, uint64_t first_period);
/* A hint that key_filters_next() will be asked for the key soon. */
void key_filters_prefetch(const struct key_filters *filters, uint64_t user_id, uint64_t key);
/* Finds the next run that may hold the key; false: there is none. Runs of earlier periods than `first_period` are left out. */
bool key_filters_next(const struct key_filters *filters, uint64_t user_id, uint64_t key, uint64_t first_period, struct key_search *search,
                      struct key_match *ret_match);
void key_filters_release(struct key_filters *filters);
