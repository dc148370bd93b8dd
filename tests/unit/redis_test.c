/* Connections to Redis: against a peer that misbehaves, and, where PARLEY_TEST_REDIS names a server, against that. */
#include "core/redis.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/limits.h"
#include "tests/unit/unhurried.h"
#include "tests/unit/unit.h"

#define RETRY_MS 1000 /* a lost connection is not made again sooner */
#define SOON_MS 15000
#define TRIALS 5

#define WORDS(...) (struct redis_argument[]){ __VA_ARGS__ }, COUNT_OF(((struct redis_argument[]){ __VA_ARGS__ }))

/* ---- A peer that answers what it was told to ---- */

/* To the first thing that it reads on a connection the first answer, and so on; NULL: it is silent from then on. "": it hangs up. */
struct peer {
    const char *const *answers;
    int listener;
    char url[64];
    pthread_t thread;
    _Atomic int accepted;
};

static void send_all(int socket, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        size -= (size_t)sent;
    }
}

static void converse(const struct peer *peer, int socket) {
    char read_bytes[4096];
    const char *const *answer = peer->answers;
    while (recv(socket, read_bytes, sizeof(read_bytes), 0) > 0) {
        if (*answer == NULL)
            continue;
        if (**answer == '\0')
            return;
        send_all(socket, *answer, strlen(*answer));
        answer++;
    }
}

static void *run_peer(void *context) {
    struct peer *peer = context;
    int socket;
    while ((socket = accept(peer->listener, NULL, NULL)) >= 0) {
        peer->accepted++;
        converse(peer, socket);
        close(socket);
    }
    return NULL;
}

