/* A database that failed is found to work again without a command that tries: balancers send none to a node that is not ready. */
#include "db_support.h"
#include "unit.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/limits.h"
#include "db/store_trial.h"

#define PATIENCE_MS (30 * LIMIT_TRIAL_PAUSE_MS)

static const struct query count_meta = { "SELECT count(*) FROM meta" };

/* No file may become larger than this: a disk that is full for whoever writes beyond. */
static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool becomes_healthy(const struct store *store) {
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (!store_healthy(store) && clock_monotonic_ms() < until_ms)
        clock_sleep_ms(5);
    return store_healthy(store);
}

static void a_trial_leaves_everything_as_it_was(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    uint64_t rows = count_rows(&fixture->config, &count_meta), head = store_head(fixture->store);
    store_stop(fixture->store); /* so that this is the writer's thread */
    assert_int_equal(store_trial(fixture->store), OK);
    assert_int_equal(count_rows(&fixture->config, &count_meta), rows);
    fixture_reopen(fixture);
    assert_int_equal(store_head(fixture->store), head);
    assert_int_equal(log_position(post_ok(fixture, ann, chat, "next")), log_position(head) + 1);
}

static void a_trial_fails_on_a_full_disk(void **state) {
    struct fixture *fixture = *state;
    skip_on_mariadb();
    store_stop(fixture->store);
    limit_files(0);
    enum err full = store_trial(fixture->store);
    limit_files(RLIM_INFINITY);
    assert_int_equal(full, ERR_DATABASE_UNAVAILABLE);
    assert_int_equal(store_trial(fixture->store), OK);
}

static void a_store_heals_without_commands(void **state) {
    struct fixture *fixture = *state;
    struct command command;
    skip_on_mariadb();
    uint64_t ann = make_user(fixture, "ann");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    limit_files(0);
    assert_int_equal(post(fixture, ann, chat, "refused", 0, &command), ERR_DATABASE_UNAVAILABLE);
    command_release(&command);
    assert_false(store_healthy(fixture->store));
    limit_files(RLIM_INFINITY);
    assert_true(becomes_healthy(fixture->store));
}

int main(void) {
    alarm(300);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit shall fail, not kill */
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_trial_leaves_everything_as_it_was),
        TEST(a_trial_fails_on_a_full_disk),
        TEST(a_store_heals_without_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
