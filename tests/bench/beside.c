#include "beside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "ejabberd.h"
#include "empty.h"
#include "figures.h"
#include "histogram.h"
#include "report.h"

#define SECONDS 2u

struct limit {
    const char *what;
    enum figure figure;
};

static const struct limit alone[BESIDE_VALUES] = {
    { "fdatasync, p50 ms", FIGURE_FDATASYNC_P50_MS },
    { "fdatasync, p99 ms", FIGURE_FDATASYNC_P99_MS },
    { "and an empty answer, p50 ms", FIGURE_SINGLE_P50_MS },
    { "and an empty answer, p99 ms", FIGURE_SINGLE_P99_MS },
};
static const struct limit many[BESIDE_VALUES] = {
    { "empty answers a second", FIGURE_EMPTY_ANSWERS },
    { "messages a second that ejabberd stores", FIGURE_EJABBERD_POSTS },
};

static const struct limit *limits_of(const struct beside *beside, size_t *ret_count) {
    bool is_alone = beside->connections == 1;
    *ret_count = is_alone ? BESIDE_VALUES : beside->with_ejabberd ? 2 : 1;
    return is_alone ? alone : many;
}

static enum outcome measure_alone(const struct beside *beside, struct load_result *empty, double values[BESIDE_VALUES]) {
    static struct histogram sync;
    uint64_t per_second;
    sync = (struct histogram){ 0 };
    if (disk_measure(beside->options, SECONDS, &sync, &per_second) || empty_load(beside->options, 1, SECONDS, empty))
        return OUTCOME_FAILED;
    values[0] = histogram_percentile_ms(&sync, 500000);
    values[1] = histogram_percentile_ms(&sync, 990000);
    values[2] = values[0] + histogram_percentile_ms(&empty->latency, 500000);
    values[3] = values[1] + histogram_percentile_ms(&empty->latency, 990000);
    return OUTCOME_OK;
}

static enum outcome measure_ejabberd(const struct beside *beside, double *ret_per_second) {
    struct ejabberd_result *result = malloc(sizeof *result);
    enum outcome outcome = result ? ejabberd_load(beside->options, beside->options->seconds, result) : OUTCOME_FAILED;
    if (outcome == OUTCOME_OK)
        *ret_per_second = result->stored_per_second;
    free(result);
    return outcome;
}

static enum outcome measure_many(const struct beside *beside, struct load_result *empty, double values[BESIDE_VALUES]) {
    if (beside->with_ejabberd && measure_ejabberd(beside, &values[1]))
        return OUTCOME_FAILED;
    enum outcome outcome = empty_load(beside->options, EMPTY_CONNECTIONS, SECONDS, empty);
    values[0] = (double)load_rate(empty);
    return outcome;
}

static double mean(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

enum outcome beside_measure(struct beside *beside) {
    size_t count;
    const struct limit *limits = limits_of(beside, &count);
    double values[BESIDE_VALUES];
    struct load_result *empty = beside->times < BESIDE_TIMES_MAX ? calloc(1, sizeof *empty) : NULL;
    if (!empty)
        return OUTCOME_FAILED;
    enum outcome outcome = beside->connections == 1 ? measure_alone(beside, empty, values) : measure_many(beside, empty, values);
    free(empty);
    if (outcome != OUTCOME_OK)
        return outcome;
    for (size_t i = 0; i < count; i++) {
        beside->values[i][beside->times] = values[i];
        figure_set(limits[i].figure, mean(beside->values[i], beside->times + 1));
    }
    beside->times++;
    return OUTCOME_OK;
}

void beside_print(const struct beside *beside) {
    static const char *const columns[] = { "limit", "each time", NULL };
    size_t count;
    const struct limit *limits = limits_of(beside, &count);
    struct table table;
    char title[80];
    snprintf(title, sizeof title, "posts: limits before and after each row of %u", beside->connections);
    table_start(&table, title, columns);
    for (size_t i = 0; i < count; i++) {
        char text[BESIDE_TIMES_MAX * 16] = "";
        for (size_t j = 0; j < beside->times; j++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.6g", j ? ", " : "", beside->values[i][j]);
        table_cell(&table, "%s", limits[i].what);
        table_cell(&table, "%s", text);
    }
    table_print(&table);
}
