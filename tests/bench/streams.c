#include "streams.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "http.h"
#include "post.h"

#define EPOLL_EVENTS 512
#define SCRATCH_BYTES (512 * 1024)
#define WAIT_MS 10
#define OPEN_BETWEEN_READS 64
#define STREAM_REQUEST_BYTES_MAX 512
#define OPEN_LIMIT_NS (10 * NS_PER_SECOND) /* without a single `ready` */

static_assert(SCRATCH_BYTES >= 2 * STREAM_FRAME_BYTES_MAX, "a partial frame leaves room for the rest");

enum stream_state {
    STREAM_UNOPENED,
    STREAM_HEAD,  /* waits for the answer's head: stream_read_head */
    STREAM_READY, /* waits for the first frame: stream_take_ready */
    STREAM_OPEN,
    STREAM_CLOSED, /* by the server: stream_close */
};

struct stream {
    enum stream_state state;
    int fd;
    uint32_t partial_len;
    char *partial; /* owned; what came of a head or frame that is not whole; NULL when nothing did */
    uint64_t last_id;
    struct id_sum messages;
};

struct stream_set {
    uint16_t port;
    const char *peer_path; /* NULL for Parley's streams */
    int epoll_fd;
    uint32_t capacity;
    uint32_t sample_stride;
    uint32_t opened; /* streams that were begun */
    bool lets_return;
    const struct population *population; /* whose tokens they have; NULL for a peer's */
    uint64_t returned, bytes;
    uint64_t received_at_return; /* messages, when streams_come_back began */
    uint32_t ready;              /* of those, the ones that had their `ready` */
    struct stream *streams;
    char *scratch; /* SCRATCH_BYTES: the bytes of the stream that is being read */
    struct stream_problems problems;
    struct histogram latency;
    _Atomic uint64_t received;
    _Atomic uint64_t last_received_ns;
    atomic_bool stop_reader;
    pthread_t reader;
};

void id_sum_add(struct id_sum *sum, uint64_t id) {
    sum->count++;
    sum->sum += mix64(id);
}

/* ---- Problems ---- */

static void note_problem(struct stream_set *set, const struct stream *stream, uint64_t *counter, const char *what, const char *text,
                         size_t len) {
    ++*counter;
    if (!set->problems.first[0])
        snprintf(set->problems.first, STREAM_PROBLEM_BYTES, "stream %td: %s %.*s", stream - set->streams, what,
                 (int)(len < 160 ? len : 160), text);
}

static void stream_close(struct stream *stream) {
    if (stream->state == STREAM_UNOPENED || stream->state == STREAM_CLOSED)
        return;
    stream->state = STREAM_CLOSED;
    close(stream->fd);
    free(stream->partial);
    stream->partial = NULL;
    stream->partial_len = 0;
}

static void stream_break(struct stream_set *set, struct stream *stream, uint64_t *counter, const char *what, const char *text, size_t len) {
    note_problem(set, stream, counter, what, text, len);
    stream_close(stream);
}

/* ---- Frames ---- */

static bool frame_is(const struct frame *frame, const char *type) {
    return frame->type_len == strlen(type) && memcmp(frame->type, type, frame->type_len) == 0;
}

static void stream_take_ready(struct stream_set *set, struct stream *stream, const struct frame *frame) {
    if (!frame_is(frame, "ready") || frame->id == 0) {
        stream_break(set, stream, &set->problems.malformed, "did not begin with ready but", frame->type, frame->type_len);
        return;
    }
    stream->state = STREAM_OPEN;
    stream->last_id = frame->id;
    set->ready++;
}

static void stream_count_message(struct stream_set *set, struct stream *stream, uint64_t id) {
    id_sum_add(&stream->messages, id);
    atomic_store_explicit(&set->received, atomic_load_explicit(&set->received, memory_order_relaxed) + 1, memory_order_relaxed);
}

static bool stream_is_sampled(const struct stream_set *set, const struct stream *stream) {
    return set->sample_stride && (stream - set->streams) % set->sample_stride == 0;
}

