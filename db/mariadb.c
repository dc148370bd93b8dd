/* The MariaDB driver. Owns connections and their prepared statements; knows no table.
 *
 * Results are fetched whole, because a connection can have only one that is not. An array write is one round trip (bulk execution), however many rows it has.
 * Where the caller allows it (`defers`), what only writes is sent without waiting, and the answers are read together: by whatever has to know, and before a commit
 * is sent, which would keep the rest of a transaction that the server has begun anew after a deadlock.
 *
 * A connection that was lost is opened again by the next begin(), or by the next statement outside a transaction, and its statements are prepared anew. What
 * was open in it is over, and the caller was told by an error. An error that ends a transaction, or may have, stays with it until the rollback: a
 * caller that went on would write outside of it.
 *
 * Threads: the connector keeps nothing per thread (its mysql_thread_init() is empty since 3.0), so a connection may go from one to another; only its library's
 * start is not safe, and happens once. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/mariadb_internal.h"

#define COLUMN_BYTES 256              /* room for a value at first, */
#define COLUMN_KEPT_BYTES (64 * 1024) /* and what a statement keeps of it at most when it is finished */
#define NOT_ANSWERED (~0ULL)          /* rows that a statement has changed, before its answer has been read */
#define DUE_MAX 16                    /* answers. A server whose answers nobody reads stops reading, too: a Unix socket holds some 250; */
#define DUE_BYTES (96 * 1024) /* and what it does not read while a statement takes its time must not look as if its machine were gone */
#define CELL_BYTES 16         /* what a value costs on the wire beside its bytes, at most */

static const char *mariadb_problem(struct db *base) { return ((struct mariadb_db *)base)->problem; }

/* ---- Answers ---- */

static bool has_answer(struct mariadb_db *db) {
    struct pollfd answer = { .fd = mysql_get_socket(db->handle), .events = POLLIN };
    return poll(&answer, 1, 0) != 0;
}

/* Or until nothing is left to do: the connector may have read the answer with the one before, which the socket does not show. */
static void work_until_answer(struct mariadb_db *db) {
    const struct db_meanwhile *meanwhile = &db->base.meanwhile;
    if (db_is_busy_meanwhile(&db->base))
        while (!has_answer(db) && meanwhile->work(meanwhile->context))
            ;
}

static enum err read_answer(struct mariadb_db *db) {
    work_until_answer(db);
    db->due--;
    if (mysql_read_query_result(db->handle) != 0)
        return mariadb_connection_error(db);
    if (mysql_field_count(db->handle) == 0)
        return OK;
    db->lost = true;
    return mariadb_fail(db, ERR_INTERNAL, "rows that nobody waits for");
}

/* Only of a deadlock (in a cluster: of a write set that lost) is it certain that nothing was kept. What a reader commits is nothing. */
static enum err commit_error(struct mariadb_db *db, enum err err) {
    if (err == OK || err == ERR_DATABASE_BUSY || db->mode == DB_READER)
        return err;
    db->lost = true;
    return ERR_DATABASE_UNKNOWN;
}

/* Its error is that of the transaction behind it, too. */
static enum err read_commit_answer(struct mariadb_db *db) {
    enum err err = read_answer(db);
    db->commit_due = false;
    db->commit_err = commit_error(db, err);
    return err;
}

/* Reads the answers to all that was sent. The first error is the transaction's, because the caller may have gone on. What was sent behind it is run, too, by
 * then perhaps in a transaction of its own, and undone with the rollback. */
static enum err collect(struct mariadb_db *db) {
    enum err err = db->commit_due ? read_commit_answer(db) : OK;
    while (err == OK && db->due > 0)
        err = read_answer(db);
    for (; db->due > 0 && !db->lost; db->due--)
        if (mysql_read_query_result(db->handle) != 0)
            db->lost = mariadb_loses_connection(mariadb_error_of(mysql_errno(db->handle)));
    db->due_bytes = 0;
    if (err != OK && db->in_transaction)
        db->broken = err;
    return err;
}

/* ---- Connections ---- */

