/* Owns the choice between the running server and the database itself, and moving lines between them and the caller.
 *
 * Threads: main. */
#include "cli/operate.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/admin.h"
#include "cli/operator.h"

#define MOVE_BYTES ((size_t)64 * 1024)

/* Replies on their way to the caller. */
struct inbox {
    const struct operation *operation;
    struct buf buf; /* the start of a line whose end has not come yet */
    bool ended;     /* ADMIN_END came: there is no reply after it */
};

static void hand_over(struct inbox *inbox, const char *line, size_t size) {
    if (size == sizeof(ADMIN_END) - 1 && memcmp(line, ADMIN_END, size) == 0)
        inbox->ended = true;
    else
        inbox->operation->reply(inbox->operation->context, line, size);
}

/* An operator_output. */
static bool receive(void *context, const char *bytes, size_t size) {
    struct inbox *inbox = context;
    buf_append(&inbox->buf, bytes, size);
    if (!buf_ok(&inbox->buf))
        return false;

    const char *line = inbox->buf.bytes, *end = line + inbox->buf.size, *newline;
    while (line < end && (newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        hand_over(inbox, line, (size_t)(newline - line));
        line = newline + 1;
    }
    size_t left = (size_t)(end - line);
    memmove(inbox->buf.bytes, line, left);
    inbox->buf.size = left;
    return true;
}

/* ---- Over the socket ---- */

/* Both directions at once: the server stops reading while nobody takes its replies. */
struct exchange {
    int server;
    int input;           /* -1: at its end */
    struct buf outgoing; /* bytes before `sent` are sent */
    size_t sent;
    bool is_shut; /* the server knows that nothing more comes */
    struct inbox inbox;
};

static bool has_outgoing(const struct exchange *exchange) { return exchange->sent < exchange->outgoing.size; }

static bool read_input(struct exchange *exchange) {
    buf_clear(&exchange->outgoing);
    exchange->sent = 0;
    char *room = buf_reserve(&exchange->outgoing, MOVE_BYTES);
    ssize_t got = room == NULL ? -1 : read(exchange->input, room, MOVE_BYTES);
    if (got < 0)
        return room != NULL && (errno == EINTR || errno == EAGAIN);
    exchange->outgoing.size = (size_t)got;
    if (got == 0)
        exchange->input = -1;
    return true;
}

static bool send_outgoing(struct exchange *exchange) {
    ssize_t sent = send(exchange->server, exchange->outgoing.bytes + exchange->sent, exchange->outgoing.size - exchange->sent,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EINTR || errno == EAGAIN;
    exchange->sent += (size_t)sent;
    return true;
}

/* Nobody reads any more, but replies may still be waiting. */
static void give_up_sending(struct exchange *exchange) {
    exchange->sent = exchange->outgoing.size;
    exchange->input = -1;
    exchange->is_shut = true;
}

/* False at the end of the replies. */
static bool read_replies(struct exchange *exchange) {
    char bytes[MOVE_BYTES];
    ssize_t got = recv(exchange->server, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    return got > 0 && receive(&exchange->inbox, bytes, (size_t)got);
}

/* Waits for one thing that can be done and does it; false at the end, good or bad. */
static bool move(struct exchange *exchange) {
    if (!has_outgoing(exchange) && exchange->input < 0 && !exchange->is_shut) {
        shutdown(exchange->server, SHUT_WR);
        exchange->is_shut = true;
    }
    struct pollfd fds[] = {
        { .fd = exchange->server, .events = (short)(POLLIN | (has_outgoing(exchange) ? POLLOUT : 0)) },
        { .fd = has_outgoing(exchange) ? -1 : exchange->input, .events = POLLIN },
    };
    if (poll(fds, 2, -1) < 0)
        return errno == EINTR;
    if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !read_replies(exchange))
        return false;
    if ((fds[0].revents & POLLOUT) != 0 && !send_outgoing(exchange))
        give_up_sending(exchange);
    return fds[1].revents == 0 || read_input(exchange);
}

static int operate_on_server(const struct operation *operation, int server) {
    struct exchange exchange = { .server = server, .input = operation->fd, .outgoing = BUF_INIT, .inbox = { operation, BUF_INIT, false } };
    if (operation->text != NULL)
        buf_string(&exchange.outgoing, operation->text);
    while (move(&exchange))
        continue;
    bool ended = exchange.inbox.ended;
    buf_release(&exchange.outgoing);
    buf_release(&exchange.inbox.buf);
    if (!ended)
        cli_complain("the server ended the connection: what has no reply may or may not have been done");
    return ended ? STATUS_OK : STATUS_FAILED;
}

/* ---- On the database ---- */

static enum lines_result run_operator(struct operator* operator, const struct operation * operation) {
    struct lines lines = LINES_INIT(operation->fd, -1, -1);
    if (operation->text != NULL)
        lines_put(&lines, operation->text);
    enum lines_result result = operator_run(operator, & lines);
    lines_release(&lines);
    if (result == LINES_FAILED)
        cli_complain("cannot read the input: %s", strerror(errno));
    return result;
}

static int operate_on_target(const struct cleanup_target *target, const struct operation *operation) {
    struct inbox inbox = { operation, BUF_INIT, false };
    struct operator* operator;
    enum err err = operator_open(target, receive, &inbox, &operator);
    if (err != OK) {
        cli_complain("cannot read the database: %s", err_name(err));
        return STATUS_FAILED;
    }
    enum lines_result result = run_operator(operator, operation);
    operator_close(operator);
    buf_release(&inbox.buf);
    return result == LINES_FAILED ? STATUS_FAILED : STATUS_OK;
}

static int start_and_operate(const struct cleanup_target *target, const struct operation *operation) {
    enum err err = store_start(target->store);
    if (err != OK) {
        cli_complain("cannot start the writer: %s", err_name(err));
        return STATUS_FAILED;
    }
    int status = operate_on_target(target, operation);
    store_stop(target->store);
    return status;
}

static int operate_on_store(const struct config *config, const struct operation *operation, struct store *store) {
    struct cleanup_target target = { .config = config, .store = store };
    char problem[512] = "out of memory";
    if (storage_open(config, store_secret(store), &target.storage, problem, sizeof(problem)) != OK) {
        cli_complain("%s", problem);
        return STATUS_FAILED;
    }
    int status = start_and_operate(&target, operation);
    storage_close(target.storage);
    return status;
}

/* ERR_CONFLICT: another process has the database. Every other outcome is in *ret_status. */
static enum err try_store(const struct config *config, const struct operation *operation, int *ret_status) {
    struct store *store;
    char problem[512] = "out of memory";
    *ret_status = STATUS_FAILED;
    if (!cli_make_data_dir(config))
        return OK;
    enum err err = store_open(config, &store, problem, sizeof(problem));
    if (err == ERR_CONFLICT)
        return err;
    if (err != OK) {
        cli_complain("%s", problem);
        return OK;
    }
    *ret_status = operate_on_store(config, operation, store);
    store_close(store);
    return OK;
}

/* ---- The choice ---- */

/* ERR_NOT_FOUND: no server listens. Every other outcome is in *ret_status. */
static enum err try_server(const struct config *config, const struct operation *operation, int *ret_status) {
    int server;
    enum err err = admin_connect(config, &server);
    if (err == ERR_NOT_FOUND)
        return err;
    if (err != OK) {
        cli_complain("cannot reach the server over the admin socket in %s: %s", config->data_dir, strerror(errno));
        *ret_status = STATUS_FAILED;
        return OK;
    }
    *ret_status = operate_on_server(operation, server);
    close(server);
    return OK;
}

int operate(const struct config *config, const struct operation *operation) {
    int status;
    if (try_server(config, operation, &status) == OK || try_store(config, operation, &status) == OK)
        return status;
    /* Between the two a server may have started. */
    if (try_server(config, operation, &status) == OK)
        return status;
    cli_complain("another process has the database of %s open and does not answer; try again when it has ended", config->data_dir);
    return STATUS_FAILED;
}