static void stream_take_peer_message(struct stream_set *set, struct stream *stream, uint64_t sent_ns, uint64_t now) {
    stream_count_message(set, stream, sent_ns);
    if (stream_is_sampled(set, stream))
        histogram_record(&set->latency, now > sent_ns ? now - sent_ns : 0);
}

static void stream_take_message(struct stream_set *set, struct stream *stream, const struct frame *frame, uint64_t now) {
    uint64_t sent_ns;
    if (frame->id <= stream->last_id)
        note_problem(set, stream, &set->problems.disordered, "id not higher than before:", frame->data, frame->data_len);
    stream->last_id = frame->id;
    stream_count_message(set, stream, frame->id);
    if (stream_is_sampled(set, stream) && post_read_stamp(frame->data, frame->data_len, &sent_ns))
        histogram_record(&set->latency, now > sent_ns ? now - sent_ns : 0);
}

/* A heartbeat says where the stream stands; that never goes back. */
static void stream_take_heartbeat(struct stream_set *set, struct stream *stream, const struct frame *frame) {
    if (frame->id == 0)
        note_problem(set, stream, &set->problems.malformed, "a frame without id and data", "", 0);
    else if (frame->id < stream->last_id)
        note_problem(set, stream, &set->problems.disordered, "a heartbeat went back", "", 0);
    else
        stream->last_id = frame->id;
}

static void stream_take_frame(struct stream_set *set, struct stream *stream, const struct frame *frame, uint64_t now) {
    if (stream->state == STREAM_READY)
        stream_take_ready(set, stream, frame);
    else if (!frame->data)
        stream_take_heartbeat(set, stream, frame);
    else if (frame_is(frame, "message.created"))
        stream_take_message(set, stream, frame, now);
    else if (frame_is(frame, "reset"))
        note_problem(set, stream, &set->problems.reset, "got", frame->data, frame->data_len);
    else if (frame_is(frame, "closing"))
        stream_break(set, stream, &set->problems.closed, "got", frame->data, frame->data_len);
    else if (!set->lets_return || !frame_is(frame, "receipt")) /* coming back tells the others what has arrived */
        note_problem(set, stream, &set->problems.other_events, "got", frame->data, frame->data_len);
}

/* A peer's frame is anything that ends with a blank line. Where it came in chunks, their lengths are somewhere before the data, which harms nobody. */
static size_t stream_take_peer_frames(struct stream_set *set, struct stream *stream, const char *bytes, size_t len) {
    size_t taken = 0;
    uint64_t now = now_ns(), sent_ns;
    const char *blank;
    while ((blank = memmem(bytes + taken, len - taken, "\n\n", 2))) {
        size_t end = (size_t)(blank - bytes) + 2;
        if (post_read_stamp(bytes + taken, end - taken, &sent_ns))
            stream_take_peer_message(set, stream, sent_ns, now);
        taken = end;
    }
    return taken;
}

/* Takes every whole frame; returns how many bytes they were. */
static size_t stream_take_frames(struct stream_set *set, struct stream *stream, const char *bytes, size_t len) {
    size_t taken = 0, frame_len;
    struct frame frame;
    if (set->peer_path)
        return stream->state == STREAM_OPEN ? stream_take_peer_frames(set, stream, bytes, len) : 0;
    uint64_t now = now_ns();
    while (stream->state == STREAM_READY || stream->state == STREAM_OPEN) {
        enum frame_progress progress = frame_parse(bytes + taken, len - taken, &frame, &frame_len);
        if (progress == FRAME_PARTIAL)
            break;
        if (progress == FRAME_BROKEN) {
            stream_break(set, stream, &set->problems.malformed, "not a frame:", bytes + taken, len - taken);
            break;
        }
        stream_take_frame(set, stream, &frame, now);
        taken += frame_len;
    }
    return taken;
}

