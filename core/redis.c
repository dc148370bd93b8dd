/* See redis.h. Waits by poll() rather than by hiredis' own blocking reads, which take a time that has run out for a broken connection. */
#include "core/redis.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/crypto.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/random.h"
#include "core/redis_url.h"

#define PATIENCE_MS 500 /* with a connection being made, and with an answer */
#define RETRY_MS 1000   /* between two attempts at least, and at most twice that */
#define QUIET_MS 1000   /* a subscription that has heard nothing for so long is tried out */
#define PASSWORD_BYTES 1024

struct redis {
    struct redis_url url;
    const char *purpose;
    redisContext *context; /* NULL: not connected */
    redisReply *reply;     /* what was handed out last */
    int64_t attempt_ms;    /* when the next attempt may be made */
    bool is_lost;          /* and the log says so */
    int64_t heard_ms;      /* when a subscription last heard anything */
    int64_t tried_ms;      /* when it was tried out since then; 0: it was not */
};

/* ---- Losing it ---- */

static void close_connection(struct redis *redis) {
    if (redis->reply != NULL)
        freeReplyObject(redis->reply);
    if (redis->context != NULL)
        redisFree(redis->context);
    redis->reply = NULL;
    redis->context = NULL;
}

static enum err lose(struct redis *redis, const char *problem) {
    if (!redis->is_lost)
        log_event(LOG_WARN, "redis_lost", "for=%s host=%s port=%u problem=\"%s\"", redis->purpose, redis->url.host, redis->url.port,
                  problem);
    redis->is_lost = true;
    close_connection(redis);
    return ERR_IO;
}

/* What hiredis found wrong, fit to stand between quotes. */
static enum err lose_by_error(struct redis *redis) {
    char problem[sizeof(redis->context->errstr)];
    snprintf(problem, sizeof(problem), "%s", redis->context == NULL ? "out of memory" : redis->context->errstr);
    for (char *quote = strchr(problem, '"'); quote != NULL; quote = strchr(quote, '"'))
        *quote = '\'';
    return lose(redis, problem);
}

/* What it is for works again: a server that greets, and then refuses, is not back. */
static void find(struct redis *redis) {
    if (redis->is_lost)
        log_event(LOG_INFO, "redis_back", "for=%s host=%s port=%u", redis->purpose, redis->url.host, redis->url.port);
    redis->is_lost = false;
}

/* ---- Commands and answers ---- */

enum err redis_send(struct redis *redis, const struct redis_argument *arguments, size_t count) {
    const char *texts[REDIS_ARGUMENTS_MAX];
    size_t sizes[REDIS_ARGUMENTS_MAX];
    assert(redis->context != NULL && count > 0 && count <= REDIS_ARGUMENTS_MAX);
    for (size_t i = 0; i < count; i++) {
        texts[i] = arguments[i].bytes;
        sizes[i] = arguments[i].size;
    }
    if (redisAppendCommandArgv(redis->context, (int)count, texts, sizes) != REDIS_OK)
        return lose_by_error(redis);
    return OK;
}

static enum err flush(struct redis *redis) {
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    int done = 0;
    while (!done) {
        if (redisBufferWrite(redis->context, &done) != REDIS_OK)
            return lose_by_error(redis);
        if (!done && clock_monotonic_ms() >= until_ms)
            return lose(redis, "does not take what is sent");
    }
    return OK;
}

/* Waits until there is something to read; false: nothing came. */
static bool wait_for_bytes(struct redis *redis, int64_t until_ms) {
    struct pollfd socket = { .fd = redis->context->fd, .events = POLLIN };
    for (;;) {
        int64_t left_ms = until_ms - clock_monotonic_ms();
        int ready = poll(&socket, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready >= 0 || errno != EINTR)
            return ready != 0;
    }
}

static enum err read_bytes(struct redis *redis) {
    if (redisBufferRead(redis->context) != REDIS_OK)
        return lose_by_error(redis);
    /* Nothing is read while a whole reply is there, so this is one reply, and a block that was read with it. */
    if (redis->context->reader->len - redis->context->reader->pos > LIMIT_REDIS_ANSWER_BYTES)
        return lose(redis, "an answer is too long");
    redis->heard_ms = clock_monotonic_ms();
    redis->tried_ms = 0;
    return OK;
}

static enum err take_reply(struct redis *redis) {
    void *reply = NULL;
    if (redisGetReplyFromReader(redis->context, &reply) != REDIS_OK)
        return lose_by_error(redis);
    redis->reply = reply;
    return OK;
}

/* redis->reply becomes the next one, or NULL when none was there at `until_ms`. */
static enum err await_reply(struct redis *redis, int64_t until_ms) {
    if (redis->reply != NULL)
        freeReplyObject(redis->reply);
    redis->reply = NULL;
    enum err err = take_reply(redis);
    while (err == OK && redis->reply == NULL && wait_for_bytes(redis, until_ms)) {
        err = read_bytes(redis);
        if (err == OK)
            err = take_reply(redis);
    }
    return err;
}

