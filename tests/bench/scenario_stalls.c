/* The longest waits: posts at half of the maximum rate, on 128, 256 and 384 connections, each for as long, while the log is cut, checkpoints run, streams come and go,
 * and some never read. Open loop, so that a stall counts for all who waited behind it. Pauses of the machine are seen by a thread that only sleeps; they are listed, and
 * what of a wait was within them is not the server's. Waits for the disk are seen by a thread that writes a little; they are listed, too, and excuse nothing. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "disk_watch.h"
#include "figures.h"
#include "http_load.h"
#include "pauses.h"
#include "population.h"
#include "post.h"
#include "process.h"
#include "report.h"
#include "server.h"
#include "sleeper.h"
#include "streams.h"

#define GOAL_MS 250
#define PROBE_SECONDS_MAX 60 /* three times the retention, so that the cleanup is at work most of the time */
#define PROBE_CONNECTIONS 256
#define STREAMS 64u     /* a user's each, which are closed and opened again */
#define SLOW_STREAMS 8u /* which nobody reads */
#define RECONNECT_NS (2 * NS_PER_SECOND)
#define LISTED_PAUSES 9u /* of each round, if it has room for as many */
#define SLOW_ANSWERS_MAX 262144

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

/* On the answers of a round. A longest wait without something is not always of the answer that waited longest. */
struct verdict {
    uint64_t own_ns;      /* the longest wait, without the machine's pauses: the server's */
    uint64_t due_ns;      /* of that answer; 0: it is not known */
    uint64_t not_disk_ns; /* the longest, without what the disk took either */
    uint64_t over_count;  /* answers that made the server miss its goal */
};

