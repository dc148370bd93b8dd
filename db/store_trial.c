/* See store_trial.h. */
#include "db/store_trial.h"

/* A row that comes and goes: changing one to what it is already would not reach the disk. */
static const struct query add_row = { "REPLACE INTO meta(name, number) VALUES('trial', 0)" };
static const struct query remove_row = { "DELETE FROM meta WHERE name = 'trial'" };

static enum err change(struct db *db) {
    enum err err = db->driver->begin(db);
    if (err == OK)
        err = db_run(db, db_query(db, &add_row));
    if (err == OK)
        err = db_run(db, db_query(db, &remove_row));
    return err == OK ? db->driver->commit(db) : err;
}

enum err store_trial(struct store *store) {
    enum err err = change(store->db);
    if (err != OK)
        store->db->driver->rollback(store->db);
    return err;
}
