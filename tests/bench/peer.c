#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http.h"

#define PEERS_FOLDER "tests/bench/peers"
#define START_LIMIT_MS 30000
#define POLL_INTERVAL_MS 20
#define END_LIMIT_MS 5000
#define LOG_NAME "output.log"

void peer_path(const struct peer *peer, const char *file, char out[PATH_MAX]) { snprintf(out, PATH_MAX, "%.3900s/%s", peer->folder, file); }

/* ---- Ports ---- */

/* All are held until each is found, so that they differ; whoever starts next could still take one, and then the peer says so. */
static bool find_ports(uint16_t ports[PEER_PORTS_MAX]) {
    int sockets[PEER_PORTS_MAX];
    bool found = true;
    for (size_t i = 0; i < PEER_PORTS_MAX; i++) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof address;
        sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        found = found && sockets[i] >= 0 && bind(sockets[i], (const struct sockaddr *)&address, sizeof address) == 0 &&
                getsockname(sockets[i], (struct sockaddr *)&address, &len) == 0;
        ports[i] = ntohs(address.sin_port);
    }
    for (size_t i = 0; i < PEER_PORTS_MAX; i++) {
        if (sockets[i] >= 0)
            close(sockets[i]);
    }
    return found;
}

enum outcome peer_prepare(const struct options *options, const char *name, struct peer *ret_peer) {
    struct peer peer = { .name = name };
    snprintf(peer.folder, sizeof peer.folder, "%.3900s/parley-bench-peer-XXXXXX", options->data_parent);
    if (!mkdtemp(peer.folder) || chmod(peer.folder, 0755) || !find_ports(peer.ports)) {
        complain("%s: cannot make a folder in %s, or find ports: %s", name, options->data_parent, strerror(errno));
        return OUTCOME_FAILED;
    }
    *ret_peer = peer;
    return OUTCOME_OK;
}

/* ---- Configuration ---- */

/* Writes what the mark at `text` stands for; returns the mark's length, 0 when it is none. */
static size_t write_mark(const struct peer *peer, const char *text, const char *extra, FILE *file) {
    unsigned port;
    if (strncmp(text, "@FOLDER@", 8) == 0)
        return fputs(peer->folder, file) >= 0 ? 8 : 0;
    if (strncmp(text, "@EXTRA@", 7) == 0)
        return fputs(extra ? extra : "", file) >= 0 ? 7 : 0;
    if (sscanf(text, "@PORT%1u@", &port) == 1 && port < PEER_PORTS_MAX && text[6] == '@')
        return fprintf(file, "%u", peer->ports[port]) > 0 ? 7 : 0;
    return 0;
}

static void write_text(const struct peer *peer, const char *text, const char *extra, FILE *file) {
    while (*text) {
        size_t mark_len = *text == '@' ? write_mark(peer, text, extra, file) : 0;
        if (mark_len == 0)
            fputc(*text, file);
        text += mark_len ? mark_len : 1;
    }
}

enum outcome peer_configure(const struct peer *peer, const char *file, const char *extra) {
    char from[PATH_MAX], to[PATH_MAX], line[1024];
    snprintf(from, sizeof from, PEERS_FOLDER "/%s", file);
    peer_path(peer, file, to);
    FILE *source = fopen(from, "re");
    FILE *target = source ? fopen(to, "we") : NULL;
    while (target && fgets(line, sizeof line, source))
        write_text(peer, line, extra, target);
    bool written = target && !ferror(target);
    if (source)
        fclose(source);
    if (target && fclose(target))
        written = false;
    if (written)
        return OUTCOME_OK;
    complain("%s: cannot make %s of %s (the bench runs in the project's folder): %s", peer->name, to, from, strerror(errno));
    return OUTCOME_FAILED;
}

/* ---- The process ---- */

static char *argument_of(const struct peer *peer, const char *text) {
    char *argument = NULL;
    size_t len;
    FILE *file = open_memstream(&argument, &len);
    if (!file)
        return NULL;
    write_text(peer, text, NULL, file);
    return fclose(file) == 0 ? argument : NULL;
}

static bool takes_connections(uint16_t port) {
    int fd = http_connect(port, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static enum outcome wait_until_ready(struct peer *peer, size_t port_count, const char *log) {
    int status;
    size_t ready = 0;
    for (unsigned waited_ms = 0; waited_ms < START_LIMIT_MS && !bench_interrupted(); waited_ms += POLL_INTERVAL_MS) {
        while (ready < port_count && takes_connections(peer->ports[ready]))
            ready++;
        if (ready == port_count)
            return OUTCOME_OK;
        if (process_has_ended(peer->pid, &status)) {
            peer->pid = 0;
            break;
        }
        process_sleep_ms(POLL_INTERVAL_MS);
    }
    complain("%s did not start", peer->name);
    process_print_log(log);
    return OUTCOME_FAILED;
}

enum outcome peer_start(struct peer *peer, size_t port_count, const char *const arguments[]) {
    char *copies[PEER_ARGUMENTS_MAX + 1] = { NULL }, log[PATH_MAX];
    peer_path(peer, LOG_NAME, log);
    for (size_t i = 0; i < PEER_ARGUMENTS_MAX && arguments[i]; i++)
        copies[i] = argument_of(peer, arguments[i]);
    peer->pid = process_launch(copies, log, log);
    for (size_t i = 0; i < PEER_ARGUMENTS_MAX; i++)
        free(copies[i]);
    if (peer->pid < 0) {
        peer->pid = 0;
        complain("%s: cannot start a process: %s", peer->name, strerror(errno));
        return OUTCOME_FAILED;
    }
    return wait_until_ready(peer, port_count, log);
}

void peer_release(struct peer *peer) {
    int status;
    if (peer->pid > 0) {
        if (!process_end(peer->pid, END_LIMIT_MS, &status))
            process_kill(peer->pid);
        process_kill_group(peer->pid);
        peer->pid = 0;
    }
    if (peer->folder[0])
        process_remove_folder(peer->folder);
    peer->folder[0] = '\0';
}
