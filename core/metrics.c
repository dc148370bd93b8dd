/* See metrics.h. Owns all counters, for the life of the process. */
#include "core/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/clock.h"

#define BUCKETS_MAX 16
#define STATUS_MIN 100
#define STATUS_COUNT 500

struct description {
    const char *name;
    const char *help;
};

#define WHISPERS_DROPPED \
    "parley_whispers_dropped_total", "Typing, presence and receipts that were dropped because this node or Redis was behind."

static const struct description counters[COUNTER_COUNT] = {
    [COUNTER_COMMITS] = { "parley_commits_total", "Batches committed to the log." },
    [COUNTER_COMMANDS] = { "parley_commands_total", "Commands decided by the writer." },
    [COUNTER_COMMANDS_AHEAD] = { "parley_commands_ahead_total", "Commands decided while the commit before theirs was under way." },
    [COUNTER_BATCHES_BEHIND] = { "parley_batches_behind_total",
                                 "Batches sent to the database before it had answered to the commit before theirs." },
    [COUNTER_COMMANDS_REFUSED_FULL] = { "parley_commands_refused_total", "Commands answered 503 because the queue was full." },
    [COUNTER_BATCHES_FAILED] = { "parley_batches_failed_total", "Batches rolled back by a database error." },
    [COUNTER_EVENTS_DELIVERED] = { "parley_events_delivered_total", "Events handed to a stream's socket." },
    [COUNTER_STREAMS_OPENED] = { "parley_streams_opened_total", "Streams opened." },
    [COUNTER_STREAMS_CLOSED] = { "parley_streams_closed_total", "Streams closed." },
    [COUNTER_STREAM_RESETS] = { "parley_stream_resets_total", "Streams whose token could not be honoured." },
    [COUNTER_REPLAY_PAGES] = { "parley_replay_pages_total", "Pages read from the store for streams that were behind." },
    [COUNTER_HUB_GAPS_FILLED] = { "parley_hub_gaps_filled_total", "Times the hub read from the store what it was not handed." },
    [COUNTER_LOG_HOLES_FILLED] = { "parley_log_holes_filled_total", "Pages of what other nodes committed, read from the database." },
    [COUNTER_LOG_REPLACED] = { "parley_log_replaced_total", "Times that the database had lost what streams had been told." },
    [COUNTER_ENVELOPES_SENT] = { "parley_envelopes_sent_total", "Envelopes sent to other nodes." },
    [COUNTER_ENVELOPES_USED] = { "parley_envelopes_used_total", "Envelopes of other nodes that spared a look at the database." },
    [COUNTER_ENVELOPES_DROPPED] = { "parley_envelopes_dropped_total", "Commits of which other nodes were not sent the events." },
    [COUNTER_ENVELOPES_REFUSED] = { "parley_envelopes_refused_total", "Messages from Redis that are no envelopes of this installation." },
    [COUNTER_WHISPERS_DROPPED_TYPING] = { WHISPERS_DROPPED },
    [COUNTER_WHISPERS_DROPPED_PRESENCE] = { WHISPERS_DROPPED },
    [COUNTER_WHISPERS_DROPPED_RECEIPT] = { WHISPERS_DROPPED },
    [COUNTER_WHISPERS_DROPPED_OTHER] = { WHISPERS_DROPPED },
    [COUNTER_MARKS_WRITTEN] = { "parley_marks_written_total", "Marks of what was read and delivered that were stored." },
    [COUNTER_RATE_LIMITED] = { "parley_rate_limited_total", "Requests answered 429." },
    [COUNTER_RATE_NOTES_SENT] = { "parley_rate_notes_sent_total", "Times Redis took note of what was taken from a rate limit." },
    [COUNTER_RATE_NOTES_DROPPED] = { "parley_rate_notes_dropped_total", "Tokens of which rate limits elsewhere do not know." },
    [COUNTER_CLEANUP_ROWS] = { "parley_cleanup_rows_total", "Rows blanked or deleted by the cleanup." },
    [COUNTER_CLEANUP_OBJECTS] = { "parley_cleanup_objects_total", "Objects deleted from the media storage by the cleanup." },
    [COUNTER_CLEANUP_BYTES] = { "parley_cleanup_bytes_total", "Bytes of the objects deleted from the media storage by the cleanup." },
    [COUNTER_STORAGE_REQUESTS] = { "parley_storage_requests_total", "Requests sent to the media storage." },
    [COUNTER_STORAGE_FAILURES] = { "parley_storage_failures_total", "Requests to the media storage that failed after all retries." },
};

