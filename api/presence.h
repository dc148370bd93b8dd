/* Presence: who is active, who may see it, and who is told when it changes.
 *
 * Every node knows everybody who is active, because they tell each other of each by the bus, and the subscriptions of all devices, of which it keeps
 * those whose streams it has. Going offline is noticed by each node by itself. So a request may reach any node, and a node that starts knows all again within a
 * time to live. Without Redis a node knows only of its own.
 *
 * One thread tells of changes: it asks the database about those who are not sure to be allowed to see them, and stores last activities behind posts. */
#pragma once

#include "core/config.h"
#include "db/whisper.h"
#include "stream/hub.h"

struct presence;

/* Starts the thread. The rest is borrowed until presence_stop(). */
enum err presence_start(const struct config *config, struct store *store, struct hub *hub, struct presence **ret_presence) MUST_USE;
/* Ends the thread, after it has stored what was not stored; before store_stop(). What is said later is only noted. NULL is fine for both. */
void presence_stop(struct presence *presence);
void presence_free(struct presence *presence);

/* A commit_listener, a break_listener and a whisper_listener (db/store.h); context is the struct presence. */
void presence_commit(void *presence, uint64_t previous_id, struct frame *const *frames, size_t count);
void presence_break(void *presence, enum log_break kind, uint64_t head_id);
void presence_hear(void *presence, const struct whisper *whisper);
