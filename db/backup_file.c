/* See backup_file.h. */
#include "db/backup_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/limits.h"

#define FIRST_LINE "parley backup 1\n"
#define FIRST_LINE_SIZE (sizeof FIRST_LINE - 1)
#define START_SIZE 5 /* of a block: kind and size */

static_assert(LIMIT_BACKUP_BLOCK_BYTES_MAX >= LIMIT_BACKUP_BLOCK_BYTES + 2 * LIMIT_MESSAGE_BODY_BYTES,
              "a block has room for a long row at its end");

/* ---- Numbers and texts ---- */

static void put_number(struct buf *buf, uint64_t number) {
    for (; number >= 0x80; number >>= 7)
        buf_char(buf, (char)(number | 0x80));
    buf_char(buf, (char)number);
}

static void put_bytes(struct buf *buf, const void *bytes, size_t size) {
    put_number(buf, size);
    buf_append(buf, bytes ? bytes : "", size);
}

/* The sign goes to the lowest bit, so that small numbers are short, whatever their sign. */
static uint64_t fold(uint64_t number) { return number << 1 ^ (number >> 63 ? UINT64_MAX : 0); }

static uint64_t unfold(uint64_t folded) { return folded >> 1 ^ (folded & 1 ? UINT64_MAX : 0); }

/* What is left of a block. Once something does not fit, all is refused. */
struct cursor {
    const uint8_t *at, *end;
    bool failed;
};

static uint8_t take_byte(struct cursor *cursor) {
    if (cursor->at == cursor->end) {
        cursor->failed = true;
        return 0;
    }
    return *cursor->at++;
}

static uint64_t take_number(struct cursor *cursor) {
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = take_byte(cursor);
        uint64_t bits = byte & 0x7f;
        if (shift == 63 && bits > 1)
            break;
        number |= bits << shift;
        if (byte < 0x80)
            return number;
    }
    cursor->failed = true;
    return 0;
}

static const void *take_bytes(struct cursor *cursor, size_t *ret_size) {
    uint64_t size = take_number(cursor);
    const uint8_t *bytes = cursor->at;
    if (cursor->failed || size > (uint64_t)(cursor->end - cursor->at)) {
        cursor->failed = true;
        size = 0;
    }
    cursor->at += size;
    *ret_size = (size_t)size;
    return bytes;
}

static struct cursor cursor_of(const struct backup_block *block) {
    return (struct cursor){ .at = block->bytes, .end = block->bytes + block->size };
}

static bool is_at_end(const struct cursor *cursor) { return !cursor->failed && cursor->at == cursor->end; }

/* ---- Blocks ---- */

static void put_start(enum backup_block_kind kind, size_t size, uint8_t out[START_SIZE]) {
    out[0] = (uint8_t)kind;
    for (int i = 1; i < START_SIZE; i++)
        out[i] = (uint8_t)(size >> 8 * (START_SIZE - 1 - i));
}

static size_t size_of(const uint8_t start[START_SIZE]) {
    size_t size = 0;
    for (int i = 1; i < START_SIZE; i++)
        size = size << 8 | start[i];
    return size;
}

/* The digest goes on over one more block. */
static void add_to_digest(uint8_t digest[SHA256_SIZE], const uint8_t start[START_SIZE], const void *bytes, size_t size) {
    const struct slice slices[] = { { digest, SHA256_SIZE }, { start, START_SIZE }, { bytes, size } };
    uint8_t next[SHA256_SIZE];
    sha256(slices, 3, next);
    memcpy(digest, next, SHA256_SIZE);
}

static void begin_digest(uint8_t digest[SHA256_SIZE]) { sha256(&(struct slice){ FIRST_LINE, FIRST_LINE_SIZE }, 1, digest); }

/* ---- Writing ---- */

static enum err write_all(struct backup_writer *writer, const void *bytes, size_t size) {
    const char *at = bytes;
    writer->bytes += size;
    while (size > 0) {
        ssize_t written = write(writer->fd, at, size);
        if (written < 0 && errno != EINTR)
            return ERR_IO;
        at += written < 0 ? 0 : written;
        size -= written < 0 ? 0 : (size_t)written;
    }
    return OK;
}

static enum err put_block(struct backup_writer *writer, enum backup_block_kind kind, const struct buf *content) {
    uint8_t start[START_SIZE];
    if (!buf_ok(content))
        return ERR_NO_MEMORY;
    put_start(kind, content->size, start);
    add_to_digest(writer->digest, start, content->bytes, content->size);
    enum err err = write_all(writer, start, sizeof start);
    if (err == OK)
        err = write_all(writer, content->bytes, content->size);
    return err == OK ? write_all(writer, writer->digest, sizeof writer->digest) : err;
}

static enum err put_small_block(struct backup_writer *writer, enum backup_block_kind kind, struct buf *content) {
    enum err err = put_block(writer, kind, content);
    buf_release(content);
    return err;
}

