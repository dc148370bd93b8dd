/* The goals, and how far this run is from them: the last table of the report. Main thread. */
#pragma once

#include "bench.h"

/* One line for each goal: what was measured, what it is compared with in the same run, their ratio, and met or not. What this run did not measure is left out
 * when it ran only some scenarios. */
void goals_print(const struct options *options);
