/* The scheduler: hands messages whose time has come to the writer.
 *
 * On a thread of its own, which sleeps until the next one is due, or one is scheduled before that. It only finds them: each goes by a command whose
 * decision looks at the row in the transaction that posts it and deletes the row. So a message is posted once, however many nodes find it, and whatever
 * ends between finding and posting; what is overdue after that is sent at the next start. */
#pragma once

#include "db/store.h"

struct scheduler;

/* Registers with the store, which must not have been started yet and outlives it. */
enum err scheduler_open(struct store *store, struct scheduler **ret_scheduler) MUST_USE;
/* Starts the thread; after store_start(). */
enum err scheduler_start(struct scheduler *scheduler) MUST_USE;
/* Ends the thread, after what it has handed over; before store_stop(). NULL is fine. */
void scheduler_stop(struct scheduler *scheduler);
/* After store_stop(), which may still tell it of something. NULL is fine. */
void scheduler_close(struct scheduler *scheduler);
