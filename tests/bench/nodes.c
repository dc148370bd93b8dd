#include "nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool nodes_are_possible(const char *scenario) {
    const char *database = getenv("PARLEY_DB");
    if (database && strncmp(database, "mariadb:", strlen("mariadb:")) == 0)
        return true;
    complain("%s: left out: PARLEY_DB names no database that nodes can share", scenario);
    return false;
}

/* Settings are inherited through this process's environment, the data folder and the name among them. */
static enum outcome prepare_node(struct nodes *nodes, uint32_t index) {
    char name[16];
    snprintf(name, sizeof name, "%u", index);
    if (server_prepare(nodes->options, &nodes->servers[index]))
        return OUTCOME_FAILED;
    return setenv("PARLEY_NODE", name, 1) == 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

enum outcome nodes_prepare(struct nodes *nodes, const struct population_shape *shape) {
    if (prepare_node(nodes, 0))
        return OUTCOME_FAILED;
    return population_create(&nodes->servers[0], shape, &nodes->population);
}

enum outcome nodes_start_to(struct nodes *nodes, uint32_t count) {
    while (nodes->count < count) {
        struct server *server = &nodes->servers[nodes->count];
        if (!server->path && prepare_node(nodes, nodes->count))
            return OUTCOME_FAILED;
        if (server_start(server))
            return OUTCOME_FAILED;
        nodes->count++;
    }
    return OUTCOME_OK;
}

enum outcome nodes_stop(struct nodes *nodes) {
    enum outcome outcome = OUTCOME_OK;
    while (nodes->count > 0) {
        if (server_stop(&nodes->servers[--nodes->count]))
            outcome = OUTCOME_FAILED;
    }
    return outcome;
}

void nodes_release(struct nodes *nodes) {
    for (size_t i = 0; i < NODES_MAX; i++)
        server_release(&nodes->servers[i]);
    population_release(&nodes->population);
    unsetenv("PARLEY_NODE");
}
