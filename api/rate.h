/* Rate limits: token buckets by user, by address, and by account and address for log-in attempts.
 *
 * The buckets of this node, which decide alone; api/rate_shared.h lowers them by what was taken on others. A bounded table; when it is crowded the
 * fullest bucket of a neighbourhood is given up, which forgives a little and never locks anybody out. One thread at a time, but for the keys. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum rate_kind { RATE_OF_USER = 1, RATE_OF_ADDRESS, RATE_OF_LOGIN_ADDRESS, RATE_OF_LOGIN_ACCOUNT };

struct rate_rule {
    double per_ms; /* tokens that come back in a millisecond */
    double burst;  /* tokens of a full bucket */
};

struct rate_state {
    uint32_t limit; /* the burst */
    uint32_t remaining;
    uint32_t reset_s; /* until the bucket is full again, rounded up */
    uint32_t retry_s; /* until there is a token again, at least 1 */
};

struct rate;

/* `secret` is the installation's: its nodes must agree on keys, and nobody else may be able to make two that are equal. */
enum err rate_new(const void *secret, size_t size, struct rate **ret_rate) MUST_USE;
void rate_free(struct rate *rate);

/* Who a bucket belongs to: a hash over `kind` and the bytes, keyed by the secret. Never 0. Any thread. */
uint64_t rate_key(const struct rate *rate, enum rate_kind kind, const void *bytes, uint32_t size);
/* The same for a network address (IPv4 mapped into IPv6). IPv6 clients own a /64, so that is what counts as their address. */
uint64_t rate_address_key(const struct rate *rate, enum rate_kind kind, const uint8_t address[16]);
/* The bucket holds no more than `level` from now on, which is below 0 when more was taken than there was. Nothing for a bucket that is not here. */
void rate_cap(struct rate *rate, uint64_t key, const struct rate_rule *rule, double level, int64_t now_ms);
/* Takes one token; false when there is none. `ret_state` is set in both cases. */
bool rate_take(struct rate *rate, uint64_t key, const struct rate_rule *rule, int64_t now_ms, struct rate_state *ret_state);
