/* The timer wheel. See wheel.h. */
#include "stream/wheel.h"

static struct list_node *bucket_of(struct wheel *wheel, int64_t step) { return &wheel->buckets[step % WHEEL_BUCKETS]; }

void wheel_init(struct wheel *wheel, int64_t horizon_ms, int64_t now_ms) {
    /* Two buckets are lost to rounding and to the one being emptied. */
    wheel->step_ms = horizon_ms / (WHEEL_BUCKETS - 2) + 1;
    wheel->step = now_ms / wheel->step_ms;
    for (int i = 0; i < WHEEL_BUCKETS; i++)
        list_init(&wheel->buckets[i]);
}

void wheel_add(struct wheel *wheel, struct list_node *node, int64_t due_ms) {
    int64_t step = due_ms / wheel->step_ms + 1;
    if (step <= wheel->step)
        step = wheel->step + 1;
    if (step >= wheel->step + WHEEL_BUCKETS)
        step = wheel->step + WHEEL_BUCKETS - 1;
    list_append(bucket_of(wheel, step), node);
}

struct list_node *wheel_take(struct wheel *wheel, int64_t now_ms) {
    while (wheel->step * wheel->step_ms <= now_ms) {
        struct list_node *bucket = bucket_of(wheel, wheel->step);
        if (!list_empty(bucket)) {
            struct list_node *node = list_first(bucket);
            list_remove(node);
            return node;
        }
        wheel->step++;
    }
    return NULL;
}

int64_t wheel_next_ms(const struct wheel *wheel) { return wheel->step * wheel->step_ms; }
