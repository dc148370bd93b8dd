/* Which of the servers that PARLEY_DB names a process uses: all its connections the same one, the writer's and the readers'. Nodes that write to one server of a
 * cluster wait for each other's locks; at several servers all but the fastest would do their work for nothing.
 *
 * The first one counts that answers and is ready, in the order of the URL. Whoever cannot reach the current one (where that failed soon: twice) tries all, and
 * what it chooses the others follow before their next transaction or statement outside of one. In a cluster a thread looks whether one that comes before the
 * current one is back; servers that are no cluster never win this way: an old primary may have come back that knows nothing of what was written since.
 *
 * Knows no connector: connections are made by db/mariadb_connection.c. Thread-safe. */
#pragma once

#include "core/err.h"
#include "db/mariadb_url.h"

#define MARIADB_CLUSTER_SIZE 37 /* a UUID and a NUL */

struct mariadb_servers;

/* Whether the server at that place of the URL answers and is ready, and of which cluster it is ("": of none). On the thread; may block for seconds. */
typedef bool (*mariadb_probe)(struct mariadb_servers *servers, unsigned server, char ret_cluster[MARIADB_CLUSTER_SIZE]);

/* Those of a URL, which is taken apart here (its errors: db/mariadb_url.h): one object for all who hold the same text. */
enum err mariadb_servers_hold(const char *text, mariadb_probe probe, struct mariadb_servers **ret_servers, char *problem,
                              size_t problem_size) MUST_USE;
/* The last one ends the thread, and waits for its probe. NULL is fine. */
void mariadb_servers_drop(struct mariadb_servers *servers);

const struct mariadb_url *mariadb_servers_url(const struct mariadb_servers *servers);
/* The place of the current one in the URL; 0 with a socket. */
unsigned mariadb_servers_current(const struct mariadb_servers *servers);
/* Says that `server` of `cluster` is ready. It becomes the current one, unless another than `seen` has been chosen meanwhile. */
void mariadb_servers_choose(struct mariadb_servers *servers, unsigned seen, unsigned server, const char *cluster);
