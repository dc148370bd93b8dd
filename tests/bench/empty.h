/* What libmicrohttpd does at most: it answers 201 and nothing else to the requests of posts. A process of its own, for each load. Main thread. */
#pragma once

#include "bench.h"
#include "http_load.h"

#define EMPTY_CONNECTIONS 120 /* with exactly 128 ready at once it waits, and 256 come to that every few seconds */

enum outcome empty_load(const struct options *options, uint32_t connections, uint32_t seconds, struct load_result *ret_result) MUST_USE;
