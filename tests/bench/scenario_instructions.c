/* Instructions for a message and for a delivery, by callgrind: repeatable where times are not, so they are held against what is written down.
 *
 * One post at a time over one connection, so each is a batch of its own; the next one waits until every stream has the last. Each count is the difference of two runs
 * that only differ in how many posts there were, so what a start costs is in neither. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "http.h"
#include "population.h"
#include "post.h"
#include "process.h"
#include "report.h"
#include "server.h"
#include "streams.h"

#define MEMBERS 200u
#define FEW_POSTS 50u
#define MANY_POSTS 350u
#define STREAMS 200u /* all members: over so many what a message costs by chance does not show */
#define EXPECTED_FILE "tests/bench/instructions.txt"
#define MARGIN 0.05 /* more than this above what is written down is a regression */
#define OUT_BYTES 64

struct counting {
    const struct options *options;
    struct server server;
    struct population population;
    struct stream_set *streams;
    uint64_t random_state;
    struct table table;
};

/* ---- Posts ---- */

static enum outcome receive_created(int fd) {
    static char bytes[HTTP_ANSWER_BYTES_MAX];
    struct http_answer answer;
    size_t len = 0;
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    while (len < sizeof bytes && poll(&ready, 1, (int)(BENCH_ANSWER_LIMIT_NS / NS_PER_MS)) == 1) {
        ssize_t got = recv(fd, bytes + len, sizeof bytes - len, 0);
        if (got <= 0)
            break;
        len += (size_t)got;
        enum http_progress progress = http_parse(bytes, len, &answer);
        if (progress == HTTP_COMPLETE && answer.status == 201)
            return OUTCOME_OK;
        if (progress != HTTP_PARTIAL)
            break;
    }
    complain("instructions: a post was not answered with 201: %.*s", (int)(len < 200 ? len : 200), bytes);
    return OUTCOME_FAILED;
}

static enum outcome post_one(struct counting *counting, int fd) {
    char bytes[HTTP_REQUEST_BYTES_MAX];
    const struct post post = {
        .token = counting->population.tokens[0],
        .chat_id = counting->population.chat_ids[0],
        .key = { random_next(&counting->random_state), random_next(&counting->random_state) },
        .time_ns = now_ns(),
        .text_bytes = counting->options->text_bytes,
        .port = counting->server.port,
    };
    size_t len = post_write(&post, bytes);
    if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        return OUTCOME_FAILED;
    return receive_created(fd);
}

static enum outcome wait_for_events(struct counting *counting, uint64_t wanted) {
    uint64_t deadline_ns = now_ns() + BENCH_ANSWER_LIMIT_NS;
    while (counting->streams && streams_received(counting->streams) < wanted) {
        if (now_ns() > deadline_ns || bench_interrupted()) {
            complain("instructions: events are missing");
            return OUTCOME_FAILED;
        }
        streams_read_for(counting->streams, NS_PER_MS);
    }
    return OUTCOME_OK;
}

static enum outcome post_all(struct counting *counting, uint32_t posts) {
    int fd = http_connect(counting->server.port, 0);
    enum outcome outcome = fd >= 0 ? OUTCOME_OK : OUTCOME_FAILED;
    for (uint32_t i = 0; outcome == OUTCOME_OK && i < posts && !bench_interrupted(); i++)
        outcome = post_one(counting, fd) || wait_for_events(counting, (uint64_t)(i + 1) * STREAMS) ? OUTCOME_FAILED : OUTCOME_OK;
    if (fd >= 0)
        close(fd);
    return outcome;
}

/* ---- One run ---- */

static enum outcome read_total(const char *path, uint64_t *ret_instructions) {
    char line[256];
    unsigned long long total = 0;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "totals: %llu", &total) == 1)
            break;
    }
    if (file)
        fclose(file);
    *ret_instructions = total;
    if (total == 0)
        complain("instructions: callgrind left no totals in %s", path);
    return total > 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

static enum outcome serve_and_post(struct counting *counting, uint32_t posts, uint32_t streams) {
    if (server_start(&counting->server))
        return OUTCOME_FAILED;
    counting->streams = streams > 0 ? streams_new(counting->server.port, streams, 0) : NULL;
    if (streams > 0 && (!counting->streams || streams_open_to(counting->streams, &counting->population, streams)))
        return OUTCOME_FAILED;
    enum outcome outcome = post_all(counting, posts);
    streams_free(counting->streams);
    counting->streams = NULL;
    return server_stop(&counting->server) ? OUTCOME_FAILED : outcome;
}