static enum err hold_open(struct mariadb_db *db, bool on) {
    if (db->holds_open && on)
        return OK; /* perhaps behind a commit */
    enum err err = collect(db);
    if (err == OK && db->holds_open != on)
        err = mariadb_run_text(db, on ? "SET autocommit = 0" : "SET autocommit = 1");
    if (err == OK)
        db->holds_open = on;
    return err;
}

/* In a transaction a lost connection stays lost. */
static enum err ensure_connected(struct mariadb_db *db) {
    if (db->in_transaction)
        return db->broken;
    return mariadb_is_connected(db) ? hold_open(db, false) : mariadb_connect_any(db);
}

static void free_columns(struct statement *statement) {
    for (unsigned i = 0; i < statement->column_count; i++)
        free(statement->columns[i].bytes);
    free(statement->columns);
    free(statement->results);
    statement->columns = NULL;
    statement->results = NULL;
    statement->column_count = 0;
}

static void free_statement(struct statement *statement) {
    mariadb_forget_prepared(statement);
    free_columns(statement);
    mariadb_sql_release(&statement->sql);
    free(statement);
}

static void mariadb_close(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    mariadb_disconnect(db);
    struct statement *statement;
    for (size_t cursor = 0; (statement = map_next(&db->statements, &cursor));)
        free_statement(statement);
    map_release(&db->statements);
    mariadb_servers_drop(db->servers);
    free(db);
}

static enum err mariadb_open(const char *target, enum db_mode mode, struct db **ret_db, char *problem, size_t problem_size) {
    struct mariadb_db *db = calloc(1, sizeof *db);
    if (!db)
        return ERR_NO_MEMORY;
    db->base.driver = &mariadb_driver;
    db->mode = mode;
    enum err err = mariadb_servers_hold(target, mariadb_probe_server, &db->servers, problem, problem_size);
    if (err == OK) {
        db->url = mariadb_servers_url(db->servers);
        err = mariadb_connect_any(db);
        if (err != OK)
            snprintf(problem, problem_size, "PARLEY_DB: %s", db->problem);
    }
    if (err != OK) {
        mariadb_close(&db->base);
        return err;
    }
    *ret_db = &db->base;
    return OK;
}

/* ---- Transactions ---- */

static enum err try_begin(struct mariadb_db *db) {
    enum err err = ensure_connected(db);
    if (err != OK)
        return err;
    return mariadb_run_text(db, db->mode == DB_WRITER ? "START TRANSACTION" : "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
}

/* A connection that was lost while it was idle shows it here, where nothing has happened yet. */
static enum err mariadb_begin(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    if (db->in_transaction)
        return mariadb_fail(db, ERR_INTERNAL, "a transaction within a transaction");
    bool was_connected = mariadb_is_connected(db);
    enum err err = try_begin(db);
    if (err == ERR_DATABASE_UNAVAILABLE && was_connected)
        err = try_begin(db);
    db->in_transaction = err == OK;
    db->broken = OK;
    return err;
}

/* Not before all that it is to keep has been answered for. */
static enum err check_written(struct mariadb_db *db) {
    if (!db->in_transaction)
        return mariadb_fail(db, ERR_INTERNAL, "a commit without a transaction");
    return db->broken == OK ? collect(db) : db->broken;
}

static enum err send_commit(struct mariadb_db *db) {
    if (mysql_send_query(db->handle, "COMMIT", strlen("COMMIT")) != 0)
        return mariadb_connection_error(db);
    db->due++;
    return OK;
}

static enum err mariadb_commit(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    enum err err = check_written(db);
    if (err != OK)
        return err;
    err = send_commit(db);
    if (err == OK)
        err = collect(db);
    db->in_transaction = false;
    return commit_error(db, err);
}

static enum err mariadb_send_commit(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    enum err err = check_written(db);
    if (err != OK)
        return err;
    err = send_commit(db);
    db->commit_due = err == OK;
    db->commit_err = ERR_DATABASE_UNKNOWN; /* should the connection end before it is read */
    db->in_transaction = false;
    return commit_error(db, err);
}

static enum err mariadb_await_commit(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    if (db->commit_due)
        (void)read_commit_answer(db);
    return db->commit_err;
}

static void mariadb_rollback(struct db *base) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    if (!db->in_transaction)
        return;
    if (!db->lost)
        (void)collect(db);
    db->in_transaction = false;
    if (!db->lost)
        (void)mariadb_run_text(db, "ROLLBACK");
    if (db->lost) /* at once: the server gives its locks back when it sees the end of the connection, behind what was sent */
        mariadb_disconnect(db);
}

