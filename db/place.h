/* A process' place among those that share a database: the number in the ids it makes (core/id.h), which no other process has at the time.
 *
 * Where the database has one writer the number is 0. Elsewhere it is leased, by a row `node.NUMBER` of the lease table, inside the transaction that makes the
 * ids. These transactions follow one another, because each begins with the head (db/store_head.h). So whether the number is still this process' is no
 * question of time: if nobody else has written since it was looked at, it is, and else the row tells whose it is now. A node that was frozen for however
 * long, or whose clock is wrong, finds out before it makes an id, and takes another number. Time decides only who may take a number over:
 *
 * 1. A row's until_ms, by wall time, is when another may have the number, and no id made with it until then has a later time: the transaction that would
 *    make one prolongs the lease first. Whoever takes the number over begins there, also when ids and their rows are long gone. A number that was
 *    given back has no holder, and is free before that, too.
 * 2. Numbers that nobody ever had are taken first, then those that were free for the longest time.
 *
 * A lease that nobody needs runs out. The writer's thread only; before store_start() the opener's. */
#pragma once

#include "core/id.h"
#include "db/driver.h"

#define PLACE_LEASE_MS INT64_C(60000)
#define PLACE_PROLONG_MS INT64_C(45000) /* prolonged by the next id when less is left */

struct store;

struct place {
    uint64_t holder;         /* who this process is to leases; not 0 */
    bool is_leased;          /* the number has a row, which others may change */
    bool has_number;         /* it was taken, as far as this process knows */
    bool is_sure;            /* nobody else has written since the row was looked at */
    int64_t until_ms;        /* as in the row */
    struct id_generator ids; /* with the number */
};

/* `is_leased`: others may write to the database, too. */
void place_init(struct place *place, bool is_leased);
/* Where nobody else writes: the number 0, above all ids that are there. Otherwise nothing: the first id takes a number. */
enum err place_open(struct place *place, struct db *db) MUST_USE;
/* In a transaction that has the head: makes place->ids good for ids of `now_ms`. ERR_OVERLOADED: every number has a holder. When the transaction is
 * not committed, place_doubt(). */
enum err place_take(struct place *place, struct db *db, int64_t now_ms) MUST_USE;
/* Others have written, or a transaction was not committed, or nobody knows: the next id looks at the row. */
void place_doubt(struct place *place);
/* In a transaction of its own: whoever comes next may have the number at once. What fails is left to time. */
void place_give_back(struct store *store);
