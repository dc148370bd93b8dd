/* What of a database is in a backup: every table but those left out, with its columns, as each step of the schema has them.
 *
 * A table's first columns are its key, and its rows are read and written in the key's order, so that the same content makes the same backup on every
 * database. tests/unit/db_backup_test.c compares the list with what the migrations make. */
#pragma once

#include "core/arena.h"
#include "db/driver.h"

enum cell_kind { CELL_NUMBER, CELL_TEXT, CELL_BYTES };

#define BACKUP_KEY_MAX 3
#define BACKUP_COLUMNS_MAX 32

struct backup_column {
    const char *name;
    enum cell_kind kind;
    unsigned since; /* the step that made it; columns are in the order of steps */
};

struct backup_table {
    const char *name;
    unsigned since;
    unsigned key_columns;
    const char *left_out;  /* why none of its rows is in a backup; NULL: they are */
    const char *condition; /* of the rows that are; NULL: all */
    const struct backup_column *columns;
    size_t column_count;
};

/* In the order in which they are written. `meta` is the last of those that are not left out: what makes a restored database one that can be used. */
extern const struct backup_table backup_tables[];
extern const size_t backup_table_count;

/* Whether rows of it are in a backup of a database with the schema's `step`. */
bool backup_has_table(const struct backup_table *table, unsigned step);
/* How many columns it has at `step`: the first so many. */
size_t backup_columns(const struct backup_table *table, unsigned step);

/* Statements for one table, by which its rows are read in pages: first[0] has no bound; after[n] goes on where the first n columns of the key are those of the
 * last row and the one after them is higher. Bound are these columns from ?1 on, then how many rows. A row of the key (1, 2, 3) is followed by those of after[2],
 * then those of after[1], then those of after[0]: each is one range of the key on every database. */
struct backup_reading {
    struct query first;
    struct query after[BACKUP_KEY_MAX];
};

/* All are made in the arena, which outlives the connections they are run on: these know queries by their addresses. NULL: out of memory. */
const struct backup_reading *backup_reading_make(const struct backup_table *table, unsigned step, struct arena *arena) MUST_USE;
/* An array write of its columns. */
const struct query *backup_insert_make(const struct backup_table *table, unsigned step, struct arena *arena) MUST_USE;
/* Whether it has any row. */
const struct query *backup_probe_make(const struct backup_table *table, struct arena *arena) MUST_USE;
