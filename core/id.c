/* See id.h. */
#include "core/id.h"

#include <string.h>

#define NODE_SHIFT ID_SEQUENCE_BITS
#define TIME_SHIFT (ID_SEQUENCE_BITS + ID_NODE_BITS)
#define SEQUENCE_MASK ((UINT64_C(1) << ID_SEQUENCE_BITS) - 1)

void id_generator_init(struct id_generator *generator, uint32_t node, uint64_t floor) {
    generator->node = node & (ID_NODE_COUNT - 1);
    generator->last = floor >> TIME_SHIFT << ID_SEQUENCE_BITS | (floor & SEQUENCE_MASK);
}

uint64_t id_next(struct id_generator *generator, int64_t now_ms) {
    uint64_t now = now_ms > ID_EPOCH_MS ? (uint64_t)(now_ms - ID_EPOCH_MS) << ID_SEQUENCE_BITS : 0;
    /* One more than the last also carries a used-up sequence over into the next millisecond. */
    generator->last = now > generator->last ? now : generator->last + 1;

    uint64_t ms = generator->last >> ID_SEQUENCE_BITS;
    uint64_t sequence = generator->last & SEQUENCE_MASK;
    return ms << TIME_SHIFT | (uint64_t)generator->node << NODE_SHIFT | sequence;
}

int64_t id_generator_time_ms(const struct id_generator *generator) { return (int64_t)(generator->last >> ID_SEQUENCE_BITS) + ID_EPOCH_MS; }

uint64_t id_last_of(int64_t time_ms) {
    uint64_t since_epoch_ms = time_ms > ID_EPOCH_MS ? (uint64_t)(time_ms - ID_EPOCH_MS) : 0;
    return (since_epoch_ms << TIME_SHIFT | ((UINT64_C(1) << TIME_SHIFT) - 1)) & ID_MAX;
}

bool id_parse(const char *text, size_t size, uint64_t *ret_id) {
    if (size == 0 || size >= ID_TEXT_SIZE || text[0] == '0')
        return false;

    uint64_t id = 0; /* 19 digits stay below 2^64 */
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        id = id * 10 + (uint64_t)(text[i] - '0');
    }
    if (id > ID_MAX)
        return false;
    *ret_id = id;
    return true;
}

size_t id_format(uint64_t id, char out[ID_TEXT_SIZE]) {
    char digits[20];
    size_t first = sizeof(digits);
    do {
        digits[--first] = (char)('0' + id % 10);
        id /= 10;
    } while (id > 0);

    size_t size = sizeof(digits) - first;
    if (size >= ID_TEXT_SIZE) /* no id has 20 digits */
        size = ID_TEXT_SIZE - 1;
    memcpy(out, digits + first, size);
    out[size] = '\0';
    return size;
}
