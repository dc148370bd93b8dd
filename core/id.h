/* Ids of users, chats, devices and media, and the text form of every id.
 *
 * 63 bits: 41 of milliseconds since 2024-01-01 UTC, 10 of node, 12 of sequence. Ids of one node strictly increase:
 * when the clock goes back, or a millisecond's 4,096 are used up, the generator goes on from the last one it gave.
 *
 * Ids of messages and events are the log's: position << 16 | the random tag of the commit that wrote them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_EPOCH_MS INT64_C(1704067200000)
#define ID_NODE_BITS 10
#define ID_SEQUENCE_BITS 12
#define ID_NODE_COUNT (1u << ID_NODE_BITS)
#define ID_TAG_BITS 16
#define ID_MAX ((uint64_t)INT64_MAX)
#define ID_TEXT_SIZE 20 /* 19 digits and a NUL */

struct id_generator {
    uint64_t last; /* milliseconds << 12 | sequence of the last id given */
    uint32_t node;
};

/* `floor` is the largest id that anybody is known to have given with this node (0: none): ids continue above it. */
void id_generator_init(struct id_generator *generator, uint32_t node, uint64_t floor);
/* Not thread-safe: the writer owns the generator. */
uint64_t id_next(struct id_generator *generator, int64_t now_ms);
/* The time in the last id given; the epoch when there was none. */
int64_t id_generator_time_ms(const struct id_generator *generator);
/* The largest id of that time, whatever its node: a floor above which ids are later. A time before the epoch is the epoch. */
uint64_t id_last_of(int64_t time_ms);

/* Reads a decimal id of 1..2^63-1 without sign or leading zero; false for anything else. */
bool id_parse(const char *text, size_t size, uint64_t *ret_id);
size_t id_format(uint64_t id, char out[ID_TEXT_SIZE]);

static inline uint64_t log_id(uint64_t position, uint16_t tag) { return position << ID_TAG_BITS | tag; }
static inline uint64_t log_position(uint64_t id) { return id >> ID_TAG_BITS; }
