/* Lines from a descriptor, with a bound on their length and on the wait for them. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"

/* A chat of 100,000 members (the largest PARLEY_GROUP_MAX), each named in 35 bytes. */
#define LINE_BYTES_MAX ((size_t)4 * 1024 * 1024)

enum lines_result {
    LINES_LINE,
    LINES_END,      /* the peer has nothing more to say */
    LINES_TOO_LONG, /* a line beyond LINE_BYTES_MAX: no further line can be found */
    LINES_TIMEOUT,
    LINES_STOPPED, /* stop_fd became readable */
    LINES_FAILED,  /* reading or memory failed */
};

struct lines {
    int fd;         /* borrowed; -1: there is only what is put in */
    int stop_fd;    /* -1: none; a readable one ends the wait */
    int timeout_ms; /* for each wait for more bytes; -1: none */
    struct buf buf; /* bytes read; those before `start` are used up */
    size_t start;
    bool ended; /* the descriptor is at its end */
};

#define LINES_INIT(descriptor, stop_descriptor, wait_ms) \
    { (descriptor), (stop_descriptor), (wait_ms), BUF_INIT, 0, false }

/* Frees the buffer; the descriptor stays open. */
void lines_release(struct lines *lines);
/* Puts whole lines before what is read; before the first lines_next(). */
void lines_put(struct lines *lines, const char *text);
/* The next line without its newline, in the reader's memory until the next call. At the end of input a line without a newline counts, too. */
enum lines_result lines_next(struct lines *lines, const char **ret_line, size_t *ret_size) MUST_USE;
/* lines_next() would not wait for the peer. */
bool lines_ready(const struct lines *lines);
/* stop_fd is readable: whoever works long on one line looks, too. */
bool lines_stopped(const struct lines *lines);
