/* `parley version`. */
#include <stdio.h>

#include "cli/cli.h"

#ifndef PARLEY_VERSION
#define PARLEY_VERSION "unknown"
#endif

int version_command(int argc, char **argv) {
    if (argc > 1)
        return cli_misused("version", "unexpected argument \"%s\"", argv[1]);
    puts("parley " PARLEY_VERSION);
    return STATUS_OK;
}
