/* Restoring a backup. See backup.h.
 *
 * Rows are written a block at a time, each in a transaction of its own: one transaction for all would be the database's size in its undo log, and what comes
 * through a pipe may take its time. Until the last one, which also brings the secret and the place of the log, the database is noted as being restored
 * (db/migrations.h), and nobody can open it. Where the database is a file, that happens beside its place, and the rename at the end makes it the database. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/random.h"
#include "db/backup_internal.h"
#include "db/migrations.h"
#include "db/rows.h"
#include "db/store_internal.h"

#define ARENA_BYTES (256 * 1024)
#define LAST_TABLE "meta"
#define ALONE_PATIENCE_MS 2000
#define ALONE_PAUSE_MS 50
#define TRUNCATE_PAUSE_MS 10 /* while the bulk of the write-ahead log is being moved */
/* The log goes on so many positions further, or up to twice as many: more than can have been given since the backup was made. */
#define JUMP_POSITIONS (UINT64_C(1) << 31)

struct restore {
    const struct backup_job *job;
    struct backup_reader reader;
    struct backup_header header;
    struct db *db;      /* what rows are written to */
    struct arena arena; /* its statements */
    size_t table_index; /* of the table at hand; backup_table_count before the first */
    const struct query *insert;
    uint64_t rows;
    struct backup_block last; /* of the last table: its rows are written at the very end. Its bytes are owned; NULL: none yet */
    uint64_t new_head_id;
};

static const struct backup_table *table_at_hand(const struct restore *restore) {
    return restore->table_index < backup_table_count ? &backup_tables[restore->table_index] : NULL;
}

/* ---- Rows ---- */

struct insertion {
    struct db *db;
    const struct backup_table *table;
    size_t column_count;
    struct backup_rows rows;
};

static void bind_row(struct statement *statement, const void *context, size_t index) {
    const struct insertion *insertion = context;
    const struct backup_cell *cells = &insertion->rows.cells[index * insertion->column_count];
    for (size_t i = 0; i < insertion->column_count; i++)
        backup_bind(insertion->db, statement, (int)i + 1, insertion->table->columns[i].kind, &cells[i]);
}

/* Within a transaction. */
static enum err insert_rows(struct restore *restore, const struct backup_block *block) {
    const struct backup_table *table = table_at_hand(restore);
    struct insertion insertion = { .db = restore->db, .table = table, .column_count = backup_columns(table, restore->header.step) };
    enum err err = backup_read_rows(block, table->columns, insertion.column_count, &insertion.rows);
    if (err != OK)
        return backup_problem_of_file(restore->job, err);
    err = restore->db->driver->write_rows(restore->db, restore->insert, &insertion, insertion.rows.count, bind_row);
    restore->rows += insertion.rows.count;
    backup_rows_release(&insertion.rows);
    return backup_problem_of_db(restore->job, restore->db, err);
}

static enum err commit_rows(struct restore *restore, const struct backup_block *block) {
    struct db *db = restore->db;
    enum err err = backup_problem_of_db(restore->job, db, db->driver->begin(db));
    if (err == OK)
        err = insert_rows(restore, block);
    if (err == OK)
        err = backup_problem_of_db(restore->job, db, db->driver->commit(db));
    if (err == OK && db->driver->checkpoint)
        err = backup_problem_of_db(restore->job, db, db->driver->checkpoint(db, CHECKPOINT_LARGE));
    if (err != OK)
        db->driver->rollback(db);
    return err;
}

/* ---- Blocks ---- */

static enum err damaged(const struct restore *restore) { return backup_problem_of_file(restore->job, ERR_BAD_DIGEST); }

/* The table that must be next; backup_table_count: there is none. */
static size_t next_table(const struct restore *restore) {
    size_t index = restore->table_index == backup_table_count ? 0 : restore->table_index + 1;
    while (index < backup_table_count && !backup_has_table(&backup_tables[index], restore->header.step))
        index++;
    return index;
}

