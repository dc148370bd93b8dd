/* Backups: the rows of a block, as whoever made the file may have put them together. What is read at all must come back from a file of it. The first byte of
 * the input chooses the table. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/limits.h"
#include "db/backup_file.h"
#include "db/migrations.h"
#include "tests/fuzz/fuzz.h"

static bool is_same_cell(enum cell_kind kind, const struct backup_cell *one, const struct backup_cell *other) {
    if (one->is_null || other->is_null)
        return one->is_null && other->is_null;
    if (kind == CELL_NUMBER)
        return one->number == other->number;
    return one->size == other->size && memcmp(one->bytes, other->bytes, one->size) == 0;
}

static void write_file(int fd, const struct backup_table *table, const struct backup_rows *rows) {
    struct backup_writer writer;
    const struct backup_header header = { .step = schema_newest() };
    size_t columns = backup_columns(table, header.step);
    MUST(backup_writer_open(&writer, fd, &header) == OK);
    for (size_t i = 0; i < rows->count; i++)
        MUST(backup_put_row(&writer, table->columns, &rows->cells[i * columns], columns) == OK);
    MUST(backup_end_table(&writer) == OK);
    MUST(backup_put_end(&writer) == OK);
    backup_writer_close(&writer);
}

static void compare_rows(const struct backup_block *block, const struct backup_table *table, const struct backup_rows *expected) {
    struct backup_rows rows;
    size_t columns = backup_columns(table, schema_newest());
    MUST(backup_read_rows(block, table->columns, columns, &rows) == OK);
    MUST(rows.count == expected->count);
    for (size_t i = 0; i < rows.count * columns; i++)
        MUST(is_same_cell(table->columns[i % columns].kind, &rows.cells[i], &expected->cells[i]));
    backup_rows_release(&rows);
}

static void check_again(const struct backup_table *table, const struct backup_rows *rows) {
    struct backup_reader reader;
    struct backup_header header;
    struct backup_block block;
    uint64_t count = 0;
    int fd = memfd_create("backup", MFD_CLOEXEC);
    MUST(fd >= 0);
    write_file(fd, table, rows);
    MUST(lseek(fd, 0, SEEK_SET) == 0);
    MUST(backup_reader_open(&reader, fd, &header) == OK && header.step == schema_newest());
    MUST(backup_next(&reader, &block) == OK);
    compare_rows(&block, table, rows);
    MUST(backup_next(&reader, &block) == OK && backup_read_end(&block, &count) == OK && count == rows->count);
    backup_reader_close(&reader);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct backup_rows rows;
    uint64_t count;
    if (size == 0)
        return 0;
    const struct backup_table *table = &backup_tables[input[0] % backup_table_count];
    struct backup_block block = { .kind = BACKUP_ROWS, .bytes = input + 1, .size = size - 1 };
    if (backup_read_rows(&block, table->columns, backup_columns(table, schema_newest()), &rows) == OK) {
        if (size < LIMIT_BACKUP_BLOCK_BYTES / 2)
            check_again(table, &rows);
        backup_rows_release(&rows);
    }
    block.kind = BACKUP_TABLE;
    (void)backup_is_table(&block, table, schema_newest());
    block.kind = BACKUP_END;
    if (backup_read_end(&block, &count) == OK)
        MUST(size > 1);
    return 0;
}
