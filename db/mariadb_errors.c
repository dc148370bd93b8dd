/* What MariaDB's errors mean. */
#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>

#include "db/mariadb_internal.h"

enum err mariadb_error_of(unsigned code) {
    switch (code) {
    case 0:
        return OK;
    case CR_OUT_OF_MEMORY:
    case ER_OUTOFMEMORY:
    case ER_OUT_OF_RESOURCES:
        return ERR_NO_MEMORY;
    case ER_DUP_ENTRY:
    case ER_DUP_ENTRY_WITH_KEY_NAME:
    case ER_DUP_KEY:
    case ER_DUP_UNIQUE:
    case ER_BAD_NULL_ERROR:
    case ER_NO_DEFAULT_FOR_FIELD:
    case ER_CONSTRAINT_FAILED:
        return ERR_CONFLICT;
    case ER_LOCK_DEADLOCK: /* also a write set that another node of the cluster was faster with */
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_CHECKREAD: /* the row changed since the snapshot */
        return ERR_DATABASE_BUSY;
    case CR_PARAMS_NOT_BOUND:
    case CR_INVALID_PARAMETER_NO:
    case CR_UNSUPPORTED_PARAM_TYPE:
    case CR_NO_PREPARE_STMT:
    case ER_PARSE_ERROR:
    case ER_EMPTY_QUERY:
    case ER_WRONG_ARGUMENTS:
    case ER_UNSUPPORTED_PS:
    case ER_NOT_SUPPORTED_YET:
    case ER_UNKNOWN_SYSTEM_VARIABLE:
    case ER_NO_SUCH_TABLE:
    case ER_BAD_TABLE_ERROR:
    case ER_TABLE_EXISTS_ERROR:
    case ER_BAD_FIELD_ERROR:
    case ER_NON_UNIQ_ERROR:
    case ER_DUP_FIELDNAME:
    case ER_DUP_KEYNAME:
    case ER_SP_DOES_NOT_EXIST:
    case ER_OPERAND_COLUMNS:
    case ER_SUBQUERY_NO_1_ROW:
    case ER_DERIVED_MUST_HAVE_ALIAS:
    case ER_WRONG_VALUE_COUNT_ON_ROW:
    case ER_WRONG_VALUE_COUNT:
    case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
    case ER_TRUNCATED_WRONG_VALUE:
    case ER_WARN_DATA_OUT_OF_RANGE:
    case ER_DATA_OUT_OF_RANGE:
    case ER_DATA_TOO_LONG:
        return ERR_INTERNAL;
    default: /* gone, killed, shutting down, read-only, not ready, too many connections, full: the machine's or the operator's to mend */
        return ERR_DATABASE_UNAVAILABLE;
    }
}

enum err mariadb_fail(struct mariadb_db *db, enum err err, const char *problem) {
    snprintf(db->problem, sizeof db->problem, "%s", problem);
    return err;
}

bool mariadb_loses_connection(enum err err) { return err == ERR_DATABASE_UNAVAILABLE || err == ERR_NO_MEMORY; }

static enum err note_error(struct mariadb_db *db, unsigned code, const char *text) {
    enum err err = mariadb_error_of(code);
    snprintf(db->problem, sizeof db->problem, "%u: %s", code, text);
    db->lost = db->lost || mariadb_loses_connection(err);
    if (db->in_transaction && (db->lost || err == ERR_DATABASE_BUSY))
        db->broken = err;
    return err;
}

enum err mariadb_connection_error(struct mariadb_db *db) { return note_error(db, mysql_errno(db->handle), mysql_error(db->handle)); }

enum err mariadb_statement_error(struct statement *statement) {
    return note_error(statement->db, mysql_stmt_errno(statement->handle), mysql_stmt_error(statement->handle));
}
