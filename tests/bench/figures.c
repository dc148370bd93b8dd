#include "figures.h"

static struct {
    bool is_measured;
    double value;
} figures[FIGURE_COUNT];

void figure_set(enum figure figure, double value) {
    figures[figure].is_measured = figure != FIGURE_NONE;
    figures[figure].value = value;
}

bool figure_get(enum figure figure, double *ret_value) {
    *ret_value = figures[figure].value;
    return figures[figure].is_measured;
}
