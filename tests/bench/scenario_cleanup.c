/* Posting while a cleanup removes what is expired: a row without it, and one that lasts as long as it does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "http_load.h"
#include "media.h"
#include "population.h"
#include "post.h"
#include "report.h"
#include "server.h"

#define FILL_CONNECTIONS 256
#define POST_CONNECTIONS 64
#define DEFAULT_RATE 2000
#define SLICE_NS (2 * NS_PER_SECOND)
#define SLICES_MAX 300
#define SECONDS_FACTOR 6
#define TOLERATED_RATIO 2
#define METRICS_BYTES (64 * 1024)

struct cleanup {
    const struct options *options;
    struct server server;
    struct population population;
    uint64_t random_state;
    uint64_t head; /* position up to which everything is past retention */
    struct load_result slice, sum;
    uint64_t quiet_p99_ns;
    struct table table;
};

/* ---- Posts ---- */

static size_t cleanup_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct cleanup *cleanup = context;
    const struct population_shape *shape = &cleanup->population.shape;
    uint32_t chat = connection % shape->chat_count;
    struct post post = {
        .token = cleanup->population.tokens[population_member(shape, chat, connection / shape->chat_count % shape->members_per_chat)],
        .chat_id = cleanup->population.chat_ids[chat],
        .key = { random_next(&cleanup->random_state), random_next(&cleanup->random_state) },
        .time_ns = time_ns,
        .text_bytes = cleanup->options->text_bytes,
        .port = cleanup->server.port,
    };
    return post_write(&post, bytes);
}

static const struct load_driver cleanup_driver = { .write_request = cleanup_write_request };

static enum outcome run_slice(struct cleanup *cleanup, uint32_t connections, uint32_t rate_per_second) {
    const struct load_plan plan = {
        .port = cleanup->server.port,
        .connection_count = connections,
        .duration_ns = SLICE_NS,
        .rate_per_second = rate_per_second,
        .expected_status = 201,
        .driver = &cleanup_driver,
        .context = cleanup,
    };
    if (http_load_run(&plan, &cleanup->slice))
        return OUTCOME_FAILED;
    if (load_errors(&cleanup->slice) == 0)
        return OUTCOME_OK;
    complain("cleanup: %llu errors, the first: %s", (unsigned long long)load_errors(&cleanup->slice), cleanup->slice.problem);
    return OUTCOME_FAILED;
}

static enum outcome fill(struct cleanup *cleanup) {
    complain("cleanup: posting %u messages", cleanup->options->expired_messages);
    for (uint64_t posted = 0; posted < cleanup->options->expired_messages && !bench_interrupted();) {
        if (run_slice(cleanup, FILL_CONNECTIONS, 0))
            return OUTCOME_FAILED;
        posted += cleanup->slice.answered;
    }
    complain("cleanup: uploading %u objects", cleanup->options->expired_objects);
    return media_create(&cleanup->server, &cleanup->population, cleanup->options->expired_objects);
}

/* ---- How far the cleanup is ---- */

static enum outcome read_metric(const struct cleanup *cleanup, const char *name, uint64_t *ret_value) {
    static char body[METRICS_BYTES];
    char line[96];
    if (http_get(cleanup->server.port, "/metrics", "", body, sizeof body))
        return OUTCOME_FAILED;
    snprintf(line, sizeof line, "\n%s ", name);
    const char *found = strstr(body, line);
    if (!found) {
        complain("/metrics has no %s", name);
        return OUTCOME_FAILED;
    }
    *ret_value = strtoull(found + strlen(line), NULL, 10);
    return OUTCOME_OK;
}

static enum outcome is_clean(const struct cleanup *cleanup, bool *ret_clean) {
    uint64_t floor = 0, objects = 0;
    if (read_metric(cleanup, "parley_log_floor_position", &floor) || read_metric(cleanup, "parley_cleanup_objects_total", &objects))
        return OUTCOME_FAILED;
    *ret_clean = floor >= cleanup->head && objects >= cleanup->options->expired_objects;
    return OUTCOME_OK;
}

/* ---- Rows ---- */

static void add_slice(struct cleanup *cleanup) {
    cleanup->sum.answered += cleanup->slice.answered;
    cleanup->sum.end_ns += cleanup->slice.end_ns - cleanup->slice.start_ns; /* begins at 0 */
    histogram_add(&cleanup->sum.latency, &cleanup->slice.latency);
}

