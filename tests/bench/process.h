/* Processes that the bench starts: each in a process group of its own, so that Ctrl-C reaches only the bench, which then ends them, and so that what a
 * process starts itself is found by its group. None outlives the bench. Main thread. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "bench.h"

struct process_memory {
    uint64_t resident_bytes;  /* VmRSS */
    uint64_t anonymous_bytes; /* RssAnon: without mapped files */
};

/* Starts `arguments`, the first of which is a path or a name to be looked up, with its output appended to two files. -1 with errno when it cannot. */
pid_t process_launch(char *const arguments[], const char *output_path, const char *error_path);
/* True when it has ended by itself; `ret_status` is then as waitpid's. */
bool process_has_ended(pid_t pid, int *ret_status);
/* SIGTERM, and waits. False when it still runs after `limit_ms`. */
bool process_end(pid_t pid, uint32_t limit_ms, int *ret_status);
/* SIGKILL for the whole group, and waits for the process. 0 is fine. */
void process_kill(pid_t pid);
/* SIGKILL for what is left of the group of a process that has ended. */
void process_kill_group(pid_t pid);
/* Runs a command to its end; complains with `what` when its status is not 0. */
enum outcome process_run(char *const arguments[], const char *log_path, const char *what) MUST_USE;
/* Of one process. */
enum outcome process_read_memory(pid_t pid, struct process_memory *ret_memory) MUST_USE;
/* What it made the disk read so far, the page cache not counted; 0 when that cannot be read. */
uint64_t process_read_disk_bytes(pid_t pid);
/* The sum over its group and what else it has started. */
enum outcome process_read_group_memory(pid_t pid, struct process_memory *ret_memory) MUST_USE;
/* The processor time that these have had so far; 0 when it cannot be read. */
uint64_t process_read_group_cpu_ns(pid_t pid);
/* True when the program is there to be started: an absolute path, or a name in the folders of $PATH and the administrator's. */
bool process_is_installed(const char *program);

void process_sleep_ms(uint64_t duration_ms);
/* Complains with the end of a log. */
void process_print_log(const char *path);
/* Removes a folder with all that is in it. */
void process_remove_folder(const char *folder);
