/* See crypto.h. The only file that knows OpenSSL.
 *
 * SHA-256 is called by its own functions, which OpenSSL 3 deprecates for those by EVP: these allocate and free a context each time, which for texts as short
 * as ours takes as long as hashing (121 and 65 ns for a token), and they cannot go on from a state that is kept. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/crypto.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"

#define SALT_SIZE 16 /* of new hashes, and the longest */
#define PASSWORD_KEY_SIZE 32
#define SCRYPT_R 8
#define SCRYPT_P 1
#define SCRYPT_COST_MAX 24

/* Characters of base64url for so many bytes, and a NUL. */
#define BASE64URL_SIZE(bytes) (((bytes)*4 + 2) / 3 + 1)

/* ---- Hashes: nothing here has a way to fail. ---- */

static void hash_slices(SHA256_CTX *context, const struct slice *slices, size_t count) {
    for (size_t i = 0; i < count; i++)
        SHA256_Update(context, slices[i].bytes, slices[i].size);
}

void sha256(const struct slice *slices, size_t count, uint8_t out[SHA256_SIZE]) {
    SHA256_CTX context;
    SHA256_Init(&context);
    hash_slices(&context, slices, count);
    SHA256_Final(out, &context);
}

void hash128(const struct slice *slices, size_t count, uint8_t out[HASH128_SIZE]) {
    uint8_t whole[SHA256_SIZE];
    sha256(slices, count, whole);
    memcpy(out, whole, HASH128_SIZE);
}

/* ---- HMAC (RFC 2104) ---- */

static_assert(sizeof(((struct hmac_key *)NULL)->inner) == sizeof(((SHA256_CTX *)NULL)->h), "a key holds the states of hashes");

/* The state after the block that is the key, each byte with `pad`. */
static void hash_pad(const uint8_t key[SHA256_CBLOCK], uint8_t pad, uint32_t ret_state[8]) {
    uint8_t padded[SHA256_CBLOCK];
    SHA256_CTX context;
    for (size_t i = 0; i < sizeof(padded); i++)
        padded[i] = key[i] ^ pad;
    SHA256_Init(&context);
    SHA256_Update(&context, padded, sizeof(padded));
    memcpy(ret_state, context.h, sizeof(context.h));
    OPENSSL_cleanse(padded, sizeof(padded));
    OPENSSL_cleanse(&context, sizeof(context));
}

void hmac_key_init(struct hmac_key *key, const void *bytes, size_t size) {
    uint8_t block[SHA256_CBLOCK] = { 0 };
    if (size > sizeof(block))
        sha256(&(struct slice){ bytes, size }, 1, block);
    else if (size > 0)
        memcpy(block, bytes, size);
    hash_pad(block, 0x36, key->inner);
    hash_pad(block, 0x5c, key->outer);
    OPENSSL_cleanse(block, sizeof(block));
}

/* Goes on after the block that made the state. */
static void hash_on(const uint32_t state[8], const struct slice *slices, size_t count, uint8_t out[SHA256_SIZE]) {
    SHA256_CTX context;
    SHA256_Init(&context);
    memcpy(context.h, state, sizeof(context.h));
    context.Nl = SHA256_CBLOCK * 8; /* bits */
    hash_slices(&context, slices, count);
    SHA256_Final(out, &context);
    OPENSSL_cleanse(&context, sizeof(context));
}

void hmac_run(const struct hmac_key *key, const struct slice *slices, size_t count, uint8_t out[SHA256_SIZE]) {
    uint8_t inner[SHA256_SIZE];
    hash_on(key->inner, slices, count, inner);
    hash_on(key->outer, &(struct slice){ inner, sizeof(inner) }, 1, out);
}

void hmac_sha256(const void *key, size_t key_size, const struct slice *slices, size_t count, uint8_t out[SHA256_SIZE]) {
    struct hmac_key prepared;
    hmac_key_init(&prepared, key, key_size);
    hmac_run(&prepared, slices, count, out);
    OPENSSL_cleanse(&prepared, sizeof(prepared));
}

