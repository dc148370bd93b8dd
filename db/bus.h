/* The bus: what this node commits, said to the other nodes of the same database, and what they say.
 *
 * It is a hint, and nothing depends on it: it may lose, delay, repeat and reorder. Whoever misses something reads the database (db/follow.h).
 * Drivers are behind a table: `local` where there is nobody to talk to, `redis` (db/bus_redis.c). */
#pragma once

#include "core/config.h"
#include "db/envelope.h"

struct bus;

/* Called on the bus's own thread. */
struct bus_listener {
    void *context;
    /* Another node's envelope, borrowed; NULL: something that could not be read. */
    void (*hear)(void *context, const struct envelope *envelope);
    /* From now on everything that is said is heard, or no longer. At first it is not. */
    void (*hearing)(void *context, bool hearing);
    /* Another node's whisper, borrowed. */
    void (*whisper)(void *context, const struct whisper *whisper);
};

struct bus_driver {
    /* Connects later, and again whenever that is lost. ERR_NO_MEMORY. */
    enum err (*open)(const struct config *config, const uint8_t secret[32], const struct bus_listener *listener, struct bus **ret_bus);
    /* Says what was committed, after it was. Never blocks; holds the frames it keeps. One thread at a time. */
    void (*publish)(struct bus *bus, uint64_t previous_id, struct frame *const *frames, size_t count);
    /* Says what streams of other nodes are told, too, or counts it as dropped. Never blocks. Any thread. */
    void (*whisper)(struct bus *bus, const struct whisper *whisper);
    /* Says what still waits, if that is possible at once, and ends. The listener is not called afterwards. */
    void (*close)(struct bus *bus);
};

/* The first member of every driver's own. */
struct bus {
    const struct bus_driver *driver;
};

extern const struct bus_driver bus_local, bus_redis;

/* By the driver that the settings name. `secret` is the database's; `config` must outlive the bus. */
enum err bus_open(const struct config *config, const uint8_t secret[32], const struct bus_listener *listener,
                  struct bus **ret_bus) MUST_USE;
/* NULL is fine for all three. */
void bus_publish(struct bus *bus, uint64_t previous_id, struct frame *const *frames, size_t count);
void bus_whisper(struct bus *bus, const struct whisper *whisper);
void bus_close(struct bus *bus);
