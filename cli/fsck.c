/* `parley fsck`: compares the database with the media storage and says what does not fit.
 *
 * Threads: main, and those of jobs/fsck.c. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "jobs/fsck.h"

static const char *const kind_names[FSCK_KINDS] = {
    [FSCK_MISSING] = "missing",
    [FSCK_MISMATCH] = "mismatch",
    [FSCK_ORPHAN] = "orphan",
    [FSCK_UPLOAD] = "upload",
};

struct checking {
    bool repair;
    bool shows_progress;
    struct fsck_tally tally;
};

/* ---- What is printed ---- */

static void print_finding(void *context, const struct fsck_finding *finding) {
    (void)context;
    printf("%s %s", kind_names[finding->kind], finding->key);
    if (*finding->detail != '\0')
        printf(" (%s)", finding->detail);
    puts(finding->repaired ? " repaired" : "");
}

static void show_progress(void *context, const struct fsck_tally *tally) {
    const struct checking *checking = context;
    if (checking->shows_progress)
        fprintf(stderr, "\r%" PRIu64 " objects, %" PRIu64 " rows, %" PRIu64 " uploads ", tally->objects, tally->rows, tally->uploads);
}

static uint64_t sum(const uint64_t counts[FSCK_KINDS]) {
    uint64_t total = 0;
    for (size_t i = 0; i < FSCK_KINDS; i++)
        total += counts[i];
    return total;
}

static void print_summary(const struct fsck_tally *tally) {
    printf("looked at %" PRIu64 " objects, %" PRIu64 " rows and %" PRIu64 " uploads:", tally->objects, tally->rows, tally->uploads);
    for (size_t i = 0; i < FSCK_KINDS; i++)
        printf("%s %" PRIu64 " %s", i == 0 ? "" : ",", tally->found[i], kind_names[i]);
    printf("; %" PRIu64 " repaired\n", sum(tally->repaired));
    if (tally->foreign > 0)
        printf("%" PRIu64 " objects have keys that are not parley's; they were left alone\n", tally->foreign);
}

/* ---- The check ---- */

static int check(const struct config *config, struct checking *checking, struct store *store, struct storage *storage) {
    const struct fsck fsck = {
        .config = config,
        .store = store,
        .storage = storage,
        .repair = checking->repair,
        .report = print_finding,
        .progress = show_progress,
        .context = checking,
    };
    enum err err = fsck_run(&fsck, &checking->tally);
    if (checking->shows_progress)
        fputc('\n', stderr);
    print_summary(&checking->tally);
    if (err != OK) {
        cli_complain("the check could not go on: %s%s%s", err_name(err), err == ERR_STORAGE_UNAVAILABLE ? ": " : "",
                     err == ERR_STORAGE_UNAVAILABLE ? storage_problem() : "");
        return STATUS_FAILED;
    }
    return sum(checking->tally.found) > sum(checking->tally.repaired) ? STATUS_FAILED : STATUS_OK;
}

static int check_storage(const struct config *config, struct checking *checking, struct store *store) {
    struct storage *storage;
    char problem[512] = "out of memory";
    if (storage_open(config, store_secret(store), &storage, problem, sizeof(problem)) != OK) {
        cli_complain("%s", problem);
        return STATUS_FAILED;
    }
    int status = check(config, checking, store, storage);
    storage_close(storage);
    return status;
}

static int check_store(const struct config *config, struct checking *checking) {
    struct store *store;
    char problem[512] = "out of memory";
    if (store_inspect(config, &store, problem, sizeof(problem)) != OK) {
        cli_complain("%s", problem);
        return STATUS_FAILED;
    }
    int status = check_storage(config, checking, store);
    store_close(store);
    return status;
}

int fsck_command(int argc, char **argv) {
    struct checking checking = { .shows_progress = isatty(STDERR_FILENO) };
    struct config config;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--repair") != 0)
            return cli_misused("fsck", "unexpected argument \"%s\"", argv[i]);
        checking.repair = true;
    }
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    int status = check_store(&config, &checking);
    config_release(&config);
    return status;
}