/* Of counters that share a name, and so stand next to each other. */
static const char *const counter_labels[COUNTER_COUNT] = {
    [COUNTER_WHISPERS_DROPPED_TYPING] = "{type=\"typing\"}",
    [COUNTER_WHISPERS_DROPPED_PRESENCE] = "{type=\"presence\"}",
    [COUNTER_WHISPERS_DROPPED_RECEIPT] = "{type=\"receipt\"}",
    [COUNTER_WHISPERS_DROPPED_OTHER] = "{type=\"other\"}",
};

static const struct description gauges[GAUGE_COUNT] = {
    [GAUGE_STREAMS_OPEN] = { "parley_streams_open", "Streams open now." },
    [GAUGE_STREAMS_BEHIND] = { "parley_streams_behind", "Streams that have not yet been sent all." },
    [GAUGE_STREAM_LAG_POSITIONS] = { "parley_stream_lag_positions", "Log positions the slowest stream is behind." },
    [GAUGE_WRITER_QUEUE_LENGTH] = { "parley_writer_queue_length", "Commands waiting for the writer." },
    [GAUGE_MARKS_WAITING] = { "parley_marks_waiting", "Marks of what was read and delivered that wait to be stored." },
    [GAUGE_CONNECTIONS] = { "parley_connections", "HTTP connections open now, streams not counted." },
    [GAUGE_LOG_HEAD_POSITION] = { "parley_log_head_position", "Last position of the log." },
    [GAUGE_LOG_FLOOR_POSITION] = { "parley_log_floor_position", "Position above which the log is complete." },
    [GAUGE_LOG_BEHIND_POSITIONS] = { "parley_log_behind_positions", "Positions others have committed that this node lacks." },
    [GAUGE_REPORTS_OPEN] = { "parley_reports_open", "Reports of users that no administrator has closed." },
    [GAUGE_CLEANUP_OVERDUE_SECONDS] = { "parley_cleanup_overdue_seconds", "Age of the oldest thing that should already be gone." },
};

/* Values are counted in one unit and printed in another: seconds for what is measured in microseconds. */
struct scale {
    const uint64_t *bounds; /* upper, inclusive, ascending, in the unit that is counted */
    size_t count;           /* at most BUCKETS_MAX */
    double divisor;
};

static const uint64_t bounds_us[] = { 100,   250,    500,    1000,   2500,    5000,    10000,   25000,
                                      50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000 };
static const uint64_t bounds_commands[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512 };
static const struct scale scale_seconds = { bounds_us, sizeof(bounds_us) / sizeof(bounds_us[0]), 1e6 };
static const struct scale scale_commands = { bounds_commands, sizeof(bounds_commands) / sizeof(bounds_commands[0]), 1 };

static const struct {
    struct description description;
    const struct scale *scale;
} histograms[HISTOGRAM_COUNT] = {
    [HISTOGRAM_COMMIT_SECONDS] = { { "parley_commit_duration_seconds", "Time of a commit." }, &scale_seconds },
    [HISTOGRAM_COMMIT_BATCH] = { { "parley_commit_batch_size", "Commands in a commit." }, &scale_commands },
    [HISTOGRAM_CHECKPOINT_SECONDS] = { { "parley_checkpoint_duration_seconds", "Time of a checkpoint." }, &scale_seconds },
    [HISTOGRAM_CHECKPOINT_WAIT_SECONDS] = { { "parley_checkpoint_wait_seconds", "Time that commits wait for a checkpoint." },
                                            &scale_seconds },
};

struct histogram_state {
    _Atomic uint64_t buckets[BUCKETS_MAX + 1]; /* the last one is +Inf */
    _Atomic uint64_t sum;
};

struct route_name {
    const char *method; /* NULL: not registered */
    const char *path;
};

/* A page of memory, which is not there before the route is used: hence the names are elsewhere. */
struct route_state {
    _Atomic uint64_t by_status[STATUS_COUNT];
    struct histogram_state duration;
};

static _Atomic uint64_t counter_values[COUNTER_COUNT];
static _Atomic int64_t gauge_values[GAUGE_COUNT];
static struct histogram_state histogram_values[HISTOGRAM_COUNT];
static struct route_name route_names[METRICS_ROUTES_MAX];
static struct route_state routes[METRICS_ROUTES_MAX];

