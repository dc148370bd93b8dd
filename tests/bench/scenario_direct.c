/* From a POST to its event, at a fixed rate over many direct chats, with a stream open for every user. Open loop: latency is from when the post was due. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "fanout.h"
#include "figures.h"
#include "http_load.h"
#include "population.h"
#include "post.h"
#include "report.h"
#include "server.h"
#include "streams.h"

#define CONNECTIONS 400
#define MEMBERS 2
#define CHAT_STRIDE 3 /* so that chats share users, as people's do */

struct direct {
    const struct options *options;
    struct server server;
    struct population population;
    struct stream_set *streams;
    uint64_t random_state;
    struct load_result result;
    struct table table;
};

static size_t direct_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct direct *direct = context;
    const struct population_shape *shape = &direct->population.shape;
    (void)connection;
    uint64_t random = random_next(&direct->random_state);
    uint32_t chat = (uint32_t)(random % shape->chat_count);
    struct post post = {
        .token = direct->population.tokens[population_member(shape, chat, (uint32_t)(random >> 32) % MEMBERS)],
        .chat_id = direct->population.chat_ids[chat],
        .key = { random, random_next(&direct->random_state) },
        .time_ns = time_ns,
        .text_bytes = direct->options->text_bytes,
        .port = direct->server.port,
    };
    return post_write(&post, bytes);
}

static const struct load_driver direct_driver = { .write_request = direct_write_request };

static void add_row(struct direct *direct, uint64_t events) {
    const struct histogram *latency = streams_latency(direct->streams);
    struct table *table = &direct->table;
    table_cell(table, "post to event");
    table_count(table, load_rate(&direct->result));
    table_latencies(table, latency);
    table_count(table, events);
    table_count(table, load_errors(&direct->result) + streams_problem_count(direct->streams));
    table_cell(table, "post to answer");
    table_count(table, load_rate(&direct->result));
    table_latencies(table, &direct->result.latency);
    table_count(table, direct->result.answered);
    table_count(table, load_errors(&direct->result));
    figure_set(FIGURE_DIRECT_P50_MS, histogram_percentile_ms(latency, 500000));
    figure_set(FIGURE_DIRECT_P99_MS, histogram_percentile_ms(latency, 990000));
    figure_set(FIGURE_DIRECT_P999_MS, histogram_percentile_ms(latency, 999000));
}

static enum outcome judge(const struct direct *direct, uint64_t events) {
    uint64_t expected = direct->result.answered * MEMBERS, problems = streams_problem_count(direct->streams);
    if (events == expected && problems == 0 && load_errors(&direct->result) == 0 && events > 0)
        return OUTCOME_OK;
    complain("direct: %llu events came of %llu, %llu posts failed: %s %s", (unsigned long long)events, (unsigned long long)expected,
             (unsigned long long)load_errors(&direct->result), direct->result.problem, streams_problems(direct->streams)->first);
    return OUTCOME_FAILED;
}

static enum outcome run_load(struct direct *direct) {
    const struct options *options = direct->options;
    const struct fanout fanout = {
        .plan = {
            .port = direct->server.port,
            .connection_count = CONNECTIONS,
            .duration_ns = options->seconds * NS_PER_SECOND,
            .rate_per_second = options->direct_rate,
            .expected_status = 201,
            .driver = &direct_driver,
            .context = direct,
        },
        .streams = direct->streams,
        .stream_count = MEMBERS, /* events of a message */
        .server_pid = direct->server.pid,
        .settle_ns = options->settle_seconds * NS_PER_SECOND,
    };
    struct fanout_result fanned_out;
    if (fanout_run(&fanout, &direct->result, &fanned_out))
        return OUTCOME_FAILED;
    add_row(direct, fanned_out.events);
    return judge(direct, fanned_out.events);
}

static enum outcome run(struct direct *direct) {
    const struct options *options = direct->options;
    uint32_t stream_count = bench_streams_possible(options->direct_streams);
    uint32_t chat_count = options->direct_chats < stream_count ? options->direct_chats : stream_count;
    struct population_shape shape = { stream_count, chat_count, MEMBERS, CHAT_STRIDE };
    complain("direct: %u streams, %u chats", stream_count, chat_count);
    if (server_prepare(options, &direct->server) || population_create_direct(&direct->server, &shape, &direct->population) ||
        server_start(&direct->server))
        return OUTCOME_FAILED;
    direct->streams = streams_new(direct->server.port, stream_count, 1);
    if (!direct->streams || streams_open_to(direct->streams, &direct->population, stream_count))
        return OUTCOME_FAILED;
    enum outcome outcome = run_load(direct);
    streams_free(direct->streams);
    direct->streams = NULL;
    return server_stop(&direct->server) ? OUTCOME_FAILED : outcome;
}

enum outcome scenario_direct(const struct options *options) {
    static const char *const columns[] = { "what", "posts/s", TABLE_LATENCY_COLUMNS, "events or posts", "errors", NULL };
    struct direct *direct = calloc(1, sizeof *direct);
    if (!direct)
        return OUTCOME_FAILED;
    char title[200];
    snprintf(title, sizeof title,
             "direct: %u posts/s over %u direct chats on %u connections, a stream for each of %u users; both members get each message",
             options->direct_rate, options->direct_chats, CONNECTIONS, options->direct_streams);
    direct->options = options;
    direct->random_state = now_ns();
    table_start(&direct->table, title, columns);
    enum outcome outcome = run(direct);
    table_print(&direct->table);
    streams_free(direct->streams);
    population_release(&direct->population);
    server_release(&direct->server);
    free(direct);
    return outcome;
}
