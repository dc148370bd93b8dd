/* Media of a run: objects that are uploaded as clients do it, and messages that refer to them. */
#pragma once

#include "bench.h"
#include "population.h"
#include "server.h"

/* Uploads `count` small objects by several connections at once, and posts messages with ten of them each. Main thread; blocks. */
enum outcome media_create(const struct server *server, const struct population *population, uint32_t count) MUST_USE;
