/* The schema, as an append-only list of steps. */
#pragma once

#include "db/driver.h"

/* Brings the schema to the newest step, each step in a transaction of its own where the database has such (SQLite); elsewhere (MariaDB) what is left of
 * an interrupted one is repeated. Several programs may do this at once: they take turns. A database that is newer than this program is ERR_CONFIG.
 * `ret_applied` (may be NULL): how many steps were run. */
enum err migrate(struct db *db, unsigned *ret_applied, char *problem, size_t problem_size) MUST_USE;