static enum err begin_table(struct restore *restore, const struct backup_block *block) {
    size_t index = next_table(restore);
    if (index == backup_table_count || !backup_is_table(block, &backup_tables[index], restore->header.step))
        return damaged(restore);
    restore->table_index = index;
    restore->insert = backup_insert_make(&backup_tables[index], restore->header.step, &restore->arena);
    return restore->insert ? OK : backup_problem_of_file(restore->job, ERR_NO_MEMORY);
}

/* There are few: they fit into one block. */
static enum err keep_last(struct restore *restore, const struct backup_block *block) {
    void *copy = restore->last.bytes ? NULL : malloc(block->size + 1);
    if (restore->last.bytes)
        return damaged(restore);
    if (!copy)
        return backup_problem_of_file(restore->job, ERR_NO_MEMORY);
    memcpy(copy, block->bytes, block->size);
    restore->last = (struct backup_block){ block->kind, copy, block->size };
    return OK;
}

static enum err take_rows(struct restore *restore, const struct backup_block *block) {
    const struct backup_table *table = table_at_hand(restore);
    if (!table)
        return damaged(restore);
    if (strcmp(table->name, LAST_TABLE) == 0)
        return keep_last(restore, block);
    enum err err = commit_rows(restore, block);
    backup_report(restore->job, table->name, restore->rows, restore->reader.bytes);
    return err;
}

static enum err take_block(struct restore *restore, const struct backup_block *block) {
    switch (block->kind) {
    case BACKUP_TABLE:
        return begin_table(restore, block);
    case BACKUP_ROWS:
        return take_rows(restore, block);
    case BACKUP_HEADER:
    case BACKUP_END:
        break;
    }
    return damaged(restore);
}

/* Everything but the last table's rows. `ret_rows`: how many there must be in all. */
static enum err take_blocks(struct restore *restore, uint64_t *ret_rows) {
    struct backup_block block;
    enum err err = backup_problem_of_file(restore->job, backup_next(&restore->reader, &block));
    while (err == OK && block.kind != BACKUP_END) {
        err = take_block(restore, &block);
        if (err == OK)
            err = backup_problem_of_file(restore->job, backup_next(&restore->reader, &block));
    }
    if (err != OK)
        return err;
    bool is_whole = next_table(restore) == backup_table_count && restore->table_index < backup_table_count && restore->last.bytes;
    err = is_whole ? backup_read_end(&block, ret_rows) : ERR_BAD_DIGEST;
    return backup_problem_of_file(restore->job, err);
}

/* ---- The last transaction ---- */

static const struct query forget_seeds = { "DELETE FROM meta" };
static const struct query note_place = { "INSERT INTO meta(name, number, bytes) VALUES(?1, ?2, ?3)" };

static enum err put_place(struct db *db, const char *name, uint64_t id, const uint8_t *tag) {
    struct statement *statement = db_query(db, &note_place);
    db->driver->bind_text(statement, 1, name, strlen(name));
    db->driver->bind_id(statement, 2, id);
    db->driver->bind_blob(statement, 3, tag, tag ? COMMIT_TAG_SIZE : 0);
    return db_run(db, statement);
}

/* Where the log goes on. The head's tag is nobody's: no writer takes it for what it left. */
static enum err put_log(struct restore *restore) {
    uint8_t tag[COMMIT_TAG_SIZE];
    uint64_t position = log_position(restore->header.head_id) + JUMP_POSITIONS + random_below(JUMP_POSITIONS);
    random_bytes(tag, sizeof tag);
    restore->new_head_id = log_id(position, (uint16_t)random_u64());
    enum err err = put_place(restore->db, "floor", restore->new_head_id, NULL);
    return err == OK ? put_place(restore->db, "head", restore->new_head_id, tag) : err;
}

static enum err check_count(const struct restore *restore, uint64_t rows) {
    return restore->rows == rows ? OK : backup_problem_of_file(restore->job, ERR_BAD_DIGEST);
}

