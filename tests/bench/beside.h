/* Limits, and a peer, that are measured again right before and right after each row of posts that is held against them: on a machine whose speed changes within seconds, what it
 * could do when the run began says little. Main thread. */
#pragma once

#include <stdbool.h>

#include "bench.h"

#define BESIDE_TIMES_MAX 4
#define BESIDE_VALUES 4

struct beside {
    const struct options *options;
    uint32_t connections; /* of the rows */
    bool with_ejabberd;   /* where there is more than one */
    size_t times;
    double values[BESIDE_VALUES][BESIDE_TIMES_MAX]; /* as beside.c names them, each time */
};

/* Once more, while no server runs, up to BESIDE_TIMES_MAX times. For rows of 1 connection: the disk, and an empty answer. For others: empty answers, and
 * what ejabberd stores. The figures are the means of all times. */
enum outcome beside_measure(struct beside *beside) MUST_USE;
void beside_print(const struct beside *beside);
