/* Places where a test build can break the product on purpose, to show that the tests notice.
 *
 * In the product `fault_is()` is the constant false and nothing of this remains. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef PARLEY_FAULTS
bool fault_is(const char *name);
int64_t fault_clock_offset_ms(void);
#else
#define fault_is(name) false
#endif
