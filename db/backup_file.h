/* The file of a backup: blocks, each with a digest that covers all before it, so that what is cut off, changed, or put together of two is noticed before it
 * is used. Knows no database.
 *
 *     "parley backup 1\n"                                       the format; another number is another format
 *     block...                                                  kind, one byte; size of the content, 4 bytes; content; digest, 32 bytes
 *
 * A digest is SHA-256 of the digest before it (of the first line, for the first) and of the block up to there. The blocks are
 *
 *     H   the schema's step, when it was made (milliseconds), the head and the floor of the log, and the version that made it
 *     T   a table: its name; how many columns; of each its kind ('n', 't' or 'b') and name
 *     R   rows of that table, in the order of its key: how many, and each its columns
 *     E   the end: how many rows there were. Nothing follows.
 *
 * Sizes of blocks are big-endian. Other numbers are 7 bits a byte, the lowest first, with the top bit set on all but the last; those of rows are signed, and
 * folded (0, -1, 1, -2 ...) before. Texts and bytes are a length and so many bytes. A column of a row is a byte 0 when it is NULL, or a byte 1 and its value.
 *
 * One thread at a time. */
#pragma once

#include "core/buf.h"
#include "core/crypto.h"
#include "db/backup_tables.h"

enum backup_block_kind {
    BACKUP_HEADER = 'H',
    BACKUP_TABLE = 'T',
    BACKUP_ROWS = 'R',
    BACKUP_END = 'E',
};

#define BACKUP_VERSION_SIZE 64

struct backup_header {
    unsigned step;
    int64_t created_ms;
    uint64_t head_id, floor_id;
    char version[BACKUP_VERSION_SIZE];
};

/* One value of a row. */
struct backup_cell {
    bool is_null;
    uint64_t number;
    const void *bytes; /* borrowed */
    size_t size;
};

/* ---- Writing ---- */

struct backup_writer {
    int fd; /* borrowed */
    uint8_t digest[SHA256_SIZE];
    struct buf rows;   /* of the block that is being filled; owned */
    size_t row_count;  /* in it */
    uint64_t all_rows; /* of the file */
    uint64_t bytes;    /* written */
};

/* Each writes what it puts. ERR_IO: errno says why. */
enum err backup_writer_open(struct backup_writer *writer, int fd, const struct backup_header *header) MUST_USE;
enum err backup_put_table(struct backup_writer *writer, const struct backup_table *table, unsigned step) MUST_USE;
/* A row of the table put last: as many cells as it has columns. */
enum err backup_put_row(struct backup_writer *writer, const struct backup_column *columns, const struct backup_cell *cells,
                        size_t count) MUST_USE;
/* The end of a table's rows. */
enum err backup_end_table(struct backup_writer *writer) MUST_USE;
enum err backup_put_end(struct backup_writer *writer) MUST_USE;
void backup_writer_close(struct backup_writer *writer); /* frees memory only */

/* ---- Reading ---- */

struct backup_reader {
    int fd; /* borrowed */
    uint8_t digest[SHA256_SIZE];
    char *room; /* for the block read last; owned */
    uint64_t bytes;
};

struct backup_block {
    enum backup_block_kind kind;
    const uint8_t *bytes; /* valid until the next */
    size_t size;
};

/* Reads the first line and the header. Errors of all that read: ERR_IO (errno says why), ERR_NO_MEMORY, ERR_BAD_DIGEST (it is damaged or incomplete), and here
 * ERR_BAD_REQUEST: it is no backup, or of another format. */
enum err backup_reader_open(struct backup_reader *reader, int fd, struct backup_header *ret_header) MUST_USE;
/* The next block, which is as it was written. After BACKUP_END it has also seen that nothing follows. */
enum err backup_next(struct backup_reader *reader, struct backup_block *ret_block) MUST_USE;
void backup_reader_close(struct backup_reader *reader); /* frees memory only */

/* True when the block is the one that backup_put_table() writes. */
bool backup_is_table(const struct backup_block *block, const struct backup_table *table, unsigned step);
/* The number of rows of the file that a BACKUP_END has. */
enum err backup_read_end(const struct backup_block *block, uint64_t *ret_rows) MUST_USE;

/* The rows of a BACKUP_ROWS. */
struct backup_rows {
    struct backup_cell *cells; /* row by row; owned. What they borrow is the block's */
    size_t count;
};

enum err backup_read_rows(const struct backup_block *block, const struct backup_column *columns, size_t column_count,
                          struct backup_rows *ret_rows) MUST_USE;
void backup_rows_release(struct backup_rows *rows);
