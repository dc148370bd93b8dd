/* See early.h. There are rarely more than a few, so all of them are looked at. */
#include "db/early.h"

#include <stdlib.h>

#include "core/limits.h"

void early_free(struct early *early) {
    for (size_t i = 0; i < early->count; i++)
        frame_drop(early->frames[i]);
    free(early);
}

static struct early *copy(const struct early *what, struct frame *const *frames) {
    struct early *early = malloc(sizeof *early + what->count * sizeof(struct frame *));
    if (!early)
        return NULL;
    *early = (struct early){ .previous_id = what->previous_id, .last_id = what->last_id, .is_own = what->is_own, .count = what->count };
    early->bytes = sizeof *early;
    for (size_t i = 0; i < early->count; i++) {
        early->frames[i] = frame_hold(frames[i]);
        early->bytes += sizeof **frames + frames[i]->size;
    }
    return early;
}

bool early_keep(struct early_list *list, const struct early *what, struct frame *const *frames) {
    struct early *early = copy(what, frames);
    if (!early)
        return false;
    if (list->bytes + early->bytes > LIMIT_BUS_QUEUE_BYTES) {
        early_free(early);
        return false;
    }
    early->next = list->first;
    list->first = early;
    list->bytes += early->bytes;
    return true;
}

/* Takes it out of the list. */
static struct early *take(struct early_list *list, struct early **link) {
    struct early *early = *link;
    *link = early->next;
    list->bytes -= early->bytes;
    return early;
}

struct early *early_next(struct early_list *list, uint64_t known_id) {
    struct early **link = &list->first;
    while (*link) {
        if ((*link)->last_id <= known_id)
            early_free(take(list, link));
        else if ((*link)->previous_id == known_id)
            return take(list, link);
        else
            link = &(*link)->next;
    }
    return NULL;
}

uint64_t early_told(const struct early_list *list) {
    uint64_t last_id = 0;
    for (const struct early *early = list->first; early; early = early->next)
        if (early->count == 0 && early->last_id > last_id)
            last_id = early->last_id;
    return last_id;
}

void early_clear(struct early_list *list) {
    while (list->first)
        early_free(take(list, &list->first));
}
