/* The index of events by their owner (a chat or a user), which on SQLite follows the log at a distance.
 *
 * An index entry for each event at its commit would cost each a page of its own, its owner's, of which a few bytes are new: four fifths of what a commit
 * writes when many chats are busy. So there is a table, `event_of_owner`, in place of an index, and what is to go there waits in the writer's memory: when an
 * owner's oldest event is LIMIT_INDEX_LAG positions behind the head, or somewhat earlier, all that wait of that owner are entered, side by side. A reader finds
 * events up to that distance by the table, and later ones in memory (db/recent.h), which it asks as a table, too (db/sqlite_recent.h).
 *
 * What holds after each commit: an event is in the table, or is fewer than LIMIT_INDEX_LAG positions behind the head. What waits is not on disk as such:
 * a start reads it for the readers, and the first batch after it enters all that may. MariaDB has an index, for its log has what changes in a page, not the page;
 * nothing waits there.
 *
 * The writer's thread only, but for owner_index_bound() and `recent`. */
#pragma once

#include "core/list.h"
#include "core/map.h"
#include "db/driver.h"
#include "db/recent.h"

struct state;

struct owner_index {
    uint64_t lag;            /* LIMIT_INDEX_LAG, but for tests */
    bool is_table;           /* on SQLite; else there is nothing to do */
    bool whole;              /* false: what waits is not all known, as after the start */
    struct map waiting;      /* owner → struct waiting_owner, owned */
    struct list_node owners; /* of these, by their oldest event */
    struct recent recent;    /* for readers */
};

void owner_index_init(struct owner_index *index);
/* `head_id`: of the log. Reads what may wait. */
enum err owner_index_open(struct owner_index *index, struct db *db, uint64_t head_id) MUST_USE;
void owner_index_release(struct owner_index *index);

/* Within the writer's transaction, once the batch's events are in the log: enters what has become due. */
enum err owner_index_write(struct state *state, struct db *db) MUST_USE;
/* The same before its turn, with all that waits of owners whose oldest event is not after `id`, or not after that of this owner. */
enum err owner_index_enter(struct state *state, struct db *db, uint64_t id) MUST_USE;
enum err owner_index_enter_owner(struct state *state, struct db *db, uint64_t owner_id) MUST_USE;
/* Takes the entries of an owner up to an event out of the table. */
enum err owner_index_forget(const struct state *state, struct db *db, uint64_t owner_id, uint64_t id) MUST_USE;
/* After the commit: remembers what waits now. */
void owner_index_keep(struct owner_index *index, const struct state *state);

/* All events of owners up to this one are in the table, where the log's last is `head_id`. From any thread. */
uint64_t owner_index_bound(const struct owner_index *index, uint64_t head_id);
