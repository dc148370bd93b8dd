/* A MariaDB server of the bench's own, for what is measured on one: every commit is on disk before it is answered. Main thread. */
#pragma once

#include <limits.h>
#include <stdint.h>

#include "bench.h"

#define DATABASE_URL_BYTES 256

struct database {
    char folder[PATH_MAX];        /* owned; empty when there is none */
    char url[DATABASE_URL_BYTES]; /* as PARLEY_DB takes it */
    char socket[PATH_MAX];
};

/* True when there is a server to start. */
bool database_is_installed(void);
/* Makes and starts one by tests/support/mariadb.sh, reached by a socket and, where `port` is not 0, at that port of 127.0.0.1. */
enum outcome database_start(uint16_t port, struct database *ret_database) MUST_USE;
/* Statements of its administrator, by the command-line client. */
enum outcome database_administrate(const struct database *database, const char *statements) MUST_USE;
/* Stops it and removes it. A zeroed one is fine. */
void database_release(struct database *database);
