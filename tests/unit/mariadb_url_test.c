#include "db/mariadb_url.h"
#include "tests/unit/unit.h"

static void parse(const char *text, struct mariadb_url *url) {
    char problem[256] = "";
    if (mariadb_url_parse(text, url, problem, sizeof problem) != OK)
        fail_msg("%s: %s", text, problem);
}

static void a_whole_url_is_taken_apart(void **state) {
    (void)state;
    struct mariadb_url url;
    parse("//parley:secret@db.example:3307/chat?ssl=on", &url);
    assert_string_equal(url.user, "parley");
    assert_string_equal(url.password, "secret");
    assert_int_equal(url.host_count, 1);
    assert_string_equal(url.hosts[0].name, "db.example");
    assert_int_equal(url.hosts[0].port, 3307);
    assert_string_equal(url.database, "chat");
    assert_true(url.requires_tls);
    assert_null(url.ca_file);
    assert_null(url.socket);
    assert_null(url.password_file);
    mariadb_url_release(&url);
    assert_null(url.user);
}

static void what_is_left_out_has_a_default(void **state) {
    (void)state;
    struct mariadb_url url;
    parse("//u@h/d", &url);
    assert_string_equal(url.password, "");
    assert_int_equal(url.hosts[0].port, MARIADB_DEFAULT_PORT);
    assert_false(url.requires_tls);
    mariadb_url_release(&url);
}

static void every_part_is_percent_decoded(void **state) {
    (void)state;
    struct mariadb_url url;
    parse("//us%40er:p%2fa%3As%3f%25%20%C3%a4@h%2Ex/d%2Db?ssl_ca=%2Fetc%2Fca%26.pem", &url);
    assert_string_equal(url.user, "us@er");
    assert_string_equal(url.password, "p/a:s?% \u00e4");
    assert_string_equal(url.hosts[0].name, "h.x");
    assert_string_equal(url.database, "d-b");
    assert_string_equal(url.ca_file, "/etc/ca&.pem");
    mariadb_url_release(&url);
}

static void a_socket_takes_the_place_of_a_host(void **state) {
    (void)state;
    struct mariadb_url url;
    parse("//u@/d?socket=/run/my%20sql/s.sock&ssl=off", &url);
    assert_string_equal(url.socket, "/run/my sql/s.sock");
    assert_int_equal(url.host_count, 0);
    mariadb_url_release(&url);
}

static void addresses_may_stand_in_brackets(void **state) {
    (void)state;
    struct mariadb_url url;
    parse("//u:p@[::1]:3310/d", &url);
    assert_string_equal(url.hosts[0].name, "::1");
    assert_int_equal(url.hosts[0].port, 3310);
    mariadb_url_release(&url);
    parse("//u:p@[fe80::2]/d", &url);
    assert_string_equal(url.hosts[0].name, "fe80::2");
    assert_int_equal(url.hosts[0].port, MARIADB_DEFAULT_PORT);
    mariadb_url_release(&url);
}

static void several_hosts_keep_their_order_and_have_ports_of_their_own(void **state) {
    (void)state;
    static const char *const names[] = { "db1", "db2", "::1", "a,b" };
    static const unsigned ports[] = { 3307, MARIADB_DEFAULT_PORT, 3308, 3309 };
    struct mariadb_url url;
    parse("//u:p,w@db1:3307,db2,[::1]:3308,a%2Cb:3309/d", &url);
    assert_string_equal(url.password, "p,w");
    assert_int_equal(url.host_count, COUNT_OF(names));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_string_equal(url.hosts[i].name, names[i]);
        assert_int_equal(url.hosts[i].port, ports[i]);
    }
    assert_string_equal(url.database, "d");
    mariadb_url_release(&url);
}

