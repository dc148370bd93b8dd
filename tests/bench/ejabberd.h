/* Durable messages by ejabberd: POST /api/send_message, kept in the archives of sender and receiver on MariaDB. Servers of its own, for each load. Main thread.
 *
 * It answers when it has handed a message on, not when it is on disk, so what is compared is what it has stored when the last answer came and its queues are
 * empty: rows in the archives over the time until they no longer grow. */
#pragma once

#include <stdbool.h>

#include "bench.h"
#include "http_load.h"

#define EJABBERD_CONNECTIONS 32 /* of many more it leaves some unanswered until a time-out of 15 seconds */
#define EJABBERD_SECONDS_MIN 5  /* in a load of one second it stores half as many a second */

struct ejabberd_result {
    struct load_result load;
    uint64_t stored; /* messages */
    double stored_per_second;
};

bool ejabberd_is_installed(void);
/* For so many seconds, but at least EJABBERD_SECONDS_MIN. */
enum outcome ejabberd_load(const struct options *options, uint32_t seconds, struct ejabberd_result *ret_result) MUST_USE;
