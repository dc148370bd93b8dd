/* What writing and restoring backups share: db/backup.c and db/backup_restore.c. */
#pragma once

#include "db/backup.h"
#include "db/backup_file.h"

/* Each gives the job's problem its sentence, unless `err` is OK, and returns `err`. Of a file: errno is the one that ERR_IO left. */
enum err backup_problem_of_file(const struct backup_job *job, enum err err) MUST_USE;
enum err backup_problem_of_db(const struct backup_job *job, struct db *db, enum err err) MUST_USE;
void backup_report(const struct backup_job *job, const char *table, uint64_t rows, uint64_t bytes);

/* What the cell borrows is borrowed until the statement has run. */
static inline void backup_bind(struct db *db, struct statement *statement, int index, enum cell_kind kind, const struct backup_cell *cell) {
    if (cell->is_null)
        db->driver->bind_text(statement, index, NULL, 0);
    else if (kind == CELL_NUMBER)
        db->driver->bind_id(statement, index, cell->number);
    else if (kind == CELL_TEXT)
        db->driver->bind_text(statement, index, cell->bytes ? cell->bytes : "", cell->size);
    else
        db->driver->bind_blob(statement, index, cell->bytes ? cell->bytes : "", cell->size);
}
