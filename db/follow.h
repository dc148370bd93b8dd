/* Following what other nodes commit: a thread that asks the database for the log's head and hands to the store's listeners what this node's writer has not.
 *
 * Only where the driver says that others write, too. The writer tells what it has committed, so that a node alone reads nothing twice, and the bus what it has
 * heard, so that what goes on from there needs no reading. It asks every PARLEY_POLL_INTERVAL, and less often while the bus hears. What comes before its
 * turn is kept for a moment, in which the bus may bring what is missing; then the database is asked for it.
 *
 * Listeners hear from three threads then, one after the other, possibly of the same event twice. Only the writer's commits may come before what others
 * committed earlier, and while the bus hears only those that remove a device. They go by the events' ids.
 *
 * Each round looks first whether the log still has what the listeners know. A server that crashed may have lost commits that it had shown, and one that was
 * restored or replaced has another past; positions are used again then, with other tags. Listeners hear LOG_REPLACED before anything else of the new log
 * from this thread. Nothing lost that is told later, by somebody who was slow, stays unnoticed: what is known moves on only along the log, or
 * by such a break, so the next round finds it missing. Whatever a server forgets, it forgets by closing its connections: when this thread's is a
 * new one, and nothing told is missing, they hear LOG_DOUBTED, for the sake of what was read ahead of what was told. */
#pragma once

#include "db/store.h"

struct envelope;
struct follow;

/* Starts the thread at the store's head. ERR_NO_MEMORY. */
enum err follow_start(struct store *store, struct follow **ret_follow) MUST_USE;
void follow_stop(struct follow *follow); /* NULL is fine */

/* Tells the listeners what this node's writer has committed after `previous_id`, unless the log was replaced since the transaction began, when its number was
 * `log_number` (store_internal.h): what is in the new one is read. On the writer's thread; count > 0. */
void follow_commit(struct follow *follow, uint64_t log_number, uint64_t previous_id, struct frame *const *frames, size_t count);

/* What the bus has heard of another node; NULL: something that it could not read. Any thread. */
void follow_hear(struct follow *follow, const struct envelope *envelope);
/* From now on the bus hears what others commit, or it no longer does. Any thread. */
void follow_hearing(struct follow *follow, bool hearing);
