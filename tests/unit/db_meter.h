/* How much a database does for a statement: on MariaDB the rows that it reads, on SQLite the steps of its virtual machine, some ten of which are a row. What
 * walks over a table is told by it from what looks something up, however fast the machine is. One thread at a time. */
#pragma once

#include "db/driver.h"
#include "tests/unit/db_support.h"

struct meter {
    struct db *db;
    uint64_t before, own;
};

/* Before a database is opened that is to be measured; on MariaDB it does nothing. */
void meter_prepare(void);
struct meter meter_start(struct db *db);
/* What was done since. */
uint64_t meter_end(const struct meter *meter);
/* Runs it, and returns what the writer's connection did for it. */
uint64_t meter_run(struct fixture *fixture, struct command *command);
