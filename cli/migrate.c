/* `parley migrate`: opening a database migrates it, so this opens and closes it. */
#include <stdio.h>

#include "cli/cli.h"
#include "db/store.h"

static int migrate(const struct config *config) {
    struct store *store;
    char problem[512] = "out of memory";

    enum err err = store_open(config, &store, problem, sizeof(problem));
    if (err == ERR_CONFLICT) {
        cli_complain("%s; a running server has migrated its database already", problem);
        return STATUS_FAILED;
    }
    if (err != OK) {
        cli_complain("%s", problem);
        return STATUS_FAILED;
    }
    store_close(store);
    puts("the database has the newest schema");
    return STATUS_OK;
}

int migrate_command(int argc, char **argv) {
    struct config config;
    if (argc > 1)
        return cli_misused("migrate", "unexpected argument \"%s\"", argv[1]);
    if (!cli_load_config(&config))
        return STATUS_USAGE;

    int status = cli_make_data_dir(&config) ? migrate(&config) : STATUS_FAILED;
    config_release(&config);
    return status;
}