/* Reads the answers of all statements; the first error ends them. */
static enum err drain(struct mariadb_db *db) {
    int more;
    do {
        mysql_free_result(mysql_store_result(db->handle));
        more = mysql_next_result(db->handle);
    } while (more == 0);
    return more > 0 ? mariadb_connection_error(db) : OK;
}

/* Several statements are allowed only here, where none comes from values. */
static enum err mariadb_execute(struct db *base, const char *sql) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    enum err err = ensure_connected(db);
    if (err == OK)
        err = collect(db);
    if (err == OK && mysql_set_server_option(db->handle, MYSQL_OPTION_MULTI_STATEMENTS_ON) != 0)
        err = mariadb_connection_error(db);
    if (err != OK)
        return err;
    err = mariadb_run_text(db, sql);
    if (err == OK)
        err = drain(db);
    if (!db->lost)
        mysql_set_server_option(db->handle, MYSQL_OPTION_MULTI_STATEMENTS_OFF);
    return err;
}

/* ---- Statements ---- */

static struct statement *new_statement(struct mariadb_db *db, const struct query *query) {
    struct statement *statement = calloc(1, sizeof *statement);
    if (!statement)
        return NULL;
    statement->db = db;
    enum err err = mariadb_sql_translate(query->sql, &statement->sql);
    if (err == OK)
        err = map_put(&db->statements, (uintptr_t)query, statement);
    if (err == OK)
        return statement;
    mariadb_fail(db, err, "the statement cannot be translated");
    free_statement(statement);
    return NULL;
}

static void give_back_room(struct column *column) {
    if (column->capacity <= COLUMN_KEPT_BYTES)
        return;
    free(column->bytes);
    column->bytes = NULL;
    column->capacity = 0;
}

static void mariadb_finish(struct statement *statement) {
    if (!statement || statement->run == RUN_NOT_YET)
        return;
    statement->run = RUN_NOT_YET;
    if (statement->handle && mysql_stmt_field_count(statement->handle) > 0)
        mysql_stmt_free_result(statement->handle);
    for (unsigned i = 0; i < statement->column_count; i++)
        give_back_room(&statement->columns[i]);
}

/* It is prepared when it is run: a statement outlives its connection. */
static struct statement *mariadb_query(struct db *base, const struct query *query) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    struct statement *statement = map_get(&db->statements, (uintptr_t)query);
    if (!statement)
        return new_statement(db, query);
    mariadb_finish(statement);
    memset(statement->values, 0, statement->sql.parameter_count * sizeof *statement->values);
    statement->misuse = OK;
    return statement;
}

static void set_value(struct statement *statement, int index, struct value value) {
    if (!statement)
        return;
    if (index < 1 || (unsigned)index > statement->sql.parameter_count)
        statement->misuse = mariadb_fail(statement->db, ERR_INTERNAL, "a value for no parameter");
    else
        statement->values[index - 1] = value;
}

static void mariadb_bind_id(struct statement *statement, int index, uint64_t value) {
    set_value(statement, index, (struct value){ .kind = VALUE_NUMBER, .number = value });
}

static void mariadb_bind_text(struct statement *statement, int index, const char *text, size_t size) {
    set_value(statement, index, (struct value){ .kind = text ? VALUE_TEXT : VALUE_NULL, .bytes = text, .size = text ? size : 0 });
}

static void mariadb_bind_blob(struct statement *statement, int index, const void *bytes, size_t size) {
    set_value(statement, index, (struct value){ .kind = bytes ? VALUE_BYTES : VALUE_NULL, .bytes = bytes, .size = bytes ? size : 0 });
}

static enum err prepare(struct statement *statement) {
    enum err err = collect(statement->db);
    if (err != OK)
        return err;
    statement->handle = mysql_stmt_init(statement->db->handle);
    if (!statement->handle)
        return mariadb_fail(statement->db, ERR_NO_MEMORY, "out of memory");
    if (mysql_stmt_prepare(statement->handle, statement->sql.text, statement->sql.size) == 0)
        return OK;
    err = mariadb_statement_error(statement);
    mariadb_forget_prepared(statement);
    return err;
}

