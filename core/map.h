/* A hash map from 64-bit keys to pointers: open addressing, linear probing, power-of-two capacity.
 *
 * Keys are ids (time-sortable, so they are mixed before use); 0 is not a key. Values are borrowed. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct map {
    struct map_slot *slots; /* owned */
    size_t capacity;
    size_t count;
};

#define MAP_INIT \
    { NULL, 0, 0 }

void map_release(struct map *map);
/* NULL when the key is not there. */
void *map_get(const struct map *map, uint64_t key);
/* A hint that the key will be looked for soon: asks for that memory, and does not wait for it. */
void map_prefetch(const struct map *map, uint64_t key);
/* Inserts or replaces; `value` is not NULL. ERR_NO_MEMORY leaves the map as it was. */
enum err map_put(struct map *map, uint64_t key, void *value) MUST_USE;
/* Removes and returns the value, or NULL. */
void *map_remove(struct map *map, uint64_t key);
/* Walks all values in no particular order: start with *cursor = 0; NULL at the end. The map must not change meanwhile. */
void *map_next(const struct map *map, size_t *cursor);
