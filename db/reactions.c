/* See reactions.h. Emoji hold no quotes, so that an item is found as it stands. */
#include "db/reactions.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

#define ITEM "{\"emoji\":\""
#define COUNT "\",\"count\":"
#define NEEDLE_SIZE (sizeof ITEM + sizeof COUNT + LIMIT_EMOJI_BYTES)

/* An item without its count and brace. */
static size_t make_needle(const char *emoji, char needle[NEEDLE_SIZE]) {
    size_t size = strnlen(emoji, LIMIT_EMOJI_BYTES);
    memcpy(needle, ITEM, sizeof ITEM - 1);
    memcpy(needle + sizeof ITEM - 1, emoji, size);
    memcpy(needle + sizeof ITEM - 1 + size, COUNT, sizeof COUNT);
    return sizeof ITEM - 1 + size + sizeof COUNT - 1;
}

/* The item's count as it stands; NULL: there is none. */
static const char *find(const struct message *message, const char *emoji, size_t *ret_needle_size) {
    char needle[NEEDLE_SIZE];
    size_t size = make_needle(emoji, needle);
    const char *found = message->reactions ? memmem(message->reactions, message->reactions_size, needle, size) : NULL;
    *ret_needle_size = size;
    return found ? found + size : NULL;
}

size_t reactions_kinds(const struct message *message) {
    const char *end = message->reactions + message->reactions_size;
    size_t kinds = 0;
    for (const char *at = message->reactions; at && (at = memmem(at, (size_t)(end - at), ITEM, sizeof ITEM - 1)); at++)
        kinds++;
    return kinds;
}

uint64_t reactions_count(const struct message *message, const char *emoji) {
    size_t needle_size;
    const char *count = find(message, emoji, &needle_size);
    return count ? strtoull(count, NULL, 10) : 0;
}

static void write_item(struct buf *buf, const char *emoji, uint64_t count) {
    char needle[NEEDLE_SIZE];
    if (count == 0)
        return;
    if (buf->size > 0)
        buf_char(buf, ',');
    buf_append(buf, needle, make_needle(emoji, needle));
    buf_u64(buf, count);
    buf_char(buf, '}');
}

/* Items, without the commas at their ends. */
static void write_items(struct buf *buf, const char *from, const char *end) {
    if (from < end && *from == ',')
        from++;
    if (from < end && end[-1] == ',')
        end--;
    if (from >= end)
        return;
    if (buf->size > 0)
        buf_char(buf, ',');
    buf_append(buf, from, (size_t)(end - from));
}

void reactions_change(const struct message *message, const char *emoji, uint64_t count, struct buf *buf) {
    const char *end = message->reactions ? message->reactions + message->reactions_size : NULL;
    size_t needle_size;
    const char *old = find(message, emoji, &needle_size);
    const char *item_end = old ? memchr(old, '}', (size_t)(end - old)) : NULL;
    write_items(buf, message->reactions, item_end ? old - needle_size : end);
    write_item(buf, emoji, count);
    if (item_end)
        write_items(buf, item_end + 1, end);
}
