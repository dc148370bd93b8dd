/* Memory: what an idle stream costs the server's process. What the kernel keeps for its sockets is not in these figures. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "figures.h"
#include "population.h"
#include "report.h"
#include "server.h"
#include "streams.h"

#define GOAL_BYTES_PER_STREAM 512
#define MEMBERS_PER_CHAT 10u /* every user is in one group */
#define WARM_UP_STREAMS \
    64u                    /* opened and closed before the first figure: threads, statements and the readers' page caches are then there, */
#define WARM_UP_ROUNDS 16u /* each for other users, from the last ones on */
#define SETTLE_NS NS_PER_SECOND

struct memory {
    const struct options *options;
    struct server server;
    struct population population;
    struct stream_set *streams;
    struct process_memory before; /* without streams */
    struct process_memory last;   /* of the row before */
    uint32_t last_count;
    struct table table;
};

static double mebibytes(uint64_t bytes) { return (double)bytes / (1 << 20); }

static void memory_add_row(struct memory *memory, uint32_t count, const struct process_memory *now) {
    struct table *table = &memory->table;
    double bytes = ((double)now->resident_bytes - (double)memory->before.resident_bytes) / count;
    double added_bytes = ((double)now->resident_bytes - (double)memory->last.resident_bytes) / (count - memory->last_count);
    table_cell(table, "%u", count);
    table_cell(table, "%.1f", mebibytes(memory->before.resident_bytes));
    table_cell(table, "%.1f", mebibytes(now->resident_bytes));
    table_cell(table, "%.1f", mebibytes(now->anonymous_bytes));
    table_cell(table, "%.0f", bytes);
    table_cell(table, "%.0f", added_bytes);
    table_count(table, streams_problem_count(memory->streams));
    figure_set(FIGURE_STREAM_BYTES, bytes);
    table_cell(table, "<= %d bytes: %s", GOAL_BYTES_PER_STREAM, bytes <= GOAL_BYTES_PER_STREAM ? "met" : "not met");
}

static enum outcome memory_run_row(struct memory *memory, uint32_t count) {
    struct process_memory now;
    if (count <= memory->last_count)
        return OUTCOME_OK;
    complain("memory: %u idle streams", count);
    if (streams_open_to(memory->streams, &memory->population, count))
        return OUTCOME_FAILED;
    streams_read_for(memory->streams, SETTLE_NS);
    if (server_read_memory(&memory->server, &now))
        return OUTCOME_FAILED;
    memory_add_row(memory, count, &now);
    memory->last = now;
    memory->last_count = count;
    if (streams_problem_count(memory->streams) == 0)
        return OUTCOME_OK;
    complain("memory: %llu problems, the first: %s", (unsigned long long)streams_problem_count(memory->streams),
             streams_problems(memory->streams)->first);
    return OUTCOME_FAILED;
}

/* Opens and closes one set of streams for the users before `end`. */
static enum outcome memory_warm_up_round(struct memory *memory, uint32_t end) {
    struct population part = memory->population;
    struct stream_set *streams = streams_new(memory->server.port, WARM_UP_STREAMS, 0);
    if (!streams)
        return OUTCOME_FAILED;
    part.tokens += end - WARM_UP_STREAMS;
    part.shape.user_count = WARM_UP_STREAMS;
    enum outcome outcome = streams_open_to(streams, &part, WARM_UP_STREAMS);
    streams_free(streams);
    return outcome;
}

static enum outcome memory_warm_up(struct memory *memory) {
    uint32_t end = memory->population.shape.user_count;
    for (uint32_t round = 0; round < WARM_UP_ROUNDS && end >= WARM_UP_STREAMS; round++, end -= WARM_UP_STREAMS) {
        if (memory_warm_up_round(memory, end))
            return OUTCOME_FAILED;
    }
    streams_read_for(memory->streams, SETTLE_NS);
    enum outcome outcome = server_read_memory(&memory->server, &memory->before);
    memory->last = memory->before;
    return outcome;
}

static uint32_t largest(const struct size_list *sizes) {
    uint32_t value = 0;
    for (size_t i = 0; i < sizes->count; i++)
        value = sizes->values[i] > value ? sizes->values[i] : value;
    return value;
}

static enum outcome memory_prepare(struct memory *memory) {
    uint32_t stream_count = bench_streams_possible(largest(&memory->options->idle_streams));
    uint32_t chat_count = (stream_count + MEMBERS_PER_CHAT - 1) / MEMBERS_PER_CHAT;
    struct population_shape shape = { chat_count * MEMBERS_PER_CHAT, chat_count, MEMBERS_PER_CHAT, MEMBERS_PER_CHAT };
    if (server_prepare(memory->options, &memory->server) || population_create(&memory->server, &shape, &memory->population) ||
        server_start(&memory->server))
        return OUTCOME_FAILED;
    memory->streams = streams_new(memory->server.port, stream_count, 0);
    return memory->streams ? memory_warm_up(memory) : OUTCOME_FAILED;
}

static enum outcome memory_run(struct memory *memory) {
    const struct size_list *sizes = &memory->options->idle_streams;
    if (memory_prepare(memory))
        return OUTCOME_FAILED;
    for (size_t i = 0; i < sizes->count && !bench_interrupted(); i++) {
        if (memory_run_row(memory, bench_streams_possible(sizes->values[i])))
            return OUTCOME_FAILED;
    }
    streams_free(memory->streams);
    memory->streams = NULL;
    return server_stop(&memory->server);
}

enum outcome scenario_memory(const struct options *options) {
    static const char *const columns[] = { "idle streams", "before MiB", "RSS MiB", "of it anonymous", "bytes/stream", "bytes/added stream",
                                           "errors",       "goal",       NULL };
    struct memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return OUTCOME_FAILED;
    memory->options = options;
    table_start(&memory->table,
                "memory: the server's resident memory; a user for each stream, each in a group of 10; kernel sockets not included",
                columns);
    enum outcome outcome = memory_run(memory);
    table_print(&memory->table);
    streams_free(memory->streams);
    population_release(&memory->population);
    server_release(&memory->server);
    free(memory);
    return outcome;
}
