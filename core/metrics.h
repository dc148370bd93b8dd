/* Counters, gauges and histograms in Prometheus' text format.
 *
 * All updates are relaxed atomics and may come from any thread. The set is fixed at compile time: one row each in core/metrics.c. Requests
 * are counted by route: the API registers its routes' names once at start. */
#pragma once

#include <stdint.h>

#include "core/buf.h"

enum counter {
    COUNTER_COMMITS,
    COUNTER_COMMANDS,
    COUNTER_COMMANDS_AHEAD,
    COUNTER_BATCHES_BEHIND,
    COUNTER_COMMANDS_REFUSED_FULL, /* answered 503 because the queue was full */
    COUNTER_BATCHES_FAILED,        /* rolled back by a database error */
    COUNTER_EVENTS_DELIVERED,      /* frames handed to a socket */
    COUNTER_STREAMS_OPENED,
    COUNTER_STREAMS_CLOSED,
    COUNTER_STREAM_RESETS,
    COUNTER_REPLAY_PAGES,
    COUNTER_HUB_GAPS_FILLED,
    COUNTER_LOG_HOLES_FILLED, /* pages of others' commits that were read, not heard */
    COUNTER_LOG_REPLACED,     /* times that the log was another than the one told to this node's streams */
    COUNTER_ENVELOPES_SENT,
    COUNTER_ENVELOPES_USED,
    COUNTER_ENVELOPES_DROPPED,       /* not sent: too many waited, or the bus was away */
    COUNTER_ENVELOPES_REFUSED,       /* messages on the bus that were none of ours */
    COUNTER_WHISPERS_DROPPED_TYPING, /* whispers (db/whisper.h) that were not passed on; next to each other: they are one metric with a label */
    COUNTER_WHISPERS_DROPPED_PRESENCE,
    COUNTER_WHISPERS_DROPPED_RECEIPT,
    COUNTER_WHISPERS_DROPPED_OTHER,
    COUNTER_MARKS_WRITTEN, /* marks of what was read and delivered */
    COUNTER_RATE_LIMITED,
    COUNTER_RATE_NOTES_SENT,    /* buckets of which other nodes were told */
    COUNTER_RATE_NOTES_DROPPED, /* tokens of which they were not: too many buckets at once */
    COUNTER_CLEANUP_ROWS,
    COUNTER_CLEANUP_OBJECTS,
    COUNTER_CLEANUP_BYTES,
    COUNTER_STORAGE_REQUESTS,
    COUNTER_STORAGE_FAILURES,
    COUNTER_COUNT
};

enum gauge {
    GAUGE_STREAMS_OPEN,
    GAUGE_STREAMS_BEHIND,
    GAUGE_STREAM_LAG_POSITIONS, /* head minus the position of the slowest stream */
    GAUGE_WRITER_QUEUE_LENGTH,
    GAUGE_MARKS_WAITING, /* moved, and not written yet */
    GAUGE_CONNECTIONS,
    GAUGE_LOG_HEAD_POSITION,
    GAUGE_LOG_FLOOR_POSITION,
    GAUGE_LOG_BEHIND_POSITIONS,    /* known to be committed, and not yet told to this node's streams */
    GAUGE_REPORTS_OPEN,            /* as of the last report, or of the last cleanup of this node */
    GAUGE_CLEANUP_OVERDUE_SECONDS, /* the oldest thing that should already be gone */
    GAUGE_COUNT
};

enum histogram {
    HISTOGRAM_COMMIT_SECONDS,          /* values given in microseconds */
    HISTOGRAM_COMMIT_BATCH,            /* values are commands */
    HISTOGRAM_CHECKPOINT_SECONDS,      /* microseconds */
    HISTOGRAM_CHECKPOINT_WAIT_SECONDS, /* microseconds */
    HISTOGRAM_COUNT
};

void metric_add(enum counter counter, uint64_t amount);
uint64_t metric_get(enum counter counter);
void metric_set(enum gauge gauge, int64_t value);
void metric_observe(enum histogram histogram, uint64_t value);

/* Requests by route: `index` < METRICS_ROUTES_MAX; label strings must live for ever. */
#define METRICS_ROUTES_MAX 96
void metrics_register_route(unsigned index, const char *method, const char *path);
void metrics_count_request(unsigned index, unsigned status, uint64_t duration_us);

/* The label of parley_info, which tells nodes apart; before the first metrics_render(), and the string lives for ever. */
void metrics_name_node(const char *node);

/* Appends everything, with HELP and TYPE lines, and the process' resident memory, descriptors and start time. */
void metrics_render(struct buf *buf);
