/* The ring of recent frames. See ring.h. */
#include "stream/ring.h"

#include <stdlib.h>
#include <string.h>

#include "core/id.h"

static struct ring_slot *slot_of(const struct ring *ring, uint64_t position) { return &ring->slots[position % ring->event_limit]; }

static bool holds(const struct ring *ring, uint64_t position) { return position >= ring->base && position < ring_end(ring); }

static size_t cost_of(const struct frame *frame) {
    size_t own = sizeof(*frame) + frame->size + frame->member_count * sizeof(*frame->members);
    if (frame->withheld != NULL)
        own += sizeof(*frame) + frame->withheld->size;
    return frame->hidden != NULL ? own + sizeof(*frame) + frame->hidden->size : own;
}

static bool is_change(enum event_type type) { return type == EVENT_MESSAGE_EDITED || type == EVENT_MESSAGE_DELETED; }

static bool is_change_of_chat(enum event_type type) { return type == EVENT_CHAT_UPDATED || type == EVENT_CHAT_DELETED; }

enum err ring_init(struct ring *ring, size_t event_limit, size_t byte_limit, uint64_t last_id) {
    struct ring_slot *slots = calloc(event_limit, sizeof(*slots));
    uint64_t *newest = calloc(event_limit, sizeof(*newest));
    if (slots == NULL || newest == NULL) {
        free(slots);
        free(newest);
        return ERR_NO_MEMORY;
    }
    *ring = (struct ring){ .slots = slots,
                           .newest = newest,
                           .event_limit = event_limit,
                           .byte_limit = byte_limit,
                           .base = log_position(last_id) + 1,
                           .before_id = last_id,
                           .edits = MAP_INIT };
    return OK;
}

const struct ring_slot *ring_at(const struct ring *ring, uint64_t position) {
    return holds(ring, position) ? slot_of(ring, position) : NULL;
}

bool ring_reaches(const struct ring *ring, uint64_t id) { return log_position(id) + 1 >= ring->base; }

bool ring_knows(const struct ring *ring, uint64_t id) {
    const struct ring_slot *slot = ring_at(ring, log_position(id));
    return slot != NULL ? slot->id == id : id != 0 && id == ring->before_id;
}

/* ---- The events of an owner ---- */