_Static_assert(sizeof(bounds_us) / sizeof(bounds_us[0]) <= BUCKETS_MAX, "buckets hold the bounds of durations");
_Static_assert(sizeof(bounds_commands) / sizeof(bounds_commands[0]) <= BUCKETS_MAX, "buckets hold the bounds of batches");

/* ---- Counting ---- */

static void increase(_Atomic uint64_t *value, uint64_t amount) { atomic_fetch_add_explicit(value, amount, memory_order_relaxed); }

static uint64_t read_value(const _Atomic uint64_t *value) { return atomic_load_explicit(value, memory_order_relaxed); }

void metric_add(enum counter counter, uint64_t amount) { increase(&counter_values[counter], amount); }

uint64_t metric_get(enum counter counter) { return read_value(&counter_values[counter]); }

void metric_set(enum gauge gauge, int64_t value) { atomic_store_explicit(&gauge_values[gauge], value, memory_order_relaxed); }

static void observe(struct histogram_state *state, const struct scale *scale, uint64_t value) {
    size_t bucket = 0;
    while (bucket < scale->count && value > scale->bounds[bucket])
        bucket++;
    increase(&state->buckets[bucket == scale->count ? BUCKETS_MAX : bucket], 1);
    increase(&state->sum, value);
}

void metric_observe(enum histogram histogram, uint64_t value) { observe(&histogram_values[histogram], histograms[histogram].scale, value); }

void metrics_register_route(unsigned index, const char *method, const char *path) {
    if (index >= METRICS_ROUTES_MAX)
        return;
    route_names[index] = (struct route_name){ method, path };
}

void metrics_count_request(unsigned index, unsigned status, uint64_t duration_us) {
    if (index >= METRICS_ROUTES_MAX || status < STATUS_MIN || status >= STATUS_MIN + STATUS_COUNT)
        return;
    increase(&routes[index].by_status[status - STATUS_MIN], 1);
    observe(&routes[index].duration, &scale_seconds, duration_us);
}

/* ---- Prometheus' text format ---- */

static void render_head(struct buf *buf, const struct description *description, const char *type) {
    buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", description->name, description->help, description->name, type);
}

/* `labels` is `a="b",` or nothing. Buckets are read one after the other while others count: each is cumulative over what was read, so
 * that the lines always agree with each other. */
static void render_histogram(struct buf *buf, const char *name, const char *labels, const struct histogram_state *state,
                             const struct scale *scale) {
    uint64_t total = 0;
    for (size_t i = 0; i < scale->count; i++) {
        total += read_value(&state->buckets[i]);
        buf_printf(buf, "%s_bucket{%sle=\"%g\"} %" PRIu64 "\n", name, labels, (double)scale->bounds[i] / scale->divisor, total);
    }
    total += read_value(&state->buckets[BUCKETS_MAX]);
    int label_size = (int)strlen(labels);
    const char *open = label_size > 0 ? "{" : "", *close = label_size > 0 ? "}" : "";
    int bare_size = label_size > 0 ? label_size - 1 : 0; /* without the comma */

    buf_printf(buf, "%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, total);
    buf_printf(buf, "%s_sum%s%.*s%s %.6f\n", name, open, bare_size, labels, close, (double)read_value(&state->sum) / scale->divisor);
    buf_printf(buf, "%s_count%s%.*s%s %" PRIu64 "\n", name, open, bare_size, labels, close, total);
}

static void render_request_counts(struct buf *buf, const struct route_name *name, const struct route_state *route) {
    for (unsigned i = 0; i < STATUS_COUNT; i++) {
        uint64_t count = read_value(&route->by_status[i]);
        if (count > 0)
            buf_printf(buf, "parley_http_requests_total{route=\"%s\",method=\"%s\",status=\"%u\"} %" PRIu64 "\n", name->path, name->method,
                       i + STATUS_MIN, count);
    }
}

static void render_request_durations(struct buf *buf, const struct route_name *name, const struct route_state *route) {
    char labels[256];
    snprintf(labels, sizeof(labels), "route=\"%s\",method=\"%s\",", name->path, name->method);
    render_histogram(buf, "parley_http_request_duration_seconds", labels, &route->duration, &scale_seconds);
}

static bool was_used(size_t index) {
    for (size_t i = 0; i <= BUCKETS_MAX; i++)
        if (read_value(&routes[index].duration.buckets[i]) > 0)
            return route_names[index].method != NULL;
    return false;
}

static void render_routes(struct buf *buf) {
    static const struct description requests = { "parley_http_requests_total", "Requests answered, by route and status." };
    static const struct description durations = { "parley_http_request_duration_seconds", "Time from a request's head to its answer." };

    render_head(buf, &requests, "counter");
    for (size_t i = 0; i < METRICS_ROUTES_MAX; i++)
        if (was_used(i))
            render_request_counts(buf, &route_names[i], &routes[i]);
    render_head(buf, &durations, "histogram");
    for (size_t i = 0; i < METRICS_ROUTES_MAX; i++)
        if (was_used(i))
            render_request_durations(buf, &route_names[i], &routes[i]);
}

/* ---- The process, as /proc and the kernel tell it. What cannot be read is left out. ---- */

/* The text of a small file of /proc; "" when it cannot be read. */
static void read_proc(const char *path, char *out, size_t out_size) {
    ssize_t size = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        size = read(fd, out, out_size - 1);
        close(fd);
    }
    out[size > 0 ? size : 0] = '\0';
}

