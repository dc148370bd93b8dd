/* Durable posts: how many a second, how long each takes, and whether all that were answered are there. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "beside.h"
#include "figures.h"
#include "http_load.h"
#include "population.h"
#include "post.h"
#include "processors.h"
#include "report.h"
#include "server.h"

#define GOAL_CONNECTIONS 256
#define GOAL_POSTS_PER_SECOND 50000
#define LIMIT_ROUNDS 3 /* of a row that is judged by limits which are measured again between them */

static_assert(LIMIT_ROUNDS < BESIDE_TIMES_MAX, "limits are measured before and after each");

struct posts {
    const struct options *options;
    struct server server;
    struct population population;
    uint64_t random_state;
    uint64_t answered; /* over all rows of the server */
    struct load_result result;
    struct processors before, after; /* the load of GOAL_CONNECTIONS */
    uint64_t counted;                /* posts between these two; 0: no such row */
    struct table table;
    struct {
        double rate, p50_ms, p99_ms;
        unsigned rows;
    } sums; /* of the rows of as many connections */
    struct beside besides[BENCH_SIZES_MAX];
    size_t beside_count;
};

/* ---- Requests ---- */

/* Connection i belongs to chat i mod chat_count; connections of the same chat are its members in turn. */
static size_t posts_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct posts *posts = context;
    const struct population_shape *shape = &posts->population.shape;
    uint32_t chat = connection % shape->chat_count;
    uint32_t member = connection / shape->chat_count % shape->members_per_chat;
    struct post post = {
        .token = posts->population.tokens[population_member(shape, chat, member)],
        .chat_id = posts->population.chat_ids[chat],
        .key = { random_next(&posts->random_state), random_next(&posts->random_state) },
        .time_ns = time_ns,
        .text_bytes = posts->options->text_bytes,
        .port = posts->server.port,
    };
    return post_write(&post, bytes);
}

static const struct load_driver posts_driver = { .write_request = posts_write_request };

/* ---- Rows ---- */

static bool posts_has_goal(const struct posts *posts, uint32_t connections) {
    return connections == GOAL_CONNECTIONS && posts->options->rate_per_second == 0;
}

static void posts_add_goal(struct posts *posts, uint32_t connections) {
    const struct load_result *result = &posts->result;
    const char *latency = result->latency.max_ns < BENCH_MAX_LATENCY_NS ? "met" : "not met";
    if (!posts_has_goal(posts, connections))
        table_cell(&posts->table, "max < 1 s: %s", latency);
    else
        table_cell(&posts->table, ">= %d,000/s: %s, max < 1 s: %s", GOAL_POSTS_PER_SECOND / 1000,
                   load_rate(result) >= GOAL_POSTS_PER_SECOND ? "met" : "not met", latency);
}

/* Where a row is repeated, the means. */
static void posts_note_figures(struct posts *posts, uint32_t connections) {
    const struct load_result *result = &posts->result;
    bool is_sqlite = !getenv("PARLEY_DB");
    if (posts->options->rate_per_second)
        return;
    unsigned rows = ++posts->sums.rows;
    posts->sums.rate += (double)load_rate(result);
    posts->sums.p50_ms += histogram_percentile_ms(&result->latency, 500000);
    posts->sums.p99_ms += histogram_percentile_ms(&result->latency, 990000);
    if (connections == GOAL_CONNECTIONS)
        figure_set(is_sqlite ? FIGURE_POSTS_SQLITE : FIGURE_POSTS_MARIADB, posts->sums.rate / rows);
    if (connections == 1 && is_sqlite) {
        figure_set(FIGURE_POST_P50_MS, posts->sums.p50_ms / rows);
        figure_set(FIGURE_POST_P99_MS, posts->sums.p99_ms / rows);
    }
}

static enum outcome posts_run_load(struct posts *posts, const struct load_plan *plan) {
    struct processors before;
    processors_read(posts->server.pid, &before);
    if (http_load_run(plan, &posts->result))
        return OUTCOME_FAILED;
    if (!posts_has_goal(posts, plan->connection_count))
        return OUTCOME_OK;
    processors_read(posts->server.pid, &posts->after);
    posts->before = before;
    posts->counted = posts->result.answered;
    return OUTCOME_OK;
}