/* All bits of an id count: multiplication brings the lower ones into the upper half, which is why the upper ones are folded into the lower before. */
static uint64_t *bucket_of(const struct ring *ring, uint64_t owner_id) {
    return &ring->newest[((owner_id ^ owner_id >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32) % ring->event_limit];
}

static void link_slot(struct ring *ring, struct ring_slot *slot, uint64_t position) {
    uint64_t *newest = bucket_of(ring, slot->owner_id);
    slot->before = *newest;
    *newest = position;
}

/* The first of the owner's from `position` back along its bucket; 0: none. */
static uint64_t find_of(const struct ring *ring, uint64_t position, uint64_t owner_id) {
    while (holds(ring, position) && slot_of(ring, position)->owner_id != owner_id)
        position = slot_of(ring, position)->before;
    return holds(ring, position) ? position : 0;
}

uint64_t ring_newest_of(const struct ring *ring, uint64_t owner_id) { return find_of(ring, *bucket_of(ring, owner_id), owner_id); }

uint64_t ring_older_of(const struct ring *ring, uint64_t position) {
    const struct ring_slot *slot = slot_of(ring, position);
    return find_of(ring, slot->before, slot->owner_id);
}

/* ---- Forgetting ---- */

static void forget(struct ring *ring, struct ring_slot *slot) {
    if (slot->frame != NULL)
        ring->bytes -= cost_of(slot->frame);
    frame_drop(slot->frame);
    slot->frame = NULL;
}

static void evict_oldest(struct ring *ring) {
    struct ring_slot *slot = slot_of(ring, ring->base);
    if (slot->message_id != 0 && map_get(&ring->edits, slot->message_id) == slot)
        map_remove(&ring->edits, slot->message_id);
    forget(ring, slot);
    ring->before_id = slot->id;
    ring->base++;
    ring->count--;
}

static void clear(struct ring *ring) {
    while (ring->count > 0)
        evict_oldest(ring);
    /* What follows may be a log that gives the same positions again. */
    memset(ring->newest, 0, ring->event_limit * sizeof(*ring->newest));
}

void ring_release(struct ring *ring) {
    if (ring->slots == NULL)
        return;
    clear(ring);
    map_release(&ring->edits);
    free(ring->slots);
    free(ring->newest);
    ring->slots = NULL;
}

void ring_restart(struct ring *ring, uint64_t last_id) {
    clear(ring);
    ring->base = log_position(last_id) + 1;
    ring->before_id = last_id;
    ring->floor_id = 0;
}

/* ---- What changes change ---- */

static struct frame *with_object(const struct frame *old, const struct frame *changed) {
    uint32_t size = old->size - old->object_size + changed->object_size;
    struct frame *frame = malloc(sizeof(*frame) + size);
    if (frame == NULL)
        return NULL;

    *frame = (struct frame){
        .references = 1,
        .type = old->type,
        .id = old->id,
        .owner_id = old->owner_id,
        .ref_id = old->ref_id,
        .changed_id = changed->changed_id,
        .size = size,
        .unnamed = old->unnamed,
        .object = old->object,
        .object_size = changed->object_size,
        .expires_ms = changed->expires_ms,
    };
    uint32_t old_end = old->object + old->object_size;
    memcpy(frame->bytes, old->bytes, old->object);
    memcpy(frame->bytes + frame->object, changed->bytes + changed->object, changed->object_size);
    memcpy(frame->bytes + frame->object + frame->object_size, old->bytes + old_end, old->size - old_end);
    return frame;
}

/* False: out of memory. */
static bool add_withheld(struct frame *frame, const struct frame *old, const struct frame *changed) {
    if (old->withheld == NULL || changed->withheld == NULL)
        return true;
    frame->withheld = with_object(old->withheld, changed->withheld);
    return frame->withheld != NULL;
}

/* What is hidden stays so, and what the change hides is hidden in what came before, too. False: out of memory. */
static bool add_hidden(struct frame *frame, const struct frame *old, const struct frame *changed) {
    const struct frame *hiding = changed->hidden != NULL ? changed : old;
    if (hiding->hidden == NULL)
        return true;
    frame->hidden = with_object(old->hidden != NULL ? old->hidden : old, hiding->hidden);
    frame->hidden_from = hiding->hidden_from;
    return frame->hidden != NULL;
}

struct frame *frame_with_object(const struct frame *old, const struct frame *changed) {
    struct frame *frame = with_object(old, changed);
    if (frame != NULL && add_withheld(frame, old, changed) && add_hidden(frame, old, changed))
        return frame;
    frame_drop(frame);
    return NULL;
}

/* What replacing the older frames of one message may still cost. */
struct allowance {
    size_t bytes;
    size_t frames;
};

/* NULL: too dear, out of memory, or nothing to replace it by. */
static struct frame *replacement(const struct frame *old, const struct frame *changed, struct allowance *allowance) {
    if (changed == NULL || allowance->frames == 0)
        return NULL;
    size_t size = old->size - old->object_size + changed->object_size;
    if (size > allowance->bytes)
        return NULL;
    *allowance = (struct allowance){ allowance->bytes - size, allowance->frames - 1 };
    return frame_with_object(old, changed);
}

static void replace(struct ring *ring, struct ring_slot *slot, const struct frame *changed, struct allowance *allowance) {
    if (slot->frame == NULL)
        return;
    struct frame *frame = replacement(slot->frame, changed, allowance);
    forget(ring, slot);
    slot->frame = frame;
    if (frame != NULL)
        ring->bytes += cost_of(frame);
    else
        *allowance = (struct allowance){ 0, 0 }; /* invariant 3 */
}

/* The message's own slot, or NULL. */
static struct ring_slot *created_slot(const struct ring *ring, uint64_t message_id) {
    bool is_here = holds(ring, log_position(message_id)) && slot_of(ring, log_position(message_id))->id == message_id;
    return is_here ? slot_of(ring, log_position(message_id)) : NULL;
}

/* Replaces what the ring shows of a message by what `changed` says; NULL forgets it. Newest first; behind a forgotten edit there is nothing left to do. */
static void replace_message(struct ring *ring, uint64_t message_id, const struct frame *changed) {
    struct allowance allowance = { LIMIT_REPLACED_BYTES, LIMIT_REPLACED_FRAMES };
    struct ring_slot *created = created_slot(ring, message_id);
    if (created != NULL)
        replace(ring, created, changed, &allowance);

    struct ring_slot *edit = map_get(&ring->edits, message_id);
    while (edit != NULL && edit->frame != NULL) {
        replace(ring, edit, changed, &allowance);
        edit = holds(ring, edit->older) ? slot_of(ring, edit->older) : NULL;
    }
}

bool ring_says_gone(const struct ring *ring, uint64_t message_id, int64_t now_ms) {
    const struct ring_slot *created = created_slot(ring, message_id), *changed = map_get(&ring->edits, message_id);
    if (message_id <= ring->floor_id || (created != NULL && ring_shown(created, now_ms) == NULL))
        return true;
    return changed != NULL && (changed->frame == NULL || changed->frame->type == EVENT_MESSAGE_DELETED);
}

/* Chains the newest edit before the older ones. One that cannot be found later must not show anything later. */
static void note_change(struct ring *ring, struct ring_slot *slot, uint64_t message_id) {
    const struct ring_slot *older = map_get(&ring->edits, message_id);
    slot->message_id = message_id;
    slot->older = older != NULL ? log_position(older->id) : 0;
    if (map_put(&ring->edits, message_id, slot) != OK)
        forget(ring, slot);
}

/* The older ones are forgotten already from the last such event on. */
static void forget_messages(struct ring *ring, uint64_t chat_id) {
    for (uint64_t position = ring_newest_of(ring, chat_id); position != 0; position = ring_older_of(ring, position)) {
        struct ring_slot *slot = slot_of(ring, position);
        if (slot->frame != NULL && is_change_of_chat(slot->frame->type))
            return;
        if (slot->frame != NULL && (event_is_message(slot->frame->type) || event_is_about_message(slot->frame->type)))
            forget(ring, slot);
    }
}

void ring_append(struct ring *ring, struct frame *frame, int64_t now_ms) {
    uint64_t position = log_position(frame->id);
    if (position != ring_end(ring)) {
        clear(ring);
        ring->base = position;
        ring->before_id = 0;
    }
    if (is_change(frame->type))
        replace_message(ring, frame->ref_id, frame);
    if (is_change_of_chat(frame->type))
        forget_messages(ring, frame->owner_id);
    while (ring->count > 0 && (ring->count == ring->event_limit || ring->bytes + cost_of(frame) > ring->byte_limit))
        evict_oldest(ring);

    struct ring_slot *slot = slot_of(ring, position);
    *slot = (struct ring_slot){ .frame = frame_hold(frame), .id = frame->id, .owner_id = frame->owner_id, .appended_ms = now_ms };
    ring->bytes += cost_of(frame);
    ring->count++;
    link_slot(ring, slot, position);
    if (is_change(frame->type))
        note_change(ring, slot, frame->ref_id);
}

/* Edits above a floor that passed their message show what the store no longer has. */
static void forget_below(struct ring *ring, uint64_t floor_id) {
    size_t cursor = 0;
    for (struct ring_slot *slot; (slot = map_next(&ring->edits, &cursor)) != NULL;)
        if (slot->message_id <= floor_id)
            replace_message(ring, slot->message_id, NULL);
}

static void trim_oldest(struct ring *ring) {
    const struct ring_slot *slot = slot_of(ring, ring->base);
    if (slot->message_id == 0)
        replace_message(ring, slot->id, NULL);
    evict_oldest(ring);
}

void ring_trim(struct ring *ring, uint64_t floor_id, int64_t before_ms) {
    if (floor_id > ring->floor_id)
        forget_below(ring, floor_id);
    ring->floor_id = floor_id;
    while (ring->count > 0 && (slot_of(ring, ring->base)->id <= floor_id || slot_of(ring, ring->base)->appended_ms < before_ms))
        trim_oldest(ring);
}
