/* Owns the sockets that wait for their peer to close. */
#include "api/farewell.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/limits.h"

struct slot {
    int fd; /* -1: free */
    int64_t deadline_ms;
    uint64_t discarded; /* bytes */
};

struct farewell {
    int epoll_fd;
    unsigned used;
    struct slot slots[LIMIT_LINGERING];
};

enum err farewell_new(int epoll_fd, struct farewell **ret_farewell) {
    struct farewell *farewell = calloc(1, sizeof(*farewell));
    if (farewell == NULL)
        return ERR_NO_MEMORY;
    farewell->epoll_fd = epoll_fd;
    for (unsigned i = 0; i < LIMIT_LINGERING; i++)
        farewell->slots[i].fd = -1;
    *ret_farewell = farewell;
    return OK;
}

static void finish(struct farewell *farewell, struct slot *slot) {
    if (slot->fd < 0)
        return;
    epoll_ctl(farewell->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
    close(slot->fd);
    slot->fd = -1;
    farewell->used--;
}

void farewell_free(struct farewell *farewell) {
    if (farewell == NULL)
        return;
    for (unsigned i = 0; i < LIMIT_LINGERING; i++)
        finish(farewell, &farewell->slots[i]);
    free(farewell);
}

/* A free slot; when there is none, that of the socket that has waited longest. */
static struct slot *make_room(struct farewell *farewell) {
    struct slot *oldest = &farewell->slots[0];
    for (unsigned i = 0; i < LIMIT_LINGERING; i++) {
        struct slot *slot = &farewell->slots[i];
        if (slot->fd < 0)
            return slot;
        if (slot->deadline_ms < oldest->deadline_ms)
            oldest = slot;
    }
    finish(farewell, oldest);
    return oldest;
}

void farewell_add(struct farewell *farewell, int fd, int64_t now_ms) {
    struct slot *slot = make_room(farewell);
    *slot = (struct slot){ .fd = fd, .deadline_ms = now_ms + LIMIT_LINGER_MS };
    farewell->used++;
    shutdown(fd, SHUT_WR);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = slot };
    if (epoll_ctl(farewell->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        finish(farewell, slot);
}

bool farewell_owns(const struct farewell *farewell, const void *pointer) {
    return (const struct slot *)pointer >= farewell->slots && (const struct slot *)pointer < farewell->slots + LIMIT_LINGERING;
}

void farewell_ready(struct farewell *farewell, void *pointer) {
    struct slot *slot = pointer;
    char rubbish[16 * 1024];
    if (slot->fd < 0)
        return;
    ssize_t got = recv(slot->fd, rubbish, sizeof(rubbish), MSG_DONTWAIT);
    if (got > 0)
        slot->discarded += (uint64_t)got;
    bool ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    if (ended || slot->discarded > LIMIT_LINGER_BYTES)
        finish(farewell, slot);
}

int farewell_expire(struct farewell *farewell, int64_t now_ms) {
    int64_t next_ms = -1;
    for (unsigned i = 0; i < LIMIT_LINGERING && farewell->used > 0; i++) {
        struct slot *slot = &farewell->slots[i];
        if (slot->fd >= 0 && slot->deadline_ms <= now_ms)
            finish(farewell, slot);
        else if (slot->fd >= 0 && (next_ms < 0 || slot->deadline_ms - now_ms < next_ms))
            next_ms = slot->deadline_ms - now_ms;
    }
    return (int)next_ms;
}
