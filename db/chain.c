/* See db/chain.h. */
#include "db/chain.h"

#include <string.h>

static void big_endian(uint64_t number, uint8_t out[8]) {
    for (int i = 7; i >= 0; i--, number >>= 8)
        out[i] = (uint8_t)number;
}

static void body_hash(const struct message *message, uint8_t out[HASH128_SIZE]) {
    const char *text = message->text ? message->text : "";
    hash128((struct slice[]){ { message->seal, HASH128_SIZE }, { text, message->text_size } }, 2, out);
}

void chain_extend(uint8_t chain[HASH128_SIZE], struct message *message) {
    uint8_t seq[8], sender[8], hash[HASH128_SIZE];
    big_endian(message->seq, seq);
    big_endian(message->sender_id, sender);
    body_hash(message, hash);
    hash128((struct slice[]){ { chain, HASH128_SIZE }, { seq, sizeof seq }, { sender, sizeof sender }, { hash, sizeof hash } }, 4,
            message->chain);
    memcpy(chain, message->chain, HASH128_SIZE);
}

void chain_seal(struct message *message) {
    if (!message->original)
        return;
    uint8_t hash[HASH128_SIZE];
    body_hash(message, hash);
    memcpy(message->seal, hash, sizeof hash);
    message->original = false;
}
