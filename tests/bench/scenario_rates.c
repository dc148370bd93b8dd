/* How latency grows with the rate: posts in open loop at parts of the maximum, which is measured first, on the same database. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "http_load.h"
#include "plot.h"
#include "population.h"
#include "post.h"
#include "report.h"
#include "server.h"

#define CONNECTIONS 256

static const uint32_t percents[] = { 5, 10, 25, 50, 75, 90 };

struct rates {
    const struct options *options;
    struct server server;
    struct population population;
    uint64_t random_state;
    struct load_result result;
    struct table table;
};

static size_t rates_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct rates *rates = context;
    const struct population_shape *shape = &rates->population.shape;
    uint32_t chat = connection % shape->chat_count;
    struct post post = {
        .token = rates->population.tokens[population_member(shape, chat, connection / shape->chat_count % shape->members_per_chat)],
        .chat_id = rates->population.chat_ids[chat],
        .key = { random_next(&rates->random_state), random_next(&rates->random_state) },
        .time_ns = time_ns,
        .text_bytes = rates->options->text_bytes,
        .port = rates->server.port,
    };
    return post_write(&post, bytes);
}

static const struct load_driver rates_driver = { .write_request = rates_write_request };

static enum outcome run_at(struct rates *rates, uint32_t rate_per_second) {
    const struct load_plan plan = {
        .port = rates->server.port,
        .connection_count = CONNECTIONS,
        .duration_ns = rates->options->seconds * NS_PER_SECOND,
        .rate_per_second = rate_per_second,
        .expected_status = 201,
        .stays = true,
        .driver = &rates_driver,
        .context = rates,
    };
    if (http_load_run(&plan, &rates->result))
        return OUTCOME_FAILED;
    if (load_errors(&rates->result) == 0)
        return OUTCOME_OK;
    complain("rates: %s", rates->result.problem);
    return OUTCOME_FAILED;
}

/* The curves are over the rate that was asked for, which a server that cannot follow does not reach. */
static void add_row(struct rates *rates, uint32_t percent, double rate) {
    table_cell(&rates->table, "%u %%", percent);
    table_count(&rates->table, load_rate(&rates->result));
    table_latencies(&rates->table, &rates->result.latency);
    table_count(&rates->table, rates->result.answered);
    plot_add(PLOT_LATENCY, "p50", rate, histogram_percentile_ms(&rates->result.latency, 500000));
    plot_add(PLOT_LATENCY, "p99", rate, histogram_percentile_ms(&rates->result.latency, 990000));
    plot_add(PLOT_LATENCY, "p99.9", rate, histogram_percentile_ms(&rates->result.latency, 999000));
}

static enum outcome run(struct rates *rates) {
    const struct options *options = rates->options;
    struct population_shape shape = { options->user_count, options->chat_count, options->members_per_chat, 1 };
    if (server_prepare(options, &rates->server) || population_create(&rates->server, &shape, &rates->population) ||
        server_start(&rates->server) || run_at(rates, 0))
        return OUTCOME_FAILED;
    uint64_t maximum = load_rate(&rates->result);
    for (size_t i = 0; i < sizeof percents / sizeof percents[0] && !bench_interrupted(); i++) {
        uint32_t rate = (uint32_t)(maximum * percents[i] / 100);
        complain("rates: %u posts/s", rate);
        if (rate == 0 || run_at(rates, rate))
            return OUTCOME_FAILED;
        add_row(rates, percents[i], rate);
    }
    return server_stop(&rates->server);
}

enum outcome scenario_rates(const struct options *options) {
    static const char *const columns[] = { "of the maximum", "posts/s", TABLE_LATENCY_COLUMNS, "answered", NULL };
    struct rates *rates = calloc(1, sizeof *rates);
    if (!rates)
        return OUTCOME_FAILED;
    rates->options = options;
    rates->random_state = now_ns();
    table_start(&rates->table, "rates: durable posts on 256 connections, open loop; latency is from when a post was due", columns);
    enum outcome outcome = run(rates);
    table_print(&rates->table);
    population_release(&rates->population);
    server_release(&rates->server);
    free(rates);
    return outcome;
}