static void start_peer(struct peer *peer, const char *const *answers) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    *peer = (struct peer){ .answers = answers, .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(peer->listener, 8), 0);
    assert_int_equal(getsockname(peer->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(peer->url, sizeof(peer->url), "redis://:hunter2@127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&peer->thread, NULL, run_peer, peer), 0);
}

/* After redis_free(), so that no conversation goes on. */
static void stop_peer(struct peer *peer) {
    shutdown(peer->listener, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    close(peer->listener);
}

/* ---- What is logged ---- */

struct captured {
    int before;
    int file;
    char text[4096];
};

static void capture(struct captured *captured) {
    char path[] = "/tmp/redis_test.XXXXXX";
    captured->before = dup(STDERR_FILENO);
    captured->file = mkstemp(path);
    unlink(path);
    dup2(captured->file, STDERR_FILENO);
}

static void release(struct captured *captured) {
    dup2(captured->before, STDERR_FILENO);
    ssize_t size = pread(captured->file, captured->text, sizeof(captured->text) - 1, 0);
    captured->text[size > 0 ? size : 0] = '\0';
    close(captured->file);
    close(captured->before);
}

static int count_of(const char *text, const char *word) {
    int count = 0;
    for (const char *found = strstr(text, word); found != NULL; found = strstr(found + 1, word))
        count++;
    return count;
}

/* ---- Losing the peer ---- */

static struct redis *connect_to(const char *url) {
    struct redis *redis;
    assert_int_equal(redis_new(url, "test", &redis), OK);
    assert_true(redis_ready(redis));
    return redis;
}

/* One is made when the connection is first asked for, another only when it is asked for again late. */
static int attempts_since(int64_t begin_ms) { return clock_monotonic_ms() - begin_ms < RETRY_MS ? 1 : 2; }

/* Sends one command to a peer with the answers, which begin with those to AUTH and PING, and expects to lose it. */
static void assert_lost(const char *const *answers, bool is_silent, const char *reason) {
    struct peer peer;
    struct captured captured;
    struct redis_answer answer;
    start_peer(&peer, answers);
    capture(&captured);
    int64_t begin_ms = clock_monotonic_ms();
    struct redis *redis = connect_to(peer.url);
    poll_hurries = is_silent;
    assert_int_equal(redis_send(redis, WORDS(redis_word("GET"), redis_word("x"))), OK);
    assert_int_equal(redis_receive(redis, &answer), ERR_IO);
    poll_hurries = false;
    bool again = redis_ready(redis);
    int attempts = attempts_since(begin_ms);
    redis_free(redis);
    release(&captured);
    stop_peer(&peer);
    assert_in_range(peer.accepted, 1, attempts);
    assert_int_equal(again, peer.accepted == 2); /* else it is too early */
    assert_int_equal(count_of(captured.text, "redis_lost"), 1);
    assert_non_null(strstr(captured.text, reason));
    assert_null(strstr(captured.text, "hunter2"));
}

static void who_hangs_up_is_lost(void **state) {
    (void)state;
    assert_lost((const char *const[]){ "+OK\r\n", "+PONG\r\n", "" }, false, "closed");
}

static void who_answers_half_is_lost(void **state) {
    (void)state;
    assert_lost((const char *const[]){ "+OK\r\n", "+PONG\r\n", "$10\r\nhalf", NULL }, true, "does not answer");
}

static void who_speaks_something_else_is_lost(void **state) {
    (void)state;
    assert_lost((const char *const[]){ "+OK\r\n", "+PONG\r\n", "HTTP/1.0 400 Bad Request\r\n\r\n", NULL }, false,
                "Protocol error, got 'H'");
}

static void who_answers_too_much_is_lost(void **state) {
    (void)state;
    char *long_answer = malloc(LIMIT_REDIS_ANSWER_BYTES + 64 * 1024);
    int head = sprintf(long_answer, "$%d\r\n", LIMIT_REDIS_ANSWER_BYTES * 2);
    memset(long_answer + head, 'x', LIMIT_REDIS_ANSWER_BYTES + 32 * 1024);
    long_answer[head + LIMIT_REDIS_ANSWER_BYTES + 32 * 1024] = '\0';
    assert_lost((const char *const[]){ "+OK\r\n", "+PONG\r\n", long_answer, NULL }, false, "too long");
    free(long_answer);
}

/* A server where AUTH was renamed repeats what it was sent. */
static void a_password_that_is_refused_is_not_logged(void **state) {
    (void)state;
    static const char *const ANSWERS[] = { "-ERR unknown command `AUTH`, with args beginning with: `hunter2`\r\n", NULL };
    struct peer peer;
    struct captured captured;
    struct redis *redis;
    start_peer(&peer, ANSWERS);
    capture(&captured);
    assert_int_equal(redis_new(peer.url, "test", &redis), OK);
    int64_t begin_ms = clock_monotonic_ms();
    assert_false(redis_ready(redis));
    assert_false(redis_ready(redis));
    int attempts = attempts_since(begin_ms);
    redis_free(redis);
    release(&captured);
    stop_peer(&peer);
    assert_in_range(peer.accepted, 1, attempts);
    assert_int_equal(count_of(captured.text, "redis_lost"), 1);
    assert_non_null(strstr(captured.text, "answers ERR to AUTH"));
    assert_null(strstr(captured.text, "hunter2"));
}

static void a_subscription_that_falls_silent_is_lost_soon(void **state) {
    (void)state;
    static const char *const ANSWERS[] = { "+OK\r\n", "+PONG\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n", NULL };
    struct peer peer;
    struct captured captured;
    const void *bytes;
    size_t size;
    start_peer(&peer, ANSWERS);
    capture(&captured);
    struct redis *redis = connect_to(peer.url);
    assert_int_equal(redis_subscribe(redis, (const char *const[]){ "x" }, 1), OK);
    poll_hurries = true;
    int64_t begin_ms = clock_monotonic_ms();
    assert_int_equal(redis_next(redis, 20, &bytes, &size), OK);
    assert_null(bytes);
    assert_int_equal(redis_next(redis, HANG_MS, &bytes, &size), ERR_IO);
    assert_true(clock_monotonic_ms() - begin_ms < SOON_MS);
    poll_hurries = false;
    redis_free(redis);
    release(&captured);
    stop_peer(&peer);
    assert_non_null(strstr(captured.text, "is silent"));
}

static void where_nobody_listens_there_is_no_connection(void **state) {
    (void)state;
    struct peer peer;
    struct captured captured;
    struct redis *redis;
    start_peer(&peer, (const char *const[]){ NULL });
    stop_peer(&peer);
    capture(&captured);
    assert_int_equal(redis_new(peer.url, "test", &redis), OK);
    assert_false(redis_ready(redis));
    assert_false(redis_ready(redis));
    redis_free(redis);
    release(&captured);
    assert_int_equal(count_of(captured.text, "redis_lost for=test host=127.0.0.1"), 1);
    assert_null(strstr(captured.text, "hunter2"));
}

static void a_prefix_follows_from_the_secret(void **state) {
    (void)state;
    char one[REDIS_PREFIX_SIZE], same[REDIS_PREFIX_SIZE], other[REDIS_PREFIX_SIZE];
    redis_prefix("secret", 6, one);
    redis_prefix("secret", 6, same);
    redis_prefix("Secret", 6, other);
    assert_int_equal(strlen(one), 7 + 16);
    assert_int_equal(strncmp(one, "parley:", 7), 0);
    assert_string_equal(one, same);
    assert_string_not_equal(one, other);
}

/* ---- A real server ---- */

static const char *server_url(void) {
    const char *url = getenv("PARLEY_TEST_REDIS");
    if (url == NULL)
        skip();
    return url;
}

static struct redis_answer ask(struct redis *redis, const struct redis_argument *arguments, size_t count) {
    struct redis_answer answer;
    assert_int_equal(redis_send(redis, arguments, count), OK);
    assert_int_equal(redis_receive(redis, &answer), OK);
    return answer;
}

static void answers_are_of_their_kind(void **state) {
    (void)state;
    struct redis *redis = connect_to(server_url());
    struct redis_argument bytes = { "a\0b\r\n", 5 };
    assert_int_equal(ask(redis, WORDS(redis_word("SET"), redis_word("redis_test"), bytes)).kind, REDIS_STRING);
    struct redis_answer answer = ask(redis, WORDS(redis_word("GET"), redis_word("redis_test")));
    assert_int_equal(answer.kind, REDIS_STRING);
    assert_int_equal(answer.size, 5);
    assert_memory_equal(answer.bytes, "a\0b\r\n", 5);
    answer = ask(redis, WORDS(redis_word("INCR"), redis_word("redis_test")));
    assert_int_equal(answer.kind, REDIS_ERROR);
    assert_int_equal(strncmp(answer.bytes, "ERR ", 4), 0);
    answer = ask(redis, WORDS(redis_word("MGET"), redis_word("redis_test"), redis_word("redis_test_none")));
    assert_int_equal(answer.kind, REDIS_ARRAY);
    assert_int_equal(answer.count, 2);
    assert_int_equal(redis_element(&answer, 0).size, 5);
    assert_int_equal(redis_element(&answer, 1).kind, REDIS_NIL);
    answer = ask(redis, WORDS(redis_word("DEL"), redis_word("redis_test")));
    assert_int_equal(answer.kind, REDIS_INTEGER);
    assert_int_equal(answer.integer, 1);
    redis_free(redis);
}

static void answers_of_a_pipeline_come_in_its_order(void **state) {
    (void)state;
    struct redis *redis = connect_to(server_url());
    struct redis_answer answer;
    char text[16];
    for (int i = 0; i < 10000; i++) {
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(redis_send(redis, WORDS(redis_word("ECHO"), redis_word(text))), OK);
    }
    for (int i = 0; i < 10000; i++) {
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(redis_receive(redis, &answer), OK);
        assert_string_equal(answer.bytes, text);
    }
    redis_free(redis);
}

static void publish(struct redis *redis, const void *bytes, size_t size) {
    struct redis_argument message = { bytes, size };
    assert_int_equal(ask(redis, WORDS(redis_word("PUBLISH"), redis_word("redis_test"), message)).integer, 1);
}

static void a_subscription_hears_what_is_published(void **state) {
    (void)state;
    struct redis *publisher = connect_to(server_url());
    struct redis *subscriber = connect_to(server_url());
    size_t big_size = 300 * 1024, size;
    char *big = malloc(big_size);
    const void *bytes;
    memset(big, 'y', big_size);
    assert_int_equal(redis_subscribe(subscriber, (const char *const[]){ "redis_test" }, 1), OK);
    publish(publisher, "one\0two", 7);
    publish(publisher, "", 0);
    publish(publisher, big, big_size);
    assert_int_equal(redis_next(subscriber, HANG_MS, &bytes, &size), OK);
    assert_int_equal(size, 7);
    assert_memory_equal(bytes, "one\0two", 7);
    assert_int_equal(redis_next(subscriber, HANG_MS, &bytes, &size), OK);
    assert_non_null(bytes);
    assert_int_equal(size, 0);
    assert_int_equal(redis_next(subscriber, HANG_MS, &bytes, &size), OK);
    assert_int_equal(size, big_size);
    assert_memory_equal(bytes, big, big_size);
    assert_int_equal(redis_next(subscriber, 0, &bytes, &size), OK);
    assert_null(bytes);
    free(big);
    redis_free(subscriber);
    redis_free(publisher);
}

static bool stays_subscribed(struct redis *publisher) {
    struct redis *subscriber = connect_to(server_url());
    const void *bytes;
    size_t size;
    assert_int_equal(redis_subscribe(subscriber, (const char *const[]){ "redis_test" }, 1), OK);
    poll_hurries = true;
    bool stays = redis_next(subscriber, 3500, &bytes, &size) == OK;
    poll_hurries = false;
    if (stays) {
        assert_null(bytes);
        publish(publisher, "still", 5);
        assert_int_equal(redis_next(subscriber, HANG_MS, &bytes, &size), OK);
        assert_int_equal(size, 5);
    }
    redis_free(subscriber);
    return stays;
}

/* But for the times when the server's machine stands still while it is tried out. */
static void a_quiet_subscription_is_kept(void **state) {
    (void)state;
    struct redis *publisher = connect_to(server_url());
    for (int trials = 1; !stays_subscribed(publisher); trials++)
        assert_in_range(trials, 1, TRIALS - 1);
    redis_free(publisher);
}

/* The server ends a connection: the loss is seen, and mended, when it is next asked for. */
static void a_connection_that_was_ended_is_made_again(void **state) {
    (void)state;
    struct captured captured;
    struct redis *redis = connect_to(server_url());
    struct redis *other = connect_to(server_url());
    char id[24];
    snprintf(id, sizeof(id), "%" PRId64, ask(redis, WORDS(redis_word("CLIENT"), redis_word("ID"))).integer);
    capture(&captured);
    assert_int_equal(ask(other, WORDS(redis_word("CLIENT"), redis_word("KILL"), redis_word("ID"), redis_word(id))).integer, 1);
    int64_t until_ms = clock_monotonic_ms() + HANG_MS;
    while (!redis_ready(redis) && clock_monotonic_ms() < until_ms)
        clock_sleep_ms(10);
    assert_int_equal(ask(redis, WORDS(redis_word("PING"))).kind, REDIS_STRING);
    release(&captured);
    assert_int_equal(count_of(captured.text, "redis_lost"), 1);
    assert_int_equal(count_of(captured.text, "redis_back"), 1);
    redis_free(redis);
    redis_free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_hangs_up_is_lost),
        cmocka_unit_test(who_answers_half_is_lost),
        cmocka_unit_test(who_speaks_something_else_is_lost),
        cmocka_unit_test(who_answers_too_much_is_lost),
        cmocka_unit_test(a_password_that_is_refused_is_not_logged),
        cmocka_unit_test(a_subscription_that_falls_silent_is_lost_soon),
        cmocka_unit_test(where_nobody_listens_there_is_no_connection),
        cmocka_unit_test(a_prefix_follows_from_the_secret),
        cmocka_unit_test(answers_are_of_their_kind),
        cmocka_unit_test(answers_of_a_pipeline_come_in_its_order),
        cmocka_unit_test(a_subscription_hears_what_is_published),
        cmocka_unit_test(a_quiet_subscription_is_kept),
        cmocka_unit_test(a_connection_that_was_ended_is_made_again),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
