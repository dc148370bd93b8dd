#include "core/config.h"
#include "tests/unit/unit.h"

#include <unistd.h>

/* Forgets every setting this process was started with, so that a test is about what it sets itself. */
static int clear_environment(void **state) {
    (void)state;
    return clearenv();
}

static void assert_refused(const char *name, const char *value, const char *reason) {
    struct config config = { .queue_max = 77 };
    char problem[512] = "";
    setenv(name, value, 1);
    assert_int_equal(config_load(&config, problem, sizeof(problem)), ERR_CONFIG);
    assert_non_null(strstr(problem, name));
    assert_non_null(strstr(problem, reason));
    assert_int_equal(config.queue_max, 77); /* untouched */
    unsetenv(name);
}

static struct config load(void) {
    struct config config;
    char problem[512] = "";
    if (config_load(&config, problem, sizeof(problem)) != OK)
        fail_msg("%s", problem);
    return config;
}

static void defaults(void **state) {
    (void)state;
    struct config config = load();
    assert_string_equal(config.listen, "127.0.0.1:8080");
    assert_string_equal(config.data_dir, "data");
    assert_string_equal(config.db, "sqlite:data/parley.db");
    assert_string_equal(config.public_url, "");
    assert_string_equal(config.cors_origins, "");
    assert_string_equal(config.log_level, "info");
    assert_true(config.node[0] != 0);
    assert_int_equal(config.registration, REGISTRATION_OPEN);
    assert_false(config.trusted_proxy);
    assert_int_equal(config.password_cost, 15);
    assert_int_equal(config.session_idle_ms, INT64_C(90) * 86400000);
    assert_int_equal(config.session_max_ms, INT64_C(365) * 86400000);
    assert_int_equal(config.devices_per_user, 10);
    assert_int_equal(config.group_max, 1024);
    assert_false(config.edit_history);
    assert_int_equal(config.edit_window_ms, 86400000);
    assert_int_equal(config.delete_window_ms, 0);
    assert_int_equal(config.retention_ms, INT64_C(30) * 86400000);
    assert_int_equal(config.cleanup_interval_ms, 60000);
    assert_true(config.rate_limit);
    assert_int_equal(config.rate_user, 50);
    assert_int_equal(config.rate_address, 200);
    assert_int_equal(config.rate_login, 10);
    assert_int_equal(config.streams_per_device, 4);
    assert_int_equal(config.streams_per_user, 20);
    assert_int_equal(config.streams_per_address, 200);
    assert_int_equal(config.streams_max, 0);
    assert_int_equal(config.heartbeat_ms, 15000);
    assert_int_equal(config.stream_retry_ms, 2000);
    assert_int_equal(config.drain_spread_ms, 10000);
    assert_int_equal(config.request_timeout_ms, 10000);
    assert_int_equal(config.idle_timeout_ms, 60000);
    assert_int_equal(config.connections, 1500);
    assert_int_equal(config.queue_max, 4096);
    config_release(&config);
}

static void the_environment_decides(void **state) {
    (void)state;
    setenv("PARLEY_LISTEN", "[::1]:0", 1);
    setenv("PARLEY_DATA_DIR", "/srv/parley", 1);
    setenv("PARLEY_REGISTRATION", "closed", 1);
    setenv("PARLEY_TRUSTED_PROXY", "on", 1);
    setenv("PARLEY_RATE_LIMIT", "off", 1);
    setenv("PARLEY_NODE", "Berlin-1.chat_a", 1);
    setenv("PARLEY_RETENTION", "forever", 1);
    setenv("PARLEY_HEARTBEAT", "250ms", 1);
    setenv("PARLEY_EDIT_WINDOW", "0", 1);
    setenv("PARLEY_DELETE_WINDOW", "15m", 1);
    setenv("PARLEY_CLEANUP_INTERVAL", "0s", 1);
    setenv("PARLEY_PUBLIC_URL", "https://chat.example.org", 1);
    setenv("PARLEY_CORS_ORIGINS", "https://a.example,http://localhost:3000", 1);
    setenv("PARLEY_LOG", "debug", 1);
    struct config config = load();
    assert_string_equal(config.listen, "[::1]:0");
    assert_string_equal(config.db, "sqlite:/srv/parley/parley.db");
    assert_int_equal(config.registration, REGISTRATION_CLOSED);
    assert_true(config.trusted_proxy);
    assert_false(config.rate_limit);
    assert_string_equal(config.node, "Berlin-1.chat_a");
    assert_int_equal(config.retention_ms, CONFIG_FOREVER);
    assert_int_equal(config.heartbeat_ms, 250);
    assert_int_equal(config.edit_window_ms, 0);
    assert_int_equal(config.delete_window_ms, 15 * 60000);
    assert_int_equal(config.cleanup_interval_ms, 0);
    assert_string_equal(config.public_url, "https://chat.example.org");
    assert_string_equal(config.cors_origins, "https://a.example,http://localhost:3000");
    assert_string_equal(config.log_level, "debug");
    config_release(&config);
    assert_null(config.listen);
}

