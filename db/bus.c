/* Choosing the bus, and the one of a node that is alone. See bus.h. */
#include "db/bus.h"

enum err bus_open(const struct config *config, const uint8_t secret[32], const struct bus_listener *listener, struct bus **ret_bus) {
    const struct bus_driver *driver = *config->redis ? &bus_redis : &bus_local;
    return driver->open(config, secret, listener, ret_bus);
}

void bus_publish(struct bus *bus, uint64_t previous_id, struct frame *const *frames, size_t count) {
    if (bus)
        bus->driver->publish(bus, previous_id, frames, count);
}

void bus_whisper(struct bus *bus, const struct whisper *whisper) {
    if (bus)
        bus->driver->whisper(bus, whisper);
}

void bus_close(struct bus *bus) {
    if (bus)
        bus->driver->close(bus);
}

/* ---- Nobody to talk to ---- */

static struct bus local = { .driver = &bus_local };

static enum err local_open(const struct config *config, const uint8_t secret[32], const struct bus_listener *listener,
                           struct bus **ret_bus) {
    (void)config, (void)secret, (void)listener;
    *ret_bus = &local;
    return OK;
}

static void local_publish(struct bus *bus, uint64_t previous_id, struct frame *const *frames, size_t count) {
    (void)bus, (void)previous_id, (void)frames, (void)count;
}

static void local_whisper(struct bus *bus, const struct whisper *whisper) { (void)bus, (void)whisper; }

static void local_close(struct bus *bus) { (void)bus; }

const struct bus_driver bus_local = { .open = local_open, .publish = local_publish, .whisper = local_whisper, .close = local_close };
