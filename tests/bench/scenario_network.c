/* Posts and streams over a way of 50 ms that loses packets or cuts connections: everything still arrives once and in order, and as fast as TCP lets it. What TCP allows is
 * measured beside it: the same clients, on the same way, at a server that only answers (bare.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "bench.h"
#include "fanout.h"
#include "figures.h"
#include "http_load.h"
#include "packets.h"
#include "population.h"
#include "post.h"
#include "relay.h"
#include "report.h"
#include "server.h"
#include "streams.h"

#define CHATS 8u /* each with members of its own */
#define MEMBERS 10u
#define STREAMS MEMBERS /* those of the first chat: few enough that the way is the limit and no processor */
#define CONNECTIONS 256
#define POSTERS 128
#define STREAM_TEXT_BYTES 1000u
#define MESSAGES_AHEAD 500u
#define STREAM_SECONDS_MIN 2u
#define GOAL_RATIO 0.8

static const struct way {
    const char *name;
    bool has_packets; /* else by a relay, where there is a delay */
    uint32_t delay_ms;
    uint32_t lost_per_million;
    uint32_t lifetime_ms;
    bool is_quick;
} ways[] = {
    { "loopback", false, 0, 0, 0, false },
    { "packets: 50 ms", true, 25, 0, 0, false },
    { "relay: 50 ms, cut after 2 s", false, 25, 0, 2000, true },
    { "packets: 50 ms, 1 % lost", true, 25, 10000, 0, true },
};

enum work { WORK_POSTS, WORK_POST_ALONE, WORK_EVENTS, WORK_EVENT_ALONE, WORK_COUNT };

static const struct {
    const char *name;
    bool is_rate; /* its goal is about the rate; else about the p50, for a rate of one after the other is mostly that of losses */
    enum work reference;
} works[] = {
    [WORK_POSTS] = { "posts, 256 connections", true, WORK_POSTS },
    [WORK_POST_ALONE] = { "one post at a time", false, WORK_POST_ALONE },
    [WORK_EVENTS] = { "10 streams, back to back", true, WORK_EVENTS },
    [WORK_EVENT_ALONE] = { "10 streams, one by one", false, WORK_POST_ALONE },
};

struct measurement {
    uint64_t per_second;
    uint64_t repeated; /* requests sent again, streams opened again */
    uint64_t wrong;
    struct histogram latency;
};

struct network {
    const struct options *options;
    const struct way *way;
    struct packets packets;
    struct relay relay;
    struct server server;
    struct bare bare;
    struct population population;
    struct stream_set *streams;
    uint16_t port; /* for clients: the server's, or the relay's */
    bool is_bare;
    uint64_t random_state;
    uint32_t text_bytes;
    uint64_t answered, unanswered; /* posts, by the server */
    uint64_t load_end_ns;          /* of the posts that count for the rate; 0: none was sent yet */
    uint64_t in_time;              /* answers until then */
    struct id_sum posted;          /* since the streams were opened */
    struct bare_plan bare_plan;
    struct measurement measured[WORK_COUNT], allowed[WORK_COUNT];
    uint64_t wrong; /* on all ways */
    struct load_result result;
    struct table table;
};

/* ---- Requests ---- */

/* Streams are the first chat's, so it alone is posted to while they listen; and a bare server's requests are all of one length. */
static size_t network_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct network *network = context;
    const struct population *population = &network->population;
    if (network->load_end_ns == 0)
        network->load_end_ns = time_ns + network->options->seconds * NS_PER_SECOND;
    uint32_t chat = network->streams || network->is_bare ? 0 : connection % CHATS;
    uint32_t member = network->is_bare ? 0 : connection / CHATS % MEMBERS;
    const struct post post = {
        .token = population->tokens[population_member(&population->shape, chat, member)],
        .chat_id = population->chat_ids[chat],
        .key = { random_next(&network->random_state), random_next(&network->random_state) },
        .time_ns = time_ns,
        .text_bytes = network->text_bytes,
        .port = network->server.port,
    };
    return post_write(&post, bytes);
}

static bool network_on_answer(void *context, const char *body, size_t len) {
    struct network *network = context;
    char id[ID_CHARACTERS_MAX + 1];
    network->in_time += now_ns() < network->load_end_ns;
    if (network->is_bare)
        return true;
    if (!body_string(body, len, "id", id, sizeof id))
        return false;
    id_sum_add(&network->posted, strtoull(id, NULL, 10));
    network->bare_plan.answer_bytes = network->streams ? network->bare_plan.answer_bytes : (uint32_t)len;
    return true;
}

