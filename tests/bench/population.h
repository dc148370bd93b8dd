/* The users, tokens and group chats of a run: made in bulk by `parley user import` before the server starts. Main thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bench.h"
#include "server.h"

#define TOKEN_CHARACTERS 43 /* base64url of 256 bits, unpadded */
#define ID_CHARACTERS_MAX 20

/* Chat c has the members (c * chat_stride + k) mod user_count, k from 0 to members_per_chat - 1; the first is the owner. */
struct population_shape {
    uint32_t user_count;
    uint32_t chat_count;
    uint32_t members_per_chat;
    uint32_t chat_stride;
};

struct population {
    struct population_shape shape;
    bool is_direct;                          /* the chats are direct ones */
    char (*tokens)[TOKEN_CHARACTERS + 1];    /* one a user; owned */
    char (*chat_ids)[ID_CHARACTERS_MAX + 1]; /* owned */
};

/* Writes the import file, runs the import and reads the chats' ids from its answers. */
enum outcome population_create(const struct server *server, const struct population_shape *shape,
                               struct population *ret_population) MUST_USE;
/* The same with direct chats, whose members are two. */
enum outcome population_create_direct(const struct server *server, const struct population_shape *shape,
                                      struct population *ret_population) MUST_USE;
void population_release(struct population *population);
/* The index of the user who is member `member` of chat `chat`. */
uint32_t population_member(const struct population_shape *shape, uint32_t chat, uint32_t member);
/* The sum of the chats' `last_seq`: the messages that are stored. */
enum outcome population_count_stored(const struct population *population, uint16_t port, uint64_t *ret_stored) MUST_USE;
