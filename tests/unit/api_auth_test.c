#include "api/auth.h"
#include "core/limits.h"
#include "tests/unit/unit.h"

static struct auth *fresh(void) {
    struct auth *auth = NULL;
    assert_int_equal(auth_new(&auth), OK);
    return auth;
}

static void token_of(uint64_t number, uint8_t token[SHA256_SIZE]) { sha256(&(struct slice){ &number, sizeof(number) }, 1, token); }

static struct session session_of(uint64_t number) {
    return (struct session){ .user_id = number + 1000, .device_id = number, .created_ms = 1, .seen_ms = 1 };
}

static void remember(struct auth *auth, uint64_t number) {
    uint8_t token[SHA256_SIZE];
    struct session session = session_of(number);
    token_of(number, token);
    auth_remember(auth, token, &session, auth_generation(auth));
}

static bool knows(struct auth *auth, uint64_t number) {
    uint8_t token[SHA256_SIZE];
    struct session session;
    uint64_t generation;
    token_of(number, token);
    return auth_find(auth, token, &session, &generation) && session.device_id == number;
}

static void commit_removal(struct auth *auth, uint64_t device_id) {
    struct event event = { .id = 1, .owner_id = 2, .type = EVENT_DEVICE_REMOVED, .ref_id = device_id };
    struct frame *frame = frame_new(&event);
    assert_non_null(frame);
    auth_commit(auth, 0, &frame, 1);
    frame_drop(frame);
}

static void what_was_remembered_is_found(void **state) {
    (void)state;
    struct auth *auth = fresh();
    assert_false(knows(auth, 7));
    remember(auth, 7);
    assert_true(knows(auth, 7));
    assert_false(knows(auth, 8));
    auth_free(auth);
}

static void a_removed_device_is_forgotten(void **state) {
    (void)state;
    struct auth *auth = fresh();
    remember(auth, 7);
    remember(auth, 8);
    commit_removal(auth, 7);
    assert_false(knows(auth, 7));
    assert_true(knows(auth, 8));
    auth_free(auth);
}

static void a_lookup_that_raced_with_a_removal_is_not_remembered(void **state) {
    (void)state;
    struct auth *auth = fresh();
    uint8_t token[SHA256_SIZE];
    struct session session = session_of(7);
    token_of(7, token);
    uint64_t generation = auth_generation(auth);
    commit_removal(auth, 7); /* while the database was being read */
    auth_remember(auth, token, &session, generation);
    assert_false(knows(auth, 7));
    auth_free(auth);
}

static void all_are_forgotten_when_the_log_breaks(void **state) {
    (void)state;
    struct auth *auth = fresh();
    uint8_t token[SHA256_SIZE];
    struct session session = session_of(1);
    token_of(1, token);
    uint64_t generation = auth_generation(auth);
    for (uint64_t number = 2; number < 1000; number++)
        remember(auth, number);
    auth_break(auth, LOG_DOUBTED, 0);
    auth_remember(auth, token, &session, generation); /* it was read of the database as it was */
    for (uint64_t number = 1; number < 1000; number++)
        assert_false(knows(auth, number));
    remember(auth, 3);
    assert_true(knows(auth, 3));
    auth_free(auth);
}

static void count_calls(void *context) { ++*(int *)context; }

static void nothing_is_opened_after_a_removal(void **state) {
    (void)state;
    struct auth *auth = fresh();
    int calls = 0;
    uint64_t generation = auth_generation(auth);
    assert_true(auth_while_valid(auth, generation, count_calls, &calls));
    commit_removal(auth, 7);
    assert_false(auth_while_valid(auth, generation, count_calls, &calls));
    assert_int_equal(calls, 1);
    auth_free(auth);
}

static void it_holds_no_more_than_its_limit(void **state) {
    (void)state;
    struct auth *auth = fresh();
    size_t known = 0;
    for (uint64_t i = 1; i <= 2 * LIMIT_SESSIONS_CACHED; i++)
        remember(auth, i);
    assert_true(knows(auth, 2 * LIMIT_SESSIONS_CACHED));
    for (uint64_t i = 1; i <= 2 * LIMIT_SESSIONS_CACHED; i++)
        known += knows(auth, i);
    assert_in_range(known, LIMIT_SESSIONS_CACHED / 2, LIMIT_SESSIONS_CACHED);
    auth_free(auth);
}

static void a_touch_moves_only_forward(void **state) {
    (void)state;
    struct auth *auth = fresh();
    uint8_t token[SHA256_SIZE];
    struct session session;
    uint64_t generation;
    token_of(7, token);
    remember(auth, 7);
    auth_touched(auth, token, 500);
    auth_touched(auth, token, 400);
    assert_true(auth_find(auth, token, &session, &generation));
    assert_int_equal(session.seen_ms, 500);
    auth_free(auth);
}

static void sessions_end_when_idle_and_at_last(void **state) {
    (void)state;
    struct config config = { .session_idle_ms = 1000, .session_max_ms = 5000 };
    struct session session = { .user_id = 1, .device_id = 2, .created_ms = 10000, .seen_ms = 14500 };
    assert_true(session_is_alive(&session, &config, 14999));
    assert_false(session_is_alive(&session, &config, 15000)); /* its absolute end */
    session.seen_ms = 12000;
    assert_true(session_is_alive(&session, &config, 12999));
    assert_false(session_is_alive(&session, &config, 13000));
    assert_false(session_touch_is_due(&session, &config, 12249));
    assert_true(session_touch_is_due(&session, &config, 12250));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_remembered_is_found),
        cmocka_unit_test(a_removed_device_is_forgotten),
        cmocka_unit_test(a_lookup_that_raced_with_a_removal_is_not_remembered),
        cmocka_unit_test(all_are_forgotten_when_the_log_breaks),
        cmocka_unit_test(nothing_is_opened_after_a_removal),
        cmocka_unit_test(it_holds_no_more_than_its_limit),
        cmocka_unit_test(a_touch_moves_only_forward),
        cmocka_unit_test(sessions_end_when_idle_and_at_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
