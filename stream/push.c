/* The frames of a tick. See push.h. */
#include "stream/push.h"

#include <stdlib.h>

#include "core/limits.h"

#define CAPACITY_MIN 64
#define FEW_FRAMES 8 /* of one stream */

struct pending {
    struct frame *frame;
    uint32_t next;
};

void push_release(struct push *push) {
    free(push->nodes);
    free(push->streams);
    *push = (struct push){ 0 };
}

static bool grow_nodes(struct push *push) {
    uint32_t capacity = push->capacity == 0 ? CAPACITY_MIN : push->capacity * 2;
    struct pending *nodes = realloc(push->nodes, capacity * sizeof(*nodes));
    if (nodes == NULL)
        return false;
    push->nodes = nodes;
    push->capacity = capacity;
    return true;
}

static bool grow_streams(struct push *push) {
    size_t capacity = push->stream_capacity == 0 ? CAPACITY_MIN : push->stream_capacity * 2;
    struct stream **streams = realloc(push->streams, capacity * sizeof(struct stream *));
    if (streams == NULL)
        return false;
    push->streams = streams;
    push->stream_capacity = capacity;
    return true;
}

bool push_add(struct push *push, struct stream *stream, struct frame *frame) {
    if (push->count + 1 >= push->capacity && !grow_nodes(push))
        return false;
    if (push->stream_count == push->stream_capacity && !grow_streams(push))
        return false;

    uint32_t node = ++push->count;
    push->nodes[node] = (struct pending){ frame, 0 };
    if (stream->pending_first == 0) {
        stream->pending_first = node;
        push->streams[push->stream_count++] = stream;
    } else {
        push->nodes[stream->pending_last].next = node;
    }
    stream->pending_last = node;
    return true;
}

bool push_is_full(const struct push *push) { return push->count >= LIMIT_TICK_PENDING; }

/* With one frame a write it may be that somebody waits for each; with many a write costs little for each already. */
bool push_gathers(const struct push *push) {
    size_t frames = push->count, streams = push->stream_count;
    return streams > 0 && frames * 2 >= streams * 3 && frames <= streams * FEW_FRAMES;
}

struct stream *push_next(struct push *push) {
    while (push->next < push->stream_count) {
        struct stream *stream = push->streams[push->next++];
        if (stream->pending_first != 0)
            return stream;
    }
    push->count = 0;
    push->stream_count = 0;
    push->next = 0;
    return NULL;
}

size_t push_take(struct push *push, struct stream *stream, struct frame **frames, size_t limit) {
    size_t count = 0;
    while (stream->pending_first != 0 && count < limit) {
        const struct pending *node = &push->nodes[stream->pending_first];
        frames[count++] = node->frame;
        stream->pending_first = node->next;
    }
    return count;
}
