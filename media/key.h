/* The keys of media in the storage: PREFIX ID '-' TOKEN. */
#pragma once

#include "media/storage.h"

#define MEDIA_KEY_TOKEN_BYTES 16

/* Writes the key of a media object. `prefix` is config->s3_prefix, also for the local storage. */
void media_key(const char *prefix, uint64_t media_id, const uint8_t token[MEDIA_KEY_TOKEN_BYTES], char out[STORAGE_KEY_SIZE]);
/* The id and the token that a key says; false when it is none of ours. */
bool media_key_parse(const char *prefix, const char *key, uint64_t *ret_media_id, uint8_t ret_token[MEDIA_KEY_TOKEN_BYTES]);
