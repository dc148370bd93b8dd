/* What grows with what is stored, and should not: pages of a long history, the start, and posting. A tenth of all messages is in one chat. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "figures.h"
#include "http_load.h"
#include "plot.h"
#include "population.h"
#include "post.h"
#include "report.h"
#include "server.h"
#include "stored.h"

#define FEW_MESSAGES 10000
#define BETWEEN_PART 10 /* of all messages: how many are stored between few and all */
#define FIRST_CHAT_PART 10
#define CONNECTIONS 256
#define WARM_UP_NS (NS_PER_SECOND / 2)
#define PAGE_ITEMS 50
#define TURNS 3

struct history {
    const struct options *options;
    struct server server;
    struct population population;
    uint64_t random_state;
    uint64_t first_id; /* of the first chat's messages */
    bool wants_oldest;
    struct load_result result;
    struct table *table;
};

/* ---- Requests ---- */

static size_t page_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct history *history = context;
    char cursor[40] = "";
    (void)connection, (void)time_ns;
    if (history->wants_oldest)
        snprintf(cursor, sizeof cursor, "&after=%llu", (unsigned long long)history->first_id - 1);
    return (size_t)snprintf(bytes, HTTP_REQUEST_BYTES_MAX,
                            "GET /v1/chats/%s/messages?limit=%d%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAuthorization: Bearer %s\r\n\r\n",
                            history->population.chat_ids[0], PAGE_ITEMS, cursor, history->server.port, history->population.tokens[0]);
}

/* A page is whole when it says where the next one is. */
static bool page_on_answer(void *context, const char *body, size_t len) {
    char next[ID_CHARACTERS_MAX + 1];
    (void)context;
    return body_string(body, len, "next", next, sizeof next);
}

static const struct load_driver page_driver = { .write_request = page_write_request, .on_answer = page_on_answer };

static size_t post_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct history *history = context;
    const struct population_shape *shape = &history->population.shape;
    uint32_t chat = connection % shape->chat_count;
    struct post post = {
        .token = history->population.tokens[population_member(shape, chat, connection / shape->chat_count % shape->members_per_chat)],
        .chat_id = history->population.chat_ids[chat],
        .key = { random_next(&history->random_state), random_next(&history->random_state) },
        .time_ns = time_ns,
        .text_bytes = history->options->text_bytes,
        .port = history->server.port,
    };
    return post_write(&post, bytes);
}

static const struct load_driver post_driver = { .write_request = post_write_request };

static enum outcome run_load(struct history *history, const struct load_driver *driver, uint32_t connections, uint64_t duration_ns) {
    const struct load_plan plan = {
        .port = history->server.port,
        .connection_count = connections,
        .duration_ns = duration_ns,
        .expected_status = driver == &post_driver ? 201 : 200,
        .driver = driver,
        .context = history,
    };
    if (http_load_run(&plan, &history->result))
        return OUTCOME_FAILED;
    if (load_errors(&history->result) == 0 && history->result.answered > 0)
        return OUTCOME_OK;
    complain("history: %s", history->result.problem);
    return OUTCOME_FAILED;
}

static void add_row(struct history *history, const char *what, uint64_t stored) {
    table_cell(history->table, "%s", what);
    table_count(history->table, stored);
    table_count(history->table, load_rate(&history->result));
    table_latencies(history->table, &history->result.latency);
}

static void end_row(struct history *history, uint64_t writer_ns, uint64_t checkpoint_ns) {
    double posts = (double)history->result.answered;
    table_cell(history->table, writer_ns ? "%.1f" : "-", (double)writer_ns / 1e3 / posts);
    table_cell(history->table, writer_ns ? "%.1f" : "-", (double)checkpoint_ns / 1e3 / posts);
    table_count(history->table, load_errors(&history->result));
}

/* ---- Rows ---- */

static enum outcome measure_pages(struct history *history, bool oldest, uint64_t stored) {
    history->wants_oldest = oldest;
    if (run_load(history, &page_driver, 1, WARM_UP_NS) || run_load(history, &page_driver, 1, history->options->seconds * NS_PER_SECOND))
        return OUTCOME_FAILED;
    add_row(history, oldest ? "the oldest page of 50" : "the newest page of 50", stored);
    end_row(history, 0, 0);
    figure_set(oldest ? FIGURE_FIRST_PAGE_P99_MS : FIGURE_LAST_PAGE_P99_MS, histogram_percentile_ms(&history->result.latency, 990000));
    return OUTCOME_OK;
}

