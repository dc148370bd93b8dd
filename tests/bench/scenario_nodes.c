/* Many nodes on one database: what they post together, and how long a message takes from a post on one node to a stream on another.
 *
 * Each node has a load of its own, in a thread of its own. Rows go on with the same database. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "http_load.h"
#include "nodes.h"
#include "population.h"
#include "post.h"
#include "report.h"
#include "streams.h"

#define CONNECTIONS 256 /* over all nodes */
#define DELIVERY_RATE 200
#define DELIVERY_CONNECTIONS 8
#define STREAM_COUNT 64 /* on the last node, one for each user of the first chats */
#define SETTLE_NS NS_PER_SECOND

struct node_load {
    struct nodes *nodes;
    uint32_t node;
    uint32_t node_count;
    uint64_t random_state;
    pthread_t thread;
    enum outcome outcome;
    struct load_plan plan;
    struct load_result result;
};

struct many {
    struct nodes nodes;
    struct node_load loads[NODES_MAX];
    struct stream_set *streams;
    struct table table;
};

/* ---- Requests ---- */

/* Connections of all nodes are numbered through, so that every chat is posted to by several nodes. */
static size_t nodes_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct node_load *load = context;
    const struct population *population = &load->nodes->population;
    const struct population_shape *shape = &population->shape;
    uint32_t number = connection * load->node_count + load->node;
    uint32_t chat = number / load->node_count % shape->chat_count;
    uint32_t member = number / shape->chat_count % shape->members_per_chat;
    struct post post = {
        .token = population->tokens[population_member(shape, chat, member)],
        .chat_id = population->chat_ids[chat],
        .key = { random_next(&load->random_state), random_next(&load->random_state) },
        .time_ns = time_ns,
        .text_bytes = load->nodes->options->text_bytes,
        .port = load->plan.port,
    };
    return post_write(&post, bytes);
}

static const struct load_driver nodes_driver = { .write_request = nodes_write_request };

static void prepare_load(struct many *many, uint32_t node, uint32_t connections, uint32_t rate_per_second) {
    struct node_load *load = &many->loads[node];
    load->nodes = &many->nodes;
    load->node = node;
    load->node_count = many->nodes.count;
    load->random_state = now_ns() + mix64(node);
    load->plan = (struct load_plan){
        .port = many->nodes.servers[node].port,
        .connection_count = connections,
        .duration_ns = many->nodes.options->seconds * NS_PER_SECOND,
        .rate_per_second = rate_per_second,
        .expected_status = 201,
        .driver = &nodes_driver,
        .context = load,
    };
}

static void *load_main(void *argument) {
    struct node_load *load = argument;
    load->outcome = http_load_run(&load->plan, &load->result);
    return NULL;
}

/* ---- Rows ---- */

static enum outcome judge(const struct many *many, uint32_t loads) {
    enum outcome outcome = OUTCOME_OK;
    for (uint32_t i = 0; i < loads; i++) {
        const struct load_result *result = &many->loads[i].result;
        if (many->loads[i].outcome == OUTCOME_OK && load_errors(result) == 0)
            continue;
        complain("nodes: node %u: %llu errors, the first: %s", i, (unsigned long long)load_errors(result), result->problem);
        outcome = OUTCOME_FAILED;
    }
    return outcome;
}

static void add_row(struct many *many, const char *what, uint64_t rate, const struct histogram *latency, uint64_t count) {
    struct table *table = &many->table;
    table_cell(table, "%u", many->nodes.count);
    table_cell(table, "%s", what);
    table_count(table, rate);
    table_latencies(table, latency);
    table_count(table, count);
}

