/* Tells the followers of a channel how the reactions at its messages have changed, which the log says nothing of: by whispers (stream/whisper.h), each message at
 * most once in LIMIT_REACTION_PAUSE_MS, however many react. What was not told is read with the message. */
#pragma once

#include "core/buf.h"
#include "stream/hub.h"

struct reaction_sender;

/* How the reactions at a message are now. */
struct reaction_note {
    uint64_t chat_id;
    uint64_t message_id;
    uint64_t rev;           /* the higher one is told */
    const struct buf *json; /* the answer to who reacted: {message_id, reactions, reactions_rev} */
};

enum err reaction_sender_start(struct hub *hub, struct reaction_sender **ret_sender) MUST_USE;
/* Ends the thread; what waits is forgotten, and so is what comes. Before the hub ends; NULL is fine, and so is a second time. */
void reaction_sender_stop(struct reaction_sender *sender);
void reaction_sender_free(struct reaction_sender *sender);

/* Notes that it is to be told. Never waits; any thread. What there is no room for is counted as a whisper that was dropped. */
void reaction_sender_note(struct reaction_sender *sender, const struct reaction_note *note);
