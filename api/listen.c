/* Owns the making of listening sockets. */
#include "api/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */
#define HOST_SIZE 256
#define LOCAL_CONGESTION "reno" /* every kernel has it, for every process */
#define LOCAL_RTT_US 1000       /* a handshake within a machine takes some tens */

static bool split(const char *address, char host[HOST_SIZE], const char **ret_port) {
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0')
        return false;
    const char *start = address;
    size_t size = (size_t)(colon - address);
    if (size >= 2 && start[0] == '[' && start[size - 1] == ']') {
        start++;
        size -= 2;
    }
    if (size >= HOST_SIZE)
        return false;
    memcpy(host, start, size);
    host[size] = '\0';
    *ret_port = colon + 1;
    return true;
}

static int bind_one(const struct addrinfo *info) {
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void describe(int fd, char text[LISTEN_TEXT_SIZE]) {
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    char host[INET6_ADDRSTRLEN] = "?";
    char port[8] = "0";
    if (getsockname(fd, (struct sockaddr *)&bound, &size) == 0)
        (void)getnameinfo((struct sockaddr *)&bound, size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(text, LISTEN_TEXT_SIZE, bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

enum err listen_open(const char *address, int *ret_fd, char ret_text[LISTEN_TEXT_SIZE], char *problem, size_t problem_size) {
    char host[HOST_SIZE];
    const char *port;
    if (!split(address, host, &port)) {
        snprintf(problem, problem_size, "PARLEY_LISTEN must be host:port, not \"%s\"", address);
        return ERR_CONFIG;
    }
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    int error = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &list);
    if (error != 0) {
        snprintf(problem, problem_size, "PARLEY_LISTEN \"%s\": %s", address, gai_strerror(error));
        return ERR_CONFIG;
    }
    int fd = -1;
    for (const struct addrinfo *info = list; info != NULL && fd < 0; info = info->ai_next)
        fd = bind_one(info);
    int reason = errno;
    freeaddrinfo(list);
    if (fd < 0) {
        snprintf(problem, problem_size, "cannot listen on %s: %s", address, strerror(reason));
        return ERR_IO;
    }
    describe(fd, ret_text);
    *ret_fd = fd;
    return OK;
}

static bool is_loopback(const struct address *address) {
    struct in6_addr ipv6;
    memcpy(&ipv6, address->bytes, sizeof(ipv6));
    return IN6_IS_ADDR_LOOPBACK(&ipv6) || (IN6_IS_ADDR_V4MAPPED(&ipv6) && ipv6.s6_addr[12] == IN_LOOPBACKNET);
}

/* By how long the handshake took. */
static bool is_near(int fd) {
    struct tcp_info info;
    socklen_t size = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_rtt < LOCAL_RTT_US;
}

void listen_accepted(int fd, const struct address *peer) {
    if (is_loopback(peer) && is_near(fd))
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, LOCAL_CONGESTION, sizeof(LOCAL_CONGESTION) - 1);
}
