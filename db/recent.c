#include "db/recent.h"

#include <stdlib.h>

void recent_init(struct recent *recent, size_t capacity) {
    *recent = (struct recent){ .capacity = capacity, .after_id = UINT64_MAX };
    pthread_mutex_init(&recent->mutex, NULL);
}

static void free_slots(struct recent *recent) {
    free(recent->slots);
    free(recent->newest);
    recent->slots = NULL;
    recent->newest = NULL;
}

void recent_release(struct recent *recent) {
    free_slots(recent);
    pthread_mutex_destroy(&recent->mutex);
}

void recent_begin(struct recent *recent, uint64_t id) {
    pthread_mutex_lock(&recent->mutex);
    free_slots(recent);
    recent->slots = malloc(recent->capacity * sizeof *recent->slots);
    recent->newest = calloc(recent->capacity, sizeof *recent->newest);
    if (!recent->slots || !recent->newest)
        free_slots(recent);
    recent->count = 0;
    recent->after_id = recent->up_to_id = id;
    pthread_mutex_unlock(&recent->mutex);
}

static struct recent_slot *slot_of(const struct recent *recent, uint64_t number) { return &recent->slots[number & (recent->capacity - 1)]; }

static uint64_t *bucket_of(const struct recent *recent, uint64_t owner_id) {
    uint64_t bits = owner_id * UINT64_C(0x9e3779b97f4a7c15);
    return &recent->newest[bits >> 32 & (recent->capacity - 1)];
}

void recent_lock(struct recent *recent) { pthread_mutex_lock(&recent->mutex); }

void recent_add(struct recent *recent, uint64_t owner_id, uint64_t event) {
    if (!recent->slots)
        return;
    struct recent_slot *slot = slot_of(recent, ++recent->count);
    uint64_t *newest = bucket_of(recent, owner_id);
    if (recent->count > recent->capacity && recent->after_id < recent_id(slot->event))
        recent->after_id = recent_id(slot->event);
    *slot = (struct recent_slot){ owner_id, event, *newest };
    *newest = recent->count;
}

void recent_unlock(struct recent *recent, uint64_t last_id) {
    recent->up_to_id = last_id;
    pthread_mutex_unlock(&recent->mutex);
}

/* Under the mutex. */
static size_t walk(const struct recent_view *view, uint64_t owner_id, uint64_t *ret_events, size_t room) {
    const struct recent *recent = view->recent;
    size_t count = 0;
    for (uint64_t number = *bucket_of(recent, owner_id); count <= room && number && number + recent->capacity > recent->count;) {
        const struct recent_slot *slot = slot_of(recent, number);
        uint64_t id = recent_id(slot->event);
        if (id <= view->after_id)
            break;
        if (slot->owner_id == owner_id && id <= view->up_to_id && count++ < room)
            ret_events[count - 1] = slot->event;
        number = slot->before;
    }
    return count;
}

bool recent_find(const struct recent_view *view, uint64_t owner_id, uint64_t *ret_events, size_t room, size_t *ret_count,
                 uint64_t *ret_up_to_id) {
    struct recent *recent = view->recent;
    pthread_mutex_lock(&recent->mutex);
    bool knows = recent->slots && recent->after_id <= view->after_id;
    *ret_count = knows ? walk(view, owner_id, ret_events, room) : 0;
    *ret_up_to_id = recent->up_to_id;
    pthread_mutex_unlock(&recent->mutex);
    return knows;
}
