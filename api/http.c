/* Owns the HTTP daemon, its connections with their deadlines, and the loop's thread; the only file that knows libmicrohttpd but for
 * head.c and handover.c.
 *
 * The daemon has no thread of its own: its epoll descriptor is watched by ours. (With its own threads releases up to 1.0.1 wait with the full timeout
 * after exactly 128 ready connections; and waking a suspended connection from another thread wakes nobody.) Whoever completes a request puts it on a
 * list and wakes the loop, which answers.
 *
 * A request that waits is a suspended connection, or it lingers: then the daemon counts its connection among the ready ones and asks for it in each run,
 * which advance() answers with nothing. Suspending costs two epoll_ctl() and a recv() in vain, so what waits for a commit, and nothing else, lingers: not
 * too many, and not for long. The daemon watches the connections of those that linger. When one ends its request is orphaned: it goes when it comes back.
 *
 * MHD_USE_TURBO: the daemon closes its descriptor without shutdown(), so that a duplicate of it lives on as a stream (handover.h). */
#include "api/http.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/blobs.h"
#include "api/deadline.h"
#include "api/dispatch.h"
#include "api/events.h"
#include "api/farewell.h"
#include "api/handover.h"
#include "api/head.h"
#include "api/listen.h"
#include "api/problem.h"
#include "api/routes.h"
#include "api/server_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/random.h"

/* Per connection: a request head of LIMIT_HEAD_BYTES and the answer's head. The daemon zeroes all of it after each request, so no more than that. */
#define POOL_BYTES (LIMIT_HEAD_BYTES + 4096)
#define RUNS_PER_TURN 8    /* of the daemon, before the loop looks at its own descriptors again */
#define SPARE_REQUESTS 512 /* kept for reuse */
#define LINGERING_MAX 512  /* each run of the daemon asks for all of them */
#define LINGER_US 50000
#define LINGER_RUN_MS 1 /* while requests linger the daemon never says that nothing is ready, so it is asked again that often */
#define STOP_MS 5000
#define BLOB_WRITE_BYTES (16 * 1024) /* of a block given to the socket at once */

struct connection {
    struct http *http;
    struct MHD_Connection *daemon_connection;
    int fd; /* the daemon's */
    struct address address;
    bool request_begun;       /* its first line has been read */
    struct deadline deadline; /* not set while a request runs */
};

struct http {
    struct server *server;
    struct MHD_Daemon *daemon;
    char address[LISTEN_TEXT_SIZE];
    int epoll_fd, event_fd;
    struct farewell *farewell;
    pthread_t thread;
    bool started, quiesced;
    bool ended; /* the thread */

    struct deadline_list receiving; /* a request must be complete by then */
    struct deadline_list waiting;   /* for the next request, or for the peer to read its answer */
    int64_t now_ms;                 /* monotonic, of this turn */
    bool again;                     /* the daemon has to run once more before the loop may sleep */
    bool moved;                     /* in the daemon's last run something happened to a connection or a request */
    size_t connections;
    size_t begun;      /* requests whose head is there */
    size_t held_bytes; /* of received bodies and of answers that are being sent */
    size_t running;    /* of those, complete ones: they may be suspended, or elsewhere */
    size_t lingering;  /* of those */
    uint64_t request_seed, request_count;
    struct request *spare;
    size_t spare_count;

    _Atomic(struct request *) completed; /* newest first */
    _Atomic bool asleep;                 /* the loop waits, or is about to; whoever clears it has to wake the loop */
    _Atomic bool draining, stopping;
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    bool is_idle; /* under the mutex: draining, and nothing runs */
};

