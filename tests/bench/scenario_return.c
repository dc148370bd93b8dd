/* Streams that all come back at once, each behind by the same number of events, while posts go on: how long until each has had what it missed, and what the posts
 * feel of it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "figures.h"
#include "http_load.h"
#include "population.h"
#include "post.h"
#include "report.h"
#include "server.h"
#include "streams.h"

#define GROUP_MEMBERS 100u
#define EVENTS_BEHIND 100u
#define POSTS_PER_SECOND 500 /* while they come back: each makes GROUP_MEMBERS events */
#define POST_CONNECTIONS 32
#define LOAD_SECONDS 5
#define LIMIT_NS (60 * NS_PER_SECOND)
#define SETTLE_NS NS_PER_SECOND

struct back {
    const struct options *options;
    struct server server;
    struct population population;
    struct stream_set *streams;
    struct id_sum *posted; /* by chat; owned */
    uint64_t random_state;
    uint32_t next_chat;
    uint64_t remaining; /* posts of the filling */
    struct load_result result;
    struct streams_return took;
    enum outcome outcome; /* of the thread */
    struct table table;
};

/* ---- Posts ---- */

static size_t back_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct back *back = context;
    const struct population_shape *shape = &back->population.shape;
    uint32_t chat = back->next_chat++ % shape->chat_count;
    back->remaining -= back->remaining > 0;
    struct post post = {
        .token = back->population.tokens[population_member(shape, chat, connection % shape->members_per_chat)],
        .chat_id = back->population.chat_ids[chat],
        .key = { random_next(&back->random_state), random_next(&back->random_state) },
        .time_ns = time_ns,
        .text_bytes = back->options->text_bytes,
        .port = back->server.port,
    };
    return post_write(&post, bytes);
}

static uint32_t chat_of(const struct back *back, const char *chat_id) {
    uint32_t chat = 0;
    while (chat + 1 < back->population.shape.chat_count && strcmp(back->population.chat_ids[chat], chat_id) != 0)
        chat++;
    return chat;
}

static bool back_on_answer(void *context, const char *body, size_t len) {
    struct back *back = context;
    char id[ID_CHARACTERS_MAX + 1], chat_id[ID_CHARACTERS_MAX + 1];
    if (!body_string(body, len, "id", id, sizeof id) || !body_string(body, len, "chat_id", chat_id, sizeof chat_id))
        return false;
    id_sum_add(&back->posted[chat_of(back, chat_id)], strtoull(id, NULL, 10));
    return true;
}

static bool back_may_send(void *context) { return ((struct back *)context)->remaining > 0; }

static const struct load_driver filling_driver = { back_write_request, back_may_send, back_on_answer, NULL };
static const struct load_driver posting_driver = { back_write_request, NULL, back_on_answer, NULL };

static enum outcome run_posts(struct back *back, const struct load_driver *driver, uint32_t rate_per_second) {
    const struct load_plan plan = {
        .port = back->server.port,
        .connection_count = POST_CONNECTIONS,
        .duration_ns = LOAD_SECONDS * NS_PER_SECOND,
        .rate_per_second = rate_per_second,
        .expected_status = 201,
        .driver = driver,
        .context = back,
    };
    return http_load_run(&plan, &back->result);
}

/* So many events for every stream: as many posts to every chat. */
static enum outcome fill(struct back *back) {
    back->remaining = (uint64_t)EVENTS_BEHIND * back->population.shape.chat_count;
    back->next_chat = 0;
    while (back->remaining > 0 && !bench_interrupted()) {
        if (run_posts(back, &filling_driver, 0))
            return OUTCOME_FAILED;
        if (load_errors(&back->result) > 0) {
            complain("return: %s", back->result.problem);
            return OUTCOME_FAILED;
        }
    }
    return OUTCOME_OK;
}

/* ---- The return ---- */

static void *return_main(void *argument) {
    struct back *back = argument;
    back->outcome = streams_come_back(back->streams, &back->population, EVENTS_BEHIND, LIMIT_NS, &back->took);
    uint64_t end_ns = now_ns() + LOAD_SECONDS * NS_PER_SECOND;
    while (back->outcome == OUTCOME_OK && now_ns() < end_ns && !bench_interrupted())
        streams_read_for(back->streams, NS_PER_SECOND / 4);
    return NULL;
}

