/* Which devices have streams here: written by the hub's thread, asked by any. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* A device's id is there once for each of its streams. Open addressing, linear probing: eight bytes for a place. */
struct devices {
    pthread_mutex_t mutex;
    uint64_t *ids;   /* owned; 0: free */
    size_t capacity; /* a power of two */
    size_t count;
};

void devices_init(struct devices *devices);
void devices_release(struct devices *devices);
/* One more stream. ERR_NO_MEMORY: it is not counted. */
enum err devices_enter(struct devices *devices, uint64_t device_id) MUST_USE;
void devices_leave(struct devices *devices, uint64_t device_id);
bool devices_has(struct devices *devices, uint64_t device_id);
