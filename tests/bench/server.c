#include "server.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "http.h"

#define POLL_INTERVAL_MS 10

static void path_in_folder(const struct server *server, const char *name, char out[PATH_MAX]) {
    snprintf(out, PATH_MAX, "%.3900s/%s", server->folder, name);
}

void server_import_path(const struct server *server, char out[PATH_MAX]) { path_in_folder(server, "import.jsonl", out); }

void server_import_answers_path(const struct server *server, char out[PATH_MAX]) { path_in_folder(server, "import-answers.jsonl", out); }

static void log_path(const struct server *server, char out[PATH_MAX]) { path_in_folder(server, "server.log", out); }

static void print_log(const struct server *server) {
    char path[PATH_MAX];
    log_path(server, path);
    process_print_log(path);
}

static bool set_environment(const struct server *server) {
    char data[PATH_MAX];
    path_in_folder(server, "data", data);
    return setenv("PARLEY_LISTEN", "127.0.0.1:0", 1) == 0 && setenv("PARLEY_DATA_DIR", data, 1) == 0 &&
           setenv("PARLEY_RATE_LIMIT", "off", 0) == 0 && setenv("PARLEY_GROUP_MAX", "20000", 0) == 0 &&
           setenv("PARLEY_RETENTION", "30d", 0) == 0;
}

enum outcome server_prepare(const struct options *options, struct server *ret_server) {
    struct server server = { .path = options->server_path };
    snprintf(server.folder, sizeof server.folder, "%.3900s/parley-bench-XXXXXX", options->data_parent);
    if (!mkdtemp(server.folder)) {
        complain("cannot make a data folder in %s: %s", options->data_parent, strerror(errno));
        return OUTCOME_FAILED;
    }
    char data[PATH_MAX];
    path_in_folder(&server, "data", data);
    if (mkdir(data, 0700) || !set_environment(&server)) {
        complain("cannot prepare %s: %s", data, strerror(errno));
        server_release(&server);
        return OUTCOME_FAILED;
    }
    *ret_server = server;
    return OUTCOME_OK;
}

/* ---- Processes ---- */

static void describe_end(const struct server *server, const char *what, int status) {
    if (WIFSIGNALED(status))
        complain("%s was ended by signal %d", what, WTERMSIG(status));
    else if (WEXITSTATUS(status) == 127)
        complain("%s cannot be run: is %s built?", what, server->path);
    else
        complain("%s ended with status %d", what, WEXITSTATUS(status));
    print_log(server);
}

