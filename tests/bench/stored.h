/* Very many messages in a server's SQLite database, written as the server would have written them, while it does not run: by SQL, because posting ten million
 * takes longer than measuring what they cost. Main thread. */
#pragma once

#include <stdint.h>

#include "bench.h"
#include "population.h"
#include "server.h"

struct stored_plan {
    uint64_t message_count;
    uint64_t in_first_chat; /* of them; the others are spread over the other chats */
    uint32_t text_bytes;
};

/* Appends the messages to the log, and as many idempotency keys; `ret_first_id` is the first chat's first message. */
enum outcome stored_fill(const struct server *server, const struct population *population, const struct stored_plan *plan,
                         uint64_t *ret_first_id) MUST_USE;
