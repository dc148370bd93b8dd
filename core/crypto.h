/* Hashes, secrets and their text forms, over OpenSSL. Thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define SHA256_SIZE 32
#define HASH128_SIZE 16
#define MD5_SIZE 16
#define TOKEN_BYTES 32
#define TOKEN_TEXT_SIZE 44 /* 43 characters of base64url and a NUL */
#define PASSWORD_HASH_SIZE 128

struct slice {
    const void *bytes;
    size_t size;
};

/* SHA-256 of the slices one after the other. */
void sha256(const struct slice *slices, size_t count, uint8_t out[SHA256_SIZE]);
/* The first 128 bits of the same. */
void hash128(const struct slice *slices, size_t count, uint8_t out[HASH128_SIZE]);
/* A key of HMAC-SHA-256 that is used often: what hashing it takes is done once. As secret as the key. */
struct hmac_key {
    uint32_t inner[SHA256_SIZE / 4], outer[SHA256_SIZE / 4];
};
void hmac_key_init(struct hmac_key *key, const void *bytes, size_t size);
void hmac_run(const struct hmac_key *key, const struct slice *slices, size_t count, uint8_t out[SHA256_SIZE]);
/* The same with a key that is used once. */
void hmac_sha256(const void *key, size_t key_size, const struct slice *slices, size_t count, uint8_t out[SHA256_SIZE]);

/* MD5, which storages use to check transfers (never for secrets), piece by piece. NULL: out of memory. */
struct md5;
struct md5 *md5_begin(void) MUST_USE;
void md5_add(struct md5 *md5, const void *bytes, size_t size);
void md5_end(struct md5 *md5, uint8_t out[MD5_SIZE]); /* frees it; `out` NULL: only that, and `md5` may be NULL, too */

/* RFC 4648, with padding. `out` has BASE64_SIZE(size) bytes. */
#define BASE64_SIZE(bytes) (((bytes) + 2) / 3 * 4 + 1)
void base64_encode(const void *bytes, size_t size, char *out);
/* True when `text` is the base64, and nothing else, of exactly `size` bytes. */
bool base64_decode(const char *text, size_t text_size, uint8_t *out, size_t size);
/* True when `text` is `size` bytes in hex, of either case. */
bool hex_decode(const char *text, size_t text_size, uint8_t *out, size_t size);

/* Compares in time that depends only on `size`. */
bool secret_equal(const void *a, const void *b, size_t size);

/* A fresh token of 256 random bits as base64url. */
void token_new(char out[TOKEN_TEXT_SIZE]);
/* SHA-256 of the token's text, the only form that is stored; false when `text` is not 43 characters of base64url. */
bool token_hash(const char *text, size_t size, uint8_t out[SHA256_SIZE]);

/* scrypt (RFC 7914), r = 8, p = 1, N = 2^cost, as "scrypt$<cost>$<salt>$<hash>" in base64url. Takes tens of milliseconds and
 * 128 * 8 * N bytes (32 MiB at cost 15): never on the request loop. ERR_NO_MEMORY or ERR_INTERNAL. */
enum err password_hash(const char *password, unsigned cost, char out[PASSWORD_HASH_SIZE]) MUST_USE;
/* Same work as hashing. `stored` NULL (no such user) does the work of `cost` and answers false, so that both take the same time. */
enum err password_verify(const char *password, const char *stored, unsigned cost, bool *ret_matches) MUST_USE;
