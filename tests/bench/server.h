/* One server under test: its own data folder, its process, and its memory. Main thread.
 *
 * The life: server_prepare, run `parley user import` by server_import, server_start, server_stop, server_release. */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench.h"
#include "process.h"

#define SERVER_PREFIX_MAX 8
#define SERVER_START_LIMIT_MS 30000
#define SERVER_STOP_LIMIT_MS 20000

struct server {
    const char *path;          /* of the binary; borrowed */
    char folder[PATH_MAX];     /* owned: removed by server_release; empty when there is none */
    const char *const *prefix; /* what it is started by, ended by NULL: a debugger, say; NULL: by nothing; borrowed */
    pid_t pid;                 /* 0 when it does not run */
    uint16_t port;             /* on 127.0.0.1 */
    off_t log_start;           /* where this process began in the log, which earlier ones wrote, too */
};

/* What threads of the process have used of the processors so far, those whose name begins so. */
uint64_t server_thread_ns(const struct server *server, const char *name);

/* Makes the data folder and puts the settings that a bench needs into this process's environment (those already there win, but for
 * the folder and the address). */
enum outcome server_prepare(const struct options *options, struct server *ret_server) MUST_USE;
/* Runs `parley user import` on a file in the data folder; its answers are then in `server_import_answers`. */
enum outcome server_import(const struct server *server) MUST_USE;
/* The paths of those two files. */
void server_import_path(const struct server *server, char out[PATH_MAX]);
void server_import_answers_path(const struct server *server, char out[PATH_MAX]);
/* Runs `parley chat import-members` for the channel on the file that server_import() would read, of ids now. */
enum outcome server_import_followers(const struct server *server, const char *chat_id) MUST_USE;
/* Starts it on a free port of 127.0.0.1 and waits until it listens. */
enum outcome server_start(struct server *server) MUST_USE;
/* Ends it with SIGTERM. Fails when it had already died, did not end in time, or ended with another status than 0. */
enum outcome server_stop(struct server *server) MUST_USE;
/* Kills it if it still runs and removes the folder. A zeroed server is fine. */
void server_release(struct server *server);
/* Its metrics of these names, which have no labels: as they stand at /metrics, 0 where there is none. */
enum outcome server_read_metrics(const struct server *server, const char *const *names, size_t count, double *ret_values) MUST_USE;
/* What it made the disk read since it was started (process.h). */
uint64_t server_read_disk_bytes(const struct server *server);
enum outcome server_read_memory(const struct server *server, struct process_memory *ret_memory) MUST_USE;
