/* A fixture whose store is behind a commit_cutter, where the tests are on MariaDB. */
#pragma once

#include "db_support.h"
#include "tests/db/commit_cutter.h"

/* NULL on SQLite, and where PARLEY_TEST_DB has no socket. */
extern struct commit_cutter *cutter;

/* For a test's set-up and tear-down; at the end the store is not behind it any more. `trusts_after`: as in struct fixture. */
int cut_set_up(void **state, unsigned trusts_after);
int cut_tear_down(void **state);
