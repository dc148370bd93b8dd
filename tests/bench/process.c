#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_INTERVAL_MS 10
#define LOG_TAIL_BYTES 2000
#define REMOVE_DESCRIPTORS 16
#define DEPTH_MAX 8
#define ADMINISTRATOR_FOLDERS "/usr/local/sbin:/usr/sbin:/sbin" /* not in everybody's $PATH, though anybody may start what is there */

void process_sleep_ms(uint64_t duration_ms) {
    struct timespec duration = { .tv_sec = (time_t)(duration_ms / 1000), .tv_nsec = (long)(duration_ms % 1000 * NS_PER_MS) };
    nanosleep(&duration, NULL);
}

/* ---- Starting ---- */

static void redirect(const char *path, int fd) {
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0 || dup2(file, fd) < 0)
        _exit(126);
}

static void search_path(char out[PATH_MAX]) {
    const char *path = getenv("PATH");
    snprintf(out, PATH_MAX, "%.3900s:" ADMINISTRATOR_FOLDERS, path ? path : "/usr/bin:/bin");
}

pid_t process_launch(char *const arguments[], const char *output_path, const char *error_path) {
    char path[PATH_MAX];
    search_path(path);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent || setenv("PATH", path, 1))
        _exit(126);
    redirect(output_path, STDOUT_FILENO);
    redirect(error_path, STDERR_FILENO);
    execvp(arguments[0], arguments);
    _exit(127);
}

bool process_is_installed(const char *program) {
    if (program[0] == '/')
        return access(program, R_OK) == 0;
    char path[PATH_MAX], file[2 * PATH_MAX], *rest = path;
    search_path(path);
    for (const char *folder = strsep(&rest, ":"); folder; folder = strsep(&rest, ":")) {
        snprintf(file, sizeof file, "%s/%s", folder, program);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

/* ---- Ending ---- */

bool process_has_ended(pid_t pid, int *ret_status) { return waitpid(pid, ret_status, WNOHANG) == pid; }

bool process_end(pid_t pid, uint32_t limit_ms, int *ret_status) {
    kill(pid, SIGTERM);
    for (uint32_t waited_ms = 0; waited_ms < limit_ms; waited_ms += POLL_INTERVAL_MS) {
        if (process_has_ended(pid, ret_status))
            return true;
        process_sleep_ms(POLL_INTERVAL_MS);
    }
    return false;
}

void process_kill(pid_t pid) {
    if (pid <= 0)
        return;
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL); /* it may not have reached setpgid */
    waitpid(pid, NULL, 0);
}

void process_kill_group(pid_t pid) { kill(-pid, SIGKILL); }

enum outcome process_run(char *const arguments[], const char *log_path, const char *what) {
    int status = 0;
    pid_t pid = process_launch(arguments, log_path, log_path);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        complain("%s: cannot run %s: %s", what, arguments[0], strerror(errno));
        return OUTCOME_FAILED;
    }
    if (status == 0)
        return OUTCOME_OK;
    complain("%s: %s ended with status %d", what, arguments[0], WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    process_print_log(log_path);
    return OUTCOME_FAILED;
}

/* ---- Memory ---- */

static bool read_status(pid_t pid, struct process_memory *ret_memory) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    unsigned long long resident_kib = 0, anonymous_kib = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmRSS: %llu", &resident_kib) != 1)
            (void)!sscanf(line, "RssAnon: %llu", &anonymous_kib);
    }
    if (file)
        fclose(file);
    *ret_memory = (struct process_memory){ .resident_bytes = resident_kib * 1024, .anonymous_bytes = anonymous_kib * 1024 };
    return resident_kib > 0;
}

enum outcome process_read_memory(pid_t pid, struct process_memory *ret_memory) {
    if (read_status(pid, ret_memory))
        return OUTCOME_OK;
    complain("cannot read the memory of process %d from /proc", (int)pid);
    return OUTCOME_FAILED;
}

uint64_t process_read_disk_bytes(pid_t pid) {
    char path[64], line[256];
    unsigned long long bytes = 0;
    snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        (void)!sscanf(line, "read_bytes: %llu", &bytes);
    if (file)
        fclose(file);
    return bytes;
}

static pid_t parent_of(pid_t pid) {
    char path[64], text[1024];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    const char *fields = file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL; /* behind the name, which may hold anything */
    if (fields && sscanf(fields, ") %*c %d", &parent) != 1)
        parent = 0;
    if (file)
        fclose(file);
    return parent;
}

/* In its group, or started by it in another. */
static bool belongs_to(pid_t member, pid_t pid) {
    for (unsigned depth = 0; member > 1 && depth < DEPTH_MAX; depth++, member = parent_of(member)) {
        if (member == pid || getpgid(member) == pid)
            return true;
    }
    return false;
}

static uint64_t read_cpu_ns(pid_t pid) {
    char path[64], text[1024];
    unsigned long long user_ticks = 0, system_ticks = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    const char *fields = file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    if (fields && sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user_ticks, &system_ticks) != 2)
        user_ticks = system_ticks = 0;
    if (file)
        fclose(file);
    return (user_ticks + system_ticks) * (NS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t process_read_group_cpu_ns(pid_t pid) {
    uint64_t sum_ns = 0;
    DIR *processes = opendir("/proc");
    for (struct dirent *entry = processes ? readdir(processes) : NULL; entry; entry = readdir(processes)) {
        pid_t member = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atoi(entry->d_name) : 0;
        sum_ns += belongs_to(member, pid) ? read_cpu_ns(member) : 0;
    }
    if (processes)
        closedir(processes);
    return sum_ns;
}

enum outcome process_read_group_memory(pid_t pid, struct process_memory *ret_memory) {
    struct process_memory sum = { 0 }, one;
    DIR *processes = opendir("/proc");
    for (struct dirent *entry = processes ? readdir(processes) : NULL; entry; entry = readdir(processes)) {
        pid_t member = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atoi(entry->d_name) : 0;
        if (!belongs_to(member, pid) || !read_status(member, &one))
            continue;
        sum.resident_bytes += one.resident_bytes;
        sum.anonymous_bytes += one.anonymous_bytes;
    }
    if (processes)
        closedir(processes);
    *ret_memory = sum;
    return sum.resident_bytes > 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

/* ---- Files ---- */

void process_print_log(const char *path) {
    char text[LOG_TAIL_BYTES + 1];
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fseek(file, -LOG_TAIL_BYTES, SEEK_END))
        rewind(file);
    size_t len = fread(text, 1, LOG_TAIL_BYTES, file);
    fclose(file);
    complain("the end of %s:\n%.*s", path, (int)len, text);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *position) {
    (void)status, (void)type, (void)position;
    return remove(path);
}

void process_remove_folder(const char *folder) {
    if (nftw(folder, remove_entry, REMOVE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS))
        complain("cannot remove %s: %s", folder, strerror(errno));
}