static enum err write_last(struct restore *restore, uint64_t rows) {
    struct db *db = restore->db;
    enum err err = db->driver->begin(db);
    if (err == OK)
        err = db_run(db, db_query(db, &forget_seeds));
    err = backup_problem_of_db(restore->job, db, err);
    if (err == OK)
        err = insert_rows(restore, &restore->last);
    if (err == OK)
        err = check_count(restore, rows);
    if (err != OK)
        return err;
    err = put_log(restore);
    if (err == OK)
        err = schema_end_restore(db);
    if (err == OK)
        err = db->driver->commit(db);
    return backup_problem_of_db(restore->job, db, err);
}

/* The answer to the commit got lost: whether the note is gone tells what became of it. */
static enum err settle(struct restore *restore, enum err unknown) {
    struct schema schema = { .is_restoring = true };
    enum err err = schema_look(restore->db, &schema, restore->job->problem, restore->job->problem_size);
    if (err != OK)
        return err;
    return schema.is_restoring ? unknown : OK;
}

static enum err finish(struct restore *restore, uint64_t rows) {
    enum err err = schema_finish_steps(restore->db, restore->job->problem, restore->job->problem_size);
    if (err != OK)
        return err;
    err = write_last(restore, rows);
    if (err == OK)
        return OK;
    restore->db->driver->rollback(restore->db);
    return err == ERR_DATABASE_UNKNOWN ? settle(restore, err) : err;
}

/* ---- Into an empty database ---- */

/* Its connection is closed before its statements go. */
static void leave(struct restore *restore) {
    db_close(restore->db);
    restore->db = NULL;
    arena_release(&restore->arena);
}

static enum err load(struct restore *restore) {
    uint64_t rows = 0;
    enum err err = schema_begin_restore(restore->db, restore->header.step, restore->job->problem, restore->job->problem_size);
    if (err == OK)
        err = take_blocks(restore, &rows);
    return err == OK ? finish(restore, rows) : err;
}

static enum err refuse(const struct backup_job *job, const char *reason) {
    snprintf(job->problem, job->problem_size, "PARLEY_DB: %s; a backup is restored into an empty database only", reason);
    return ERR_CONFLICT;
}

/* Untouched when there is no row. */
static enum err read_number(struct db *db, const struct query *query, uint64_t *ret_number) {
    enum err err = OK;
    struct statement *statement = db_query(db, query);
    for (bool row; rows_next(db, statement, &err, &row);)
        *ret_number = db->driver->column_id(statement, 0);
    return err;
}

/* Tables, and of these the one of the steps. Only each database itself can tell. */
static const struct query count_tables[] = {
    [DIALECT_SQLITE] = { "SELECT count(*) FROM sqlite_schema WHERE type = 'table'" },
    [DIALECT_MARIADB] = { "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()" },
};
static const struct query count_step_tables[] = {
    [DIALECT_SQLITE] = { "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migration'" },
    [DIALECT_MARIADB] = { "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = 'migration'" },
};

static enum err check_rows(const struct backup_job *job, struct db *db, unsigned step, struct arena *arena) {
    uint64_t found = 0;
    enum err err = OK;
    for (size_t i = 0; err == OK && found == 0 && i < backup_table_count; i++) {
        const struct backup_table *table = &backup_tables[i];
        if (!backup_has_table(table, step) || strcmp(table->name, LAST_TABLE) == 0) /* which has seeds from the start */
            continue;
        const struct query *probe = backup_probe_make(table, arena);
        err = probe ? read_number(db, probe, &found) : ERR_NO_MEMORY;
    }
    if (err != OK)
        return backup_problem_of_db(job, db, err);
    return found == 0 ? OK : refuse(job, "it is in use: it has users, chats or messages");
}

/* What an interrupted restore has left counts as nothing. Tables without any step are another program's. */
static enum err check_tables(const struct backup_job *job, struct db *db, uint64_t others, struct arena *arena) {
    struct schema schema = { .step = 0 };
    enum err err = schema_look(db, &schema, job->problem, job->problem_size);
    if (err != OK || schema.is_restoring)
        return err;
    if (schema.step == 0 && others > 0)
        return refuse(job, "it has tables of something else");
    return check_rows(job, db, schema.step, arena);
}

