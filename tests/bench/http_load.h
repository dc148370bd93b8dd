/* Keep-alive connections that send request after request: closed loop (the next when the last is answered), or open loop at a rate.
 *
 * One thread runs a load, and calls the driver on it. Open loop counts a latency from when the request was due, not from when a connection
 * was free for it, so that a slow answer also counts for those that waited behind it (no coordinated omission). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"
#include "histogram.h"
#include "http.h"

#define LOAD_PROBLEM_BYTES 256
#define LOAD_SLOW_NS (50 * NS_PER_MS)

/* Who makes the requests. Callbacks must not wait. */
struct load_driver {
    /* Writes connection `connection`'s next request into `bytes` (HTTP_REQUEST_BYTES_MAX of them); returns its length. `time_ns` is
     * when it is sent or, in open loop, was due. */
    size_t (*write_request)(void *context, uint32_t connection, uint64_t time_ns, char *bytes);
    /* False makes connections wait; it is asked again each millisecond. NULL: never wait. */
    bool (*may_send)(void *context);
    /* Sees each answer of the expected status; false counts it as unexpected. NULL: none is looked at. */
    bool (*on_answer)(void *context, const char *body, size_t len);
    /* Hears of each answer that took LOAD_SLOW_NS or longer, from when its request was due. NULL: none is of interest. */
    void (*on_slow)(void *context, uint64_t due_ns, uint64_t end_ns);
};

struct load_plan {
    uint16_t port;
    uint32_t connection_count;
    uint64_t duration_ns;     /* requests start in it; answers may come later */
    uint32_t rate_per_second; /* 0: closed loop */
    int expected_status;
    const struct load_driver *driver;
    void *context;
    bool stays;          /* on one processor while the load runs: for the only generator of a measurement that wants the most it can get */
    int repeated_status; /* of the answer to a request that had arrived before; 0: one whose connection is cut is an error, and not sent again */
};

struct load_result {
    uint64_t answered;   /* as expected */
    uint64_t unexpected; /* another status or body */
    uint64_t broken;     /* connections refused, cut in an answer, or not HTTP */
    uint64_t repeated;   /* requests that were sent again because their connection had ended */
    uint64_t unanswered; /* after BENCH_ANSWER_LIMIT_NS; their latency counts as far as it got */
    uint64_t start_ns;
    uint64_t end_ns; /* of the last answer */
    struct histogram latency;
    char problem[LOAD_PROBLEM_BYTES]; /* the first, in words; empty when there was none */
};

/* Opens the connections, runs the plan and waits for the last answers. Errors of single requests are counted in the result; it fails only
 * when the load could not be run. The result is large: not for the stack of a small thread. */
enum outcome http_load_run(const struct load_plan *plan, struct load_result *ret_result) MUST_USE;

/* Requests that were not answered as expected. */
static inline uint64_t load_errors(const struct load_result *result) { return result->unexpected + result->broken + result->unanswered; }

/* Expected answers a second. */
static inline uint64_t load_rate(const struct load_result *result) {
    uint64_t duration_ns = result->end_ns - result->start_ns;
    return duration_ns ? (uint64_t)((double)result->answered * NS_PER_SECOND / (double)duration_ns) : 0;
}
