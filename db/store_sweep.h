/* The inside of the sweeps, for db/store_sweep*.c: one bounded pass of each kind, inside the writer's transaction. */
#pragma once

#include "db/decide.h"
#include "db/rows.h"
#include "db/store_internal.h"

struct pass {
    struct state *state;
    struct db *db;
    struct command *command;
    struct sweep_place *place;
    bool dry_run;
    struct buf released; /* JSON array of media that lost a message, without its closing bracket; owned */
};

/* Counts rows; when as many as the pass may take, there may be more. */
void pass_took(struct pass *pass, uint64_t rows, uint64_t limit);
/* Runs a statement with these numbers from ?1 on that returns no rows. */
enum err pass_run(struct pass *pass, const struct query *query, const uint64_t *numbers, int count) MUST_USE;
/* Runs one that returns a row for each that it takes, with the bound at ?1 and the limit at ?2, and counts them. */
enum err pass_count(struct pass *pass, const struct query *query, uint64_t bound, uint64_t limit) MUST_USE;

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
