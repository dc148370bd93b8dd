/* See random.h. The only caller of getrandom(). */
#include "core/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Random bytes fetched ahead, so that a tag or a salt costs no system call. */
struct reserve {
    uint8_t bytes[512];
    size_t left; /* unused bytes, at the end */
};

static _Thread_local struct reserve reserve;

static void fill_from_kernel(void *out, size_t size) {
    uint8_t *next = out;
    while (size > 0) {
        ssize_t got = getrandom(next, size, 0);
        if (got < 0 && errno != EINTR)
            abort();
        if (got > 0) {
            next += got;
            size -= (size_t)got;
        }
    }
}

void random_bytes(void *out, size_t size) {
    if (size > sizeof(reserve.bytes) / 4) {
        fill_from_kernel(out, size);
        return;
    }
    if (reserve.left < size) {
        fill_from_kernel(reserve.bytes, sizeof(reserve.bytes));
        reserve.left = sizeof(reserve.bytes);
    }
    uint8_t *next = reserve.bytes + sizeof(reserve.bytes) - reserve.left;
    memcpy(out, next, size);
    /* Bytes that became a secret must not stay behind. */
    memset(next, 0, size);
    reserve.left -= size;
}

uint64_t random_u64(void) {
    uint64_t number;
    random_bytes(&number, sizeof(number));
    return number;
}

uint64_t random_below(uint64_t bound) { return (uint64_t)((unsigned __int128)random_u64() * bound >> 64); }
