/* Deliveries: one group chat, every member with a stream of its own, and whether each stream gets each message once and in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "fanout.h"
#include "figures.h"
#include "plot.h"
#include "http_load.h"
#include "population.h"
#include "post.h"
#include "report.h"
#include "server.h"
#include "streams.h"

#define SAMPLED_STREAMS 64

struct deliveries {
    const struct options *options;
    struct table *table;
    uint32_t stream_count;
    struct server server;
    struct population population;
    struct stream_set *streams;
    uint64_t random_state;
    struct id_sum expected; /* what was answered with 201 */
    struct load_result result;
};

/* ---- Posters ---- */

static size_t deliveries_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct deliveries *deliveries = context;
    const struct population_shape *shape = &deliveries->population.shape;
    struct post post = {
        .token = deliveries->population.tokens[population_member(shape, 0, connection % shape->members_per_chat)],
        .chat_id = deliveries->population.chat_ids[0],
        .key = { random_next(&deliveries->random_state), random_next(&deliveries->random_state) },
        .time_ns = time_ns,
        .text_bytes = deliveries->options->text_bytes,
        .port = deliveries->server.port,
    };
    return post_write(&post, bytes);
}

static bool deliveries_on_answer(void *context, const char *body, size_t len) {
    struct deliveries *deliveries = context;
    char id[ID_CHARACTERS_MAX + 1];
    if (!body_string(body, len, "id", id, sizeof id))
        return false;
    id_sum_add(&deliveries->expected, strtoull(id, NULL, 10));
    return true;
}

static const struct load_driver deliveries_driver = {
    .write_request = deliveries_write_request,
    .on_answer = deliveries_on_answer,
};

/* ---- Phases ---- */

struct phase {
    const char *name;
    uint32_t connection_count;
    uint64_t events_ahead;
    enum figure figure;
};

static enum outcome deliveries_run_load(struct deliveries *deliveries, const struct phase *phase, struct fanout_result *ret_result) {
    const struct fanout fanout = {
        .plan = {
            .port = deliveries->server.port,
            .connection_count = phase->connection_count,
            .duration_ns = deliveries->options->seconds * NS_PER_SECOND,
            .expected_status = 201,
            .driver = &deliveries_driver,
            .context = deliveries,
        },
        .streams = deliveries->streams,
        .stream_count = deliveries->stream_count,
        .events_ahead = phase->events_ahead,
        .server_pid = deliveries->server.pid,
        .settle_ns = deliveries->options->settle_seconds * NS_PER_SECOND,
    };
    return fanout_run(&fanout, &deliveries->result, ret_result);
}

static void deliveries_add_row(struct deliveries *deliveries, const struct phase *phase, const struct fanout_result *fanned_out) {
    const struct load_result *result = &deliveries->result;
    struct table *table = deliveries->table;
    uint32_t differing = streams_differing(deliveries->streams, &deliveries->expected);
    table_cell(table, "%u", deliveries->stream_count);
    table_cell(table, "%s", phase->name);
    table_count(table, result->answered);
    table_count(table, fanned_out->events);
    table_count(table, fanout_rate(fanned_out));
    table_cell(table, "%.2f", fanout_cost_us(fanned_out));
    table_latencies(table, streams_latency(deliveries->streams));
    table_count(table, load_errors(result) + streams_problem_count(deliveries->streams));
    table_count(table, differing);
    table_cell(table, "each message once, in order: %s",
               differing + streams_problem_count(deliveries->streams) + load_errors(result) == 0 && fanned_out->events > 0 ? "met"
                                                                                                                           : "not met");
}

