/* Owns the buffer between a descriptor and the lines in it; not the descriptor.
 *
 * Threads: its caller's. */
#include "cli/lines.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 * 1024)

void lines_release(struct lines *lines) { buf_release(&lines->buf); }

void lines_put(struct lines *lines, const char *text) { buf_string(&lines->buf, text); }

static size_t bytes_left(const struct lines *lines) { return lines->buf.size - lines->start; }

static const char *find_newline(const struct lines *lines) {
    size_t left = bytes_left(lines);
    return left == 0 ? NULL : memchr(lines->buf.bytes + lines->start, '\n', left);
}

bool lines_ready(const struct lines *lines) { return lines->ended || find_newline(lines) != NULL; }

bool lines_stopped(const struct lines *lines) {
    struct pollfd stop = { .fd = lines->stop_fd, .events = POLLIN };
    return poll(&stop, 1, 0) > 0;
}

/* LINES_LINE: there is something to read, or the end of it. */
static enum lines_result wait_for_bytes(const struct lines *lines) {
    struct pollfd fds[] = { { .fd = lines->fd, .events = POLLIN }, { .fd = lines->stop_fd, .events = POLLIN } };
    int ready;
    do
        ready = poll(fds, 2, lines->timeout_ms);
    while (ready < 0 && errno == EINTR);

    if (ready < 0)
        return LINES_FAILED;
    if (ready == 0)
        return LINES_TIMEOUT;
    return fds[1].revents != 0 ? LINES_STOPPED : LINES_LINE;
}

/* Moves what is left to the front, so that the buffer grows with the longest line only. */
static void forget_used(struct lines *lines) {
    size_t left = bytes_left(lines);
    if (lines->start > 0 && left > 0)
        memmove(lines->buf.bytes, lines->buf.bytes + lines->start, left);
    lines->buf.size = left;
    lines->start = 0;
}

static enum lines_result read_more(struct lines *lines) {
    if (lines->fd < 0) {
        lines->ended = true;
        return buf_ok(&lines->buf) ? LINES_LINE : LINES_FAILED;
    }
    enum lines_result result = wait_for_bytes(lines);
    if (result != LINES_LINE)
        return result;

    forget_used(lines);
    char *room = buf_reserve(&lines->buf, READ_BYTES);
    if (room == NULL)
        return LINES_FAILED;
    ssize_t got = read(lines->fd, room, READ_BYTES);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN ? LINES_LINE : LINES_FAILED;
    lines->buf.size += (size_t)got;
    lines->ended = got == 0;
    return LINES_LINE;
}

/* Hands out `size` bytes and drops `used`. */
static enum lines_result take(struct lines *lines, size_t size, size_t used, const char **ret_line, size_t *ret_size) {
    *ret_line = lines->buf.bytes + lines->start;
    *ret_size = size;
    lines->start += used;
    return LINES_LINE;
}

enum lines_result lines_next(struct lines *lines, const char **ret_line, size_t *ret_size) {
    const char *newline;
    while ((newline = find_newline(lines)) == NULL) {
        if (lines->ended)
            return bytes_left(lines) == 0 ? LINES_END : take(lines, bytes_left(lines), bytes_left(lines), ret_line, ret_size);
        if (bytes_left(lines) > LINE_BYTES_MAX)
            return LINES_TOO_LONG;
        enum lines_result result = read_more(lines);
        if (result != LINES_LINE)
            return result;
    }
    size_t size = (size_t)(newline - (lines->buf.bytes + lines->start));
    return take(lines, size, size + 1, ret_line, ret_size);
}
