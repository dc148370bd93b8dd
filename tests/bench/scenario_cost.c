/* What a post costs up to its commit, whatever the chat: groups of 2, 100 and 1,000, a channel with very many followers of whom some listen, and a group whose
 * devices all listen and acknowledge. And the list of a user's 1,000 chats.
 *
 * Posts come at one slow rate, so that each is a commit of its own; rows take turns, because machines have moods. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "http_load.h"
#include "plot.h"
#include "population.h"
#include "post.h"
#include "report.h"
#include "server.h"
#include "streams.h"

#define PEOPLE 1000   /* with devices; the first is in all chats */
#define LISTENERS 100 /* of the channel's followers */
#define LIST_CHATS 1000
#define LIST_PAGE 100
#define LIST_BYTES_MAX ((size_t)1024 * 1024)
#define ROUNDS 5
#define POST_RATE 50
#define ACK_CONNECTIONS 16
#define ACK_RATE PEOPLE /* each device once a second */
#define TOLERATED_RATIO 1.2
#define GOAL_LIST_NS (10 * NS_PER_MS)
#define CHATS 3                     /* besides those of two */
#define MARKS_NS (1200 * NS_PER_MS) /* within which what devices acknowledge is stored */

static const struct row {
    const char *name;
    uint32_t chat; /* of cost->chat_ids; 0 is one of two members */
    uint32_t streams;
    bool acknowledges;
    bool is_drawn;
} rows[] = {
    { "group of 2", 0, 0, false, true },
    { "group of 100", 1, 0, false, true },
    { "group of 1,000", 2, 0, false, true },
    { "channel, 100 listen", 3, LISTENERS, false, true },
    { "group of 1,000, all listen", 2, PEOPLE, false, false },
    { "the same, and all acknowledge", 2, PEOPLE, true, false },
};
#define ROW_COUNT (sizeof rows / sizeof *rows)

struct figures {
    uint64_t posts;
    uint64_t writer_ns; /* of its processor time, over all posts */
    uint64_t hub_ns;
    struct histogram latency;
};

struct cost {
    const struct options *options;
    struct server server;
    struct population population;
    char chat_ids[CHATS + 1][ID_CHARACTERS_MAX + 1];
    uint32_t chat;              /* that is posted into */
    uint32_t acks;              /* requests so far */
    _Atomic uint64_t posted_id; /* the last one */
    struct id_sum row_posted;
    uint64_t random_state;
    uint64_t round_ns;
    double import_seconds;
    struct figures figures[ROW_COUNT];
    struct load_result result, ack_result;
    struct histogram list; /* of times to answer */
    struct table table;
};

/* ---- The database ---- */

static uint32_t members_of(uint32_t chat) { return chat == 1 ? LISTENERS : PEOPLE; }

static void write_chat(FILE *file, uint32_t chat) {
    if (chat == CHATS) {
        fprintf(file, "{\"chat\":\"channel\",\"title\":\"Channel\",\"owner\":\"bench0\"}\n");
        return;
    }
    fprintf(file, "{\"chat\":\"group\",\"title\":\"Group %u\",\"owner\":\"bench0\",\"members\":[", chat);
    for (uint32_t member = 1; member < members_of(chat); member++)
        fprintf(file, "%s\"bench%u\"", member > 1 ? "," : "", member);
    fprintf(file, "]}\n");
}

static FILE *open_import(const struct cost *cost) {
    char path[PATH_MAX];
    server_import_path(&cost->server, path);
    FILE *file = fopen(path, "we");
    if (!file)
        complain("cannot write %s: %s", path, strerror(errno));
    return file;
}

static enum outcome close_import(FILE *file) {
    bool failed = ferror(file);
    if (fclose(file) == 0 && !failed)
        return OUTCOME_OK;
    complain("cannot write a file to import");
    return OUTCOME_FAILED;
}

