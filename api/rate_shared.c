/* See rate_shared.h. Owns the thread and the script.
 *
 * What makes the levels of nodes agree: the script counts what its caller and all others took until then. What this node took since is in the notes
 * of which Redis has not heard, and is subtracted; a note is put down in the same critical section in which its token is taken. */
#include "api/rate_shared.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/rate_notes.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/redis.h"

#define SHARE_INTERVAL_MS 20 /* between two times at which Redis is told, at least */
#define SCRIPT_HASH_SIZE 40
#define NAME_SIZE (REDIS_PREFIX_SIZE + sizeof(":rate:") + 2 * HASH128_SIZE)
#define NUMBER_SIZE 24
#define CODE_SIZE 32 /* the first word of what Redis answers, with a NUL */

/* A bucket is one number: the moment at which it is full, in microseconds of Redis' own clock. ARGV[1] is how long it takes until what was taken has
 * come back, ARGV[2] how long from the deepest debt until it is full. Answers how long that is from now. A clock that went back cannot make it longer. */
static const char SCRIPT[] = "local time = redis.call('TIME')\n"
                             "local now = time[1] * 1000000 + time[2]\n"
                             "local full = tonumber(redis.call('GET', KEYS[1])) or 0\n"
                             "full = math.min(math.max(full, now) + ARGV[1], now + ARGV[2])\n"
                             "redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))\n"
                             "return full - now\n";

struct rate_shared {
    struct rate *rate;
    uint8_t secret[SHA256_SIZE]; /* of the names of buckets */
    char prefix[REDIS_PREFIX_SIZE];
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on the monotonic clock */

    /* Under the mutex, and so is `rate`. */
    struct rate_notes *noting;
    bool stopping;

    /* The thread's. */
    struct rate_notes *sending;
    struct redis *redis;
    char script_hash[SCRIPT_HASH_SIZE]; /* by which Redis knows the script */
    bool has_script;
    char refusal[CODE_SIZE]; /* what Redis answers instead of levels; "": nothing */
};

/* ---- Taking ---- */

static void note(struct rate_shared *shared, uint64_t key, const struct rate_rule *rule, uint32_t taken) {
    bool is_first = shared->noting->count == 0;
    if (!rate_notes_add(shared->noting, key, rule, taken))
        metric_add(COUNTER_RATE_NOTES_DROPPED, taken);
    if (is_first)
        pthread_cond_signal(&shared->changed);
}

bool rate_shared_take(struct rate_shared *shared, uint64_t key, const struct rate_rule *rule, int64_t now_ms,
                      struct rate_state *ret_state) {
    pthread_mutex_lock(&shared->mutex);
    bool granted = rate_take(shared->rate, key, rule, now_ms, ret_state);
    if (granted)
        note(shared, key, rule, 1);
    pthread_mutex_unlock(&shared->mutex);
    return granted;
}

/* ---- Telling Redis ---- */

static void name_bucket(const struct rate_shared *shared, uint64_t key, char out[NAME_SIZE]) {
    static const char DIGITS[] = "0123456789abcdef";
    uint8_t mac[SHA256_SIZE];
    hmac_sha256(shared->secret, sizeof(shared->secret), &(struct slice){ &key, sizeof(key) }, 1, mac);
    char *end = stpcpy(stpcpy(out, shared->prefix), ":rate:");
    for (size_t i = 0; i < HASH128_SIZE; i++) {
        *end++ = DIGITS[mac[i] >> 4];
        *end++ = DIGITS[mac[i] & 15];
    }
    *end = '\0';
}

static double microseconds_for(double tokens, const struct rate_rule *rule) { return tokens / rule->per_ms * 1000; }

static struct redis_argument number(double value, char out[NUMBER_SIZE]) {
    snprintf(out, NUMBER_SIZE, "%.0f", value);
    return redis_word(out);
}

