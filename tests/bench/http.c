#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096
#define NEAR_CONGESTION_CONTROL "reno" /* every kernel has it, for every process */
#define NEAR_RTT_US 1000               /* a handshake over loopback takes some tens */

void http_connected(int fd) {
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_rtt < NEAR_RTT_US)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, NEAR_CONGESTION_CONTROL, sizeof NEAR_CONGESTION_CONTROL - 1);
}

void http_congestion_control(char name[HTTP_CONGESTION_BYTES]) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = HTTP_CONGESTION_BYTES - 1;
    memset(name, 0, HTTP_CONGESTION_BYTES);
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len))
        snprintf(name, HTTP_CONGESTION_BYTES, "unknown");
    if (fd >= 0)
        close(fd);
}

/* The port is chosen at connect(), where it only has to be unique for this destination. */
static bool bind_source(int fd, unsigned source) {
    int on = 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source) };
    return setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
           bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

int http_connect_begin(uint16_t port, unsigned source) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if ((source > 0 && !bind_source(fd, source)) || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
        (connect(fd, (const struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

bool http_connect_end(int fd) {
    struct pollfd ready = { .fd = fd, .events = POLLOUT };
    int error = ETIMEDOUT;
    socklen_t len = sizeof error;
    if (poll(&ready, 1, BENCH_ANSWER_LIMIT_NS / NS_PER_MS) > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
        error = errno;
    if (error == 0)
        http_connected(fd);
    errno = error;
    return error == 0 || error == ECONNRESET;
}

int http_connect(uint16_t port, unsigned source) {
    int fd = http_connect_begin(port, source);
    if (fd < 0 || http_connect_end(fd))
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int http_listen(uint16_t *ret_port) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) || listen(fd, LISTEN_BACKLOG) ||
        getsockname(fd, (struct sockaddr *)&address, &len)) {
        complain("cannot listen on 127.0.0.1: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

bool http_watch(int epoll_fd, int fd, uint64_t tag) {
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.u64 = tag };
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* ---- Answers ---- */

static bool line_is(const char *line, size_t len, const char *name) {
    size_t name_len = strlen(name);
    return len >= name_len && strncasecmp(line, name, name_len) == 0;
}

/* True when the head says how long the body is, or that there is none. */
static bool parse_header_lines(const char *bytes, struct http_answer *answer) {
    bool has_length = answer->status == 204 || answer->status == 304;
    const char *end = bytes + answer->head_len - 2;
    const char *line = (const char *)memchr(bytes, '\n', answer->head_len) + 1;
    while (line < end) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((line_end ? line_end : end) - line);
        if (line_is(line, len, "content-length:")) {
            answer->body_len = strtoull(line + strlen("content-length:"), NULL, 10);
            has_length = true;
        } else if (line_is(line, len, "connection:") && memmem(line, len, "close", strlen("close"))) {
            answer->closes = true;
        }
        line += len + 1;
    }
    return has_length;
}

static enum http_progress find_head(const char *bytes, size_t len, struct http_answer *answer, bool *ret_has_length) {
    static const char start[] = "HTTP/1.1 ";
    size_t compared = len < strlen(start) ? len : strlen(start);
    if (memcmp(bytes, start, compared) != 0)
        return HTTP_BROKEN;
    const char *blank = memmem(bytes, len, "\r\n\r\n", 4);
    if (!blank)
        return HTTP_PARTIAL;
    answer->head_len = (size_t)(blank - bytes) + 4;
    answer->status = atoi(bytes + strlen(start));
    *ret_has_length = parse_header_lines(bytes, answer);
    return HTTP_COMPLETE;
}

enum http_progress http_parse_head(const char *bytes, size_t len, struct http_answer *ret_answer) {
    bool has_length;
    *ret_answer = (struct http_answer){ 0 };
    return find_head(bytes, len, ret_answer, &has_length);
}

enum http_progress http_parse(const char *bytes, size_t len, struct http_answer *ret_answer) {
    bool has_length;
    *ret_answer = (struct http_answer){ 0 };
    enum http_progress progress = find_head(bytes, len, ret_answer, &has_length);
    if (progress != HTTP_COMPLETE)
        return progress;
    if (!has_length)
        return HTTP_BROKEN;
    return len < ret_answer->head_len + ret_answer->body_len ? HTTP_PARTIAL : HTTP_COMPLETE;
}

/* ---- One GET ---- */

static bool receive_answer(int fd, char *bytes, struct http_answer *ret_answer) {
    uint64_t deadline_ns = now_ns() + BENCH_ANSWER_LIMIT_NS;
    size_t len = 0;
    while (now_ns() < deadline_ns && len < HTTP_ANSWER_BYTES_MAX) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        if (poll(&ready, 1, 100) <= 0)
            continue;
        ssize_t got = recv(fd, bytes + len, HTTP_ANSWER_BYTES_MAX - len, 0);
        if (got <= 0)
            return false;
        len += (size_t)got;
        enum http_progress progress = http_parse(bytes, len, ret_answer);
        if (progress != HTTP_PARTIAL)
            return progress == HTTP_COMPLETE;
    }
    return false;
}

enum outcome http_call(const struct http_call *call, char *ret_body, size_t capacity) {
    char bytes[HTTP_ANSWER_BYTES_MAX];
    struct http_answer answer = { 0 };
    int fd = http_connect(call->port, 0);
    bool answered = fd >= 0 && send(fd, call->bytes, call->len, MSG_NOSIGNAL) == (ssize_t)call->len && receive_answer(fd, bytes, &answer);
    if (fd >= 0)
        close(fd);
    if (!answered || answer.status != call->expected_status) {
        complain("%s: %s %d", call->what, answered ? "status" : "no answer,", answered ? answer.status : errno);
        return OUTCOME_FAILED;
    }
    size_t body_len = answer.body_len < capacity ? answer.body_len : capacity - 1;
    memcpy(ret_body, bytes + answer.head_len, body_len);
    ret_body[body_len] = '\0';
    return OUTCOME_OK;
}

enum outcome http_get(uint16_t port, const char *path, const char *token, char *ret_body, size_t capacity) {
    char request[HTTP_REQUEST_BYTES_MAX];
    int len = snprintf(request, sizeof request,
                       "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", path, port, token);
    const struct http_call call = { .port = port, .what = path, .bytes = request, .len = (size_t)len, .expected_status = 200 };
    return http_call(&call, ret_body, capacity);
}

/* ---- Fields of a JSON body ---- */

/* The value's first byte, after `"name"`, a colon and any spaces; NULL when there is no such member. */
static const char *member_value(const char *body, size_t len, const char *name) {
    char quoted[64];
    int quoted_len = snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const char *end = body + len;
    const char *found = memmem(body, len, quoted, (size_t)quoted_len);
    while (found) {
        const char *value = found + quoted_len;
        while (value < end && *value == ' ')
            value++;
        if (value < end && *value == ':') {
            do
                value++;
            while (value < end && *value == ' ');
            return value < end ? value : NULL;
        }
        found = memmem(value, (size_t)(end - value), quoted, (size_t)quoted_len);
    }
    return NULL;
}

bool body_string(const char *body, size_t len, const char *name, char *ret_text, size_t capacity) {
    const char *value = member_value(body, len, name);
    if (!value || *value != '"')
        return false;
    value++;
    const char *quote = memchr(value, '"', (size_t)(body + len - value));
    if (!quote || (size_t)(quote - value) >= capacity)
        return false;
    memcpy(ret_text, value, (size_t)(quote - value));
    ret_text[quote - value] = '\0';
    return true;
}

bool body_number(const char *body, size_t len, const char *name, uint64_t *ret_number) {
    const char *value = member_value(body, len, name);
    if (!value || *value < '0' || *value > '9')
        return false;
    uint64_t number = 0;
    for (; value < body + len && *value >= '0' && *value <= '9'; value++)
        number = number * 10 + (uint64_t)(*value - '0');
    *ret_number = number;
    return true;
}