static enum err check_empty(const struct backup_job *job, struct db *db, struct arena *arena) {
    uint64_t tables = 0, step_tables = 0;
    enum err err = read_number(db, &count_tables[db->driver->dialect], &tables);
    if (err == OK)
        err = read_number(db, &count_step_tables[db->driver->dialect], &step_tables);
    if (err != OK)
        return backup_problem_of_db(job, db, err);
    if (step_tables > 0)
        return check_tables(job, db, tables - step_tables, arena);
    return tables == 0 ? OK : refuse(job, "it has tables of something else");
}

/* ---- A server of databases ---- */

/* By name, in an order that needs none. */
static enum err drop_tables(struct db *db) {
    struct buf sql = BUF_INIT;
    buf_string(&sql, "DROP TABLE IF EXISTS ");
    for (size_t i = 0; i < backup_table_count; i++)
        buf_printf(&sql, "%s\"%s\"", i == 0 ? "" : ", ", backup_tables[i].name);
    enum err err = buf_ok(&sql) ? db->driver->execute(db, sql.bytes) : ERR_NO_MEMORY;
    buf_release(&sql);
    return err;
}

/* Those of this user are seen without any privilege. */
static const struct query count_others = { "SELECT count(*) FROM information_schema.processlist WHERE db = database()"
                                           " AND id <> connection_id()" };

/* The server notices the end of a connection a moment later. */
static enum err check_alone(const struct backup_job *job, struct db *db) {
    int64_t end_ms = clock_monotonic_ms() + ALONE_PATIENCE_MS;
    uint64_t others = 0;
    enum err err = read_number(db, &count_others, &others);
    while (err == OK && others > 0 && clock_monotonic_ms() < end_ms) {
        clock_sleep_ms(ALONE_PAUSE_MS);
        err = read_number(db, &count_others, &others);
    }
    if (err != OK)
        return backup_problem_of_db(job, db, err);
    if (others == 0)
        return OK;
    snprintf(job->problem, job->problem_size, "PARLEY_DB: others are connected to it (%" PRIu64 "): stop all servers first", others);
    return ERR_CONFLICT;
}

/* Takes the turn of those that migrate, and empties what is empty but for tables. */
static enum err clear_shared(struct restore *restore) {
    const struct backup_job *job = restore->job;
    enum err err = check_alone(job, restore->db);
    if (err == OK)
        err = schema_take_turn(restore->db, job->problem, job->problem_size);
    if (err == OK)
        err = check_empty(job, restore->db, &restore->arena);
    return err == OK ? backup_problem_of_db(job, restore->db, drop_tables(restore->db)) : err;
}

static enum err restore_shared(struct restore *restore) {
    const struct backup_job *job = restore->job;
    enum err err = db_open(job->config->db, DB_WRITER, &restore->db, job->problem, job->problem_size);
    if (err == OK)
        err = clear_shared(restore);
    if (err == OK) {
        err = load(restore);
        if (err != OK) /* when even this fails, the note that it is being restored stays */
            (void)drop_tables(restore->db);
    }
    leave(restore);
    return err;
}

/* ---- A file ---- */

struct file_place {
    char path[4096];     /* of the database */
    char new_path[4096]; /* beside it */
    char new_url[4112];
};

static enum err find_place(const struct backup_job *job, struct file_place *ret_place) {
    const char *path = strchr(job->config->db, ':') + 1;
    int size = snprintf(ret_place->path, sizeof ret_place->path, "%s", path);
    int new_size = snprintf(ret_place->new_path, sizeof ret_place->new_path, "%s.restoring", path);
    snprintf(ret_place->new_url, sizeof ret_place->new_url, "sqlite:%s", ret_place->new_path);
    if (size >= 0 && new_size > size && (size_t)new_size < sizeof ret_place->new_path)
        return OK;
    snprintf(job->problem, job->problem_size, "PARLEY_DB: the path is too long");
    return ERR_CONFIG;
}

/* A database and the files that SQLite keeps beside it; those of one that is gone would be taken for the new one's. */
static void remove_files(const char *path, bool with_database) {
    static const char *const endings[] = { "-wal", "-shm", "" };
    char name[4104];
    for (size_t i = 0; i < (with_database ? 3 : 2); i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        (void)unlink(name);
    }
}

