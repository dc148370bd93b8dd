/* Backups: everything that is in the database, as it was at one moment, in one file that any of the databases can be made from again (db/backup_file.h).
 *
 * A backup is read in one transaction of a connection of its own, beside whoever has the database, and changes nothing. On SQLite this keeps the log of
 * recent writes from being begun anew as long as it takes. A copy to be read at leisure (VACUUM INTO) would do the same while it is made, and want as much room as
 * the database; the online copy (sqlite3_backup) begins anew whenever somebody writes, and would never end on a busy server. On MariaDB the server keeps
 * what is deleted meanwhile.
 *
 * Any thread; blocking. */
#pragma once

#include "core/config.h"
#include "core/err.h"

/* How far it is. */
struct backup_report {
    const char *table; /* the one at hand; static. "" while a file is only checked */
    uint64_t rows;     /* of all tables, so far */
    uint64_t bytes;    /* of the file */
};

struct backup_job {
    const struct config *config;
    int fd; /* the file's; borrowed */
    /* Called now and then; NULL: nobody wants to know. */
    void (*progress)(void *context, const struct backup_report *report);
    void *context;
    char *problem; /* gets a sentence on failure */
    size_t problem_size;
};

struct backup_result {
    uint64_t rows, bytes;
    uint64_t head_id; /* of the backup; of a restored database: where its log goes on */
    int64_t created_ms;
};

/* Writes a backup of the database that config->db names. It is complete when this returns OK, and on the disk after an fsync(). */
enum err backup_write(const struct backup_job *job, struct backup_result *ret_result) MUST_USE;
/* Reads all of a backup, and says whether it is whole. Needs no database. */
enum err backup_check(const struct backup_job *job, struct backup_result *ret_result) MUST_USE;
/* Makes the database from a backup. It must be empty and nobody may use it: ERR_CONFLICT. Until it is whole nobody can open it; after a failure it is empty again
 * (or, when the process was killed, refused by all but another restore).
 *
 * The log goes on from a random position far beyond any that may have been given since the backup, and the floor rises to there. So no id is given a second
 * time, and every token from before is answered with `reset`. Rows stay as they are. */
enum err backup_restore(const struct backup_job *job, struct backup_result *ret_result) MUST_USE;