/* What a post costs all processors together says how many they could do if none were ever idle. */
static void posts_print_processors(const struct posts *posts) {
    bool is_sqlite = !getenv("PARLEY_DB");
    char title[160];
    if (posts->counted == 0)
        return;
    snprintf(title, sizeof title, "posts: where a post's processor time goes, on %d connections, %s", GOAL_CONNECTIONS,
             is_sqlite ? "SQLite" : "MariaDB, which is among all else");
    double cost_us = processors_print(title, &posts->before, &posts->after, posts->counted);
    if (cost_us > 0)
        figure_set(is_sqlite ? FIGURE_PROCESSORS_SQLITE : FIGURE_PROCESSORS_MARIADB, 1e6 * (double)sysconf(_SC_NPROCESSORS_ONLN) / cost_us);
}

static void posts_add_row(struct posts *posts, uint32_t connections, uint64_t stored) {
    const struct load_result *result = &posts->result;
    struct table *table = &posts->table;
    if (posts->options->rate_per_second)
        table_cell(table, "%u, at %u/s", connections, posts->options->rate_per_second);
    else
        table_cell(table, "%u", connections);
    table_count(table, load_rate(result));
    table_latencies(table, &result->latency);
    table_count(table, result->answered);
    table_count(table, load_errors(result));
    table_cell(table, "%+lld", (long long)(stored - posts->answered));
    posts_add_goal(posts, connections);
}

static enum outcome posts_judge_answers(const struct posts *posts, uint32_t connections) {
    const struct load_result *result = &posts->result;
    if (load_errors(result) > 0)
        complain("%u connections: %llu errors, the first: %s", connections, (unsigned long long)load_errors(result), result->problem);
    if (result->answered == 0)
        complain("%u connections: nothing was answered", connections);
    if (result->latency.max_ns >= BENCH_LATE_NS)
        complain("%u connections: an answer took %.1f s", connections, (double)result->latency.max_ns / NS_PER_SECOND);
    bool passed = load_errors(result) == 0 && result->answered > 0 && result->latency.max_ns < BENCH_LATE_NS;
    return passed ? OUTCOME_OK : OUTCOME_FAILED;
}

/* A request whose answer did not come may or may not have been stored; one that was answered must be. */
static enum outcome posts_judge_stored(const struct posts *posts, uint32_t connections, uint64_t stored) {
    if (stored >= posts->answered && stored <= posts->answered + load_errors(&posts->result))
        return OUTCOME_OK;
    complain("%u connections: %llu posts were answered, %llu are stored", connections, (unsigned long long)posts->answered,
             (unsigned long long)stored);
    return OUTCOME_FAILED;
}

static enum outcome posts_run_row(struct posts *posts, uint32_t connections) {
    struct load_plan plan = {
        .port = posts->server.port,
        .connection_count = connections,
        .duration_ns = posts->options->seconds * NS_PER_SECOND,
        .rate_per_second = posts->options->rate_per_second,
        .expected_status = 201,
        .stays = connections > 1,
        .driver = &posts_driver,
        .context = posts,
    };
    uint64_t stored;
    complain("posts: %u connections", connections);
    if (posts_run_load(posts, &plan))
        return OUTCOME_FAILED;
    posts->answered += posts->result.answered;
    enum outcome outcome = posts_judge_answers(posts, connections);
    if (population_count_stored(&posts->population, posts->server.port, &stored))
        return OUTCOME_FAILED;
    posts_add_row(posts, connections, stored);
    posts_note_figures(posts, connections);
    if (posts_judge_stored(posts, connections, stored))
        outcome = OUTCOME_FAILED;
    posts->answered = stored;
    return outcome;
}

static enum outcome posts_start(struct posts *posts) {
    const struct options *options = posts->options;
    struct population_shape shape = { options->user_count, options->chat_count, options->members_per_chat, 1 };
    posts->answered = 0;
    if (server_prepare(options, &posts->server) || population_create(&posts->server, &shape, &posts->population))
        return OUTCOME_FAILED;
    return server_start(&posts->server);
}

