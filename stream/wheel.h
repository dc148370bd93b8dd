/* A timer wheel in coarse steps: what is due costs work, what is not costs none.
 *
 * Timers never fire early and at most one step late; one farther away than the horizon fires at the horizon. The hub's thread only. */
#pragma once

#include <stdint.h>

#include "core/list.h"

#define WHEEL_BUCKETS 64

struct wheel {
    struct list_node buckets[WHEEL_BUCKETS];
    int64_t step_ms;
    int64_t step; /* whose bucket is being emptied; all earlier ones are empty */
};

/* `horizon_ms`: the longest time a timer is set for. `now_ms`: monotonic. */
void wheel_init(struct wheel *wheel, int64_t horizon_ms, int64_t now_ms);
/* The node must be in no list. */
void wheel_add(struct wheel *wheel, struct list_node *node, int64_t due_ms);
/* Takes one node that is due out of the wheel, or returns NULL. */
struct list_node *wheel_take(struct wheel *wheel, int64_t now_ms);
/* When the wheel has to be looked at again. */
int64_t wheel_next_ms(const struct wheel *wheel);
