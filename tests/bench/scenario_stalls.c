/* The longest waits: posts at half of the maximum rate, on 128, 256 and 384 connections, each for as long, while the log is cut, checkpoints run, streams come and go,
 * and some never read. Open loop, so that a stall counts for all who waited behind it. Pauses of the machine are seen by a thread that only sleeps; they are listed, and
 * what of a wait was within them is not the server's. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "figures.h"
#include "http_load.h"
#include "population.h"
#include "post.h"
#include "process.h"
#include "report.h"
#include "server.h"
#include "sleeper.h"
#include "streams.h"

#define GOAL_MS 250
#define PROBE_SECONDS 2
#define PROBE_CONNECTIONS 256
#define STREAMS 64u     /* a user's each, which are closed and opened again */
#define SLOW_STREAMS 8u /* which nobody reads */
#define RECONNECT_NS (2 * NS_PER_SECOND)
#define LISTED_PAUSES 9u /* of each round */
#define SLOW_ANSWERS_MAX 262144

static const uint32_t connection_counts[] = { 128, 256, 384 };
#define ROUNDS (sizeof connection_counts / sizeof connection_counts[0])

/* What has to happen meanwhile, or nothing was shown: each is a column of the second table. */
static const char *const metric_names[] = {
    "parley_checkpoint_duration_seconds_count",
    "parley_checkpoint_wait_seconds_sum",
    "parley_cleanup_rows_total",
    "parley_log_floor_position",
    "parley_streams_opened_total",
    "parley_replay_pages_total",
    "parley_cleanup_overdue_seconds", /* as it is at the end; the others by how much they grew */
};
#define METRICS (sizeof metric_names / sizeof metric_names[0])

struct slow_answer {
    uint64_t due_ns, end_ns;
};

struct stalls {
    const struct options *options;
    struct server server;
    struct population population;
    uint64_t random_state;
    uint64_t maximum_rate;
    struct load_result result;
    struct sleeper *sleeper;
    atomic_bool over;
    uint64_t start_ns; /* of the first round */
    uint64_t worst_ns; /* over all rounds */
    uint32_t slow_count;
    struct slow_answer slow[SLOW_ANSWERS_MAX]; /* of this round */
    uint64_t unlisted_ns;                      /* the longest of those that found no room there: nothing of it is excused */
    double metrics[METRICS];                   /* when the round began */
    struct table table, events, pauses;
};

static size_t stalls_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct stalls *stalls = context;
    const struct population_shape *shape = &stalls->population.shape;
    uint32_t chat = connection % shape->chat_count;
    struct post post = {
        .token = stalls->population.tokens[population_member(shape, chat, connection / shape->chat_count % shape->members_per_chat)],
        .chat_id = stalls->population.chat_ids[chat],
        .key = { random_next(&stalls->random_state), random_next(&stalls->random_state) },
        .time_ns = time_ns,
        .text_bytes = stalls->options->text_bytes,
        .port = stalls->server.port,
    };
    return post_write(&post, bytes);
}

static void stalls_on_slow(void *context, uint64_t due_ns, uint64_t end_ns) {
    struct stalls *stalls = context;
    if (stalls->slow_count < SLOW_ANSWERS_MAX)
        stalls->slow[stalls->slow_count++] = (struct slow_answer){ due_ns, end_ns };
    else if (end_ns - due_ns > stalls->unlisted_ns)
        stalls->unlisted_ns = end_ns - due_ns;
}

static const struct load_driver stalls_driver = { .write_request = stalls_write_request, .on_slow = stalls_on_slow };

static enum outcome run_posts(struct stalls *stalls, uint32_t connections, uint32_t rate_per_second, uint64_t duration_ns) {
    const struct load_plan plan = {
        .port = stalls->server.port,
        .connection_count = connections,
        .duration_ns = duration_ns,
        .rate_per_second = rate_per_second,
        .expected_status = 201,
        .driver = &stalls_driver,
        .context = stalls,
    };
    return http_load_run(&plan, &stalls->result);
}

/* ---- Streams beside the posts ---- */

/* Opens all, reads them for a while, cuts them, and begins again. */
static void *reconnect_main(void *argument) {
    struct stalls *stalls = argument;
    while (!atomic_load(&stalls->over) && !bench_interrupted()) {
        struct stream_set *streams = streams_new(stalls->server.port, STREAMS, 0);
        if (!streams || streams_open_to(streams, &stalls->population, STREAMS))
            atomic_store(&stalls->over, true);
        else
            streams_read_for(streams, RECONNECT_NS);
        streams_free(streams);
    }
    return NULL;
}

