/* Many event streams read by one epoll loop, which checks of each stream that ids only rise, and sums up what came.
 *
 * A set is used by one thread at a time: the one that opened it, or the reader thread between streams_start_reader and
 * streams_stop_reader; only streams_received may be asked meanwhile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"
#include "histogram.h"
#include "population.h"

#define STREAMS_PER_SOURCE 2000    /* streams from one local address: finding a port is dear when half of its 28,000 are taken */
#define STREAMS_OPENING_MAX 128    /* streams that wait for `ready` at once: fewer than the server takes requests */
#define PEER_STREAMS_OPENING_MAX 4 /* Pushpin refuses some of more, when the machine is busy */
#define STREAM_RECEIVE_BUFFER_BYTES (64 * 1024)
#define STREAM_FRAME_BYTES_MAX (64 * 1024)
#define STREAM_PROBLEM_BYTES 256

/* What was wrong, over all streams. */
struct stream_problems {
    uint64_t closed;       /* ended by the server, or never opened */
    uint64_t reset;        /* got a `reset` */
    uint64_t malformed;    /* sent what is not a frame */
    uint64_t disordered;   /* events whose id was not higher than the one before */
    uint64_t other_events; /* events that nobody caused */
    char first[STREAM_PROBLEM_BYTES];
};

struct stream_set;

/* An empty set for at most `capacity` streams of the server on 127.0.0.1:`port`; owned by the caller. NULL when there is no memory.
 * Of every `sample_stride`-th stream the latency of each message is recorded; 0: of none. */
struct stream_set *streams_new(uint16_t port, uint32_t capacity, uint32_t sample_stride);
/* A set of streams of another server, which gives the event stream at `path` to anybody (borrowed): such a stream is ready with its answer's head. Of its
 * messages nothing is required but the stamp of post.h in their data; that is what they are known by in place of an id. */
struct stream_set *streams_new_of_peer(uint16_t port, uint32_t capacity, uint32_t sample_stride, const char *path);
/* Closes all. NULL is fine. */
void streams_free(struct stream_set *set);
/* Opens streams, the n-th with token n (no population: those of a peer need none), until there are `count` and each has its `ready`. */
enum outcome streams_open_to(struct stream_set *set, const struct population *population, uint32_t count) MUST_USE;
/* True when one stream could be opened and was answered as it should; says nothing when not. For a set without streams. */
bool streams_try_one(struct stream_set *set);
/* From now on a stream whose connection ends is no problem, but opened again at once, from its last id on. */
void streams_let_return(struct stream_set *set);
/* How often that happened. */
uint64_t streams_returned(const struct stream_set *set);
/* Bytes that came in all; not while the reader runs. */
uint64_t streams_bytes(const struct stream_set *set);
/* Closes every stream; each remembers its last id. */
void streams_close(struct stream_set *set);
/* How long streams_come_back took. */
struct streams_return {
    uint64_t asked_ns; /* until the last request was sent: the readers' own part */
    uint64_t live_ns;  /* until every stream had what it missed */
};
/* Opens all that were closed at once, each from its last id on, and reads until each has had `events` messages since. Fails after `limit_ns`. */
enum outcome streams_come_back(struct stream_set *set, const struct population *population, uint64_t events, uint64_t limit_ns,
                               struct streams_return *ret_return) MUST_USE;
/* Reads what comes for `duration_ns`. */
void streams_read_for(struct stream_set *set, uint64_t duration_ns);

enum outcome streams_start_reader(struct stream_set *set) MUST_USE;
void streams_stop_reader(struct stream_set *set);

/* Messages received over all streams, and when the last one came. Any thread. */
uint64_t streams_received(const struct stream_set *set);
uint64_t streams_last_received_ns(const struct stream_set *set);

/* Ids of messages, to be compared as a set: with rising ids on each stream, equal sums mean the same messages in the same order. */
struct id_sum {
    uint64_t count;
    uint64_t sum;
};
void id_sum_add(struct id_sum *sum, uint64_t id);

/* What stream `index` got since it was opened first. */
const struct id_sum *streams_messages(const struct stream_set *set, uint32_t index);
/* The streams that did not get exactly these messages since they were opened. */
uint32_t streams_differing(const struct stream_set *set, const struct id_sum *expected);
const struct stream_problems *streams_problems(const struct stream_set *set);
/* All problems in one number. */
uint64_t streams_problem_count(const struct stream_set *set);
/* From sending the post to reading the event, on the sampled streams; starts anew when it is reset. */
const struct histogram *streams_latency(const struct stream_set *set);
void streams_reset_latency(struct stream_set *set);
