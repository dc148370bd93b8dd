/* The posts again, on a MariaDB server that the bench starts: one row, for 256 connections. */
#include <stdlib.h>

#include "bench.h"
#include "database.h"

enum outcome scenario_mariadb(const struct options *options) {
    struct options row = *options;
    struct database database;
    if (getenv("PARLEY_DB")) {
        complain("mariadb: left out, because PARLEY_DB is set: the scenario posts is on that database");
        return OUTCOME_OK;
    }
    if (!database_is_installed()) {
        complain("mariadb: there is no mariadbd (scripts/install.sh bench)");
        return OUTCOME_OK;
    }
    if (database_start(0, &database))
        return OUTCOME_FAILED;
    row.connections = (struct size_list){ 1, { 256 } };
    setenv("PARLEY_DB", database.url, 1);
    enum outcome outcome = scenario_posts(&row);
    unsetenv("PARLEY_DB");
    database_release(&database);
    return outcome;
}
