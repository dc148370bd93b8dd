/* What other servers do of a stream's work, in the same run: the same message to so many streams, and the memory of an idle one.
 *
 * Their messages are the text alone (Parley's events are three times as long), nothing of them is on a disk, and nobody asks whether a stream may have them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "fanout.h"
#include "figures.h"
#include "peer.h"
#include "plot.h"
#include "post.h"
#include "report.h"
#include "streams.h"

#define NCHAN_IDLE_MAX 18000 /* it needs descriptors besides, and closes what it has no room for */
#define SAMPLED_STREAMS 64
#define CHANCES 3
#define PUSHPIN_STREAMS_MAX 1000 /* it takes seconds for each message to more */
#define ATTEMPTS 100
#define ATTEMPT_MS 100
#define SETTLE_NS NS_PER_SECOND
#define LOST_NS (5 * NS_PER_SECOND) /* without any event, after which the rest counts as lost: Pushpin's often is */
#define NCHAN_MODULE "/usr/lib/nginx/modules/ngx_nchan_module.so"

/* One server that gives out event streams. */
struct kind {
    const char *name;
    const char *program; /* without which it is left out */
    const char *config;
    const char *routes; /* a second file; NULL when it needs none */
    const char *arguments[6];
    size_t port_count;
    const char *stream_path;
    size_t publish_port; /* which of the peer's ports takes messages */
    int published_status;
    size_t (*write_request)(const struct post *post, uint16_t port, char *bytes);
};

struct peers {
    const struct options *options;
    const struct kind *kind;
    struct peer peer;
    struct stream_set *streams;
    uint64_t last_stamp_ns;
    struct id_sum expected;
    struct load_result result;
    struct table *table, *memory_table;
};

/* ---- Messages ---- */

static size_t write_nchan_request(const struct post *post, uint16_t port, char *bytes) {
    char text[BENCH_TEXT_BYTES_MAX + 1];
    post_write_text(post, text);
    return (size_t)snprintf(bytes, HTTP_REQUEST_BYTES_MAX,
                            "POST /publish HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: text/json\r\nContent-Type: text/plain\r\n"
                            "Content-Length: %u\r\n\r\n%s",
                            port, post->text_bytes, text);
}

static size_t write_pushpin_request(const struct post *post, uint16_t port, char *bytes) {
    static const char start[] = "{\"items\":[{\"channel\":\"test\",\"formats\":{\"http-stream\":{\"content\":\"data: ";
    static const char end[] = "\\n\\n\"}}}]}";
    char text[BENCH_TEXT_BYTES_MAX + 1];
    post_write_text(post, text);
    return (size_t)snprintf(bytes, HTTP_REQUEST_BYTES_MAX,
                            "POST /publish/ HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
                            "%s%s%s",
                            port, strlen(start) + post->text_bytes + strlen(end), start, text, end);
}

/* A message is known by its stamp, so no two have the same. */
static size_t peers_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct peers *peers = context;
    (void)connection;
    uint64_t stamp_ns = time_ns > peers->last_stamp_ns ? time_ns : peers->last_stamp_ns + 1;
    struct post post = { .time_ns = stamp_ns, .text_bytes = peers->options->text_bytes };
    peers->last_stamp_ns = stamp_ns;
    id_sum_add(&peers->expected, stamp_ns);
    return peers->kind->write_request(&post, peers->peer.ports[peers->kind->publish_port], bytes);
}

static const struct load_driver peers_driver = { .write_request = peers_write_request };

static const struct kind nchan = {
    .name = "Nchan",
    .program = NCHAN_MODULE,
    .config = "nchan.conf",
    .arguments = { "nginx", "-c", "@FOLDER@/nchan.conf", NULL },
    .port_count = 1,
    .stream_path = "/events",
    .published_status = 201,
    .write_request = write_nchan_request,
};

static const struct kind pushpin = {
    .name = "Pushpin",
    .program = "pushpin",
    .config = "pushpin.conf",
    .routes = "pushpin.routes",
    .arguments = { "pushpin", "--config=@FOLDER@/pushpin.conf", NULL },
    .port_count = 4,
    .stream_path = "/stream",
    .publish_port = 1,
    .published_status = 200,
    .write_request = write_pushpin_request,
};

/* ---- The servers ---- */

