#include "http_load.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EPOLL_EVENTS 512
#define WAIT_LIMIT_NS (100 * NS_PER_MS)
#define GATE_INTERVAL_NS NS_PER_MS

enum connection_state { CONNECTION_DEAD, CONNECTION_IDLE, CONNECTION_WAITING };

struct connection {
    enum connection_state state;
    int fd;           /* -1 when dead */
    uint64_t due_ns;  /* of the request that waits for its answer */
    bool is_repeated; /* the request was sent more than once */
    size_t request_len, received_len;
    char request[HTTP_REQUEST_BYTES_MAX];
    char received[HTTP_ANSWER_BYTES_MAX];
};

struct load {
    const struct load_plan *plan;
    struct load_result *result;
    int epoll_fd;
    struct connection *connections;
    uint32_t *idle; /* a stack of the connections that may send */
    uint32_t idle_count;
    uint32_t waiting_count;
    uint64_t scheduled; /* open loop: requests taken from the plan */
    uint64_t planned;   /* open loop: all of them */
    uint64_t end_ns;    /* closed loop: no request starts after it */
};

/* ---- Connections ---- */

static void note_problem(struct load *load, const char *what, int number, const char *text, size_t text_len) {
    if (!load->result->problem[0])
        snprintf(load->result->problem, LOAD_PROBLEM_BYTES, "%s %d %.*s", what, number, (int)(text_len < 200 ? text_len : 200), text);
}

static void load_make_idle(struct load *load, uint32_t index) {
    load->connections[index].state = CONNECTION_IDLE;
    load->idle[load->idle_count++] = index;
}

/* Only when it is connected it is watched: before that, epoll would call it hung up. */
static bool connection_take(struct load *load, uint32_t index, int fd) {
    struct connection *connection = &load->connections[index];
    connection->received_len = 0;
    connection->state = CONNECTION_DEAD;
    connection->fd = fd;
    return fd >= 0 && http_connect_end(fd) && http_watch(load->epoll_fd, fd, index);
}

static bool connection_open(struct load *load, uint32_t index) {
    return connection_take(load, index, http_connect_begin(load->plan->port, 0));
}

/* One that cannot be sent, for the new connection has ended as well, is sent once more when that is seen. */
static void connection_repeat(struct load *load, struct connection *connection) {
    connection->state = CONNECTION_WAITING;
    connection->is_repeated = true;
    load->waiting_count++;
    load->result->repeated++;
    (void)!send(connection->fd, connection->request, connection->request_len, MSG_NOSIGNAL);
}

/* Closed by one side: an answer that was still due is lost, unless its request may be repeated, and a connection that cannot be made again is dead for the rest. */
static void connection_reopen(struct load *load, uint32_t index, const char *why) {
    struct connection *connection = &load->connections[index];
    bool was_idle = connection->state == CONNECTION_IDLE, repeats = false;
    if (connection->state == CONNECTION_WAITING) {
        load->waiting_count--;
        repeats = load->plan->repeated_status > 0;
        load->result->broken += !repeats;
        if (!repeats)
            note_problem(load, why, errno, connection->received, connection->received_len);
    }
    close(connection->fd);
    if (connection_open(load, index)) {
        if (repeats)
            connection_repeat(load, connection);
        else if (was_idle)
            connection->state = CONNECTION_IDLE;
        else
            load_make_idle(load, index);
        return;
    }
    load->result->broken++;
    note_problem(load, "cannot connect:", errno, "", 0);
}

/* ---- Sending ---- */

/* The time for which the next request is due, if it is due now. */
static bool load_next_due(struct load *load, uint64_t now, uint64_t *ret_due_ns) {
    const struct load_plan *plan = load->plan;
    if (bench_interrupted() || (plan->driver->may_send && !plan->driver->may_send(plan->context)))
        return false;
    if (plan->rate_per_second == 0) {
        *ret_due_ns = now;
        return now < load->end_ns;
    }
    uint64_t due_ns = load->result->start_ns + load->scheduled * NS_PER_SECOND / plan->rate_per_second;
    if (load->scheduled == load->planned || due_ns > now)
        return false;
    load->scheduled++;
    *ret_due_ns = due_ns;
    return true;
}