static enum outcome measure_posts(struct history *history, uint64_t stored, bool is_drawn, uint64_t *ret_rate) {
    uint64_t writer_ns = server_thread_ns(&history->server, "parley-writer"), mover_ns = server_thread_ns(&history->server, "checkpoint");
    if (run_load(history, &post_driver, CONNECTIONS, history->options->seconds * NS_PER_SECOND))
        return OUTCOME_FAILED;
    writer_ns = server_thread_ns(&history->server, "parley-writer") - writer_ns;
    mover_ns = server_thread_ns(&history->server, "checkpoint") - mover_ns;
    add_row(history, "posts on 256 connections", stored);
    end_row(history, writer_ns, mover_ns);
    if (is_drawn)
        plot_add(PLOT_SIZE, "stored", (double)stored, (double)(writer_ns + mover_ns) / 1e3 / (double)history->result.answered);
    *ret_rate = load_rate(&history->result);
    return OUTCOME_OK;
}

/* A server that starts on a database of so many messages. */
static enum outcome start_with(struct history *history, uint64_t stored, double *ret_seconds) {
    const struct options *options = history->options;
    struct population_shape shape = { options->user_count, options->chat_count, options->members_per_chat, 1 };
    const struct stored_plan plan = { stored, stored / FIRST_CHAT_PART, options->text_bytes };
    complain("history: storing %llu messages", (unsigned long long)stored);
    if (server_prepare(options, &history->server) || population_create(&history->server, &shape, &history->population) ||
        stored_fill(&history->server, &history->population, &plan, &history->first_id))
        return OUTCOME_FAILED;
    uint64_t start_ns = now_ns();
    enum outcome outcome = server_start(&history->server);
    *ret_seconds = (double)(now_ns() - start_ns) / NS_PER_SECOND;
    return outcome;
}

static enum outcome stop(struct history *history) {
    enum outcome outcome = history->server.pid > 0 ? server_stop(&history->server) : OUTCOME_OK;
    population_release(&history->population);
    server_release(&history->server);
    return outcome;
}

/* Posts alone, on a server and a database of their own. */
static enum outcome measure_posts_with(const struct history *of, uint64_t stored, bool is_drawn, uint64_t *ret_rate) {
    struct history own = { .options = of->options, .table = of->table, .random_state = now_ns() };
    double seconds;
    enum outcome outcome =
        start_with(&own, stored, &seconds) || measure_posts(&own, stored, is_drawn, ret_rate) ? OUTCOME_FAILED : OUTCOME_OK;
    return stop(&own) || outcome ? OUTCOME_FAILED : OUTCOME_OK;
}

/* Machines have moods that last for minutes: few and many take turns, of which the first is drawn. Those few are a fresh database each time, because a row adds
 * more than they are. */
static enum outcome compare_posts(struct history *history, uint64_t stored) {
    uint64_t few, many, between, few_sum = 0, many_sum = 0;
    bool is_quick = history->options->is_quick;
    uint32_t turns = is_quick ? 1 : TURNS;
    for (uint32_t i = 0; i < turns; i++) {
        if (measure_posts_with(history, FEW_MESSAGES, i == 0, &few) ||
            (i == 0 && !is_quick && measure_posts_with(history, stored / BETWEEN_PART, true, &between)) ||
            measure_posts(history, stored, i == 0, &many))
            return OUTCOME_FAILED;
        few_sum += few;
        many_sum += many;
    }
    figure_set(FIGURE_GROWTH, few_sum ? (double)many_sum / (double)few_sum : 0);
    return OUTCOME_OK;
}

static enum outcome run(struct history *history) {
    uint64_t stored = history->options->stored_messages;
    double seconds;
    if (start_with(history, stored, &seconds))
        return OUTCOME_FAILED;
    complain("history: ready after %.2f s", seconds);
    figure_set(FIGURE_START_S, seconds);
    return measure_pages(history, false, stored) || measure_pages(history, true, stored) || compare_posts(history, stored) ? OUTCOME_FAILED
                                                                                                                           : OUTCOME_OK;
}

enum outcome scenario_history(const struct options *options) {
    static const char *const columns[] = {
        "what", "stored", "a second", TABLE_LATENCY_COLUMNS, "writer us", "checkpoint us", "errors", NULL
    };
    struct history *history = calloc(1, sizeof *history);
    if (!history)
        return OUTCOME_FAILED;
    if (getenv("PARLEY_DB")) {
        complain("history: left out, because its messages are written into SQLite");
        free(history);
        return OUTCOME_OK;
    }
    struct table table;
    char title[200];
    snprintf(title, sizeof title, "history: %u messages stored, a tenth of them in one chat; pages one at a time",
             options->stored_messages);
    history->options = options;
    history->random_state = now_ns();
    history->table = &table;
    table_start(history->table, title, columns);
    enum outcome outcome = run(history);
    if (stop(history))
        outcome = OUTCOME_FAILED;
    table_print(history->table);
    free(history);
    return outcome;
}