static enum err send_note(struct rate_shared *shared, const struct rate_note *note) {
    char name[NAME_SIZE], back[NUMBER_SIZE], longest[NUMBER_SIZE];
    name_bucket(shared, note->key, name);
    const struct redis_argument arguments[] = {
        redis_word("EVALSHA"),
        { shared->script_hash, SCRIPT_HASH_SIZE },
        redis_word("1"),
        redis_word(name),
        number(microseconds_for(note->taken, &note->rule), back),
        number(microseconds_for(2 * note->rule.burst, &note->rule), longest),
    };
    return redis_send(shared->redis, arguments, sizeof(arguments) / sizeof(arguments[0]));
}

static void refused(struct rate_shared *shared, const struct redis_answer *answer) {
    const char *text = answer->kind == REDIS_ERROR ? answer->bytes : "no_level";
    snprintf(shared->refusal, CODE_SIZE, "%.*s", (int)strcspn(text, " "), text);
}

/* What the shared bucket holds is the most that ours may hold, once what we took since then is subtracted. */
static void hear_level(struct rate_shared *shared, const struct rate_note *note, int64_t full_in_us) {
    double longest_us = microseconds_for(2 * note->rule.burst, &note->rule);
    double us = full_in_us < 0 ? 0 : (double)full_in_us < longest_us ? (double)full_in_us : longest_us;
    double level = note->rule.burst - us * note->rule.per_ms / 1000;
    pthread_mutex_lock(&shared->mutex);
    level -= rate_notes_taken(shared->noting, note->key);
    rate_cap(shared->rate, note->key, &note->rule, level, clock_monotonic_ms());
    pthread_mutex_unlock(&shared->mutex);
    metric_add(COUNTER_RATE_NOTES_SENT, 1);
}

/* Redis has forgotten the script: the note is told again with the next ones. */
static void note_again(struct rate_shared *shared, const struct rate_note *again) {
    shared->has_script = false;
    pthread_mutex_lock(&shared->mutex);
    note(shared, again->key, &again->rule, again->taken);
    pthread_mutex_unlock(&shared->mutex);
}

static enum err receive_answer(struct rate_shared *shared, const struct rate_note *note) {
    struct redis_answer answer;
    enum err err = redis_receive(shared->redis, &answer);
    if (err != OK)
        return err;
    if (answer.kind == REDIS_INTEGER)
        hear_level(shared, note, answer.integer);
    else if (answer.kind == REDIS_ERROR && strncmp(answer.bytes, "NOSCRIPT", 8) == 0)
        note_again(shared, note);
    else
        refused(shared, &answer);
    return OK;
}

static enum err load_script(struct rate_shared *shared) {
    struct redis_answer answer;
    enum err err = redis_send(shared->redis, (struct redis_argument[]){ redis_word("SCRIPT"), redis_word("LOAD"), redis_word(SCRIPT) }, 3);
    if (err == OK)
        err = redis_receive(shared->redis, &answer);
    if (err != OK)
        return err;
    shared->has_script = answer.kind == REDIS_STRING && answer.size == SCRIPT_HASH_SIZE;
    if (shared->has_script)
        memcpy(shared->script_hash, answer.bytes, SCRIPT_HASH_SIZE);
    else
        refused(shared, &answer);
    return OK;
}

/* All in one pipeline. */
static enum err send_notes(struct rate_shared *shared) {
    const struct rate_notes *notes = shared->sending;
    enum err err = OK;
    for (size_t i = 0; err == OK && i < notes->count; i++)
        err = send_note(shared, &notes->items[i]);
    for (size_t i = 0; err == OK && i < notes->count; i++)
        err = receive_answer(shared, &notes->items[i]);
    return err;
}

/* Once when it begins, and once when it is over. */
static void log_refusal(const struct rate_shared *shared, const char *before) {
    if (*before == '\0' && *shared->refusal != '\0')
        log_event(LOG_WARN, "rates_refused", "answer=%s meaning=\"each node limits by itself\"", shared->refusal);
    if (*before != '\0' && *shared->refusal == '\0')
        log_event(LOG_INFO, "rates_shared", "%s", "");
}