bool secret_equal(const void *a, const void *b, size_t size) { return CRYPTO_memcmp(a, b, size) == 0; }

/* ---- MD5 ---- */

struct md5 {
    EVP_MD_CTX *context;
};

struct md5 *md5_begin(void) {
    struct md5 *md5 = malloc(sizeof(*md5));
    if (md5 == NULL)
        return NULL;
    md5->context = EVP_MD_CTX_new();
    if (md5->context != NULL && EVP_DigestInit_ex(md5->context, EVP_md5(), NULL) == 1)
        return md5;
    md5_end(md5, NULL);
    return NULL;
}

void md5_add(struct md5 *md5, const void *bytes, size_t size) {
    if (EVP_DigestUpdate(md5->context, bytes, size) != 1)
        abort();
}

void md5_end(struct md5 *md5, uint8_t out[MD5_SIZE]) {
    if (md5 == NULL)
        return;
    if (out != NULL && EVP_DigestFinal_ex(md5->context, out, NULL) != 1)
        abort();
    EVP_MD_CTX_free(md5->context);
    free(md5);
}

/* ---- base64 (RFC 4648): section 5, without padding, for what is ours; section 4, with it, for what others read ---- */

#define ALPHANUMERIC "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char base64url_alphabet[] = ALPHANUMERIC "-_";
static const char base64_alphabet[] = ALPHANUMERIC "+/";

/* Writes the characters without padding or NUL; returns their end. */
static char *encode(const char *alphabet, const uint8_t *bytes, size_t size, char *out) {
    uint32_t bits = 0;
    unsigned count = 0; /* bits waiting, below 6 */
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | bytes[i];
        for (count += 8; count >= 6; count -= 6)
            *out++ = alphabet[bits >> (count - 6) & 63];
    }
    if (count > 0)
        *out++ = alphabet[bits << (6 - count) & 63];
    return out;
}

/* The value of a character, or -1. Alphabets differ in their last two. */
static int value_of(const char *alphabet, char character) {
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    return character == alphabet[62] ? 62 : character == alphabet[63] ? 63 : -1;
}

/* Reads exactly `size` bytes from exactly the text that encodes them, without padding; false for anything else. */
static bool decode(const char *alphabet, const char *text, size_t text_size, uint8_t *out, size_t size) {
    if (text_size != BASE64URL_SIZE(size) - 1)
        return false;
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < text_size; i++) {
        int value = value_of(alphabet, text[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *out++ = (uint8_t)(bits >> count);
        }
    }
    return (bits & ((1u << count) - 1)) == 0; /* bits to spare are zero: one text per value */
}

/* Writes the text and a NUL, BASE64URL_SIZE(size) in all. */
static void base64url_encode(const uint8_t *bytes, size_t size, char *out) { *encode(base64url_alphabet, bytes, size, out) = '\0'; }

static int base64url_value(char character) { return value_of(base64url_alphabet, character); }

static bool base64url_decode(const char *text, size_t text_size, uint8_t *out, size_t size) {
    return decode(base64url_alphabet, text, text_size, out, size);
}

void base64_encode(const void *bytes, size_t size, char *out) {
    char *end = encode(base64_alphabet, bytes, size, out);
    while ((end - out) % 4 != 0)
        *end++ = '=';
    *end = '\0';
}

bool base64_decode(const char *text, size_t text_size, uint8_t *out, size_t size) {
    size_t plain_size = BASE64URL_SIZE(size) - 1, padding = (4 - plain_size % 4) % 4;
    return text_size == plain_size + padding && memcmp(text + plain_size, "==", padding) == 0 &&
           decode(base64_alphabet, text, plain_size, out, size);
}

/* ---- Hex ---- */