static enum outcome deliveries_judge(const struct deliveries *deliveries) {
    const struct load_result *result = &deliveries->result;
    uint32_t differing = streams_differing(deliveries->streams, &deliveries->expected);
    uint64_t problems = streams_problem_count(deliveries->streams);
    if (load_errors(result) > 0)
        complain("deliveries: %llu posts failed, the first: %s", (unsigned long long)load_errors(result), result->problem);
    if (problems > 0)
        complain("deliveries: %llu problems, the first: %s", (unsigned long long)problems, streams_problems(deliveries->streams)->first);
    if (differing > 0)
        complain("deliveries: %u streams did not get exactly the %llu messages that were answered", differing,
                 (unsigned long long)deliveries->expected.count);
    if (result->answered == 0)
        complain("deliveries: nothing was answered");
    return load_errors(result) + problems + differing == 0 && result->answered > 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

static enum outcome deliveries_run_phase(struct deliveries *deliveries, const struct phase *phase) {
    struct fanout_result fanned_out;
    complain("deliveries: %u streams, %s", deliveries->stream_count, phase->name);
    streams_reset_latency(deliveries->streams);
    if (deliveries_run_load(deliveries, phase, &fanned_out))
        return OUTCOME_FAILED;
    deliveries_add_row(deliveries, phase, &fanned_out);
    figure_set(phase->figure, (double)fanout_rate(&fanned_out));
    if (phase->connection_count > 1) {
        plot_add(PLOT_EVENTS, "Parley", deliveries->stream_count, (double)fanout_rate(&fanned_out));
        plot_add(PLOT_COST, "Parley", deliveries->stream_count, fanout_cost_us(&fanned_out));
    }
    return deliveries_judge(deliveries);
}

/* ---- One number of streams ---- */

static enum outcome deliveries_prepare(struct deliveries *deliveries) {
    uint32_t stream_count = deliveries->stream_count;
    struct population_shape shape = { stream_count, 1, stream_count, 0 };
    if (server_prepare(deliveries->options, &deliveries->server) ||
        population_create(&deliveries->server, &shape, &deliveries->population) || server_start(&deliveries->server))
        return OUTCOME_FAILED;
    uint32_t sample_stride = stream_count / SAMPLED_STREAMS + 1;
    deliveries->streams = streams_new(deliveries->server.port, stream_count, sample_stride);
    if (!deliveries->streams)
        return OUTCOME_FAILED;
    return streams_open_to(deliveries->streams, &deliveries->population, stream_count);
}

static enum outcome deliveries_run(struct deliveries *deliveries) {
    const struct options *options = deliveries->options;
    uint32_t stream_count = deliveries->stream_count;
    uint64_t events_ahead = options->events_ahead > 0 && options->events_ahead < stream_count ? stream_count : options->events_ahead;
    enum figure figure = stream_count == 1000 ? FIGURE_EVENTS_1000 : stream_count == 10000 ? FIGURE_EVENTS_10000 : FIGURE_NONE;
    const struct phase phases[] = {
        { "back to back", options->poster_count, events_ahead, figure },
        { "one by one", 1, stream_count, FIGURE_NONE },
    };
    if (deliveries_prepare(deliveries))
        return OUTCOME_FAILED;
    for (size_t i = 0; i < sizeof phases / sizeof phases[0] && !bench_interrupted(); i++) {
        if (deliveries_run_phase(deliveries, &phases[i]))
            return OUTCOME_FAILED;
    }
    streams_free(deliveries->streams);
    deliveries->streams = NULL;
    return server_stop(&deliveries->server);
}

static enum outcome deliveries_run_size(const struct options *options, uint32_t stream_count, struct table *table) {
    struct deliveries *deliveries = calloc(1, sizeof *deliveries);
    if (!deliveries)
        return OUTCOME_FAILED;
    deliveries->options = options;
    deliveries->table = table;
    deliveries->stream_count = bench_streams_possible(stream_count);
    deliveries->random_state = now_ns();
    enum outcome outcome = deliveries_run(deliveries);
    streams_free(deliveries->streams);
    population_release(&deliveries->population);
    server_release(&deliveries->server);
    free(deliveries);
    return outcome;
}

enum outcome scenario_deliveries(const struct options *options) {
    static const char *const columns[] = { "streams", "posting",       "posts", "events", "events/s", "CPU us/event", TABLE_LATENCY_COLUMNS,
                                           "errors",  "streams wrong", "goal",  NULL };
    struct table table;
    char title[200];
    snprintf(title, sizeof title,
             "deliveries: one group, a stream for each member, %u bytes, %u s of posting a row, %u posters back to back; "
             "latency from post to event",
             options->text_bytes, options->seconds, options->poster_count);
    table_start(&table, title, columns);
    enum outcome outcome = OUTCOME_OK;
    for (size_t i = 0; i < options->streams.count && !bench_interrupted(); i++) {
        if (deliveries_run_size(options, options->streams.values[i], &table))
            outcome = OUTCOME_FAILED;
    }
    table_print(&table);
    return outcome;
}
