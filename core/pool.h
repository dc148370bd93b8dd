/* A pool: elements of one size, in chunks, for what there are very many of: an element costs its own bytes and nothing for the allocator, and neighbours
 * share pages. Memory that was needed once stays with the pool. Under AddressSanitizer what was given back cannot be touched. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool {
    char **chunks; /* owned */
    size_t element_size;
    uint32_t chunk_count;
    uint32_t begun;   /* elements that were ever taken */
    void *given_back; /* a list through their first bytes */
};

/* `element_size` is a multiple of a pointer's size, which is also how elements are aligned. */
void pool_init(struct pool *pool, size_t element_size);
/* Frees all elements. */
void pool_release(struct pool *pool);
/* A zeroed element, or NULL when out of memory. */
void *pool_take(struct pool *pool);
void pool_give_back(struct pool *pool, void *element);
/* Elements have numbers from 1 on, for those who have no room for a pointer. Finding one's number walks over the chunks. */
uint32_t pool_number(const struct pool *pool, const void *element);
void *pool_at(const struct pool *pool, uint32_t number);
