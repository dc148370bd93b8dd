#include "empty.h"

#include <microhttpd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http.h"
#include "post.h"

/* ---- The server ---- */

static enum MHD_Result answer_empty(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                    const char *version, const char *upload, size_t *upload_len, void **request) {
    static int seen;
    (void)url, (void)method, (void)version, (void)upload;
    if (!*request) {
        *request = &seen;
        return MHD_YES;
    }
    if (*upload_len) {
        *upload_len = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_CREATED, context);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **own, enum MHD_ConnectionNotificationCode code) {
    (void)context, (void)own;
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        http_connected(MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
}

/* The other process: tells its port through the pipe, and answers until it is killed. */
static _Noreturn void serve_empty(int pipe_fd) {
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, answer_empty, response,
                                                 MHD_OPTION_CONNECTION_LIMIT, 2000u, MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u,
                                                 MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL, MHD_OPTION_END);
    const union MHD_DaemonInfo *info = daemon ? MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
    uint16_t port = info ? info->port : 0;
    if (write(pipe_fd, &port, sizeof port) != sizeof port || port == 0)
        _exit(1);
    for (;;)
        pause();
}

/* ---- The load ---- */

struct empty {
    const struct options *options;
    uint64_t random_state;
    uint16_t port;
};

static size_t empty_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct empty *empty = context;
    (void)connection;
    struct post post = {
        .token = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        .chat_id = "1234567890123456",
        .key = { random_next(&empty->random_state), random_next(&empty->random_state) },
        .time_ns = time_ns,
        .text_bytes = empty->options->text_bytes,
        .port = empty->port,
    };
    return post_write(&post, bytes);
}

static const struct load_driver empty_driver = { .write_request = empty_write_request };

static pid_t start(uint16_t *ret_port) {
    int fds[2];
    if (pipe(fds))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve_empty(fds[1]);
    }
    close(fds[1]);
    if (pid < 0 || read(fds[0], ret_port, sizeof *ret_port) != sizeof *ret_port)
        *ret_port = 0;
    close(fds[0]);
    return pid;
}

enum outcome empty_load(const struct options *options, uint32_t connections, uint32_t seconds, struct load_result *ret_result) {
    struct empty empty = { .options = options, .random_state = now_ns() };
    pid_t pid = start(&empty.port);
    const struct load_plan plan = {
        .port = empty.port,
        .connection_count = connections,
        .duration_ns = seconds * NS_PER_SECOND,
        .expected_status = 201,
        .stays = connections > 1,
        .driver = &empty_driver,
        .context = &empty,
    };
    enum outcome outcome = empty.port ? http_load_run(&plan, ret_result) : OUTCOME_FAILED;
    if (!empty.port)
        complain("libmicrohttpd does not start");
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return outcome;
}
