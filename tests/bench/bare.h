/* A server that does only what TCP makes it do, to compare with: to a POST of a length it answers 201 and so many bytes, and a GET it answers with frames of an event
 * stream that never end, as fast as the socket takes them. A process of its own. Main thread. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "bench.h"

#define BARE_BYTES_MAX 16384 /* of each of these */

struct bare_plan {
    uint32_t request_bytes; /* of a POST, head and body */
    uint32_t answer_bytes;  /* of its answer's body */
    uint32_t frame_bytes;
};

struct bare {
    pid_t pid; /* 0 when it does not run */
    uint16_t port;
};

/* Lengths beyond the maximum are cut down. */
enum outcome bare_start(const struct bare_plan *plan, struct bare *ret_bare) MUST_USE;
/* A zeroed one is fine. */
void bare_stop(struct bare *bare);