static void render_number(struct buf *buf, const struct description *description, const char *type, double value) {
    render_head(buf, description, type);
    buf_printf(buf, "%s %.15g\n", description->name, value);
}

static void render_memory(struct buf *buf) {
    static const struct description resident = { "process_resident_memory_bytes", "Resident memory." };
    char text[128];
    unsigned long pages;
    read_proc("/proc/self/statm", text, sizeof(text));
    if (sscanf(text, "%*u %lu", &pages) == 1)
        render_number(buf, &resident, "gauge", (double)pages * (double)sysconf(_SC_PAGESIZE));
}

static void render_descriptors(struct buf *buf) {
    static const struct description open_now = { "process_open_fds", "Open descriptors." };
    static const struct description most = { "process_max_fds", "Descriptors the process may open." };
    struct rlimit limit;
    DIR *folder = opendir("/proc/self/fd");
    if (folder != NULL) {
        double count = -3; /* "." and "..", and the folder's own descriptor */
        while (readdir(folder) != NULL)
            count++;
        closedir(folder);
        render_number(buf, &open_now, "gauge", count);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        render_number(buf, &most, "gauge", (double)limit.rlim_cur);
}

static void render_processor_time(struct buf *buf) {
    static const struct description seconds = { "process_cpu_seconds_total", "Processor time used, in user and system mode." };
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return;
    double used = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    render_number(buf, &seconds, "counter", used);
}

static const char *node_name = "";

void metrics_name_node(const char *node) { node_name = node; }

static void render_info(struct buf *buf) {
    static const struct description info = { "parley_info", "1; its label is the name of this node." };
    render_head(buf, &info, "gauge");
    buf_printf(buf, "parley_info{node=\"%s\"} 1\n", node_name);
}

static int64_t start_ms;

__attribute__((constructor)) static void remember_start(void) { start_ms = clock_now_ms(); }

static void render_start_time(struct buf *buf) {
    static const struct description started = { "process_start_time_seconds", "When the process started, since 1970." };
    render_number(buf, &started, "gauge", (double)start_ms / 1000);
}

static void render_counters(struct buf *buf) {
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        const struct description *counter = &counters[i];
        if (i == 0 || strcmp(counter->name, counters[i - 1].name) != 0)
            render_head(buf, counter, "counter");
        buf_printf(buf, "%s%s %" PRIu64 "\n", counter->name, counter_labels[i] != NULL ? counter_labels[i] : "",
                   read_value(&counter_values[i]));
    }
}

void metrics_render(struct buf *buf) {
    render_info(buf);
    render_counters(buf);
    for (size_t i = 0; i < GAUGE_COUNT; i++) {
        render_head(buf, &gauges[i], "gauge");
        buf_printf(buf, "%s %" PRId64 "\n", gauges[i].name, atomic_load_explicit(&gauge_values[i], memory_order_relaxed));
    }
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
        render_head(buf, &histograms[i].description, "histogram");
        render_histogram(buf, histograms[i].description.name, "", &histogram_values[i], histograms[i].scale);
    }
    render_routes(buf);
    render_memory(buf);
    render_descriptors(buf);
    render_processor_time(buf);
    render_start_time(buf);
}