/* Pushpin takes connections a while before all of its processes know each other. */
static enum outcome wait_for_first_stream(const struct peers *peers) {
    struct stream_set *probe = NULL;
    for (unsigned attempt = 0; attempt < ATTEMPTS && !bench_interrupted(); attempt++) {
        probe = streams_new_of_peer(peers->peer.ports[0], 1, 0, peers->kind->stream_path);
        if (!probe)
            return OUTCOME_FAILED;
        bool serves = streams_try_one(probe);
        streams_free(probe);
        if (serves)
            return OUTCOME_OK;
        process_sleep_ms(ATTEMPT_MS);
    }
    complain("%s gives no stream", peers->kind->name);
    return OUTCOME_FAILED;
}

static enum outcome start_peer(struct peers *peers) {
    const struct kind *kind = peers->kind;
    if (peer_prepare(peers->options, kind->name, &peers->peer) || peer_configure(&peers->peer, kind->config, NULL) ||
        (kind->routes && peer_configure(&peers->peer, kind->routes, NULL)))
        return OUTCOME_FAILED;
    return peer_start(&peers->peer, kind->port_count, kind->arguments) ? OUTCOME_FAILED : wait_for_first_stream(peers);
}

static void stop_peer(struct peers *peers) {
    streams_free(peers->streams);
    peers->streams = NULL;
    peer_release(&peers->peer);
}

static enum outcome open_streams(struct peers *peers, uint32_t count) {
    peers->streams = streams_new_of_peer(peers->peer.ports[0], count, count / SAMPLED_STREAMS + 1, peers->kind->stream_path);
    return peers->streams ? streams_open_to(peers->streams, NULL, count) : OUTCOME_FAILED;
}

/* ---- Deliveries ---- */

static void add_row(struct peers *peers, uint32_t count, const struct fanout_result *fanned_out) {
    struct table *table = peers->table;
    table_cell(table, "%s", peers->kind->name);
    table_cell(table, "%u", count);
    table_count(table, peers->result.answered);
    table_count(table, fanned_out->events);
    table_count(table, fanout_rate(fanned_out));
    table_cell(table, "%.2f", fanout_cost_us(fanned_out));
    table_latencies(table, streams_latency(peers->streams));
    table_count(table, load_errors(&peers->result) + streams_problem_count(peers->streams));
    table_cell(table, "%u", streams_differing(peers->streams, &peers->expected));
}

static enum outcome run_deliveries(struct peers *peers, uint32_t count, struct fanout_result *ret_result) {
    const struct options *options = peers->options;
    const struct fanout fanout = {
        .plan = {
            .port = peers->peer.ports[peers->kind->publish_port],
            .connection_count = options->poster_count,
            .duration_ns = options->seconds * NS_PER_SECOND,
            .expected_status = peers->kind->published_status,
            .driver = &peers_driver,
            .context = peers,
        },
        .streams = peers->streams,
        .stream_count = count,
        .events_ahead = options->events_ahead > 0 && options->events_ahead < count ? count : options->events_ahead,
        .server_pid = peers->peer.pid,
        .settle_ns = LOST_NS,
    };
    return fanout_run(&fanout, &peers->result, ret_result);
}

static void note_problem(const struct peers *peers, uint32_t count) {
    const char *problem = peers->result.problem[0] ? peers->result.problem : streams_problems(peers->streams)->first;
    if (problem[0])
        complain("peers: %s, %u streams: %s", peers->kind->name, count, problem);
}

static enum outcome try_deliveries(struct peers *peers, uint32_t count, enum figure figure) {
    struct fanout_result fanned_out;
    const char *name = peers->kind->name;
    peers->expected = (struct id_sum){ 0 };
    if (start_peer(peers) || open_streams(peers, count) || run_deliveries(peers, count, &fanned_out))
        return OUTCOME_FAILED;
    add_row(peers, count, &fanned_out);
    note_problem(peers, count);
    figure_set(figure, (double)fanout_rate(&fanned_out));
    plot_add(PLOT_EVENTS, name, count, (double)fanout_rate(&fanned_out));
    plot_add(PLOT_COST, name, count, fanout_cost_us(&fanned_out));
    return OUTCOME_OK;
}