static struct redis_answer answer_of(const redisReply *reply) {
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        return (struct redis_answer){ .kind = REDIS_INTEGER, .integer = reply->integer };
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return (struct redis_answer){ .kind = REDIS_STRING, .bytes = reply->str, .size = reply->len };
    case REDIS_REPLY_ARRAY:
        return (struct redis_answer){ .kind = REDIS_ARRAY, .count = reply->elements, .elements = reply->element };
    case REDIS_REPLY_ERROR:
        return (struct redis_answer){ .kind = REDIS_ERROR, .bytes = reply->str, .size = reply->len };
    default:
        return (struct redis_answer){ .kind = REDIS_NIL };
    }
}

struct redis_answer redis_element(const struct redis_answer *array, size_t index) {
    redisReply *const *elements = array->elements;
    assert(array->kind == REDIS_ARRAY && index < array->count);
    return answer_of(elements[index]);
}

static enum err receive(struct redis *redis, struct redis_answer *ret_answer) {
    enum err err = flush(redis);
    if (err == OK)
        err = await_reply(redis, clock_monotonic_ms() + PATIENCE_MS);
    if (err != OK)
        return err;
    if (redis->reply == NULL)
        return lose(redis, "does not answer");
    *ret_answer = answer_of(redis->reply);
    return OK;
}

enum err redis_receive(struct redis *redis, struct redis_answer *ret_answer) {
    assert(redis->context != NULL);
    enum err err = receive(redis, ret_answer);
    if (err == OK)
        find(redis);
    return err;
}

/* ---- Connecting ---- */

/* One command of the greeting. Of an error only the code is told: its text may repeat what was sent. */
static enum err greet(struct redis *redis, const struct redis_argument *arguments, size_t count) {
    struct redis_answer answer = { 0 };
    char problem[64];
    enum err err = redis_send(redis, arguments, count);
    if (err == OK)
        err = receive(redis, &answer);
    if (err != OK || answer.kind != REDIS_ERROR)
        return err;
    snprintf(problem, sizeof(problem), "answers %.*s to %s", (int)strcspn(answer.bytes, " "), answer.bytes,
             (const char *)arguments[0].bytes);
    return lose(redis, problem);
}

