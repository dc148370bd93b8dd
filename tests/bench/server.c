#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_INTERVAL_MS 10
#define LOG_TAIL_BYTES 2000
#define REMOVE_DESCRIPTORS 16

static void path_in_folder(const struct server *server, const char *name, char out[PATH_MAX]) {
    snprintf(out, PATH_MAX, "%.3900s/%s", server->folder, name);
}

void server_import_path(const struct server *server, char out[PATH_MAX]) { path_in_folder(server, "import.jsonl", out); }

void server_import_answers_path(const struct server *server, char out[PATH_MAX]) { path_in_folder(server, "import-answers.jsonl", out); }

static void log_path(const struct server *server, char out[PATH_MAX]) { path_in_folder(server, "server.log", out); }

static void sleep_ms(uint64_t duration_ms) {
    struct timespec duration = { .tv_sec = (time_t)(duration_ms / 1000), .tv_nsec = (long)(duration_ms % 1000 * NS_PER_MS) };
    nanosleep(&duration, NULL);
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

static void redirect(const char *path, int fd) {
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0 || dup2(file, fd) < 0)
        _exit(126);
}

/* In a process group of its own, so that Ctrl-C reaches only the bench, which then ends it; and it never outlives the bench. */
static pid_t launch(char *const arguments[], const char *output_path, const char *error_path) {
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
        _exit(126);
    redirect(output_path, STDOUT_FILENO);
    redirect(error_path, STDERR_FILENO);
    execv(arguments[0], arguments);
    _exit(127);
}

static void print_log_tail(const struct server *server) {
    char path[PATH_MAX], text[LOG_TAIL_BYTES + 1];
    log_path(server, path);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fseek(file, -LOG_TAIL_BYTES, SEEK_END))
        rewind(file);
    size_t len = fread(text, 1, LOG_TAIL_BYTES, file);
    fclose(file);
    complain("the end of the server's log:\n%.*s", (int)len, text);
}

static void describe_end(const struct server *server, const char *what, int status) {
    if (WIFSIGNALED(status))
        complain("%s was ended by signal %d", what, WTERMSIG(status));
    else if (WEXITSTATUS(status) == 127)
        complain("%s cannot be run: is %s built?", what, server->path);
    else
        complain("%s ended with status %d", what, WEXITSTATUS(status));
    print_log_tail(server);
}

enum outcome server_import(const struct server *server) {
    char file[PATH_MAX], answers[PATH_MAX], log[PATH_MAX];
    server_import_path(server, file);
    server_import_answers_path(server, answers);
    log_path(server, log);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", server->path);
    char command[] = "user", action[] = "import";
    char *const arguments[] = { path, command, action, file, NULL };
    pid_t pid = launch(arguments, answers, log);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        complain("cannot run %s: %s", server->path, strerror(errno));
        return OUTCOME_FAILED;
    }
    if (status != 0) {
        describe_end(server, "parley user import", status);
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
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
    if (waitpid(server->pid, ret_status, WNOHANG) != server->pid)
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
        sleep_ms(POLL_INTERVAL_MS);
    }
    complain("the server did not say event=listening in %d s", SERVER_START_LIMIT_MS / 1000);
    print_log_tail(server);
    return OUTCOME_FAILED;
}

enum outcome server_start(struct server *server) {
    char path[PATH_MAX], log[PATH_MAX], command[] = "serve";
    snprintf(path, sizeof path, "%s", server->path);
    log_path(server, log);
    char *const arguments[] = { path, command, NULL };
    struct stat status;
    server->log_start = stat(log, &status) == 0 ? status.st_size : 0;
    pid_t pid = launch(arguments, log, log);
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
    kill(server->pid, SIGTERM);
    for (unsigned waited_ms = 0; waited_ms < SERVER_STOP_LIMIT_MS; waited_ms += POLL_INTERVAL_MS) {
        if (has_ended(server, &status)) {
            if (status == 0)
                return OUTCOME_OK;
            describe_end(server, "the server, after SIGTERM,", status);
            return OUTCOME_FAILED;
        }
        sleep_ms(POLL_INTERVAL_MS);
    }
    complain("the server did not end within %d s of SIGTERM", SERVER_STOP_LIMIT_MS / 1000);
    print_log_tail(server);
    return OUTCOME_FAILED;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *position) {
    (void)status, (void)type, (void)position;
    return remove(path);
}

void server_release(struct server *server) {
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
    if (server->folder[0] && nftw(server->folder, remove_entry, REMOVE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS))
        complain("cannot remove %s: %s", server->folder, strerror(errno));
    server->folder[0] = '\0';
}

enum outcome server_read_memory(const struct server *server, struct server_memory *ret_memory) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)server->pid);
    FILE *file = fopen(path, "re");
    unsigned long long resident_kib = 0, anonymous_kib = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmRSS: %llu", &resident_kib) != 1)
            (void)!sscanf(line, "RssAnon: %llu", &anonymous_kib);
    }
    if (file)
        fclose(file);
    if (resident_kib == 0) {
        complain("cannot read the server's memory from /proc");
        return OUTCOME_FAILED;
    }
    *ret_memory = (struct server_memory){ .resident_bytes = resident_kib * 1024, .anonymous_bytes = anonymous_kib * 1024 };
    return OUTCOME_OK;
}
