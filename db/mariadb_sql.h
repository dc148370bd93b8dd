/* The SQL of db/ in MariaDB's dialect: placeholders are replaced, and parameters, which have numbers (?1 ?2), become question marks, which are only counted.
 * Pure. */
#pragma once

#include <stddef.h>

#include "core/err.h"

#define MARIADB_PARAMETERS_MAX 64 /* different ones of a statement */
#define MARIADB_POSITIONS_MAX 96  /* question marks */

struct mariadb_sql {
    char *text; /* owned */
    size_t size;
    unsigned char parameters[MARIADB_POSITIONS_MAX]; /* which one each question mark stands for, from 0 */
    unsigned position_count;
    unsigned parameter_count; /* the highest number used */
};

/* ERR_INTERNAL: a parameter without a number or with one beyond the limit, an unknown placeholder, or an open quote. */
enum err mariadb_sql_translate(const char *sql, struct mariadb_sql *ret_sql) MUST_USE;
void mariadb_sql_release(struct mariadb_sql *sql);
