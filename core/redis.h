/* One connection to a Redis: commands in a pipeline, or a subscription.
 *
 * It is opened when first needed, and again after it was lost, though never more than one attempt within a second: whoever uses it asks
 * redis_ready() and does without when the answer is no. Nothing waits for Redis longer than half a second at a time; the resolver of names may take
 * longer. What was lost and what is back is logged here, once each time, because nobody above could know that it is the same loss; the password is
 * never logged.
 *
 * One thread at a time per connection. The process ignores SIGPIPE. The only place that knows hiredis. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/err.h"

struct redis;

struct redis_argument {
    const void *bytes;
    size_t size;
};

#define REDIS_ARGUMENTS_MAX 16

static inline struct redis_argument redis_word(const char *word) { return (struct redis_argument){ word, strlen(word) }; }

enum redis_kind { REDIS_NIL, REDIS_INTEGER, REDIS_STRING, REDIS_ARRAY, REDIS_ERROR };

/* Belongs to the connection, until its next redis_receive() or redis_free(). */
struct redis_answer {
    enum redis_kind kind;
    int64_t integer;   /* REDIS_INTEGER */
    const char *bytes; /* REDIS_STRING, and the text of a REDIS_ERROR, whose first word is its code; with a NUL behind */
    size_t size;
    size_t count; /* elements of a REDIS_ARRAY: redis_element() */
    const void *elements;
};

/* `url` is redis://[user[:password]@]host[:port][/number][?password_file=PATH]; redis_url_problem() in core/redis_url.h says what is wrong with one,
 * which is ERR_CONFIG here. `purpose` is static: one word that the log tells which connection it was. Does not connect. */
enum err redis_new(const char *url, const char *purpose, struct redis **ret_redis) MUST_USE;
void redis_free(struct redis *redis); /* NULL is fine */

/* Is there a connection? Opens it when there is none and it is time to, up to the first step (to connect, to log in, to be greeted) that takes half a
 * second. After a loss a subscription is gone, and
 * so are the answers to commands that were sent. */
bool redis_ready(struct redis *redis);

/* All of these are for a connection that is ready. ERR_IO: it is lost, and closed; what was sent may have been done or not. */

/* Appends a command to the pipeline, which leaves with the next redis_receive(). At most REDIS_ARGUMENTS_MAX arguments, of which the first is the
 * command's name. */
enum err redis_send(struct redis *redis, const struct redis_argument *arguments, size_t count) MUST_USE;
/* The answer to the oldest command sent that was not received yet. An error that Redis answers is a REDIS_ERROR, and no error of this function. */
enum err redis_receive(struct redis *redis, struct redis_answer *ret_answer) MUST_USE;
/* One element of a REDIS_ARRAY; index < count. */
struct redis_answer redis_element(const struct redis_answer *array, size_t index);

/* Hears what is published to these channels (fewer than REDIS_ARGUMENTS_MAX) from now on, that is: what is published after this has returned. From then
 * on, until it is lost, the connection is for redis_next() alone. */
enum err redis_subscribe(struct redis *redis, const char *const *channels, size_t count) MUST_USE;
/* The next message; *ret_bytes is NULL when none came within `timeout_ms`. The bytes belong to the connection until the next call. A quiet
 * connection is tried out every second, so that one that is dead without anybody having said so is lost within two. */
enum err redis_next(struct redis *redis, int timeout_ms, const void **ret_bytes, size_t *ret_size) MUST_USE;

/* "parley:", 16 hex digits that follow from the installation's secret, and a NUL. Whatever Parley names in Redis begins with it, so that several
 * installations may share a Redis. */
#define REDIS_PREFIX_SIZE 24
void redis_prefix(const void *secret, size_t size, char out[REDIS_PREFIX_SIZE]);
