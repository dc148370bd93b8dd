/* See key_filter.h. Owns the groups and their slots.
 *
 * Linear probing: a key is in the first slot that was free from its bucket on, and a search ends at a free one. Of the hash times the number of buckets the whole
 * part is the bucket, and the highest bits of the rest are the print; with twice as many buckets the print's first bit becomes the bucket's last. So what a table
 * holds can move to one of twice its size as it lies there, without the hashes: that is why a slot says how far it is from its bucket. */
#include "db/key_filter.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/limits.h"

#define HASH_BITS (8 * KEY_FINGERPRINT_BYTES)

/* A slot, from the highest bit on: how many buckets on it is, and one, so that no slot in use is zero; the print; the number of the run. */
#define PRINT_BITS 19
#define RUN_BITS 9
#define BUCKETS_ON_MAX 15 /* with the bucket itself */

#define BUCKET_SLOTS 16 /* a cache line */
#define BUCKET_KEYS 12  /* on average, when a group is full */
#define WINDOW (BUCKETS_ON_MAX * BUCKET_SLOTS)
#define GROUP_RUNS 32
#define DOUBLINGS_MAX 4
#define ADDS_AHEAD 8
/* Written for each run that is added: a millisecond, and more than merging comes to in the long run. */
#define MERGE_BYTES ((size_t)1 << 20)

_Static_assert(GROUP_RUNS << DOUBLINGS_MAX == 1 << RUN_BITS, "a slot has room for the number of a run");
_Static_assert(KEY_FILTER_RUN_KEYS_MAX / BUCKET_KEYS * GROUP_RUNS << DOUBLINGS_MAX < 1 << (64 - HASH_BITS), "products have 64 bits");

struct numbered_run {
    uint64_t id, period;
    size_t key_count;
};

/* Where a key belongs in a group. */
struct home {
    size_t bucket;
    uint32_t print;
};

/* A key that found no slot in its window: they are rare, of 16 million random keys in a full group the farthest was 13 buckets on. */
struct spilled {
    struct home home;
    unsigned run;
};

struct key_filter_group {
    uint32_t *slots; /* of the buckets, and of some more for those of the last; owned */
    uint8_t *used;   /* slots of each of them; owned */
    size_t bucket_count;
    struct numbered_run *runs; /* owned */
    unsigned run_count;
    unsigned doublings; /* as many bits at the end of prints are not known any more */
    size_t key_count, key_max;
    struct spilled *spilled; /* owned */
    size_t spilled_count;
};

/* ---- Hashes ---- */

