#include "core/redis_url.h"
#include "tests/unit/unit.h"

static struct redis_url parse(const char *text) {
    struct redis_url url;
    const char *problem;
    if (redis_url_parse(text, &url, &problem) != OK)
        fail_msg("%s: %s", text, problem);
    return url;
}

static void a_whole_url_is_taken_apart(void **state) {
    (void)state;
    struct redis_url url = parse("redis://parley:secret@redis.example:6380/7");
    assert_string_equal(url.user, "parley");
    assert_string_equal(url.password, "secret");
    assert_null(url.password_file);
    assert_string_equal(url.host, "redis.example");
    assert_int_equal(url.port, 6380);
    assert_int_equal(url.database, 7);
    redis_url_release(&url);
    assert_null(url.host);
}

static void what_is_left_out_has_a_default(void **state) {
    (void)state;
    static const char *const urls[] = { "redis://localhost", "redis://localhost/", "redis://localhost:6379/0" };
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct redis_url url = parse(urls[i]);
        assert_string_equal(url.user, "");
        assert_string_equal(url.password, "");
        assert_string_equal(url.host, "localhost");
        assert_int_equal(url.port, REDIS_DEFAULT_PORT);
        assert_int_equal(url.database, 0);
        redis_url_release(&url);
    }
}

static void a_password_needs_no_user(void **state) {
    (void)state;
    struct redis_url url = parse("redis://:secret@h");
    assert_string_equal(url.user, "");
    assert_string_equal(url.password, "secret");
    redis_url_release(&url);
}

static void every_part_is_percent_decoded(void **state) {
    (void)state;
    struct redis_url url = parse("redis://us%40er:p%2fa%3As%3f%25%20%C3%a4@h%2Ex");
    assert_string_equal(url.user, "us@er");
    assert_string_equal(url.password, "p/a:s?% \u00e4");
    assert_string_equal(url.host, "h.x");
    redis_url_release(&url);
}

static void an_at_sign_in_a_password_is_no_harm(void **state) {
    (void)state;
    struct redis_url url = parse("redis://u:a@b@h:1");
    assert_string_equal(url.password, "a@b");
    assert_string_equal(url.host, "h");
    redis_url_release(&url);
}

static void addresses_may_stand_in_brackets(void **state) {
    (void)state;
    struct redis_url url = parse("redis://[::1]:6390/1");
    assert_string_equal(url.host, "::1");
    assert_int_equal(url.port, 6390);
    redis_url_release(&url);
    url = parse("redis://:p@[fe80::2]");
    assert_string_equal(url.host, "fe80::2");
    assert_int_equal(url.port, REDIS_DEFAULT_PORT);
    redis_url_release(&url);
}

static void a_password_may_be_in_a_file(void **state) {
    (void)state;
    struct redis_url url = parse("redis://u@h/2?password_file=/etc/par%20ley/redis");
    assert_string_equal(url.user, "u");
    assert_string_equal(url.password, "");
    assert_string_equal(url.password_file, "/etc/par ley/redis");
    assert_int_equal(url.database, 2);
    redis_url_release(&url);
}

/* In each the password is hunter2, or a part of it. */
static void problems_never_show_the_password(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "hunter2",
        "redis:",
        "redis://",
        "redis:///0",
        "redis://:6379",
        "http://u:hunter2@h",
        "rediss://u:hunter2@h",
        "redis://u:hunter2@",
        "redis://u:hunter2@:6379",
        "redis://u:hunter2@h:",
        "redis://u:hunter2@h:0",
        "redis://u:hunter2@h:65536",
        "redis://u:hunter2@h:99999999999999999999",
        "redis://u:hunter2@h:63x",
        "redis://u:hunter2@::1:6379",
        "redis://u:hunter2@[::1]x",
        "redis://u:hunter2@[::1]:",
        "redis://u:hunter2@[]:1",
        "redis://u:hunter2@h/x",
        "redis://u:hunter2@h/0/1",
        "redis://u:hunter2@h/-1",
        "redis://u:hunter2@h/65536",
        "redis://u:hunter2/@h",
        "redis://u:hunter2?@h",
        "redis://u:hunter2%@h",
        "redis://u:hunter2%4@h",
        "redis://u:hunter2%zz@h",
        "redis://u:hunter2%00@h",
        "redis://hunter2@h",
        "redis://u:hunter2@h?",
        "redis://u:hunter2@h?ssl=on",
        "redis://u:hunter2@h?password_file=",
        "redis://u:hunter2@h?password_file=/etc/hunter2",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct redis_url url = { .port = 7 };
        const char *problem = "";
        if (redis_url_parse(wrong[i], &url, &problem) != ERR_CONFIG)
            fail_msg("%s is accepted", wrong[i]);
        assert_true(strlen(problem) > 0);
        assert_null(strstr(problem, "hunter2"));
        assert_int_equal(url.port, 7); /* untouched */
        assert_ptr_equal(redis_url_problem(wrong[i]), problem);
    }
    assert_null(redis_url_problem("redis://u:hunter2@h"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_url_is_taken_apart),
        cmocka_unit_test(what_is_left_out_has_a_default),
        cmocka_unit_test(a_password_needs_no_user),
        cmocka_unit_test(every_part_is_percent_decoded),
        cmocka_unit_test(an_at_sign_in_a_password_is_no_harm),
        cmocka_unit_test(addresses_may_stand_in_brackets),
        cmocka_unit_test(a_password_may_be_in_a_file),
        cmocka_unit_test(problems_never_show_the_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