static void an_empty_variable_is_unset(void **state) {
    (void)state;
    setenv("PARLEY_LISTEN", "", 1);
    setenv("PARLEY_QUEUE_MAX", "", 1);
    struct config config = load();
    assert_string_equal(config.listen, "127.0.0.1:8080");
    assert_int_equal(config.queue_max, 4096);
    config_release(&config);
}

static void a_node_has_a_name(void **state) {
    (void)state;
    static const char longest[] = "0123456789012345678901234567890123456789012345678901234567890123";
    struct config config = load();
    assert_true(strlen(config.node) >= 1 && strlen(config.node) <= 64);
    config_release(&config);
    setenv("PARLEY_NODE", longest, 1);
    config = load();
    assert_string_equal(config.node, longest);
    config_release(&config);
    static const char *const wrong[] = { "a b", "a\"b", "a\nb", "a/b", "caf\xc3\xa9" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_refused("PARLEY_NODE", wrong[i], "letters, digits");
    assert_refused("PARLEY_NODE", "01234567890123456789012345678901234567890123456789012345678901234", "longer than 64");
}

static void numbers_are_refused_by_name(void **state) {
    (void)state;
    static const char *const wrong[] = { "x", "-1", "1001", "+1", " 1", "1 ", "1.5", "0x10", "99999999999999999999" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_refused("PARLEY_DEVICES_PER_USER", wrong[i], "from 1 to 1000");
    assert_refused("PARLEY_PASSWORD_COST", "9", "from 10 to 20");
    assert_refused("PARLEY_PASSWORD_COST", "21", "from 10 to 20");
}

static void durations_are_refused_by_name(void **state) {
    (void)state;
    static const char *const wrong[] = { "15", "15 s", "s", "-1s", "15S", "1h30m", "99999999999999d", "1.5h", "forever", "0" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_refused("PARLEY_HEARTBEAT", wrong[i], "from 100ms to 1h");
    assert_refused("PARLEY_RETENTION", "0", "or forever");
    assert_refused("PARLEY_EDIT_WINDOW", "1ms", "or 0");
}

static void amounts_of_bytes(void **state) {
    (void)state;
    struct config config = load();
    assert_int_equal(config.media_quota, INT64_C(5) << 30);
    assert_int_equal(config.media_part_above, 32 << 20);
    assert_int_equal(config.media_part_size, 8 << 20);
    config_release(&config);

    setenv("PARLEY_MEDIA_QUOTA", "0", 1);
    setenv("PARLEY_MEDIA_PART_ABOVE", "1B", 1);
    setenv("PARLEY_MEDIA_PART_SIZE", "5120KiB", 1);
    config = load();
    assert_int_equal(config.media_quota, 0);
    assert_int_equal(config.media_part_above, 1);
    assert_int_equal(config.media_part_size, 5 << 20);
    config_release(&config);
}

static void amounts_of_bytes_are_refused_by_name(void **state) {
    (void)state;
    static const char *const wrong[] = { "8", "8MB", "8 MiB", "-8MiB", "MiB", "8388608TiB", "5119KiB", "6GiB", "forever", "0" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_refused("PARLEY_MEDIA_PART_SIZE", wrong[i], "from 5MiB to 5GiB");
    assert_refused("PARLEY_MEDIA_QUOTA", "1025TiB", "from 0 to 1024TiB");
}

static void settings_of_media_are_refused_by_name(void **state) {
    (void)state;
    char longest[202];
    memset(longest, 'p', sizeof(longest));
    longest[201] = '\0';
    assert_refused("PARLEY_MEDIA_TYPES", "image/*", "is not a list like");
    assert_refused("PARLEY_MEDIA_TYPES", "image/*:20MiB,", "is not a list like");
    assert_refused("PARLEY_S3_ENDPOINT", "s3.example.org", "http(s)://host[:port]");
    assert_refused("PARLEY_S3_ENDPOINT", "https://s3.example.org/", "http(s)://host[:port]");
    assert_refused("PARLEY_S3_PUBLIC_ENDPOINT", "https://", "http(s)://host[:port]");
    assert_refused("PARLEY_S3_STYLE", "host", "path|virtual");
    assert_refused("PARLEY_S3_ACL", "public-read", "private|none");
    assert_refused("PARLEY_S3_PREFIX", longest, "longer than 200 bytes");
    longest[200] = '\0';
    setenv("PARLEY_S3_PREFIX", longest, 1);
    struct config config = load();
    config_release(&config);
}

static void choices_and_switches_are_refused_by_name(void **state) {
    (void)state;
    assert_refused("PARLEY_REGISTRATION", "Open", "open|invite|closed");
    assert_refused("PARLEY_REGISTRATION", "open|invite", "open|invite|closed");
    assert_refused("PARLEY_RATE_LIMIT", "yes", "neither on nor off");
    assert_refused("PARLEY_LOG", "verbose", "debug|info|warn|error");
}

static void strings_are_refused_by_name(void **state) {
    (void)state;
    static const char *const addresses[] = { "8080", ":8080", "localhost", "localhost:", "localhost:65536", "localhost:80a" };
    for (size_t i = 0; i < COUNT_OF(addresses); i++)
        assert_refused("PARLEY_LISTEN", addresses[i], "address:port");
    assert_refused("PARLEY_PUBLIC_URL", "chat.example.org", "http");
    assert_refused("PARLEY_PUBLIC_URL", "https://chat.example.org/", "slash");
    assert_refused("PARLEY_PUBLIC_URL", "https://", "http");
    assert_refused("PARLEY_CORS_ORIGINS", "https://a.example, https://b.example", "without spaces");
    assert_refused("PARLEY_CORS_ORIGINS", "https://a.example,", "comma-separated");
    assert_refused("PARLEY_CORS_ORIGINS", "*", "comma-separated");
}

static void a_secret_is_not_repeated(void **state) {
    (void)state;
    struct config config;
    char problem[512];
    setenv("PARLEY_REDIS", "redis://:hunter2", 1);
    assert_int_equal(config_load(&config, problem, sizeof(problem)), ERR_CONFIG);
    assert_non_null(strstr(problem, "PARLEY_REDIS"));
    assert_null(strstr(problem, "hunter2"));
    unsetenv("PARLEY_REDIS");
    setenv("PARLEY_DB", "postgres://user:hunter2@host", 1);
    assert_int_equal(config_load(&config, problem, sizeof(problem)), ERR_CONFIG);
    assert_non_null(strstr(problem, "PARLEY_DB"));
    assert_null(strstr(problem, "hunter2"));
}

static void redis_is_for_nodes_that_share_a_database(void **state) {
    (void)state;
    assert_refused("PARLEY_REDIS", "redis://localhost", "with SQLite there is one node");
    setenv("PARLEY_REDIS", "redis://localhost", 1);
    setenv("PARLEY_DB", "mariadb://parley@localhost/parley", 1);
    struct config config = load();
    assert_string_equal(config.redis, "redis://localhost");
    config_release(&config);
}

static void unknown_settings_are_refused(void **state) {
    (void)state;
    assert_refused("PARLEY_LISTENN", "x", "no such setting");
    assert_refused("PARLEY_LISTE", "x", "no such setting");
    assert_refused("PARLEY_", "x", "no such setting");
    setenv("PARLEY_FAULT", "x", 1);
    setenv("PARLEY_FORGETFUL_SEED", "x", 1);
    setenv("PARLEY_TEST_ANYTHING", "x", 1);
    setenv("PARLEYX", "x", 1);
    struct config config = load();
    config_release(&config);
}

static void a_short_problem_is_cut(void **state) {
    (void)state;
    struct config config;
    char problem[12];
    memset(problem, 'x', sizeof(problem));
    setenv("PARLEY_NODE", "x y", 1);
    assert_int_equal(config_load(&config, problem, sizeof(problem)), ERR_CONFIG);
    assert_string_equal(problem, "PARLEY_NODE");
}

static void printing_shows_every_setting_but_no_secret(void **state) {
    (void)state;
    char *text;
    size_t size;
    setenv("PARLEY_DB", "sqlite:/secret/place.db", 1);
    setenv("PARLEY_IDLE_TIMEOUT", "90s", 1);
    setenv("PARLEY_RETENTION", "forever", 1);
    setenv("PARLEY_MEDIA_QUOTA", "1536MiB", 1);
    setenv("PARLEY_MEDIA_PART_ABOVE", "1025B", 1);
    setenv("PARLEY_S3_SECRET_KEY", "storage's key", 1);
    setenv("PARLEY_S3_SESSION_TOKEN", "storage's token", 1);
    struct config config = load();
    FILE *out = open_memstream(&text, &size);
    config_print(&config, out);
    fclose(out);
    assert_non_null(strstr(text, "PARLEY_QUEUE_MAX"));
    assert_non_null(strstr(text, "now 90s\n"));
    assert_non_null(strstr(text, "now forever\n"));
    assert_non_null(strstr(text, "now open\n"));
    assert_non_null(strstr(text, "now set\n"));
    assert_null(strstr(text, "/secret/place"));
    assert_null(strstr(text, "storage's"));
    assert_non_null(strstr(text, "now 1536MiB\n"));
    assert_non_null(strstr(text, "now 1025B\n"));
    free(text);
    config_release(&config);
}

#define TEST(name) cmocka_unit_test_setup(name, clear_environment)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(defaults),
        TEST(the_environment_decides),
        TEST(an_empty_variable_is_unset),
        TEST(a_node_has_a_name),
        TEST(numbers_are_refused_by_name),
        TEST(durations_are_refused_by_name),
        TEST(amounts_of_bytes),
        TEST(amounts_of_bytes_are_refused_by_name),
        TEST(settings_of_media_are_refused_by_name),
        TEST(choices_and_switches_are_refused_by_name),
        TEST(strings_are_refused_by_name),
        TEST(a_secret_is_not_repeated),
        TEST(redis_is_for_nodes_that_share_a_database),
        TEST(unknown_settings_are_refused),
        TEST(a_short_problem_is_cut),
        TEST(printing_shows_every_setting_but_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