static enum err make_ready(struct statement *statement) {
    enum err err = statement->misuse == OK ? ensure_connected(statement->db) : statement->misuse;
    return err == OK && !statement->handle ? prepare(statement) : err;
}

enum enum_field_types mariadb_type_of(enum value_kind kind) {
    switch (kind) {
    case VALUE_NUMBER:
        return MYSQL_TYPE_LONGLONG;
    case VALUE_BYTES:
        return MYSQL_TYPE_BLOB;
    case VALUE_NULL:
    case VALUE_TEXT:
        break;
    }
    return MYSQL_TYPE_STRING;
}

/* Numbers are bound as signed: columns are, and all 64 bits come back. */
static void bind_values(struct statement *statement, MYSQL_BIND *binds) {
    static my_bool yes = 1;
    for (unsigned i = 0; i < statement->sql.position_count; i++) {
        struct value *value = &statement->values[statement->sql.parameters[i]];
        bool is_number = value->kind == VALUE_NUMBER;
        binds[i] = (MYSQL_BIND){ .buffer_type = mariadb_type_of(value->kind),
                                 .buffer = is_number ? (void *)&value->number : (void *)(uintptr_t)value->bytes,
                                 .buffer_length = value->size,
                                 .length = (unsigned long *)&value->size,
                                 .is_null = value->kind == VALUE_NULL ? &yes : NULL };
    }
}

/* What the bound values take on the wire, repeated ones as often as they are sent. */
size_t mariadb_bytes_of_row(const struct statement *statement) {
    size_t bytes = 0;
    for (unsigned i = 0; i < statement->sql.position_count; i++)
        bytes += statement->values[statement->sql.parameters[i]].size + CELL_BYTES;
    return bytes;
}

/* A connector that does not know the option reads the answer at once. */
static enum err send_bound(struct statement *statement) {
    struct mariadb_db *db = statement->db;
    my_bool on = 1, off = 0;
    bool skips = mysql_optionsv(db->handle, MARIADB_OPT_SKIP_READ_RESPONSE, &on) == 0;
    enum err err = skips ? OK : collect(db);
    if (err != OK)
        return err;
    bool sent = mysql_stmt_execute(statement->handle) == 0;
    mysql_optionsv(db->handle, MARIADB_OPT_SKIP_READ_RESPONSE, &off);
    if (!sent)
        return mariadb_statement_error(statement);
    if (mysql_affected_rows(db->handle) == NOT_ANSWERED)
        db->due++;
    return OK;
}

static enum err execute_now(struct statement *statement) {
    enum err err = collect(statement->db);
    if (err != OK)
        return err;
    return mysql_stmt_execute(statement->handle) == 0 ? OK : mariadb_statement_error(statement);
}

/* A server of a cluster is asked after each array write whether the transaction still is there (check_transaction). */
static enum err execute_later(struct statement *statement, size_t bytes) {
    struct mariadb_db *db = statement->db;
    enum err err = db->due > 0 && db->due_bytes + bytes > DUE_BYTES ? collect(db) : OK;
    if (err == OK)
        err = send_bound(statement);
    db->due_bytes += bytes;
    if (err == OK && (db->base.in_cluster || db->due >= DUE_MAX))
        err = collect(db);
    return err;
}

/* Not in a transaction that started with autocommit on: once the server has ended that, what follows is kept. */
static bool may_defer(const struct statement *statement) {
    const struct mariadb_db *db = statement->db;
    return db->base.defers && db->in_transaction && db->holds_open && mysql_stmt_field_count(statement->handle) == 0;
}

/* `rows` 0: one plain execution; otherwise a bulk of so many. `bytes`: of the values. */
enum err mariadb_execute_bound(struct statement *statement, MYSQL_BIND *binds, unsigned rows, size_t bytes) {
    mysql_stmt_attr_set(statement->handle, STMT_ATTR_ARRAY_SIZE, &rows);
    if (statement->sql.position_count > 0 && mysql_stmt_bind_param(statement->handle, binds) != 0)
        return mariadb_statement_error(statement);
    return may_defer(statement) ? execute_later(statement, bytes) : execute_now(statement);
}

