/* The socket of a stream: preparing, writing, throwing input away, ending.
 *
 * Never blocks. What the kernel does not take is not queued: of the frame that was begun the rest is kept (by a reference to the frame), and the caller
 * learns that the socket is full. A frame kept for several streams counts once; all together are bounded by LIMIT_PARTIAL_BYTES.
 * Does not know states or lists. The hub's thread only. */
#pragma once

#include "core/map.h"
#include "stream/stream.h"

/* What the sockets of all streams share. */
struct outlet {
    struct map kept;   /* address of a frame → how many streams keep it as their rest */
    size_t kept_bytes; /* of the frames in `kept` */
    int64_t now_ms;    /* monotonic; set by the hub once a turn */
};

enum written {
    WRITTEN_ALL,
    WRITTEN_FULL,   /* the socket is full; EPOLLOUT will follow */
    WRITTEN_FAILED, /* the peer is gone, or no rest may be kept: close */
};

void outlet_init(struct outlet *outlet);
void outlet_release(struct outlet *outlet);

/* Non-blocking, without delay, with a bounded send buffer; a peer that takes nothing for 30 s is cut off by the kernel. */
void socket_prepare(int fd);
/* Hands the frames over in order, as few system calls as possible, and moves the stream's position. The stream must have no rest. */
enum written socket_write(struct outlet *outlet, struct stream *stream, struct frame *const *frames, size_t count) MUST_USE;
/* The same for bytes of this stream alone. They move the position to `id`; 0: not at all. */
enum written socket_write_bytes(struct outlet *outlet, struct stream *stream, const char *bytes, size_t size, uint64_t id) MUST_USE;
/* Goes on with the rest. */
enum written socket_write_rest(struct outlet *outlet, struct stream *stream) MUST_USE;
void socket_drop_rest(struct outlet *outlet, struct stream *stream);

/* Throws away what came in; false when the peer closed or sent more than it may. */
bool socket_discard_input(struct stream *stream) MUST_USE;
/* Says that nothing follows and closes. Input is thrown away first, because closing with unread input resets the connection, and the peer could lose the
 * last frame. */
void socket_finish(int fd);
