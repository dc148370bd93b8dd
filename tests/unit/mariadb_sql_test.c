#include "db/mariadb_sql.h"
#include "tests/unit/unit.h"

static void translate(const char *text, struct mariadb_sql *sql) { assert_int_equal(mariadb_sql_translate(text, sql), OK); }

static void numbered_parameters_become_counted_ones(void **state) {
    (void)state;
    struct mariadb_sql sql;
    const unsigned char expected[] = { 11, 0, 1, 0, 9 };
    translate("a ?12 b?1,?2 (?1) ?10", &sql);
    assert_string_equal(sql.text, "a ? b?,? (?) ?");
    assert_int_equal(sql.size, strlen(sql.text));
    assert_int_equal(sql.position_count, 5);
    assert_int_equal(sql.parameter_count, 12);
    assert_memory_equal(sql.parameters, expected, sizeof expected);
    mariadb_sql_release(&sql);
}

static void placeholders_are_replaced_wherever_they_are(void **state) {
    (void)state;
    struct mariadb_sql sql;
    const unsigned char expected[] = { 1, 0, 2 };
    translate("?2 {ids} i {straight} t {straight} u ?3", &sql);
    assert_string_equal(sql.text, "? JSON_TABLE(?, '$[*]' COLUMNS(id BIGINT PATH '$')) i STRAIGHT_JOIN t STRAIGHT_JOIN u ?");
    assert_int_equal(sql.position_count, 3);
    assert_int_equal(sql.parameter_count, 3);
    assert_memory_equal(sql.parameters, expected, sizeof expected);
    mariadb_sql_release(&sql);
}

static void what_is_quoted_stays(void **state) {
    (void)state;
    struct mariadb_sql sql;
    translate("'?1 {ids} ''?2''' \"?3 '{\" ?1", &sql);
    assert_string_equal(sql.text, "'?1 {ids} ''?2''' \"?3 '{\" ?");
    assert_int_equal(sql.position_count, 1);
    mariadb_sql_release(&sql);
}

static void what_cannot_be_meant_is_refused(void **state) {
    (void)state;
    const char *const wrong[] = { "?", "?0", "?65", "?99999999999999999999", "{id}", "{", "'open", "a \"open" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct mariadb_sql sql = { .text = NULL };
        assert_int_equal(mariadb_sql_translate(wrong[i], &sql), ERR_INTERNAL);
        assert_null(sql.text);
    }
}

static void too_many_question_marks_are_refused(void **state) {
    (void)state;
    char text[(MARIADB_POSITIONS_MAX + 1) * 2 + 1] = "";
    struct mariadb_sql sql;
    for (int i = 0; i < MARIADB_POSITIONS_MAX; i++)
        memcpy(text + (size_t)i * 2, "?1", 3);
    translate(text, &sql);
    assert_int_equal(sql.position_count, MARIADB_POSITIONS_MAX);
    mariadb_sql_release(&sql);
    memcpy(text + (size_t)MARIADB_POSITIONS_MAX * 2, "?1", 3);
    assert_int_equal(mariadb_sql_translate(text, &sql), ERR_INTERNAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbered_parameters_become_counted_ones),
        cmocka_unit_test(placeholders_are_replaced_wherever_they_are),
        cmocka_unit_test(what_is_quoted_stays),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
        cmocka_unit_test(too_many_question_marks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