/* Closed loop: all nodes together have the connections. */
static enum outcome run_posts(struct many *many) {
    uint32_t count = many->nodes.count, started = 0;
    struct load_result *first = &many->loads[0].result;
    uint64_t rate = 0, answered = 0;
    for (; started < count; started++) {
        prepare_load(many, started, CONNECTIONS / count, 0);
        if (pthread_create(&many->loads[started].thread, NULL, load_main, &many->loads[started]) != 0)
            break;
    }
    for (uint32_t i = 0; i < started; i++)
        pthread_join(many->loads[i].thread, NULL);
    if (started < count || judge(many, count))
        return OUTCOME_FAILED;
    for (uint32_t i = 0; i < count; i++) {
        rate += load_rate(&many->loads[i].result);
        answered += many->loads[i].result.answered;
        if (i > 0)
            histogram_add(&first->latency, &many->loads[i].result.latency);
    }
    add_row(many, "posts, closed loop", rate, &first->latency, answered);
    return OUTCOME_OK;
}

/* Posts on the first node, streams on the last. */
static enum outcome run_delivery(struct many *many) {
    struct node_load *load = &many->loads[0];
    uint64_t received = streams_received(many->streams);
    prepare_load(many, 0, DELIVERY_CONNECTIONS, DELIVERY_RATE);
    streams_reset_latency(many->streams);
    if (streams_start_reader(many->streams))
        return OUTCOME_FAILED;
    load->outcome = http_load_run(&load->plan, &load->result);
    nanosleep(&(struct timespec){ .tv_sec = SETTLE_NS / NS_PER_SECOND }, NULL);
    streams_stop_reader(many->streams);
    received = streams_received(many->streams) - received;
    add_row(many, "post to event on another node", load_rate(&load->result), streams_latency(many->streams), received);
    if (streams_problem_count(many->streams) > 0 || received != load->result.answered * many->nodes.population.shape.members_per_chat) {
        complain("nodes: %llu posts made %llu events; %s", (unsigned long long)load->result.answered, (unsigned long long)received,
                 streams_problems(many->streams)->first);
        return OUTCOME_FAILED;
    }
    return judge(many, 1);
}

static enum outcome run_with_streams(struct many *many) {
    many->streams = streams_new(many->nodes.servers[many->nodes.count - 1].port, STREAM_COUNT, 1);
    if (!many->streams || streams_open_to(many->streams, &many->nodes.population, STREAM_COUNT))
        return OUTCOME_FAILED;
    enum outcome outcome = run_delivery(many);
    streams_free(many->streams);
    many->streams = NULL;
    return outcome;
}

static enum outcome run(struct many *many) {
    static const uint32_t counts[] = { 1, 2, NODES_MAX };
    const struct options *options = many->nodes.options;
    /* A stream for every user: each message goes to as many streams as its chat has members. */
    struct population_shape shape = { STREAM_COUNT, options->chat_count, options->members_per_chat, 1 };
    if (nodes_prepare(&many->nodes, &shape))
        return OUTCOME_FAILED;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && !bench_interrupted(); i++) {
        complain("nodes: %u", counts[i]);
        if (nodes_start_to(&many->nodes, counts[i]) || run_posts(many) || (counts[i] > 1 && run_with_streams(many)))
            return OUTCOME_FAILED;
    }
    return nodes_stop(&many->nodes);
}

enum outcome scenario_nodes(const struct options *options) {
    static const char *const columns[] = { "nodes", "what", "posts/s", TABLE_LATENCY_COLUMNS, "posts or events", NULL };
    if (!nodes_are_possible("nodes"))
        return OUTCOME_OK;
    struct many *many = calloc(1, sizeof *many);
    if (!many)
        return OUTCOME_FAILED;
    char title[200];
    snprintf(title, sizeof title,
             "nodes: on one database, %s Redis; %u connections over all nodes; %u posts/s on one node for deliveries on another",
             getenv("PARLEY_REDIS") ? "with" : "without", CONNECTIONS, DELIVERY_RATE);
    many->nodes.options = options;
    table_start(&many->table, title, columns);
    enum outcome outcome = run(many);
    table_print(&many->table);
    streams_free(many->streams);
    nodes_release(&many->nodes);
    free(many);
    return outcome;
}
