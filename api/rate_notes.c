/* See rate_notes.h. A dense list, and an open table of its indexes that is never more than half full. */
#include "api/rate_notes.h"

#include <string.h>

#define PLACES (2 * LIMIT_RATE_NOTES)

static_assert((PLACES & (PLACES - 1)) == 0, "places are chosen by a mask");
static_assert(LIMIT_RATE_NOTES < UINT16_MAX, "an index fits its place");

/* The place of the key's note, or the free one where it would be. */
static size_t find(const struct rate_notes *notes, uint64_t key) {
    size_t place = (key >> 1) & (PLACES - 1);
    while (notes->places[place] != 0 && notes->items[notes->places[place] - 1].key != key)
        place = (place + 1) & (PLACES - 1);
    return place;
}

bool rate_notes_add(struct rate_notes *notes, uint64_t key, const struct rate_rule *rule, uint32_t taken) {
    size_t place = find(notes, key);
    if (notes->places[place] != 0) {
        notes->items[notes->places[place] - 1].taken += taken;
        return true;
    }
    if (notes->count == LIMIT_RATE_NOTES)
        return false;
    notes->items[notes->count++] = (struct rate_note){ .key = key, .rule = *rule, .taken = taken };
    notes->places[place] = (uint16_t)notes->count;
    return true;
}

uint32_t rate_notes_taken(const struct rate_notes *notes, uint64_t key) {
    size_t place = find(notes, key);
    return notes->places[place] != 0 ? notes->items[notes->places[place] - 1].taken : 0;
}

void rate_notes_clear(struct rate_notes *notes) {
    notes->count = 0;
    memset(notes->places, 0, sizeof(notes->places));
}
