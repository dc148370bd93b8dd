/* `parley backup` and `parley restore`: the file, the progress and the summary. What is in the file is db/backup.h's.
 *
 * Threads: main. */
#include "db/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/id.h"

#define PROGRESS_INTERVAL_MS 200
#define MEBIBYTE (1024.0 * 1024)
#define UNFINISHED ".partial"

/* ---- Progress ---- */

struct showing {
    bool shows;
    const char *verb;
    int64_t size; /* of the file, when it is known; 0: it is not */
    int64_t shown_ms;
};

static void show(void *context, const struct backup_report *report) {
    struct showing *showing = context;
    int64_t now_ms = clock_monotonic_ms();
    if (!showing->shows || now_ms - showing->shown_ms < PROGRESS_INTERVAL_MS)
        return;
    showing->shown_ms = now_ms;
    fprintf(stderr, "\r%s %.1f MiB ", showing->verb, (double)report->bytes / MEBIBYTE);
    if (showing->size > 0)
        fprintf(stderr, "(%d%%) ", (int)((double)report->bytes * 100 / (double)showing->size));
    if (report->table[0] != '\0')
        fprintf(stderr, "%" PRIu64 " rows, in %-12s", report->rows, report->table);
}

static void end_progress(const struct showing *showing) {
    if (showing->shows && showing->shown_ms > 0)
        fputc('\n', stderr);
}

static struct showing start_progress(const char *verb) { return (struct showing){ .shows = isatty(STDERR_FILENO), .verb = verb }; }

static int complain_about(const char *path, const char *what) {
    cli_complain("%s: %s: %s", path, what, strerror(errno));
    return STATUS_FAILED;
}

/* ---- backup ---- */

/* `summary`: where to say what was done; stdout may be the backup's. */
static int back_up_to(const struct config *config, int fd, FILE *summary) {
    struct showing showing = start_progress("reading");
    struct backup_result result;
    char problem[512] = "out of memory", time[CLOCK_RFC3339_SIZE];
    const struct backup_job job = {
        .config = config, .fd = fd, .progress = show, .context = &showing, .problem = problem, .problem_size = sizeof(problem)
    };
    enum err err = backup_write(&job, &result);
    end_progress(&showing);
    if (err != OK) {
        cli_complain("%s", problem);
        return STATUS_FAILED;
    }
    clock_format(result.created_ms, time);
    fprintf(summary, "%" PRIu64 " rows, %" PRIu64 " bytes, as of %s\n", result.rows, result.bytes, time);
    return STATUS_OK;
}

/* A file has its name only when it is whole and on the disk. */
static int finish_file(const char *unfinished, const char *path, int fd) {
    if (fsync(fd) != 0)
        return complain_about(path, "cannot write it");
    return rename(unfinished, path) == 0 ? STATUS_OK : complain_about(path, "cannot give it its name");
}

static int back_up_to_file(const struct config *config, const char *path) {
    char unfinished[4096];
    int size = snprintf(unfinished, sizeof(unfinished), "%s" UNFINISHED, path);
    if (size < 0 || (size_t)size >= sizeof(unfinished)) {
        cli_complain("%s: the name is too long", path);
        return STATUS_FAILED;
    }
    (void)unlink(unfinished); /* of a run that was killed; it may have been anybody's to read */
    int fd = open(unfinished, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return complain_about(unfinished, "cannot make it");
    int status = back_up_to(config, fd, stdout);
    if (status == STATUS_OK)
        status = finish_file(unfinished, path, fd);
    close(fd);
    if (status != STATUS_OK)
        (void)unlink(unfinished);
    return status;
}

/* A pipe with a name, or a device. */
static int back_up_to_special(const struct config *config, const char *path) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return complain_about(path, "cannot open it");
    int status = back_up_to(config, fd, stdout);
    close(fd);
    return status;
}

static int back_up(const struct config *config, const char *path) {
    struct stat found;
    if (strcmp(path, "-") == 0)
        return back_up_to(config, STDOUT_FILENO, stderr);
    bool is_special = stat(path, &found) == 0 && !S_ISREG(found.st_mode);
    return is_special ? back_up_to_special(config, path) : back_up_to_file(config, path);
}

/* The only argument; NULL after complaining. */
static const char *only_argument(int argc, char **argv) {
    if (argc == 2 && (argv[1][0] != '-' || argv[1][1] == '\0'))
        return argv[1];
    (void)cli_misused(argv[0], argc < 2 ? "the file is missing" : "unexpected argument \"%s\"", argv[argc - 1]);
    return NULL;
}

int backup_command(int argc, char **argv) {
    struct config config;
    const char *path = only_argument(argc, argv);
    if (path == NULL)
        return STATUS_USAGE;
    if (strcmp(path, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_misused("backup", "a backup is not for a terminal: send it to a file or a pipe");
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    int status = back_up(&config, path);
    config_release(&config);
    return status;
}

/* ---- restore ---- */

/* What can be read twice is looked at as a whole first, so that a damaged one is refused before anything is begun. */
static enum err check_file(struct backup_job *job, struct showing *showing) {
    struct backup_result result;
    struct stat found;
    if (fstat(job->fd, &found) != 0 || !S_ISREG(found.st_mode))
        return OK;
    showing->size = found.st_size;
    showing->verb = "checking";
    off_t start = lseek(job->fd, 0, SEEK_CUR);
    enum err err = backup_check(job, &result);
    if (err == OK && lseek(job->fd, start, SEEK_SET) != start)
        err = ERR_IO;
    return err;
}

static int restore_from(const struct config *config, int fd) {
    struct showing showing = start_progress("checking");
    struct backup_result result;
    char problem[512] = "the backup cannot be read twice", time[CLOCK_RFC3339_SIZE];
    struct backup_job job = {
        .config = config, .fd = fd, .progress = show, .context = &showing, .problem = problem, .problem_size = sizeof(problem)
    };
    enum err err = check_file(&job, &showing);
    showing.verb = "restoring";
    if (err == OK)
        err = backup_restore(&job, &result);
    end_progress(&showing);
    if (err != OK) {
        cli_complain("%s; nothing was restored", problem);
        return STATUS_FAILED;
    }
    clock_format(result.created_ms, time);
    printf("%" PRIu64 " rows restored, as of %s; the log goes on at %" PRIu64 "\n", result.rows, time, log_position(result.head_id));
    return STATUS_OK;
}

static int restore(const struct config *config, const char *path) {
    if (strcmp(path, "-") == 0)
        return restore_from(config, STDIN_FILENO);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return complain_about(path, "cannot open it");
    int status = restore_from(config, fd);
    close(fd);
    return status;
}

int restore_command(int argc, char **argv) {
    struct config config;
    const char *path = only_argument(argc, argv);
    if (path == NULL)
        return STATUS_USAGE;
    if (strcmp(path, "-") == 0 && isatty(STDIN_FILENO))
        return cli_misused("restore", "a backup is not typed: give a file or a pipe");
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    int status = cli_make_data_dir(&config) ? restore(&config, path) : STATUS_FAILED;
    config_release(&config);
    return status;
}