static enum outcome run_round(struct stalls *stalls, uint32_t connections) {
    pthread_t reconnecting;
    struct stream_set *slow = streams_new(stalls->server.port, SLOW_STREAMS, 0);
    if (!slow || streams_open_to(slow, &stalls->population, SLOW_STREAMS) || pthread_create(&reconnecting, NULL, reconnect_main, stalls)) {
        streams_free(slow);
        return OUTCOME_FAILED;
    }
    uint32_t rate = (uint32_t)(stalls->maximum_rate / 2);
    complain("stalls: %u connections, %u posts/s", connections, rate);
    stalls->slow_count = 0;
    stalls->unlisted_ns = 0;
    enum outcome outcome = run_posts(stalls, connections, rate, stalls->options->stall_seconds * NS_PER_SECOND);
    atomic_store(&stalls->over, true);
    pthread_join(reconnecting, NULL);
    atomic_store(&stalls->over, false);
    streams_free(slow);
    return outcome;
}

/* ---- Rows ---- */

/* The longest wait less what of it were pauses of the machine: not always that of the longest wait. Answers that were not slow had none to speak of. */
static struct slow_answer find_worst(const struct stalls *stalls, uint64_t *ret_own_ns) {
    struct slow_answer worst = { 0 };
    uint64_t fast_ns = stalls->result.latency.max_ns < LOAD_SLOW_NS ? stalls->result.latency.max_ns : 0;
    *ret_own_ns = stalls->unlisted_ns > fast_ns ? stalls->unlisted_ns : fast_ns;
    for (uint32_t i = 0; i < stalls->slow_count; i++) {
        const struct slow_answer *slow = &stalls->slow[i];
        uint64_t paused_ns = sleeper_paused_ns(stalls->sleeper, slow->due_ns, slow->end_ns), wait_ns = slow->end_ns - slow->due_ns;
        uint64_t own_ns = wait_ns > paused_ns ? wait_ns - paused_ns : 0;
        if (own_ns <= *ret_own_ns)
            continue;
        *ret_own_ns = own_ns;
        worst = *slow;
    }
    return worst;
}

static void add_row(struct stalls *stalls, uint32_t connections) {
    const struct load_result *result = &stalls->result;
    uint64_t own_ns;
    struct slow_answer worst = find_worst(stalls, &own_ns);
    table_cell(&stalls->table, "%u", connections);
    table_count(&stalls->table, load_rate(result));
    table_latencies(&stalls->table, &result->latency);
    table_cell(&stalls->table, "%.2f", (double)own_ns / NS_PER_MS);
    if (worst.end_ns > 0)
        table_cell(&stalls->table, "%.3f", (double)(worst.due_ns - stalls->start_ns) / NS_PER_SECOND);
    else
        table_cell(&stalls->table, "-");
    table_count(&stalls->table, result->answered);
    table_count(&stalls->table, load_errors(result));
    table_cell(&stalls->table, "max <= %d ms: %s", GOAL_MS, own_ns <= GOAL_MS * NS_PER_MS ? "met" : "not met");
    stalls->worst_ns = own_ns > stalls->worst_ns ? own_ns : stalls->worst_ns;
    figure_set(FIGURE_STALL_MAX_MS, (double)stalls->worst_ns / NS_PER_MS);
    if (load_errors(result) > 0)
        complain("stalls: %s", result->problem);
}

static void add_metric(struct stalls *stalls, const char *name, double now, double difference) {
    if (strstr(name, "_overdue_"))
        table_cell(&stalls->events, "%.0f", now);
    else if (strstr(name, "_seconds_sum"))
        table_cell(&stalls->events, "%.1f", difference * 1000);
    else
        table_count(&stalls->events, (uint64_t)difference);
}

static enum outcome add_events(struct stalls *stalls, uint32_t connections) {
    double now[METRICS];
    if (server_read_metrics(&stalls->server, metric_names, METRICS, now))
        return OUTCOME_FAILED;
    table_cell(&stalls->events, "%u", connections);
    for (size_t i = 0; i < METRICS; i++)
        add_metric(stalls, metric_names[i], now[i], now[i] - stalls->metrics[i]);
    table_cell(&stalls->events, "%u", SLOW_STREAMS);
    return OUTCOME_OK;
}

static void add_pause(struct stalls *stalls, const char *at, uint64_t duration_ns) {
    table_cell(&stalls->pauses, "%s", at);
    table_cell(&stalls->pauses, "%.1f", (double)duration_ns / NS_PER_MS);
    table_cell(&stalls->pauses, "%s", "");
}

