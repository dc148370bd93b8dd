/* Curves of one run, drawn into SVG files in build/ at its end: both axes logarithmic, a dot for each measurement. Main thread. */
#pragma once

#include "bench.h"

enum plot {
    PLOT_LATENCY, /* of posts against their rate */
    PLOT_EVENTS,  /* a second, against streams */
    PLOT_COST,    /* the server's processor time for an event, against streams */
    PLOT_SIZE,    /* the writer's processor time for a post, against members of the chat and messages stored */
    PLOT_COUNT
};

/* A point of the curve `series`, which is borrowed. Points of a series come in the order in which the line joins them. What is not above 0 has no place on these
 * axes and is left out. */
void plot_add(enum plot plot, const char *series, double x, double y);
/* Writes every plot that has a curve of two points, and says where. */
enum outcome plots_write(void) MUST_USE;
