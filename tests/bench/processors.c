#include "processors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "report.h"

#define LEAST_SHOWN_US 0.05 /* of a post; what is less goes into a line of its own */

/* ---- Counting ---- */

static uint64_t ticks_to_ns(unsigned long long ticks) { return ticks * (NS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK)); }

static uint64_t timeval_ns(struct timeval time) { return (uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_usec * 1000; }

static struct processor_time *find_thread(struct processors *processors, const char *name) {
    for (size_t i = 0; i < processors->count; i++) {
        if (strcmp(processors->threads[i].name, name) == 0)
            return &processors->threads[i].time;
    }
    if (processors->count == PROCESSOR_USERS_MAX)
        return NULL;
    struct processor_user *user = &processors->threads[processors->count++];
    *user = (struct processor_user){ 0 };
    snprintf(user->name, sizeof user->name, "%.30s", name);
    return &user->time;
}

/* The line has the name in brackets, which may hold anything, and behind it the times. */
static void add_thread(struct processors *processors, char *line) {
    unsigned long long user_ticks, system_ticks;
    char *name = strchr(line, '('), *name_end = strrchr(line, ')');
    if (!name || !name_end || sscanf(name_end, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user_ticks, &system_ticks) != 2)
        return;
    *name_end = '\0';
    struct processor_time *time = find_thread(processors, name + 1);
    if (!time)
        return;
    time->user_ns += ticks_to_ns(user_ticks);
    time->system_ns += ticks_to_ns(system_ticks);
}

static void read_threads(pid_t pid, struct processors *processors) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    for (const struct dirent *task; tasks && (task = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/stat", (int)pid, task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (file && fgets(line, sizeof line, file))
            add_thread(processors, line);
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
}

/* Time that a hypervisor gave to others is nobody's here. */
static struct processor_time read_machine(void) {
    unsigned long long user = 0, nice = 0, system = 0, interrupts = 0, softirqs = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (!file || fscanf(file, "cpu %llu %llu %llu %*u %*u %llu %llu", &user, &nice, &system, &interrupts, &softirqs) != 5)
        user = nice = system = interrupts = softirqs = 0;
    if (file)
        fclose(file);
    return (struct processor_time){ ticks_to_ns(user + nice), ticks_to_ns(system + interrupts + softirqs) };
}

void processors_read(pid_t server_pid, struct processors *ret_processors) {
    struct rusage usage = { 0 };
    memset(ret_processors, 0, sizeof *ret_processors);
    ret_processors->at_ns = now_ns();
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        ret_processors->bench = (struct processor_time){ timeval_ns(usage.ru_utime), timeval_ns(usage.ru_stime) };
    ret_processors->all = read_machine();
    read_threads(server_pid, ret_processors);
}

/* ---- Printing ---- */

/* The counts are not taken in one instant, and not in the same units: a difference may seem to be below nothing. */
static uint64_t less(uint64_t value, uint64_t part) { return value > part ? value - part : 0; }

static struct processor_time difference(struct processor_time later, struct processor_time earlier) {
    return (struct processor_time){ less(later.user_ns, earlier.user_ns), less(later.system_ns, earlier.system_ns) };
}

static struct processor_time sum(struct processor_time first, struct processor_time second) {
    return (struct processor_time){ first.user_ns + second.user_ns, first.system_ns + second.system_ns };
}

static double both_us(struct processor_time time, uint64_t posts) { return (double)(time.user_ns + time.system_ns) / 1e3 / (double)posts; }

struct breakdown {
    struct table table;
    uint64_t posts;
    uint64_t capacity_ns; /* all processors' time between the counts */
};

static void add_line(struct breakdown *breakdown, const char *name, struct processor_time time) {
    double posts = (double)breakdown->posts;
    table_cell(&breakdown->table, "%s", name);
    table_cell(&breakdown->table, "%.1f", (double)time.user_ns / 1e3 / posts);
    table_cell(&breakdown->table, "%.1f", (double)time.system_ns / 1e3 / posts);
    table_cell(&breakdown->table, "%.1f", both_us(time, breakdown->posts));
    table_cell(&breakdown->table, "%.0f %%", (double)(time.user_ns + time.system_ns) * 100 / (double)breakdown->capacity_ns);
}

/* Threads with the most first; returns the sum of all. */
static struct processor_time add_threads(struct breakdown *breakdown, struct processors *spent) {
    struct processor_time all = { 0 }, rest = { 0 };
    for (size_t i = 0; i < spent->count; i++) {
        for (size_t j = i + 1; j < spent->count; j++) {
            struct processor_user swapped = spent->threads[i];
            if (both_us(spent->threads[j].time, 1) <= both_us(swapped.time, 1))
                continue;
            spent->threads[i] = spent->threads[j];
            spent->threads[j] = swapped;
        }
        struct processor_time time = spent->threads[i].time;
        all = sum(all, time);
        if (both_us(time, breakdown->posts) >= LEAST_SHOWN_US)
            add_line(breakdown, spent->threads[i].name, time);
        else
            rest = sum(rest, time);
    }
    add_line(breakdown, "the server's other threads", rest);
    return all;
}

double processors_print(const char *title, const struct processors *before, const struct processors *after, uint64_t posts) {
    static const char *const columns[] = { "who", "user us", "system us", "us a post", "of all processors", NULL };
    struct breakdown breakdown = { .posts = posts };
    struct processors earlier = *before, spent = *after;
    if (posts == 0)
        return 0;
    breakdown.capacity_ns = (after->at_ns - before->at_ns) * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    table_start(&breakdown.table, title, columns);
    for (size_t i = 0; i < spent.count; i++) {
        const struct processor_time *start = find_thread(&earlier, spent.threads[i].name);
        spent.threads[i].time = start ? difference(spent.threads[i].time, *start) : spent.threads[i].time;
    }
    struct processor_time bench = difference(after->bench, before->bench), all = difference(after->all, before->all);
    struct processor_time server = add_threads(&breakdown, &spent);
    add_line(&breakdown, "the load generator", bench);
    add_line(&breakdown, "all else on the machine", difference(all, sum(server, bench)));
    add_line(&breakdown, "together", all);
    table_print(&breakdown.table);
    return both_us(all, posts);
}
