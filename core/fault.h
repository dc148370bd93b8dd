/* Places where a test build can break the product on purpose, to show that the tests notice.
 *
 * In the product `fault_is()` is the constant false and nothing of this remains. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef PARLEY_FAULTS
bool fault_is(const char *name);
/* While this fault is on, call number PARLEY_FAULT_AT (from 1, over all threads) ends the process as kill -9 does. */
void fault_die_at(const char *name);
/* The same, but it stops the process as a machine that hangs does, until somebody lets it go on (SIGCONT). */
void fault_freeze_at(const char *name);
int64_t fault_clock_offset_ms(void);
#else
#define fault_is(name) false
#define fault_die_at(name) ((void)0)
#define fault_freeze_at(name) ((void)0)
#endif
