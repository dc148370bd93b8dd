/* mariadb://user:password@host:port,host:port/database?option=value, taken apart. Pure.
 *
 * Several hosts are the servers of one cluster, in the order in which they are preferred. Each part is percent-decoded. Problems are fixed sentences that quote nothing: in a URL that is wrong, the password may be anywhere. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define MARIADB_DEFAULT_PORT 3306
#define MARIADB_HOSTS_MAX 16

struct mariadb_host {
    char *name; /* owned */
    unsigned port;
};

/* All strings are owned. */
struct mariadb_url {
    char *user;
    char *password;      /* "" when there is none */
    char *password_file; /* ?password_file=PATH: read at each connection, so that it can change; NULL otherwise */
    struct mariadb_host hosts[MARIADB_HOSTS_MAX];
    unsigned host_count; /* 0 with a socket */
    char *socket;        /* ?socket=PATH: instead of hosts; NULL otherwise */
    char *database;
    bool requires_tls; /* ?ssl=on, or an ssl_ca: against who listens, and with an ssl_ca also against who pretends to be the server */
    char *ca_file;     /* ?ssl_ca=PATH: the server's certificate and name are checked against it; NULL otherwise: they are not */
};

/* `text` is what follows "mariadb:". ERR_CONFIG with a sentence in `problem`, or ERR_NO_MEMORY. */
enum err mariadb_url_parse(const char *text, struct mariadb_url *ret_url, char *problem, size_t problem_size) MUST_USE;
void mariadb_url_release(struct mariadb_url *url);