static void add_row(struct cleanup *cleanup, const char *name) {
    uint64_t p99_ns = histogram_percentile(&cleanup->sum.latency, 990000);
    table_cell(&cleanup->table, "%s", name);
    table_count(&cleanup->table, load_rate(&cleanup->sum));
    table_latencies(&cleanup->table, &cleanup->sum.latency);
    table_count(&cleanup->table, cleanup->sum.answered);
    table_cell(&cleanup->table, "%.1f", (double)cleanup->sum.end_ns / NS_PER_SECOND);
    if (cleanup->quiet_p99_ns == 0)
        table_cell(&cleanup->table, "%s", "");
    else
        table_cell(&cleanup->table, "p99 at most twice: %s (%.2f)", p99_ns <= TOLERATED_RATIO * cleanup->quiet_p99_ns ? "met" : "not met",
                   (double)p99_ns / (double)cleanup->quiet_p99_ns);
    cleanup->quiet_p99_ns = p99_ns;
}

/* Posts at the rate until `clean` says that the cleanup is done, and at least SECONDS_FACTOR times options->seconds: a checkpoint of the database, a second of
 * the disk's bad mood must weigh no more in the short row than in the long one. */
static enum outcome post_until(struct cleanup *cleanup, bool waits_for_cleanup) {
    const struct options *options = cleanup->options;
    uint32_t rate = options->rate_per_second ? options->rate_per_second : DEFAULT_RATE;
    bool clean = !waits_for_cleanup;
    memset(&cleanup->sum, 0, sizeof cleanup->sum);
    for (unsigned slice = 0; slice < SLICES_MAX && !bench_interrupted(); slice++) {
        if (run_slice(cleanup, POST_CONNECTIONS, rate))
            return OUTCOME_FAILED;
        add_slice(cleanup);
        if (waits_for_cleanup && is_clean(cleanup, &clean))
            return OUTCOME_FAILED;
        if (clean && cleanup->sum.end_ns >= SECONDS_FACTOR * options->seconds * NS_PER_SECOND)
            return OUTCOME_OK;
    }
    complain("cleanup: it did not end in %llu s", (unsigned long long)(SLICES_MAX * SLICE_NS / NS_PER_SECOND));
    return OUTCOME_FAILED;
}

/* The same database with other settings. */
static enum outcome restart(struct cleanup *cleanup, const char *retention, const char *interval) {
    if (cleanup->server.pid > 0 && server_stop(&cleanup->server))
        return OUTCOME_FAILED;
    const char *const settings[][2] = { { "PARLEY_RETENTION", retention },
                                        { "PARLEY_CLEANUP_INTERVAL", interval },
                                        { "PARLEY_MEDIA_GRACE", "0" },
                                        { "PARLEY_MEDIA_QUOTA", "0" },
                                        { "PARLEY_MEDIA_PENDING", "1000" } };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        setenv(settings[i][0], settings[i][1], 1);
    enum outcome outcome = server_start(&cleanup->server);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        unsetenv(settings[i][0]); /* not for the scenarios after this one */
    return outcome;
}

static enum outcome prepare(struct cleanup *cleanup) {
    const struct options *options = cleanup->options;
    struct population_shape shape = { options->user_count, options->chat_count, options->members_per_chat, 1 };
    if (server_prepare(options, &cleanup->server) || population_create(&cleanup->server, &shape, &cleanup->population))
        return OUTCOME_FAILED;
    return restart(cleanup, "30d", "0") ? OUTCOME_FAILED : fill(cleanup);
}

static enum outcome measure(struct cleanup *cleanup) {
    complain("cleanup: posting without it");
    if (restart(cleanup, "30d", "0") || post_until(cleanup, false))
        return OUTCOME_FAILED;
    add_row(cleanup, "none");
    if (read_metric(cleanup, "parley_log_head_position", &cleanup->head))
        return OUTCOME_FAILED;
    complain("cleanup: posting while it works");
    if (restart(cleanup, "1s", "1s") || post_until(cleanup, true))
        return OUTCOME_FAILED;
    add_row(cleanup, "everything before");
    return server_stop(&cleanup->server);
}

enum outcome scenario_cleanup(const struct options *options) {
    static const char *const columns[] = { "removed meanwhile", "posts/s", TABLE_LATENCY_COLUMNS, "answered", "seconds", "goal", NULL };
    struct cleanup *cleanup = calloc(1, sizeof *cleanup);
    if (!cleanup)
        return OUTCOME_FAILED;
    char title[160];
    snprintf(title, sizeof title, "cleanup: posts at %u/s (open loop) while %u expired messages and %u objects are removed",
             options->rate_per_second ? options->rate_per_second : DEFAULT_RATE, options->expired_messages, options->expired_objects);
    cleanup->options = options;
    cleanup->random_state = now_ns();
    table_start(&cleanup->table, title, columns);
    enum outcome outcome = prepare(cleanup) ? OUTCOME_FAILED : measure(cleanup);
    table_print(&cleanup->table);
    population_release(&cleanup->population);
    server_release(&cleanup->server);
    free(cleanup);
    return outcome;
}
