/* The inside of idempotency keys, for db/keys.c and db/store_keys.c. */
#pragma once

#include "db/keys.h"

/* Forgets the recent ones. */
void keys_forget_recent(struct keys *keys);
/* Adds one to the recent ones; the link is not the caller's to set. */
enum err keys_put(struct keys *keys, const struct known_key *key) MUST_USE;
