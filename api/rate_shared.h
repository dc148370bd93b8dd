/* Rate limits of several nodes together, through Redis.
 *
 * A bucket of this node still decides at once. What it gave out is noted, and a thread of its own tells Redis, where a script keeps the same bucket for
 * all nodes; what that one then holds is the most that this node's bucket may hold. So all nodes together admit what one would, and what comes within
 * about 20 ms. More than there was is a debt, down to a whole burst below nothing, so that the average holds as well.
 *
 * Without Redis each node goes by its own buckets, as lowered as they are; no request ever waits for Redis. What Redis holds are the levels of
 * buckets under hashes that only this installation can make, and each goes when its bucket is full. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/rate.h"
#include "core/config.h"
#include "core/err.h"

struct rate_shared;

/* Borrows `rate` until rate_shared_stop(), and leaves only its keys to others. *ret_shared is NULL when the settings want nothing to be shared: no
 * Redis, or no limits. `secret` as in rate_new(). */
enum err rate_shared_start(const struct config *config, const void *secret, size_t size, struct rate *rate,
                           struct rate_shared **ret_shared) MUST_USE;
/* Ends the thread, which may be waiting for Redis, but not for long. NULL is fine. */
void rate_shared_stop(struct rate_shared *shared);

/* rate_take(), from any thread. */
bool rate_shared_take(struct rate_shared *shared, uint64_t key, const struct rate_rule *rule, int64_t now_ms, struct rate_state *ret_state);