/* The profile stays in build/, for callgrind_annotate. */
static enum outcome count_run(struct counting *counting, uint32_t posts, uint32_t streams, uint64_t *ret_instructions) {
    char path[OUT_BYTES], argument[OUT_BYTES + 32];
    struct population_shape shape = { MEMBERS, 1, MEMBERS, 0 };
    snprintf(path, sizeof path, "build/callgrind-%u-posts-%u-streams.out", posts, streams);
    snprintf(argument, sizeof argument, "--callgrind-out-file=%s", path);
    const char *const prefix[] = { "valgrind", "--tool=callgrind", "--fair-sched=yes", argument, NULL };
    complain("instructions: %u posts, %u streams", posts, streams);
    if (server_prepare(counting->options, &counting->server) || population_create(&counting->server, &shape, &counting->population))
        return OUTCOME_FAILED;
    counting->server.prefix = prefix;
    enum outcome outcome = serve_and_post(counting, posts, streams);
    streams_free(counting->streams);
    counting->streams = NULL;
    population_release(&counting->population);
    server_release(&counting->server);
    return outcome ? outcome : read_total(path, ret_instructions);
}

/* ---- What is written down ---- */

static uint64_t read_expected(const char *what) {
    char line[256], name[32];
    unsigned long long count, expected = 0;
    FILE *file = fopen(EXPECTED_FILE, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%31s %llu", name, &count) == 2 && strcmp(name, what) == 0)
            expected = count;
    }
    if (file)
        fclose(file);
    return expected;
}

static enum outcome judge(struct counting *counting, const char *what, double instructions) {
    uint64_t expected = read_expected(what);
    bool within = instructions <= (double)expected * (1 + MARGIN);
    table_cell(&counting->table, "%s", what);
    table_count(&counting->table, (uint64_t)instructions);
    table_count(&counting->table, expected);
    table_cell(&counting->table, "%+.1f %%", expected ? (instructions / (double)expected - 1) * 100 : 0);
    table_cell(&counting->table, "at most %+.0f %%: %s", MARGIN * 100, within ? "met" : "not met");
    if (!within)
        complain("instructions: a %s takes %.0f, %s has %llu", what, instructions, EXPECTED_FILE, (unsigned long long)expected);
    return within ? OUTCOME_OK : OUTCOME_FAILED;
}

static enum outcome run(struct counting *counting) {
    uint64_t few, many, few_with_streams, many_with_streams;
    if (count_run(counting, FEW_POSTS, 0, &few) || count_run(counting, MANY_POSTS, 0, &many) ||
        count_run(counting, FEW_POSTS, STREAMS, &few_with_streams) || count_run(counting, MANY_POSTS, STREAMS, &many_with_streams))
        return OUTCOME_FAILED;
    double posts = MANY_POSTS - FEW_POSTS;
    double message = (double)(many - few) / posts;
    double with_streams = (double)(many_with_streams - few_with_streams) / posts;
    enum outcome message_outcome = judge(counting, "message", message);
    enum outcome delivery_outcome = judge(counting, "delivery", (with_streams - message) / STREAMS);
    return message_outcome ? message_outcome : delivery_outcome;
}

enum outcome scenario_instructions(const struct options *options) {
    static const char *const columns[] = { "for one", "instructions", "written down", "difference", "goal", NULL };
    if (options->scenario_count == 0) /* it says nothing of this machine */
        return OUTCOME_OK;
    struct counting *counting = calloc(1, sizeof *counting);
    if (!counting)
        return OUTCOME_FAILED;
    if (!process_is_installed("valgrind")) {
        complain("instructions: there is no valgrind (scripts/install.sh bench)");
        free(counting);
        return OUTCOME_OK;
    }
    counting->options = options;
    counting->random_state = 1;
    table_start(&counting->table,
                "instructions: by callgrind, one post at a time in a group of 200 who all listen; the profiles are in build/", columns);
    enum outcome outcome = run(counting);
    table_print(&counting->table);
    free(counting);
    return outcome;
}
