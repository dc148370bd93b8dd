#include "population.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

#define TOKEN_SEED UINT64_C(0x7061726c6579)

uint32_t population_member(const struct population_shape *shape, uint32_t chat, uint32_t member) {
    return (uint32_t)(((uint64_t)chat * shape->chat_stride + member) % shape->user_count);
}

/* 43 characters hold 258 bits: the last two are zero, as in every canonical encoding. */
static void write_token(uint32_t user, char out[TOKEN_CHARACTERS + 1]) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t state = mix64(TOKEN_SEED + user);
    for (size_t i = 0; i < TOKEN_CHARACTERS; i++) {
        unsigned bits = (unsigned)(random_next(&state) >> 58);
        out[i] = alphabet[i + 1 == TOKEN_CHARACTERS ? bits & ~3u : bits];
    }
    out[TOKEN_CHARACTERS] = '\0';
}

static void write_direct_chat(FILE *file, const struct population_shape *shape, uint32_t chat) {
    fprintf(file, "{\"chat\":\"direct\",\"members\":[\"bench%u\",\"bench%u\"]}\n", population_member(shape, chat, 0),
            population_member(shape, chat, 1));
}

static void write_group(FILE *file, const struct population_shape *shape, uint32_t chat) {
    fprintf(file, "{\"chat\":\"group\",\"title\":\"Bench %u\",\"owner\":\"bench%u\",\"members\":[", chat,
            population_member(shape, chat, 0));
    for (uint32_t member = 1; member < shape->members_per_chat; member++)
        fprintf(file, "%s\"bench%u\"", member > 1 ? "," : "", population_member(shape, chat, member));
    fprintf(file, "]}\n");
}

static enum outcome write_import(const struct server *server, const struct population *population) {
    char path[PATH_MAX];
    server_import_path(server, path);
    FILE *file = fopen(path, "we");
    if (!file) {
        complain("cannot write %s: %s", path, strerror(errno));
        return OUTCOME_FAILED;
    }
    for (uint32_t user = 0; user < population->shape.user_count; user++)
        fprintf(file, "{\"user\":\"bench%u\",\"tokens\":[\"%s\"]}\n", user, population->tokens[user]);
    for (uint32_t chat = 0; chat < population->shape.chat_count; chat++)
        (population->is_direct ? write_direct_chat : write_group)(file, &population->shape, chat);
    if (ferror(file) | fclose(file)) {
        complain("cannot write %s: %s", path, strerror(errno));
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

static enum outcome read_chat_ids(const struct server *server, const struct population *population) {
    char path[PATH_MAX];
    server_import_answers_path(server, path);
    FILE *file = fopen(path, "re");
    uint32_t found = 0;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    while (file && found < population->shape.chat_count && (len = getline(&line, &capacity, file)) > 0) {
        if (body_string(line, (size_t)len, "chat", population->chat_ids[found], sizeof population->chat_ids[found]))
            found++;
    }
    free(line);
    if (file)
        fclose(file);
    if (found < population->shape.chat_count) {
        complain("parley user import answered the ids of %u chats instead of %u", found, population->shape.chat_count);
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

static enum outcome create(const struct server *server, const struct population_shape *shape, bool is_direct,
                           struct population *ret_population) {
    struct population population = { .shape = *shape, .is_direct = is_direct };
    population.tokens = calloc(shape->user_count, sizeof *population.tokens);
    population.chat_ids = calloc(shape->chat_count, sizeof *population.chat_ids);
    if (!population.tokens || !population.chat_ids) {
        complain("no memory for %u users", shape->user_count);
        goto failed;
    }
    for (uint32_t user = 0; user < shape->user_count; user++)
        write_token(user, population.tokens[user]);
    if (write_import(server, &population) || server_import(server) || read_chat_ids(server, &population))
        goto failed;
    *ret_population = population;
    return OUTCOME_OK;
failed:
    population_release(&population);
    return OUTCOME_FAILED;
}

enum outcome population_create(const struct server *server, const struct population_shape *shape, struct population *ret_population) {
    return create(server, shape, false, ret_population);
}

enum outcome population_create_direct(const struct server *server, const struct population_shape *shape,
                                      struct population *ret_population) {
    return create(server, shape, true, ret_population);
}

void population_release(struct population *population) {
    free(population->tokens);
    free(population->chat_ids);
    *population = (struct population){ 0 };
}

enum outcome population_count_stored(const struct population *population, uint16_t port, uint64_t *ret_stored) {
    uint64_t stored = 0;
    for (uint32_t chat = 0; chat < population->shape.chat_count; chat++) {
        char path[64], body[4096];
        uint64_t last_seq = 0;
        snprintf(path, sizeof path, "/v1/chats/%s", population->chat_ids[chat]);
        if (http_get(port, path, population->tokens[population_member(&population->shape, chat, 0)], body, sizeof body))
            return OUTCOME_FAILED;
        if (!body_number(body, sizeof body, "last_seq", &last_seq)) {
            complain("GET %s answered no last_seq: %s", path, body);
            return OUTCOME_FAILED;
        }
        stored += last_seq;
    }
    *ret_stored = stored;
    return OUTCOME_OK;
}
