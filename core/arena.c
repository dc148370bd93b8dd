/* See arena.h. */
#include "core/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

#define BLOCK_BYTES_MIN 4096
#define BLOCK_BYTES_MAX (1024 * 1024) /* larger only for an allocation that is itself larger */
#define ALIGNMENT alignof(max_align_t)

struct arena_block {
    struct arena_block *older;
    size_t size; /* bytes of `memory` */
    size_t used;
    alignas(ALIGNMENT) uint8_t memory[];
};

void arena_init(struct arena *arena, size_t cap_bytes) { *arena = (struct arena)ARENA_INIT(cap_bytes); }

/* Frees the blocks that are newer than `until`; NULL: all. */
static void free_blocks(struct arena *arena, const struct arena_block *until) {
    while (arena->blocks != until) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->older;
        ASAN_UNPOISON_MEMORY_REGION(block->memory, block->size);
        free(block);
    }
    arena->used = 0;
}

void arena_release(struct arena *arena) { free_blocks(arena, NULL); }

void arena_reset(struct arena *arena) {
    struct arena_block *oldest = arena->blocks;
    while (oldest != NULL && oldest->older != NULL)
        oldest = oldest->older;
    bool is_small = oldest != NULL && oldest->size + sizeof(*oldest) <= BLOCK_BYTES_MIN;
    free_blocks(arena, is_small ? oldest : NULL);
    if (!is_small)
        return;
    oldest->used = 0;
    ASAN_POISON_MEMORY_REGION(oldest->memory, oldest->size);
}

/* Each block is twice the one before, so that a large request costs few of them. */
static size_t next_block_size(const struct arena *arena, size_t needed) {
    size_t size = BLOCK_BYTES_MIN - sizeof(struct arena_block);
    if (arena->blocks != NULL && arena->blocks->size < BLOCK_BYTES_MAX)
        size = arena->blocks->size * 2;
    else if (arena->blocks != NULL)
        size = BLOCK_BYTES_MAX;
    return size < needed ? needed : size;
}

static struct arena_block *add_block(struct arena *arena, size_t needed) {
    size_t size = next_block_size(arena, needed);
    size_t total;
    struct arena_block *block = __builtin_add_overflow(sizeof(*block), size, &total) ? NULL : malloc(total);
    if (block == NULL)
        return NULL;
    block->older = arena->blocks;
    block->size = size;
    block->used = 0;
    arena->blocks = block;
    ASAN_POISON_MEMORY_REGION(block->memory, size);
    return block;
}

void *arena_alloc(struct arena *arena, size_t size) {
    /* An arena never gives the same address twice, not even for nothing. */
    size_t wanted = size == 0 ? 1 : size;
    size_t rounded = (wanted + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (rounded < wanted || rounded > arena->cap - arena->used)
        return NULL;

    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < rounded)
        block = add_block(arena, rounded);
    if (block == NULL)
        return NULL;

    uint8_t *memory = block->memory + block->used;
    block->used += rounded;
    arena->used += rounded;
    /* What alignment added stays poisoned: reading past the end is noticed to the byte. */
    ASAN_UNPOISON_MEMORY_REGION(memory, wanted);
    memset(memory, 0, wanted);
    return memory;
}

void *arena_array(struct arena *arena, size_t element_size, size_t count) {
    size_t size;
    return __builtin_mul_overflow(element_size, count, &size) ? NULL : arena_alloc(arena, size);
}

char *arena_copy(struct arena *arena, const void *bytes, size_t size) {
    if (size == SIZE_MAX)
        return NULL;
    char *copy = arena_alloc(arena, size + 1);
    if (copy != NULL && size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

char *arena_string(struct arena *arena, const char *string) { return arena_copy(arena, string, strlen(string)); }
