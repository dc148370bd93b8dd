/* `parley media setup`: makes the storage ready for uploads; what that takes is the storage's own business.
 *
 * Threads: main. */
#include <stdio.h>

#include "cli/cli.h"
#include "media/storage.h"

static void print_step(void *context, const char *step, enum err err, const char *detail) {
    (void)context;
    printf("%s: %s", step, err == OK ? "done" : err_name(err));
    if (detail != NULL && *detail != '\0')
        printf(" (%s)", detail);
    putchar('\n');
}

static int set_up(struct storage *storage) {
    enum err err = storage_setup(storage, print_step, NULL);
    if (err == OK)
        return STATUS_OK;
    cli_complain("the storage is not ready: %s%s%s", err_name(err), *storage_problem() == '\0' ? "" : ": ", storage_problem());
    return STATUS_FAILED;
}

/* Nothing is signed for clients here, so that the database with its secret is not needed. */
static int open_and_set_up(const struct config *config) {
    static const uint8_t no_secret[32];
    struct storage *storage;
    char problem[512] = "out of memory";
    if (*config->s3_endpoint == '\0' && !cli_make_data_dir(config))
        return STATUS_FAILED;
    if (storage_open(config, no_secret, &storage, problem, sizeof(problem)) != OK) {
        cli_complain("%s", problem);
        return STATUS_FAILED;
    }
    int status = set_up(storage);
    storage_close(storage);
    return status;
}

static int setup_command(int argc, char **argv) {
    struct config config;
    if (argc > 1)
        return cli_misused("media setup", "unexpected argument \"%s\"", argv[1]);
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    int status = open_and_set_up(&config);
    config_release(&config);
    return status;
}

const struct cli_command media_commands[] = {
    {
        .name = "setup",
        .summary = "make the media storage ready",
        .usage = "media setup",
        .help =
            "Creates the bucket of PARLEY_S3_BUCKET when it is missing, lets pages of PARLEY_CORS_ORIGINS and PARLEY_PUBLIC_URL use it, blocks\n"
            "public access, and has the storage abort forgotten uploads after a week. Prints a line for each step; some storages do not know\n"
            "all of them. It can be repeated. Without PARLEY_S3_ENDPOINT media are in the data folder, and there is little to do.\n",
        .run = setup_command,
    },
    { 0 },
};