/* What cannot be told now is left out: it is soon so old that it has come back. */
static void share(struct rate_shared *shared) {
    char before[CODE_SIZE];
    if (!redis_ready(shared->redis))
        return;
    memcpy(before, shared->refusal, CODE_SIZE);
    shared->refusal[0] = '\0';
    enum err err = shared->has_script ? OK : load_script(shared);
    if (err == OK && shared->has_script)
        err = send_notes(shared);
    if (err != OK)
        memcpy(shared->refusal, before, CODE_SIZE);
    log_refusal(shared, before);
}

/* ---- The thread ---- */

/* `sending` becomes what was noted; false: it is time to end. */
static bool take_notes(struct rate_shared *shared, const struct timespec *until) {
    pthread_mutex_lock(&shared->mutex);
    int timed_out = 0;
    while (!shared->stopping && timed_out == 0)
        timed_out = pthread_cond_timedwait(&shared->changed, &shared->mutex, until);
    while (!shared->stopping && shared->noting->count == 0)
        pthread_cond_wait(&shared->changed, &shared->mutex);
    struct rate_notes *noted = shared->noting;
    shared->noting = shared->sending;
    shared->sending = noted;
    bool stopping = shared->stopping;
    pthread_mutex_unlock(&shared->mutex);
    return !stopping;
}

static void *run(void *context) {
    struct rate_shared *shared = context;
    struct timespec until = clock_deadline(0);
    while (take_notes(shared, &until)) {
        until = clock_deadline(SHARE_INTERVAL_MS);
        share(shared);
        rate_notes_clear(shared->sending);
    }
    return NULL;
}

/* ---- Its life ---- */

static void release(struct rate_shared *shared) {
    redis_free(shared->redis);
    free(shared->noting);
    free(shared->sending);
    pthread_cond_destroy(&shared->changed);
    pthread_mutex_destroy(&shared->mutex);
    explicit_bzero(shared->secret, sizeof(shared->secret));
    free(shared);
}

static void make_locks(struct rate_shared *shared) {
    pthread_condattr_t attributes;
    pthread_mutex_init(&shared->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&shared->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static enum err make_parts(struct rate_shared *shared, const char *url) {
    shared->noting = calloc(1, sizeof(*shared->noting));
    shared->sending = calloc(1, sizeof(*shared->sending));
    if (shared->noting == NULL || shared->sending == NULL)
        return ERR_NO_MEMORY;
    enum err err = redis_new(url, "rates", &shared->redis);
    if (err == OK && pthread_create(&shared->thread, NULL, run, shared) != 0)
        err = ERR_NO_MEMORY;
    return err;
}

enum err rate_shared_start(const struct config *config, const void *secret, size_t size, struct rate *rate,
                           struct rate_shared **ret_shared) {
    *ret_shared = NULL;
    if (*config->redis == '\0' || !config->rate_limit)
        return OK;
    struct rate_shared *shared = calloc(1, sizeof(*shared));
    if (shared == NULL)
        return ERR_NO_MEMORY;
    shared->rate = rate;
    hmac_sha256(secret, size, &(struct slice){ "rate names", 10 }, 1, shared->secret);
    redis_prefix(secret, size, shared->prefix);
    make_locks(shared);
    enum err err = make_parts(shared, config->redis);
    if (err != OK) {
        release(shared);
        return err;
    }
    pthread_setname_np(shared->thread, "parley-rates");
    *ret_shared = shared;
    return OK;
}

void rate_shared_stop(struct rate_shared *shared) {
    if (shared == NULL)
        return;
    pthread_mutex_lock(&shared->mutex);
    shared->stopping = true;
    pthread_cond_signal(&shared->changed);
    pthread_mutex_unlock(&shared->mutex);
    pthread_join(shared->thread, NULL);
    release(shared);
}
