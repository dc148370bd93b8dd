/* See commit_cutter.h. Each connection on a thread of its own: a store has several, and none may wait for another to end. */
#include "tests/db/commit_cutter.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum cut { CUT_NOTHING, CUT_ANSWER, CUT_COMMIT };
enum door { DOOR_OPEN, DOOR_HELD, DOOR_CLOSED };

struct commit_cutter {
    struct sockaddr_un server, own;
    char url[256];
    int listener;
    pthread_t thread;
    _Atomic(enum cut) armed;
    _Atomic(enum door) door;
    atomic_bool holds_next, holds;
    atomic_bool stopping;
    atomic_int connections;
};

struct connection {
    struct commit_cutter *cutter;
    int client;
};

static void *serve(void *context);

static void listen_at(struct commit_cutter *cutter) {
    cutter->own.sun_family = AF_UNIX;
    snprintf(cutter->own.sun_path, sizeof cutter->own.sun_path, "/tmp/parley-cutter.%d", (int)getpid());
    unlink(cutter->own.sun_path);
    cutter->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(cutter->listener, (struct sockaddr *)&cutter->own, sizeof cutter->own) != 0 || listen(cutter->listener, 4) != 0)
        abort();
}

struct commit_cutter *commit_cutter_start(const char *url) {
    const char *socket_path = strstr(url, "socket=");
    struct commit_cutter *cutter = socket_path ? calloc(1, sizeof *cutter) : NULL;
    if (!cutter)
        return NULL;
    socket_path += strlen("socket=");
    cutter->server.sun_family = AF_UNIX;
    snprintf(cutter->server.sun_path, sizeof cutter->server.sun_path, "%s", socket_path);
    listen_at(cutter);
    snprintf(cutter->url, sizeof cutter->url, "%.*s%s", (int)(socket_path - url), url, cutter->own.sun_path);
    pthread_create(&cutter->thread, NULL, serve, cutter);
    return cutter;
}

const char *commit_cutter_url(const struct commit_cutter *cutter) { return cutter->url; }

void commit_cutter_arm(struct commit_cutter *cutter) { atomic_store(&cutter->armed, CUT_ANSWER); }

void commit_cutter_arm_early(struct commit_cutter *cutter) { atomic_store(&cutter->armed, CUT_COMMIT); }

void commit_cutter_hold_answer(struct commit_cutter *cutter) {
    atomic_store(&cutter->holds, true);
    atomic_store(&cutter->holds_next, true);
}

void commit_cutter_let_go(struct commit_cutter *cutter) { atomic_store(&cutter->holds, false); }

void commit_cutter_hold(struct commit_cutter *cutter) { atomic_store(&cutter->door, DOOR_HELD); }

void commit_cutter_close(struct commit_cutter *cutter) { atomic_store(&cutter->door, DOOR_CLOSED); }

void commit_cutter_let_in(struct commit_cutter *cutter) { atomic_store(&cutter->door, DOOR_OPEN); }

void commit_cutter_stop(struct commit_cutter *cutter) {
    atomic_store(&cutter->stopping, true);
    shutdown(cutter->listener, SHUT_RDWR);
    pthread_join(cutter->thread, NULL);
    while (atomic_load(&cutter->connections) > 0)
        usleep(1000);
    close(cutter->listener);
    unlink(cutter->own.sun_path);
    free(cutter);
}

static bool put(int to, const char *bytes, ssize_t size) {
    for (ssize_t sent = 0, more = 0; sent < size; sent += more)
        if ((more = write(to, bytes + sent, (size_t)(size - sent))) <= 0)
            return false;
    return size > 0;
}

static bool pass_answer(int server, int client) {
    char bytes[16384];
    return put(client, bytes, read(server, bytes, sizeof bytes));
}

/* What becomes of the next one. */
struct answer {
    bool held;
    bool cut; /* it shall not pass */
};

static void wait_to_be_let_go(const struct commit_cutter *cutter, struct answer *answer) {
    while (atomic_load(&cutter->holds) && !atomic_load(&cutter->stopping))
        usleep(1000);
    answer->held = false;
}

static bool pass_request(struct commit_cutter *cutter, int client, int server, struct answer *answer) {
    char bytes[16384];
    ssize_t size = read(client, bytes, sizeof bytes);
    bool commit = size > 0 && memmem(bytes, (size_t)size, "COMMIT", 6);
    enum cut armed = commit ? atomic_exchange(&cutter->armed, CUT_NOTHING) : CUT_NOTHING;
    answer->cut = answer->cut || armed == CUT_ANSWER;
    answer->held = answer->held || (commit && atomic_exchange(&cutter->holds_next, false));
    if (armed == CUT_COMMIT && answer->held)
        wait_to_be_let_go(cutter, answer);
    return armed != CUT_COMMIT && put(server, bytes, size);
}

/* Until one side ends, or until the answer to a commit. */
static void relay(struct commit_cutter *cutter, int client, int server) {
    struct pollfd sockets[] = { { .fd = client, .events = POLLIN }, { .fd = server, .events = POLLIN } };
    struct answer answer = { .cut = false };
    bool open = true;
    while (open && poll(sockets, 2, -1) > 0) {
        if (sockets[1].revents && answer.held)
            wait_to_be_let_go(cutter, &answer);
        if (sockets[1].revents)
            open = !answer.cut && pass_answer(server, client);
        if (open && sockets[0].revents)
            open = pass_request(cutter, client, server, &answer);
    }
}

static bool comes_in(struct commit_cutter *cutter) {
    while (atomic_load(&cutter->door) == DOOR_HELD && !atomic_load(&cutter->stopping))
        usleep(1000);
    return atomic_load(&cutter->door) == DOOR_OPEN;
}

static void *pass(void *context) {
    struct connection *connection = context;
    struct commit_cutter *cutter = connection->cutter;
    int server = comes_in(cutter) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (server >= 0 && connect(server, (struct sockaddr *)&cutter->server, sizeof cutter->server) == 0)
        relay(cutter, connection->client, server);
    if (server >= 0)
        close(server);
    close(connection->client);
    free(connection);
    atomic_fetch_sub(&cutter->connections, 1);
    return NULL;
}

static void start_connection(struct commit_cutter *cutter, int client) {
    pthread_t thread;
    struct connection *connection = malloc(sizeof *connection);
    if (!connection)
        abort();
    *connection = (struct connection){ cutter, client };
    atomic_fetch_add(&cutter->connections, 1);
    if (pthread_create(&thread, NULL, pass, connection) != 0)
        abort();
    pthread_detach(thread);
}

static void *serve(void *context) {
    struct commit_cutter *cutter = context;
    while (!atomic_load(&cutter->stopping)) {
        int client = accept(cutter->listener, NULL, NULL);
        if (client >= 0)
            start_connection(cutter, client);
    }
    return NULL;
}