/* ---- Rows ---- */

static enum err make_columns(struct statement *statement, unsigned count) {
    if (statement->column_count == count)
        return OK;
    free_columns(statement);
    statement->columns = calloc(count, sizeof *statement->columns);
    statement->results = calloc(count, sizeof *statement->results);
    statement->column_count = statement->columns && statement->results ? count : 0;
    return statement->column_count == count ? OK : ERR_NO_MEMORY;
}

/* Room for `size` bytes; what was there is lost. */
static enum err make_room(struct column *column, size_t size) {
    size_t capacity = column->capacity ? column->capacity : COLUMN_BYTES;
    if (column->capacity >= size)
        return OK;
    while (capacity < size)
        capacity *= 2;
    free(column->bytes);
    column->bytes = malloc(capacity);
    column->capacity = column->bytes ? capacity : 0;
    return column->bytes ? OK : ERR_NO_MEMORY;
}

static void aim_result(struct column *column, MYSQL_BIND *result) {
    *result = (MYSQL_BIND){ .buffer_type = column->is_number ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_BLOB,
                            .buffer = column->is_number ? (void *)&column->number : column->bytes,
                            .buffer_length = column->is_number ? sizeof column->number : column->capacity,
                            .length = &column->size,
                            .is_null = &column->is_null };
}

/* A column's type may change from one execution to the next: that of a parameter is its value's. There is room for the longest value of the result, so
 * that nothing has to be fetched twice, which the connector's 3.3.19 does wrong. */
static enum err aim_columns(struct statement *statement) {
    const MYSQL_FIELD *fields = mariadb_stmt_fetch_fields(statement->handle);
    enum err err = make_columns(statement, mysql_stmt_field_count(statement->handle));
    for (unsigned i = 0; err == OK && i < statement->column_count; i++) {
        statement->columns[i].is_number = IS_NUM(fields[i].type);
        if (!statement->columns[i].is_number)
            err = make_room(&statement->columns[i], fields[i].max_length > COLUMN_BYTES ? fields[i].max_length : COLUMN_BYTES);
        aim_result(&statement->columns[i], &statement->results[i]);
    }
    if (err == OK && mysql_stmt_bind_result(statement->handle, statement->results) != 0)
        err = mariadb_statement_error(statement);
    return err;
}

static enum err store_rows(struct statement *statement) {
    my_bool measures = 1;
    mysql_stmt_attr_set(statement->handle, STMT_ATTR_UPDATE_MAX_LENGTH, &measures);
    return mysql_stmt_store_result(statement->handle) == 0 ? aim_columns(statement) : mariadb_statement_error(statement);
}

static enum err try_run(struct statement *statement) {
    MYSQL_BIND binds[MARIADB_POSITIONS_MAX];
    enum err err = make_ready(statement);
    if (err != OK)
        return err;
    bind_values(statement, binds);
    err = mariadb_execute_bound(statement, binds, 0, mariadb_bytes_of_row(statement));
    statement->run = RUN_IS_OVER;
    if (err != OK || mysql_stmt_field_count(statement->handle) == 0)
        return err;
    err = store_rows(statement);
    statement->run = err == OK ? RUN_HAS_ROWS : RUN_IS_OVER;
    return err;
}

static enum err mariadb_has_changed(struct db *base, bool *ret_changed) {
    struct mariadb_db *db = (struct mariadb_db *)base;
    enum err err = db->broken == OK ? collect(db) : db->broken;
    *ret_changed = err == OK && mysql_affected_rows(db->handle) > 0;
    return err;
}

static enum err try_begin_by(struct statement *first, bool *ret_changed) {
    struct mariadb_db *db = first->db;
    enum err err = mariadb_is_connected(db) ? OK : mariadb_connect_any(db);
    if (err == OK)
        err = hold_open(db, true);
    if (err != OK)
        return err;
    db->in_transaction = true;
    db->broken = OK;
    bool defers = db->base.defers;
    db->base.defers = !ret_changed;
    err = try_run(first);
    db->base.defers = defers;
    if (err == OK && ret_changed)
        err = mariadb_has_changed(&db->base, ret_changed);
    if (err != OK)
        mariadb_rollback(&db->base);
    return err;
}

