/* The history chain: what members compare to know that they saw the same history. Pure.
 *
 *     body_hash = hash128(salt, text)        chain(n) = hash128(chain(n-1), seq, sender, body_hash)        chain(0) = zeroes
 *
 * With attachments body_hash = hash128(salt, text, 0x00, "ID:MD5", 0x00, "ID:MD5" ...): in their order, the id in decimal, the MD5 in lower-case hex.
 * seq and sender are 8 bytes, big-endian. Blanking a message takes text and salt away and leaves the hash, so the chain stays checkable. */
#pragma once

#include "db/model.h"

/* Sets message->chain and the chat's `chain` to the next value; the message is original. */
void chain_extend(uint8_t chain[HASH128_SIZE], struct message *message);
/* Turns the seal of an original message from its salt into its body hash; before the text is changed. */
void chain_seal(struct message *message);
/* Takes the content away (message_empty). What proves it stays; deleted_ms is set unless the message was deleted before. */
void chain_blank(struct message *message, int64_t deleted_ms);
/* Does so to a message that is past its own time, as readers show it and as the cleanup will leave it. */
void chain_expire(struct message *message, int64_t now_ms);
