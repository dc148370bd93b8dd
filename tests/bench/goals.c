#include "goals.h"

#include <assert.h>
#include <stdio.h>

#include "figures.h"
#include "report.h"

#define VALUE_BYTES 40

enum unit { UNIT_PER_SECOND, UNIT_MS, UNIT_SECONDS, UNIT_BYTES, UNIT_MB, UNIT_RATIO, UNIT_COUNT };

/* A goal is about the figure itself or, where there is a reference, about its ratio to that. */
static const struct goal {
    const char *work;
    enum figure measured;
    enum unit unit;
    enum { AT_LEAST, AT_MOST } direction;
    double limit;
    enum figure reference;
    const char *reference_name;
} goals[] = {
    { "durable posts, 256 connections, SQLite", FIGURE_POSTS_SQLITE, UNIT_PER_SECOND, AT_LEAST, 50000, FIGURE_NONE, "" },
    { "", FIGURE_POSTS_SQLITE, UNIT_PER_SECOND, AT_LEAST, 25, FIGURE_EJABBERD_POSTS, "ejabberd, MAM on MariaDB" },
    { "", FIGURE_POSTS_SQLITE, UNIT_PER_SECOND, AT_LEAST, 0.4, FIGURE_EMPTY_ANSWERS, "libmicrohttpd, empty 201" },
    { "the same on MariaDB", FIGURE_POSTS_MARIADB, UNIT_PER_SECOND, AT_LEAST, 35000, FIGURE_NONE, "" },
    { "", FIGURE_POSTS_MARIADB, UNIT_PER_SECOND, AT_LEAST, 25, FIGURE_EJABBERD_POSTS, "ejabberd, MAM on MariaDB" },
    { "one post at a time, p50", FIGURE_POST_P50_MS, UNIT_MS, AT_MOST, 1.5, FIGURE_FDATASYNC_P50_MS, "fdatasync p50" },
    { "one post at a time, p99", FIGURE_POST_P99_MS, UNIT_MS, AT_MOST, 4, FIGURE_FDATASYNC_P50_MS, "fdatasync p50" },
    { "deliveries, 1,000 streams", FIGURE_EVENTS_1000, UNIT_PER_SECOND, AT_LEAST, 3, FIGURE_NCHAN_EVENTS_1000, "Nchan" },
    { "", FIGURE_EVENTS_1000, UNIT_PER_SECOND, AT_LEAST, 3, FIGURE_PUSHPIN_EVENTS_1000, "Pushpin" },
    { "", FIGURE_EVENTS_1000, UNIT_PER_SECOND, AT_LEAST, 3, FIGURE_MOSQUITTO_EVENTS_1000, "Mosquitto, QoS 1" },
    { "deliveries, 10,000 streams", FIGURE_EVENTS_10000, UNIT_PER_SECOND, AT_LEAST, 4, FIGURE_NCHAN_EVENTS_10000, "Nchan" },
    { "POST to event, direct chats, p50", FIGURE_DIRECT_P50_MS, UNIT_MS, AT_MOST, 2, FIGURE_NONE, "" },
    { "POST to event, direct chats, p99", FIGURE_DIRECT_P99_MS, UNIT_MS, AT_MOST, 10, FIGURE_NONE, "" },
    { "POST to event, direct chats, p99.9", FIGURE_DIRECT_P999_MS, UNIT_MS, AT_MOST, 25, FIGURE_NONE, "" },
    { "memory of an idle stream", FIGURE_STREAM_BYTES, UNIT_BYTES, AT_MOST, 512, FIGURE_NONE, "" },
    { "", FIGURE_STREAM_BYTES, UNIT_BYTES, AT_MOST, 0.05, FIGURE_NCHAN_STREAM_BYTES, "Nchan" },
    { "all streams come back at once: live after", FIGURE_RETURN_S, UNIT_SECONDS, AT_MOST, 3, FIGURE_NONE, "" },
    { "posts refused meanwhile", FIGURE_RETURN_REFUSED, UNIT_COUNT, AT_MOST, 0, FIGURE_NONE, "" },
    { "posts meanwhile, p99", FIGURE_RETURN_POST_P99_MS, UNIT_MS, AT_MOST, 100, FIGURE_NONE, "" },
    { "page of 50 in a large chat, the first, p99", FIGURE_FIRST_PAGE_P99_MS, UNIT_MS, AT_MOST, 2, FIGURE_NONE, "" },
    { "page of 50 in a large chat, the last, p99", FIGURE_LAST_PAGE_P99_MS, UNIT_MS, AT_MOST, 2, FIGURE_NONE, "" },
    { "start with a large database", FIGURE_START_S, UNIT_SECONDS, AT_MOST, 1, FIGURE_NONE, "" },
    { "idle server, resident", FIGURE_IDLE_MB, UNIT_MB, AT_MOST, 15, FIGURE_NONE, "" },
    { "idle server, wake-ups a second", FIGURE_IDLE_WAKEUPS, UNIT_RATIO, AT_MOST, 12, FIGURE_NONE, "" },
    { "growth: posts/s in a large over a small database", FIGURE_GROWTH, UNIT_RATIO, AT_LEAST, 0.9, FIGURE_NONE, "" },
    { "longest stall at half the maximum rate", FIGURE_STALL_MAX_MS, UNIT_MS, AT_MOST, 250, FIGURE_NONE, "" },
    { "from far away, with losses: posts", FIGURE_NETWORK_POSTS, UNIT_PER_SECOND, AT_LEAST, 0.8, FIGURE_NETWORK_TCP_POSTS, "TCP alone" },
    { "from far away, with losses: events", FIGURE_NETWORK_EVENTS, UNIT_PER_SECOND, AT_LEAST, 0.8, FIGURE_NETWORK_TCP_EVENTS, "TCP alone" },
    { "lost, doubled or out of order there", FIGURE_NETWORK_WRONG, UNIT_COUNT, AT_MOST, 0, FIGURE_NONE, "" },
};
#define GOAL_COUNT (sizeof goals / sizeof goals[0])
static_assert(GOAL_COUNT <= TABLE_ROWS_MAX, "a row for each goal");

