/* Array writes on MariaDB: many rows in one execution of a statement. */
#include <stdlib.h>
#include <string.h>

#include "db/mariadb_internal.h"

#define BULK_ROWS 16384
#define BULK_BYTES (2 * LIMIT_BATCH_BYTES) /* of one execution, unless a single row is larger */

static_assert(MARIADB_PACKET_BYTES >= BULK_BYTES + LIMIT_MESSAGE_BODY_BYTES, "a bulk that ends with a long row fits into a packet");

union cell {
    uint64_t number;
    const void *bytes; /* borrowed */
};

/* Rows that wait to be sent. Columns, one for each parameter, lie one after the other, each with room for all rows. */
struct bulk {
    union cell *cells; /* owned, like the next two */
    unsigned long *sizes;
    char *indicators;
    enum value_kind kinds[MARIADB_PARAMETERS_MAX]; /* VALUE_NULL while a column has nothing else */
    size_t room;
    size_t count;
    size_t bytes;
};

static enum err bulk_init(struct bulk *bulk, const struct statement *statement, size_t count) {
    size_t room = count < BULK_ROWS ? count : BULK_ROWS;
    size_t cells = room * (statement->sql.parameter_count + 1);
    *bulk = (struct bulk){ .cells = malloc(cells * sizeof *bulk->cells),
                           .sizes = malloc(cells * sizeof *bulk->sizes),
                           .indicators = malloc(cells),
                           .room = room };
    return bulk->cells && bulk->sizes && bulk->indicators ? OK : ERR_NO_MEMORY;
}

static void bulk_release(struct bulk *bulk) {
    free(bulk->cells);
    free(bulk->sizes);
    free(bulk->indicators);
}

static enum err bulk_put(struct bulk *bulk, const struct statement *statement) {
    for (unsigned i = 0; i < statement->sql.parameter_count; i++) {
        const struct value *value = &statement->values[i];
        size_t place = i * bulk->room + bulk->count;
        if (value->kind == VALUE_NUMBER)
            bulk->cells[place].number = value->number;
        else
            bulk->cells[place].bytes = value->bytes ? value->bytes : "";
        bulk->sizes[place] = value->size;
        bulk->indicators[place] = value->kind == VALUE_NULL ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
        if (value->kind == VALUE_NULL)
            continue;
        if (bulk->kinds[i] != VALUE_NULL && bulk->kinds[i] != value->kind)
            return mariadb_fail(statement->db, ERR_INTERNAL, "a column of an array write has values of two kinds");
        bulk->kinds[i] = value->kind;
    }
    bulk->count++;
    bulk->bytes += mariadb_bytes_of_row(statement);
    return OK;
}

static void bind_bulk(struct bulk *bulk, const struct statement *statement, MYSQL_BIND *binds) {
    for (unsigned i = 0; i < statement->sql.position_count; i++) {
        unsigned parameter = statement->sql.parameters[i];
        size_t place = parameter * bulk->room;
        binds[i] = (MYSQL_BIND){ .buffer_type = mariadb_type_of(bulk->kinds[parameter]),
                                 .buffer = &bulk->cells[place],
                                 .length = &bulk->sizes[place],
                                 .u.indicator = &bulk->indicators[place] };
    }
}

/* In a Galera cluster a transaction ends when another node's change of the same row arrives. A server that has to say so in answer to a bulk execution says
 * now and then that all went well instead, or nothing at all (10.11.19), and what follows would be written outside of the transaction. The status in its answer
 * tells most of these cases, and the end of the transaction the others (db/store_head.c). */
static enum err check_transaction(struct mariadb_db *db) {
    unsigned status = 0;
    if (!db->in_transaction)
        return OK;
    mariadb_get_infov(db->handle, MARIADB_CONNECTION_SERVER_STATUS, &status);
    if (status & SERVER_STATUS_IN_TRANS)
        return OK;
    db->broken = ERR_DATABASE_BUSY;
    db->lost = true; /* an answer that was wrong once is not followed by others */
    return mariadb_fail(db, ERR_DATABASE_BUSY, "the server has ended the transaction");
}

static enum err bulk_send(struct bulk *bulk, struct statement *statement) {
    MYSQL_BIND binds[MARIADB_POSITIONS_MAX];
    if (bulk->count == 0)
        return OK;
    bind_bulk(bulk, statement, binds);
    enum err err = mariadb_execute_bound(statement, binds, (unsigned)bulk->count, bulk->bytes);
    if (err == OK && statement->db->due == 0)
        err = check_transaction(statement->db);
    bulk->count = 0;
    bulk->bytes = 0;
    memset(bulk->kinds, 0, sizeof bulk->kinds);
    return err;
}

/* The row that the binder has bound. */
static enum err bulk_add(struct bulk *bulk, struct statement *statement) {
    enum err err = statement->misuse;
    if (err == OK && (bulk->count == bulk->room || bulk->bytes + mariadb_bytes_of_row(statement) > BULK_BYTES))
        err = bulk_send(bulk, statement);
    return err == OK ? bulk_put(bulk, statement) : err;
}

enum err mariadb_write_array(struct statement *statement, const void *rows, size_t count, row_binder binder) {
    struct bulk bulk;
    enum err err = bulk_init(&bulk, statement, count);
    for (size_t i = 0; err == OK && i < count; i++) {
        memset(statement->values, 0, statement->sql.parameter_count * sizeof *statement->values);
        binder(statement, rows, i);
        err = bulk_add(&bulk, statement);
    }
    if (err == OK)
        err = bulk_send(&bulk, statement);
    bulk_release(&bulk);
    return err;
}