struct stalls {
    const struct options *options;
    struct server server;
    struct population population;
    uint64_t random_state;
    uint32_t rate_per_second;
    struct load_result result;
    struct sleeper *sleeper;
    struct disk_watch *disk_watch;
    atomic_bool over;
    uint64_t start_ns; /* of the first round */
    uint64_t worst_ns; /* over all rounds */
    uint32_t slow_count;
    struct slow_answer slow[SLOW_ANSWERS_MAX]; /* of this round */
    struct verdict unlisted;                   /* on those that found no room there: nothing of them is excused */
    double metrics[METRICS];                   /* when the round began, */
    uint64_t disk_bytes;                       /* and what the server had made the disk read */
    struct table table, events, pauses, disk_waits;
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

static void verdict_add(struct verdict *verdict, uint64_t due_ns, uint64_t own_ns, uint64_t not_disk_ns) {
    verdict->over_count += own_ns > GOAL_MS * NS_PER_MS;
    if (not_disk_ns > verdict->not_disk_ns)
        verdict->not_disk_ns = not_disk_ns;
    if (own_ns <= verdict->own_ns)
        return;
    verdict->own_ns = own_ns;
    verdict->due_ns = due_ns;
}

static void stalls_on_slow(void *context, uint64_t due_ns, uint64_t end_ns) {
    struct stalls *stalls = context;
    if (stalls->slow_count < SLOW_ANSWERS_MAX)
        stalls->slow[stalls->slow_count++] = (struct slow_answer){ due_ns, end_ns };
    else
        verdict_add(&stalls->unlisted, 0, end_ns - due_ns, end_ns - due_ns);
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

/* At `rate_per_second`; 0: as many as it can do. */
static enum outcome run_with_streams(struct stalls *stalls, uint32_t connections, uint32_t rate_per_second, uint32_t seconds) {
    pthread_t reconnecting;
    struct stream_set *slow = streams_new(stalls->server.port, SLOW_STREAMS, 0);
    if (!slow || streams_open_to(slow, &stalls->population, SLOW_STREAMS) || pthread_create(&reconnecting, NULL, reconnect_main, stalls)) {
        streams_free(slow);
        return OUTCOME_FAILED;
    }
    stalls->slow_count = 0;
    stalls->unlisted = (struct verdict){ 0 };
    enum outcome outcome = run_posts(stalls, connections, rate_per_second, seconds * NS_PER_SECOND);
    atomic_store(&stalls->over, true);
    pthread_join(reconnecting, NULL);
    atomic_store(&stalls->over, false);
    streams_free(slow);
    return outcome;
}

/* With all that happens in a round, too: on an empty database, where nothing is cleaned up yet, more would be possible than lasts. */
static enum outcome find_rate(struct stalls *stalls) {
    const struct options *options = stalls->options;
    stalls->rate_per_second = options->rate_per_second;
    if (stalls->rate_per_second > 0)
        return OUTCOME_OK;
    uint32_t seconds = options->stall_seconds < PROBE_SECONDS_MAX ? options->stall_seconds : PROBE_SECONDS_MAX;
    enum outcome outcome = run_with_streams(stalls, PROBE_CONNECTIONS, 0, seconds);
    stalls->rate_per_second = (uint32_t)(load_rate(&stalls->result) / 2);
    return outcome;
}

static enum outcome run_round(struct stalls *stalls, uint32_t connections) {
    complain("stalls: %u connections, %u posts/s", connections, stalls->rate_per_second);
    return run_with_streams(stalls, connections, stalls->rate_per_second, stalls->options->stall_seconds);
}

/* ---- Rows ---- */

static uint64_t wait_without(const struct slow_answer *slow, const struct pauses *pauses) {
    uint64_t within_ns = pauses_within_ns(pauses, slow->due_ns, slow->end_ns), wait_ns = slow->end_ns - slow->due_ns;
    return wait_ns > within_ns ? wait_ns - within_ns : 0;
}

/* Answers that were not slow had no pauses to speak of. */
static struct verdict judge(const struct stalls *stalls) {
    static struct pauses both;
    const struct pauses *machine = sleeper_pauses(stalls->sleeper);
    struct verdict verdict = stalls->unlisted;
    uint64_t longest_ns = stalls->result.latency.max_ns;
    if (longest_ns < LOAD_SLOW_NS)
        verdict_add(&verdict, 0, longest_ns, longest_ns);
    pauses_join(machine, disk_watch_waits(stalls->disk_watch), &both);
    for (uint32_t i = 0; i < stalls->slow_count; i++) {
        const struct slow_answer *slow = &stalls->slow[i];
        verdict_add(&verdict, slow->due_ns, wait_without(slow, machine), wait_without(slow, &both));
    }
    return verdict;
}

static void add_verdict(struct stalls *stalls, const struct verdict *verdict) {
    table_cell(&stalls->table, "%.2f", (double)verdict->own_ns / NS_PER_MS);
    if (verdict->due_ns > 0)
        table_cell(&stalls->table, "%.3f", (double)(verdict->due_ns - stalls->start_ns) / NS_PER_SECOND);
    else
        table_cell(&stalls->table, "-");
    table_cell(&stalls->table, "%.2f", (double)verdict->not_disk_ns / NS_PER_MS);
    table_count(&stalls->table, stalls->result.answered);
    table_count(&stalls->table, verdict->over_count);
    table_count(&stalls->table, load_errors(&stalls->result));
    table_cell(&stalls->table, "max <= %d ms: %s", GOAL_MS, verdict->own_ns <= GOAL_MS * NS_PER_MS ? "met" : "not met");
}

static void add_row(struct stalls *stalls, uint32_t connections) {
    const struct load_result *result = &stalls->result;
    const struct verdict verdict = judge(stalls);
    table_cell(&stalls->table, "%u", connections);
    table_count(&stalls->table, load_rate(result));
    table_latencies(&stalls->table, &result->latency);
    add_verdict(stalls, &verdict);
    stalls->worst_ns = verdict.own_ns > stalls->worst_ns ? verdict.own_ns : stalls->worst_ns;
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
    table_cell(&stalls->events, "%.1f", (double)(server_read_disk_bytes(&stalls->server) - stalls->disk_bytes) / 1e6);
    const struct histogram *disk = disk_watch_latency(stalls->disk_watch);
    table_cell(&stalls->events, "%.2f", histogram_percentile_ms(disk, 500000));
    table_cell(&stalls->events, "%.2f", histogram_percentile_ms(disk, 990000));
    table_cell(&stalls->events, "%u", SLOW_STREAMS);
    return OUTCOME_OK;
}

static void add_pause(struct table *table, const char *at, uint64_t duration_ns) {
    table_cell(table, "%s", at);
    table_cell(table, "%.1f", (double)duration_ns / NS_PER_MS);
    table_cell(table, "%s", "");
}

static uint32_t listed_of_each_round(const struct stalls *stalls) {
    uint32_t room = TABLE_ROWS_MAX / (uint32_t)stalls->options->stall_connections.count - 1; /* one is for the sum of the others */
    return room < LISTED_PAUSES ? room : LISTED_PAUSES;
}

/* The longest of a round, and the sum of the others. */
static void list_pauses(const struct stalls *stalls, struct table *table, const struct pauses *pauses) {
    static struct pauses sorted;
    uint32_t listed_count = listed_of_each_round(stalls);
    uint64_t rest_ns = 0;
    char at[32];
    pauses_sort(pauses, &sorted);
    for (uint32_t i = 0; i < sorted.count; i++) {
        snprintf(at, sizeof at, "%.3f", (double)(sorted.list[i].start_ns - stalls->start_ns) / NS_PER_SECOND);
        if (i < listed_count)
            add_pause(table, at, sorted.list[i].duration_ns);
        else
            rest_ns += sorted.list[i].duration_ns;
    }
    snprintf(at, sizeof at, "and %u more", sorted.count - listed_count);
    if (sorted.count > listed_count)
        add_pause(table, at, rest_ns);
}

static void raise_figure(enum figure figure, double value) {
    double largest = 0;
    (void)figure_get(figure, &largest);
    figure_set(figure, value > largest ? value : largest);
}

static void add_pauses(struct stalls *stalls) {
    const struct pauses *pauses = sleeper_pauses(stalls->sleeper);
    list_pauses(stalls, &stalls->pauses, pauses);
    list_pauses(stalls, &stalls->disk_waits, disk_watch_waits(stalls->disk_watch));
    raise_figure(FIGURE_MACHINE_PAUSE_MS, (double)pauses_longest_ns(pauses) / NS_PER_MS);
    raise_figure(FIGURE_DISK_WAIT_MS, (double)disk_watch_latency(stalls->disk_watch)->max_ns / NS_PER_MS);
}

static enum outcome start_watching(struct stalls *stalls) {
    stalls->sleeper = sleeper_start();
    stalls->disk_watch = disk_watch_start(stalls->server.folder);
    return stalls->sleeper && stalls->disk_watch ? OUTCOME_OK : OUTCOME_FAILED;
}

static void stop_watching(struct stalls *stalls) {
    if (stalls->sleeper)
        sleeper_stop(stalls->sleeper);
    if (stalls->disk_watch)
        disk_watch_stop(stalls->disk_watch);
}

static void forget_watching(struct stalls *stalls) {
    sleeper_free(stalls->sleeper);
    disk_watch_free(stalls->disk_watch);
    stalls->sleeper = NULL;
    stalls->disk_watch = NULL;
}

static enum outcome add_rows(struct stalls *stalls, uint32_t connections) {
    add_row(stalls, connections);
    add_pauses(stalls);
    if (add_events(stalls, connections))
        return OUTCOME_FAILED;
    return load_errors(&stalls->result) > 0 ? OUTCOME_FAILED : OUTCOME_OK;
}

/* With watchers of its own, so that what they note is read by one thread at a time. */
static enum outcome watch_round(struct stalls *stalls, uint32_t connections) {
    enum outcome outcome = start_watching(stalls);
    if (outcome == OUTCOME_OK)
        outcome = server_read_metrics(&stalls->server, metric_names, METRICS, stalls->metrics);
    stalls->disk_bytes = server_read_disk_bytes(&stalls->server);
    if (outcome == OUTCOME_OK)
        outcome = run_round(stalls, connections);
    stop_watching(stalls);
    if (outcome == OUTCOME_OK)
        outcome = add_rows(stalls, connections);
    forget_watching(stalls);
    return outcome;
}

static enum outcome run_rounds(struct stalls *stalls) {
    const struct size_list *rounds = &stalls->options->stall_connections;
    enum outcome outcome = OUTCOME_OK;
    stalls->start_ns = now_ns();
    for (size_t i = 0; i < rounds->count && !bench_interrupted() && outcome == OUTCOME_OK; i++)
        outcome = watch_round(stalls, rounds->values[i]);
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
    if (outcome || find_rate(stalls))
        return OUTCOME_FAILED;
    outcome = run_rounds(stalls);
    return server_stop(&stalls->server) ? OUTCOME_FAILED : outcome;
}

static void print(struct stalls *stalls) {
    char title[240];
    snprintf(title, sizeof title,
             "stalls: %u posts/s, %s, %u s on each number of connections, with retention, log cuts, checkpoints and streams;"
             " the server's max is without the machine's pauses",
             stalls->rate_per_second, stalls->options->rate_per_second ? "as asked" : "half of the maximum",
             stalls->options->stall_seconds);
    stalls->table.title = title;
    table_print(&stalls->table);
    table_print(&stalls->events);
    if (stalls->pauses.row_count > 0)
        table_print(&stalls->pauses);
    if (stalls->disk_waits.row_count > 0)
        table_print(&stalls->disk_waits);
}

enum outcome scenario_stalls(const struct options *options) {
    static const char *const columns[] = { "connections",
                                           "posts/s",
                                           TABLE_LATENCY_COLUMNS,
                                           "server's max ms",
                                           "at s",
                                           "not the disk's ms",
                                           "answered",
                                           "over the goal",
                                           "errors",
                                           "goal",
                                           NULL };
    static const char *const event_columns[] = { "connections",
                                                 "checkpoints",
                                                 "ms waited for them",
                                                 "rows cleaned up",
                                                 "events cut from the log",
                                                 "streams opened",
                                                 "pages replayed",
                                                 "cleanup late by s",
                                                 "MB read from the disk",
                                                 "4 KiB write p50 ms",
                                                 "p99 ms",
                                                 "streams that nobody reads",
                                                 NULL };
    static const char *const pause_columns[] = { "at s", "pause ms", "", NULL };
    static const char *const wait_columns[] = { "at s", "wait ms", "", NULL };
    struct stalls *stalls = calloc(1, sizeof *stalls);
    if (!stalls)
        return OUTCOME_FAILED;
    stalls->options = options;
    stalls->random_state = now_ns();
    table_start(&stalls->table, "", columns);
    table_start(&stalls->events, "stalls: what happened meanwhile", event_columns);
    table_start(&stalls->pauses, "stalls: pauses of the machine of 20 ms or more, as a thread saw them that only sleeps", pause_columns);
    table_start(&stalls->disk_waits, "stalls: writes of 4 KiB by another process's thread to the same disk that took 20 ms or more",
                wait_columns);
    enum outcome outcome = run(stalls);
    print(stalls);
    population_release(&stalls->population);
    server_release(&stalls->server);
    free(stalls);
    return outcome;
}