/* Copies the ids of the answers' first users into the list of followers. */
static enum outcome copy_ids(const struct cost *cost, FILE *list, uint32_t count) {
    char path[PATH_MAX], id[ID_CHARACTERS_MAX + 1], *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    uint32_t found = 0;
    server_import_answers_path(&cost->server, path);
    FILE *file = fopen(path, "re");
    while (file && found < count && (len = getline(&line, &capacity, file)) > 0) {
        if (strncmp(line, "{\"user\"", 7) == 0 && body_string(line, (size_t)len, "id", id, sizeof id))
            found += fprintf(list, "%s\n", id) > 0;
    }
    free(line);
    if (file)
        fclose(file);
    if (found < count)
        complain("parley user import answered the ids of %u users instead of %u", found, count);
    return found < count ? OUTCOME_FAILED : OUTCOME_OK;
}

static enum outcome take_chat_ids(struct cost *cost) {
    char path[PATH_MAX], *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    uint32_t found = 0;
    server_import_answers_path(&cost->server, path);
    FILE *file = fopen(path, "re");
    while (file && found < CHATS && (len = getline(&line, &capacity, file)) > 0)
        found += body_string(line, (size_t)len, "chat", cost->chat_ids[found + 1], sizeof cost->chat_ids[found + 1]);
    free(line);
    if (file)
        fclose(file);
    return found == CHATS ? OUTCOME_OK : OUTCOME_FAILED;
}

/* The larger chats, and those who follow and never listen. Their ids are in the answers then. */
static enum outcome import_rest(struct cost *cost) {
    FILE *file = open_import(cost);
    if (!file)
        return OUTCOME_FAILED;
    for (uint32_t chat = 1; chat <= CHATS; chat++)
        write_chat(file, chat);
    for (uint32_t i = LISTENERS; i < cost->options->followers; i++)
        fprintf(file, "{\"user\":\"crowd%u\"}\n", i);
    return close_import(file) || server_import(&cost->server) || take_chat_ids(cost) ? OUTCOME_FAILED : OUTCOME_OK;
}

/* The listeners' ids are in the answers to the population's import, the others' in those to the rest's: the list is kept in memory between. */
static enum outcome import_all(struct cost *cost) {
    const struct population_shape shape = { PEOPLE, LIST_CHATS, 2, 0 };
    char *bytes = NULL;
    size_t size = 0;
    if (population_create(&cost->server, &shape, &cost->population))
        return OUTCOME_FAILED;
    FILE *list = open_memstream(&bytes, &size);
    uint32_t crowd = cost->options->followers > LISTENERS ? cost->options->followers - LISTENERS : 0;
    enum outcome outcome =
        list && !copy_ids(cost, list, LISTENERS) && !import_rest(cost) && !copy_ids(cost, list, crowd) ? OUTCOME_OK : OUTCOME_FAILED;
    if (list)
        fclose(list);
    FILE *file = outcome == OUTCOME_OK ? open_import(cost) : NULL;
    if (file)
        fwrite(bytes, 1, size, file);
    free(bytes);
    if (!file || close_import(file))
        return OUTCOME_FAILED;
    uint64_t start_ns = now_ns();
    outcome = server_import_followers(&cost->server, cost->chat_ids[CHATS]);
    cost->import_seconds = (double)(now_ns() - start_ns) / NS_PER_SECOND;
    return outcome;
}

/* ---- Requests ---- */

static size_t write_post(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct cost *cost = context;
    (void)connection;
    const struct post post = {
        .token = cost->population.tokens[0],
        .chat_id = cost->chat_ids[cost->chat],
        .key = { random_next(&cost->random_state), random_next(&cost->random_state) },
        .time_ns = time_ns,
        .text_bytes = cost->options->text_bytes,
        .port = cost->server.port,
    };
    return post_write(&post, bytes);
}

static bool note_post(void *context, const char *body, size_t len) {
    struct cost *cost = context;
    char id[ID_CHARACTERS_MAX + 1];
    if (!body_string(body, len, "id", id, sizeof id))
        return false;
    uint64_t number = strtoull(id, NULL, 10);
    id_sum_add(&cost->row_posted, number);
    atomic_store(&cost->posted_id, number);
    return true;
}

