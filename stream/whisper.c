/* See whisper.h. */
#include "stream/whisper.h"

#include <assert.h>

#include "stream/hub_state.h"
#include "stream/life.h"

static void add(struct hub *hub, uint64_t device_id, const struct whisper *whisper) {
    if (!inbox_add_whisper(&hub->inbox, whisper, device_id))
        whisper_count_dropped(whisper->type);
}

/* While the writer is behind nobody here has anything to say. */
static bool is_shed(const struct hub *hub, const struct whisper *whisper) {
    bool is_behind = store_is_behind(hub->store);
    if (is_behind)
        whisper_count_dropped(whisper->type);
    return is_behind;
}

void whisper_hear(void *hub, const struct whisper *whisper) {
    if (whisper->target != WHISPER_NODES)
        add(hub, 0, whisper);
}

void whisper_send(struct hub *hub, const struct whisper *whisper) {
    assert(whisper_is_sound(whisper));
    if (is_shed(hub, whisper))
        return;
    whisper_hear(hub, whisper);
    store_whisper(hub->store, whisper);
}

void whisper_to_device(struct hub *hub, uint64_t device_id, const struct whisper *whisper) {
    assert(whisper_is_sound(whisper));
    if (!is_shed(hub, whisper))
        add(hub, device_id, whisper);
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

/* Events first: what is late already is not made later. */
static bool is_behind(struct hub *hub) {
    bool reads = hub->tail.lost || hub->tail.is_reading;
    return reads || hub->was_full || hub->outlet.kept_bytes > LIMIT_PARTIAL_BYTES / 2 ||
           inbox_commit_bytes(&hub->inbox) > LIMIT_WHISPERS_COMMIT_BYTES;
}

/* The frames are borrowed until they are written. */
static void deliver_all(struct hub *hub, const struct whisper_note *notes) {
    for (const struct whisper_note *note = notes; note != NULL; note = note->next) {
        if (push_is_full(&hub->push))
            life_push(hub);
        index_whisper(&hub->index, note, deliver, hub);
    }
    life_push(hub);
}

static void drop_all(const struct whisper_note *notes) {
    for (const struct whisper_note *note = notes; note != NULL; note = note->next)
        metric_add(note->dropped_as, 1);
}

void whisper_deliver(struct hub *hub) {
    struct whisper_note *notes = inbox_take_whispers(&hub->inbox, &hub->has_whispers);
    if (is_behind(hub))
        drop_all(notes);
    else
        deliver_all(hub, notes);
    hub->was_full = false;
    while (notes != NULL) {
        struct whisper_note *next = notes->next;
        whisper_note_free(notes);
        notes = next;
    }
}
