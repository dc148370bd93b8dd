/* Following what other nodes commit: a thread that asks the database for the log's head and hands to the store's listeners what this node's writer has not.
 *
 * Only where the driver says that others write, too. The writer tells what it has published, so that a node alone reads nothing twice. Listeners hear from
 * two threads then, possibly of the same event twice and not always in order: they go by the events' ids. */
#pragma once

#include "db/store.h"

struct follow;

/* Starts the thread at the store's head. ERR_NO_MEMORY. */
enum err follow_start(struct store *store, struct follow **ret_follow) MUST_USE;
void follow_stop(struct follow *follow); /* NULL is fine */

/* The writer has told the listeners of everything after `previous_id` up to `last_id`. NULL is fine. */
void follow_published(struct follow *follow, uint64_t previous_id, uint64_t last_id);
