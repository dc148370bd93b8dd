/* What all drivers share. Owns nothing. */
#include "db/driver.h"

#include <stdio.h>
#include <string.h>

static const struct db_driver *const drivers[] = { &sqlite_driver, &mariadb_driver };

const struct db_driver *db_driver_of(const char *url) {
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        size_t length = strlen(drivers[i]->scheme);
        if (strncmp(url, drivers[i]->scheme, length) == 0 && url[length] == ':')
            return drivers[i];
    }
    return NULL;
}

enum err db_open(const char *url, enum db_mode mode, struct db **ret_db, char *problem, size_t problem_size) {
    const struct db_driver *driver = db_driver_of(url);
    if (driver)
        return driver->open(url + strlen(driver->scheme) + 1, mode, ret_db, problem, problem_size);
    snprintf(problem, problem_size, "PARLEY_DB: no driver for it; expected sqlite:PATH or mariadb://USER:PASSWORD@HOST:PORT/DATABASE");
    return ERR_CONFIG;
}

void db_close(struct db *db) {
    if (db)
        db->driver->close(db);
}

enum err db_run(struct db *db, struct statement *statement) {
    bool row = false;
    enum err err = db->driver->step(statement, &row);
    db->driver->finish(statement);
    return err;
}

const char *db_column_text(struct db *db, struct statement *statement, int column, struct arena *arena, size_t *ret_size) {
    size_t size = 0;
    if (db->driver->is_null(statement, column))
        return NULL;
    const void *bytes = db->driver->column_bytes(statement, column, &size);
    char *copy = arena_copy(arena, bytes ? bytes : "", size);
    if (copy && ret_size)
        *ret_size = size;
    return copy;
}

void db_column_blob(struct db *db, struct statement *statement, int column, void *out, size_t size) {
    size_t found = 0;
    const void *bytes = db->driver->column_bytes(statement, column, &found);
    if (bytes && found == size)
        memcpy(out, bytes, size);
    else
        memset(out, 0, size);
}
