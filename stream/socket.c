/* A stream's socket. See socket.h. */
#include "stream/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/limits.h"
#include "core/metrics.h"

#define PEER_TIMEOUT_MS 30000

void outlet_init(struct outlet *outlet) { *outlet = (struct outlet){ .kept = MAP_INIT }; }
void outlet_release(struct outlet *outlet) { map_release(&outlet->kept); }

/* Options only bound what a bad peer costs, and other kinds of sockets lack some of them: failures do not matter. */
void socket_prepare(int fd) {
    const int one = 1, send_bytes = LIMIT_STREAM_SEND_BUFFER_BYTES;
    const unsigned timeout_ms = PEER_TIMEOUT_MS;
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* ---- The rest ---- */

static uint64_t key_of(const struct frame *frame) { return (uint64_t)(uintptr_t)frame; }
static uintptr_t keepers_of(const struct outlet *outlet, const struct frame *frame) {
    return (uintptr_t)map_get(&outlet->kept, key_of(frame));
}

static bool keep_rest(struct outlet *outlet, struct stream *stream, struct frame *frame, size_t offset) {
    uintptr_t keepers = keepers_of(outlet, frame);
    size_t more = keepers == 0 ? frame->size : 0;
    if (outlet->kept_bytes + more > LIMIT_PARTIAL_BYTES || map_put(&outlet->kept, key_of(frame), (void *)(keepers + 1)) != OK)
        return false;
    outlet->kept_bytes += more;
    stream->rest = frame_hold(frame);
    stream->rest_offset = (uint32_t)offset;
    return true;
}

void socket_drop_rest(struct outlet *outlet, struct stream *stream) {
    struct frame *frame = stream->rest;
    if (frame == NULL)
        return;
    uintptr_t keepers = keepers_of(outlet, frame);
    if (keepers > 1) {
        (void)!map_put(&outlet->kept, key_of(frame), (void *)(keepers - 1)); /* replaces, so it cannot fail */
    } else {
        map_remove(&outlet->kept, key_of(frame));
        outlet->kept_bytes -= frame->size;
    }
    stream->rest = NULL;
    frame_drop(frame);
}

/* ---- Writing ---- */

static ssize_t send_parts(int fd, struct iovec *parts, size_t count) {
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent;
}

static enum written written_of_errno(void) { return errno == EAGAIN || errno == EWOULDBLOCK ? WRITTEN_FULL : WRITTEN_FAILED; }

static uint32_t start_of(const struct stream *stream, const struct frame *frame) { return stream->named ? 0 : frame->unnamed; }

static void pass(struct stream *stream, uint64_t id) {
    if (id > stream->position)
        stream->position = id;
}

/* Of the frames only `sent` bytes left: passes those that were begun, and keeps the rest of the last one. */
static enum written note_partial(struct outlet *outlet, struct stream *stream, struct frame *const *frames, size_t sent) {
    while (sent > 0) {
        struct frame *frame = *frames++;
        size_t size = frame->size - start_of(stream, frame);
        pass(stream, frame->id);
        metric_add(COUNTER_EVENTS_DELIVERED, 1);
        if (sent < size && !keep_rest(outlet, stream, frame, start_of(stream, frame) + sent))
            return WRITTEN_FAILED;
        sent -= sent < size ? sent : size;
    }
    return WRITTEN_FULL;
}

/* At most LIMIT_WRITE_FRAMES of them, in one system call. */
static enum written write_some(struct outlet *outlet, struct stream *stream, struct frame *const *frames, size_t count) {
    struct iovec parts[LIMIT_WRITE_FRAMES];
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t start = start_of(stream, frames[i]);
        parts[i] = (struct iovec){ frames[i]->bytes + start, frames[i]->size - start };
        size += parts[i].iov_len;
    }

    ssize_t sent = send_parts(stream->fd, parts, count);
    if (sent < 0)
        return written_of_errno();
    stream->written_ms = outlet->now_ms;
    if ((size_t)sent < size)
        return note_partial(outlet, stream, frames, (size_t)sent);
    for (size_t i = 0; i < count; i++)
        pass(stream, frames[i]->id);
    metric_add(COUNTER_EVENTS_DELIVERED, count);
    return WRITTEN_ALL;
}

enum written socket_write(struct outlet *outlet, struct stream *stream, struct frame *const *frames, size_t count) {
    enum written written = WRITTEN_ALL;
    for (size_t done = 0; done < count && written == WRITTEN_ALL;) {
        size_t some = count - done < LIMIT_WRITE_FRAMES ? count - done : LIMIT_WRITE_FRAMES;
        written = write_some(outlet, stream, frames + done, some);
        done += some;
    }
    return written;
}

/* A frame around bytes of one stream, so that their rest is kept like any other. */
static struct frame *frame_of_bytes(const char *bytes, size_t size) {
    struct frame *frame = malloc(sizeof(*frame) + size);
    if (frame == NULL)
        return NULL;
    *frame = (struct frame){ .references = 1, .size = (uint32_t)size };
    memcpy(frame->bytes, bytes, size);
    return frame;
}

static bool keep_bytes(struct outlet *outlet, struct stream *stream, const char *bytes, size_t size) {
    struct frame *frame = frame_of_bytes(bytes, size);
    bool kept = frame != NULL && keep_rest(outlet, stream, frame, 0);
    frame_drop(frame);
    return kept;
}

enum written socket_write_bytes(struct outlet *outlet, struct stream *stream, const char *bytes, size_t size, uint64_t id) {
    struct iovec part = { (void *)(uintptr_t)bytes, size };
    ssize_t sent = send_parts(stream->fd, &part, 1);
    if (sent < 0)
        return written_of_errno();
    stream->written_ms = outlet->now_ms;
    pass(stream, id);
    if ((size_t)sent == size)
        return WRITTEN_ALL;
    return keep_bytes(outlet, stream, bytes + sent, size - (size_t)sent) ? WRITTEN_FULL : WRITTEN_FAILED;
}

enum written socket_write_rest(struct outlet *outlet, struct stream *stream) {
    if (stream->rest == NULL)
        return WRITTEN_ALL;
    size_t left = stream->rest->size - stream->rest_offset;
    struct iovec part = { stream->rest->bytes + stream->rest_offset, left };
    ssize_t sent = send_parts(stream->fd, &part, 1);
    if (sent < 0)
        return written_of_errno();
    stream->written_ms = outlet->now_ms;
    stream->rest_offset += (uint32_t)sent;
    if ((size_t)sent < left)
        return WRITTEN_FULL;
    socket_drop_rest(outlet, stream);
    return WRITTEN_ALL;
}

/* ---- Input and the end ---- */

bool socket_discard_input(struct stream *stream) {
    char bytes[4096];
    for (;;) {
        ssize_t got = recv(stream->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        stream->input_bytes += (uint32_t)got;
        if (got == 0 || stream->input_bytes > LIMIT_STREAM_INPUT_BYTES)
            return false;
    }
}

void socket_finish(int fd) {
    struct stream input = { .fd = fd };
    shutdown(fd, SHUT_WR);
    (void)!socket_discard_input(&input);
    close(fd);
}