/* What stands in the way of a goal that is not met, measured in the same unit. */
static const struct {
    enum figure measured, limit;
    const char *name;
} limits[] = {
    { FIGURE_POSTS_SQLITE, FIGURE_EMPTY_ANSWERS, "empty answers of libmicrohttpd" },
    { FIGURE_POSTS_SQLITE, FIGURE_SQLITE_ROWS, "rows in batches, straight into SQLite" },
    { FIGURE_POSTS_SQLITE, FIGURE_PROCESSORS_SQLITE, "processors that are never idle, at what a post costs" },
    { FIGURE_POSTS_MARIADB, FIGURE_EMPTY_ANSWERS, "empty answers of libmicrohttpd" },
    { FIGURE_POSTS_MARIADB, FIGURE_MARIADB_ROWS, "rows in batches, straight into MariaDB" },
    { FIGURE_POSTS_MARIADB, FIGURE_PROCESSORS_MARIADB, "processors that are never idle, at what a post costs" },
    { FIGURE_POST_P50_MS, FIGURE_FDATASYNC_P50_MS, "fdatasync alone, p50" },
    { FIGURE_POST_P50_MS, FIGURE_SINGLE_P50_MS, "fdatasync and an empty answer, p50" },
    { FIGURE_POST_P99_MS, FIGURE_FDATASYNC_P99_MS, "fdatasync alone, p99" },
    { FIGURE_POST_P99_MS, FIGURE_SINGLE_P99_MS, "fdatasync and an empty answer, p99" },
    { FIGURE_EVENTS_1000, FIGURE_SENDS_1000, "bare send() of each event" },
    { FIGURE_EVENTS_10000, FIGURE_SENDS_10000, "bare send() of each event" },
    { FIGURE_RETURN_S, FIGURE_RETURN_ASKED_S, "the bench's own requests" },
    { FIGURE_IDLE_MB, FIGURE_MAPPED_MB, "pages of the program and its libraries" },
    { FIGURE_STALL_MAX_MS, FIGURE_MACHINE_PAUSE_MS, "the machine's longest pause, which is not counted" },
    { FIGURE_STALL_MAX_MS, FIGURE_DISK_WAIT_MS, "the longest write of 4 KiB to the same disk, which is counted" },
    { FIGURE_NETWORK_POSTS, FIGURE_NETWORK_TCP_POSTS, "TCP alone" },
    { FIGURE_NETWORK_EVENTS, FIGURE_NETWORK_TCP_EVENTS, "TCP alone" },
};
#define LIMIT_COUNT (sizeof limits / sizeof limits[0])
static_assert(LIMIT_COUNT <= TABLE_ROWS_MAX, "a row for each limit");

static void write_value(enum unit unit, double value, char out[VALUE_BYTES]) {
    char count[VALUE_BYTES];
    table_format_count(value < 0 ? 0 : (uint64_t)(value + 0.5), count, sizeof count);
    switch (unit) {
    case UNIT_PER_SECOND:
        snprintf(out, VALUE_BYTES, "%.32s/s", count);
        return;
    case UNIT_MS:
        snprintf(out, VALUE_BYTES, value < 1000 ? "%.3g ms" : "%.0f ms", value);
        return;
    case UNIT_SECONDS:
        snprintf(out, VALUE_BYTES, "%.2f s", value);
        return;
    case UNIT_BYTES:
        snprintf(out, VALUE_BYTES, "%.32s B", count);
        return;
    case UNIT_MB:
        snprintf(out, VALUE_BYTES, "%.1f MB", value);
        return;
    case UNIT_RATIO:
        snprintf(out, VALUE_BYTES, "%.2f", value);
        return;
    case UNIT_COUNT:
        snprintf(out, VALUE_BYTES, "%.39s", count);
        return;
    }
}

