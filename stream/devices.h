/* Which devices have streams here: written by the hub's thread, asked by any. */
#pragma once

#include <pthread.h>

#include "core/map.h"

struct devices {
    pthread_mutex_t mutex;
    struct map counts; /* device id → how many streams */
};

void devices_init(struct devices *devices);
void devices_release(struct devices *devices);
/* One more stream. ERR_NO_MEMORY: it is not counted. */
enum err devices_enter(struct devices *devices, uint64_t device_id) MUST_USE;
void devices_leave(struct devices *devices, uint64_t device_id);
bool devices_has(struct devices *devices, uint64_t device_id);
