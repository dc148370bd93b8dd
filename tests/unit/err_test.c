#include "core/err.h"
#include "tests/unit/unit.h"

static void every_error_has_its_own_name(void **state) {
    (void)state;
    for (int err = OK; err < ERR_COUNT; err++) {
        assert_string_not_equal(err_name((enum err)err), "unknown");
        for (int other = OK; other < err; other++)
            assert_string_not_equal(err_name((enum err)err), err_name((enum err)other));
    }
}

static void names_are_stable(void **state) {
    (void)state;
    assert_string_equal(err_name(OK), "ok");
    assert_string_equal(err_name(ERR_NOT_FOUND), "not_found");
    assert_string_equal(err_name(ERR_IDEMPOTENCY_MISMATCH), "idempotency_mismatch");
}

static void what_is_no_error_is_unknown(void **state) {
    (void)state;
    assert_string_equal(err_name(ERR_COUNT), "unknown");
    assert_string_equal(err_name((enum err) - 1), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_own_name),
        cmocka_unit_test(names_are_stable),
        cmocka_unit_test(what_is_no_error_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
