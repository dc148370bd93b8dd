/* `parley serve`: owns the life of a server: what is started in which order, the signals, and the way down.
 *
 * Threads: main, which after the start only waits for signals. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/server.h"
#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/notify.h"
#include "core/log.h"
#include "core/metrics.h"
#include "jobs/cleanup.h"
#include "jobs/scheduler.h"
#include "media/storage.h"
#include "stream/whisper.h"

struct serving {
    struct config config;
    struct store *store;
    struct storage *storage;
    struct hub *hub;
    struct server *server;
    struct admin *admin;
    struct cleanup *cleanup; /* NULL when switched off */
    struct scheduler *scheduler;
    char problem[512];
};

/* ---- Process ---- */

static sigset_t stop_signals(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
}

/* Before any thread starts: threads inherit the mask, so that the signals wait for the main thread. */
static void prepare_signals(void) {
    sigset_t signals = stop_signals();
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a full disk: the write fails, and is answered with 503 */
    signal(SIGHUP, SIG_IGN);  /* settings are read once, and the terminal may go */
}

static int wait_for_signal(void) {
    sigset_t signals = stop_signals();
    int number = 0;
    while (sigwait(&signals, &number) != 0)
        continue;
    return number;
}

static void end_at_once(int number) {
    (void)number;
    _exit(STATUS_FAILED);
}

/* Whoever asks twice does not want to wait. */
static void let_second_signal_end(void) {
    const struct sigaction action = { .sa_handler = end_at_once };
    sigset_t signals = stop_signals();
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

/* Each stream is a descriptor: take what the system gives without asking. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* ---- Up ---- */

static enum err start_failed(struct serving *serving, const char *what, enum err err) {
    if (serving->problem[0] == '\0')
        snprintf(serving->problem, sizeof(serving->problem), "%s", err == ERR_IO ? strerror(errno) : err_name(err));
    log_event(LOG_ERROR, "start_failed", "what=%s problem=\"%s\"", what, serving->problem);
    return err;
}

/* Listeners hear of a commit in the order in which they were registered, and all of them before the first commit. The API's own comes first: its
 * sessions must have ended before the hub tells the streams so. */
static enum err start_core(struct serving *serving) {
    char *problem = serving->problem;
    size_t problem_size = sizeof(serving->problem);

    enum err err = store_open(&serving->config, &serving->store, problem, problem_size);
    if (err != OK)
        return start_failed(serving, "store", err);
    err = storage_open(&serving->config, store_secret(serving->store), &serving->storage, problem, problem_size);
    if (err != OK)
        return start_failed(serving, "storage", err);
    err = hub_start(serving->store, &serving->config, &serving->hub);
    if (err != OK)
        return start_failed(serving, "hub", err);
    const struct server_parts parts = { &serving->config, serving->store, serving->hub, serving->storage };
    err = server_start(&parts, &serving->server, problem, problem_size);
    if (err != OK)
        return start_failed(serving, "http", err);
    store_on_commit(serving->store, hub_commit, serving->hub);
    store_on_break(serving->store, hub_break, serving->hub);
    store_on_whisper(serving->store, whisper_hear, serving->hub);
    err = scheduler_open(serving->store, &serving->scheduler);
    if (err != OK)
        return start_failed(serving, "scheduler", err);
    err = store_start(serving->store);
    return err == OK ? OK : start_failed(serving, "writer", err);
}

static enum err start_rest(struct serving *serving) {
    const struct cleanup_target target = { &serving->config, serving->store, serving->storage };
    enum err err = admin_start(&target, &serving->admin);
    if (err != OK)
        return start_failed(serving, "admin_socket", err);
    err = scheduler_start(serving->scheduler);
    if (err != OK)
        return start_failed(serving, "scheduler", err);
    if (serving->config.cleanup_interval_ms == 0)
        return OK;
    err = cleanup_start(&target, &serving->cleanup);
    return err == OK ? OK : start_failed(serving, "cleanup", err);
}

/* ---- Down ---- */

/* From the outside in, and in an order that leaves nobody writing to what has ended: no new requests, the streams' clients learn of it, the requests
 * that run finish; then the writer, who tells the hub and the API of its last commits; then those two, and the store at the end. Whatever was not
 * started is skipped. */
static void stop(struct serving *serving) {
    if (serving->server != NULL)
        server_quiesce(serving->server);
    if (serving->hub != NULL)
        hub_drain(serving->hub);
    if (serving->server != NULL)
        server_drain(serving->server);
    admin_stop(serving->admin);
    cleanup_stop(serving->cleanup);
    scheduler_stop(serving->scheduler);
    if (serving->store != NULL)
        store_stop(serving->store);
    scheduler_close(serving->scheduler);
    if (serving->hub != NULL)
        hub_stop(serving->hub);
    if (serving->server != NULL)
        server_stop(serving->server);
    storage_close(serving->storage);
    if (serving->store != NULL)
        store_close(serving->store);
}

/* ---- What the log says at the start ---- */

static void log_retention(const struct config *config) {
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } };
    size_t unit = 0;
    if (config->retention_ms == CONFIG_FOREVER) {
        log_event(LOG_INFO, "retention", "value=forever meaning=\"messages are kept until somebody deletes them\"");
        return;
    }
    while (config->retention_ms % units[unit].ms != 0)
        unit++;
    log_event(LOG_INFO, "retention",
              "value=%" PRId64 "%s meaning=\"messages older than this are deleted for good; PARLEY_RETENTION sets it\"",
              config->retention_ms / units[unit].ms, units[unit].name);
}

static void log_listening(const struct serving *serving) {
    const char *address = server_address(serving->server);
    log_event(LOG_INFO, "listening", "address=%s url=http://%s/ node=%s", address, address, serving->config.node);
}

/* ---- The command ---- */

static int serve(struct serving *serving) {
    log_retention(&serving->config);
    enum err err = start_core(serving);
    if (err == OK)
        err = start_rest(serving);
    if (err == OK) {
        log_listening(serving);
        notify_ready();
        int number = wait_for_signal();
        let_second_signal_end();
        log_event(LOG_INFO, "draining", "signal=%s", sigabbrev_np(number));
        notify_stopping();
    }
    stop(serving);
    if (err == OK)
        log_event(LOG_INFO, "stopped", "%s", "");
    return err == OK ? STATUS_OK : STATUS_FAILED;
}

int serve_command(int argc, char **argv) {
    struct serving serving = { 0 };
    if (argc > 1)
        return cli_misused("serve", "unexpected argument \"%s\"", argv[1]);
    if (!cli_load_config(&serving.config))
        return STATUS_USAGE;

    prepare_signals();
    raise_descriptor_limit();
    metrics_name_node(serving.config.node);
    int status = cli_make_data_dir(&serving.config) ? serve(&serving) : STATUS_FAILED;
    config_release(&serving.config);
    return status;
}
