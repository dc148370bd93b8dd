#include "relay.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "process.h"

#define LANE_BYTES (32 * 1024) /* on their way in one direction: what a window of 64 KiB has there */
#define LANE_MARKS 256
#define LINKS_MAX 2048
#define EPOLL_EVENTS 512
#define LISTENER_TAG UINT64_MAX
#define TICK_NS NS_PER_MS

static_assert((LANE_BYTES & (LANE_BYTES - 1)) == 0, "positions wrap with it");

/* Bytes up to the position `end` may leave at `due_ns`. */
struct mark {
    uint64_t due_ns, end;
};

/* One direction of a connection. Positions only grow; a byte is at its position modulo LANE_BYTES. */
struct lane {
    int from, to;
    bool is_readable; /* until recv() said EAGAIN: epoll tells only of changes */
    bool has_ended;
    uint64_t taken, given; /* positions: how far was read, how far written */
    uint32_t first_mark, mark_count;
    struct mark marks[LANE_MARKS];
    char bytes[LANE_BYTES];
};

struct link {
    uint64_t cut_ns;
    struct lane lanes[2]; /* to the server, to the client */
};

struct switchboard {
    struct relay_plan plan;
    uint64_t delay_ns;
    int listener, epoll_fd;
    uint64_t random_state;
    uint64_t now_ns;
    struct link *links[LINKS_MAX]; /* NULL: free */
};

/* ---- Links ---- */

/* Nothing tells a connection how long it has lived: the rest of its life is the same at any age. */
static uint64_t random_lifetime_ns(struct switchboard *board) {
    double part = (double)((random_next(&board->random_state) >> 11) + 1) / 9007199254740992.0;
    return board->plan.lifetime_ms ? (uint64_t)(-log(part) * board->plan.lifetime_ms * NS_PER_MS) : UINT64_MAX / 2;
}

