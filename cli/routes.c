/* `parley routes`: the route table itself is the API's. */
#include <stdio.h>

#include "api/server.h"
#include "cli/cli.h"

int routes_command(int argc, char **argv) {
    if (argc > 1)
        return cli_misused("routes", "unexpected argument \"%s\"", argv[1]);
    routes_print(stdout);
    return STATUS_OK;
}
