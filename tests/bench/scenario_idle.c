/* A server that nobody uses, with the settings it comes with: its memory, and how often its threads wake up. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "figures.h"
#include "process.h"
#include "report.h"
#include "server.h"

#define SETTLE_MS 3000

/* Each voluntary switch of context is a thread that went to sleep, so one that woke up before. */
static uint64_t count_switches(pid_t pid, const char *thread) {
    char path[300], line[256];
    unsigned long long switches = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, thread);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "voluntary_ctxt_switches: %llu", &switches) == 1)
            break;
    }
    if (file)
        fclose(file);
    return switches;
}

static uint64_t count_all_switches(pid_t pid, uint32_t *ret_threads) {
    char path[64];
    uint64_t switches = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    *ret_threads = 0;
    for (struct dirent *entry = threads ? readdir(threads) : NULL; entry; entry = readdir(threads)) {
        if (entry->d_name[0] == '.')
            continue;
        switches += count_switches(pid, entry->d_name);
        ++*ret_threads;
    }
    if (threads)
        closedir(threads);
    return switches;
}

static enum outcome measure(const struct options *options, const struct server *server, struct table *table) {
    struct process_memory memory;
    uint32_t threads;
    process_sleep_ms(SETTLE_MS);
    uint64_t start_ns = now_ns(), before = count_all_switches(server->pid, &threads);
    process_sleep_ms(options->idle_seconds * UINT64_C(1000));
    double wakeups = (double)(count_all_switches(server->pid, &threads) - before) * NS_PER_SECOND / (double)(now_ns() - start_ns);
    if (server_read_memory(server, &memory))
        return OUTCOME_FAILED;
    table_cell(table, "%.1f", (double)memory.resident_bytes / 1e6);
    table_cell(table, "%.1f", (double)memory.anonymous_bytes / 1e6);
    table_cell(table, "%u", threads);
    table_cell(table, "%.1f", wakeups);
    table_cell(table, "%u", options->idle_seconds);
    figure_set(FIGURE_IDLE_MB, (double)memory.resident_bytes / 1e6);
    figure_set(FIGURE_IDLE_WAKEUPS, wakeups);
    figure_set(FIGURE_MAPPED_MB, (double)(memory.resident_bytes - memory.anonymous_bytes) / 1e6);
    return OUTCOME_OK;
}

enum outcome scenario_idle(const struct options *options) {
    static const char *const columns[] = { "RSS MB", "of it anonymous", "threads", "wake-ups a second", "seconds", NULL };
    struct table table;
    struct server server = { 0 };
    complain("idle: %u seconds", options->idle_seconds);
    table_start(&table, "idle: a server on an empty database that nobody uses", columns);
    enum outcome outcome = server_prepare(options, &server) || server_start(&server) ? OUTCOME_FAILED : measure(options, &server, &table);
    if (server.pid > 0 && server_stop(&server))
        outcome = OUTCOME_FAILED;
    table_print(&table);
    server_release(&server);
    return outcome;
}
