#include "pauses.h"

#include <stdbool.h>
#include <stdlib.h>

void pauses_add(struct pauses *pauses, uint64_t start_ns, uint64_t duration_ns) {
    if (pauses->count < PAUSES_MAX)
        pauses->list[pauses->count++] = (struct pause){ start_ns, duration_ns };
}

static uint64_t pause_end(const struct pause *pause) { return pause->start_ns + pause->duration_ns; }

/* The last one of `joined` becomes longer when they touch. */
static void join_next(struct pauses *joined, const struct pause *next) {
    struct pause *last = joined->count > 0 ? &joined->list[joined->count - 1] : NULL;
    if (!last || next->start_ns > pause_end(last))
        pauses_add(joined, next->start_ns, next->duration_ns);
    else if (pause_end(next) > pause_end(last))
        last->duration_ns = pause_end(next) - last->start_ns;
}

void pauses_join(const struct pauses *first, const struct pauses *second, struct pauses *ret_joined) {
    ret_joined->count = 0;
    for (uint32_t i = 0, j = 0; i < first->count || j < second->count;) {
        bool is_first = j == second->count || (i < first->count && first->list[i].start_ns <= second->list[j].start_ns);
        join_next(ret_joined, is_first ? &first->list[i++] : &second->list[j++]);
    }
}

uint64_t pauses_within_ns(const struct pauses *pauses, uint64_t start_ns, uint64_t end_ns) {
    uint64_t within_ns = 0;
    for (uint32_t i = 0; i < pauses->count && pauses->list[i].start_ns < end_ns; i++) {
        const struct pause *pause = &pauses->list[i];
        uint64_t from = pause->start_ns > start_ns ? pause->start_ns : start_ns;
        uint64_t to = pause_end(pause) < end_ns ? pause_end(pause) : end_ns;
        within_ns += to > from ? to - from : 0;
    }
    return within_ns;
}

uint64_t pauses_longest_ns(const struct pauses *pauses) {
    uint64_t longest_ns = 0;
    for (uint32_t i = 0; i < pauses->count; i++)
        longest_ns = pauses->list[i].duration_ns > longest_ns ? pauses->list[i].duration_ns : longest_ns;
    return longest_ns;
}

static int compare_longest_first(const void *left, const void *right) {
    uint64_t left_ns = ((const struct pause *)left)->duration_ns, right_ns = ((const struct pause *)right)->duration_ns;
    return (left_ns < right_ns) - (left_ns > right_ns);
}

void pauses_sort(const struct pauses *pauses, struct pauses *ret_sorted) {
    *ret_sorted = *pauses;
    qsort(ret_sorted->list, ret_sorted->count, sizeof *ret_sorted->list, compare_longest_first);
}
