/* The schema, as an append-only list of steps. */
#pragma once

#include "db/driver.h"

/* Brings the schema to the newest step, each step in a transaction of its own where the database has such (SQLite); elsewhere (MariaDB) what is left of
 * an interrupted one is repeated. Several programs may do this at once: they take turns. A database that is newer than this program is ERR_CONFIG.
 * `ret_applied` (may be NULL): how many steps were run. */
enum err migrate(struct db *db, unsigned *ret_applied, char *problem, size_t problem_size) MUST_USE;

/* What a database says of its schema. */
struct schema {
    unsigned step;
    bool is_restoring; /* a backup is being restored, or that was interrupted: what is there is not whole, and nobody may use it */
};

/* The newest step that this program knows. */
unsigned schema_newest(void);
/* Reads it, and changes nothing. An error, with a sentence in `problem`, when there is none (of parley's), or a newer one (ERR_CONFIG). */
enum err schema_look(struct db *db, struct schema *ret_schema, char *problem, size_t problem_size) MUST_USE;
/* ERR_CONFIG, with a sentence, when a backup is being restored. */
enum err schema_check_whole(const struct schema *schema, char *problem, size_t problem_size) MUST_USE;

/* For db/backup_restore.c, in this order. From the first on nobody else migrates or restores, until the connection ends. */
enum err schema_take_turn(struct db *db, char *problem, size_t problem_size) MUST_USE;
/* In an empty database: makes the schema as it was with `step`, and notes that it is being restored. */
enum err schema_begin_restore(struct db *db, unsigned step, char *problem, size_t problem_size) MUST_USE;
/* With all rows there: the steps that have come since. */
enum err schema_finish_steps(struct db *db, char *problem, size_t problem_size) MUST_USE;
/* In the transaction with the last rows: it is whole. */
enum err schema_end_restore(struct db *db) MUST_USE;