/* `arguments` begin with room for the program's path. */
static enum outcome run_command(const struct server *server, const char *what, const char *arguments[]) {
    char answers[PATH_MAX], log[PATH_MAX];
    server_import_answers_path(server, answers);
    log_path(server, log);
    arguments[0] = server->path;
    if (remove(answers) && errno != ENOENT)
        return OUTCOME_FAILED;
    pid_t pid = process_launch((char *const *)(uintptr_t)arguments, answers, log);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        complain("cannot run %s: %s", server->path, strerror(errno));
        return OUTCOME_FAILED;
    }
    if (status != 0) {
        describe_end(server, what, status);
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

enum outcome server_import(const struct server *server) {
    char file[PATH_MAX];
    server_import_path(server, file);
    return run_command(server, "parley user import", (const char *[]){ NULL, "user", "import", file, NULL });
}

enum outcome server_import_followers(const struct server *server, const char *chat_id) {
    char file[PATH_MAX];
    server_import_path(server, file);
    return run_command(server, "parley chat import-members", (const char *[]){ NULL, "chat", "import-members", chat_id, file, NULL });
}

/* The port in the line that says that it listens; 0 when the log has none yet. */
static uint16_t listening_port(const struct server *server) {
    char path[PATH_MAX], line[1024];
    log_path(server, path);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    unsigned port = 0;
    (void)fseeko(file, server->log_start, SEEK_SET);
    while (port == 0 && fgets(line, sizeof line, file)) {
        const char *address = strstr(line, "event=listening") ? strstr(line, "address=127.0.0.1:") : NULL;
        if (!address || !strchr(address, '\n') || sscanf(address, "address=127.0.0.1:%u", &port) != 1 || port > UINT16_MAX)
            port = 0;
    }
    fclose(file);
    return (uint16_t)port;
}

static bool has_ended(struct server *server, int *ret_status) {
    if (!process_has_ended(server->pid, ret_status))
        return false;
    server->pid = 0;
    return true;
}

static enum outcome wait_until_listening(struct server *server) {
    for (unsigned waited_ms = 0; waited_ms < SERVER_START_LIMIT_MS && !bench_interrupted(); waited_ms += POLL_INTERVAL_MS) {
        int status;
        server->port = listening_port(server);
        if (server->port)
            return OUTCOME_OK;
        if (has_ended(server, &status)) {
            describe_end(server, "parley serve", status);
            return OUTCOME_FAILED;
        }
        process_sleep_ms(POLL_INTERVAL_MS);
    }
    complain("the server did not say event=listening in %d s", SERVER_START_LIMIT_MS / 1000);
    print_log(server);
    return OUTCOME_FAILED;
}

enum outcome server_start(struct server *server) {
    char path[PATH_MAX], log[PATH_MAX], command[] = "serve";
    snprintf(path, sizeof path, "%s", server->path);
    log_path(server, log);
    char *arguments[SERVER_PREFIX_MAX + 3] = { NULL };
    size_t count = 0;
    for (; server->prefix && server->prefix[count] && count < SERVER_PREFIX_MAX; count++)
        arguments[count] = (char *)(uintptr_t)server->prefix[count]; /* exec() does not change them */
    arguments[count] = path;
    arguments[count + 1] = command;
    struct stat status;
    server->log_start = stat(log, &status) == 0 ? status.st_size : 0;
    pid_t pid = process_launch(arguments, log, log);
    if (pid < 0) {
        complain("cannot start %s: %s", server->path, strerror(errno));
        return OUTCOME_FAILED;
    }
    server->pid = pid;
    return wait_until_listening(server);
}

enum outcome server_stop(struct server *server) {
    int status = 0;
    if (has_ended(server, &status)) {
        describe_end(server, "the server, by itself,", status);
        return OUTCOME_FAILED;
    }
    if (process_end(server->pid, SERVER_STOP_LIMIT_MS, &status)) {
        server->pid = 0;
        if (status == 0)
            return OUTCOME_OK;
        describe_end(server, "the server, after SIGTERM,", status);
        return OUTCOME_FAILED;
    }
    complain("the server did not end within %d s of SIGTERM", SERVER_STOP_LIMIT_MS / 1000);
    print_log(server);
    return OUTCOME_FAILED;
}

void server_release(struct server *server) {
    process_kill(server->pid);
    server->pid = 0;
    if (server->folder[0])
        process_remove_folder(server->folder);
    server->folder[0] = '\0';
}

uint64_t server_read_disk_bytes(const struct server *server) { return process_read_disk_bytes(server->pid); }

enum outcome server_read_memory(const struct server *server, struct process_memory *ret_memory) {
    return process_read_memory(server->pid, ret_memory);
}

/* ---- Metrics ---- */

static double metric_value(const char *page, const char *name) {
    size_t len = strlen(name);
    for (const char *line = page; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && line[len] == ' ')
            return strtod(line + len, NULL);
    }
    return 0;
}

enum outcome server_read_metrics(const struct server *server, const char *const *names, size_t count, double *ret_values) {
    static char page[HTTP_ANSWER_BYTES_MAX];
    if (http_get(server->port, "/metrics", "", page, sizeof page))
        return OUTCOME_FAILED;
    for (size_t i = 0; i < count; i++)
        ret_values[i] = metric_value(page, names[i]);
    return OUTCOME_OK;
}

/* ---- Processors ---- */

static bool read_first_line(const char *path, char *line, int capacity) {
    FILE *file = fopen(path, "re");
    bool read = file && fgets(line, capacity, file);
    if (file)
        fclose(file);
    return read;
}

/* By the scheduler's own count, in nanoseconds; the times in `stat` are in ticks of 10 ms. */
uint64_t server_thread_ns(const struct server *server, const char *name) {
    char path[PATH_MAX], line[128];
    uint64_t sum_ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)server->pid);
    DIR *tasks = opendir(path);
    for (const struct dirent *task; tasks && (task = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/comm", (int)server->pid, task->d_name);
        if (!read_first_line(path, line, sizeof line) || strncmp(line, name, strlen(name)) != 0)
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", (int)server->pid, task->d_name);
        if (read_first_line(path, line, sizeof line))
            sum_ns += strtoull(line, NULL, 10);
    }
    if (tasks)
        closedir(tasks);
    return sum_ns;
}
