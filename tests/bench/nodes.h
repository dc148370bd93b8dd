/* Several servers under test that share the database which PARLEY_DB names: for the scenarios of many nodes. Main thread.
 *
 * The database must be fresh, because users are made in it; `tests/support/mariadb.sh run build/bench nodes` gives one. */
#pragma once

#include "bench.h"
#include "population.h"
#include "server.h"

#define NODES_MAX 4

struct nodes {
    const struct options *options;
    struct server servers[NODES_MAX];
    uint32_t count; /* that run */
    struct population population;
};

/* False, with a line that says so, when PARLEY_DB names nothing that nodes can share. */
bool nodes_are_possible(const char *scenario);
/* Makes the population; no node runs yet. The nodes are to be zeroed but for `options`. */
enum outcome nodes_prepare(struct nodes *nodes, const struct population_shape *shape) MUST_USE;
/* Starts nodes until `count` run. */
enum outcome nodes_start_to(struct nodes *nodes, uint32_t count) MUST_USE;
/* Ends all of them; fails when one did not end well. */
enum outcome nodes_stop(struct nodes *nodes) MUST_USE;
/* Kills what still runs and removes the folders. */
void nodes_release(struct nodes *nodes);
