/* A crowd: one group with a stream for every member, spread over the processes of several nodes, and how long a message takes to the last of them.
 *
 * Each node's streams are read by a process of their own, because a process has too few descriptors for all. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "http.h"
#include "nodes.h"
#include "population.h"
#include "post.h"
#include "report.h"
#include "streams.h"

#define LOOK_NS NS_PER_MS
#define MESSAGES_PER_SECOND_OF_LOAD 4
#define OPEN_LIMIT_NS (300 * NS_PER_SECOND)

/* What a reading process tells, and is told; in memory that it shares with the bench. */
struct reading {
    _Atomic bool ready;
    _Atomic uint64_t received;
    _Atomic uint64_t last_ns;
    _Atomic bool over;      /* set by the bench, after `expected` */
    struct id_sum expected; /* messages that every stream must have had, and no other */
    uint32_t differing;     /* streams that have not */
    uint64_t problems;
    char first[STREAM_PROBLEM_BYTES];
};

struct crowd {
    struct nodes nodes;
    uint32_t per_node;        /* streams */
    struct reading *readings; /* NODES_MAX, shared */
    pid_t readers[NODES_MAX];
    struct process_memory before[NODES_MAX];
    struct histogram last; /* from the post to the event at the last stream */
    struct id_sum posted;
    uint64_t random_state;
    struct table table;
};

static void pause_for_look(void) { nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL); }

/* ---- The reading processes ---- */

/* The members whose streams are on one node. */
static struct population part_of(const struct crowd *crowd, uint32_t node) {
    struct population part = crowd->nodes.population;
    part.tokens += (size_t)node * crowd->per_node;
    part.shape.user_count = crowd->per_node;
    return part;
}

static void follow(struct stream_set *streams, struct reading *reading) {
    while (!atomic_load(&reading->over) && !bench_interrupted()) {
        streams_read_for(streams, LOOK_NS);
        atomic_store(&reading->last_ns, streams_last_received_ns(streams));
        atomic_store(&reading->received, streams_received(streams));
    }
}

static enum outcome read_streams(const struct crowd *crowd, uint32_t node) {
    struct reading *reading = &crowd->readings[node];
    struct population part = part_of(crowd, node);
    struct stream_set *streams = streams_new(crowd->nodes.servers[node].port, crowd->per_node, 0);
    if (!streams || streams_open_to(streams, &part, crowd->per_node))
        return OUTCOME_FAILED;
    atomic_store(&reading->ready, true);
    follow(streams, reading);
    reading->differing = streams_differing(streams, &reading->expected);
    reading->problems = streams_problem_count(streams);
    memcpy(reading->first, streams_problems(streams)->first, sizeof reading->first);
    streams_free(streams);
    return OUTCOME_OK;
}

static bool start_reader(struct crowd *crowd, uint32_t node) {
    pid_t parent = getpid();
    crowd->readers[node] = fork();
    if (crowd->readers[node] != 0)
        return crowd->readers[node] > 0;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
        _exit(1);
    _exit(read_streams(crowd, node) == OUTCOME_OK ? 0 : 1);
}

static enum outcome start_readers(struct crowd *crowd) {
    uint64_t start_ns = now_ns();
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        if (!start_reader(crowd, node))
            return OUTCOME_FAILED;
    }
    for (uint32_t node = 0; node < NODES_MAX;) {
        int status;
        if (atomic_load(&crowd->readings[node].ready))
            node++;
        else if (waitpid(crowd->readers[node], &status, WNOHANG) != 0 || now_ns() - start_ns > OPEN_LIMIT_NS || bench_interrupted())
            return OUTCOME_FAILED;
        else
            pause_for_look();
    }
    complain("crowd: %u streams are open after %.1f s", NODES_MAX * crowd->per_node, (double)(now_ns() - start_ns) / NS_PER_SECOND);
    return OUTCOME_OK;
}

static enum outcome end_readers(struct crowd *crowd) {
    enum outcome outcome = OUTCOME_OK;
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        struct reading *reading = &crowd->readings[node];
        int status = 0;
        reading->expected = crowd->posted;
        atomic_store(&reading->over, true);
        if (crowd->readers[node] <= 0)
            continue;
        bool ended = waitpid(crowd->readers[node], &status, 0) == crowd->readers[node] && status == 0;
        crowd->readers[node] = 0;
        if (ended && reading->differing == 0 && reading->problems == 0)
            continue;
        complain("crowd: node %u: %u streams did not get exactly what was posted, %llu problems %s", node, reading->differing,
                 (unsigned long long)reading->problems, reading->first);
        outcome = OUTCOME_FAILED;
    }
    return outcome;
}

/* ---- Messages ---- */

static uint64_t received(const struct crowd *crowd, uint64_t *ret_last_ns) {
    uint64_t sum = 0;
    *ret_last_ns = 0;
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        uint64_t last_ns = atomic_load(&crowd->readings[node].last_ns);
        sum += atomic_load(&crowd->readings[node].received);
        *ret_last_ns = last_ns > *ret_last_ns ? last_ns : *ret_last_ns;
    }
    return sum;
}

