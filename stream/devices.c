/* See devices.h. */
#include "stream/devices.h"

void devices_init(struct devices *devices) {
    pthread_mutex_init(&devices->mutex, NULL);
    devices->counts = (struct map)MAP_INIT;
}

void devices_release(struct devices *devices) {
    map_release(&devices->counts);
    pthread_mutex_destroy(&devices->mutex);
}

enum err devices_enter(struct devices *devices, uint64_t device_id) {
    pthread_mutex_lock(&devices->mutex);
    uintptr_t count = (uintptr_t)map_get(&devices->counts, device_id);
    enum err err = map_put(&devices->counts, device_id, (void *)(count + 1));
    pthread_mutex_unlock(&devices->mutex);
    return err;
}

void devices_leave(struct devices *devices, uint64_t device_id) {
    pthread_mutex_lock(&devices->mutex);
    uintptr_t count = (uintptr_t)map_get(&devices->counts, device_id);
    if (count > 1)
        (void)!map_put(&devices->counts, device_id, (void *)(count - 1)); /* replaces, so it cannot fail */
    else
        map_remove(&devices->counts, device_id);
    pthread_mutex_unlock(&devices->mutex);
}

bool devices_has(struct devices *devices, uint64_t device_id) {
    pthread_mutex_lock(&devices->mutex);
    bool has = map_get(&devices->counts, device_id) != NULL;
    pthread_mutex_unlock(&devices->mutex);
    return has;
}