enum err backup_writer_open(struct backup_writer *writer, int fd, const struct backup_header *header) {
    struct buf content = BUF_INIT;
    *writer = (struct backup_writer){ .fd = fd, .rows = BUF_INIT };
    begin_digest(writer->digest);
    put_number(&content, header->step);
    put_number(&content, (uint64_t)header->created_ms);
    put_number(&content, header->head_id);
    put_number(&content, header->floor_id);
    put_bytes(&content, header->version, strlen(header->version));
    enum err err = write_all(writer, FIRST_LINE, FIRST_LINE_SIZE);
    if (err == OK)
        return put_small_block(writer, BACKUP_HEADER, &content);
    buf_release(&content);
    return err;
}

static char letter_of(enum cell_kind kind) {
    switch (kind) {
    case CELL_NUMBER:
        return 'n';
    case CELL_TEXT:
        return 't';
    case CELL_BYTES:
        break;
    }
    return 'b';
}

static void describe_table(struct buf *content, const struct backup_table *table, unsigned step) {
    size_t columns = backup_columns(table, step);
    put_bytes(content, table->name, strlen(table->name));
    put_number(content, columns);
    for (size_t i = 0; i < columns; i++) {
        buf_char(content, letter_of(table->columns[i].kind));
        put_bytes(content, table->columns[i].name, strlen(table->columns[i].name));
    }
}

enum err backup_put_table(struct backup_writer *writer, const struct backup_table *table, unsigned step) {
    struct buf content = BUF_INIT;
    describe_table(&content, table, step);
    return put_small_block(writer, BACKUP_TABLE, &content);
}

static void put_cell(struct buf *rows, enum cell_kind kind, const struct backup_cell *cell) {
    buf_char(rows, cell->is_null ? 0 : 1);
    if (cell->is_null)
        return;
    if (kind == CELL_NUMBER)
        put_number(rows, fold(cell->number));
    else
        put_bytes(rows, cell->bytes, cell->size);
}

/* The number of rows comes first, and is known last. */
static enum err put_rows(struct backup_writer *writer) {
    struct buf content = BUF_INIT;
    if (writer->row_count == 0)
        return OK;
    put_number(&content, writer->row_count);
    buf_append(&content, writer->rows.bytes, writer->rows.size);
    enum err err = buf_ok(&writer->rows) ? put_small_block(writer, BACKUP_ROWS, &content) : ERR_NO_MEMORY;
    buf_release(&content);
    buf_clear(&writer->rows);
    writer->row_count = 0;
    return err;
}

enum err backup_put_row(struct backup_writer *writer, const struct backup_column *columns, const struct backup_cell *cells, size_t count) {
    for (size_t i = 0; i < count; i++)
        put_cell(&writer->rows, columns[i].kind, &cells[i]);
    writer->row_count++;
    writer->all_rows++;
    bool is_full = writer->rows.size >= LIMIT_BACKUP_BLOCK_BYTES || writer->row_count == LIMIT_BACKUP_BLOCK_ROWS;
    if (is_full)
        return put_rows(writer);
    return buf_ok(&writer->rows) ? OK : ERR_NO_MEMORY;
}

enum err backup_end_table(struct backup_writer *writer) { return put_rows(writer); }

enum err backup_put_end(struct backup_writer *writer) {
    struct buf content = BUF_INIT;
    put_number(&content, writer->all_rows);
    return put_small_block(writer, BACKUP_END, &content);
}

void backup_writer_close(struct backup_writer *writer) { buf_release(&writer->rows); }

/* ---- Reading ---- */

/* As many as there are, up to `size`. */
static enum err read_some(struct backup_reader *reader, void *out, size_t size, size_t *ret_size) {
    char *at = out;
    size_t got = 0;
    while (got < size) {
        ssize_t count = read(reader->fd, at + got, size - got);
        if (count < 0 && errno != EINTR)
            return ERR_IO;
        if (count == 0)
            break;
        got += count < 0 ? 0 : (size_t)count;
    }
    reader->bytes += got;
    *ret_size = got;
    return OK;
}

static enum err read_all(struct backup_reader *reader, void *out, size_t size) {
    size_t got = 0;
    enum err err = read_some(reader, out, size, &got);
    return err == OK && got < size ? ERR_BAD_DIGEST : err;
}

static enum err check_digest(struct backup_reader *reader, const uint8_t start[START_SIZE], size_t size) {
    add_to_digest(reader->digest, start, reader->room, size);
    return memcmp(reader->digest, reader->room + size, SHA256_SIZE) == 0 ? OK : ERR_BAD_DIGEST;
}

static enum err check_nothing_follows(struct backup_reader *reader) {
    char byte;
    size_t got = 0;
    enum err err = read_some(reader, &byte, 1, &got);
    return err == OK && got > 0 ? ERR_BAD_DIGEST : err;
}

static bool is_kind(uint8_t byte) { return byte == BACKUP_HEADER || byte == BACKUP_TABLE || byte == BACKUP_ROWS || byte == BACKUP_END; }