/* Of each chat of two one, so that the list has something to show. */
static size_t write_fill(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct cost *cost = context;
    (void)connection;
    const struct post post = {
        .token = cost->population.tokens[0],
        .chat_id = cost->population.chat_ids[cost->chat++ % LIST_CHATS],
        .key = { random_next(&cost->random_state), random_next(&cost->random_state) },
        .time_ns = time_ns,
        .text_bytes = cost->options->text_bytes,
        .port = cost->server.port,
    };
    return post_write(&post, bytes);
}

/* Each device in turn says that it has the last message. */
static size_t write_ack(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct cost *cost = context;
    char body[64];
    (void)connection, (void)time_ns;
    int body_len = snprintf(body, sizeof body, "{\"id\":\"%llu\"}", (unsigned long long)atomic_load(&cost->posted_id));
    return (size_t)snprintf(bytes, HTTP_REQUEST_BYTES_MAX,
                            "POST /v1/events/ack HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAuthorization: Bearer %s\r\n"
                            "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                            cost->server.port, cost->population.tokens[cost->acks++ % PEOPLE], body_len, body);
}

static const struct load_driver post_driver = { .write_request = write_post, .on_answer = note_post };
static const struct load_driver fill_driver = { .write_request = write_fill };
static const struct load_driver ack_driver = { .write_request = write_ack };

static enum outcome run_load(const struct load_plan *plan, struct load_result *result, const char *what) {
    if (http_load_run(plan, result))
        return OUTCOME_FAILED;
    if (load_errors(result) == 0 && result->answered > 0)
        return OUTCOME_OK;
    complain("cost: %s: %llu errors, the first: %s", what, (unsigned long long)load_errors(result), result->problem);
    return OUTCOME_FAILED;
}

static enum outcome run_posts(struct cost *cost) {
    const struct load_plan plan = { .port = cost->server.port,
                                    .connection_count = 1,
                                    .duration_ns = cost->round_ns,
                                    .rate_per_second = POST_RATE,
                                    .expected_status = 201,
                                    .driver = &post_driver,
                                    .context = cost };
    return run_load(&plan, &cost->result, "posts");
}

static enum outcome fill_list(struct cost *cost) {
    const struct load_plan plan = { .port = cost->server.port,
                                    .connection_count = 64,
                                    .duration_ns = NS_PER_SECOND,
                                    .rate_per_second = 2 * LIST_CHATS,
                                    .expected_status = 201,
                                    .driver = &fill_driver,
                                    .context = cost };
    cost->chat = 0;
    return run_load(&plan, &cost->result, "posts into the chats of the list");
}

/* ---- Acknowledgements ---- */

/* Until what was acknowledged is stored, so that it counts where it belongs. */
static void wait_for_marks(void) { nanosleep(&(struct timespec){ MARKS_NS / NS_PER_SECOND, MARKS_NS % NS_PER_SECOND }, NULL); }

static void *acknowledge(void *context) {
    struct cost *cost = context;
    const struct load_plan plan = { .port = cost->server.port,
                                    .connection_count = ACK_CONNECTIONS,
                                    .duration_ns = cost->round_ns,
                                    .rate_per_second = ACK_RATE,
                                    .expected_status = 204,
                                    .driver = &ack_driver,
                                    .context = cost };
    return run_load(&plan, &cost->ack_result, "acknowledgements") ? cost : NULL;
}

static enum outcome run_posts_and_acks(struct cost *cost) {
    pthread_t thread;
    void *failed;
    if (pthread_create(&thread, NULL, acknowledge, cost))
        return OUTCOME_FAILED;
    enum outcome outcome = run_posts(cost);
    pthread_join(thread, &failed);
    wait_for_marks();
    return failed ? OUTCOME_FAILED : outcome;
}

/* ---- Rows ---- */

static uint64_t writer_ns(const struct cost *cost) { return server_thread_ns(&cost->server, "parley-writer"); }

static enum outcome measure(struct cost *cost, size_t row) {
    struct figures *figures = &cost->figures[row];
    uint64_t start_ns = writer_ns(cost), hub_start_ns = server_thread_ns(&cost->server, "parley-hub");
    if (rows[row].acknowledges ? run_posts_and_acks(cost) : run_posts(cost))
        return OUTCOME_FAILED;
    figures->writer_ns += writer_ns(cost) - start_ns;
    figures->hub_ns += server_thread_ns(&cost->server, "parley-hub") - hub_start_ns;
    figures->posts += cost->result.answered;
    histogram_add(&figures->latency, &cost->result.latency);
    return OUTCOME_OK;
}

/* Everything that was posted reaches every stream. */
static enum outcome check_streams(const struct cost *cost, struct stream_set *streams, uint32_t count) {
    uint64_t limit_ns = now_ns() + cost->options->settle_seconds * NS_PER_SECOND;
    while (streams_received(streams) < cost->row_posted.count * count && now_ns() < limit_ns && !bench_interrupted())
        nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS }, NULL);
    streams_stop_reader(streams);
    uint32_t differing = streams_differing(streams, &cost->row_posted);
    if (differing > 0)
        complain("cost: %u of %u streams did not get exactly what was posted", differing, count);
    return differing > 0 ? OUTCOME_FAILED : OUTCOME_OK;
}

