/* Randomness for ids, tags, salts, tokens and jitter, from the kernel. Thread-safe. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Fills `out` with bytes fit for secrets. A kernel that cannot give any ends the process: nothing sane can
 * go on without. Small requests are served from a per-thread buffer. */
void random_bytes(void *out, size_t size);
uint64_t random_u64(void);
/* Uniform enough for jitter in [0, bound); bound > 0. */
uint64_t random_below(uint64_t bound);
