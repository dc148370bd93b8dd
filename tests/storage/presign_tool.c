/* Presigns what it reads, by the product's own functions, for tests that compare the outcome with that of others.
 *
 * usage: presign < REQUESTS ; one JSON object a line, and for each a line of output
 *
 *   {"settings": {"PARLEY_S3_ENDPOINT": "https://…", …}, "time_ms": N, "operation": "put"|"part"|"get", "key": "…",
 *    "content_type": "…", "size": N, "md5": "<hex>", "upload_id": "…", "number": N, "disposition": "…"}
 *
 *   {"method": "…", "url": "…", "headers": {…}, "expires_ms": N} or {"error": "…"} */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "media/storage.h"

#define PROBLEM_SIZE 512
#define ARENA_BYTES (1024 * 1024)

/* Makes the settings of the request, and no others, those of this process. */
static bool set_environment(const json_t *settings) {
    const char *name;
    json_t *value;
    if (clearenv() != 0)
        return false;
    json_object_foreach((json_t *)(uintptr_t)settings, name, value) {
        if (!json_is_string(value) || setenv(name, json_string_value(value), 1) != 0)
            return false;
    }
    return true;
}

static const char *string_of(const json_t *request, const char *name) {
    const char *value = json_string_value(json_object_get(request, name));
    return value == NULL ? "" : value;
}

static int64_t number_of(const json_t *request, const char *name) { return json_integer_value(json_object_get(request, name)); }

static enum err presign(const struct storage *storage, const json_t *request, struct arena *arena, struct presigned *ret_presigned) {
    const char *operation = string_of(request, "operation"), *key = string_of(request, "key"), *md5_text = string_of(request, "md5");
    int64_t now_ms = number_of(request, "time_ms"), size = number_of(request, "size");
    uint8_t md5_bytes[MD5_SIZE], *md5 = hex_decode(md5_text, strlen(md5_text), md5_bytes, MD5_SIZE) ? md5_bytes : NULL;

    if (strcmp(operation, "put") == 0) {
        const struct presign_put put = { .key = key, .content_type = string_of(request, "content_type"), .size = size, .md5 = md5 };
        return storage_presign_put(storage, NULL, &put, now_ms, arena, ret_presigned);
    }
    if (strcmp(operation, "part") == 0) {
        const struct presign_part part = { .key = key,
                                           .upload_id = string_of(request, "upload_id"),
                                           .number = (unsigned)number_of(request, "number"),
                                           .size = size,
                                           .md5 = md5 };
        return storage_presign_part(storage, NULL, &part, now_ms, arena, ret_presigned);
    }
    if (strcmp(operation, "get") == 0) {
        const struct presign_get get = { .key = key,
                                         .content_type = string_of(request, "content_type"),
                                         .disposition = string_of(request, "disposition") };
        return storage_presign_get(storage, NULL, &get, now_ms, arena, ret_presigned);
    }
    return ERR_BAD_REQUEST;
}

static json_t *describe(const struct presigned *presigned) {
    json_t *headers = json_object();
    for (size_t i = 0; i < presigned->header_count; i++)
        json_object_set_new(headers, presigned->headers[i].name, json_string(presigned->headers[i].value));
    return json_pack("{s:s, s:s, s:o, s:I}", "method", presigned->method, "url", presigned->url, "headers", headers, "expires_ms",
                     (json_int_t)presigned->expires_ms);
}

static json_t *answer_with(const struct config *config, const json_t *request) {
    static const uint8_t secret[32] = { 0 };
    struct storage *storage;
    char problem[PROBLEM_SIZE] = "";
    if (*config->s3_endpoint == '\0') /* it would be the local storage, which makes a folder */
        return json_pack("{s:s}", "error", "PARLEY_S3_ENDPOINT is not set");
    if (storage_open(config, secret, &storage, problem, sizeof(problem)) != OK)
        return json_pack("{s:s}", "error", problem);

    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct presigned presigned;
    enum err err = presign(storage, request, &arena, &presigned);
    json_t *answer = err == OK ? describe(&presigned) : json_pack("{s:s}", "error", err_name(err));
    arena_release(&arena);
    storage_close(storage);
    return answer;
}

static json_t *answer(const json_t *request) {
    struct config config;
    char problem[PROBLEM_SIZE];
    if (!set_environment(json_object_get(request, "settings")))
        return json_pack("{s:s}", "error", "settings are strings");
    if (config_load(&config, problem, sizeof(problem)) != OK)
        return json_pack("{s:s}", "error", problem);
    json_t *written = answer_with(&config, request);
    config_release(&config);
    return written;
}

/* Answers one line; false when it is not JSON. */
static bool answer_line(const char *line) {
    json_error_t error;
    json_t *request = json_loads(line, 0, &error);
    if (request == NULL) {
        fprintf(stderr, "presign: %s\n", error.text);
        return false;
    }
    json_t *written = answer(request);
    bool is_written = json_dumpf(written, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
    json_decref(written);
    json_decref(request);
    return is_written;
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    bool is_answered = true;
    while (is_answered && getline(&line, &capacity, stdin) > 0)
        is_answered = answer_line(line);
    free(line);
    return is_answered && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
