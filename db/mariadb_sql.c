/* See mariadb_sql.h. */
#include "db/mariadb_sql.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

/* The dialect: what the placeholders of db/driver.h become. An id that is no number, and a name that is too long, are NULL. */
static const struct {
    const char *name;
    const char *sql;
} placeholders[] = {
    { "{ids}", "JSON_TABLE(?1, '$[*]' COLUMNS(id BIGINT PATH '$'))" },
    { "{names}", "JSON_TABLE(?1, '$[*]' COLUMNS(id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$'))" },
    { "{pairs}", "JSON_TABLE(?1, '$[*]' COLUMNS(a BIGINT PATH '$[0]', b BIGINT PATH '$[1]'))" },
    { "{straight}", "STRAIGHT_JOIN" },
    { "{by_owner}", "event" },
};

static enum err translate(const char *text, struct mariadb_sql *sql, struct buf *out);

/* Up to the closing quote; a doubled one is two quoted pieces in a row. */
static enum err copy_quoted(const char **cursor, struct buf *out) {
    const char *end = strchr(*cursor + 1, **cursor);
    if (!end)
        return ERR_INTERNAL;
    buf_append(out, *cursor, (size_t)(end + 1 - *cursor));
    *cursor = end + 1;
    return OK;
}

static enum err take_parameter(const char **cursor, struct mariadb_sql *sql, struct buf *out) {
    char *end;
    unsigned long number = strtoul(*cursor + 1, &end, 10);
    if (number == 0 || number > MARIADB_PARAMETERS_MAX || sql->position_count == MARIADB_POSITIONS_MAX)
        return ERR_INTERNAL;
    buf_char(out, '?');
    sql->parameters[sql->position_count++] = (unsigned char)(number - 1);
    if (sql->parameter_count < number)
        sql->parameter_count = (unsigned)number;
    *cursor = end;
    return OK;
}

static enum err take_placeholder(const char **cursor, struct mariadb_sql *sql, struct buf *out) {
    for (size_t i = 0; i < sizeof placeholders / sizeof *placeholders; i++) {
        size_t size = strlen(placeholders[i].name);
        if (strncmp(*cursor, placeholders[i].name, size) != 0)
            continue;
        *cursor += size;
        return translate(placeholders[i].sql, sql, out);
    }
    return ERR_INTERNAL;
}

static enum err translate(const char *text, struct mariadb_sql *sql, struct buf *out) {
    enum err err = OK;
    for (const char *cursor = text; err == OK && *cursor;) {
        if (*cursor == '\'' || *cursor == '"')
            err = copy_quoted(&cursor, out);
        else if (*cursor == '?')
            err = take_parameter(&cursor, sql, out);
        else if (*cursor == '{')
            err = take_placeholder(&cursor, sql, out);
        else
            buf_char(out, *cursor++);
    }
    return err;
}

enum err mariadb_sql_translate(const char *sql, struct mariadb_sql *ret_sql) {
    struct mariadb_sql translated = { .text = NULL };
    struct buf out = BUF_INIT;
    enum err err = translate(sql, &translated, &out);
    if (err == OK && (!buf_ok(&out) || !out.bytes))
        err = ERR_NO_MEMORY;
    if (err != OK) {
        buf_release(&out);
        return err;
    }
    translated.size = out.size;
    translated.text = buf_detach(&out);
    *ret_sql = translated;
    return OK;
}

void mariadb_sql_release(struct mariadb_sql *sql) {
    free(sql->text);
    *sql = (struct mariadb_sql){ .text = NULL };
}
