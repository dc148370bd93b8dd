/* Two nodes' rate limits in one process. Where PARLEY_TEST_REDIS names a server they are shared through that; without Redis each is its own. */
#include "api/rate_shared.h"

#include <inttypes.h>
#include <signal.h>

#include "core/clock.h"
#include "core/metrics.h"
#include "core/random.h"
#include "core/redis.h"
#include "tests/unit/unhurried.h"
#include "tests/unit/unit.h"

/* So slow that nothing comes back while a test runs. */
static const struct rate_rule TEN = { 1.0 / 3600000, 10 };

#define AT_ONCE_MS 5000 /* all takes of a test together, on a machine that stands still meanwhile; each of them waiting would take longer */

struct node {
    struct rate *rate;
    struct rate_shared *shared;
};

static struct node start_node(const char *url, const char *secret) {
    struct node node;
    struct config config = { .redis = (char *)url, .rate_limit = true };
    assert_int_equal(rate_new(secret, strlen(secret), &node.rate), OK);
    assert_int_equal(rate_shared_start(&config, secret, strlen(secret), node.rate, &node.shared), OK);
    assert_non_null(node.shared);
    return node;
}

static void stop_node(struct node *node) {
    rate_shared_stop(node->shared);
    rate_free(node->rate);
}

static bool take(struct node *node, const char *who) {
    struct rate_state state;
    uint64_t key = rate_key(node->rate, RATE_OF_USER, who, (uint32_t)strlen(who));
    return rate_shared_take(node->shared, key, &TEN, clock_monotonic_ms(), &state);
}

/* Until Redis has answered to so many notes more than `before`. */
static bool is_told(uint64_t before, uint64_t notes) {
    int64_t until_ms = clock_monotonic_ms() + HANG_MS;
    while (metric_get(COUNTER_RATE_NOTES_SENT) < before + notes && clock_monotonic_ms() < until_ms)
        clock_sleep_ms(1);
    return metric_get(COUNTER_RATE_NOTES_SENT) >= before + notes;
}

/* One token, and the wait until Redis and this node agree on the bucket. */
static bool take_and_tell(struct node *node, const char *who) {
    uint64_t before = metric_get(COUNTER_RATE_NOTES_SENT);
    return take(node, who) && is_told(before, 1);
}

static void settings_decide_whether_anything_is_shared(void **state) {
    (void)state;
    struct rate_shared *shared = NULL;
    struct config none = { .redis = (char *)"", .rate_limit = true };
    struct config off = { .redis = (char *)"redis://127.0.0.1:1", .rate_limit = false };
    assert_int_equal(rate_shared_start(&none, "s", 1, NULL, &shared), OK);
    assert_null(shared);
    assert_int_equal(rate_shared_start(&off, "s", 1, NULL, &shared), OK);
    assert_null(shared);
    rate_shared_stop(shared);
}

static void without_redis_each_node_limits_by_itself_and_waits_for_nothing(void **state) {
    (void)state;
    struct node one = start_node("redis://127.0.0.1:1", "secret"), two = start_node("redis://127.0.0.1:1", "secret");
    int64_t begin_ms = clock_monotonic_ms();
    for (int i = 0; i < 10; i++)
        assert_true(take(&one, "alice") && take(&two, "alice"));
    assert_false(take(&one, "alice") || take(&two, "alice"));
    assert_true(clock_monotonic_ms() - begin_ms < AT_ONCE_MS);
    stop_node(&one);
    stop_node(&two);
}

/* ---- With a server ---- */

/* A secret of its own: whatever was shared in this Redis before. */
static const char *fresh_secret(char out[24]) {
    snprintf(out, 24, "%016" PRIx64, random_u64());
    return out;
}

static const char *server_url(void) {
    const char *url = getenv("PARLEY_TEST_REDIS");
    if (url == NULL)
        skip();
    return url;
}

