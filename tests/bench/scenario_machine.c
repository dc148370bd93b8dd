/* The machine's own limits, without any server: what the disk and the loopback network allow at most, to compare with. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "disk.h"
#include "figures.h"
#include "histogram.h"
#include "http.h"
#include "plot.h"
#include "report.h"

#define EVENT_BYTES 128
#define DISK_SECONDS_MAX 2u
#define EPOLL_EVENTS 512

/* ---- The disk ---- */

static enum outcome measure_disk(const struct options *options, struct table *table) {
    static struct histogram latency;
    uint64_t per_second = 0;
    complain("machine: fdatasync");
    enum outcome outcome =
        disk_measure(options, options->seconds < DISK_SECONDS_MAX ? options->seconds : DISK_SECONDS_MAX, &latency, &per_second);
    table_cell(table, "fdatasync of a %d-byte append", DISK_APPEND_BYTES);
    table_count(table, per_second);
    table_latencies(table, &latency);
    figure_set(FIGURE_FDATASYNC_P50_MS, histogram_percentile_ms(&latency, 500000));
    figure_set(FIGURE_FDATASYNC_P99_MS, histogram_percentile_ms(&latency, 990000));
    table_cell(table, "a commit on its own cannot be faster");
    return outcome;
}

/* ---- Sockets ---- */

/* The other process: opens `count` connections and drains them until it is killed. */
static _Noreturn void receiver_main(uint16_t port, uint32_t count) {
    static char bytes[64 * 1024];
    struct epoll_event events[EPOLL_EVENTS];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < count; i++) {
        int fd = http_connect(port, 1 + i / 15000);
        if (fd < 0 || !http_watch(epoll_fd, fd, (uint64_t)fd))
            _exit(1);
    }
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, EPOLL_EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (recv((int)events[i].data.u64, bytes, sizeof bytes, 0) == 0)
                _exit(0);
        }
    }
}

static enum outcome accept_all(int listener, int *sockets, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        sockets[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (sockets[i] < 0) {
            complain("cannot accept connection %u of %u: %s", i, count, strerror(errno));
            return OUTCOME_FAILED;
        }
        http_connected(sockets[i]);
    }
    return OUTCOME_OK;
}

/* Sends an event to each socket in turn; one whose buffer is full is passed over and not counted. */
static uint64_t send_rounds(const int *sockets, uint32_t count, uint64_t duration_ns) {
    static const char event[EVENT_BYTES] = { 'e' };
    uint64_t sent = 0, end_ns = now_ns() + duration_ns;
    while (now_ns() < end_ns && !bench_interrupted()) {
        for (uint32_t i = 0; i < count; i++)
            sent += send(sockets[i], event, sizeof event, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof event;
    }
    return sent;
}

static enum outcome send_to_receiver(int listener, uint32_t count, const struct options *options, uint64_t *ret_per_second) {
    int *sockets = malloc(count * sizeof *sockets);
    if (!sockets)
        return OUTCOME_FAILED;
    for (uint32_t i = 0; i < count; i++)
        sockets[i] = -1;
    enum outcome outcome = accept_all(listener, sockets, count);
    if (outcome == OUTCOME_OK) {
        uint64_t start_ns = now_ns();
        uint64_t sent = send_rounds(sockets, count, options->seconds * NS_PER_SECOND);
        *ret_per_second = (uint64_t)((double)sent * NS_PER_SECOND / (double)(now_ns() - start_ns));
    }
    for (uint32_t i = 0; i < count; i++) {
        if (sockets[i] >= 0)
            close(sockets[i]);
    }
    free(sockets);
    return outcome;
}

static enum outcome measure_sends(const struct options *options, uint32_t count, struct table *table) {
    uint16_t port;
    uint64_t per_second = 0;
    complain("machine: send() to %u sockets", count);
    struct timeval limit = { .tv_sec = BENCH_ANSWER_LIMIT_NS / NS_PER_SECOND };
    int listener = http_listen(&port);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit))
        return OUTCOME_FAILED;
    pid_t receiver = fork();
    if (receiver == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        receiver_main(port, count);
    }
    enum outcome outcome = receiver < 0 ? OUTCOME_FAILED : send_to_receiver(listener, count, options, &per_second);
    if (receiver > 0) {
        kill(receiver, SIGKILL);
        waitpid(receiver, NULL, 0);
    }
    close(listener);
    table_cell(table, "send() of %d bytes to %u sockets", EVENT_BYTES, count);
    table_count(table, per_second);
    figure_set(count == 1000 ? FIGURE_SENDS_1000 : count == 10000 ? FIGURE_SENDS_10000 : FIGURE_NONE, (double)per_second);
    plot_add(PLOT_EVENTS, "bare send()", count, (double)per_second);
    for (int i = 0; i < TABLE_LATENCY_CELLS; i++)
        table_cell(table, "-");
    table_cell(table, "one event to each socket in turn");
    return outcome;
}

enum outcome scenario_machine(const struct options *options) {
    static const char *const columns[] = { "what", "a second", TABLE_LATENCY_COLUMNS, "note", NULL };
    struct table table;
    table_start(&table, "machine: its limits without a server", columns);
    enum outcome outcome = measure_disk(options, &table);
    for (size_t i = 0; i < options->streams.count && !bench_interrupted(); i++) {
        if (measure_sends(options, bench_streams_possible(options->streams.values[i]), &table))
            outcome = OUTCOME_FAILED;
    }
    table_print(&table);
    return outcome;
}