enum err backup_next(struct backup_reader *reader, struct backup_block *ret_block) {
    uint8_t start[START_SIZE];
    enum err err = read_all(reader, start, sizeof start);
    size_t size = err == OK ? size_of(start) : 0;
    if (err == OK && size > LIMIT_BACKUP_BLOCK_BYTES_MAX)
        err = ERR_BAD_DIGEST;
    if (err == OK)
        err = read_all(reader, reader->room, size + SHA256_SIZE);
    if (err == OK)
        err = check_digest(reader, start, size);
    if (err == OK && !is_kind(start[0]))
        err = ERR_BAD_DIGEST;
    if (err == OK && start[0] == BACKUP_END)
        err = check_nothing_follows(reader);
    if (err == OK)
        *ret_block = (struct backup_block){ (enum backup_block_kind)start[0], (const uint8_t *)reader->room, size };
    return err;
}

static enum err read_first_line(struct backup_reader *reader) {
    char line[FIRST_LINE_SIZE];
    size_t got = 0;
    enum err err = read_some(reader, line, sizeof line, &got);
    if (err != OK)
        return err;
    return got == sizeof line && memcmp(line, FIRST_LINE, sizeof line) == 0 ? OK : ERR_BAD_REQUEST;
}

static enum err read_header(const struct backup_block *block, struct backup_header *ret_header) {
    struct cursor cursor = cursor_of(block);
    struct backup_header header = { .step = (unsigned)take_number(&cursor), .created_ms = (int64_t)take_number(&cursor) };
    header.head_id = take_number(&cursor);
    header.floor_id = take_number(&cursor);
    size_t size = 0;
    const void *version = take_bytes(&cursor, &size);
    if (block->kind != BACKUP_HEADER || !is_at_end(&cursor) || size >= sizeof header.version)
        return ERR_BAD_DIGEST;
    memcpy(header.version, version, size);
    *ret_header = header;
    return OK;
}

enum err backup_reader_open(struct backup_reader *reader, int fd, struct backup_header *ret_header) {
    struct backup_block block;
    *reader = (struct backup_reader){ .fd = fd, .room = malloc(LIMIT_BACKUP_BLOCK_BYTES_MAX + SHA256_SIZE) };
    if (!reader->room)
        return ERR_NO_MEMORY;
    begin_digest(reader->digest);
    enum err err = read_first_line(reader);
    if (err == OK)
        err = backup_next(reader, &block);
    return err == OK ? read_header(&block, ret_header) : err;
}

void backup_reader_close(struct backup_reader *reader) {
    free(reader->room);
    reader->room = NULL;
}

bool backup_is_table(const struct backup_block *block, const struct backup_table *table, unsigned step) {
    struct buf expected = BUF_INIT;
    describe_table(&expected, table, step);
    bool is_same = buf_ok(&expected) && block->kind == BACKUP_TABLE && block->size == expected.size &&
                   memcmp(block->bytes, expected.bytes, expected.size) == 0;
    buf_release(&expected);
    return is_same;
}

enum err backup_read_end(const struct backup_block *block, uint64_t *ret_rows) {
    struct cursor cursor = cursor_of(block);
    uint64_t rows = take_number(&cursor);
    if (block->kind != BACKUP_END || !is_at_end(&cursor))
        return ERR_BAD_DIGEST;
    *ret_rows = rows;
    return OK;
}

static struct backup_cell take_cell(struct cursor *cursor, enum cell_kind kind) {
    struct backup_cell cell = { .is_null = false };
    uint8_t mark = take_byte(cursor);
    cell.is_null = mark == 0;
    cursor->failed = cursor->failed || mark > 1;
    if (!cell.is_null && kind == CELL_NUMBER)
        cell.number = unfold(take_number(cursor));
    else if (!cell.is_null)
        cell.bytes = take_bytes(cursor, &cell.size);
    return cell;
}

enum err backup_read_rows(const struct backup_block *block, const struct backup_column *columns, size_t column_count,
                          struct backup_rows *ret_rows) {
    struct cursor cursor = cursor_of(block);
    uint64_t count = take_number(&cursor);
    if (block->kind != BACKUP_ROWS || cursor.failed || count == 0 || count > LIMIT_BACKUP_BLOCK_ROWS)
        return ERR_BAD_DIGEST;
    struct backup_rows rows = { .cells = malloc((size_t)count * column_count * sizeof *rows.cells), .count = (size_t)count };
    if (!rows.cells)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < rows.count * column_count; i++)
        rows.cells[i] = take_cell(&cursor, columns[i % column_count].kind);
    if (!is_at_end(&cursor)) {
        backup_rows_release(&rows);
        return ERR_BAD_DIGEST;
    }
    *ret_rows = rows;
    return OK;
}

void backup_rows_release(struct backup_rows *rows) {
    free(rows->cells);
    *rows = (struct backup_rows){ .cells = NULL };
}
