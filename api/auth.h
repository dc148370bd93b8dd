/* Sessions in memory: which token belongs to which device, without asking the database each time.
 *
 * A device that is removed is forgotten on the writer's thread right after the commit: before the command's answer leaves, and before the hub hears
 * of it. Lookups that raced with a removal must not bring a dead session back: whoever reads the database notes auth_generation() before, and
 * auth_remember() refuses when a device was removed since. Thread-safe. */
#pragma once

#include "core/config.h"
#include "core/crypto.h"
#include "db/render.h"
#include "db/store.h"

struct auth;

enum err auth_new(struct auth **ret_auth) MUST_USE;
void auth_free(struct auth *auth);

/* A commit_listener (db/store.h); context is the struct auth. */
void auth_commit(void *auth, uint64_t previous_id, struct frame *const *frames, size_t count);

/* A break_listener (db/store.h); context is the struct auth. Forgets all sessions, as if their devices had been removed: the database is asked again. */
void auth_break(void *auth, enum log_break kind, uint64_t head_id);

/* Changes whenever a device was removed. */
uint64_t auth_generation(struct auth *auth);

/* The session of a token; false when it is not known here. */
bool auth_find(struct auth *auth, const uint8_t token[SHA256_SIZE], struct session *ret_session, uint64_t *ret_generation);

/* Remembers what was read after `generation`; does nothing when a device was removed since. May forget others, the least recently used first. */
void auth_remember(struct auth *auth, const uint8_t token[SHA256_SIZE], const struct session *session, uint64_t generation);

/* Notes that a session's last use was stored, so that it is not stored again before it is due. */
void auth_touched(struct auth *auth, const uint8_t token[SHA256_SIZE], int64_t seen_ms);

/* Runs `open` while no removal can be heard of, if none was since `generation`; false when one was. What `open` hands to the hub is then in
 * the hub's hands before the removal's frame. `open` must not block. */
bool auth_while_valid(struct auth *auth, uint64_t generation, void (*open)(void *context), void *context);

/* Whether the session may still be used at `now_ms`. */
bool session_is_alive(const struct session *session, const struct config *config, int64_t now_ms);
/* Whether the last use should be stored again: at most once an hour, more often with shorter idle lifetimes. */
bool session_touch_is_due(const struct session *session, const struct config *config, int64_t now_ms);
