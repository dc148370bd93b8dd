/* A table, `recent`, on a reader's connection: the events of the snapshot that `event_of_owner` need not have (db/owner_index.h). It has columns owner_id,
 * is_message and id, as that one has, and can be asked for one owner at a time; what is in it is what db->recent says.
 *
 * They are in memory (db/recent.h). Those of commits that are not there yet, or all where the snapshot is too old for it, are read from the log, once for a
 * snapshot. Outside of a snapshot the table cannot be asked (SQLITE_MISUSE).
 *
 * Threads: the connection's. */
#pragma once

#include <sqlite3.h>

#include "db/driver.h"

/* Gives SQLite's code. `db` lives as long as the connection, `handle`. */
int sqlite_recent_install(sqlite3 *handle, const struct db *db);
