/* See devices.h. */
#include "stream/devices.h"

#include <stdlib.h>

#define CAPACITY_MIN 64

void devices_init(struct devices *devices) {
    *devices = (struct devices){ .capacity = 0 };
    pthread_mutex_init(&devices->mutex, NULL);
}

void devices_release(struct devices *devices) {
    free(devices->ids);
    pthread_mutex_destroy(&devices->mutex);
}

/* All bits of an id count: multiplication brings the lower ones into the upper half, which is why the upper ones are folded into the lower before. */
static size_t home_of(const struct devices *devices, uint64_t device_id) {
    return (size_t)((device_id ^ device_id >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (devices->capacity - 1);
}

static size_t after(const struct devices *devices, size_t place) { return (place + 1) & (devices->capacity - 1); }

/* The first place of the device, or the free one where it would go: there always is one. */
static size_t find(const struct devices *devices, uint64_t device_id) {
    size_t place = home_of(devices, device_id);
    while (devices->ids[place] != 0 && devices->ids[place] != device_id)
        place = after(devices, place);
    return place;
}

static void add(struct devices *devices, uint64_t device_id) {
    size_t place = home_of(devices, device_id);
    while (devices->ids[place] != 0)
        place = after(devices, place);
    devices->ids[place] = device_id;
}

/* At most three places of four are taken: beyond that looking for one gets slow. */
static enum err make_room(struct devices *devices) {
    if (devices->count + 1 <= devices->capacity / 4 * 3)
        return OK;
    struct devices larger = { .capacity = devices->capacity == 0 ? CAPACITY_MIN : devices->capacity * 2 };
    larger.ids = calloc(larger.capacity, sizeof(*larger.ids));
    if (larger.ids == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < devices->capacity; i++)
        if (devices->ids[i] != 0)
            add(&larger, devices->ids[i]);
    free(devices->ids);
    devices->ids = larger.ids;
    devices->capacity = larger.capacity;
    return OK;
}

/* Frees a place and moves up those behind it which would otherwise no longer be found. */
static void close_gap(struct devices *devices, size_t gap) {
    size_t mask = devices->capacity - 1;
    for (size_t place = after(devices, gap); devices->ids[place] != 0; place = after(devices, place)) {
        size_t home = home_of(devices, devices->ids[place]);
        if (((place - home) & mask) >= ((place - gap) & mask)) {
            devices->ids[gap] = devices->ids[place];
            gap = place;
        }
    }
    devices->ids[gap] = 0;
}

enum err devices_enter(struct devices *devices, uint64_t device_id) {
    pthread_mutex_lock(&devices->mutex);
    enum err err = device_id == 0 ? ERR_INTERNAL : make_room(devices);
    if (err == OK) {
        add(devices, device_id);
        devices->count++;
    }
    pthread_mutex_unlock(&devices->mutex);
    return err;
}

void devices_leave(struct devices *devices, uint64_t device_id) {
    pthread_mutex_lock(&devices->mutex);
    size_t place = devices->count > 0 ? find(devices, device_id) : 0;
    if (devices->count > 0 && devices->ids[place] != 0) {
        close_gap(devices, place);
        devices->count--;
    }
    pthread_mutex_unlock(&devices->mutex);
}

bool devices_has(struct devices *devices, uint64_t device_id) {
    pthread_mutex_lock(&devices->mutex);
    bool has = devices->count > 0 && device_id != 0 && devices->ids[find(devices, device_id)] != 0;
    pthread_mutex_unlock(&devices->mutex);
    return has;
}