static enum outcome posts_stop(struct posts *posts) {
    enum outcome outcome = posts->server.pid > 0 ? server_stop(&posts->server) : OUTCOME_OK;
    population_release(&posts->population);
    server_release(&posts->server);
    return outcome;
}

/* What is judged by limits of the machine that this run has measured, unless time is short. */
static bool posts_has_limits(const struct posts *posts, uint32_t connections) {
    const struct options *options = posts->options;
    double unused;
    return (connections == 1 || connections == GOAL_CONNECTIONS) && !getenv("PARLEY_DB") && !options->rate_per_second && !options->grows &&
           !options->is_quick && figure_get(FIGURE_FDATASYNC_P50_MS, &unused) && figure_get(FIGURE_EMPTY_ANSWERS, &unused);
}

static void posts_forget_sums(struct posts *posts) { memset(&posts->sums, 0, sizeof posts->sums); }

static enum outcome posts_run_row_alone(struct posts *posts, uint32_t connections) {
    enum outcome outcome = posts_start(posts);
    if (outcome == OUTCOME_OK)
        outcome = posts_run_row(posts, connections);
    return posts_stop(posts) ? OUTCOME_FAILED : outcome;
}

static enum outcome posts_run_rows_beside_limits(struct posts *posts, uint32_t connections) {
    struct beside *beside = &posts->besides[posts->beside_count++];
    double unused;
    *beside = (struct beside){
        .options = posts->options,
        .connections = connections,
        .with_ejabberd = figure_get(FIGURE_EJABBERD_POSTS, &unused),
    };
    enum outcome outcome = OUTCOME_OK;
    if (beside_measure(beside))
        return OUTCOME_FAILED;
    for (unsigned i = 0; i < LIMIT_ROUNDS && !bench_interrupted(); i++) {
        if (posts_run_row_alone(posts, connections))
            outcome = OUTCOME_FAILED;
        if (beside_measure(beside))
            return OUTCOME_FAILED;
    }
    return outcome;
}

/* A figure should not depend on the rows before it, so each has a fresh server and database, unless growth is what is asked for. */
static enum outcome posts_run(struct posts *posts) {
    enum outcome outcome = OUTCOME_OK;
    for (size_t i = 0; i < posts->options->connections.count && !bench_interrupted(); i++) {
        uint32_t connections = posts->options->connections.values[i];
        posts_forget_sums(posts);
        if (posts_has_limits(posts, connections) ? posts_run_rows_beside_limits(posts, connections)
                                                 : posts_run_row_alone(posts, connections))
            outcome = OUTCOME_FAILED;
    }
    return outcome;
}

static enum outcome posts_run_growing(struct posts *posts) {
    enum outcome outcome = posts_start(posts), started = outcome;
    for (size_t i = 0; started == OUTCOME_OK && i < posts->options->connections.count && !bench_interrupted(); i++) {
        posts_forget_sums(posts);
        if (posts_run_row(posts, posts->options->connections.values[i]))
            outcome = OUTCOME_FAILED;
    }
    return posts_stop(posts) ? OUTCOME_FAILED : outcome;
}

enum outcome scenario_posts(const struct options *options) {
    static const char *const columns[] = {
        "connections", "posts/s", TABLE_LATENCY_COLUMNS, "answered", "errors", "stored +/-", "goal", NULL
    };
    struct posts *posts = calloc(1, sizeof *posts);
    if (!posts)
        return OUTCOME_FAILED;
    char title[160];
    snprintf(title, sizeof title, "posts: durable, %u bytes, each with an Idempotency-Key; %u users in %u groups of %u; %u s a row, %s",
             options->text_bytes, options->user_count, options->chat_count, options->members_per_chat, options->seconds,
             options->grows ? "on one growing database" : "each on a fresh database");
    posts->options = options;
    posts->random_state = now_ns();
    table_start(&posts->table, title, columns);
    enum outcome outcome = options->grows ? posts_run_growing(posts) : posts_run(posts);
    table_print(&posts->table);
    for (size_t i = 0; i < posts->beside_count; i++)
        beside_print(&posts->besides[i]);
    posts_print_processors(posts);
    population_release(&posts->population);
    server_release(&posts->server);
    free(posts);
    return outcome;
}
