/* See scripted.h. */
#include "tests/storage/scripted.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define REQUEST_BYTES (64 * 1024)

/* Reads up to the end of the body; false when the client went away. */
static bool read_request(int client) {
    static char request[REQUEST_BYTES];
    size_t size = 0;
    for (;;) {
        ssize_t more = recv(client, request + size, sizeof(request) - 1 - size, 0);
        if (more <= 0)
            return false;
        size += (size_t)more;
        request[size] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        if (end == NULL)
            continue;
        const char *length = strcasestr(request, "\r\ncontent-length:");
        size_t body_size = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
        if (size >= (size_t)(end + 4 - request) + body_size)
            return true;
    }
}

static void send_all(int client, const char *bytes) {
    size_t size = strlen(bytes);
    while (size > 0) {
        ssize_t sent = send(client, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        size -= (size_t)sent;
    }
}

static void wait_for_the_end(int client) {
    char byte;
    while (recv(client, &byte, 1, 0) > 0)
        ;
}

static void serve(struct scripted *scripted, int client) {
    if (!read_request(client))
        return;
    unsigned index = atomic_fetch_add(&scripted->requests, 1);
    const char *answer = scripted->answers[index < scripted->answer_count ? index : scripted->answer_count - 1];
    if (strcmp(answer, SCRIPTED_SILENCE) != 0)
        send_all(client, answer);
    else
        wait_for_the_end(client);
    shutdown(client, SHUT_WR);
}

static void *serve_all(void *context) {
    struct scripted *scripted = context;
    for (;;) {
        int client = accept4(scripted->listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            return NULL;
        serve(scripted, client);
        close(client);
    }
}

void scripted_start(struct scripted *scripted, const char *const *answers, unsigned answer_count) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(address);
    *scripted = (struct scripted){ .answers = answers, .answer_count = answer_count };
    scripted->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(scripted->listener >= 0);
    assert_int_equal(bind(scripted->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(scripted->listener, 16), 0);
    assert_int_equal(getsockname(scripted->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(scripted->endpoint, sizeof(scripted->endpoint), "http://127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&scripted->thread, NULL, serve_all, scripted), 0);
}

void scripted_stop(struct scripted *scripted) {
    shutdown(scripted->listener, SHUT_RDWR);
    pthread_join(scripted->thread, NULL);
    close(scripted->listener);
}
