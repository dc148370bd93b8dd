/* Owns the admin socket and its thread; what is asked over it is the operator's.
 *
 * Threads: the socket's own; admin_start() and admin_stop() from the main thread, admin_connect() from any. */
#include "cli/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/operator.h"
#include "core/log.h"

#define SOCKET_NAME "admin.sock"
#define BACKLOG 16
/* A peer that says nothing, or takes nothing, for so long is let go: others wait behind it. */
#define PEER_TIMEOUT_MS 30000
/* When a peer cannot be accepted: descriptors or memory may be free again after it. */
#define ACCEPT_REST_MS 100

struct admin {
    struct cleanup_target target;
    char *path; /* of the socket */
    int listen_fd;
    int stop_fd; /* an eventfd, readable when the thread is to end */
    pthread_t thread;
};

struct peer {
    int fd;
    int stop_fd;
};

/* ---- Address ---- */

/* An address holds 107 bytes. A longer path is reached through the folder's descriptor, *ret_folder, to close when the address was used (else -1). */
static enum err make_address(const struct config *config, struct sockaddr_un *address, int *ret_folder) {
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    *ret_folder = -1;
    int size = snprintf(address->sun_path, sizeof(address->sun_path), "%s/" SOCKET_NAME, config->data_dir);
    if (size >= 0 && (size_t)size < sizeof(address->sun_path))
        return OK;

    *ret_folder = open(config->data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_folder < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/" SOCKET_NAME, *ret_folder);
    return OK;
}

static void close_keeping_errno(int fd) {
    int saved_errno = errno;
    if (fd >= 0)
        close(fd);
    errno = saved_errno;
}

static enum err connect_to(const struct sockaddr_un *address, int *ret_fd) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
        close_keeping_errno(fd);
        return errno == ENOENT || errno == ECONNREFUSED ? ERR_NOT_FOUND : ERR_IO;
    }
    *ret_fd = fd;
    return OK;
}

enum err admin_connect(const struct config *config, int *ret_fd) {
    struct sockaddr_un address;
    int folder;
    enum err err = make_address(config, &address, &folder);
    if (err != OK)
        return err;
    err = connect_to(&address, ret_fd);
    close_keeping_errno(folder);
    return err;
}

/* ---- One peer ---- */

/* False: the peer took nothing for too long, has gone, or the server ends. */
static bool wait_until_writable(const struct peer *peer) {
    struct pollfd fds[] = { { .fd = peer->fd, .events = POLLOUT }, { .fd = peer->stop_fd, .events = POLLIN } };
    int ready;
    do
        ready = poll(fds, 2, PEER_TIMEOUT_MS);
    while (ready < 0 && errno == EINTR);
    return ready > 0 && fds[1].revents == 0;
}

static bool send_replies(void *context, const char *bytes, size_t size) {
    const struct peer *peer = context;
    while (size > 0) {
        ssize_t sent = send(peer->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent < 0 && !wait_until_writable(peer))
            return false;
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        }
    }
    return true;
}

static void serve_peer(struct admin *admin, struct peer *peer) {
    static const char end[] = ADMIN_END "\n";
    struct operator* operator;
    enum err err = operator_open(&admin->target, send_replies, peer, &operator);
    if (err != OK) {
        log_event(LOG_WARN, "admin_failed", "error=%s", err_name(err));
        return;
    }
    struct lines lines = LINES_INIT(peer->fd, admin->stop_fd, PEER_TIMEOUT_MS);
    enum lines_result result = operator_run(operator, & lines);
    if (result == LINES_END || result == LINES_TOO_LONG)
        send_replies(peer, end, sizeof(end) - 1);
    else
        log_event(LOG_WARN, "admin_peer_ended", "reason=%s",
                  result == LINES_TIMEOUT   ? "timeout"
                  : result == LINES_STOPPED ? "draining"
                                            : "disconnected");
    lines_release(&lines);
    operator_close(operator);
}

/* ---- The thread ---- */

/* False: the thread is to end. */
static bool wait_for_peer(const struct admin *admin) {
    struct pollfd fds[] = { { .fd = admin->listen_fd, .events = POLLIN }, { .fd = admin->stop_fd, .events = POLLIN } };
    int ready = poll(fds, 2, -1);
    return ready < 0 ? errno == EINTR : fds[1].revents == 0;
}

static void *run(void *context) {
    struct admin *admin = context;
    pthread_setname_np(pthread_self(), "admin");
    while (wait_for_peer(admin)) {
        struct peer peer = { .fd = accept4(admin->listen_fd, NULL, NULL, SOCK_CLOEXEC), .stop_fd = admin->stop_fd };
        if (peer.fd < 0) {
            poll(NULL, 0, ACCEPT_REST_MS);
            continue;
        }
        serve_peer(admin, &peer);
        close(peer.fd);
    }
    return NULL;
}

/* ---- Start and end ---- */

static enum err listen_at(const struct admin *admin, const struct sockaddr_un *address) {
    if (unlink(admin->path) < 0 && errno != ENOENT)
        return ERR_IO;
    /* Linux gives the file the mode of the socket: at no moment is it open to others. */
    if (fchmod(admin->listen_fd, 0600) < 0 || bind(admin->listen_fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return ERR_IO;
    return listen(admin->listen_fd, BACKLOG) < 0 ? ERR_IO : OK;
}

/* Servers on a shared database do not lock their folders. */
static enum err check_unused(const struct sockaddr_un *address) {
    int fd;
    if (connect_to(address, &fd) != OK)
        return OK;
    close(fd);
    errno = EADDRINUSE;
    return ERR_IO;
}

static enum err open_socket(struct admin *admin) {
    struct sockaddr_un address;
    int folder;
    enum err err = make_address(admin->target.config, &address, &folder);
    if (err != OK)
        return err;
    err = check_unused(&address);
    if (err == OK)
        err = listen_at(admin, &address);
    close_keeping_errno(folder);
    return err;
}

static void free_admin(struct admin *admin) {
    close_keeping_errno(admin->listen_fd);
    close_keeping_errno(admin->stop_fd);
    free(admin->path);
    free(admin);
}

static enum err start(struct admin *admin) {
    if (admin->listen_fd < 0 || admin->stop_fd < 0)
        return ERR_IO;
    if (asprintf(&admin->path, "%s/" SOCKET_NAME, admin->target.config->data_dir) < 0) {
        admin->path = NULL;
        return ERR_NO_MEMORY;
    }
    enum err err = open_socket(admin);
    if (err != OK)
        return err;
    errno = pthread_create(&admin->thread, NULL, run, admin);
    return errno == 0 ? OK : ERR_NO_MEMORY;
}

enum err admin_start(const struct cleanup_target *target, struct admin **ret_admin) {
    struct admin *admin = calloc(1, sizeof(*admin));
    if (admin == NULL)
        return ERR_NO_MEMORY;
    admin->target = *target;
    admin->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    admin->stop_fd = eventfd(0, EFD_CLOEXEC);

    enum err err = start(admin);
    if (err == OK)
        *ret_admin = admin;
    else
        free_admin(admin);
    return err;
}

void admin_stop(struct admin *admin) {
    if (admin == NULL)
        return;
    eventfd_write(admin->stop_fd, 1);
    pthread_join(admin->thread, NULL);
    unlink(admin->path);
    free_admin(admin);
}