/* Returns the head's length, or 0 while it is not whole. */
static size_t stream_read_head(struct stream_set *set, struct stream *stream, const char *bytes, size_t len) {
    struct http_answer answer;
    enum http_progress progress = http_parse_head(bytes, len, &answer);
    if (progress == HTTP_PARTIAL)
        return 0;
    if (progress == HTTP_BROKEN || answer.status != 200) {
        stream_break(set, stream, &set->problems.closed, "was answered", bytes, len);
        return 0;
    }
    stream->state = set->peer_path ? STREAM_OPEN : STREAM_READY;
    set->ready += stream->state == STREAM_OPEN;
    return answer.head_len;
}

/* ---- Bytes ---- */

static void stream_keep_partial(struct stream_set *set, struct stream *stream, const char *bytes, size_t len) {
    if (len == 0) {
        free(stream->partial);
        stream->partial = NULL;
        stream->partial_len = 0;
        return;
    }
    char *partial = len <= STREAM_FRAME_BYTES_MAX ? realloc(stream->partial, len) : NULL;
    if (!partial) {
        stream_break(set, stream, &set->problems.malformed, "too long a frame, or no memory for it:", bytes, len);
        return;
    }
    memcpy(partial, bytes, len);
    stream->partial = partial;
    stream->partial_len = (uint32_t)len;
}

static const char *stream_token(const struct stream_set *set, uint32_t index) {
    return set->population ? set->population->tokens[index % set->population->shape.user_count] : "";
}

static bool stream_open(struct stream_set *set, uint32_t index, const char *token);

/* Its connection ended. */
static void stream_end(struct stream_set *set, struct stream *stream) {
    uint32_t index = (uint32_t)(stream - set->streams);
    if (!set->lets_return) {
        stream_break(set, stream, &set->problems.closed, "was closed", "", 0);
        return;
    }
    set->ready -= stream->state == STREAM_OPEN;
    set->returned++;
    stream_close(stream);
    if (!stream_open(set, index, stream_token(set, index)))
        note_problem(set, stream, &set->problems.closed, "could not come back:", strerror(errno), strlen(strerror(errno)));
}

static void stream_receive(struct stream_set *set, struct stream *stream) {
    size_t kept = stream->partial_len;
    ssize_t got = recv(stream->fd, set->scratch + kept, SCRATCH_BYTES - kept, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        stream_end(set, stream);
        return;
    }
    set->bytes += (uint64_t)got;
    if (kept > 0)
        memcpy(set->scratch, stream->partial, kept);
    size_t len = kept + (size_t)got;
    size_t taken = stream->state == STREAM_HEAD ? stream_read_head(set, stream, set->scratch, len) : 0;
    taken += stream_take_frames(set, stream, set->scratch + taken, len - taken);
    if (stream->state != STREAM_CLOSED)
        stream_keep_partial(set, stream, set->scratch + taken, len - taken);
}

static void streams_poll(struct stream_set *set, int timeout_ms) {
    struct epoll_event events[EPOLL_EVENTS];
    uint64_t received = streams_received(set);
    int count = epoll_wait(set->epoll_fd, events, EPOLL_EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct stream *stream = &set->streams[events[i].data.u64];
        if (stream->state != STREAM_CLOSED)
            stream_receive(set, stream);
    }
    if (streams_received(set) != received)
        atomic_store_explicit(&set->last_received_ns, now_ns(), memory_order_relaxed);
}

void streams_read_for(struct stream_set *set, uint64_t duration_ns) {
    uint64_t end_ns = now_ns() + duration_ns;
    while (now_ns() < end_ns && !bench_interrupted())
        streams_poll(set, WAIT_MS);
}

/* ---- Opening ---- */

static int write_stream_request(const struct stream_set *set, const char *token, uint64_t last_id, char *request, size_t capacity) {
    int len = snprintf(request, capacity, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: text/event-stream\r\n",
                       set->peer_path ? set->peer_path : "/v1/events", set->port);
    if (!set->peer_path)
        len += snprintf(request + len, capacity - (size_t)len, "Authorization: Bearer %s\r\n", token);
    if (!set->peer_path && last_id)
        len += snprintf(request + len, capacity - (size_t)len, "Last-Event-ID: %llu\r\n", (unsigned long long)last_id);
    return len + snprintf(request + len, capacity - (size_t)len, "\r\n");
}