static enum outcome run_with_streams(struct cost *cost, size_t row) {
    uint32_t count = rows[row].streams;
    struct stream_set *streams = streams_new(cost->server.port, count, 0);
    enum outcome outcome = OUTCOME_FAILED;
    if (streams && !streams_open_to(streams, &cost->population, count) && !streams_start_reader(streams)) {
        outcome = measure(cost, row);
        if (check_streams(cost, streams, count))
            outcome = OUTCOME_FAILED;
    }
    streams_free(streams);
    return outcome;
}

static enum outcome run_row(struct cost *cost, size_t row) {
    cost->chat = rows[row].chat;
    cost->row_posted = (struct id_sum){ 0 };
    return rows[row].streams > 0 ? run_with_streams(cost, row) : measure(cost, row);
}

static enum outcome run_rounds(struct cost *cost) {
    uint32_t rounds = cost->options->seconds < ROUNDS ? cost->options->seconds : ROUNDS;
    cost->round_ns = cost->options->seconds * NS_PER_SECOND / rounds;
    cost->chat = 0;
    if (run_posts(cost)) /* what a process does once is in no row */
        return OUTCOME_FAILED;
    for (uint32_t round = 0; round < rounds; round++) {
        complain("cost: round %u of %u", round + 1, rounds);
        for (size_t row = 0; row < ROW_COUNT && !bench_interrupted(); row++) {
            if (run_row(cost, row))
                return OUTCOME_FAILED;
        }
    }
    return OUTCOME_OK;
}

/* ---- The list ---- */

/* On a connection of its own; `bytes` has room for LIST_BYTES_MAX. */
static bool fetch_list(const struct cost *cost, char *bytes) {
    struct http_answer answer = { 0 };
    size_t len = 0;
    int fd = http_connect(cost->server.port, 0);
    int request_len =
        snprintf(bytes, LIST_BYTES_MAX,
                 "GET /v1/chats?limit=%d HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n",
                 LIST_PAGE, cost->server.port, cost->population.tokens[0]);
    bool goes_on = fd >= 0 && send(fd, bytes, (size_t)request_len, MSG_NOSIGNAL) == request_len;
    while (goes_on && (len == 0 || http_parse(bytes, len, &answer) == HTTP_PARTIAL)) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        ssize_t got = poll(&ready, 1, BENCH_ANSWER_LIMIT_NS / NS_PER_MS) > 0 ? recv(fd, bytes + len, LIST_BYTES_MAX - len, 0) : 0;
        goes_on = got > 0;
        len += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close(fd);
    return goes_on && answer.status == 200;
}

static enum outcome time_list(struct cost *cost) {
    char *bytes = malloc(LIST_BYTES_MAX);
    uint64_t end_ns = now_ns() + NS_PER_SECOND;
    bool answered = bytes;
    while (answered && now_ns() < end_ns) {
        uint64_t start_ns = now_ns();
        answered = fetch_list(cost, bytes);
        histogram_record(&cost->list, now_ns() - start_ns);
    }
    free(bytes);
    if (!answered)
        complain("cost: the list of chats was not answered");
    return answered ? OUTCOME_OK : OUTCOME_FAILED;
}