static void list_pauses(struct stalls *stalls) {
    const struct sleeper_pause *pauses;
    uint32_t count = sleeper_pauses(stalls->sleeper, &pauses);
    uint64_t rest_ns = 0;
    double longest_ms = 0;
    char at[32];
    (void)figure_get(FIGURE_MACHINE_PAUSE_MS, &longest_ms);
    for (uint32_t i = 0; i < count; i++) {
        double pause_ms = (double)pauses[i].duration_ns / NS_PER_MS;
        longest_ms = pause_ms > longest_ms ? pause_ms : longest_ms;
        snprintf(at, sizeof at, "%.3f", (double)(pauses[i].start_ns - stalls->start_ns) / NS_PER_SECOND);
        if (i < LISTED_PAUSES)
            add_pause(stalls, at, pauses[i].duration_ns);
        else
            rest_ns += pauses[i].duration_ns;
    }
    snprintf(at, sizeof at, "and %u more", count - LISTED_PAUSES);
    if (count > LISTED_PAUSES)
        add_pause(stalls, at, rest_ns);
    figure_set(FIGURE_MACHINE_PAUSE_MS, longest_ms);
}

/* Each round with a sleeper of its own, so that its pauses are read by one thread at a time. */
static enum outcome run_rounds(struct stalls *stalls) {
    enum outcome outcome = OUTCOME_OK;
    stalls->start_ns = now_ns();
    for (size_t i = 0; i < ROUNDS && !bench_interrupted() && outcome == OUTCOME_OK; i++) {
        stalls->sleeper = sleeper_start();
        if (!stalls->sleeper || server_read_metrics(&stalls->server, metric_names, METRICS, stalls->metrics))
            return OUTCOME_FAILED;
        outcome = run_round(stalls, connection_counts[i]);
        sleeper_stop(stalls->sleeper);
        if (outcome == OUTCOME_OK)
            add_row(stalls, connection_counts[i]);
        if (outcome == OUTCOME_OK && add_events(stalls, connection_counts[i]))
            outcome = OUTCOME_FAILED;
        if (load_errors(&stalls->result) > 0)
            outcome = OUTCOME_FAILED;
        list_pauses(stalls);
        sleeper_free(stalls->sleeper);
    }
    return outcome;
}

static enum outcome run(struct stalls *stalls) {
    const struct options *options = stalls->options;
    uint32_t users = options->user_count > STREAMS ? options->user_count : STREAMS;
    struct population_shape shape = { users, options->chat_count, options->members_per_chat, 1 };
    if (server_prepare(options, &stalls->server) || population_create(&stalls->server, &shape, &stalls->population))
        return OUTCOME_FAILED;
    setenv("PARLEY_RETENTION", "20s", 1);
    setenv("PARLEY_CLEANUP_INTERVAL", "5s", 1);
    enum outcome outcome = server_start(&stalls->server);
    unsetenv("PARLEY_CLEANUP_INTERVAL");
    unsetenv("PARLEY_RETENTION");
    if (outcome || run_posts(stalls, PROBE_CONNECTIONS, 0, PROBE_SECONDS * NS_PER_SECOND))
        return OUTCOME_FAILED;
    stalls->maximum_rate = load_rate(&stalls->result);
    outcome = run_rounds(stalls);
    return server_stop(&stalls->server) ? OUTCOME_FAILED : outcome;
}

enum outcome scenario_stalls(const struct options *options) {
    static const char *const columns[] = { "connections", "posts/s", TABLE_LATENCY_COLUMNS, "server's max ms", "at s", "answered", "errors",
                                           "goal",        NULL };
    static const char *const event_columns[] = {
        "connections",    "checkpoints",    "ms waited for them", "rows cleaned up",           "events cut from the log",
        "streams opened", "pages replayed", "cleanup late by s",  "streams that nobody reads", NULL
    };
    static const char *const pause_columns[] = { "at s", "pause ms", "", NULL };
    struct stalls *stalls = calloc(1, sizeof *stalls);
    if (!stalls)
        return OUTCOME_FAILED;
    char title[240];
    snprintf(
        title, sizeof title,
        "stalls: posts at half of the maximum rate, %u s on each number of connections, with retention, log cuts, checkpoints and streams;"
        " the server's max is without the machine's pauses",
        options->stall_seconds);
    stalls->options = options;
    stalls->random_state = now_ns();
    table_start(&stalls->table, title, columns);
    table_start(&stalls->events, "stalls: what happened meanwhile", event_columns);
    table_start(&stalls->pauses, "stalls: pauses of the machine of 20 ms or more, as a thread saw them that only sleeps", pause_columns);
    enum outcome outcome = run(stalls);
    table_print(&stalls->table);
    table_print(&stalls->events);
    if (stalls->pauses.row_count > 0)
        table_print(&stalls->pauses);
    population_release(&stalls->population);
    server_release(&stalls->server);
    free(stalls);
    return outcome;
}