static void connection_send(struct load *load, uint32_t index, uint64_t due_ns, uint64_t now) {
    struct connection *connection = &load->connections[index];
    uint64_t time_ns = load->plan->rate_per_second ? due_ns : now;
    connection->request_len = load->plan->driver->write_request(load->plan->context, index, time_ns, connection->request);
    connection->due_ns = due_ns;
    connection->is_repeated = false;
    connection->state = CONNECTION_WAITING;
    load->waiting_count++;
    /* The socket's buffer is empty, so a request goes as a whole or the connection is gone. */
    if (send(connection->fd, connection->request, connection->request_len, MSG_NOSIGNAL) != (ssize_t)connection->request_len)
        connection_reopen(load, index, "cannot send: errno");
}

static void load_send_due(struct load *load) {
    uint64_t now = now_ns(), due_ns;
    while (load->idle_count > 0) {
        uint32_t index = load->idle[load->idle_count - 1];
        if (load->connections[index].state != CONNECTION_IDLE) {
            load->idle_count--;
            continue;
        }
        if (!load_next_due(load, now, &due_ns))
            return;
        load->idle_count--;
        connection_send(load, index, due_ns, now);
    }
}

/* ---- Receiving ---- */

static void load_note_latency(struct load *load, uint64_t due_ns) {
    const struct load_driver *driver = load->plan->driver;
    uint64_t end_ns = load->result->end_ns;
    histogram_record(&load->result->latency, end_ns - due_ns);
    if (driver->on_slow && end_ns - due_ns >= LOAD_SLOW_NS)
        driver->on_slow(load->plan->context, due_ns, end_ns);
}

static void load_count_answer(struct load *load, const struct connection *connection, const struct http_answer *answer) {
    const struct load_plan *plan = load->plan;
    const char *body = connection->received + answer->head_len;
    load->result->end_ns = now_ns();
    load_note_latency(load, connection->due_ns);
    bool expected = (answer->status == plan->expected_status || (connection->is_repeated && answer->status == plan->repeated_status)) &&
                    (!plan->driver->on_answer || plan->driver->on_answer(plan->context, body, answer->body_len));
    if (expected) {
        load->result->answered++;
    } else {
        load->result->unexpected++;
        note_problem(load, "status", answer->status, body, answer->body_len);
    }
}

static void connection_answered(struct load *load, uint32_t index, const struct http_answer *answer) {
    struct connection *connection = &load->connections[index];
    load_count_answer(load, connection, answer);
    bool in_step = connection->received_len == answer->head_len + answer->body_len;
    connection->received_len = 0;
    load->waiting_count--;
    load_make_idle(load, index);
    if (!in_step) {
        load->result->broken++;
        note_problem(load, "more bytes than the answer, status", answer->status, "", 0);
    }
    if (!in_step || answer->closes)
        connection_reopen(load, index, "closed");
}

static void connection_receive(struct load *load, uint32_t index) {
    struct connection *connection = &load->connections[index];
    ssize_t got =
        recv(connection->fd, connection->received + connection->received_len, HTTP_ANSWER_BYTES_MAX - connection->received_len, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        errno = got == 0 ? 0 : errno;
        connection_reopen(load, index, "closed before its answer: errno");
        return;
    }
    connection->received_len += (size_t)got;
    struct http_answer answer;
    enum http_progress progress = http_parse(connection->received, connection->received_len, &answer);
    bool full = connection->received_len == HTTP_ANSWER_BYTES_MAX;
    if (progress == HTTP_COMPLETE && connection->state == CONNECTION_WAITING)
        connection_answered(load, index, &answer);
    else if (progress != HTTP_PARTIAL || full)
        connection_reopen(load, index, "not an answer: errno");
}

/* ---- The loop ---- */

static uint64_t load_wait_ns(const struct load *load) {
    uint64_t wait_ns = WAIT_LIMIT_NS;
    if (load->idle_count == 0)
        return wait_ns;
    if (load->plan->driver->may_send)
        wait_ns = GATE_INTERVAL_NS;
    if (load->plan->rate_per_second > 0) {
        uint64_t now = now_ns();
        uint64_t due_ns = load->result->start_ns + load->scheduled * NS_PER_SECOND / load->plan->rate_per_second;
        uint64_t until_due_ns = due_ns > now ? due_ns - now : 0;
        wait_ns = until_due_ns < wait_ns ? until_due_ns : wait_ns;
    }
    return wait_ns;
}

static void load_wait(struct load *load) {
    struct epoll_event events[EPOLL_EVENTS];
    uint64_t wait_ns = load_wait_ns(load);
    struct timespec wait = { .tv_sec = (time_t)(wait_ns / NS_PER_SECOND), .tv_nsec = (long)(wait_ns % NS_PER_SECOND) };
    int count = epoll_pwait2(load->epoll_fd, events, EPOLL_EVENTS, &wait, NULL);
    for (int i = 0; i < count; i++) {
        uint32_t index = (uint32_t)events[i].data.u64;
        if (load->connections[index].state != CONNECTION_DEAD)
            connection_receive(load, index);
        /* Who was answered asks again before the next answer is read: no connection waits for the end of the round. */
        if (load->idle_count > 0)
            load_send_due(load);
    }
}

