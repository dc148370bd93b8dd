/* Owns the table of token buckets. Takes the time as an argument. */
#include "api/rate.h"

#include <stdlib.h>
#include <string.h>

#include "core/crypto.h"
#include "core/limits.h"

#define NEIGHBOURHOOD 8 /* slots in which a key may be */

static_assert((LIMIT_RATE_BUCKETS & (LIMIT_RATE_BUCKETS - 1)) == 0, "slots are chosen by a mask");

struct bucket {
    uint64_t key;  /* 0: free */
    double tokens; /* below 0: a debt to other nodes */
    int64_t updated_ms;
    float missing_per_burst; /* how empty it was: what decides who is given up */
};

struct rate {
    uint64_t seed;
    struct bucket *buckets; /* LIMIT_RATE_BUCKETS */
};

static uint64_t seed_of(const void *secret, size_t size) {
    uint8_t mac[SHA256_SIZE];
    uint64_t seed;
    hmac_sha256(secret, size, &(struct slice){ "rates", 5 }, 1, mac);
    memcpy(&seed, mac, sizeof(seed));
    return seed;
}

enum err rate_new(const void *secret, size_t size, struct rate **ret_rate) {
    struct rate *rate = calloc(1, sizeof(*rate));
    if (rate == NULL)
        return ERR_NO_MEMORY;
    rate->buckets = calloc(LIMIT_RATE_BUCKETS, sizeof(*rate->buckets));
    if (rate->buckets == NULL) {
        free(rate);
        return ERR_NO_MEMORY;
    }
    rate->seed = seed_of(secret, size);
    *ret_rate = rate;
    return OK;
}

void rate_free(struct rate *rate) {
    if (rate == NULL)
        return;
    free(rate->buckets);
    free(rate);
}

/* The finisher of splitmix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t rate_key(const struct rate *rate, enum rate_kind kind, const void *bytes, uint32_t size) {
    uint64_t hash = mix(rate->seed + ((uint64_t)size << 8 | (uint64_t)kind) * UINT64_C(0x9e3779b97f4a7c15));
    const uint8_t *in = bytes;
    while (size > 0) {
        uint64_t word = 0;
        uint32_t part = size < sizeof(word) ? size : (uint32_t)sizeof(word);
        memcpy(&word, in, part);
        hash = mix(hash ^ word);
        in += part;
        size -= part;
    }
    return hash | 1;
}

uint64_t rate_address_key(const struct rate *rate, enum rate_kind kind, const uint8_t address[16]) {
    static const uint8_t MAPPED[12] = { [10] = 0xff, [11] = 0xff };
    return rate_key(rate, kind, address, memcmp(address, MAPPED, sizeof(MAPPED)) == 0 ? 16 : 8);
}

static struct bucket *slot(struct rate *rate, uint64_t key, size_t step) {
    return &rate->buckets[((key >> 1) + step) & (LIMIT_RATE_BUCKETS - 1)];
}

/* The key's bucket; a new one starts full, in a free slot or in that of the fullest neighbour. */
static struct bucket *find_or_make(struct rate *rate, uint64_t key, const struct rate_rule *rule, int64_t now_ms) {
    struct bucket *place = slot(rate, key, 0);
    for (size_t step = 0; step < NEIGHBOURHOOD; step++) {
        struct bucket *bucket = slot(rate, key, step);
        if (bucket->key == key)
            return bucket;
        if (place->key != 0 && (bucket->key == 0 || bucket->missing_per_burst < place->missing_per_burst))
            place = bucket;
    }
    *place = (struct bucket){ .key = key, .tokens = rule->burst, .updated_ms = now_ms };
    return place;
}

static void refill(struct bucket *bucket, const struct rate_rule *rule, int64_t now_ms) {
    /* Who waited for a lock comes with a time from before: no millisecond counts twice. */
    if (now_ms <= bucket->updated_ms)
        return;
    bucket->tokens += (double)(now_ms - bucket->updated_ms) * rule->per_ms;
    if (bucket->tokens > rule->burst)
        bucket->tokens = rule->burst;
    bucket->updated_ms = now_ms;
}

static void note_missing(struct bucket *bucket, const struct rate_rule *rule) {
    bucket->missing_per_burst = (float)((rule->burst - bucket->tokens) / rule->burst);
}

void rate_cap(struct rate *rate, uint64_t key, const struct rate_rule *rule, double level, int64_t now_ms) {
    for (size_t step = 0; step < NEIGHBOURHOOD; step++) {
        struct bucket *bucket = slot(rate, key, step);
        if (bucket->key != key)
            continue;
        refill(bucket, rule, now_ms);
        bucket->tokens = bucket->tokens < level ? bucket->tokens : level;
        note_missing(bucket, rule);
    }
}

static uint32_t seconds_for(double tokens, const struct rate_rule *rule) {
    if (tokens <= 0)
        return 0;
    double seconds = tokens / rule->per_ms / 1000;
    uint32_t whole = (uint32_t)seconds;
    return seconds > whole ? whole + 1 : whole;
}

bool rate_take(struct rate *rate, uint64_t key, const struct rate_rule *rule, int64_t now_ms, struct rate_state *ret_state) {
    struct bucket *bucket = find_or_make(rate, key, rule, now_ms);
    refill(bucket, rule, now_ms);
    bool granted = bucket->tokens >= 1;
    if (granted)
        bucket->tokens -= 1;
    note_missing(bucket, rule);
    *ret_state = (struct rate_state){
        .limit = (uint32_t)rule->burst,
        .remaining = bucket->tokens > 0 ? (uint32_t)bucket->tokens : 0,
        .reset_s = seconds_for(rule->burst - bucket->tokens, rule),
        .retry_s = seconds_for(1 - bucket->tokens, rule),
    };
    if (ret_state->retry_s == 0)
        ret_state->retry_s = 1;
    return granted;
}
