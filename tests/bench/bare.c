#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "post.h"
#include "process.h"

#define DESCRIPTORS_MAX 20000
#define EPOLL_EVENTS 512
#define HEAD_BYTES_MAX 256
#define FRAMES_BYTES (64 * 1024)

static const char stream_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/* By its socket's number. */
struct peer {
    bool has_begun, streams;
    uint32_t received; /* of a request */
    size_t offset;     /* within the frames: what was written of them last */
};

struct server {
    struct bare_plan plan;
    int listener, epoll_fd;
    size_t answer_len, frames_len;
    struct peer peers[DESCRIPTORS_MAX];
    char answer[HEAD_BYTES_MAX + BARE_BYTES_MAX];
    char frames[FRAMES_BYTES]; /* whole ones */
};

/* ---- What it writes ---- */

static void write_answer(struct server *server) {
    int head_len =
        snprintf(server->answer, HEAD_BYTES_MAX, "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %u\r\n\r\n",
                 server->plan.answer_bytes);
    memset(server->answer + head_len, 'x', server->plan.answer_bytes);
    server->answer_len = (size_t)head_len + server->plan.answer_bytes;
}

/* Each has a stamp, by which the bench's streams know a message. */
static void write_frames(struct server *server) {
    char text[BARE_BYTES_MAX + 1];
    static const char prefix[] = "data: ";
    uint32_t least = sizeof prefix - 1 + POST_STAMP_BYTES + 2;
    uint32_t frame_bytes = server->plan.frame_bytes > least ? server->plan.frame_bytes : least;
    post_write_text(&(struct post){ .text_bytes = frame_bytes - (least - POST_STAMP_BYTES) }, text);
    while (server->frames_len + frame_bytes < FRAMES_BYTES)
        server->frames_len += (size_t)sprintf(server->frames + server->frames_len, "%s%s\n\n", prefix, text);
}

/* ---- Peers ---- */

/* The socket's buffer is empty unless the other side has stopped reading answers, which ends it. */
static bool answer(const struct server *server, int fd) {
    return send(fd, server->answer, server->answer_len, MSG_NOSIGNAL) == (ssize_t)server->answer_len;
}

/* Once for each event, so that no stream keeps the others waiting. */
static bool stream_frames(struct server *server, int fd) {
    struct peer *peer = &server->peers[fd];
    ssize_t sent = send(fd, server->frames + peer->offset, server->frames_len - peer->offset, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    peer->offset = (peer->offset + (size_t)sent) % server->frames_len;
    return true;
}

static bool begin_stream(struct server *server, int fd) {
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.fd = fd };
    server->peers[fd].streams = true;
    return send(fd, stream_head, strlen(stream_head), MSG_NOSIGNAL) == (ssize_t)strlen(stream_head) &&
           epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0;
}

/* A GET is small enough to come as a whole. */
static bool receive(struct server *server, int fd) {
    char bytes[BARE_BYTES_MAX];
    struct peer *peer = &server->peers[fd];
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    if (!peer->has_begun && bytes[0] == 'G')
        return begin_stream(server, fd);
    peer->has_begun = true;
    peer->received += (uint32_t)got;
    if (peer->received < server->plan.request_bytes)
        return true;
    peer->received = 0;
    return answer(server, fd);
}

static void take_event(struct server *server, const struct epoll_event *event) {
    int fd = event->data.fd;
    bool goes_on = !(event->events & (EPOLLHUP | EPOLLERR));
    if (goes_on && event->events & (EPOLLIN | EPOLLRDHUP))
        goes_on = receive(server, fd);
    if (goes_on && event->events & EPOLLOUT && server->peers[fd].streams)
        goes_on = stream_frames(server, fd);
    if (!goes_on)
        close(fd);
}

static void accept_all(struct server *server) {
    int fd, on = 1;
    while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.fd = fd };
        bool taken = fd < DESCRIPTORS_MAX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
                     epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
        if (!taken) {
            close(fd);
            continue;
        }
        http_connected(fd);
        server->peers[fd] = (struct peer){ 0 };
    }
}

/* ---- The process ---- */

static _Noreturn void serve(struct server *server) {
    struct epoll_event events[EPOLL_EVENTS];
    struct epoll_event listening = { .events = EPOLLIN, .data.fd = server->listener };
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll_fd < 0 || epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->listener, &listening))
        _exit(1);
    for (;;) {
        int count = epoll_wait(server->epoll_fd, events, EPOLL_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == server->listener)
                accept_all(server);
            else
                take_event(server, &events[i]);
        }
    }
}

static uint32_t at_most(uint32_t bytes) { return bytes < BARE_BYTES_MAX ? bytes : BARE_BYTES_MAX; }

static _Noreturn void bare_main(const struct bare_plan *plan, int listener) {
    struct server *server = calloc(1, sizeof *server);
    if (!server || prctl(PR_SET_PDEATHSIG, SIGKILL) || fcntl(listener, F_SETFL, O_NONBLOCK))
        _exit(1);
    server->plan = (struct bare_plan){ at_most(plan->request_bytes), at_most(plan->answer_bytes), at_most(plan->frame_bytes) };
    server->listener = listener;
    write_answer(server);
    write_frames(server);
    serve(server);
}

enum outcome bare_start(const struct bare_plan *plan, struct bare *ret_bare) {
    struct bare bare;
    int listener = http_listen(&bare.port);
    if (listener < 0)
        return OUTCOME_FAILED;
    bare.pid = fork();
    if (bare.pid == 0)
        bare_main(plan, listener);
    close(listener);
    if (bare.pid < 0)
        return OUTCOME_FAILED;
    *ret_bare = bare;
    return OUTCOME_OK;
}

void bare_stop(struct bare *bare) {
    process_kill(bare->pid);
    bare->pid = 0;
}
