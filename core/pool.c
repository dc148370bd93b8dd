/* See pool.h. */
#include "core/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

#define CHUNK_ELEMENTS 512u

void pool_init(struct pool *pool, size_t element_size) {
    assert(element_size >= sizeof(void *) && element_size % sizeof(void *) == 0);
    *pool = (struct pool){ .element_size = element_size };
}

void pool_release(struct pool *pool) {
    for (uint32_t i = 0; i < pool->chunk_count; i++) {
        ASAN_UNPOISON_MEMORY_REGION(pool->chunks[i], CHUNK_ELEMENTS * pool->element_size);
        free(pool->chunks[i]);
    }
    free(pool->chunks);
    pool_init(pool, pool->element_size);
}

/* False: out of memory. */
static bool add_chunk(struct pool *pool) {
    char **chunks = realloc(pool->chunks, (pool->chunk_count + 1) * sizeof(*chunks));
    if (chunks == NULL)
        return false;
    pool->chunks = chunks;
    chunks[pool->chunk_count] = malloc(CHUNK_ELEMENTS * pool->element_size);
    if (chunks[pool->chunk_count] == NULL)
        return false;
    ASAN_POISON_MEMORY_REGION(chunks[pool->chunk_count], CHUNK_ELEMENTS * pool->element_size);
    pool->chunk_count++;
    return true;
}

void *pool_at(const struct pool *pool, uint32_t number) {
    uint32_t index = number - 1;
    return pool->chunks[index / CHUNK_ELEMENTS] + index % CHUNK_ELEMENTS * pool->element_size;
}

/* NULL: none was. */
static void *take_given_back(struct pool *pool) {
    void *element = pool->given_back;
    if (element == NULL)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(element, pool->element_size);
    memcpy(&pool->given_back, element, sizeof(pool->given_back));
    return element;
}

static void *take_new(struct pool *pool) {
    if (pool->begun == pool->chunk_count * CHUNK_ELEMENTS && !add_chunk(pool))
        return NULL;
    void *element = pool_at(pool, ++pool->begun);
    ASAN_UNPOISON_MEMORY_REGION(element, pool->element_size);
    return element;
}

void *pool_take(struct pool *pool) {
    void *element = take_given_back(pool);
    if (element == NULL)
        element = take_new(pool);
    return element != NULL ? memset(element, 0, pool->element_size) : NULL;
}

void pool_give_back(struct pool *pool, void *element) {
    memcpy(element, &pool->given_back, sizeof(pool->given_back));
    pool->given_back = element;
    ASAN_POISON_MEMORY_REGION(element, pool->element_size);
}

uint32_t pool_number(const struct pool *pool, const void *element) {
    size_t chunk_size = CHUNK_ELEMENTS * pool->element_size;
    for (uint32_t i = 0; i < pool->chunk_count; i++) {
        uintptr_t offset = (uintptr_t)element - (uintptr_t)pool->chunks[i]; /* of one that is before the chunk: huge */
        if (offset < chunk_size)
            return i * CHUNK_ELEMENTS + (uint32_t)(offset / pool->element_size) + 1;
    }
    return 0;
}
