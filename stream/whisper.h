/* Whispering to streams: what is told to whoever listens now, and to nobody later (db/whisper.h).
 *
 * A whisper goes to the caught-up streams of this node, and over the bus, where there is one (PARLEY_REDIS), to those of the other nodes; without it people
 * at other nodes do not hear it. Streams that are behind, blocked or about to end are passed by. All whispers of a turn of the hub cost a stream one write at
 * most, and what its socket does not take at once is lost, but for the rest of one frame that was begun. */
#pragma once

#include "db/whisper.h"
#include "stream/hub.h"

/* Sends a sound whisper, unless the writer is behind. Never blocks; any thread. What is dropped is counted in parley_whispers_dropped_total by its type. */
void whisper_send(struct hub *hub, const struct whisper *whisper);
/* What another node whispers: for this node's streams alone, whatever the writer does; what is for the nodes themselves is left to others. A
 * whisper_listener; context is the hub. */
void whisper_hear(void *hub, const struct whisper *whisper);

/* The same to the streams of one device of the user, on this node alone. */
void whisper_to_device(struct hub *hub, uint64_t device_id, const struct whisper *whisper);

/* Passes on what waits, at most LIMIT_TURN_WHISPERS, or drops it when the hub is behind. The hub's thread, outside a tick. */
void whisper_deliver(struct hub *hub);
