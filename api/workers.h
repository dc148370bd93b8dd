/* Worker threads: a bounded queue of requests, and threads that each have a reader of their own. It is opened for the thread's first request, for a
 * connection to the database costs memory (141 KiB on SQLite), and few servers need all threads. */
#pragma once

#include "api/request.h"

struct workers;

/* Runs on a worker's thread, with request->reader set, or NULL when none can be opened now. Must give the request back by http_complete(). */
typedef void (*worker_function)(struct request *request);

struct workers_plan {
    const char *name; /* of the threads, at most 15 characters; static */
    unsigned threads;
    size_t queue_max;
    worker_function run;
};

enum err workers_start(struct store *store, const struct workers_plan *plan, struct workers **ret_workers) MUST_USE;
/* Runs what is queued, ends the threads and frees the pool; NULL is fine. */
void workers_stop(struct workers *workers);
/* Queues the request; ERR_OVERLOADED when the queue is full. Any thread; never blocks. */
enum err workers_submit(struct workers *workers, struct request *request) MUST_USE;
/* The same for a request that has been there before and goes on: however long the queue is. */
void workers_resubmit(struct workers *workers, struct request *request);
