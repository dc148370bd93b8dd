/* See key_filter.h. Owns the groups and their words. */
#include "db/key_filter.h"

#include <stdlib.h>
#include <string.h>

#define BITS_PER_KEY 24
#define PROBES 16
#define PROBES_AHEAD 10 /* as many as a wide group needs for most keys */
#define SMALLEST_KEYS 32
#define CACHE_LINE 64
#define WORD_LANES 32
/* Written for each run that is added: a millisecond or two, and twice of what merging comes to in the long run. */
#define MERGE_BYTES ((size_t)1 << 20)

struct lane_run {
    uint64_t id, period;
};

struct key_filter_group {
    uint32_t *words;       /* `width` for each bit of a filter; owned */
    struct lane_run *runs; /* of each lane; owned */
    size_t bit_count;
    unsigned width, used;                /* words for a bit; lanes that were given to a run */
    uint32_t live[KEY_FILTER_WIDTH_MAX]; /* of these, those whose run was not forgotten */
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

/* ---- Groups ---- */

static void release_group(struct key_filter_group *group) {
    free(group->words);
    free(group->runs);
    *group = (struct key_filter_group){ .words = NULL };
}

/* With words that hold anything. */
static enum err make_group(struct key_filter_group *ret_group, size_t bit_count, unsigned width) {
    *ret_group = (struct key_filter_group){ .words = aligned_alloc(CACHE_LINE, bit_count * width * sizeof(uint32_t)),
                                            .runs = calloc(width * WORD_LANES, sizeof(struct lane_run)),
                                            .bit_count = bit_count,
                                            .width = width };
    if (ret_group->words && ret_group->runs)
        return OK;
    release_group(ret_group);
    return ERR_NO_MEMORY;
}

static bool is_full(const struct key_filter_group *group) { return group->used == group->width * WORD_LANES; }

/* ---- Two groups become one ---- */

static bool may_merge(const struct key_filter_group *older, const struct key_filter_group *newer) {
    return is_full(older) && is_full(newer) && older->bit_count == newer->bit_count && older->width == newer->width &&
           older->width < KEY_FILTER_WIDTH_MAX;
}

static void give_up_merge(struct key_filters *filters) {
    if (filters->merged)
        release_group(filters->merged);
    free(filters->merged);
    filters->merged = NULL;
}

/* Without memory for it they stay two for now. */
static void begin_merge(struct key_filters *filters) {
    size_t first = 0;
    while (first + 1 < filters->count && !may_merge(&filters->groups[first], &filters->groups[first + 1]))
        first++;
    if (first + 1 >= filters->count)
        return;
    filters->merged = calloc(1, sizeof *filters->merged);
    filters->merged_first = first;
    filters->merged_bits = 0;
    if (filters->merged && make_group(filters->merged, filters->groups[first].bit_count, filters->groups[first].width * 2) != OK)
        give_up_merge(filters);
}

static void copy_words(struct key_filters *filters) {
    const struct key_filter_group *older = &filters->groups[filters->merged_first], *newer = older + 1;
    struct key_filter_group *merged = filters->merged;
    size_t width = older->width, end = filters->merged_bits + MERGE_BYTES / (merged->width * sizeof(uint32_t));
    for (; filters->merged_bits < end && filters->merged_bits < merged->bit_count; filters->merged_bits++) {
        uint32_t *words = &merged->words[filters->merged_bits * merged->width];
        memcpy(words, &older->words[filters->merged_bits * width], width * sizeof *words);
        memcpy(words + width, &newer->words[filters->merged_bits * width], width * sizeof *words);
    }
}

/* A run may have been forgotten since it began: what is alive is copied now. */
static void end_merge(struct key_filters *filters) {
    struct key_filter_group *older = &filters->groups[filters->merged_first], *newer = older + 1, *merged = filters->merged;
    memcpy(merged->runs, older->runs, older->used * sizeof *older->runs);
    memcpy(&merged->runs[older->used], newer->runs, newer->used * sizeof *newer->runs);
    memcpy(merged->live, older->live, older->width * sizeof *older->live);
    memcpy(&merged->live[older->width], newer->live, newer->width * sizeof *newer->live);
    merged->used = older->used + newer->used;
    release_group(older);
    release_group(newer);
    *older = *merged;
    filters->count--;
    memmove(newer, newer + 1, (filters->count - filters->merged_first - 1) * sizeof *newer);
    free(merged);
    filters->merged = NULL;
}

static void merge_more(struct key_filters *filters) {
    if (!filters->merged)
        begin_merge(filters);
    if (!filters->merged)
        return;
    copy_words(filters);
    if (filters->merged_bits == filters->merged->bit_count)
        end_merge(filters);
}

/* ---- All filters ---- */

static bool has_room(const struct key_filters *filters, size_t bit_count) {
    if (filters->count == 0)
        return false;
    const struct key_filter_group *last = &filters->groups[filters->count - 1];
    return last->bit_count == bit_count && !is_full(last);
}

enum err key_filters_reserve(struct key_filters *filters, size_t bit_count) {
    if (has_room(filters, bit_count))
        return OK;
    struct key_filter_group *groups = realloc(filters->groups, (filters->count + 1) * sizeof *groups);
    if (!groups)
        return ERR_NO_MEMORY;
    filters->groups = groups;
    enum err err = make_group(&groups[filters->count], bit_count, 1);
    if (err != OK)
        return err;
    memset(groups[filters->count].words, 0, bit_count * sizeof(uint32_t));
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
    group->runs[group->used++] = (struct lane_run){ run_id, period };
    group->live[0] |= lane;
    merge_more(filters);
}

/* False: none of its runs is left. */
static bool forget_of_group(struct key_filter_group *group, uint64_t first_period) {
    bool is_left = false;
    for (unsigned lane = 0; lane < group->used; lane++) {
        if (group->runs[lane].period < first_period)
            group->live[lane / WORD_LANES] &= ~(UINT32_C(1) << lane % WORD_LANES);
        else
            is_left = true;
    }
    return is_left;
}

void key_filters_forget(struct key_filters *filters, uint64_t first_period) {
    size_t kept = 0, count = filters->count;
    for (size_t i = 0; i < count; i++) {
        struct key_filter_group *group = &filters->groups[i];
        bool waits_for_runs = i + 1 == count && group->used == 0;
        if (!forget_of_group(group, first_period) && !waits_for_runs)
            release_group(group);
        else
            filters->groups[kept++] = *group;
    }
    filters->count = kept;
    if (kept < count)
        give_up_merge(filters); /* the two may have gone, or their places changed */
}

static const uint32_t *next_words(struct probes *probes, const struct key_filter_group *group) {
    return &group->words[next_probe(probes, group->bit_count) * group->width];
}

void key_filters_prefetch(const struct key_filters *filters, uint64_t user_id, uint64_t key) {
    const struct probes first = probes_of(user_id, key);
    for (size_t i = 0; i < filters->count; i++) {
        struct probes probes = first;
        for (int j = 0; j < PROBES_AHEAD; j++)
            __builtin_prefetch(next_words(&probes, &filters->groups[i]));
    }
}

/* False: none is left. */
static bool and_words(uint32_t *lanes, const uint32_t *words, unsigned width) {
    uint32_t left = 0;
    for (unsigned i = 0; i < width; i++)
        left |= lanes[i] &= words[i];
    return left;
}

static void find_lanes(const struct key_filter_group *group, uint64_t user_id, uint64_t key, uint32_t *ret_lanes) {
    struct probes probes = probes_of(user_id, key);
    bool is_left = true;
    memcpy(ret_lanes, group->live, group->width * sizeof *ret_lanes);
    for (int i = 0; i < PROBES && is_left; i++)
        is_left = and_words(ret_lanes, next_words(&probes, group), group->width);
}

/* Takes out the latest; false: there is none. */
static bool take_lane(uint32_t *lanes, unsigned width, unsigned *ret_lane) {
    while (width > 0 && lanes[width - 1] == 0)
        width--;
    if (width == 0)
        return false;
    unsigned bit = 31U - (unsigned)__builtin_clz(lanes[width - 1]);
    lanes[width - 1] &= ~(UINT32_C(1) << bit);
    *ret_lane = (width - 1) * WORD_LANES + bit;
    return true;
}

/* The latest of the lanes that are left of a group. */
static bool take_match(const struct key_filter_group *group, uint64_t first_period, uint32_t *lanes, struct key_match *ret_match) {
    for (unsigned lane; take_lane(lanes, group->width, &lane);) {
        if (group->runs[lane].period < first_period)
            continue;
        *ret_match = (struct key_match){ group->runs[lane].id, group->bit_count };
        return true;
    }
    return false;
}

bool key_filters_next(const struct key_filters *filters, uint64_t user_id, uint64_t key, uint64_t first_period, struct key_search *search,
                      struct key_match *ret_match) {
    if (search->groups_done > 0 &&
        take_match(&filters->groups[filters->count - search->groups_done], first_period, search->lanes, ret_match))
        return true;
    while (search->groups_done < filters->count) {
        const struct key_filter_group *group = &filters->groups[filters->count - ++search->groups_done];
        find_lanes(group, user_id, key, search->lanes);
        if (take_match(group, first_period, search->lanes, ret_match))
            return true;
    }
    return false;
}

void key_filters_release(struct key_filters *filters) {
    give_up_merge(filters);
    for (size_t i = 0; i < filters->count; i++)
        release_group(&filters->groups[i]);
    free(filters->groups);
    *filters = (struct key_filters){ 0 };
}