static void what_one_node_gave_another_has_not(void **state) {
    (void)state;
    char secret[24];
    struct node one = start_node(server_url(), fresh_secret(secret)), two = start_node(server_url(), secret);
    for (int i = 0; i < 7; i++)
        assert_true(take_and_tell(&one, "alice"));
    assert_true(take_and_tell(&two, "alice"));
    assert_true(take(&two, "alice"));
    assert_true(take(&two, "alice"));
    assert_false(take(&two, "alice"));
    assert_true(take(&two, "bob"));
    stop_node(&one);
    stop_node(&two);
}

/* A node that has heard nothing yet gives one although there is none left: that one is missing afterwards. */
static void what_was_given_too_often_is_a_debt(void **state) {
    (void)state;
    char secret[24];
    struct node one = start_node(server_url(), fresh_secret(secret)), late = start_node(server_url(), secret);
    for (int i = 0; i < 10; i++)
        assert_true(take_and_tell(&one, "alice"));
    assert_true(take_and_tell(&late, "alice"));
    assert_false(take(&late, "alice"));
    struct rate_state shown;
    uint64_t key = rate_key(late.rate, RATE_OF_USER, "alice", 5);
    assert_false(rate_shared_take(late.shared, key, &TEN, clock_monotonic_ms(), &shown));
    assert_in_range(shown.retry_s, 2 * 3600 - 60, 2 * 3600); /* one that was owed, and one to take */
    stop_node(&one);
    stop_node(&late);
}

static void installations_have_nothing_to_do_with_each_other(void **state) {
    (void)state;
    char secret[24], another[24];
    struct node one = start_node(server_url(), fresh_secret(secret)), two = start_node(server_url(), fresh_secret(another));
    for (int i = 0; i < 10; i++)
        assert_true(take_and_tell(&one, "alice"));
    for (int i = 0; i < 10; i++)
        assert_true(take_and_tell(&two, "alice"));
    stop_node(&one);
    stop_node(&two);
}

static void ask(const char *const *words, size_t count) {
    struct redis *redis;
    struct redis_answer answer;
    struct redis_argument arguments[REDIS_ARGUMENTS_MAX];
    for (size_t i = 0; i < count; i++)
        arguments[i] = redis_word(words[i]);
    assert_int_equal(redis_new(server_url(), "test", &redis), OK);
    assert_true(redis_ready(redis));
    assert_int_equal(redis_send(redis, arguments, count), OK);
    assert_int_equal(redis_receive(redis, &answer), OK);
    assert_int_not_equal(answer.kind, REDIS_ERROR);
    redis_free(redis);
}

static void a_script_that_was_forgotten_is_loaded_again(void **state) {
    (void)state;
    char secret[24];
    struct node one = start_node(server_url(), fresh_secret(secret)), two = start_node(server_url(), secret);
    assert_true(take_and_tell(&one, "alice"));
    ask((const char *const[]){ "SCRIPT", "FLUSH" }, 2);
    for (int i = 1; i < 9; i++)
        assert_true(take_and_tell(&one, "alice"));
    assert_true(take_and_tell(&two, "alice"));
    assert_false(take(&two, "alice"));
    stop_node(&one);
    stop_node(&two);
}

/* What Redis has forgotten does not fill the bucket of a node that remembers. */
static void a_redis_that_lost_everything_makes_nobody_richer(void **state) {
    (void)state;
    char secret[24];
    struct node one = start_node(server_url(), fresh_secret(secret));
    for (int i = 0; i < 9; i++)
        assert_true(take_and_tell(&one, "alice"));
    ask((const char *const[]){ "FLUSHALL" }, 1);
    assert_true(take_and_tell(&one, "alice"));
    assert_false(take(&one, "alice"));
    stop_node(&one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_decide_whether_anything_is_shared),
        cmocka_unit_test(without_redis_each_node_limits_by_itself_and_waits_for_nothing),
        cmocka_unit_test(what_one_node_gave_another_has_not),
        cmocka_unit_test(what_was_given_too_often_is_a_debt),
        cmocka_unit_test(installations_have_nothing_to_do_with_each_other),
        cmocka_unit_test(a_script_that_was_forgotten_is_loaded_again),
        cmocka_unit_test(a_redis_that_lost_everything_makes_nobody_richer),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
