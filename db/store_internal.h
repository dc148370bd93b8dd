/* The store's inside, for db/store.c, db/writer.c and db/reader*.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "core/id.h"
#include "db/cache.h"
#include "db/driver.h"
#include "db/store.h"

struct follow;

#define STORE_LISTENERS 2
#define COMMIT_TAG_SIZE 16

struct store {
    const struct config *config;
    char *url;
    struct db *db; /* the writer's; before store_start() the opener's */
    int lock_fd;
    uint8_t secret[32];

    struct {
        commit_listener call;
        void *context;
    } listeners[STORE_LISTENERS];
    size_t listener_count;

    /* The queue; all under `mutex`. */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct command *first, *last;
    size_t queued, queued_bytes;
    bool started, stopping;
    pthread_t thread;
    struct follow *follow; /* where others write, too; else NULL */

    /* The writer's own. */
    struct id_generator ids;
    struct cache cache;
    struct {
        uint64_t id;
        uint8_t tag[COMMIT_TAG_SIZE];
    } left;                    /* the head row, as this writer left it */
    char writer[32];           /* the name of its own row beside it */
    bool has_residue;          /* the write-ahead log may hold what was deleted from the tables */
    int64_t last_ms;           /* of the last event: times never go back along the log */
    uint64_t delivery_chat_id; /* where the next sweep of delivered messages goes on */

    /* For all to look at. */
    _Atomic uint64_t head, floor;
    _Atomic bool healthy;
};

/* Reads the database's secret. db/store.c */
enum err store_load_secret(struct store *store) MUST_USE;

/* The writer's thread: takes batches until the store stops. db/writer.c */
void *writer_main(void *store);

/* How far sweeps have come; the store's own once the batch is committed. */
struct sweep_place {
    uint64_t floor;
    uint64_t delivery_chat_id; /* the last chat looked at in this round; 0: a round begins */
};
/* One bounded pass of cleanup, inside the batch's transaction. db/store_sweep.c */
struct state;
enum err sweep(struct state *state, struct db *db, struct command *command, struct sweep_place *place) MUST_USE;