static struct connection *connection_of(struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

/* ---- Deadlines ---- */

static void expect(struct connection *connection, struct deadline_list *list) {
    deadline_set(&connection->deadline, list, connection->http->now_ms);
}

/* The daemon notices the end of the socket and cleans up; nothing is freed here. */
static void expire(struct connection *connection) {
    static const char LATE[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
                               "Content-Length: 102\r\n\r\n"
                               "{\"type\":\"about:blank\",\"title\":\"Request timeout\",\"status\":408,"
                               "\"code\":\"bad_request\",\"detail\":\"Too slow\"}";
    bool late = connection->deadline.list == &connection->http->receiving && connection->request_begun;
    deadline_clear(&connection->deadline);
    if (late)
        (void)send(connection->fd, LATE, sizeof(LATE) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(connection->fd, SHUT_RDWR);
    connection->http->again = true;
}

static void expire_list(struct http *http, const struct deadline_list *list) {
    for (struct deadline *due; (due = deadline_due(list, http->now_ms)) != NULL;)
        expire(LIST_ITEM(due, struct connection, deadline));
}

/* ---- Requests ---- */

/* Spare ones keep a block of their arenas. */
static struct request *request_new(struct http *http) {
    struct request *request = http->spare;
    if (request != NULL) {
        struct arena arena = request->arena;
        http->spare = request->next;
        http->spare_count--;
        memset(request, 0, sizeof(*request));
        request->arena = arena;
    } else if ((request = calloc(1, sizeof(*request))) != NULL) {
        arena_init(&request->arena, LIMIT_REQUEST_ARENA_BYTES);
    }
    return request;
}

static void set_running(struct http *http, struct request *request, bool running) {
    if (running && !request->running)
        http->running++;
    if (!running && request->running)
        http->running--;
    request->running = running;
}

static void request_free(struct http *http, struct request *request) {
    http->begun--;
    set_running(http, request, false);
    dispatch_release(request);
    if (http->spare_count >= SPARE_REQUESTS) {
        arena_release(&request->arena);
        free(request);
        return;
    }
    request->next = http->spare;
    http->spare = request;
    http->spare_count++;
}

static void name_request(struct http *http, struct request *request) {
    static const char DIGITS[] = "0123456789abcdef";
    uint64_t bits = (http->request_seed + ++http->request_count) * UINT64_C(0x9e3779b97f4a7c15);
    bits ^= bits >> 29; /* neighbours look different; uniqueness stays, both steps are invertible */
    for (int i = 0; i < 16; i++)
        request->id[i] = DIGITS[bits >> (60 - 4 * i) & 15];
}

/* ---- Waiting for others ---- */

/* Counts memory that the request holds until it is completed; false when all requests together would hold too much. */
static bool hold(struct request *request, size_t bytes) {
    struct http *http = request->connection->http;
    if (http->held_bytes + bytes > LIMIT_HELD_BYTES)
        return false;
    http->held_bytes += bytes;
    request->held_bytes += bytes;
    return true;
}

static void suspend(struct request *request) {
    MHD_suspend_connection(request->connection->daemon_connection);
    request->suspended = true;
}

static bool may_linger(const struct http *http, const struct request *request) {
    if (request->lingers)
        return http->now_ms * 1000 - request->started_us < LINGER_US;
    return request->is_independent && http->lingering < LINGERING_MAX;
}

static void set_lingering(struct http *http, struct request *request, bool lingers) {
    if (lingers && !request->lingers)
        http->lingering++;
    if (!lingers && request->lingers)
        http->lingering--;
    request->lingers = lingers;
}

/* In the daemon's callback. */
static void put_aside(struct http *http, struct request *request) {
    bool lingers = may_linger(http, request);
    set_lingering(http, request, lingers);
    if (!lingers)
        suspend(request);
}

static void resume(struct request *request) {
    struct http *http = request->connection->http;
    http->again |= request->lingers;
    set_lingering(http, request, false);
    if (!request->suspended)
        return;
    request->suspended = false;
    MHD_resume_connection(request->connection->daemon_connection);
    http->again = true;
}

/* ---- Transfers ---- */

/* The block is on its way to or from the disk until http_block_passed(). The deadline is for the client, not for the disk. */
static enum err pass_block(struct request *request) {
    struct connection *connection = request->connection;
    enum err err = dispatch_block(request);
    if (err != OK)
        return err;
    set_running(connection->http, request, true);
    deadline_clear(&connection->deadline);
    suspend(request);
    return OK;
}

void http_block_passed(struct request *request) {
    struct http *http = request->connection->http;
    set_running(http, request, false);
    expect(request->connection, request->answered ? &http->waiting : &http->receiving);
    resume(request);
}

/* The daemon wants bytes of an answer's body. Each time it does, the client has taken what it got before. */
static ssize_t send_blob(void *context, uint64_t position, char *out, size_t size) {
    struct request *request = context;
    size_t given = request->err == OK ? blob_give(request, position, out, size) : 0;
    if (given > 0) {
        expect(request->connection, &request->connection->http->waiting);
        request->connection->http->moved = true;
        return (ssize_t)given;
    }
    return request->err == OK && pass_block(request) == OK ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}

/* ---- Answers ---- */

static struct slice answer_bytes(const struct answer *answer) {
    if (answer->frame != NULL)
        return (struct slice){ answer->frame->bytes + answer->frame->object, answer->frame->object_size };
    if (answer->fixed.bytes != NULL)
        return answer->fixed;
    return (struct slice){ answer->body.bytes, answer->body.size };
}

/* The bytes stay the request's, which outlives the response. */
static struct MHD_Response *response_of(struct request *request) {
    const struct answer *answer = &request->answer;
    if (answer->blob_bytes > 0)
        return MHD_create_response_from_callback(answer->blob_bytes, BLOB_WRITE_BYTES, send_blob, request, NULL);
    struct slice bytes = answer_bytes(answer);
    return MHD_create_response_from_buffer(bytes.size, (void *)(uintptr_t)bytes.bytes, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *make_response(struct request *request) {
    const struct answer *answer = &request->answer;
    struct MHD_Response *response = response_of(request);
    if (response == NULL)
        return NULL;
    if (answer->content_type != NULL)
        MHD_add_response_header(response, "Content-Type", answer->content_type);
    MHD_add_response_header(response, "X-Request-Id", request->id);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    for (size_t i = 0; i < answer->header_count; i++)
        MHD_add_response_header(response, answer->headers[i].name, answer->headers[i].value);
    if (answer->close)
        MHD_add_response_header(response, "Connection", "close");
    return response;
}

static void count(const struct request *request) { routes_count(request, clock_monotonic_us() - request->started_us); }

void http_answer(struct request *request) {
    enum err err = buf_ok(&request->answer.body) ? OK : ERR_NO_MEMORY;
    size_t bytes = request->answer.blob_bytes > 0 ? BLOB_WRITE_BYTES + blob_held_bytes(request) : request->answer.body.size;
    if (err == OK && request->answer.frame == NULL && !hold(request, bytes))
        err = ERR_OVERLOADED;
    if (err != OK) {
        buf_release(&request->answer.body);
        problem_answer(request, err);
    }
    request->answer.close |= request->server->draining;
    struct MHD_Response *response = make_response(request);
    request->answered = true;
    request->unanswerable =
        response == NULL || MHD_queue_response(request->connection->daemon_connection, request->answer.status, response) != MHD_YES;
    if (response != NULL)
        MHD_destroy_response(response);
    count(request);
    /* A transfer runs only while one of its blocks is fetched: its client may take any time. */
    if (request->answer.blob_bytes > 0)
        set_running(request->connection->http, request, false);
    expect(request->connection, &request->connection->http->waiting);
    resume(request);
}

void http_detach(struct request *request) {
    request->detach = true;
    resume(request);
}

/* An answer while the body is still coming: the daemon would read on first, or cannot answer at all. So the answer is written to the socket here, and the
 * daemon only closes its descriptor. The body is not read any further than it takes to keep the kernel from sending a reset. */
static enum MHD_Result refuse_unread(struct request *request, enum err err) {
    struct connection *connection = request->connection;
    problem_answer(request, err);
    struct slice body = answer_bytes(&request->answer);
    struct buf text = BUF_INIT;
    head_format(&text, request, (int64_t)body.size);
    if (!request->head_only)
        buf_append(&text, body.bytes, body.size);
    if (buf_ok(&text))
        (void)send(connection->fd, text.bytes, text.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    buf_release(&text);
    int fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        farewell_add(connection->http->farewell, fd, connection->http->now_ms);
    request->answered = true;
    count(request);
    return MHD_NO;
}

/* ---- Receiving: the daemon's callbacks ---- */

static enum MHD_Result begin_upload(struct request *request) {
    enum err err = dispatch_admit_upload(request);
    if (err == OK && !hold(request, blob_held_bytes(request)))
        err = ERR_OVERLOADED;
    return err == OK ? MHD_YES : refuse_unread(request, err);
}

/* Fills the block of an upload. While a full one is stored the daemon keeps the bytes that it brought, so that it must call again, with these and
 * perhaps more, when it goes on: otherwise a failure could not be answered before the client sends something else. */
static enum MHD_Result receive_block(struct request *request, const char *bytes, size_t *size) {
    struct connection *connection = request->connection;
    if (request->err != OK)
        return refuse_unread(request, request->err);
    size_t taken = request->taken;
    request->taken = 0;
    taken += blob_take(request, bytes + taken, *size - taken);
    if (!blob_is_full(request)) {
        expect(connection, &connection->http->receiving);
        *size = 0;
        return MHD_YES;
    }
    enum err err = pass_block(request);
    if (err != OK)
        return refuse_unread(request, err);
    request->taken = taken;
    return MHD_YES;
}

static enum MHD_Result begin(struct http *http, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
                             void **context) {
    struct request *request = request_new(http);
    if (request == NULL)
        return MHD_NO;
    *context = request;
    http->begun++;
    request->server = http->server;
    request->late = http->server->draining;
    request->connection = connection_of(mhd);
    if (request->connection == NULL)
        return MHD_NO;
    request->started_us = clock_monotonic_us();
    name_request(http, request);
    request->address = request->connection->address;
    head_read(request, mhd, url, method);
    request->body_limit = dispatch_head(request);
    if (!head_is_sound(request))
        return refuse_unread(request, request_refuse(request, ERR_BAD_REQUEST, NULL,
                                                     "the headers do not say clearly which host is meant or where the body ends"));
    /* The daemon's own check (MHD_OPTION_STRICT_FOR_CLIENT) sends the head of its answer twice in 0.9.75. */
    if (request->headers.host == NULL && strcmp(version, "HTTP/1.1") == 0)
        return refuse_unread(request, request_refuse(request, ERR_BAD_REQUEST, "Host", "this header is required"));
    const char *length = request->headers.content_length;
    if (length != NULL && strtoull(length, NULL, 10) > request->body_limit)
        return refuse_unread(request, ERR_BODY_TOO_LARGE);
    return dispatch_is_upload(request) ? begin_upload(request) : MHD_YES;
}

/* Routes without a form have no use for a body: it is only counted. */
static enum MHD_Result receive(struct request *request, const char *bytes, size_t *size) {
    if (dispatch_is_upload(request))
        return receive_block(request, bytes, size);
    request->body_received += *size;
    if (request->body_received > request->body_limit)
        return refuse_unread(request, ERR_BODY_TOO_LARGE);
    if (request->route != NULL && request->route->form != NULL) {
        if (!hold(request, *size))
            return refuse_unread(request, ERR_OVERLOADED);
        buf_append(&request->body, bytes, *size);
    }
    *size = 0;
    return MHD_YES;
}

/* True: the socket is the stream's now, and the daemon has to forget it. */
static bool hand_over(struct request *request) {
    request->detach = false;
    int fd = fcntl(request->connection->fd, F_DUPFD_CLOEXEC, 0);
    enum err err = fd < 0 ? ERR_OVERLOADED : stream_open(request, fd);
    if (err == OK) {
        request->answer.status = 200;
        count(request);
        return true;
    }
    if (fd >= 0)
        close(fd);
    dispatch_detach_failed(request, err);
    return false;
}

/* Called when the request is complete, again in each run while it lingers, and when a connection was resumed without an answer: for a hand-over. */
static enum MHD_Result advance(struct http *http, struct request *request) {
    if (!request->dispatched) {
        request->dispatched = true;
        http->moved = true;
        set_running(http, request, true);
        deadline_clear(&request->connection->deadline);
        dispatch_run(request);
    }
    while (request->detach)
        if (hand_over(request))
            return MHD_NO;
    if (request->answered)
        return request->unanswerable ? MHD_NO : MHD_YES;
    put_aside(http, request);
    return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **request_context) {
    struct http *http = context;
    struct request *request = *request_context;
    if (request != NULL && *upload_size == 0)
        return advance(http, request);
    http->moved = true;
    return request == NULL ? begin(http, mhd, url, method, version, request_context) : receive(request, upload, upload_size);
}

static void *on_request_line(void *context, const char *uri, struct MHD_Connection *mhd) {
    struct http *http = context;
    struct connection *connection = connection_of(mhd);
    (void)uri;
    /* A fresh connection's time runs since it was accepted. */
    if (connection != NULL && !connection->request_begun) {
        connection->request_begun = true;
        if (connection->deadline.list != &http->receiving)
            expect(connection, &http->receiving);
    }
    return NULL;
}

void http_discarded(struct request *request) { request_free(request->server->http, request); }

/* Its connection has ended while the writer has its command, which needs nothing of the connection. */
static void orphan(struct http *http, struct request *request) {
    set_lingering(http, request, false);
    request->is_orphaned = true;
}

/* A file that is left over, and may be large, is closed and removed elsewhere; but not when the loop has ended, which it would come back to. */
static void request_over(struct http *http, struct request *request) {
    http->held_bytes -= request->held_bytes;
    request->held_bytes = 0;
    request->connection = NULL;
    if (request->lingers)
        orphan(http, request);
    else if (!http->ended && dispatch_discard(request))
        set_running(http, request, true);
    else
        request_free(http, request);
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request_context, enum MHD_RequestTerminationCode code) {
    struct http *http = context;
    struct connection *connection = connection_of(mhd);
    struct request *request = *request_context;
    http->moved = true;
    if (request != NULL)
        request_over(http, request);
    *request_context = NULL;
    if (connection == NULL || code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        return;
    connection->request_begun = false;
    expect(connection, &http->waiting);
}

/* The daemon never unescapes: paths are matched as sent, and query values are decoded by whoever reads them. */
static size_t leave_escaped(void *context, struct MHD_Connection *mhd, char *text) {
    (void)context;
    (void)mhd;
    return strlen(text);
}

static void connection_open(struct http *http, struct MHD_Connection *mhd, void **socket_context) {
    struct connection *connection = calloc(1, sizeof(*connection));
    const union MHD_ConnectionInfo *fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *address = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *socket_context = connection;
    if (connection == NULL)
        return;
    connection->http = http;
    connection->daemon_connection = mhd;
    connection->fd = fd != NULL ? fd->connect_fd : -1;
    address_from_socket(&connection->address, address != NULL ? address->client_addr : NULL);
    listen_accepted(connection->fd, &connection->address);
    expect(connection, &http->receiving);
    metric_set(GAUGE_CONNECTIONS, (int64_t)++http->connections);
}

static void connection_closed(struct http *http, void **socket_context) {
    struct connection *connection = *socket_context;
    /* At its limit the daemon looks at the listening socket again only when it runs. */
    http->again = true;
    *socket_context = NULL;
    if (connection == NULL)
        return;
    deadline_clear(&connection->deadline);
    free(connection);
    metric_set(GAUGE_CONNECTIONS, (int64_t)--http->connections);
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context, enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        connection_open(context, mhd, socket_context);
    else
        connection_closed(context, socket_context);
}

/* ---- The loop ---- */

static void wake(struct http *http) {
    uint64_t one = 1;
    ssize_t written = write(http->event_fd, &one, sizeof(one));
    (void)written; /* EAGAIN: it is awake already */
}

/* A loop that is awake looks at the list before it sleeps: of a batch only the first wakes it. Either this sees that it sleeps, or it sees the request
 * (may_sleep), for both write first and read then, in one order for all. */
void http_complete(struct http *http, struct request *request) {
    struct request *newest = atomic_load_explicit(&http->completed, memory_order_relaxed);
    do
        request->next = newest;
    while (!atomic_compare_exchange_weak(&http->completed, &newest, request));
    if (atomic_load(&http->asleep) && atomic_exchange(&http->asleep, false))
        wake(http);
}

static bool may_sleep(struct http *http) {
    atomic_store(&http->asleep, true);
    return atomic_load(&http->completed) == NULL;
}

static void come_back(struct http *http, struct request *request) {
    if (request->is_orphaned)
        request_free(http, request);
    else
        dispatch_continue(request);
}

/* In the order of completion, so that no request waits behind later ones. */
static void take_completed(struct http *http) {
    struct request *newest = atomic_exchange_explicit(&http->completed, NULL, memory_order_acquire);
    struct request *oldest = NULL;
    while (newest != NULL) {
        struct request *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct request *next = oldest->next;
        oldest->next = NULL;
        come_back(http, oldest);
        oldest = next;
    }
}

static bool daemon_is_busy(const struct http *http) {
    MHD_UNSIGNED_LONG_LONG timeout;
    return MHD_get_timeout(http->daemon, &timeout) == MHD_YES && timeout == 0;
}

/* Runs the daemon until it has nothing ready, but not for ever: then the loop comes back at once. Where requests linger it seems to have something ready
 * always, and has as long as something happens; what a run may leave besides, as a part of a long head, is found by the run after LINGER_RUN_MS. */
static void run_daemon(struct http *http) {
    for (int run = 0; run < RUNS_PER_TURN; run++) {
        take_completed(http);
        http->again = http->moved = false;
        MHD_run(http->daemon);
        http->again |= (http->lingering == 0 || http->moved) && daemon_is_busy(http);
        if (!http->again)
            return;
    }
}

static void handle_events(struct http *http, const struct epoll_event *events, int count_of_events) {
    for (int i = 0; i < count_of_events; i++) {
        void *owner = events[i].data.ptr;
        uint64_t wakes;
        if (owner == &http->event_fd)
            while (read(http->event_fd, &wakes, sizeof(wakes)) < 0 && errno == EINTR) {}
        else if (farewell_owns(http->farewell, owner))
            farewell_ready(http->farewell, owner);
    }
}

static int timeout_of(struct http *http) {
    int timeout_ms = farewell_expire(http->farewell, http->now_ms);
    timeout_ms = deadline_sooner(&http->receiving, http->now_ms, timeout_ms);
    timeout_ms = deadline_sooner(&http->waiting, http->now_ms, timeout_ms);
    if (http->lingering > 0 && (timeout_ms < 0 || timeout_ms > LINGER_RUN_MS))
        timeout_ms = LINGER_RUN_MS;
    return http->again ? 0 : timeout_ms;
}

static void stop_accepting(struct http *http) {
    if (http->quiesced)
        return;
    http->quiesced = true;
    int fd = MHD_quiesce_daemon(http->daemon);
    if (fd >= 0)
        close(fd);
}

static void drain_step(struct http *http) {
    stop_accepting(http);
    pthread_mutex_lock(&http->mutex);
    http->is_idle = http->begun == 0;
    if (http->is_idle)
        pthread_cond_broadcast(&http->idle);
    pthread_mutex_unlock(&http->mutex);
}

static void *loop(void *argument) {
    struct http *http = argument;
    struct epoll_event events[16];
    int64_t stop_ms = INT64_MAX;
    while (http->now_ms < stop_ms && !(http->stopping && http->running == 0)) {
        int timeout_ms = timeout_of(http);
        if (timeout_ms != 0 && !may_sleep(http))
            timeout_ms = 0;
        int ready = epoll_wait(http->epoll_fd, events, sizeof(events) / sizeof(events[0]), timeout_ms);
        atomic_store(&http->asleep, false);
        http->now_ms = clock_monotonic_ms();
        handle_events(http, events, ready);
        run_daemon(http);
        expire_list(http, &http->receiving);
        expire_list(http, &http->waiting);
        if (http->draining)
            drain_step(http);
        if (http->stopping && stop_ms == INT64_MAX)
            stop_ms = http->now_ms + STOP_MS;
    }
    return NULL;
}

/* ---- Life ---- */

static void refuse_panic(void *context, const char *file, unsigned line, const char *reason) {
    (void)context;
    log_event(LOG_ERROR, "http_library_panic", "file=%s line=%u reason=\"%s\"", file, line, reason != NULL ? reason : "");
    abort();
}

/* Requests never take more than half of the descriptors. */
static unsigned connection_limit(const struct config *config) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || (rlim_t)config->connections < files.rlim_cur / 2)
        return (unsigned)config->connections;
    return (unsigned)(files.rlim_cur / 2);
}

static struct MHD_Daemon *start_daemon(struct http *http, int listen_fd) {
    const struct config *config = http->server->config;
    /* Behind a proxy all connections have one address; and benches have one, too. */
    bool limited = config->rate_limit && !config->trusted_proxy;
    unsigned connections = connection_limit(config);
    unsigned per_address = limited ? connections - connections / 4 : 0;
    MHD_set_panic_func(refuse_panic, NULL);
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, http,
                            MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT, connections,
                            MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
                            MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
                            MHD_OPTION_URI_LOG_CALLBACK, on_request_line, http, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
}

static enum err watch(struct http *http, int fd, void *tag) {
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = tag };
    return fd >= 0 && epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? OK : ERR_IO;
}

static enum err open_parts(struct http *http, char *problem, size_t problem_size) {
    int listen_fd;
    enum err err = listen_open(http->server->config->listen, &listen_fd, http->address, problem, problem_size);
    if (err != OK)
        return err;
    http->daemon = start_daemon(http, listen_fd);
    if (http->daemon == NULL) {
        close(listen_fd);
        snprintf(problem, problem_size, "libmicrohttpd %s does not start", MHD_get_version());
        return ERR_IO;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    http->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    err = watch(http, http->event_fd, &http->event_fd);
    if (err == OK)
        err = watch(http, info != NULL ? info->epoll_fd : -1, &http->daemon);
    if (err == OK)
        err = farewell_new(http->epoll_fd, &http->farewell);
    if (err != OK)
        snprintf(problem, problem_size, "the HTTP loop cannot be made: %s", strerror(errno));
    if (err == OK && !handover_works()) {
        snprintf(
            problem, problem_size,
            "libmicrohttpd %s closes sockets in a way that ends streams (they cannot be taken over from it); versions 0.9.75 to 1.0.1 are known to work",
            MHD_get_version());
        err = ERR_CONFIG;
    }
    return err;
}

enum err http_open(struct server *server, struct http **ret_http, char *problem, size_t problem_size) {
    struct http *http = calloc(1, sizeof(*http));
    if (http == NULL)
        return ERR_NO_MEMORY;
    http->server = server;
    http->epoll_fd = http->event_fd = -1;
    deadline_list_init(&http->receiving, server->config->request_timeout_ms);
    deadline_list_init(&http->waiting, server->config->idle_timeout_ms);
    http->request_seed = random_u64();
    http->now_ms = clock_monotonic_ms();
    pthread_mutex_init(&http->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&http->idle, &attributes);
    pthread_condattr_destroy(&attributes);
    enum err err = open_parts(http, problem, problem_size);
    if (err != OK) {
        http_free(http);
        return err;
    }
    *ret_http = http;
    return OK;
}

enum err http_start(struct http *http) {
    if (pthread_create(&http->thread, NULL, loop, http) != 0)
        return ERR_NO_MEMORY;
    pthread_setname_np(http->thread, "parley-http");
    http->started = true;
    return OK;
}

const char *http_address(const struct http *http) { return http->address; }

void http_quiesce(struct http *http) {
    http->draining = true;
    wake(http);
}

void http_drain(struct http *http) {
    int64_t until_ms = clock_monotonic_ms() + LIMIT_DRAIN_MS;
    struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
    pthread_mutex_lock(&http->mutex);
    while (!http->is_idle && pthread_cond_timedwait(&http->idle, &http->mutex, &until) == 0) {}
    pthread_mutex_unlock(&http->mutex);
}

static void close_descriptors(struct http *http) {
    if (http->event_fd >= 0)
        close(http->event_fd);
    if (http->epoll_fd >= 0)
        close(http->epoll_fd);
}

static void free_spares(struct http *http) {
    while (http->spare != NULL) {
        struct request *next = http->spare->next;
        arena_release(&http->spare->arena);
        free(http->spare);
        http->spare = next;
    }
}

bool http_stop(struct http *http) {
    if (http == NULL)
        return true;
    if (http->started) {
        http->stopping = true;
        wake(http);
        pthread_join(http->thread, NULL);
        http->ended = true;
    }
    /* A daemon with suspended connections must not be stopped: then it is left to the end of the process. */
    if (http->running > 0)
        log_event(LOG_WARN, "requests_abandoned", "count=%zu", http->running);
    return http->running == 0;
}

void http_free(struct http *http) {
    if (http == NULL)
        return;
    if (http->daemon != NULL)
        MHD_stop_daemon(http->daemon);
    farewell_free(http->farewell);
    close_descriptors(http);
    free_spares(http);
    pthread_cond_destroy(&http->idle);
    pthread_mutex_destroy(&http->mutex);
    free(http);
}
