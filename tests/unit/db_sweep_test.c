/* What bounds the steps of the cleanup, and when the write-ahead log is truncated. Time stands still but for pass_time(). */
#include "db_support.h"
#include "unit.h"

#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/id.h"
#include "core/limits.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)

static _Atomic int64_t passed_ms = INT64_C(1800000000000);

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, out);
    int64_t now_ms = atomic_load(&passed_ms);
    *out = (struct timespec){ .tv_sec = now_ms / SECOND_MS, .tv_nsec = now_ms % SECOND_MS * 1000000 };
    return 0;
}

static void pass_time(int64_t duration_ms) { atomic_fetch_add(&passed_ms, duration_ms); }

/* ---- Steps -------------------------------------------------------------------------------------------------------------------------- */

static struct command sweep_log(struct fixture *fixture) {
    struct command sweep = { .type = COMMAND_SWEEP, .in.sweep.kind = SWEEP_LOG };
    assert_int_equal(store_run(fixture->store, &sweep), OK);
    command_release(&sweep);
    return sweep;
}

static void a_step_takes_so_many_events_of_one_chat(void **state) {
    struct fixture *fixture = *state;
    fixture->config.retention_ms = MINUTE_MS;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    sweep_all(fixture);
    post_many(fixture, ann, chat, LIMIT_SWEEP_EVENTS);
    pass_time(2 * MINUTE_MS);
    uint64_t kept = post_ok(fixture, ann, chat, "kept");
    struct command sweep = sweep_log(fixture);
    assert_true(sweep.out.sweep.rows == LIMIT_SWEEP_EVENTS && sweep.out.sweep.more);
    sweep = sweep_log(fixture);
    assert_true(sweep.out.sweep.rows > 0 && sweep.out.sweep.rows < 10 && !sweep.out.sweep.more); /* of ann, and of the chat */
    assert_int_equal(log_position(store_floor(fixture->store)), log_position(kept) - 1);
    sweep = sweep_log(fixture);
    assert_true(sweep.out.sweep.rows == 0 && !sweep.out.sweep.more);
}

static void a_step_takes_events_of_so_many_chats(void **state) {
    struct fixture *fixture = *state;
    fixture->config.retention_ms = MINUTE_MS;
    fixture_reopen(fixture);
    uint64_t ann = make_user(fixture, "ann");
    pass_time(2 * MINUTE_MS);
    sweep_all(fixture);
    for (int i = 0; i < LIMIT_SWEEP_OWNERS + 5; i++)
        make_group(fixture, ann, NULL, 0);
    pass_time(2 * MINUTE_MS);
    struct command sweep = sweep_log(fixture);
    assert_true(sweep.out.sweep.rows == LIMIT_SWEEP_OWNERS && sweep.out.sweep.more);
    sweep = sweep_log(fixture);
    assert_true(sweep.out.sweep.rows == 5 && !sweep.out.sweep.more);
}

/* ---- The write-ahead log ------------------------------------------------------------------------------------------------------------ */

static bool log_is_empty(const struct fixture *fixture) {
    char path[128];
    struct stat status;
    snprintf(path, sizeof path, "%s/parley.db-wal", fixture->folder);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size == 0;
}

static void end_run(struct fixture *fixture, bool patient) {
    struct command sweep;
    do {
        sweep = (struct command){ .type = COMMAND_SWEEP, .in.sweep = { .kind = SWEEP_KEYS, .last = true, .patient = patient } };
        assert_int_equal(store_run(fixture->store, &sweep), OK);
        command_release(&sweep);
    } while (sweep.out.sweep.truncating);
}

/* Many commits within a second, the last of which leaves something behind. */
static void write_much(struct fixture *fixture, uint64_t user_id, uint64_t chat_id) {
    for (int i = 1; i < LIMIT_QUIET_COMMITS; i++)
        post_ok(fixture, user_id, chat_id, "m");
    uint64_t message = post_ok(fixture, user_id, chat_id, "of old");
    assert_int_equal(edit(fixture, user_id, chat_id, message, "of late"), OK);
}

static void many_commits_put_off_truncating_the_log(void **state) {
    struct fixture *fixture = *state;
    skip_on_mariadb();
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    write_much(fixture, ann, chat);
    end_run(fixture, true);
    assert_false(log_is_empty(fixture));
    end_run(fixture, false); /* who asks for it gets it */
    assert_true(log_is_empty(fixture));
    write_much(fixture, ann, chat);
    end_run(fixture, true);
    assert_false(log_is_empty(fixture));
    pass_time(SECOND_MS); /* it is quiet */
    end_run(fixture, true);
    assert_true(log_is_empty(fixture));
}

static void many_commits_put_it_off_for_a_part_of_the_promised_time(void **state) {
    struct fixture *fixture = *state;
    skip_on_mariadb();
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    int64_t deadline_ms = fixture->config.cleanup_deadline_ms;
    write_much(fixture, ann, chat);
    pass_time(deadline_ms / 8);
    write_much(fixture, ann, chat);
    end_run(fixture, true);
    assert_false(log_is_empty(fixture));
    pass_time(deadline_ms / 8);
    write_much(fixture, ann, chat);
    end_run(fixture, true);
    assert_true(log_is_empty(fixture));
    write_much(fixture, ann, chat); /* from here on it is counted anew */
    end_run(fixture, true);
    assert_false(log_is_empty(fixture));
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_step_takes_so_many_events_of_one_chat),
        TEST(a_step_takes_events_of_so_many_chats),
        TEST(many_commits_put_off_truncating_the_log),
        TEST(many_commits_put_it_off_for_a_part_of_the_promised_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