static bool stream_open(struct stream_set *set, uint32_t index, const char *token) {
    struct stream *stream = &set->streams[index];
    char request[STREAM_REQUEST_BYTES_MAX];
    int len = write_stream_request(set, token, stream->last_id, request, sizeof request);
    int buffer_bytes = STREAM_RECEIVE_BUFFER_BYTES;
    stream->fd = http_connect(set->port, 1 + index / STREAMS_PER_SOURCE);
    if (stream->fd < 0)
        return false;
    stream->state = STREAM_HEAD;
    return setsockopt(stream->fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes) == 0 &&
           http_watch(set->epoll_fd, stream->fd, index) &&
           (send(stream->fd, request, (size_t)len, MSG_NOSIGNAL) == len || set->lets_return); /* then it is seen to have ended */
}

static enum outcome streams_open_failed(const struct stream_set *set, const char *why) {
    complain("of %u streams %u became ready: %s%s%s", set->opened, set->ready, why, set->problems.first[0] ? ": " : "",
             set->problems.first);
    return OUTCOME_FAILED;
}

enum outcome streams_open_to(struct stream_set *set, const struct population *population, uint32_t count) {
    uint64_t last_ready_ns = now_ns();
    set->population = population;
    while (set->ready < count) {
        uint32_t ready = set->ready;
        while (set->opened < count && set->opened - set->ready < (set->peer_path ? PEER_STREAMS_OPENING_MAX : STREAMS_OPENING_MAX)) {
            uint32_t index = set->opened++;
            if (!stream_open(set, index, stream_token(set, index)))
                return streams_open_failed(set, strerror(errno));
        }
        streams_poll(set, WAIT_MS);
        if (set->ready != ready)
            last_ready_ns = now_ns();
        if (set->problems.closed + set->problems.malformed > 0 || bench_interrupted())
            return streams_open_failed(set, "given up");
        if (now_ns() - last_ready_ns > OPEN_LIMIT_NS)
            return streams_open_failed(set, "the rest stays silent");
    }
    return OUTCOME_OK;
}

void streams_let_return(struct stream_set *set) { set->lets_return = true; }

uint64_t streams_returned(const struct stream_set *set) { return set->returned; }

uint64_t streams_bytes(const struct stream_set *set) { return set->bytes; }

void streams_close(struct stream_set *set) {
    for (uint32_t i = 0; i < set->opened; i++)
        stream_close(&set->streams[i]);
    set->ready = 0;
}

static enum outcome open_all(struct stream_set *set, const struct population *population) {
    for (uint32_t i = 0; i < set->opened; i++) {
        if (!stream_open(set, i, population->tokens[i % population->shape.user_count]))
            return streams_open_failed(set, strerror(errno));
        if (i % OPEN_BETWEEN_READS == 0)
            streams_poll(set, 0);
    }
    return OUTCOME_OK;
}

static bool all_have(const struct stream_set *set, const uint64_t *before, uint64_t events) {
    for (uint32_t i = 0; i < set->opened; i++) {
        if (set->streams[i].messages.count < before[i] + events)
            return false;
    }
    return true;
}

/* Looks at all streams only when enough has come for all of them. */
static bool read_until_all_have(struct stream_set *set, const uint64_t *before, uint64_t events, uint64_t end_ns) {
    uint64_t enough = set->received_at_return + events * set->opened;
    while (now_ns() < end_ns && !bench_interrupted()) {
        streams_poll(set, WAIT_MS);
        if (streams_received(set) >= enough && all_have(set, before, events))
            return true;
    }
    return false;
}