/* On each node in turn, by a member whose stream is there. */
static enum outcome post_one(struct crowd *crowd, uint32_t number, uint64_t *ret_sent_ns) {
    char bytes[HTTP_REQUEST_BYTES_MAX], body[BENCH_TEXT_BYTES_MAX + 1024], id[ID_CHARACTERS_MAX + 1];
    uint32_t node = number % NODES_MAX;
    *ret_sent_ns = now_ns();
    const struct post post = {
        .token = crowd->nodes.population.tokens[(size_t)node * crowd->per_node],
        .chat_id = crowd->nodes.population.chat_ids[0],
        .key = { random_next(&crowd->random_state), random_next(&crowd->random_state) },
        .time_ns = *ret_sent_ns,
        .text_bytes = crowd->nodes.options->text_bytes,
        .port = crowd->nodes.servers[node].port,
    };
    const struct http_call call = {
        .port = post.port, .what = "POST of a message", .bytes = bytes, .len = post_write(&post, bytes), .expected_status = 201
    };
    if (http_call(&call, body, sizeof body) || !body_string(body, strlen(body), "id", id, sizeof id))
        return OUTCOME_FAILED;
    id_sum_add(&crowd->posted, strtoull(id, NULL, 10));
    return OUTCOME_OK;
}

/* The next message waits until every stream has the last. */
static enum outcome run_message(struct crowd *crowd, uint32_t number) {
    uint64_t sent_ns, last_ns, limit_ns = crowd->nodes.options->settle_seconds * NS_PER_SECOND;
    if (post_one(crowd, number, &sent_ns))
        return OUTCOME_FAILED;
    uint64_t expected = crowd->posted.count * crowd->per_node * NODES_MAX;
    while (received(crowd, &last_ns) < expected) {
        if (now_ns() - sent_ns > limit_ns || bench_interrupted()) {
            complain("crowd: of message %u %llu events are missing", number, (unsigned long long)(expected - received(crowd, &last_ns)));
            return OUTCOME_FAILED;
        }
        pause_for_look();
    }
    histogram_record(&crowd->last, last_ns - sent_ns);
    return OUTCOME_OK;
}

/* ---- The run ---- */

static enum outcome read_memories(const struct crowd *crowd, struct process_memory memories[NODES_MAX]) {
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        if (server_read_memory(&crowd->nodes.servers[node], &memories[node]))
            return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

static enum outcome add_rows(struct crowd *crowd) {
    struct process_memory now[NODES_MAX];
    if (read_memories(crowd, now))
        return OUTCOME_FAILED;
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        struct table *table = &crowd->table;
        table_cell(table, "%u", node);
        table_count(table, crowd->per_node);
        table_cell(table, "%.1f", (double)crowd->before[node].resident_bytes / (1 << 20));
        table_cell(table, "%.1f", (double)now[node].resident_bytes / (1 << 20));
        table_latencies(table, &crowd->last);
        table_count(table, crowd->posted.count);
    }
    return OUTCOME_OK;
}

static enum outcome run(struct crowd *crowd) {
    uint32_t members = crowd->per_node * NODES_MAX;
    uint32_t messages = crowd->nodes.options->seconds * MESSAGES_PER_SECOND_OF_LOAD;
    struct population_shape shape = { members, 1, members, 0 };
    complain("crowd: making %u members", members);
    if (nodes_prepare(&crowd->nodes, &shape) || nodes_start_to(&crowd->nodes, NODES_MAX) || read_memories(crowd, crowd->before) ||
        start_readers(crowd))
        return OUTCOME_FAILED;
    for (uint32_t i = 0; i < messages; i++) {
        if (run_message(crowd, i))
            return OUTCOME_FAILED;
    }
    return add_rows(crowd);
}

enum outcome scenario_crowd(const struct options *options) {
    static const char *const columns[] = { "node", "streams", "before MiB", "RSS MiB", TABLE_LATENCY_COLUMNS, "messages", NULL };
    if (!nodes_are_possible("crowd"))
        return OUTCOME_OK;
    struct crowd *crowd = calloc(1, sizeof *crowd);
    if (!crowd)
        return OUTCOME_FAILED;
    char title[200];
    crowd->nodes.options = options;
    crowd->per_node = bench_streams_possible(options->crowd_streams / NODES_MAX);
    crowd->random_state = now_ns();
    crowd->readings = mmap(NULL, NODES_MAX * sizeof *crowd->readings, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(title, sizeof title,
             "crowd: one group of %u members with a stream each; latency from the post to the event at the last of all streams",
             crowd->per_node * NODES_MAX);
    table_start(&crowd->table, title, columns);
    setenv("PARLEY_GROUP_MAX", "100000", 0);
    enum outcome outcome = crowd->readings == MAP_FAILED ? OUTCOME_FAILED : run(crowd);
    if (crowd->readings != MAP_FAILED && end_readers(crowd))
        outcome = OUTCOME_FAILED;
    if (nodes_stop(&crowd->nodes))
        outcome = OUTCOME_FAILED;
    table_print(&crowd->table);
    nodes_release(&crowd->nodes);
    unsetenv("PARLEY_GROUP_MAX");
    if (crowd->readings != MAP_FAILED)
        munmap(crowd->readings, NODES_MAX * sizeof *crowd->readings);
    free(crowd);
    return outcome;
}
