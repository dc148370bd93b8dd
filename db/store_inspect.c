/* Opening a store only for readers, beside the process that has it. See store_inspect() in store.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/migrations.h"
#include "db/store_internal.h"

static enum err open_for_reading(struct store *store, char *problem, size_t problem_size) {
    store->url = strdup(store->config->db);
    if (!store->url)
        return ERR_NO_MEMORY;
    enum err err = db_open(store->url, DB_READER, &store->db, problem, problem_size);
    if (err != OK)
        return err;
    store->owner_index.is_table = store->db->driver->dialect == DIALECT_SQLITE; /* what is in memory elsewhere, readers find in the log */
    struct schema schema;
    err = schema_look(store->db, &schema, problem, problem_size);
    if (err == OK)
        err = schema_check_whole(&schema, problem, problem_size);
    if (err != OK)
        return err;
    err = store_load_secret(store);
    if (err != OK)
        snprintf(problem, problem_size, "PARLEY_DB: it is no database of parley's, or of another version: %s", err_name(err));
    return err;
}

enum err store_inspect(const struct config *config, struct store **ret_store, char *problem, size_t problem_size) {
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return ERR_NO_MEMORY;
    store->config = config;
    store->lock_fd = -1;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_mutex_init(&store->whispering, NULL);
    pthread_cond_init(&store->wake, NULL);
    marks_init(&store->marks);
    owner_index_init(&store->owner_index);
    snprintf(problem, problem_size, "out of memory");
    enum err err = open_for_reading(store, problem, problem_size);
    if (err != OK) {
        store_close(store);
        return err;
    }
    *ret_store = store;
    return OK;
}