/* ---- The report ---- */

static double microseconds(uint64_t ns, uint64_t count) { return count ? (double)ns / 1000 / (double)count : 0; }

static double writer_of(const struct figures *figures) { return microseconds(figures->writer_ns, figures->posts); }

static uint32_t size_of(const struct cost *cost, uint32_t chat) {
    return chat == 0 ? 2 : chat == CHATS ? cost->options->followers : members_of(chat);
}

static void add_row(struct cost *cost, size_t row) {
    const struct figures *figures = &cost->figures[row], *least = &cost->figures[0];
    double ratio = writer_of(figures) / writer_of(least);
    uint64_t p50_ns = histogram_percentile(&figures->latency, 500000), least_p50_ns = histogram_percentile(&least->latency, 500000);
    double p50_ratio = (double)p50_ns / (double)least_p50_ns;
    struct table *table = &cost->table;
    table_cell(table, "%s", rows[row].name);
    table_count(table, figures->posts);
    table_cell(table, "%.0f", writer_of(figures));
    table_cell(table, "%.2f", ratio);
    table_cell(table, "%.3f", (double)p50_ns / NS_PER_MS);
    table_cell(table, "%.2f", p50_ratio);
    table_cell(table, "%.0f", microseconds(figures->hub_ns, figures->posts));
    if (rows[row].is_drawn)
        plot_add(PLOT_SIZE, "members", size_of(cost, rows[row].chat), writer_of(figures));
    const char *p50_goal = p50_ratio <= TOLERATED_RATIO ? "met" : "not met";
    if (rows[row].acknowledges)
        table_cell(table, "within 20%%: p50 %s", p50_goal);
    else
        table_cell(table, "within 20%%: writer %s, p50 %s", ratio <= TOLERATED_RATIO ? "met" : "not met", p50_goal);
}

static enum outcome report(struct cost *cost) {
    static const char *const columns[] = { "chat", "posts", "writer us", "x", "p50 ms", "x", "hub us", "goal", NULL };
    static const char *const list_columns[] = { "list", TABLE_LATENCY_COLUMNS, "goal", NULL };
    char title[240];
    snprintf(title, sizeof title,
             "cost: of a post at %d a second, processor time of the writer and time to the answer, and how much more than in a group of 2;"
             " %u followers were imported in %.1f s",
             POST_RATE, cost->options->followers, cost->import_seconds);
    table_start(&cost->table, title, columns);
    for (size_t row = 0; row < ROW_COUNT; row++)
        add_row(cost, row);
    table_print(&cost->table);
    if (time_list(cost))
        return OUTCOME_FAILED;
    table_start(&cost->table, "cost: the list of 1,000 chats, a connection for each", list_columns);
    table_cell(&cost->table, "100 of 1,000");
    table_latencies(&cost->table, &cost->list);
    table_cell(&cost->table, "p50 < 10 ms: %s", histogram_percentile(&cost->list, 500000) < GOAL_LIST_NS ? "met" : "not met");
    table_print(&cost->table);
    return OUTCOME_OK;
}

static enum outcome run(struct cost *cost) {
    complain("cost: making %u followers", cost->options->followers);
    if (server_prepare(cost->options, &cost->server) || import_all(cost) || server_start(&cost->server))
        return OUTCOME_FAILED;
    snprintf(cost->chat_ids[0], sizeof cost->chat_ids[0], "%s", cost->population.chat_ids[0]);
    if (fill_list(cost) || run_rounds(cost) || report(cost))
        return OUTCOME_FAILED;
    return server_stop(&cost->server);
}

enum outcome scenario_cost(const struct options *options) {
    struct cost *cost = calloc(1, sizeof *cost);
    if (!cost)
        return OUTCOME_FAILED;
    cost->options = options;
    cost->random_state = now_ns();
    enum outcome outcome = run(cost);
    population_release(&cost->population);
    server_release(&cost->server);
    free(cost);
    return outcome;
}
