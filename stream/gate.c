/* Caps and recently removed devices. See gate.h. */
#include "stream/gate.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "core/limits.h"

/* Requests and files need descriptors, too: streams must not be able to take them all. */
static size_t streams_max(const struct config *config) {
    if (config->streams_max > 0)
        return (size_t)config->streams_max;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= LIMIT_RESERVED_DESCRIPTORS)
        return 1;
    return (size_t)limit.rlim_cur - LIMIT_RESERVED_DESCRIPTORS;
}

enum err gate_init(struct gate *gate, const struct config *config) {
    uint64_t *removed_ids = calloc(LIMIT_REMOVED_DEVICES, sizeof(*removed_ids));
    if (removed_ids == NULL)
        return ERR_NO_MEMORY;
    *gate = (struct gate){
        .config = config, .streams_max = streams_max(config), .addresses = MAP_INIT, .removed = MAP_INIT, .removed_ids = removed_ids
    };
    return OK;
}

void gate_release(struct gate *gate) {
    map_release(&gate->addresses);
    map_release(&gate->removed);
    free(gate->removed_ids);
}

/* The maps hold numbers in the place of pointers. */
static uintptr_t number_at(const struct map *map, uint64_t key) { return (uintptr_t)map_get(map, key); }

static int64_t streams_of_device(const struct listener *listener, uint64_t device_id) {
    int64_t count = 0;
    LIST_EACH(&listener->streams, node)
        count += LIST_ITEM(node, struct stream, in_listener)->device_id == device_id;
    return count;
}

static bool is_over_own_cap(const struct gate *gate, const struct listener *listener, const struct stream_request *request) {
    const struct config *config = gate->config;
    if (!config->rate_limit)
        return false;
    if ((int64_t)number_at(&gate->addresses, request->address_hash) >= config->streams_per_address)
        return true;
    if (listener == NULL)
        return false;
    return listener->stream_count >= config->streams_per_user ||
           streams_of_device(listener, request->device_id) >= config->streams_per_device;
}

enum closing gate_judge(const struct gate *gate, const struct listener *listener, const struct stream_request *request) {
    enum closing removed = (enum closing)number_at(&gate->removed, request->device_id);
    if (removed != CLOSING_NONE)
        return removed;
    if (gate->streams >= gate->streams_max || is_over_own_cap(gate, listener, request))
        return CLOSING_TOO_MANY_STREAMS;
    return CLOSING_NONE;
}

enum err gate_enter(struct gate *gate, uint64_t address_hash) {
    enum err err = map_put(&gate->addresses, address_hash, (void *)(number_at(&gate->addresses, address_hash) + 1));
    gate->streams += err == OK;
    return err;
}

void gate_leave(struct gate *gate, uint64_t address_hash) {
    uintptr_t count = number_at(&gate->addresses, address_hash);
    if (count > 1)
        (void)!map_put(&gate->addresses, address_hash, (void *)(count - 1)); /* replaces, so it cannot fail */
    else
        map_remove(&gate->addresses, address_hash);
    gate->streams--;
}

void gate_remove_device(struct gate *gate, uint64_t device_id, enum closing reason) {
    if (map_get(&gate->removed, device_id) != NULL)
        return;
    uint64_t *place = &gate->removed_ids[gate->removed_next];
    gate->removed_next = (gate->removed_next + 1) % LIMIT_REMOVED_DEVICES;
    map_remove(&gate->removed, *place);
    *place = map_put(&gate->removed, device_id, (void *)(uintptr_t)reason) == OK ? device_id : 0;
}
