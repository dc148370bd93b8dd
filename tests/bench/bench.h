/* The load generator: what all of its files share. Each scenario is one file that runs on the main thread and prints one table.
 *
 * Only libc and threads are used, nothing of the server's code: a mistake there cannot hide itself here. (But stored.c, which measures nothing, fills a database
 * with the server's own filters.) */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_SECOND UINT64_C(1000000000)

#define BENCH_SIZES_MAX 16                         /* sizes in one list, so rows of one scenario */
#define BENCH_TEXT_BYTES_MAX 4096                  /* of one message */
#define BENCH_DESCRIPTOR_RESERVE 750               /* descriptors that are not streams: the server keeps 700 of its own */
#define BENCH_ANSWER_LIMIT_NS (10 * NS_PER_SECOND) /* what is not answered by then never will be */
#define BENCH_MAX_LATENCY_NS NS_PER_SECOND         /* the goal of the slowest answer */
#define BENCH_LATE_NS (5 * NS_PER_SECOND)          /* a slower one fails the run: no machine, nor its disk, stands still for so long */

/* A fallible function that answered OUTCOME_FAILED has already said why on stderr. */
enum outcome { OUTCOME_OK, OUTCOME_FAILED };

struct size_list {
    size_t count;
    uint32_t values[BENCH_SIZES_MAX];
};

/* What the command line can set. */
struct options {
    const char *server_path;
    const char *data_parent; /* the servers' data folders are made in it */
    const char *scenario_names[BENCH_SIZES_MAX];
    size_t scenario_count; /* 0: all */
    bool is_quick;         /* what takes long is left out */
    uint32_t seconds;      /* of load, each row */
    uint32_t text_bytes;
    uint32_t settle_seconds; /* without any event before the rest counts as lost */
    struct size_list connections;
    uint32_t rate_per_second; /* 0: closed loop; stalls: half of the maximum */
    bool grows;               /* posts: rows go on with the database of the row before */
    uint32_t user_count;
    uint32_t chat_count;
    uint32_t members_per_chat;
    struct size_list streams;
    uint32_t poster_count;
    uint32_t events_ahead; /* undelivered events at which posters wait; 0: never */
    struct size_list idle_streams;
    uint32_t expired_messages;
    uint32_t expired_objects;
    uint32_t crowd_streams;
    uint32_t direct_streams; /* direct, return */
    uint32_t direct_chats;
    uint32_t direct_rate;     /* posts a second */
    uint32_t stored_messages; /* history */
    uint32_t stall_seconds;
    struct size_list stall_connections; /* `connections`, when they were given */
    uint32_t idle_seconds;
    uint32_t followers; /* of a channel */
};

/* A scenario prints its table, and fails when an answer was wrong or missing, or an event lost, doubled or out of order. */
enum outcome scenario_posts(const struct options *options) MUST_USE;
enum outcome scenario_deliveries(const struct options *options) MUST_USE;
enum outcome scenario_memory(const struct options *options) MUST_USE;
enum outcome scenario_cleanup(const struct options *options) MUST_USE;
enum outcome scenario_nodes(const struct options *options) MUST_USE;
enum outcome scenario_crowd(const struct options *options) MUST_USE;
enum outcome scenario_peers_posts(const struct options *options) MUST_USE;
enum outcome scenario_peers_streams(const struct options *options) MUST_USE;
enum outcome scenario_mariadb(const struct options *options) MUST_USE;
enum outcome scenario_limits(const struct options *options) MUST_USE;
enum outcome scenario_direct(const struct options *options) MUST_USE;
enum outcome scenario_return(const struct options *options) MUST_USE;
enum outcome scenario_history(const struct options *options) MUST_USE;
enum outcome scenario_instructions(const struct options *options) MUST_USE;
enum outcome scenario_rates(const struct options *options) MUST_USE;
enum outcome scenario_peers_mqtt(const struct options *options) MUST_USE;
enum outcome scenario_network(const struct options *options) MUST_USE;
enum outcome scenario_idle(const struct options *options) MUST_USE;
enum outcome scenario_stalls(const struct options *options) MUST_USE;
enum outcome scenario_cost(const struct options *options) MUST_USE;
enum outcome scenario_machine(const struct options *options) MUST_USE;

/* True once SIGINT or SIGTERM came: every loop ends early, so that servers are stopped and folders removed. Any thread. */
bool bench_interrupted(void);

/* One line on stderr: what went wrong, or what is being done. Any thread. */
void complain(const char *format, ...) PRINTF_LIKE(1, 2);

/* The smaller of `wanted` and the streams that this process's descriptor limit leaves room for; says so when it is less. */
uint32_t bench_streams_possible(uint32_t wanted);

/* Monotonic time. */
static inline uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* A bijection of 64 bits that looks random (the finaliser of splitmix64, Steele, Lea and Flood 2014). */
static inline uint64_t mix64(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* The next of a sequence of random-looking numbers, of which `state` is the position. */
static inline uint64_t random_next(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return mix64(*state);
}
