/* See map.h. */
#include "core/map.h"

#include <stdlib.h>

#define CAPACITY_MIN 16

struct map_slot {
    uint64_t key; /* 0: free */
    void *value;
};

void map_release(struct map *map) {
    free(map->slots);
    *map = (struct map)MAP_INIT;
}

/* The finalizer of splitmix64: ids that differ in any bit spread over all slots. */
static size_t home_of(uint64_t key, size_t capacity) {
    key = (key ^ key >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ key >> 27) * UINT64_C(0x94d049bb133111eb);
    return (size_t)(key ^ key >> 31) & (capacity - 1);
}

/* The slot of `key`, or the free one where it would go. At least one slot is free, so the walk ends. */
static struct map_slot *find(const struct map *map, uint64_t key) {
    size_t index = home_of(key, map->capacity);
    while (map->slots[index].key != 0 && map->slots[index].key != key)
        index = (index + 1) & (map->capacity - 1);
    return &map->slots[index];
}

void *map_get(const struct map *map, uint64_t key) { return map->count == 0 || key == 0 ? NULL : find(map, key)->value; }

void map_prefetch(const struct map *map, uint64_t key) {
    if (map->count > 0)
        __builtin_prefetch(&map->slots[home_of(key, map->capacity)]);
}

static enum err resize(struct map *map, size_t capacity) {
    struct map larger = { .slots = calloc(capacity, sizeof(*larger.slots)), .capacity = capacity, .count = map->count };
    if (larger.slots == NULL)
        return ERR_NO_MEMORY;

    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].key != 0)
            *find(&larger, map->slots[i].key) = map->slots[i];
    free(map->slots);
    *map = larger;
    return OK;
}

enum err map_put(struct map *map, uint64_t key, void *value) {
    if (key == 0 || value == NULL)
        return ERR_INTERNAL;

    /* At most three slots of four are used: beyond that linear probing gets slow. */
    bool is_crowded = map->count + 1 > map->capacity / 4 * 3;
    if (is_crowded && map_get(map, key) == NULL) {
        enum err err = resize(map, map->capacity == 0 ? CAPACITY_MIN : map->capacity * 2);
        if (err != OK)
            return err;
    }
    struct map_slot *slot = find(map, key);
    map->count += slot->key == 0;
    *slot = (struct map_slot){ key, value };
    return OK;
}

/* Frees a slot and moves up those behind it which a search would otherwise no longer reach, so that no tombstones are needed. */
static void close_gap(struct map *map, size_t gap) {
    size_t mask = map->capacity - 1;
    for (size_t index = (gap + 1) & mask; map->slots[index].key != 0; index = (index + 1) & mask) {
        size_t home = home_of(map->slots[index].key, map->capacity);
        bool reaches_gap = ((index - home) & mask) >= ((index - gap) & mask);
        if (reaches_gap) {
            map->slots[gap] = map->slots[index];
            gap = index;
        }
    }
    map->slots[gap] = (struct map_slot){ 0, NULL };
}

void *map_remove(struct map *map, uint64_t key) {
    void *value = map_get(map, key);
    if (value == NULL)
        return NULL;
    close_gap(map, (size_t)(find(map, key) - map->slots));
    map->count--;
    return value;
}

void *map_next(const struct map *map, size_t *cursor) {
    while (*cursor < map->capacity) {
        const struct map_slot *slot = &map->slots[(*cursor)++];
        if (slot->key != 0)
            return slot->value;
    }
    return NULL;
}
