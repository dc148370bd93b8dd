/* The inside of the sweeps, for db/store_sweep*.c: one bounded pass of each kind, inside the writer's transaction. */
#pragma once

#include "db/decide.h"
#include "db/rows.h"
#include "db/store_internal.h"

/* What a row is found by: some numbers, or a hash. */
#define KEY_NUMBERS 3
struct row_key {
    uint64_t numbers[KEY_NUMBERS];
    uint8_t hash[SHA256_SIZE];
};

/* Rows that a pass takes by their keys: MariaDB would find them by a subquery only in a walk over the whole table. */
struct taking {
    const struct query *read;  /* with a bound at ?1 and the limit at ?2; gives keys */
    const struct query *write; /* with a key from ?1 on */
    int numbers;               /* of a key; 0: it is a hash */
    bool sized;                /* after the key comes a size, which is counted */
};

struct pass {
    struct state *state;
    struct db *db;
    struct command *command;
    struct sweep_place *place;
    bool dry_run;
    struct buf released; /* media that lost a message, a uint64_t each; owned */
};

/* Counts rows; when as many as the pass may take, there may be more. */
void pass_took(struct pass *pass, uint64_t rows, uint64_t limit);
/* Runs a statement with these numbers from ?1 on that returns no rows. */
enum err pass_run(struct pass *pass, const struct query *query, const uint64_t *numbers, int count) MUST_USE;
/* Takes at most `limit` rows, and counts them; a dry run only counts. */
enum err pass_take(struct pass *pass, const struct taking *taking, uint64_t bound, uint64_t limit) MUST_USE;
/* One array write: `query` for each key, whose `numbers` numbers (0: the hash) are bound from ?1 on. */
enum err pass_write(struct pass *pass, const struct query *query, const struct row_key *keys, size_t count, int numbers) MUST_USE;

/* db/store_sweep_log.c */
enum err sweep_log(struct pass *pass) MUST_USE;
/* db/store_sweep_messages.c */
enum err sweep_expired(struct pass *pass) MUST_USE;
enum err sweep_delivered(struct pass *pass) MUST_USE;
enum err sweep_chats(struct pass *pass) MUST_USE;
/* db/store_sweep_media.c */
enum err sweep_media(struct pass *pass) MUST_USE;
/* Runs `query`, which deletes rows of `attachment` by the number at ?1 and returns their media, and notes these. */
enum err release_attachments(struct pass *pass, const struct query *query, uint64_t number) MUST_USE;
/* At the end of a pass: of the media noted, those that nothing refers to any more begin their grace. */
enum err release_media(struct pass *pass) MUST_USE;