/* The value of a digit, or -1. */
static int hex_value(char character) {
    if (character >= '0' && character <= '9')
        return character - '0';
    int letter = character | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

bool hex_decode(const char *text, size_t text_size, uint8_t *out, size_t size) {
    if (text_size % 2 != 0 || text_size / 2 != size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* ---- Tokens ---- */

void token_new(char out[TOKEN_TEXT_SIZE]) {
    uint8_t bytes[TOKEN_BYTES];
    random_bytes(bytes, sizeof(bytes));
    base64url_encode(bytes, sizeof(bytes), out);
    OPENSSL_cleanse(bytes, sizeof(bytes));
}

bool token_hash(const char *text, size_t size, uint8_t out[SHA256_SIZE]) {
    if (size != TOKEN_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < size; i++)
        if (base64url_value(text[i]) < 0)
            return false;
    sha256(&(struct slice){ text, size }, 1, out);
    return true;
}

/* ---- Passwords ---- */

struct password_record {
    unsigned cost; /* log2 of N */
    uint8_t salt[SALT_SIZE];
    size_t salt_size;
    uint8_t key[PASSWORD_KEY_SIZE];
};

/* Fills in the key from the password and the record's cost and salt. */
static enum err derive(const char *password, struct password_record *record) {
    uint64_t n = UINT64_C(1) << record->cost, r = SCRYPT_R, p = SCRYPT_P;
    uint64_t memory = 128 * r * (n + p) + (1 << 20); /* what scrypt needs, and a margin for OpenSSL's own count */
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)(uintptr_t)password, strlen(password)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, record->salt, record->salt_size),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *scrypt = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *context = scrypt == NULL ? NULL : EVP_KDF_CTX_new(scrypt);
    bool is_done = context != NULL && EVP_KDF_derive(context, record->key, sizeof(record->key), parameters) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(scrypt);
    /* All parameters are ours and in range: what is left to fail is the memory. */
    return is_done ? OK : ERR_NO_MEMORY;
}

enum err password_hash(const char *password, unsigned cost, char out[PASSWORD_HASH_SIZE]) {
    struct password_record record = { .cost = cost, .salt_size = SALT_SIZE };
    char salt[BASE64URL_SIZE(SALT_SIZE)], key[BASE64URL_SIZE(PASSWORD_KEY_SIZE)];

    if (cost == 0 || cost > SCRYPT_COST_MAX)
        return ERR_INTERNAL;
    random_bytes(record.salt, sizeof(record.salt));
    enum err err = derive(password, &record);
    if (err != OK)
        return err;

    base64url_encode(record.salt, sizeof(record.salt), salt);
    base64url_encode(record.key, sizeof(record.key), key);
    snprintf(out, PASSWORD_HASH_SIZE, "scrypt$%u$%s$%s", cost, salt, key);
    OPENSSL_cleanse(&record, sizeof(record));
    return OK;
}

static bool parse_record(const char *stored, struct password_record *ret_record) {
    struct password_record record;
    int salt_start = 0, salt_end = 0;
    if (sscanf(stored, "scrypt$%2u$%n%*[^$]%n", &record.cost, &salt_start, &salt_end) != 1 || salt_end == 0)
        return false;
    if (record.cost == 0 || record.cost > SCRYPT_COST_MAX || stored[salt_end] != '$')
        return false;

    const char *key = stored + salt_end + 1;
    size_t salt_text_size = (size_t)(salt_end - salt_start);
    record.salt_size = salt_text_size * 3 / 4;
    if (record.salt_size > sizeof(record.salt))
        return false;
    if (!base64url_decode(stored + salt_start, salt_text_size, record.salt, record.salt_size) ||
        !base64url_decode(key, strlen(key), record.key, sizeof(record.key)))
        return false;
    *ret_record = record;
    return true;
}

enum err password_verify(const char *password, const char *stored, unsigned cost, bool *ret_matches) {
    struct password_record record = { .cost = cost, .salt_size = SALT_SIZE };
    if (cost == 0 || cost > SCRYPT_COST_MAX || (stored != NULL && !parse_record(stored, &record)))
        return ERR_INTERNAL;

    struct password_record attempt = record;
    enum err err = derive(password, &attempt);
    if (err != OK)
        return err;
    bool is_equal = secret_equal(attempt.key, record.key, sizeof(record.key));
    *ret_matches = stored != NULL && is_equal;
    OPENSSL_cleanse(&attempt, sizeof(attempt));
    return OK;
}
