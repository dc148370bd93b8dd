/* See handover.h. Uses a daemon without a listening socket, so that no client can come in between. */
#include "api/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define RUNS_MAX 16 /* of the daemon's loop: one accepts, one reads, one closes */

static enum MHD_Result take_socket(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                   const char *version, const char *upload, size_t *upload_size, void **request_context) {
    int *taken_fd = context;
    (void)url, (void)method, (void)version, (void)upload, (void)upload_size;
    if (*request_context == NULL) {
        *request_context = taken_fd; /* called again when the request is complete */
        return MHD_YES;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *taken_fd = info != NULL ? fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 0) : -1;
    return MHD_NO;
}

/* Whether a byte written to the taken-over descriptor arrives, and no end of file follows. */
static bool is_alive(int taken_fd, int peer_fd) {
    char byte = 0;
    return send(taken_fd, "x", 1, MSG_NOSIGNAL) == 1 && recv(peer_fd, &byte, 1, MSG_DONTWAIT) == 1 && byte == 'x' &&
           recv(peer_fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static bool take_over(struct MHD_Daemon *daemon, int daemon_fd, int peer_fd, const int *taken_fd) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: start-up\r\n\r\n";
    const struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    bool works = send(peer_fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(request) - 1 &&
                 MHD_add_connection(daemon, daemon_fd, (const struct sockaddr *)&address, sizeof(address)) == MHD_YES;
    for (int run = 0; run < RUNS_MAX && works; run++)
        works = MHD_run(daemon) == MHD_YES;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return works && info != NULL && info->num_connections == 0 && *taken_fd >= 0 && is_alive(*taken_fd, peer_fd);
}

bool handover_works(void) {
    int pair[2], taken_fd = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0,
                                                 NULL, NULL, take_socket, &taken_fd, MHD_OPTION_END);
    bool works = daemon != NULL && take_over(daemon, pair[0], pair[1], &taken_fd);
    if (daemon != NULL)
        MHD_stop_daemon(daemon);
    if (taken_fd >= 0)
        close(taken_fd);
    close(pair[1]);
    return works;
}