static const struct load_driver network_driver = { .write_request = network_write_request, .on_answer = network_on_answer };

static struct load_plan plan_of(struct network *network, uint32_t connections, uint32_t seconds) {
    return (struct load_plan){
        .port = network->port,
        .connection_count = connections,
        .duration_ns = seconds * NS_PER_SECOND,
        .expected_status = 201,
        .repeated_status = 200,
        .driver = &network_driver,
        .context = network,
    };
}

/* ---- Posts ---- */

static void count_posts(struct network *network) {
    network->answered += network->result.answered;
    network->unanswered += load_errors(&network->result);
}

/* The rate is that of the time in which all connections had work: the last answer alone may be late by a second when its packets were lost. */
static enum outcome run_posts(struct network *network, uint32_t connections, struct measurement *measurement) {
    const struct load_plan plan = plan_of(network, connections, network->options->seconds);
    complain("network: %s: %s, %u connections", network->way->name, network->is_bare ? "TCP alone" : "posts", connections);
    network->load_end_ns = network->in_time = 0;
    if (http_load_run(&plan, &network->result))
        return OUTCOME_FAILED;
    measurement->per_second = network->in_time / network->options->seconds;
    measurement->latency = network->result.latency;
    measurement->repeated = network->result.repeated;
    measurement->wrong = load_errors(&network->result);
    if (!network->is_bare)
        count_posts(network);
    if (measurement->wrong > 0)
        complain("network: %s: %s", network->way->name, network->result.problem);
    return OUTCOME_OK;
}

static enum outcome run_alone(struct network *network, struct measurement *measurements) {
    return network->options->is_quick ? OUTCOME_OK : run_posts(network, 1, &measurements[WORK_POST_ALONE]);
}

/* ---- Streams ---- */

static uint32_t stream_seconds(const struct options *options) {
    return options->seconds > STREAM_SECONDS_MIN ? options->seconds : STREAM_SECONDS_MIN;
}

static uint64_t count_stream_errors(const struct network *network) {
    uint64_t differing = streams_differing(network->streams, &network->posted), problems = streams_problem_count(network->streams);
    if (differing + problems > 0)
        complain("network: %s: %llu streams differ, %llu problems: %s", network->way->name, (unsigned long long)differing,
                 (unsigned long long)problems, streams_problems(network->streams)->first);
    return differing + problems + load_errors(&network->result);
}

/* Here, too, the rate is that while posts go on: afterwards the stream that lost most catches up alone. */
static enum outcome run_fanout(struct network *network, uint32_t posters, uint32_t messages_ahead, struct measurement *measurement) {
    const struct fanout fanout = {
        .plan = plan_of(network, posters, stream_seconds(network->options)),
        .streams = network->streams,
        .stream_count = STREAMS,
        .events_ahead = messages_ahead * STREAMS,
        .server_pid = network->server.pid,
        .settle_ns = network->options->settle_seconds * NS_PER_SECOND,
    };
    struct fanout_result fanned_out;
    uint64_t returned = streams_returned(network->streams), bytes = streams_bytes(network->streams);
    complain("network: %s: streams, %u posters", network->way->name, posters);
    streams_reset_latency(network->streams);
    if (fanout_run(&fanout, &network->result, &fanned_out))
        return OUTCOME_FAILED;
    count_posts(network);
    measurement->per_second = (uint64_t)((double)fanned_out.posting_events * NS_PER_SECOND / (double)fanned_out.posting_ns);
    measurement->latency = *streams_latency(network->streams);
    measurement->repeated = network->result.repeated + streams_returned(network->streams) - returned;
    measurement->wrong = count_stream_errors(network) + (fanned_out.events == 0);
    if (fanned_out.events > 0)
        network->bare_plan.frame_bytes = (uint32_t)((streams_bytes(network->streams) - bytes) / fanned_out.events);
    return OUTCOME_OK;
}

