/* See db/chain.h. */
#include "db/chain.h"

#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "core/limits.h"

static void big_endian(uint64_t number, uint8_t out[8]) {
    for (int i = 7; i >= 0; i--, number >>= 8)
        out[i] = (uint8_t)number;
}

#define ID_KEY "{\"id\":\""
#define MD5_KEY "\"md5\":\""
#define LINK_SIZE (ID_TEXT_SIZE + 2 * MD5_SIZE + 2) /* 0x00 ID : MD5, and a NUL */

/* Goes past `text` and returns what follows it, or NULL. Quotes inside values are escaped, so that keys are found as they stand. */
static const char *after(const char *from, const char *end, const char *text) {
    const char *found = from ? memmem(from, (size_t)(end - from), text, strlen(text)) : NULL;
    return found ? found + strlen(text) : NULL;
}

/* Reads id and MD5 out of rendered attachments (render_attachment): in each, both come before a thumbnail's; and before an object's brace is a comma
 * only when it stands in the list. Returns how many. */
static size_t read_links(const struct message *message, char links[][LINK_SIZE], struct slice *slices) {
    const char *end = message->attachments + message->attachments_size;
    const char *id = after(message->attachments, end, ID_KEY);
    size_t count = 0;
    while (id && count < LIMIT_ATTACHMENTS) {
        const char *md5 = after(id, end, MD5_KEY);
        int id_size = (int)strcspn(id, "\"");
        if (!md5 || id_size >= ID_TEXT_SIZE)
            break;
        int size = snprintf(links[count], LINK_SIZE, "%c%.*s:%.*s", '\0', id_size, id, 2 * MD5_SIZE, md5);
        slices[count] = (struct slice){ links[count], (size_t)size };
        count++;
        id = after(md5, end, "," ID_KEY);
    }
    return count;
}

static void body_hash(const struct message *message, uint8_t out[HASH128_SIZE]) {
    char links[LIMIT_ATTACHMENTS][LINK_SIZE];
    struct slice slices[2 + LIMIT_ATTACHMENTS] = { { message->seal, HASH128_SIZE },
                                                   { message->text ? message->text : "", message->text_size } };
    size_t count = message->attachments ? read_links(message, links, slices + 2) : 0;
    hash128(slices, 2 + count, out);
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

void chain_blank(struct message *message, int64_t deleted_ms) {
    chain_seal(message);
    message_empty(message);
    if (!message->deleted_ms)
        message->deleted_ms = deleted_ms;
}

void chain_expire(struct message *message, int64_t now_ms) {
    if (message->expires_ms && message->expires_ms <= now_ms && !message->deleted_ms)
        chain_blank(message, message->expires_ms);
}
