/* Idempotency keys, of which each post brings a random one: what the writer knows of them in memory, and how they lie on disk.
 *
 * A B-tree of random keys would cost each post a page. So the keys of a commit are one row of `recent_key`, in the order of commits, and the writer has the recent
 * ones in memory (a memtable). When they are LIMIT_KEY_RUN, or a new period begins, they become a run: rows of `key_block` that hold the keys of one part each,
 * and one of `key_run` with their fingerprints (db/key_filter.h), which are in memory, too. So a key that is new, as nearly all are, is known to be new without a
 * look at the disk, and a run is written once, side by side, and goes as a whole when its period is over (IDEMPOTENCY_PERIODS).
 *
 * Right because there is one writer, or what others wrote is read within its transaction before anything is decided. The table `idempotency`, one row for a key, is what
 * earlier versions left: it is still asked, and gets no new rows. The writer's thread only. */
#pragma once

#include "core/arena.h"
#include "core/map.h"
#include "db/command.h"
#include "db/key_filter.h"

struct db;
struct state;

/* How a key lies in `recent_key` and `key_block`: user, key, result, each 64 bits in network order, and the request's hash. */
#define KEY_ENTRY_BYTES (3 * 8 + HASH128_SIZE)

struct known_key {
    struct known_key *next;  /* with the same mix */
    struct known_key *older; /* which came right before it */
    uint64_t user_id, key, result_id;
    uint8_t request[HASH128_SIZE];
};

struct keys {
    size_t run_size;                  /* the most keys of a run, unless one batch has more: LIMIT_KEY_RUN, but for tests */
    bool whole;                       /* false: what is on disk has to be read again, all of it, */
    bool doubted;                     /* true: at least what others have written since */
    bool has_older;                   /* there are, or were, rows in `idempotency` */
    uint64_t row_id;                  /* the last row of `recent_key`, */
    uint8_t row_end[KEY_ENTRY_BYTES]; /* and the last key in it */
    uint64_t run_id;                  /* the last run, */
    uint64_t until_id;                /* and the last row of `recent_key` that is in it */
    uint64_t period;                  /* of the recent ones */
    size_t recent_count;
    struct map recent;        /* mix of user and key → struct known_key, in the arena */
    struct known_key *newest; /* of them */
    struct arena arena;
    struct key_filters filters;
};

/* What a batch writes of keys, for keys_keep(). */
struct keys_written {
    bool sealed;     /* the recent ones have become a run, or are too old by now */
    uint64_t run_id; /* that run; 0: none */
    uint64_t run_period;
    const uint8_t *fingerprints; /* in the batch's arena */
    size_t key_count;
    uint64_t row_id; /* 0: no keys were written */
    uint64_t period;
    uint8_t row_end[KEY_ENTRY_BYTES];
};

void keys_init(struct keys *keys);
void keys_release(struct keys *keys);

/* The period of a time, and the first one whose keys hold then. */
uint64_t keys_period(int64_t now_ms);
uint64_t keys_first_period(int64_t now_ms);

/* A hint that the key will be looked for soon: of many keys each would be waited for otherwise, for they lie anywhere in megabytes. */
void keys_prefetch(const struct keys *keys, uint64_t user_id, uint64_t key);
/* NULL: it is not among the recent ones. */
const struct known_key *keys_recent(const struct keys *keys, uint64_t user_id, uint64_t key, int64_t now_ms);

/* Reads everything. Also inside a transaction of the writer. */
enum err keys_load(struct keys *keys, struct db *db, int64_t now_ms) MUST_USE;
/* Within the writer's transaction, before it decides: reads what others have written, when `doubted`; everything, when memory and disk have parted. */
enum err keys_refresh(struct keys *keys, struct db *db, int64_t now_ms) MUST_USE;
/* Of those that are to be looked up, drops what is new by what memory knows of the disk: nearly all. */
void keys_drop_new(struct state *state);
/* Looks the batch's keys up that are not among the recent ones. */
enum err keys_find(struct state *state, struct db *db) MUST_USE;
/* Writes the batch's new keys; what became of that is in state->keys_written. */
enum err keys_write(struct state *state, struct db *db) MUST_USE;
/* After the commit: remembers them. */
void keys_keep(struct keys *keys, const struct state *state);
