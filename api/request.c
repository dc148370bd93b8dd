/* Owns what handlers share: preparing commands, answers, query parameters and lists. No I/O; any thread that has the request. */
#include "api/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/server_internal.h"
#include "core/id.h"
#include "db/reader.h"

struct command *request_command(struct request *request, enum command_type type) {
    struct command *command = &request->command;
    command->type = type;
    command->actor_id = request->session.user_id;
    command->device_id = request->session.device_id;
    command->bytes = sizeof(*request) + request->body.capacity + request->arena.used;
    request->has_command = true;
    return command;
}

enum err request_refuse(struct request *request, enum err err, const char *field, const char *detail) {
    request->refusal.err = err;
    request->refusal.field = field;
    request->refusal.detail = detail;
    return err;
}

const char *request_printf(struct request *request, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[512];
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (size < 0)
        return NULL;
    return arena_copy(&request->arena, text, (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1);
}

static bool is_visible_ascii(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (text[i] < 0x21 || text[i] > 0x7e)
            return false;
    return true;
}

/* 63 bits of a keyed hash: nobody who does not know the store's secret can make keys collide. */
static uint64_t keyed_hash63(const struct request *request, const char *text, size_t size) {
    uint8_t mac[SHA256_SIZE];
    uint64_t bits;
    hmac_run(&request->server->secret, &(struct slice){ text, size }, 1, mac);
    memcpy(&bits, mac, sizeof(bits));
    return bits & ID_MAX;
}

enum err request_idempotency(struct request *request) {
    const char *key = request->headers.idempotency_key;
    if (key == NULL)
        return OK;
    size_t size = strlen(key);
    if (size < 1 || size > LIMIT_KEY_BYTES || !is_visible_ascii(key, size))
        return request_refuse(request, ERR_BAD_FIELD, "Idempotency-Key", "must be 1 to 128 visible ASCII characters");
    struct idempotency *idempotency = &request->command.idempotency;
    idempotency->given = true;
    idempotency->key = keyed_hash63(request, key, size);
    const struct slice parts[] = {
        { request->method_name, strlen(request->method_name) },
        { " ", 1 },
        { request->path, strlen(request->path) },
        { "\n", 1 },
        { request->body.bytes, request->body.size },
    };
    uint8_t mac[SHA256_SIZE];
    hmac_run(&request->server->secret, parts, sizeof(parts) / sizeof(parts[0]), mac);
    memcpy(idempotency->request, mac, sizeof(idempotency->request));
    return OK;
}

void answer_header(struct request *request, const char *name, const char *value) {
    struct answer *answer = &request->answer;
    if (value == NULL || answer->header_count == LIMIT_ANSWER_HEADERS)
        return;
    answer->headers[answer->header_count++] = (struct header){ name, value };
}

bool answer_has(const struct request *request, const char *name) {
    for (size_t i = 0; i < request->answer.header_count; i++)
        if (strcmp(request->answer.headers[i].name, name) == 0)
            return true;
    return false;
}

struct buf *answer_json(struct request *request, unsigned status) {
    request->answer.status = status;
    request->answer.content_type = "application/json";
    return &request->answer.body;
}

enum err finish_empty(struct request *request) {
    request->answer.status = request->route->success;
    return OK;
}

static unsigned made_or_found(const struct request *request) { return request->command.out.existed ? 200 : request->route->success; }

enum err finish_json(struct request *request) {
    struct buf *json = &request->command.out.json;
    if (!buf_ok(json))
        return ERR_NO_MEMORY;
    buf_release(&request->answer.body);
    request->answer.status = made_or_found(request);
    request->answer.content_type = "application/json";
    request->answer.body = *json;
    *json = (struct buf)BUF_INIT;
    return OK;
}

enum err finish_message(struct request *request) {
    struct frame *frame = request->command.out.frame;
    if (frame == NULL)
        return finish_json(request);
    request->answer.status = made_or_found(request);
    request->answer.content_type = "application/json";
    request->answer.frame = frame;
    request->command.out.frame = NULL;
    return OK;
}

/* ---- Query parameters ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes %XX; what is not one, and %00, stays as it is. */
static void percent_decode(char *text) {
    char *out = text;
    for (const char *in = text; *in != '\0'; in++) {
        int high = *in == '%' ? hex_digit(in[1]) : -1;
        int low = high >= 0 ? hex_digit(in[2]) : -1;
        if (low >= 0 && (high | low) != 0) {
            *out++ = (char)(high << 4 | low);
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
}

const char *request_decode(struct request *request, const char *text) {
    char *decoded = arena_string(&request->arena, text);
    if (decoded != NULL)
        percent_decode(decoded);
    return decoded;
}

const char *query_text(struct request *request, const char *name) {
    for (size_t i = 0; i < request->query_count && i < LIMIT_QUERY_ARGUMENTS; i++)
        if (strcmp(request->query[i].name, name) == 0)
            return request_decode(request, request->query[i].value);
    return NULL;
}

enum err query_limit(struct request *request, size_t standard, size_t max, size_t *ret_limit) {
    const char *text = query_text(request, "limit");
    if (text == NULL) {
        *ret_limit = standard;
        return OK;
    }
    uint64_t limit;
    if (!id_parse(text, strlen(text), &limit) || limit > max)
        return request_refuse(request, ERR_BAD_QUERY, "limit", request_printf(request, "must be a number from 1 to %zu", max));
    *ret_limit = (size_t)limit;
    return OK;
}

enum err query_cursor(struct request *request, const char *name, uint64_t *ret_id) {
    const char *text = query_text(request, name);
    if (text == NULL) {
        *ret_id = 0;
        return OK;
    }
    if (!id_parse(text, strlen(text), ret_id))
        return request_refuse(request, ERR_BAD_CURSOR, name, "must be an id that an earlier answer gave");
    return OK;
}

/* ---- Lists ---- */

struct buf *list_begin(struct request *request) {
    struct buf *buf = answer_json(request, 200);
    buf_string(buf, "{\"items\":[");
    return buf;
}

void list_end_open(struct buf *buf, uint64_t next_id, uint64_t head_id) {
    buf_char(buf, ']');
    if (next_id == 0)
        json_member_null(buf, "next");
    else
        json_member_id(buf, "next", next_id);
    json_member_id(buf, "as_of", head_id);
}

void list_end(struct buf *buf, uint64_t next_id, uint64_t head_id) {
    list_end_open(buf, next_id, head_id);
    buf_char(buf, '}');
}

enum err list_page(struct request *request, size_t standard, size_t max, list_filler fill) {
    uint64_t cursor, head_id;
    size_t limit;
    enum err err = query_cursor(request, "cursor", &cursor);
    if (err == OK)
        err = query_limit(request, standard, max, &limit);
    if (err == OK)
        err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = fill(request, cursor, limit, head_id);
    read_end(request->reader);
    return err;
}
