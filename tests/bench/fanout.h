/* Posting while streams listen: posters wait while too many events are on their way. Unbounded, a few seconds of posting would leave many minutes of
 * deliveries, and the kernel's memory full of them. Posts and streams have a thread each. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "bench.h"
#include "http_load.h"
#include "streams.h"

struct fanout {
    struct load_plan plan;      /* its driver's may_send is not asked: the bound below is what counts */
    struct stream_set *streams; /* every one of them gets each message */
    uint32_t stream_count;
    uint64_t events_ahead; /* undelivered events at which posters wait; 0: never */
    pid_t server_pid;      /* whose group does the work */
    uint64_t settle_ns;    /* without any event before the rest counts as lost */
};

struct fanout_result {
    uint64_t events;         /* that came */
    uint64_t cpu_ns;         /* that the server's processes had meanwhile */
    uint64_t duration_ns;    /* from the first post to the last event */
    uint64_t posting_events; /* those that came while posts went on */
    uint64_t posting_ns;
};

/* `result` is the load's, as of http_load_run. */
enum outcome fanout_run(const struct fanout *fanout, struct load_result *result, struct fanout_result *ret_result) MUST_USE;

/* The server's processor time for an event, in microseconds. */
static inline double fanout_cost_us(const struct fanout_result *result) {
    return result->events ? (double)result->cpu_ns / 1e3 / (double)result->events : 0;
}

/* Events a second. */
static inline uint64_t fanout_rate(const struct fanout_result *result) {
    return result->duration_ns ? (uint64_t)((double)result->events * NS_PER_SECOND / (double)result->duration_ns) : 0;
}
