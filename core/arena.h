/* A capped arena: memory that lives as long as one request, one batch or one page.
 *
 * Allocations are freed all at once. Beyond the cap, or when the machine has no more, an allocation returns
 * NULL. Under AddressSanitizer freed and unused parts are poisoned. One thread at a time. */
#pragma once

#include <stddef.h>

#include "core/err.h"

struct arena {
    struct arena_block *blocks; /* newest first; owned */
    size_t used;                /* bytes handed out over all blocks */
    size_t cap;                 /* bytes that may be handed out */
};

#define ARENA_INIT(cap_bytes) \
    { NULL, 0, (cap_bytes) }

void arena_init(struct arena *arena, size_t cap_bytes);
/* Frees everything; the arena may be used again. */
void arena_release(struct arena *arena);
/* The same, but keeps a small block, if there is one, for what comes next. */
void arena_reset(struct arena *arena);
/* Zeroed memory aligned for any type, or NULL. */
void *arena_alloc(struct arena *arena, size_t size) MUST_USE;
/* `count` elements of `element_size` bytes each. */
void *arena_array(struct arena *arena, size_t element_size, size_t count) MUST_USE;
/* A NUL-terminated copy of `size` bytes, or NULL. */
char *arena_copy(struct arena *arena, const void *bytes, size_t size) MUST_USE;
char *arena_string(struct arena *arena, const char *string) MUST_USE;

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_array((arena), sizeof(type), (count)))
