/* See commit_cutter.h. One connection at a time, on a thread of its own. */
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

struct commit_cutter {
    struct sockaddr_un server, own;
    char url[256];
    int listener;
    pthread_t thread;
    atomic_bool armed, stopping;
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

void commit_cutter_arm(struct commit_cutter *cutter) { atomic_store(&cutter->armed, true); }

void commit_cutter_stop(struct commit_cutter *cutter) {
    atomic_store(&cutter->stopping, true);
    shutdown(cutter->listener, SHUT_RDWR);
    pthread_join(cutter->thread, NULL);
    close(cutter->listener);
    unlink(cutter->own.sun_path);
    free(cutter);
}

static bool pass(int from, int to, bool *ret_commit) {
    char bytes[16384];
    ssize_t size = read(from, bytes, sizeof bytes);
    *ret_commit = size > 0 && memmem(bytes, (size_t)size, "COMMIT", 6);
    for (ssize_t sent = 0, more = 0; sent < size; sent += more)
        if ((more = write(to, bytes + sent, (size_t)(size - sent))) <= 0)
            return false;
    return size > 0;
}

/* Until one side ends, or until the answer to a commit. */
static void relay(struct commit_cutter *cutter, int client, int server) {
    struct pollfd sockets[] = { { .fd = client, .events = POLLIN }, { .fd = server, .events = POLLIN } };
    bool cut = false, open = true, ignored;
    while (open && poll(sockets, 2, -1) > 0) {
        bool commit = false;
        if (sockets[1].revents)
            open = !cut && pass(server, client, &ignored);
        if (open && sockets[0].revents)
            open = pass(client, server, &commit);
        cut = cut || (commit && atomic_exchange(&cutter->armed, false));
    }
}

static void *serve(void *context) {
    struct commit_cutter *cutter = context;
    while (!atomic_load(&cutter->stopping)) {
        int client = accept(cutter->listener, NULL, NULL);
        int server = client >= 0 ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
        if (server >= 0 && connect(server, (struct sockaddr *)&cutter->server, sizeof cutter->server) == 0)
            relay(cutter, client, server);
        if (server >= 0)
            close(server);
        if (client >= 0)
            close(client);
    }
    return NULL;
}
