/* As much of an HTTP/1.1 client as a load generator needs: sockets, the bounds of an answer, fields of a JSON body. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"

#define HTTP_REQUEST_BYTES_MAX (BENCH_TEXT_BYTES_MAX + 1024)
#define HTTP_ANSWER_BYTES_MAX (BENCH_TEXT_BYTES_MAX + 60 * 1024) /* a page of 50 messages with room */

struct http_answer {
    int status;
    size_t head_len; /* with the blank line */
    size_t body_len;
    bool closes; /* the server said Connection: close */
};

enum http_progress {
    HTTP_PARTIAL, /* more bytes have to come */
    HTTP_COMPLETE,
    HTTP_BROKEN, /* not an answer, or one without Content-Length: nobody sends Parley's that way */
};

#define HTTP_CONGESTION_BYTES 17

/* The system's congestion control. */
void http_congestion_control(char name[HTTP_CONGESTION_BYTES]);
/* For a socket that was connected or accepted: its congestion control becomes "reno", whatever the system's is, because one that paces (bbr) spends a timer
 * on each request, which the load generator would take from the server. Where the handshake took a millisecond or more, the way is a long one, and the system's stays. */
void http_connected(int fd);
/* A connected, non-blocking socket to 127.0.0.1:`port` without Nagle's delay, or -1 with errno. `source` spreads connections over local
 * addresses, because one address has only some 28,000 ports: 0 is 127.0.0.1, 1 is 127.0.0.2, and so on to 200. */
int http_connect(uint16_t port, unsigned source);
/* The same, without waiting for the other side, which on a long way takes its time: http_connect_end() waits, false with errno when there is no connection. There was one
 * that has been cut since: whoever reads it will see. */
int http_connect_begin(uint16_t port, unsigned source);
bool http_connect_end(int fd);
/* A listening socket on 127.0.0.1 at a free port; -1 when it cannot be had, and says why. */
int http_listen(uint16_t *ret_port);
/* Adds the socket to an epoll set for input, with `tag` as its data. */
bool http_watch(int epoll_fd, int fd, uint64_t tag);
/* Finds the head in `bytes`; the body may still have to come, and its length is set then, too. */
enum http_progress http_parse_head(const char *bytes, size_t len, struct http_answer *ret_answer);
/* Finds head and body. */
enum http_progress http_parse(const char *bytes, size_t len, struct http_answer *ret_answer);
/* One request on a connection of its own, whose answer has to have `expected_status`; the body's first `capacity` - 1 bytes, ended by NUL. `what` names it in
 * complaints. Waits, at most BENCH_ANSWER_LIMIT_NS. */
struct http_call {
    uint16_t port;
    const char *what;
    const char *bytes;
    size_t len;
    int expected_status;
};
enum outcome http_call(const struct http_call *call, char *ret_body, size_t capacity) MUST_USE;
/* One GET on a connection of its own; the body's first `capacity` - 1 bytes, ended by NUL. Waits, at most BENCH_ANSWER_LIMIT_NS. */
enum outcome http_get(uint16_t port, const char *path, const char *token, char *ret_body, size_t capacity) MUST_USE;

/* The first string member `name` in a JSON text, without decoding escapes; false when there is none, or it does not fit. */
bool body_string(const char *body, size_t len, const char *name, char *ret_text, size_t capacity);
/* The first non-negative integer member `name`. */
bool body_number(const char *body, size_t len, const char *name, uint64_t *ret_number);
