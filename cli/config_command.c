/* `parley config`: the table of settings itself is core/config.c's. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int config_command(int argc, char **argv) {
    struct config config;
    bool only_check = argc == 2 && strcmp(argv[1], "--check") == 0;

    if (argc > 1 && !only_check)
        return cli_misused("config", "unexpected argument \"%s\"", argv[1]);
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    if (!only_check)
        config_print(&config, stdout);
    config_release(&config);
    return STATUS_OK;
}
