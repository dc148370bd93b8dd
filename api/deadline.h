/* Deadlines with a common timeout: a list in the order in which they are due, because appending keeps it sorted.
 *
 * Nothing is allocated, and nothing costs more with more deadlines. One thread. */
#pragma once

#include <stdint.h>

#include "core/list.h"

struct deadline_list {
    struct list_node nodes;
    int64_t timeout_ms;
};

struct deadline {
    struct list_node node;
    struct deadline_list *list; /* NULL: none is set */
    int64_t at_ms;              /* monotonic */
};

void deadline_list_init(struct deadline_list *list, int64_t timeout_ms);
/* Sets the deadline `timeout_ms` from now, whatever it was before. */
void deadline_set(struct deadline *deadline, struct deadline_list *list, int64_t now_ms);
void deadline_clear(struct deadline *deadline);
/* The first deadline that has passed, still set; or NULL. */
struct deadline *deadline_due(const struct deadline_list *list, int64_t now_ms);
/* `timeout_ms` (-1: for ever), or the time to the list's first deadline if that is shorter. */
int deadline_sooner(const struct deadline_list *list, int64_t now_ms, int timeout_ms);