static enum outcome run_streams(struct network *network) {
    network->text_bytes = STREAM_TEXT_BYTES;
    network->posted = (struct id_sum){ 0 };
    network->streams = streams_new(network->port, STREAMS, 1);
    if (!network->streams)
        return OUTCOME_FAILED;
    streams_let_return(network->streams);
    if (streams_open_to(network->streams, &network->population, STREAMS) ||
        (!network->options->is_quick && run_fanout(network, 1, 1, &network->measured[WORK_EVENT_ALONE])) ||
        run_fanout(network, POSTERS, MESSAGES_AHEAD, &network->measured[WORK_EVENTS]))
        return OUTCOME_FAILED;
    streams_free(network->streams);
    network->streams = NULL;
    network->text_bytes = network->options->text_bytes;
    return OUTCOME_OK;
}

/* Frames that nobody has posted: as many as come through. */
static enum outcome run_bare_streams(struct network *network) {
    struct stream_set *streams = streams_new_of_peer(network->port, STREAMS, 0, "/");
    enum outcome outcome = OUTCOME_FAILED;
    complain("network: %s: TCP alone, streams", network->way->name);
    if (streams)
        streams_let_return(streams);
    if (streams && !streams_open_to(streams, NULL, STREAMS)) {
        uint64_t start_ns = now_ns(), before = streams_received(streams);
        streams_read_for(streams, stream_seconds(network->options) * NS_PER_SECOND);
        uint64_t came = streams_received(streams) - before;
        network->allowed[WORK_EVENTS].per_second = (uint64_t)((double)came * NS_PER_SECOND / (double)(now_ns() - start_ns));
        outcome = OUTCOME_OK;
    }
    streams_free(streams);
    return outcome;
}

/* ---- One way ---- */

/* Clients reach the server at `server_port` by network->port from now on. */
static enum outcome connect_way(struct network *network, uint16_t server_port) {
    const struct way *way = network->way;
    const struct relay_plan plan = { .server_port = server_port, .delay_ms = way->delay_ms, .lifetime_ms = way->lifetime_ms };
    network->port = server_port;
    if (way->has_packets || way->delay_ms == 0)
        return OUTCOME_OK;
    relay_stop(&network->relay);
    if (relay_start(&plan, &network->relay))
        return OUTCOME_FAILED;
    network->port = network->relay.port;
    return OUTCOME_OK;
}

/* Exactly what was answered is stored: nothing was lost, and nothing that was sent twice is there twice. What had no answer may be there. */
static enum outcome check_stored(struct network *network) {
    uint64_t stored;
    if (population_count_stored(&network->population, network->server.port, &stored))
        return OUTCOME_FAILED;
    if (stored >= network->answered && stored <= network->answered + network->unanswered)
        return OUTCOME_OK;
    complain("network: %s: %llu posts were answered, %llu are stored", network->way->name, (unsigned long long)network->answered,
             (unsigned long long)stored);
    network->measured[WORK_POSTS].wrong += stored > network->answered ? stored - network->answered : network->answered - stored;
    return OUTCOME_OK;
}

static enum outcome run_parley(struct network *network) {
    const struct population_shape shape = { CHATS * MEMBERS, CHATS, MEMBERS, MEMBERS };
    network->text_bytes = network->options->text_bytes;
    if (server_prepare(network->options, &network->server) || population_create(&network->server, &shape, &network->population) ||
        server_start(&network->server) || connect_way(network, network->server.port) ||
        run_posts(network, CONNECTIONS, &network->measured[WORK_POSTS]) || run_alone(network, network->measured) || run_streams(network) ||
        check_stored(network))
        return OUTCOME_FAILED;
    return server_stop(&network->server);
}

static enum outcome run_bare(struct network *network) {
    char request[HTTP_REQUEST_BYTES_MAX];
    network->is_bare = true;
    network->bare_plan.request_bytes = (uint32_t)network_write_request(network, 0, 0, request);
    if (bare_start(&network->bare_plan, &network->bare))
        return OUTCOME_FAILED;
    if (connect_way(network, network->bare.port) || run_posts(network, CONNECTIONS, &network->allowed[WORK_POSTS]) ||
        run_alone(network, network->allowed))
        return OUTCOME_FAILED;
    return run_bare_streams(network);
}

static void release_way(struct network *network) {
    streams_free(network->streams);
    network->streams = NULL;
    network->is_bare = false;
    network->answered = network->unanswered = 0;
    relay_stop(&network->relay);
    bare_stop(&network->bare);
    population_release(&network->population);
    server_release(&network->server);
    packets_leave(&network->packets);
}

/* ---- Rows ---- */

