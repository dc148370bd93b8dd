/* Reports: how many there may be, and what an administrator gets of one. */
#include "db_support.h"
#include "unit.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/limits.h"

#define SECOND_MS INT64_C(1000)
#define DAY_MS (24 * 3600 * SECOND_MS)

/* Wall time stands still but for pass_time(). */
static _Atomic int64_t wall_ms = INT64_C(1800000000000);

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (clock != CLOCK_REALTIME)
        return (int)syscall(SYS_clock_gettime, clock, out);
    int64_t now_ms = atomic_load(&wall_ms);
    *out = (struct timespec){ .tv_sec = now_ms / SECOND_MS, .tv_nsec = now_ms % SECOND_MS * 1000000 };
    return 0;
}

static void pass_time(int64_t duration_ms) { atomic_fetch_add(&wall_ms, duration_ms); }

static struct command report_command(uint64_t actor_id, uint64_t user_id) {
    return (struct command){ .type = COMMAND_REPORT_CREATE,
                             .actor_id = actor_id,
                             .in.report_create = { .user_id = user_id, .category = REPORT_SPAM, .reason = "spam" } };
}

static enum err report(struct fixture *fixture, uint64_t actor_id, uint64_t user_id, uint64_t *ret_id) {
    struct command command = report_command(actor_id, user_id);
    enum err err = store_run(fixture->store, &command);
    assert_true(err != ERR_RATE_LIMITED || command.refusal.retry_after_s > 0);
    *ret_id = command.out.id;
    command_release(&command);
    return err;
}

static enum err close_report(struct fixture *fixture, uint64_t report_id) {
    struct command command = { .type = COMMAND_REPORT_CLOSE, .in.report_close = { .report_id = report_id } };
    enum err err = store_run(fixture->store, &command);
    command_release(&command);
    return err;
}

static void so_many_are_made_within_a_day(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann1"), bob = make_user(fixture, "bob1"), cid = make_user(fixture, "cid1"), id;
    for (size_t i = 0; i < LIMIT_REPORTS_PER_DAY; i++) {
        assert_int_equal(report(fixture, ann, bob, &id), OK);
        assert_int_equal(close_report(fixture, id), OK);
    }
    assert_int_equal(report(fixture, ann, bob, &id), ERR_RATE_LIMITED);
    assert_int_equal(report(fixture, cid, bob, &id), OK);
    pass_time(DAY_MS);
    assert_int_equal(report(fixture, ann, bob, &id), OK);
}

/* As many open ones as may be, of users who are not there. */
static void fill(const struct fixture *fixture) {
    struct db *db = open_database(fixture->url, DB_WRITER);
    assert_int_equal(
        db->driver->execute(db, "INSERT INTO report(id, reporter_id, user_id, chat_id, message_id, category, reason, created_ms,"
                                " closed_ms, note, posted_ms, text, attachments) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
                                " SELECT i + 1 FROM n WHERE i < 999) SELECT a.i * 1000 + b.i, 1, 2, 0, 0, 1, 'x', 1, 0, NULL, 0, NULL, NULL"
                                " FROM n a, n b WHERE a.i <= 10 AND b.i <= 999"),
        OK);
    db_close(db);
}

static void so_many_are_open_in_all(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann2"), bob = make_user(fixture, "bob2"), cid = make_user(fixture, "cid2"), first, id, count;
    assert_int_equal(read_open_reports(fixture->reader, &count), OK);
    for (uint64_t closed = 0; closed < count; closed++) { /* what other tests have left */
        struct report_request request = { .limit = 1 };
        struct report_shown *shown;
        size_t found;
        assert_int_equal(read_reports(fixture->reader, &request, &fixture->arena, &shown, &found), OK);
        assert_int_equal(close_report(fixture, shown->report.id), OK);
    }
    fill(fixture);
    for (size_t i = 0; i < LIMIT_REPORTS - 9990; i++)
        assert_int_equal(
            report(fixture, make_user(fixture, (const char[]){ 'd', 'a', 'n', (char)('a' + i), 0 }), bob, i == 0 ? &first : &id), OK);
    assert_int_equal(read_open_reports(fixture->reader, &count), OK);
    assert_int_equal(count, LIMIT_REPORTS);
    assert_int_equal(report(fixture, ann, cid, &id), ERR_TOO_MANY_REPORTS);
    assert_int_equal(close_report(fixture, first), OK);
    assert_int_equal(report(fixture, ann, cid, &id), OK);
    assert_int_equal(close_report(fixture, first), ERR_CONFLICT);
}

static uint64_t report_message(struct fixture *fixture, uint64_t actor_id, uint64_t chat_id, uint64_t message_id) {
    struct command command = { .type = COMMAND_REPORT_CREATE, .actor_id = actor_id };
    command.in.report_create.chat_id = chat_id;
    command.in.report_create.message_id = message_id;
    command.in.report_create.category = REPORT_HARASSMENT;
    command.in.report_create.reason = "rude";
    assert_int_equal(store_run(fixture->store, &command), OK);
    command_release(&command);
    return command.out.id;
}

static void the_copy_is_as_it_was_reported_and_goes_in_time(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann3"), bob = make_user(fixture, "bob3"), chat = make_group(fixture, ann, &bob, 1);
    uint64_t message = post_ok(fixture, ann, chat, "rude"), id = report_message(fixture, bob, chat, message);
    struct report_shown shown;
    assert_int_equal(edit(fixture, ann, chat, message, "polite"), OK);
    assert_int_equal(delete_message(fixture, ann, chat, message), OK);
    assert_int_equal(read_report(fixture->reader, id, &fixture->arena, &shown), OK);
    assert_string_equal(shown.report.text, "rude");
    assert_string_equal(shown.reporter_name, "bob3");
    assert_string_equal(shown.user_name, "ann3");
    pass_time(fixture->config.retention_ms);
    assert_int_equal(read_report(fixture->reader, id, &fixture->arena, &shown), OK); /* before the cleanup */
    assert_null(shown.report.text);
    assert_int_not_equal(shown.report.posted_ms, 0);
    sweep_all(fixture);
    assert_int_equal(read_report(fixture->reader, id, &fixture->arena, &shown), OK);
    assert_int_equal(shown.report.posted_ms, 0);
    assert_int_equal(shown.report.message_id, message);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_are_made_within_a_day),
        cmocka_unit_test(the_copy_is_as_it_was_reported_and_goes_in_time),
        cmocka_unit_test(so_many_are_open_in_all),
    };
    return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