static bool load_has_more(const struct load *load) {
    if (load->waiting_count > 0)
        return true;
    if (bench_interrupted() || load->idle_count == 0)
        return false;
    return load->plan->rate_per_second > 0 ? load->scheduled < load->planned : now_ns() < load->end_ns;
}

/* What still waits at the end is unanswered, and was so for at least this long. */
static void load_count_unanswered(struct load *load) {
    uint64_t now = now_ns();
    for (uint32_t i = 0; i < load->plan->connection_count; i++) {
        if (load->connections[i].state != CONNECTION_WAITING)
            continue;
        load->result->unanswered++;
        histogram_record(&load->result->latency, now - load->connections[i].due_ns);
    }
    if (!bench_interrupted())
        load->result->unanswered += load->planned - load->scheduled;
    if (load->result->unanswered > 0)
        note_problem(load, "seconds without an answer:", (int)(BENCH_ANSWER_LIMIT_NS / NS_PER_SECOND), "", 0);
}

static void load_loop(struct load *load) {
    const struct load_plan *plan = load->plan;
    load->result->start_ns = load->result->end_ns = now_ns();
    load->end_ns = load->result->start_ns + plan->duration_ns;
    load->planned = plan->duration_ns / NS_PER_MS * plan->rate_per_second / 1000;
    uint64_t deadline_ns = load->end_ns + BENCH_ANSWER_LIMIT_NS;
    while (load_has_more(load) && now_ns() < deadline_ns) {
        load_send_due(load);
        load_wait(load);
    }
    load_count_unanswered(load);
}

static bool load_allocate(struct load *load) {
    uint32_t count = load->plan->connection_count;
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load->connections = calloc(count, sizeof *load->connections);
    load->idle = calloc(count, sizeof *load->idle);
    for (uint32_t i = 0; load->connections && i < count; i++)
        load->connections[i].fd = -1;
    return load->epoll_fd >= 0 && load->connections && load->idle;
}

/* All are begun before the first is waited for. */
static enum outcome load_open(struct load *load) {
    for (uint32_t i = 0; i < load->plan->connection_count; i++)
        load->connections[i].fd = http_connect_begin(load->plan->port, 0);
    for (uint32_t i = 0; i < load->plan->connection_count; i++) {
        if (!connection_take(load, i, load->connections[i].fd)) {
            complain("cannot open connection %u: %s", i, strerror(errno));
            return OUTCOME_FAILED;
        }
        load_make_idle(load, i);
    }
    return OUTCOME_OK;
}

static void load_release(struct load *load) {
    for (uint32_t i = 0; load->connections && i < load->plan->connection_count; i++) {
        if (load->connections[i].fd >= 0)
            close(load->connections[i].fd);
    }
    if (load->epoll_fd >= 0)
        close(load->epoll_fd);
    free(load->connections);
    free(load->idle);
}

/* On two processors a generator and a server that wake each other are drawn to the same one while the other has nothing to do, which takes a tenth of the posts and more. The
 * server may still use all. */
static void load_loop_on_last_processor(struct load *load) {
    cpu_set_t all, last;
    if (sched_getaffinity(0, sizeof all, &all)) {
        load_loop(load);
        return;
    }
    int processor = CPU_SETSIZE - 1;
    while (!CPU_ISSET(processor, &all))
        processor--;
    CPU_ZERO(&last);
    CPU_SET(processor, &last);
    (void)sched_setaffinity(0, sizeof last, &last);
    load_loop(load);
    (void)sched_setaffinity(0, sizeof all, &all);
}

enum outcome http_load_run(const struct load_plan *plan, struct load_result *ret_result) {
    memset(ret_result, 0, sizeof *ret_result);
    struct load load = { .plan = plan, .result = ret_result };
    enum outcome outcome = OUTCOME_FAILED;
    if (!load_allocate(&load))
        complain("no memory or descriptor for %u connections", plan->connection_count);
    else
        outcome = load_open(&load);
    if (outcome == OUTCOME_OK && plan->stays)
        load_loop_on_last_processor(&load);
    else if (outcome == OUTCOME_OK)
        load_loop(&load);
    load_release(&load);
    return outcome;
}