static void link_close(struct switchboard *board, uint32_t index, bool is_cut) {
    struct linger at_once = { .l_onoff = is_cut, .l_linger = 0 }; /* a reset, which drops what waits in the socket */
    for (int i = 0; i < 2; i++) {
        int fd = board->links[index]->lanes[i].from;
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
    free(board->links[index]);
    board->links[index] = NULL;
}

static bool watch(const struct switchboard *board, int fd, uint64_t tag) {
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u64 = tag };
    return epoll_ctl(board->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* False when the client's socket is still the caller's. */
static bool link_open(struct switchboard *board, uint32_t index, int client) {
    int server = http_connect(board->plan.server_port, 0);
    struct link *link = server >= 0 ? calloc(1, sizeof *link) : NULL;
    if (!link) {
        if (server >= 0)
            close(server);
        return false;
    }
    link->lanes[0] = (struct lane){ .from = client, .to = server };
    link->lanes[1] = (struct lane){ .from = server, .to = client };
    link->cut_ns = now_ns() + random_lifetime_ns(board);
    board->links[index] = link;
    if (watch(board, client, 2 * index) && watch(board, server, 2 * index + 1))
        return true;
    link_close(board, index, true);
    return true;
}

static void accept_all(struct switchboard *board) {
    int client;
    while ((client = accept4(board->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        uint32_t index = 0;
        while (index < LINKS_MAX && board->links[index])
            index++;
        if (index == LINKS_MAX || !link_open(board, index, client))
            close(client);
    }
}

/* ---- Lanes ---- */

/* What came within one tick leaves together, so that marks are as many as fit a delay. */
static void lane_mark(struct lane *lane, uint64_t due_ns, uint64_t delay_ns) {
    struct mark *last = &lane->marks[(lane->first_mark + lane->mark_count + LANE_MARKS - 1) % LANE_MARKS];
    if (lane->mark_count > 0 && due_ns - last->due_ns < 2 * delay_ns / LANE_MARKS) {
        last->end = lane->taken;
        return;
    }
    lane->marks[(lane->first_mark + lane->mark_count++) % LANE_MARKS] = (struct mark){ due_ns, lane->taken };
}

static void lane_read(struct lane *lane, uint64_t now, uint64_t delay_ns) {
    while (lane->is_readable && lane->mark_count < LANE_MARKS && lane->taken - lane->given < LANE_BYTES) {
        size_t at = lane->taken % LANE_BYTES, room = LANE_BYTES - (lane->taken - lane->given);
        size_t straight = LANE_BYTES - at;
        ssize_t got = recv(lane->from, lane->bytes + at, room < straight ? room : straight, 0);
        lane->is_readable = got > 0 || (got < 0 && errno == EINTR);
        lane->has_ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
        if (got <= 0)
            continue;
        lane->taken += (uint64_t)got;
        lane_mark(lane, now + delay_ns, delay_ns);
    }
}

/* False when the other side is gone. */
static bool lane_write(struct lane *lane, uint64_t now) {
    while (lane->mark_count > 0 && lane->marks[lane->first_mark].due_ns <= now) {
        uint64_t end = lane->marks[lane->first_mark].end;
        size_t at = lane->given % LANE_BYTES, len = end - lane->given, straight = LANE_BYTES - at;
        ssize_t sent = send(lane->to, lane->bytes + at, len < straight ? len : straight, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        lane->given += (uint64_t)sent;
        if (lane->given < end)
            continue;
        lane->first_mark = (lane->first_mark + 1) % LANE_MARKS;
        lane->mark_count--;
    }
    return true;
}

/* False when it has given all that will ever come. */
static bool lane_turn(struct switchboard *board, struct lane *lane) {
    bool goes_on = lane_write(lane, board->now_ns);
    lane_read(lane, board->now_ns, board->delay_ns);
    return goes_on && !(lane->has_ended && lane->mark_count == 0);
}

/* ---- The loop ---- */

static void turn_all(struct switchboard *board) {
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        struct link *link = board->links[i];
        if (!link)
            continue;
        if (board->now_ns >= link->cut_ns)
            link_close(board, i, true);
        else if (!lane_turn(board, &link->lanes[0]) || !lane_turn(board, &link->lanes[1]))
            link_close(board, i, false);
    }
}

/* Reads at once, so that what comes is as old as it is. */
static void take_event(struct switchboard *board, uint64_t tag) {
    if (tag == LISTENER_TAG) {
        accept_all(board);
        return;
    }
    struct link *link = board->links[tag / 2];
    if (!link)
        return;
    link->lanes[tag % 2].is_readable = true;
    lane_read(&link->lanes[tag % 2], board->now_ns, board->delay_ns);
}

static _Noreturn void relay_main(struct switchboard *board) {
    struct epoll_event events[EPOLL_EVENTS];
    uint64_t turned_ns = 0;
    for (;;) {
        int count = epoll_wait(board->epoll_fd, events, EPOLL_EVENTS, TICK_NS / NS_PER_MS);
        board->now_ns = now_ns();
        for (int i = 0; i < count; i++)
            take_event(board, events[i].data.u64);
        if (board->now_ns - turned_ns < TICK_NS)
            continue;
        turned_ns = board->now_ns;
        turn_all(board);
    }
}

static struct switchboard *switchboard_new(const struct relay_plan *plan, int listener) {
    struct switchboard *board = calloc(1, sizeof *board);
    if (!board)
        return NULL;
    *board = (struct switchboard){ .plan = *plan, .delay_ns = plan->delay_ms * NS_PER_MS, .listener = listener };
    board->random_state = now_ns();
    board->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = LISTENER_TAG };
    if (board->epoll_fd >= 0 && epoll_ctl(board->epoll_fd, EPOLL_CTL_ADD, listener, &event) == 0)
        return board;
    free(board);
    return NULL;
}

enum outcome relay_start(const struct relay_plan *plan, struct relay *ret_relay) {
    struct relay relay;
    int listener = http_listen(&relay.port);
    if (listener < 0)
        return OUTCOME_FAILED;
    relay.pid = fork();
    if (relay.pid == 0) {
        struct switchboard *board = switchboard_new(plan, listener);
        if (!board || prctl(PR_SET_PDEATHSIG, SIGKILL) || fcntl(listener, F_SETFL, O_NONBLOCK))
            _exit(1);
        relay_main(board);
    }
    close(listener);
    if (relay.pid < 0)
        return OUTCOME_FAILED;
    *ret_relay = relay;
    return OUTCOME_OK;
}

void relay_stop(struct relay *relay) {
    process_kill(relay->pid);
    relay->pid = 0;
}