static void as_many_hosts_as_there_is_room_for_are_accepted(void **state) {
    (void)state;
    char text[256], problem[256] = "";
    struct mariadb_url url;
    int size = snprintf(text, sizeof text, "//u@h");
    for (int i = 1; i < MARIADB_HOSTS_MAX; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, ",h%d", i);
    snprintf(text + size, sizeof text - (size_t)size, "/d");
    parse(text, &url);
    assert_int_equal(url.host_count, MARIADB_HOSTS_MAX);
    assert_string_equal(url.hosts[MARIADB_HOSTS_MAX - 1].name, "h15");
    mariadb_url_release(&url);
    snprintf(text + size, sizeof text - (size_t)size, ",more/d");
    assert_int_equal(mariadb_url_parse(text, &url, problem, sizeof problem), ERR_CONFIG);
    assert_non_null(strstr(problem, "16 hosts"));
}

static void a_certificate_to_check_against_asks_for_tls(void **state) {
    (void)state;
    struct mariadb_url url;
    parse("//u@h/d?password_file=/etc/secret&ssl_ca=/etc/ca.pem", &url);
    assert_true(url.requires_tls);
    assert_string_equal(url.ca_file, "/etc/ca.pem");
    assert_string_equal(url.password_file, "/etc/secret");
    mariadb_url_release(&url);
}

/* In each the password is hunter2, or a part of it. */
static void problems_never_show_the_password(void **state) {
    (void)state;
    const char *const wrong[] = {
        "",
        "u:hunter2@h/d",
        "//",
        "//u:hunter2@h",
        "//u:hunter2@h/",
        "//:hunter2@h/d",
        "//u:hunter2@/d",
        "//u:hunter2@h/d/e",
        "//u:hunter2@h:0/d",
        "//u:hunter2@h:65536/d",
        "//u:hunter2@h:99999999999999999999/d",
        "//u:hunter2@h:33x/d",
        "//u:hunter2@[::1]x/d",
        "//u:hunter2%@h/d",
        "//u:hunter2%4@h/d",
        "//u:hunter2%zz@h/d",
        "//u:hunter2%00@h/d",
        "//u:hunter2/@h/d",
        "//u:12/hunter2?hunter2@h/d",
        "//u@12/d?hunter2@h=d",
        "//u:hunter2@,/d",
        "//u:hunter2@h,/d",
        "//u:hunter2@,h/d",
        "//u:hunter2@h,,h/d",
        "//u:hunter2@h,:1/d",
        "//u:hunter2@h:1,h:x/d",
        "//u:hunter2@h,[::1]x/d",
        "//u:hunter2@h,h/d?socket=/run/s",
        "//u:hunter2@h/d?ssl=hunter2",
        "//u:hunter2@h/d?ssl",
        "//u:hunter2@h/d?socket=",
        "//u:hunter2@h/d?hunter2=on",
        "//u:hunter2@h/d?socket=/run/s",
        "//u:hunter2@h/d?password_file=/etc/hunter2",
        "//u:hunter2@h/d?ssl=on&&ssl=on",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct mariadb_url url = { .host_count = 7 };
        char problem[256] = "";
        if (mariadb_url_parse(wrong[i], &url, problem, sizeof problem) != ERR_CONFIG)
            fail_msg("%s is accepted", wrong[i]);
        assert_non_null(strstr(problem, "PARLEY_DB: "));
        assert_null(strstr(problem, "hunter2"));
        assert_int_equal(url.host_count, 7); /* untouched */
        assert_null(url.user);
    }
}

static void an_option_may_come_twice_and_the_last_counts(void **state) {
    (void)state;
    struct mariadb_url url;
    parse("//u@h/d?ssl=on&ssl=off&password_file=/a&password_file=/b", &url);
    assert_false(url.requires_tls);
    assert_string_equal(url.password_file, "/b");
    mariadb_url_release(&url);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_url_is_taken_apart),
        cmocka_unit_test(what_is_left_out_has_a_default),
        cmocka_unit_test(every_part_is_percent_decoded),
        cmocka_unit_test(a_socket_takes_the_place_of_a_host),
        cmocka_unit_test(addresses_may_stand_in_brackets),
        cmocka_unit_test(a_certificate_to_check_against_asks_for_tls),
        cmocka_unit_test(several_hosts_keep_their_order_and_have_ports_of_their_own),
        cmocka_unit_test(as_many_hosts_as_there_is_room_for_are_accepted),
        cmocka_unit_test(problems_never_show_the_password),
        cmocka_unit_test(an_option_may_come_twice_and_the_last_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
