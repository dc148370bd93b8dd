/* Tells people of marks that moved: the other members of a chat, that somebody has got or read its messages; and the own other devices, what is left
 * unread. By whispers (stream/whisper.h), which may be lost, as may marks when too many move at once: the state can always be read.
 *
 * It hears of marks after they were stored, so each mark is told of as seldom as it is stored. A thread of its own reads who may know. */
#pragma once

#include "db/store.h"
#include "stream/hub.h"

struct receipt_sender;

enum err receipt_sender_start(const struct config *config, struct store *store, struct hub *hub,
                              struct receipt_sender **ret_sender) MUST_USE;
/* Ends the thread; what waits is forgotten, and so is what comes. Before the hub ends; NULL is fine, and so is a second time. */
void receipt_sender_stop(struct receipt_sender *sender);
void receipt_sender_free(struct receipt_sender *sender);

/* A marks_listener (db/store.h); context is the sender. */
void receipt_sender_hear(void *sender, const struct mark *marks, size_t count);
