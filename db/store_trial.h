/* Whether the database takes writes again.
 *
 * While it does not, /readyz says so, and whoever goes by that sends no commands any more: the next one cannot be what finds out. The writer's thread only. */
#pragma once

#include "db/store_internal.h"

/* Commits a change that leaves everything as it was. Any error of the database. */
enum err store_trial(struct store *store) MUST_USE;
