/* The store's inside, for db/store.c, db/writer.c and db/reader*.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "db/cache.h"
#include "core/limits.h"
#include "db/driver.h"
#include "db/keys.h"
#include "db/marks.h"
#include "db/owner_index.h"
#include "db/place.h"
#include "db/store.h"

struct bus;
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
    struct {
        break_listener call;
        void *context;
    } break_listeners[STORE_LISTENERS];
    size_t break_listener_count;
    struct {
        whisper_listener call;
        void *context;
    } whisper_listeners[STORE_LISTENERS];
    size_t whisper_listener_count;
    struct {
        marks_listener call; /* NULL: nobody listens */
        void *context;
    } marks_listener;
    struct {
        due_listener call; /* NULL: nobody listens */
        void *context;
    } due_listener;

    /* The queue; under `mutex`, but for what is said otherwise. */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct command *first, *last;
    _Atomic size_t queued; /* the writer looks at it without the mutex, too */
    size_t queued_bytes;
    bool started, stopping;
    pthread_t thread;
    struct follow *follow;      /* where others write, too; else NULL */
    struct bus *bus;            /* likewise */
    pthread_mutex_t whispering; /* a bus that is whispered to is not closed; `bus` changes under it alone */

    struct marks marks;

    /* The writer's own. */
    struct command marks_command; /* writes the marks that are due: one batch at a time */
    struct mark marks_due[LIMIT_MARKS_AT_ONCE];
    int64_t sweep_seen_ms; /* since when a sweep that looks at marks waits for those that moved before it; 0: none does */
    struct place place;
    struct cache cache;
    struct keys keys;
    struct owner_index owner_index;
    struct {
        uint64_t id;
        uint8_t tag[COMMIT_TAG_SIZE];
        unsigned found;        /* so it was found again, as many times in a row */
    } left;                    /* the head row, as this writer left it */
    unsigned trusts_after;     /* so many times, it is not waited for any more whether it is so */
    uint64_t last_id;          /* the log's last, as of its transaction */
    char writer[32];           /* the name of its own row beside it, */
    bool has_own_row;          /* which is there, as far as this writer knows */
    uint64_t taken_number;     /* the head row's while its transaction lasts */
    bool taken_trusting;       /* nobody has looked whether it is as this writer left it */
    int64_t residue_ms;        /* since when the write-ahead log may hold what tables do not any more; monotonic, 0: it does not */
    int64_t last_ms;           /* of the last event: times never go back along the log */
    uint64_t delivery_chat_id; /* where the next sweep of delivered messages goes on */
    uint64_t swept_id;         /* where the next sweep of the log goes on: nothing is left up to there */

    int64_t commits_ms[LIMIT_QUIET_COMMITS]; /* the writer's, too: when the last ones were, but for the cleanup's; monotonic */
    uint64_t commit_count;
    int64_t commit_wait_us; /* the writer's, too: a moving average of how long a commit waits */
    bool comes_alone;       /* the writer's, too: the last batch was of one command, which came soon after the one before */

    /* For all to look at. */
    _Atomic uint64_t head, floor;
    _Atomic uint64_t log_number; /* which log this is: counts those that were replaced by others (LOG_REPLACED) */
    _Atomic bool healthy;
};

/* Takes the lock of the data folder (made when it is missing), which ends when the descriptor is closed. ERR_CONFLICT: another process has it. db/store.c */
enum err store_lock(const struct config *config, int *ret_fd, char *problem, size_t problem_size) MUST_USE;
/* Reads the database's secret. db/store.c */
enum err store_load_secret(struct store *store) MUST_USE;

/* Calls the listeners. One thread at a time: on a shared database under the follower's mutex. db/store.c */
void store_tell(const struct store *store, uint64_t previous_id, struct frame *const *frames, size_t count);
void store_tell_break(struct store *store, enum log_break kind, uint64_t head_id);

/* The writer's thread: takes batches until the store stops. db/writer.c */
void *writer_main(void *store);

/* How far sweeps have come; the store's own once the batch is committed. */
struct sweep_place {
    uint64_t floor;
    uint64_t delivery_chat_id; /* the last chat looked at in this round; 0: a round begins */
    uint64_t swept_id;         /* the log has no rows up to there. Lower than the floor after a restore, which lifts that above its rows */
};
/* One bounded pass of cleanup, inside the batch's transaction. db/store_sweep.c */
struct state;
enum err sweep(struct state *state, struct db *db, struct command *command, struct sweep_place *place) MUST_USE;