/* The finalizer of MurmurHash3: every bit of the input changes half of the output's. */
static uint64_t scramble(uint64_t bits) {
    bits = (bits ^ bits >> 33) * UINT64_C(0xff51afd7ed558ccd);
    bits = (bits ^ bits >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return bits ^ bits >> 33;
}

static uint64_t hash_of(uint64_t user_id, uint64_t key) { return scramble(scramble(user_id) + key); }
static uint64_t fingerprint_of(uint64_t user_id, uint64_t key) { return hash_of(user_id, key) >> (64 - HASH_BITS); }

void key_fingerprint_put(uint8_t bytes[KEY_FINGERPRINT_BYTES], uint64_t user_id, uint64_t key) {
    uint64_t fingerprint = fingerprint_of(user_id, key);
    for (int i = 0; i < KEY_FINGERPRINT_BYTES; i++)
        bytes[i] = (uint8_t)(fingerprint >> (HASH_BITS - 8 * (i + 1)));
}

static uint64_t fingerprint_at(const uint8_t *fingerprints, size_t index) {
    const uint8_t *bytes = &fingerprints[index * KEY_FINGERPRINT_BYTES];
    uint64_t fingerprint = 0;
    for (int i = 0; i < KEY_FINGERPRINT_BYTES; i++)
        fingerprint = fingerprint << 8 | bytes[i];
    return fingerprint;
}

static size_t power_of_two(size_t least, size_t number) {
    while (least < number)
        least *= 2;
    return least;
}

size_t key_run_parts(size_t key_count) { return power_of_two(KEY_RUN_PART_KEYS, key_count) / KEY_RUN_PART_KEYS; }
size_t key_run_part(uint64_t user_id, uint64_t key, size_t part_count) { return hash_of(user_id, key) >> 32 & (part_count - 1); }

/* ---- One group ---- */

static unsigned runs_of(unsigned doublings) { return (unsigned)GROUP_RUNS << doublings; }

static size_t all_buckets(size_t bucket_count) { return bucket_count + BUCKETS_ON_MAX - 1; }
static size_t slot_bytes(size_t bucket_count) { return all_buckets(bucket_count) * BUCKET_SLOTS * sizeof(uint32_t); }

static void release_group(struct key_filter_group *group) {
    if (group->slots)
        munmap(group->slots, slot_bytes(group->bucket_count));
    free(group->used);
    free(group->runs);
    free(group->spilled);
    *group = (struct key_filter_group){ .slots = NULL };
}

/* From the system, whose pages are zero, and which gives them one by one: a hundred megabytes would be waited for otherwise. */
static uint32_t *map_slots(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

static enum err make_group(struct key_filter_group *ret_group, size_t bucket_count, unsigned doublings) {
    *ret_group = (struct key_filter_group){ .slots = map_slots(slot_bytes(bucket_count)),
                                            .used = calloc(all_buckets(bucket_count), 1),
                                            .bucket_count = bucket_count,
                                            .runs = calloc(runs_of(doublings), sizeof(struct numbered_run)),
                                            .doublings = doublings };
    if (ret_group->slots && ret_group->used && ret_group->runs)
        return OK;
    release_group(ret_group);
    return ERR_NO_MEMORY;
}

static struct home home_of(const struct key_filter_group *group, uint64_t fingerprint) {
    uint64_t product = fingerprint * group->bucket_count;
    return (struct home){ .bucket = product >> HASH_BITS,
                          .print = (uint32_t)(product >> (HASH_BITS - PRINT_BITS)) & ((1U << PRINT_BITS) - 1) };
}

/* What a slot holds that is the `at`th of a key's window. */
static uint32_t slot_of(size_t at, uint32_t print, unsigned run) {
    return ((uint32_t)(at / BUCKET_SLOTS + 1) << PRINT_BITS | print) << RUN_BITS | run;
}

static unsigned run_of(uint32_t slot) { return slot & ((1U << RUN_BITS) - 1); }

static struct home home_of_slot(size_t index, uint32_t slot) {
    return (struct home){ .bucket = index / BUCKET_SLOTS + 1 - (slot >> (PRINT_BITS + RUN_BITS)),
                          .print = slot >> RUN_BITS & ((1U << PRINT_BITS) - 1) };
}

static enum err spill(struct key_filter_group *group, struct home home, unsigned run) {
    struct spilled *spilled = group->spilled;
    size_t count = group->spilled_count;
    if ((count & (count - 1)) == 0)
        spilled = realloc(group->spilled, (count ? count * 2 : 1) * sizeof *spilled);
    if (!spilled)
        return ERR_NO_MEMORY;
    group->spilled = spilled;
    spilled[group->spilled_count++] = (struct spilled){ home, run };
    return OK;
}

static enum err put(struct key_filter_group *group, struct home home, unsigned run) {
    size_t on = 0;
    while (on < BUCKETS_ON_MAX && group->used[home.bucket + on] == BUCKET_SLOTS)
        on++;
    if (on == BUCKETS_ON_MAX)
        return spill(group, home, run);
    size_t at = on * BUCKET_SLOTS + group->used[home.bucket + on]++;
    group->slots[home.bucket * BUCKET_SLOTS + at] = slot_of(at, home.print, run);
    return OK;
}

/* ---- Two groups become one ---- */

static bool may_merge(const struct key_filter_group *older, const struct key_filter_group *newer) {
    return older->bucket_count == newer->bucket_count && older->doublings == newer->doublings && older->doublings < DOUBLINGS_MAX;
}

static void give_up_merge(struct key_filters *filters) {
    if (filters->merged)
        release_group(filters->merged);
    free(filters->merged);
    filters->merged = NULL;
}

/* Of those that get no more runs, so not with the last. Without memory for it they stay two for now. */
static void begin_merge(struct key_filters *filters) {
    size_t first = 0;
    while (first + 2 < filters->count && !may_merge(&filters->groups[first], &filters->groups[first + 1]))
        first++;
    if (first + 2 >= filters->count)
        return;
    const struct key_filter_group *older = &filters->groups[first];
    filters->merged = calloc(1, sizeof *filters->merged);
    filters->merged_first = first;
    filters->merged_buckets = 0;
    if (filters->merged && make_group(filters->merged, older->bucket_count * 2, older->doublings + 1) != OK)
        give_up_merge(filters);
}

static enum err put_wider(struct key_filter_group *merged, struct home home, unsigned run) {
    const struct home wider = { .bucket = home.bucket * 2 + (home.print >> (PRINT_BITS - 1)),
                                .print = home.print << 1 & ((1U << PRINT_BITS) - 1) };
    return put(merged, wider, run);
}

static enum err copy_slots(struct key_filter_group *merged, const struct key_filter_group *group, size_t begin, size_t end,
                           unsigned first_run) {
    enum err err = OK;
    for (size_t i = begin; err == OK && i < end; i++) {
        uint32_t slot = group->slots[i];
        if (slot)
            err = put_wider(merged, home_of_slot(i, slot), first_run + run_of(slot));
    }
    return err;
}

/* The next piece of both: it is the same place of the merged one that they go to. */
static enum err copy_piece(struct key_filters *filters) {
    const struct key_filter_group *older = &filters->groups[filters->merged_first], *newer = older + 1;
    size_t all = all_buckets(older->bucket_count);
    size_t begin = filters->merged_buckets, end = begin + MERGE_BYTES / (2 * BUCKET_SLOTS * sizeof(uint32_t));
    end = end < all ? end : all;
    enum err err = copy_slots(filters->merged, older, begin * BUCKET_SLOTS, end * BUCKET_SLOTS, 0);
    if (err == OK)
        err = copy_slots(filters->merged, newer, begin * BUCKET_SLOTS, end * BUCKET_SLOTS, older->run_count);
    filters->merged_buckets = end;
    return err;
}

/* What found no slot before mostly does now. */
static enum err copy_rest(struct key_filter_group *merged, const struct key_filter_group *group) {
    unsigned first_run = merged->run_count;
    enum err err = OK;
    for (size_t i = 0; err == OK && i < group->spilled_count; i++)
        err = put_wider(merged, group->spilled[i].home, first_run + group->spilled[i].run);
    memcpy(&merged->runs[first_run], group->runs, group->run_count * sizeof *group->runs);
    merged->run_count += group->run_count;
    return err;
}

static void end_merge(struct key_filters *filters) {
    struct key_filter_group *older = &filters->groups[filters->merged_first], *newer = older + 1;
    release_group(older);
    release_group(newer);
    *older = *filters->merged;
    filters->count--;
    memmove(newer, newer + 1, (filters->count - filters->merged_first - 1) * sizeof *newer);
    free(filters->merged);
    filters->merged = NULL;
}

static void merge_more(struct key_filters *filters) {
    if (!filters->merged)
        begin_merge(filters);
    if (!filters->merged)
        return;
    const struct key_filter_group *older = &filters->groups[filters->merged_first], *newer = older + 1;
    enum err err = copy_piece(filters);
    bool is_last = filters->merged_buckets == all_buckets(older->bucket_count);
    if (err == OK && is_last)
        err = copy_rest(filters->merged, older);
    if (err == OK && is_last)
        err = copy_rest(filters->merged, newer);
    if (err != OK)
        give_up_merge(filters);
    else if (is_last)
        end_merge(filters);
}

/* ---- All groups ---- */

static bool has_room(const struct key_filters *filters, size_t key_count) {
    if (filters->count == 0)
        return false;
    const struct key_filter_group *last = &filters->groups[filters->count - 1];
    return last->run_count < runs_of(last->doublings) && last->key_count + key_count <= last->key_max;
}

/* How wide a group becomes that begins now. */
static unsigned expected_doublings(const struct key_filters *filters) {
    unsigned doublings = 0;
    while (doublings < DOUBLINGS_MAX && filters->expected >= runs_of(doublings + 1))
        doublings++;
    return doublings;
}

enum err key_filters_reserve(struct key_filters *filters, size_t key_count) {
    size_t key_max = power_of_two(KEY_RUN_PART_KEYS, key_count) * GROUP_RUNS;
    unsigned doublings = expected_doublings(filters);
    if (key_count > KEY_FILTER_RUN_KEYS_MAX)
        return ERR_INTERNAL;
    if (has_room(filters, key_count))
        return OK;
    struct key_filter_group *groups = realloc(filters->groups, (filters->count + 1) * sizeof *groups);
    if (!groups)
        return ERR_NO_MEMORY;
    filters->groups = groups;
    enum err err = make_group(&groups[filters->count], (key_max / BUCKET_KEYS + 1) << doublings, doublings);
    if (err != OK)
        return err;
    groups[filters->count++].key_max = key_max << doublings;
    return OK;
}

enum err key_filters_add(struct key_filters *filters, uint64_t run_id, uint64_t period, const uint8_t *fingerprints, size_t key_count) {
    struct key_filter_group *group = &filters->groups[filters->count - 1];
    enum err err = OK;
    for (size_t i = 0; err == OK && i < key_count; i++) {
        size_t ahead = i + ADDS_AHEAD < key_count ? i + ADDS_AHEAD : i;
        __builtin_prefetch(&group->slots[home_of(group, fingerprint_at(fingerprints, ahead)).bucket * BUCKET_SLOTS], 1);
        err = put(group, home_of(group, fingerprint_at(fingerprints, i)), group->run_count);
    }
    group->runs[group->run_count++] = (struct numbered_run){ run_id, period, key_count };
    group->key_count += key_count;
    filters->expected -= filters->expected > 0;
    merge_more(filters);
    return err;
}

static bool is_of_periods(const struct key_filter_group *group, uint64_t first_period) {
    unsigned i = 0;
    while (i < group->run_count && group->runs[i].period < first_period)
        i++;
    return i < group->run_count;
}

void key_filters_forget(struct key_filters *filters, uint64_t first_period) {
    size_t kept = 0, count = filters->count;
    for (size_t i = 0; i < count; i++) {
        struct key_filter_group *group = &filters->groups[i];
        bool waits_for_runs = i + 1 == count && group->run_count == 0;
        if (!is_of_periods(group, first_period) && !waits_for_runs)
            release_group(group);
        else
            filters->groups[kept++] = *group;
    }
    filters->count = kept;
    if (kept < count)
        give_up_merge(filters); /* the two may have gone, or their places changed */
}

void key_filters_prefetch(const struct key_filters *filters, uint64_t user_id, uint64_t key) {
    uint64_t fingerprint = fingerprint_of(user_id, key);
    for (size_t i = 0; i < filters->count; i++)
        __builtin_prefetch(&filters->groups[i].slots[home_of(&filters->groups[i], fingerprint).bucket * BUCKET_SLOTS]);
}

/* ---- Searching ---- */

#define SEARCHED SIZE_MAX

/* False: none from `at` on, which becomes the window's end when all of it is in use, else SEARCHED. */
static bool find_slot(const struct key_filter_group *group, struct home home, size_t *at, unsigned *ret_run) {
    const uint32_t *slots = &group->slots[home.bucket * BUCKET_SLOTS];
    unsigned unknown_bits = RUN_BITS + group->doublings;
    for (; *at < WINDOW && slots[*at]; ++*at) {
        if (slots[*at] >> unknown_bits != slot_of(*at, home.print, 0) >> unknown_bits)
            continue;
        *ret_run = run_of(slots[(*at)++]);
        return true;
    }
    *at = *at < WINDOW ? SEARCHED : WINDOW;
    return false;
}

static bool find_spilled(const struct key_filter_group *group, struct home home, size_t *at, unsigned *ret_run) {
    while (*at - WINDOW < group->spilled_count) {
        const struct spilled *spilled = &group->spilled[(*at)++ - WINDOW];
        *ret_run = spilled->run;
        if (spilled->home.bucket == home.bucket && (spilled->home.print ^ home.print) >> group->doublings == 0)
            return true;
    }
    *at = SEARCHED;
    return false;
}

static bool find_run(const struct key_filter_group *group, struct home home, size_t *at, unsigned *ret_run) {
    if (*at < WINDOW && find_slot(group, home, at, ret_run))
        return true;
    return *at != SEARCHED && find_spilled(group, home, at, ret_run);
}

bool key_filters_next(const struct key_filters *filters, uint64_t user_id, uint64_t key, uint64_t first_period, struct key_search *search,
                      struct key_match *ret_match) {
    uint64_t fingerprint = fingerprint_of(user_id, key);
    for (; search->groups_done < filters->count; search->groups_done++, search->at = 0) {
        const struct key_filter_group *group = &filters->groups[filters->count - 1 - search->groups_done];
        const struct home home = home_of(group, fingerprint);
        for (unsigned number; find_run(group, home, &search->at, &number);) {
            const struct numbered_run *run = &group->runs[number];
            *ret_match = (struct key_match){ run->id, run->key_count };
            if (run->period >= first_period)
                return true;
        }
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
