/* The head row: where writers of a shared database take turns. Its row of `meta` holds the log's last id and the last commit's tag.
 *
 * A transaction begins by changing it: a lock on one server, and in a Galera cluster, which certifies changes and knows no locks of other nodes, what makes all
 * but one of those that began from the same head fail. It ends by writing the new id and tag. Beside it each writer has a row of its own with the tag of its
 * own last commit: the head's may be another's soon after. The writer's thread only; nothing of this happens where the database has one writer. */
#pragma once

#include "db/store_internal.h"

/* Reads where the log stands: the floor, the last id and its time. */
enum err head_load(struct store *store) MUST_USE;
/* Begins a transaction and takes the head. When it is not what this writer left, another wrote: caches are dropped and the log's place is read anew. While
 * the head is trusted nobody waits to see it: head_check() tells when it was not so. Then only may this be behind a commit that was sent (send_commit in
 * db/driver.h), whose head_keep() was called. */
enum err head_begin(struct store *store) MUST_USE;
/* Whether it was as this writer left it so often that it is taken for granted. */
bool head_is_trusted(const struct store *store);
/* Not for the next time: what went by it has failed. */
void head_distrust(struct store *store);
/* At the end of the transaction: what it will have left, once it is committed. */
enum err head_write(struct store *store, uint64_t last_id, const uint8_t tag[COMMIT_TAG_SIZE]) MUST_USE;
/* When it was the last statement of all. ERR_DATABASE_BUSY: the server has ended the transaction meanwhile, or the head was trusted and another had written. */
enum err head_check(struct store *store) MUST_USE;
/* Commits. A server of a cluster is not believed: the writer's own row must have the tag, or else it is ERR_DATABASE_UNKNOWN. */
enum err head_commit(struct store *store, const uint8_t tag[COMMIT_TAG_SIZE]) MUST_USE;
/* After the commit: the head is now what this writer left. */
void head_keep(struct store *store, uint64_t last_id, const uint8_t tag[COMMIT_TAG_SIZE]);
/* Nobody knows what became of what head_keep() was told: whatever the head is, the next transaction goes by the database alone. */
void head_doubt(struct store *store);
/* After a commit whose answer got lost: whether this writer's last commit has that tag. It has not: it never will. Ends its own transaction. */
enum err head_settle(struct store *store, const uint8_t tag[COMMIT_TAG_SIZE], bool *ret_kept) MUST_USE;
/* Forgets the rows of writers that have not written for days. */
enum err head_sweep(struct store *store) MUST_USE;
