/* Who may open a stream: the caps, and the devices whose sessions ended a moment ago. The hub's thread only. */
#pragma once

#include "core/config.h"
#include "core/map.h"
#include "stream/hub.h"
#include "stream/index.h"
#include "stream/notice.h"

struct gate {
    const struct config *config;
    size_t streams_max;
    size_t streams;        /* admitted and not yet left */
    struct map addresses;  /* address hash → how many streams */
    struct map removed;    /* device id → enum closing */
    uint64_t *removed_ids; /* the last LIMIT_REMOVED_DEVICES of them, in a circle; owned */
    size_t removed_next;
};

enum err gate_init(struct gate *gate, const struct config *config) MUST_USE;
void gate_release(struct gate *gate);

/* Whether the stream may open; CLOSING_NONE: yes. `listener` is the user's, or NULL. */
enum closing gate_judge(const struct gate *gate, const struct listener *listener, const struct stream_request *request);
/* Counts a stream from its opening to its end. */
enum err gate_enter(struct gate *gate, uint64_t address_hash) MUST_USE;
void gate_leave(struct gate *gate, uint64_t address_hash);

/* A device's session ended: streams whose session was checked before, and which open after, are turned away. */
void gate_remove_device(struct gate *gate, uint64_t device_id, enum closing reason);