static void add_goal_cell(struct table *table, const struct goal *goal) {
    const char *comparison = goal->direction == AT_LEAST ? ">=" : "<=";
    char limit[VALUE_BYTES];
    write_value(goal->unit, goal->limit, limit);
    if (goal->reference == FIGURE_NONE)
        table_cell(table, "%s %s", comparison, limit);
    else
        table_cell(table, "%s %g times", comparison, goal->limit);
}

static void add_reference_cells(struct table *table, const struct goal *goal, double measured, double reference) {
    char value[VALUE_BYTES];
    write_value(goal->unit, reference, value);
    table_cell(table, "%s %s", goal->reference_name, value);
    table_cell(table, reference > 0 ? "%.3g" : "-", measured / reference);
}

static bool is_met(const struct goal *goal, double value) {
    return goal->direction == AT_LEAST ? value >= goal->limit : value <= goal->limit;
}

static void add_goal(struct table *table, const struct goal *goal, const char *work) {
    double measured, reference;
    bool is_measured = figure_get(goal->measured, &measured);
    bool has_reference = figure_get(goal->reference, &reference) && reference > 0;
    char value[VALUE_BYTES] = "-";
    if (is_measured)
        write_value(goal->unit, measured, value);
    table_cell(table, "%s", work);
    add_goal_cell(table, goal);
    table_cell(table, "%s", value);
    if (is_measured && has_reference) {
        add_reference_cells(table, goal, measured, reference);
    } else {
        table_cell(table, "%s", goal->reference_name);
        table_cell(table, "%s", "");
    }
    if (!is_measured || (goal->reference != FIGURE_NONE && !has_reference))
        table_cell(table, "not measured");
    else
        table_cell(table, "%s", is_met(goal, goal->reference == FIGURE_NONE ? measured : measured / reference) ? "met" : "not met");
}

/* A line is of interest when it is measured, and one by ratio when its reference is. */
static bool is_known(const struct goal *goal) {
    double value;
    return figure_get(goal->measured, &value) && (goal->reference == FIGURE_NONE || figure_get(goal->reference, &value));
}

/* ---- What stands in the way ---- */

static bool is_missed(const struct goal *goal) {
    double measured, reference = 1;
    bool is_judged = figure_get(goal->measured, &measured) &&
                     (goal->reference == FIGURE_NONE || (figure_get(goal->reference, &reference) && reference > 0));
    return is_judged && !is_met(goal, goal->reference == FIGURE_NONE ? measured : measured / reference);
}

static void add_limits(struct table *table, const struct goal *goal, const char *work) {
    double measured, allowed;
    char value[VALUE_BYTES], allowed_value[VALUE_BYTES];
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        if (limits[i].measured != goal->measured || !figure_get(goal->measured, &measured) || !figure_get(limits[i].limit, &allowed) ||
            allowed <= 0)
            continue;
        write_value(goal->unit, measured, value);
        write_value(goal->unit, allowed, allowed_value);
        table_cell(table, "%s", work);
        table_cell(table, "%s", value);
        table_cell(table, "%s", allowed_value);
        table_cell(table, "%.2f", measured / allowed);
        table_cell(table, "%s", limits[i].name);
    }
}

/* Once for each work, though it may have several goals. */
static void print_limits(void) {
    static const char *const columns[] = { "work", "measured", "limit", "ratio", "by", NULL };
    static struct table table;
    const char *work = "";
    enum figure last = FIGURE_NONE;
    table_start(&table, "goals that are not met, and the limits that were measured in the same run", columns);
    for (size_t i = 0; i < GOAL_COUNT; i++) {
        work = goals[i].work[0] ? goals[i].work : work;
        if (!is_missed(&goals[i]) || goals[i].measured == last)
            continue;
        last = goals[i].measured;
        add_limits(&table, &goals[i], work);
    }
    if (table.row_count > 0)
        table_print(&table);
}

void goals_print(const struct options *options) {
    static const char *const columns[] = { "work", "goal", "measured", "compared with", "ratio", "", NULL };
    static struct table table;
    const char *work = "";
    table_start(&table, "goals", columns);
    for (size_t i = 0; i < GOAL_COUNT; i++) {
        work = goals[i].work[0] ? goals[i].work : work;
        if (options->scenario_count == 0 || is_known(&goals[i]))
            add_goal(&table, &goals[i], work);
    }
    if (table.row_count > 0)
        table_print(&table);
    print_limits();
}
