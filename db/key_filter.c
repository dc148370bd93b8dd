/* See key_filter.h. Owns the groups and their words. */
#include "db/key_filter.h"

#include <stdlib.h>
#include <string.h>

#define BITS_PER_KEY 24
#define PROBES 16
#define PROBES_AHEAD 2
#define SMALLEST_KEYS 32

struct key_filter_group {
    uint32_t *words; /* as many as a filter has bits; owned */
    size_t bit_count;
    unsigned used; /* lanes that were given to a run */
    uint32_t live; /* of these, those whose run was not forgotten */
    struct {
        uint64_t id, period;
    } runs[KEY_FILTER_LANES];
};

/* ---- One filter ---- */

/* Runs of about as many keys have filters of the same size. */
size_t key_filter_size(size_t key_count) {
    size_t keys = SMALLEST_KEYS;
    while (keys < key_count)
        keys *= 2;
    return keys * BITS_PER_KEY;
}

/* The finalizer of MurmurHash3: every bit of the input changes half of the output's. */
static uint64_t scramble(uint64_t bits) {
    bits = (bits ^ bits >> 33) * UINT64_C(0xff51afd7ed558ccd);
    bits = (bits ^ bits >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return bits ^ bits >> 33;
}

static uint64_t hash_of(uint64_t user_id, uint64_t key) { return scramble(scramble(user_id) + key); }

/* Probes are at a, a + b, a + 2b … (double hashing). */
struct probes {
    uint64_t at, stride;
};

static struct probes probes_of(uint64_t user_id, uint64_t key) {
    uint64_t hash = hash_of(user_id, key);
    return (struct probes){ .at = hash, .stride = scramble(hash) | 1 };
}

static size_t next_probe(struct probes *probes, size_t bit_count) {
    size_t bit = (probes->at >> 32) * bit_count >> 32;
    probes->at += probes->stride;
    return bit;
}

void key_filter_put(uint8_t *filter, size_t bit_count, uint64_t user_id, uint64_t key) {
    struct probes probes = probes_of(user_id, key);
    for (int i = 0; i < PROBES; i++) {
        size_t bit = next_probe(&probes, bit_count);
        filter[bit / 8] |= (uint8_t)(1U << bit % 8);
    }
}

size_t key_filter_part(uint64_t user_id, uint64_t key, size_t count) { return hash_of(user_id, key) >> 32 & (count - 1); }

/* ---- All filters ---- */

static bool has_room(const struct key_filters *filters, size_t bit_count) {
    if (filters->count == 0)
        return false;
    const struct key_filter_group *last = &filters->groups[filters->count - 1];
    return last->bit_count == bit_count && last->used < KEY_FILTER_LANES;
}

enum err key_filters_reserve(struct key_filters *filters, size_t bit_count) {
    if (has_room(filters, bit_count))
        return OK;
    struct key_filter_group *groups = realloc(filters->groups, (filters->count + 1) * sizeof *groups);
    if (!groups)
        return ERR_NO_MEMORY;
    filters->groups = groups;
    groups[filters->count] = (struct key_filter_group){ .words = calloc(bit_count, sizeof(uint32_t)), .bit_count = bit_count };
    if (!groups[filters->count].words)
        return ERR_NO_MEMORY;
    filters->count++;
    return OK;
}

typedef uint32_t four_words __attribute__((vector_size(16), aligned(4), may_alias));

/* Four bits of a filter into their words, without a branch: half of the bits are set, and nobody can foresee which. */
static void add_lane(uint32_t *words, unsigned bits, uint32_t lane) {
    static const four_words places = { 1, 2, 4, 8 };
    *(four_words *)words |= (four_words)((places & bits) != 0) & lane;
}

void key_filters_add(struct key_filters *filters, uint64_t run_id, uint64_t period, const uint8_t *filter, size_t bit_count) {
    struct key_filter_group *group = &filters->groups[filters->count - 1];
    uint32_t lane = UINT32_C(1) << group->used;
    for (size_t byte = 0; byte < bit_count / 8; byte++) {
        add_lane(&group->words[byte * 8], filter[byte], lane);
        add_lane(&group->words[byte * 8 + 4], filter[byte] >> 4, lane);
    }
    group->runs[group->used].id = run_id;
    group->runs[group->used].period = period;
    group->used++;
    group->live |= lane;
}

static void forget_of_group(struct key_filter_group *group, uint64_t first_period) {
    for (unsigned lane = 0; lane < group->used; lane++) {
        if (group->runs[lane].period < first_period)
            group->live &= ~(UINT32_C(1) << lane);
    }
}

void key_filters_forget(struct key_filters *filters, uint64_t first_period) {
    size_t kept = 0;
    for (size_t i = 0; i < filters->count; i++) {
        struct key_filter_group *group = &filters->groups[i];
        forget_of_group(group, first_period);
        bool waits_for_runs = i + 1 == filters->count && group->used == 0;
        if (group->live == 0 && !waits_for_runs)
            free(group->words);
        else
            filters->groups[kept++] = *group;
    }
    filters->count = kept;
}

/* The first words of each group: for most keys these tell already that they are in none. */
void key_filters_prefetch(const struct key_filters *filters, uint64_t user_id, uint64_t key) {
    const struct probes first = probes_of(user_id, key);
    for (size_t i = 0; i < filters->count; i++) {
        struct probes probes = first;
        for (int j = 0; j < PROBES_AHEAD; j++)
            __builtin_prefetch(&filters->groups[i].words[next_probe(&probes, filters->groups[i].bit_count)]);
    }
}

static uint32_t lanes_with(const struct key_filter_group *group, uint64_t user_id, uint64_t key) {
    struct probes probes = probes_of(user_id, key);
    uint32_t lanes = group->live;
    for (int i = 0; i < PROBES && lanes; i++)
        lanes &= group->words[next_probe(&probes, group->bit_count)];
    return lanes;
}

/* The latest of the lanes that are left of a group. */
static bool take_lane(const struct key_filter_group *group, uint64_t first_period, uint32_t *lanes, struct key_match *ret_match) {
    while (*lanes) {
        unsigned lane = 31U - (unsigned)__builtin_clz(*lanes);
        *lanes &= ~(UINT32_C(1) << lane);
        if (group->runs[lane].period < first_period)
            continue;
        *ret_match = (struct key_match){ group->runs[lane].id, group->bit_count };
        return true;
    }
    return false;
}

bool key_filters_next(const struct key_filters *filters, uint64_t user_id, uint64_t key, uint64_t first_period, struct key_search *search,
                      struct key_match *ret_match) {
    if (search->lanes && take_lane(&filters->groups[filters->count - search->groups_done], first_period, &search->lanes, ret_match))
        return true;
    while (search->groups_done < filters->count) {
        const struct key_filter_group *group = &filters->groups[filters->count - ++search->groups_done];
        search->lanes = lanes_with(group, user_id, key);
        if (take_lane(group, first_period, &search->lanes, ret_match))
            return true;
    }
    return false;
}

void key_filters_release(struct key_filters *filters) {
    for (size_t i = 0; i < filters->count; i++)
        free(filters->groups[i].words);
    free(filters->groups);
    *filters = (struct key_filters){ 0 };
}