static uint32_t count_differing(const struct back *back, uint32_t stream_count) {
    uint32_t differing = 0;
    for (uint32_t i = 0; i < stream_count; i++) {
        const struct id_sum *got = streams_messages(back->streams, i), *posted = &back->posted[i / GROUP_MEMBERS];
        differing += got->count != posted->count || got->sum != posted->sum;
    }
    return differing;
}

/* Until all that was answered came, and what should not come had its time. */
static void settle(const struct back *back, uint32_t stream_count) {
    uint64_t end_ns = now_ns() + back->options->settle_seconds * NS_PER_SECOND;
    do
        streams_read_for(back->streams, SETTLE_NS);
    while (count_differing(back, stream_count) > 0 && now_ns() < end_ns && !bench_interrupted());
}

static enum outcome come_back(struct back *back, uint32_t stream_count) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, return_main, back))
        return OUTCOME_FAILED;
    enum outcome outcome = run_posts(back, &posting_driver, POSTS_PER_SECOND);
    pthread_join(thread, NULL);
    settle(back, stream_count);
    return outcome ? outcome : back->outcome;
}

static enum outcome report_return(struct back *back, uint32_t stream_count) {
    uint32_t differing = count_differing(back, stream_count);
    uint64_t errors = load_errors(&back->result) + streams_problem_count(back->streams);
    table_cell(&back->table, "%u", stream_count);
    table_cell(&back->table, "%.2f", (double)back->took.asked_ns / NS_PER_SECOND);
    table_cell(&back->table, "%.2f", (double)back->took.live_ns / NS_PER_SECOND);
    table_count(&back->table, load_rate(&back->result));
    table_latencies(&back->table, &back->result.latency);
    table_count(&back->table, errors);
    table_cell(&back->table, "%u", differing);
    figure_set(FIGURE_RETURN_S, (double)back->took.live_ns / NS_PER_SECOND);
    figure_set(FIGURE_RETURN_ASKED_S, (double)back->took.asked_ns / NS_PER_SECOND);
    figure_set(FIGURE_RETURN_REFUSED, (double)load_errors(&back->result));
    figure_set(FIGURE_RETURN_POST_P99_MS, histogram_percentile_ms(&back->result.latency, 990000));
    if (errors > 0 || differing > 0)
        complain("return: %u streams differ, %llu errors: %s %s", differing, (unsigned long long)errors, back->result.problem,
                 streams_problems(back->streams)->first);
    return errors > 0 || differing > 0 ? OUTCOME_FAILED : OUTCOME_OK;
}

static enum outcome run(struct back *back) {
    uint32_t stream_count = bench_streams_possible(back->options->direct_streams) / GROUP_MEMBERS * GROUP_MEMBERS;
    struct population_shape shape = { stream_count, stream_count / GROUP_MEMBERS, GROUP_MEMBERS, GROUP_MEMBERS };
    complain("return: %u streams", stream_count);
    back->posted = calloc(shape.chat_count, sizeof *back->posted);
    if (!back->posted || server_prepare(back->options, &back->server) || population_create(&back->server, &shape, &back->population) ||
        server_start(&back->server))
        return OUTCOME_FAILED;
    back->streams = streams_new(back->server.port, stream_count, 0);
    if (!back->streams || streams_open_to(back->streams, &back->population, stream_count))
        return OUTCOME_FAILED;
    streams_close(back->streams);
    if (fill(back) || come_back(back, stream_count) || report_return(back, stream_count))
        return OUTCOME_FAILED;
    streams_free(back->streams);
    back->streams = NULL;
    return server_stop(&back->server);
}

enum outcome scenario_return(const struct options *options) {
    static const char *const columns[] = { "streams",       "all asked s", "live after s", "posts/s", TABLE_LATENCY_COLUMNS, "errors",
                                           "streams wrong", NULL };
    struct back *back = calloc(1, sizeof *back);
    if (!back)
        return OUTCOME_FAILED;
    char title[200];
    snprintf(title, sizeof title,
             "return: all streams come back at once, each %u events behind, in groups of %u; latency is of posts at %u/s meanwhile",
             EVENTS_BEHIND, GROUP_MEMBERS, POSTS_PER_SECOND);
    back->options = options;
    back->random_state = now_ns();
    table_start(&back->table, title, columns);
    enum outcome outcome = run(back);
    table_print(&back->table);
    streams_free(back->streams);
    population_release(&back->population);
    server_release(&back->server);
    free(back->posted);
    free(back);
    return outcome;
}