/* The first line of the file. */
static enum err read_password(struct redis *redis, char password[PASSWORD_BYTES]) {
    int fd = open(redis->url.password_file, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, password, PASSWORD_BYTES - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (size < 0)
        return lose(redis, "password_file cannot be read");
    password[size] = '\0';
    password[strcspn(password, "\r\n")] = '\0';
    return OK;
}

static enum err log_in_with(struct redis *redis, const char *password) {
    const char *user = redis->url.user;
    if (*password == '\0')
        return OK;
    /* A server from before 6.0 takes the password alone. */
    if (*user == '\0')
        return greet(redis, (struct redis_argument[]){ redis_word("AUTH"), redis_word(password) }, 2);
    return greet(redis, (struct redis_argument[]){ redis_word("AUTH"), redis_word(user), redis_word(password) }, 3);
}

static enum err log_in(struct redis *redis) {
    char stored[PASSWORD_BYTES];
    if (redis->url.password_file == NULL)
        return log_in_with(redis, redis->url.password);
    enum err err = read_password(redis, stored);
    if (err == OK)
        err = log_in_with(redis, stored);
    explicit_bzero(stored, sizeof(stored));
    return err;
}

static enum err choose_database(struct redis *redis) {
    char number[16];
    if (redis->url.database == 0)
        return OK;
    snprintf(number, sizeof(number), "%u", redis->url.database);
    return greet(redis, (struct redis_argument[]){ redis_word("SELECT"), redis_word(number) }, 2);
}

static enum err connect_socket(struct redis *redis) {
    static const struct timeval PATIENCE = { .tv_usec = PATIENCE_MS * 1000 };
    redis->context = redisConnectWithTimeout(redis->url.host, (int)redis->url.port, PATIENCE);
    if (redis->context == NULL || redis->context->err != 0)
        return lose_by_error(redis);
    if (redisSetTimeout(redis->context, PATIENCE) != REDIS_OK || fcntl(redis->context->fd, F_SETFD, FD_CLOEXEC) != 0)
        return lose_by_error(redis);
    return OK;
}

static enum err connect_and_greet(struct redis *redis) {
    enum err err = connect_socket(redis);
    if (err == OK)
        err = log_in(redis);
    if (err == OK)
        err = choose_database(redis);
    /* One that still loads its data, or wants a password, says so now. */
    return err == OK ? greet(redis, (struct redis_argument[]){ redis_word("PING") }, 1) : err;
}

static bool has_hung_up(const struct redis *redis) {
    struct pollfd socket = { .fd = redis->context->fd, .events = POLLRDHUP };
    return poll(&socket, 1, 0) > 0;
}

bool redis_ready(struct redis *redis) {
    if (redis->context != NULL && has_hung_up(redis))
        (void)lose(redis, "has closed the connection");
    int64_t now_ms = clock_monotonic_ms();
    if (redis->context != NULL || now_ms < redis->attempt_ms)
        return redis->context != NULL;
    redis->attempt_ms = now_ms + RETRY_MS + (int64_t)random_below(RETRY_MS);
    return connect_and_greet(redis) == OK;
}

/* ---- Subscribing ---- */

/* Each channel is answered. */
static enum err receive_subscription(struct redis *redis) {
    struct redis_answer answer;
    enum err err = receive(redis, &answer);
    return err == OK && answer.kind != REDIS_ARRAY ? lose(redis, "refuses the subscription") : err;
}

enum err redis_subscribe(struct redis *redis, const char *const *channels, size_t count) {
    struct redis_argument arguments[REDIS_ARGUMENTS_MAX] = { redis_word("SUBSCRIBE") };
    assert(count < REDIS_ARGUMENTS_MAX);
    for (size_t i = 0; i < count; i++)
        arguments[i + 1] = redis_word(channels[i]);
    enum err err = redis_send(redis, arguments, count + 1);
    for (size_t i = 0; err == OK && i < count; i++)
        err = receive_subscription(redis);
    if (err == OK)
        find(redis);
    return err;
}

/* Asks a connection that has been quiet whether it is there; its answer is no message, but is heard. */
static enum err try_out(struct redis *redis) {
    enum err err = redis_send(redis, (struct redis_argument[]){ redis_word("PING") }, 1);
    if (err == OK)
        err = flush(redis);
    redis->tried_ms = clock_monotonic_ms();
    return err;
}

/* When a quiet connection is tried out, or, once it was, when it is given up. */
static int64_t quiet_until(const struct redis *redis) {
    return redis->tried_ms == 0 ? redis->heard_ms + QUIET_MS : redis->tried_ms + PATIENCE_MS;
}

static bool is_word(const redisReply *reply, const char *word) {
    return reply->type == REDIS_REPLY_STRING && reply->len == strlen(word) && memcmp(reply->str, word, reply->len) == 0;
}

/* ["message", channel, bytes] */
static const redisReply *message_of(const redisReply *reply) {
    bool is_message = reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && is_word(reply->element[0], "message");
    return is_message && reply->element[2]->type == REDIS_REPLY_STRING ? reply->element[2] : NULL;
}

/* One reply, or what is to be done when there is none at `until_ms`. */
static enum err hear(struct redis *redis, int64_t until_ms) {
    int64_t quiet_ms = quiet_until(redis);
    enum err err = await_reply(redis, until_ms < quiet_ms ? until_ms : quiet_ms);
    if (err != OK || redis->reply != NULL || clock_monotonic_ms() < quiet_until(redis))
        return err;
    return redis->tried_ms == 0 ? try_out(redis) : lose(redis, "is silent");
}

enum err redis_next(struct redis *redis, int timeout_ms, const void **ret_bytes, size_t *ret_size) {
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    const redisReply *message = NULL;
    assert(redis->context != NULL);
    do {
        enum err err = hear(redis, until_ms);
        if (err == OK && redis->reply != NULL && redis->reply->type == REDIS_REPLY_ERROR)
            err = lose(redis, "has ended the subscription");
        if (err != OK)
            return err;
        message = redis->reply != NULL ? message_of(redis->reply) : NULL;
    } while (message == NULL && clock_monotonic_ms() < until_ms);
    *ret_bytes = message != NULL ? message->str : NULL;
    *ret_size = message != NULL ? message->len : 0;
    return OK;
}

/* ---- Its life ---- */

enum err redis_new(const char *url, const char *purpose, struct redis **ret_redis) {
    const char *problem;
    struct redis *redis = calloc(1, sizeof(*redis));
    if (redis == NULL)
        return ERR_NO_MEMORY;
    enum err err = redis_url_parse(url, &redis->url, &problem);
    if (err != OK) {
        free(redis);
        return err;
    }
    redis->purpose = purpose;
    *ret_redis = redis;
    return OK;
}

void redis_free(struct redis *redis) {
    if (redis == NULL)
        return;
    close_connection(redis);
    redis_url_release(&redis->url);
    free(redis);
}

void redis_prefix(const void *secret, size_t size, char out[REDIS_PREFIX_SIZE]) {
    uint8_t mac[SHA256_SIZE];
    hmac_sha256(secret, size, &(struct slice){ "redis", 5 }, 1, mac);
    snprintf(out, REDIS_PREFIX_SIZE, "parley:%02x%02x%02x%02x%02x%02x%02x%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], mac[6],
             mac[7]);
}