/* As in begin(), a connection that was lost while it was idle is opened again: what the statement may have done on it is undone with it. */
static enum err mariadb_begin_by(struct statement *first, bool *ret_changed) {
    if (!first)
        return ERR_INTERNAL;
    struct mariadb_db *db = first->db;
    if (db->in_transaction)
        return mariadb_fail(db, ERR_INTERNAL, "a transaction within a transaction");
    bool was_connected = mariadb_is_connected(db), is_behind = db->commit_due;
    if (is_behind && !was_connected)
        return mariadb_fail(db, ERR_DATABASE_UNAVAILABLE, "the connection of the commit before is lost");
    enum err err = try_begin_by(first, ret_changed);
    return err == ERR_DATABASE_UNAVAILABLE && was_connected && !is_behind ? try_begin_by(first, ret_changed) : err;
}

/* What only reads, outside a transaction, does not hang on its connection. */
static enum err run(struct statement *statement) {
    const struct mariadb_db *db = statement->db;
    bool may_repeat = mariadb_is_connected(db) && !db->in_transaction && db->mode == DB_READER;
    enum err err = try_run(statement);
    return err == ERR_DATABASE_UNAVAILABLE && may_repeat ? try_run(statement) : err;
}

static enum err fetch(struct statement *statement, bool *ret_row) {
    int result = mysql_stmt_fetch(statement->handle);
    if (result == MYSQL_NO_DATA) {
        statement->run = RUN_IS_OVER;
        return OK;
    }
    if (result != 0)
        return mariadb_statement_error(statement);
    *ret_row = true;
    return OK;
}

static enum err mariadb_step(struct statement *statement, bool *ret_row) {
    *ret_row = false;
    if (!statement)
        return ERR_INTERNAL;
    enum err err = statement->run == RUN_NOT_YET ? run(statement) : OK;
    return err == OK && statement->run == RUN_HAS_ROWS ? fetch(statement, ret_row) : err;
}

static bool mariadb_is_null(struct statement *statement, int column) { return statement->columns[column].is_null; }

static uint64_t mariadb_column_id(struct statement *statement, int column) {
    const struct column *found = &statement->columns[column];
    return found->is_number && !found->is_null ? found->number : 0;
}

static const void *mariadb_column_bytes(struct statement *statement, int column, size_t *ret_size) {
    const struct column *found = &statement->columns[column];
    bool has_bytes = !found->is_number && !found->is_null && found->size > 0;
    *ret_size = has_bytes ? found->size : 0;
    return has_bytes ? found->bytes : NULL;
}

/* ---- Array writes ---- */

static enum err mariadb_write_rows(struct db *base, const struct query *query, const void *rows, size_t count, row_binder binder) {
    if (count == 0)
        return OK;
    struct statement *statement = mariadb_query(base, query);
    enum err err = statement ? make_ready(statement) : ERR_INTERNAL;
    if (err != OK)
        return err;
    return mariadb_write_array(statement, rows, count, binder);
}

const struct db_driver mariadb_driver = {
    .scheme = "mariadb",
    .dialect = DIALECT_MARIADB,
    .is_shared = true,
    .open = mariadb_open,
    .close = mariadb_close,
    .problem = mariadb_problem,
    .execute = mariadb_execute,
    .begin = mariadb_begin,
    .begin_by = mariadb_begin_by,
    .commit = mariadb_commit,
    .send_commit = mariadb_send_commit,
    .await_commit = mariadb_await_commit,
    .rollback = mariadb_rollback,
    .query = mariadb_query,
    .bind_id = mariadb_bind_id,
    .bind_text = mariadb_bind_text,
    .bind_blob = mariadb_bind_blob,
    .step = mariadb_step,
    .finish = mariadb_finish,
    .has_changed = mariadb_has_changed,
    .is_null = mariadb_is_null,
    .column_id = mariadb_column_id,
    .column_bytes = mariadb_column_bytes,
    .write_rows = mariadb_write_rows,
    .checkpoint = NULL,
};
