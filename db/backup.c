/* Writing and checking backups. See backup.h. */
#include "db/backup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/limits.h"
#include "db/backup_internal.h"
#include "db/migrations.h"
#include "db/rows.h"

#define ARENA_BYTES (256 * 1024)

static const struct query read_head = { "SELECT coalesce((SELECT max(id) FROM event), 0), (SELECT number FROM meta WHERE name = 'floor')" };

/* ---- Problems ---- */

enum err backup_problem_of_file(const struct backup_job *job, enum err err) {
    if (err == ERR_IO)
        snprintf(job->problem, job->problem_size, "the backup: %s", strerror(errno));
    else if (err == ERR_BAD_DIGEST)
        snprintf(job->problem, job->problem_size, "the backup is damaged or incomplete");
    else if (err == ERR_BAD_REQUEST)
        snprintf(job->problem, job->problem_size, "it is no backup of parley's, or one in a format of a newer version");
    else if (err != OK)
        snprintf(job->problem, job->problem_size, "the backup: %s", err_name(err));
    return err;
}

enum err backup_problem_of_db(const struct backup_job *job, struct db *db, enum err err) {
    if (err == ERR_NO_MEMORY)
        snprintf(job->problem, job->problem_size, "out of memory");
    else if (err != OK)
        snprintf(job->problem, job->problem_size, "PARLEY_DB: %s", db->driver->problem(db));
    return err;
}

void backup_report(const struct backup_job *job, const char *table, uint64_t rows, uint64_t bytes) {
    const struct backup_report report = { .table = table, .rows = rows, .bytes = bytes };
    if (job->progress)
        job->progress(job->context, &report);
}

/* ---- Pages of a table ---- */

/* The key of the row read last. */
struct key {
    struct backup_cell cells[BACKUP_KEY_MAX];
    char bytes[BACKUP_KEY_MAX][256];
};

struct copying {
    const struct backup_job *job;
    struct db *db;
    struct backup_writer *writer;
    const struct backup_table *table;
    size_t column_count;
    struct key key;
};

static struct backup_cell cell_of(struct db *db, struct statement *row, int column, enum cell_kind kind) {
    struct backup_cell cell = { .is_null = db->driver->is_null(row, column) };
    if (!cell.is_null && kind == CELL_NUMBER)
        cell.number = db->driver->column_id(row, column);
    else if (!cell.is_null)
        cell.bytes = db->driver->column_bytes(row, column, &cell.size);
    return cell;
}

/* The row is gone with the next one, so what it borrows is copied. A key is short. */
static enum err keep_key(struct copying *copying, const struct backup_cell *cells) {
    for (size_t i = 0; i < copying->table->key_columns; i++) {
        struct backup_cell *kept = &copying->key.cells[i];
        *kept = cells[i];
        if (copying->table->columns[i].kind == CELL_NUMBER)
            continue;
        if (kept->size > sizeof copying->key.bytes[i])
            return ERR_INTERNAL;
        if (kept->size > 0)
            memcpy(copying->key.bytes[i], kept->bytes, kept->size);
        kept->bytes = copying->key.bytes[i];
    }
    return OK;
}

static enum err copy_row(struct copying *copying, struct statement *row) {
    struct backup_cell cells[BACKUP_COLUMNS_MAX];
    for (size_t i = 0; i < copying->column_count; i++)
        cells[i] = cell_of(copying->db, row, (int)i, copying->table->columns[i].kind);
    enum err err = keep_key(copying, cells);
    if (err == OK)
        err = backup_put_row(copying->writer, copying->table->columns, cells, copying->column_count);
    return backup_problem_of_file(copying->job, err);
}

static enum err copy_page(struct copying *copying, struct statement *statement, size_t *ret_count) {
    enum err err = OK;
    bool row = false;
    *ret_count = 0;
    while ((err = copying->db->driver->step(statement, &row)) == OK && row) {
        err = copy_row(copying, statement);
        if (err != OK)
            break;
        ++*ret_count;
    }
    if (err != OK && !row)
        err = backup_problem_of_db(copying->job, copying->db, err);
    copying->db->driver->finish(statement);
    return err;
}

static enum err first_page(struct copying *copying, const struct backup_reading *reading, size_t *ret_count) {
    struct statement *statement = db_query(copying->db, &reading->first);
    copying->db->driver->bind_id(statement, 1, LIMIT_BACKUP_PAGE_ROWS);
    return copy_page(copying, statement, ret_count);
}

/* The rows after the key of which the first `equal` columns are the same. */
static enum err next_page(struct copying *copying, const struct backup_reading *reading, size_t equal, size_t *ret_count) {
    struct statement *statement = db_query(copying->db, &reading->after[equal]);
    for (size_t i = 0; i <= equal; i++)
        backup_bind(copying->db, statement, (int)i + 1, copying->table->columns[i].kind, &copying->key.cells[i]);
    copying->db->driver->bind_id(statement, (int)equal + 2, LIMIT_BACKUP_PAGE_ROWS);
    return copy_page(copying, statement, ret_count);
}