enum outcome streams_come_back(struct stream_set *set, const struct population *population, uint64_t events, uint64_t limit_ns,
                               struct streams_return *ret_return) {
    uint64_t start_ns = now_ns();
    uint64_t *before = calloc(set->opened, sizeof *before);
    if (!before)
        return OUTCOME_FAILED;
    for (uint32_t i = 0; i < set->opened; i++)
        before[i] = set->streams[i].messages.count;
    set->received_at_return = streams_received(set);
    enum outcome outcome = open_all(set, population);
    ret_return->asked_ns = now_ns() - start_ns;
    if (!outcome && !read_until_all_have(set, before, events, start_ns + limit_ns)) {
        complain("of %u streams %u are ready, and %llu events came", set->opened, set->ready,
                 (unsigned long long)(streams_received(set) - set->received_at_return));
        outcome = OUTCOME_FAILED;
    }
    ret_return->live_ns = now_ns() - start_ns;
    free(before);
    return outcome;
}

bool streams_try_one(struct stream_set *set) {
    uint64_t end_ns = now_ns() + OPEN_LIMIT_NS;
    set->opened = 1;
    bool sent = stream_open(set, 0, "");
    while (sent && set->ready == 0 && streams_problem_count(set) == 0 && now_ns() < end_ns && !bench_interrupted())
        streams_poll(set, WAIT_MS);
    return set->ready == 1;
}

struct stream_set *streams_new(uint16_t port, uint32_t capacity, uint32_t sample_stride) {
    struct stream_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->port = port;
    set->capacity = capacity;
    set->sample_stride = sample_stride;
    set->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    set->streams = calloc(capacity, sizeof *set->streams);
    set->scratch = malloc(SCRATCH_BYTES);
    if (set->epoll_fd < 0 || !set->streams || !set->scratch) {
        complain("no memory for %u streams", capacity);
        streams_free(set);
        return NULL;
    }
    return set;
}

struct stream_set *streams_new_of_peer(uint16_t port, uint32_t capacity, uint32_t sample_stride, const char *path) {
    struct stream_set *set = streams_new(port, capacity, sample_stride);
    if (set)
        set->peer_path = path;
    return set;
}

void streams_free(struct stream_set *set) {
    if (!set)
        return;
    for (uint32_t i = 0; set->streams && i < set->capacity; i++)
        stream_close(&set->streams[i]);
    if (set->epoll_fd >= 0)
        close(set->epoll_fd);
    free(set->streams);
    free(set->scratch);
    free(set);
}

/* ---- The reader thread ---- */

static void *reader_main(void *argument) {
    struct stream_set *set = argument;
    while (!atomic_load_explicit(&set->stop_reader, memory_order_relaxed))
        streams_poll(set, WAIT_MS);
    return NULL;
}

enum outcome streams_start_reader(struct stream_set *set) {
    atomic_store(&set->stop_reader, false);
    if (pthread_create(&set->reader, NULL, reader_main, set) == 0)
        return OUTCOME_OK;
    complain("cannot start the thread that reads the streams");
    return OUTCOME_FAILED;
}

void streams_stop_reader(struct stream_set *set) {
    atomic_store(&set->stop_reader, true);
    pthread_join(set->reader, NULL);
}

/* ---- What came ---- */

uint64_t streams_received(const struct stream_set *set) { return atomic_load_explicit(&set->received, memory_order_relaxed); }

uint64_t streams_last_received_ns(const struct stream_set *set) {
    return atomic_load_explicit(&set->last_received_ns, memory_order_relaxed);
}

const struct id_sum *streams_messages(const struct stream_set *set, uint32_t index) { return &set->streams[index].messages; }

uint32_t streams_differing(const struct stream_set *set, const struct id_sum *expected) {
    uint32_t differing = 0;
    for (uint32_t i = 0; i < set->opened; i++) {
        const struct id_sum *got = &set->streams[i].messages;
        differing += got->count != expected->count || got->sum != expected->sum;
    }
    return differing;
}

const struct stream_problems *streams_problems(const struct stream_set *set) { return &set->problems; }

uint64_t streams_problem_count(const struct stream_set *set) {
    const struct stream_problems *problems = &set->problems;
    return problems->closed + problems->reset + problems->malformed + problems->disordered + problems->other_events;
}

const struct histogram *streams_latency(const struct stream_set *set) { return &set->latency; }

void streams_reset_latency(struct stream_set *set) { memset(&set->latency, 0, sizeof set->latency); }
