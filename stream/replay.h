/* Replay: threads that read the store for the hub, a page at a time, each with a reader of its own.
 *
 * A job is filled by the hub's thread, run by a replay thread, and comes back by the inbox; only whoever has it touches it, `stream` and `busy`
 * excepted: those are the hub's alone, at any time. */
#pragma once

#include <pthread.h>

#include "db/reader.h"
#include "stream/inbox.h"

#define REPLAY_THREADS 2

struct stream;

struct replay_job {
    struct replay_job *next; /* of the queue or the inbox it is in */
    /* The hub's: */
    struct stream *stream; /* that waits for it; NULL: nobody any more */
    bool busy;
    size_t sent; /* frames of the page that need no longer be looked at */
    /* What is asked: */
    bool is_log;        /* a page of the whole log after after_id, for the hub itself, if that is in the log */
    bool wants_page;    /* of the feed after after_id */
    bool judges_token;  /* after_id is a client's that nobody here knows; if it is not good, there is no page */
    bool wants_stays;   /* of user_id: those that are open, those that ended after stays_after, and blanked_id */
    uint64_t device_id; /* of user_id: whether there is such a device; 0: not asked */
    uint64_t user_id;
    uint64_t after_id;
    uint64_t stays_after;
    /* The answer, all of one snapshot: */
    enum err err;
    uint64_t head_id;
    uint64_t floor_id;
    enum token_state token;
    bool device_is_gone;
    struct arena arena; /* of the stays */
    struct stay *stays;
    size_t stay_count;
    uint64_t blanked_id; /* read_blanked() */
    struct feed_page page;
};

struct replay_thread {
    struct replay_pool *pool;
    struct reader *reader; /* the thread's own */
    pthread_t thread;
};

struct replay_pool {
    struct inbox *inbox;
    struct replay_thread threads[REPLAY_THREADS];
    unsigned thread_count; /* of those that run */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    /* Under the mutex: */
    struct replay_job *first, *last;
    bool stopping;
};

/* Starts the threads; what they have read goes to the inbox. On failure nothing is left. */
enum err replay_start(struct replay_pool *pool, struct store *store, struct inbox *inbox) MUST_USE;
/* Ends the threads, leaving the queued jobs alone. */
void replay_stop(struct replay_pool *pool);
/* A stream's job goes to the end of the queue; the log's to its front. */
void replay_submit(struct replay_pool *pool, struct replay_job *job);

/* Drops what the job holds and makes it free. */
void replay_job_release(struct replay_job *job);