/* After a page that was full there may be more with the same beginning of the key; after another there are only higher ones. */
static enum err copy_rows(struct copying *copying, const struct backup_reading *reading) {
    size_t count = 0, equal = 0;
    enum err err = first_page(copying, reading, &count);
    while (err == OK && (count == LIMIT_BACKUP_PAGE_ROWS || equal > 0)) {
        equal = count == LIMIT_BACKUP_PAGE_ROWS ? copying->table->key_columns - 1 : equal - 1;
        err = next_page(copying, reading, equal, &count);
        backup_report(copying->job, copying->table->name, copying->writer->all_rows, copying->writer->bytes);
    }
    return err;
}

static enum err copy_table(struct copying *copying, unsigned step, struct arena *arena) {
    const struct backup_reading *reading = backup_reading_make(copying->table, step, arena);
    if (!reading)
        return backup_problem_of_file(copying->job, ERR_NO_MEMORY);
    enum err err = backup_problem_of_file(copying->job, backup_put_table(copying->writer, copying->table, step));
    if (err == OK)
        err = copy_rows(copying, reading);
    return err == OK ? backup_problem_of_file(copying->job, backup_end_table(copying->writer)) : err;
}

/* ---- The whole ---- */

static enum err read_place_of_log(const struct backup_job *job, struct db *db, struct backup_header *header) {
    struct statement *statement = db_query(db, &read_head);
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        header->head_id = db->driver->column_id(statement, 0);
        header->floor_id = db->driver->column_id(statement, 1);
    }
    if (header->head_id < header->floor_id)
        header->head_id = header->floor_id;
    return backup_problem_of_db(job, db, err);
}

/* The first read: the snapshot is of this moment at the latest. */
static enum err read_header(const struct backup_job *job, struct db *db, struct backup_header *ret_header) {
    struct schema schema = { .step = 0 };
    struct backup_header header = { .created_ms = clock_now_ms() };
    enum err err = schema_look(db, &schema, job->problem, job->problem_size);
    if (err == OK)
        err = schema_check_whole(&schema, job->problem, job->problem_size);
    if (err == OK)
        err = read_place_of_log(job, db, &header);
    if (err != OK)
        return err;
    header.step = schema.step;
    snprintf(header.version, sizeof header.version, "%s", PARLEY_VERSION);
    *ret_header = header;
    return OK;
}

static enum err copy_tables(const struct backup_job *job, struct db *db, struct backup_writer *writer, unsigned step) {
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    enum err err = OK;
    for (size_t i = 0; err == OK && i < backup_table_count; i++) {
        struct copying copying = {
            .job = job, .db = db, .writer = writer, .table = &backup_tables[i], .column_count = backup_columns(&backup_tables[i], step)
        };
        if (backup_has_table(copying.table, step))
            err = copy_table(&copying, step, &arena);
    }
    db_close(db); /* which knows the arena's statements */
    arena_release(&arena);
    return err == OK ? backup_problem_of_file(job, backup_put_end(writer)) : err;
}

/* Takes the connection. */
static enum err copy_all(const struct backup_job *job, struct db *db, struct backup_result *ret_result) {
    struct backup_header header;
    struct backup_writer writer = { .rows = BUF_INIT };
    enum err err = read_header(job, db, &header);
    if (err == OK)
        err = backup_problem_of_file(job, backup_writer_open(&writer, job->fd, &header));
    if (err == OK)
        err = copy_tables(job, db, &writer, header.step);
    else
        db_close(db);
    if (err == OK)
        *ret_result = (struct backup_result){ writer.all_rows, writer.bytes, header.head_id, header.created_ms };
    backup_writer_close(&writer);
    return err;
}

/* Whoever takes the backup's bytes may be slow; the server must not give the transaction up meanwhile. */
static enum err be_patient(struct db *db) {
    if (db->driver->dialect != DIALECT_MARIADB)
        return OK;
    return db->driver->execute(db, "SET SESSION idle_readonly_transaction_timeout = 0");
}

enum err backup_write(const struct backup_job *job, struct backup_result *ret_result) {
    struct db *db;
    enum err err = db_open(job->config->db, DB_READER, &db, job->problem, job->problem_size);
    if (err != OK)
        return err;
    err = be_patient(db);
    if (err == OK)
        err = db->driver->begin(db);
    if (err == OK)
        return copy_all(job, db, ret_result);
    err = backup_problem_of_db(job, db, err);
    db_close(db);
    return err;
}

/* ---- Checking ---- */

static enum err check_blocks(const struct backup_job *job, struct backup_reader *reader, uint64_t *ret_rows) {
    struct backup_block block;
    enum err err;
    while ((err = backup_next(reader, &block)) == OK && block.kind != BACKUP_END)
        backup_report(job, "", 0, reader->bytes);
    return err == OK ? backup_read_end(&block, ret_rows) : err;
}

enum err backup_check(const struct backup_job *job, struct backup_result *ret_result) {
    struct backup_reader reader;
    struct backup_header header;
    uint64_t rows = 0;
    enum err err = backup_reader_open(&reader, job->fd, &header);
    if (err == OK)
        err = check_blocks(job, &reader, &rows);
    err = backup_problem_of_file(job, err);
    if (err == OK)
        *ret_result = (struct backup_result){ rows, reader.bytes, header.head_id, header.created_ms };
    backup_reader_close(&reader);
    return err;
}