/* A peer that refuses a stream when the machine is busy gets more than one chance; without a figure the goal says that nothing was measured. */
static void measure_deliveries(struct peers *peers, const struct kind *kind, uint32_t count, enum figure figure) {
    enum outcome outcome = OUTCOME_FAILED;
    peers->kind = kind;
    for (unsigned chance = 0; chance < CHANCES && outcome != OUTCOME_OK && !bench_interrupted(); chance++) {
        complain("peers: %s, %u streams", kind->name, count);
        outcome = try_deliveries(peers, count, figure);
        stop_peer(peers);
    }
}

static enum figure nchan_figure(uint32_t count) {
    return count == 1000 ? FIGURE_NCHAN_EVENTS_1000 : count == 10000 ? FIGURE_NCHAN_EVENTS_10000 : FIGURE_NONE;
}

static bool is_there(const struct kind *kind) {
    bool there = process_is_installed(kind->program);
    if (!there)
        complain("peers: %s is not installed (scripts/install.sh bench)", kind->name);
    return there;
}

static void measure_all_deliveries(struct peers *peers) {
    const struct size_list *sizes = &peers->options->streams;
    for (size_t i = 0; is_there(&nchan) && i < sizes->count && !bench_interrupted(); i++) {
        uint32_t count = bench_streams_possible(sizes->values[i]);
        measure_deliveries(peers, &nchan, count, nchan_figure(count));
    }
    for (size_t i = 0; is_there(&pushpin) && i < sizes->count && sizes->values[i] <= PUSHPIN_STREAMS_MAX && !bench_interrupted(); i++)
        measure_deliveries(peers, &pushpin, sizes->values[i], sizes->values[i] == 1000 ? FIGURE_PUSHPIN_EVENTS_1000 : FIGURE_NONE);
}

/* ---- Memory ---- */

static enum outcome measure_memory(struct peers *peers, uint32_t count) {
    struct process_memory before, after;
    if (process_read_group_memory(peers->peer.pid, &before) || open_streams(peers, count))
        return OUTCOME_FAILED;
    streams_read_for(peers->streams, SETTLE_NS);
    if (process_read_group_memory(peers->peer.pid, &after))
        return OUTCOME_FAILED;
    double bytes = ((double)after.resident_bytes - (double)before.resident_bytes) / count;
    table_cell(peers->memory_table, "%s", peers->kind->name);
    table_cell(peers->memory_table, "%u", count);
    table_cell(peers->memory_table, "%.1f", (double)before.resident_bytes / (1 << 20));
    table_cell(peers->memory_table, "%.1f", (double)after.resident_bytes / (1 << 20));
    table_cell(peers->memory_table, "%.0f", bytes);
    figure_set(FIGURE_NCHAN_STREAM_BYTES, bytes);
    return OUTCOME_OK;
}

static enum outcome measure_nchan_memory(struct peers *peers) {
    const struct size_list *sizes = &peers->options->idle_streams;
    uint32_t count = bench_streams_possible(sizes->values[sizes->count - 1]);
    if (count > NCHAN_IDLE_MAX)
        count = NCHAN_IDLE_MAX;
    if (!is_there(&nchan))
        return OUTCOME_OK;
    peers->kind = &nchan;
    complain("peers: Nchan, %u idle streams", count);
    enum outcome outcome = start_peer(peers) ? OUTCOME_FAILED : measure_memory(peers, count);
    stop_peer(peers);
    return outcome;
}

enum outcome scenario_peers_streams(const struct options *options) {
    static const char *const columns[] = { "server", "streams",       "posts", "events", "events/s", "CPU us/event", TABLE_LATENCY_COLUMNS,
                                           "errors", "streams wrong", NULL };
    static const char *const memory_columns[] = { "server", "idle streams", "before MiB", "RSS MiB", "bytes/stream", NULL };
    static struct table table, memory_table;
    static struct peers peers;
    peers = (struct peers){ .options = options, .table = &table, .memory_table = &memory_table };
    table_start(&table, "peers: one channel, back to back, a text to each stream; configurations in tests/bench/peers", columns);
    table_start(&memory_table, "peers: resident memory of all their processes", memory_columns);
    measure_all_deliveries(&peers);
    enum outcome outcome = bench_interrupted() ? OUTCOME_OK : measure_nchan_memory(&peers);
    if (table.row_count)
        table_print(&table);
    if (memory_table.row_count)
        table_print(&memory_table);
    return outcome;
}
