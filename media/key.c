/* See key.h. Owns nothing. */
#include "media/key.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "core/limits.h"

#define TOKEN_TEXT_BYTES (2 * MEDIA_KEY_TOKEN_BYTES)

static_assert(LIMIT_KEY_PREFIX_BYTES + ID_TEXT_SIZE + TOKEN_TEXT_BYTES < STORAGE_KEY_SIZE, "every prefix leaves room for the rest");

void media_key(const char *prefix, uint64_t media_id, const uint8_t token[MEDIA_KEY_TOKEN_BYTES], char out[STORAGE_KEY_SIZE]) {
    char text[TOKEN_TEXT_BYTES + 1];
    for (size_t i = 0; i < MEDIA_KEY_TOKEN_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", token[i]);
    int size = snprintf(out, STORAGE_KEY_SIZE, "%s%" PRIu64 "-%s", prefix, media_id, text);
    assert(size < STORAGE_KEY_SIZE);
    (void)size;
}

bool media_key_parse(const char *prefix, const char *key, uint64_t *ret_media_id, uint8_t ret_token[MEDIA_KEY_TOKEN_BYTES]) {
    uint64_t media_id;
    uint8_t token[MEDIA_KEY_TOKEN_BYTES];
    char again[STORAGE_KEY_SIZE];
    size_t prefix_size = strlen(prefix);
    if (strncmp(key, prefix, prefix_size) != 0)
        return false;
    const char *own = key + prefix_size, *dash = strchr(own, '-');
    if (dash == NULL || !id_parse(own, (size_t)(dash - own), &media_id) || !hex_decode(dash + 1, strlen(dash + 1), token, sizeof(token)))
        return false;

    media_key(prefix, media_id, token, again);
    if (strcmp(key, again) != 0) /* one key for one object: not in upper case, too */
        return false;
    *ret_media_id = media_id;
    memcpy(ret_token, token, sizeof(token));
    return true;
}
