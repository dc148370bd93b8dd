/* See whisper.h. */
#include "stream/whisper.h"

#include <assert.h>

#include "stream/hub_state.h"
#include "stream/life.h"

void whisper_hear(void *context, const struct whisper *whisper) {
    struct hub *hub = context;
    if (!inbox_add_whisper(&hub->inbox, whisper))
        whisper_count_dropped(whisper->type);
}

void whisper_send(struct hub *hub, const struct whisper *whisper) {
    assert(whisper_is_sound(whisper));
    whisper_hear(hub, whisper);
    store_whisper(hub->store, whisper);
}

/* ---- On the hub's thread ---- */

/* As with an event, a stream that is written to stands where the hub does: should its socket be full, it catches up from there. */
static void deliver(void *context, struct stream *stream, struct frame *frame) {
    struct hub *hub = context;
    if (stream->state != STREAM_LIVE)
        return;
    if (stream->position < hub->position && stream->pending_first == 0)
        stream->position = hub->position;
    (void)!push_add(&hub->push, stream, frame); /* out of memory: it is lost */
}

/* The frames are borrowed until they are written. */
void whisper_deliver(struct hub *hub) {
    struct whisper_note *notes = inbox_take_whispers(&hub->inbox, &hub->has_whispers);
    for (const struct whisper_note *note = notes; note != NULL; note = note->next) {
        if (push_is_full(&hub->push))
            life_push(hub);
        index_whisper(&hub->index, note, deliver, hub);
    }
    life_push(hub);
    while (notes != NULL) {
        struct whisper_note *next = notes->next;
        whisper_note_free(notes);
        notes = next;
    }
}