static double ratio_of(const struct network *network, enum work work) {
    const struct measurement *measured = &network->measured[work], *allowed = &network->allowed[works[work].reference];
    if (works[work].is_rate)
        return allowed->per_second ? (double)measured->per_second / (double)allowed->per_second : 0;
    double p50_ms = histogram_percentile_ms(&measured->latency, 500000);
    return p50_ms > 0 ? histogram_percentile_ms(&allowed->latency, 500000) / p50_ms : 0;
}

static void add_comparison(struct network *network, enum work work) {
    struct table *table = &network->table;
    const struct measurement *allowed = &network->allowed[works[work].reference];
    if (network->way->delay_ms == 0) {
        for (int i = 0; i < 2; i++)
            table_cell(table, "-");
        return;
    }
    if (works[work].is_rate)
        table_count(table, allowed->per_second);
    else
        table_cell(table, "p50 %.2f ms", histogram_percentile_ms(&allowed->latency, 500000));
    table_cell(table, "%.2f", ratio_of(network, work));
}

static void add_row(struct network *network, enum work work) {
    const struct measurement *measured = &network->measured[work];
    struct table *table = &network->table;
    table_cell(table, "%s", network->way->name);
    table_cell(table, "%s", works[work].name);
    table_count(table, measured->per_second);
    table_latencies(table, &measured->latency);
    add_comparison(network, work);
    table_count(table, measured->repeated);
    table_count(table, measured->wrong);
    const char *once = measured->wrong == 0 ? "met" : "not met";
    if (network->way->delay_ms == 0)
        table_cell(table, "once, in order: %s", once);
    else
        table_cell(table, "once, in order: %s, >= %.1f of TCP: %s", once, GOAL_RATIO,
                   ratio_of(network, work) >= GOAL_RATIO ? "met" : "not met");
}

/* The goals are about the last way that could be had: the one that loses packets, or the relay. */
static void note_figures(const struct network *network) {
    figure_set(FIGURE_NETWORK_WRONG, (double)network->wrong);
    if (network->way->delay_ms == 0)
        return;
    figure_set(FIGURE_NETWORK_POSTS, (double)network->measured[WORK_POSTS].per_second);
    figure_set(FIGURE_NETWORK_TCP_POSTS, (double)network->allowed[WORK_POSTS].per_second);
    figure_set(FIGURE_NETWORK_EVENTS, (double)network->measured[WORK_EVENTS].per_second);
    figure_set(FIGURE_NETWORK_TCP_EVENTS, (double)network->allowed[WORK_EVENTS].per_second);
}

static enum outcome run_way(struct network *network) {
    const struct way *way = network->way;
    const struct packets_plan plan = { .delay_ms = way->delay_ms, .lost_per_million = way->lost_per_million };
    if (way->has_packets && !packets_enter(&plan, &network->packets)) {
        complain("network: left out: %s", way->name);
        return OUTCOME_OK;
    }
    enum outcome outcome = run_parley(network);
    if (outcome == OUTCOME_OK && way->delay_ms > 0)
        outcome = run_bare(network);
    for (enum work work = 0; outcome == OUTCOME_OK && work < WORK_COUNT; work++) {
        if (works[work].is_rate || !network->options->is_quick)
            add_row(network, work);
        network->wrong += network->measured[work].wrong;
    }
    if (outcome == OUTCOME_OK)
        note_figures(network);
    release_way(network);
    return outcome;
}

enum outcome scenario_network(const struct options *options) {
    static const char *const columns[] = { "way",   "work", "a second", TABLE_LATENCY_COLUMNS, "TCP alone", "ratio", "repeated",
                                           "wrong", "goal", NULL };
    if (getenv("PARLEY_DB")) {
        complain("network: left out, because PARLEY_DB may be in another network");
        return OUTCOME_OK;
    }
    struct network *network = calloc(1, sizeof *network);
    if (!network)
        return OUTCOME_FAILED;
    network->options = options;
    network->random_state = now_ns();
    table_start(&network->table,
                "network: the same from far away; TCP alone is a server that only answers, at the same clients on the same way", columns);
    enum outcome outcome = OUTCOME_OK;
    for (size_t i = 0; i < sizeof ways / sizeof *ways && !bench_interrupted(); i++) {
        network->way = &ways[i];
        if ((ways[i].is_quick || !options->is_quick) && run_way(network))
            outcome = OUTCOME_FAILED;
    }
    table_print(&network->table);
    if (network->wrong > 0)
        outcome = OUTCOME_FAILED;
    free(network);
    return outcome;
}