static enum err check_file(const struct backup_job *job, const struct file_place *place) {
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct db *db;
    if (access(place->path, F_OK) != 0)
        return OK;
    enum err err = db_open(job->config->db, DB_READER, &db, job->problem, job->problem_size);
    if (err != OK)
        return err;
    err = check_empty(job, db, &arena);
    db_close(db);
    arena_release(&arena);
    return err;
}

static enum err sync_folder(const char *path) {
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    int result = fsync(fd);
    close(fd);
    return result == 0 ? OK : ERR_IO;
}

static enum err move_into_place(const struct backup_job *job, const struct file_place *place) {
    remove_files(place->path, false);
    enum err err = rename(place->new_path, place->path) == 0 ? sync_folder(place->path) : ERR_IO;
    if (err != OK)
        snprintf(job->problem, job->problem_size, "PARLEY_DB: %s: %s", place->path, strerror(errno));
    return err;
}

/* Its bulk is moved by the driver in some steps. */
static enum err truncate_log(struct db *db) {
    enum err err = db->driver->checkpoint(db, CHECKPOINT_TRUNCATE);
    while (err == ERR_DATABASE_BUSY) {
        clock_sleep_ms(TRUNCATE_PAUSE_MS);
        err = db->driver->checkpoint(db, CHECKPOINT_TRUNCATE);
    }
    return err;
}

static enum err load_file(struct restore *restore, const struct file_place *place) {
    const struct backup_job *job = restore->job;
    remove_files(place->new_path, true);
    enum err err = db_open(place->new_url, DB_WRITER, &restore->db, job->problem, job->problem_size);
    if (err == OK)
        err = load(restore);
    if (err == OK)
        err = backup_problem_of_db(job, restore->db, truncate_log(restore->db));
    leave(restore);
    if (err == OK)
        err = move_into_place(job, place);
    if (err != OK)
        remove_files(place->new_path, true);
    return err;
}

static enum err restore_file(struct restore *restore) {
    const struct backup_job *job = restore->job;
    struct file_place place = { .path = "" };
    int lock_fd = -1;
    enum err err = find_place(job, &place);
    if (err == OK)
        err = store_lock(job->config, &lock_fd, job->problem, job->problem_size);
    if (err == OK)
        err = check_file(job, &place);
    if (err == OK)
        err = load_file(restore, &place);
    if (lock_fd >= 0)
        close(lock_fd);
    return err;
}

/* ---- Both ---- */

static enum err check_header(const struct restore *restore) {
    const struct backup_header *header = &restore->header;
    if (header->step >= 1 && header->step <= schema_newest())
        return OK;
    snprintf(restore->job->problem, restore->job->problem_size,
             "the backup was made by a newer parley, %s (schema step %u, this one knows %u)", header->version, header->step,
             schema_newest());
    return ERR_CONFIG;
}

static enum err restore_anywhere(struct restore *restore) {
    const struct backup_job *job = restore->job;
    const struct db_driver *driver = db_driver_of(job->config->db);
    if (driver)
        return driver->is_shared ? restore_shared(restore) : restore_file(restore);
    return db_open(job->config->db, DB_WRITER, &restore->db, job->problem, job->problem_size); /* which says so */
}

enum err backup_restore(const struct backup_job *job, struct backup_result *ret_result) {
    struct restore restore = { .job = job, .arena = ARENA_INIT(ARENA_BYTES), .table_index = backup_table_count };
    enum err err = backup_problem_of_file(job, backup_reader_open(&restore.reader, job->fd, &restore.header));
    if (err == OK)
        err = check_header(&restore);
    if (err == OK)
        err = restore_anywhere(&restore);
    if (err == OK)
        *ret_result = (struct backup_result){ restore.rows, restore.reader.bytes, restore.new_head_id, restore.header.created_ms };
    free((void *)(uintptr_t)restore.last.bytes);
    backup_reader_close(&restore.reader);
    return err;
}
