#include "core/log.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static int saved_stderr;
static int captured;

/* Sends stderr into a file. */
static int begin_capture(void **state) {
    (void)state;
    saved_stderr = dup(STDERR_FILENO);
    captured = memfd_create("stderr", MFD_CLOEXEC);
    log_set_level(LOG_INFO);
    /* Appending, as a log file is opened: otherwise the kernel lets two writers take the same offset. */
    return saved_stderr < 0 || captured < 0 || fcntl(captured, F_SETFL, O_APPEND) < 0 || dup2(captured, STDERR_FILENO) < 0;
}

static int end_capture(void **state) {
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(captured);
    return 0;
}

/* What was written so far; to be freed. */
static char *output(void) {
    off_t size = lseek(captured, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    assert_int_equal(pread(captured, text, (size_t)size, 0), size);
    return text;
}

static void a_line_has_time_level_event_and_values(void **state) {
    (void)state;
    log_event(LOG_WARN, "listening", "address=%s port=%d", "127.0.0.1", 8080);
    char *text = output();
    assert_memory_equal(text, "time=2", 6);
    assert_string_equal(text + 29, " level=warn event=listening address=127.0.0.1 port=8080\n");
    free(text);
}

static void nothing_follows_an_event_without_values(void **state) {
    (void)state;
    log_event(LOG_INFO, "started", "%s", "");
    char *text = output();
    assert_string_equal(text + 29, " level=info event=started\n");
    free(text);
}

static void lower_levels_are_left_out(void **state) {
    (void)state;
    log_event(LOG_DEBUG, "hidden", "x=1");
    log_set_level(LOG_ERROR);
    log_event(LOG_WARN, "hidden", "x=1");
    log_event(LOG_ERROR, "shown", "x=1");
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "shown", "x=1");
    char *text = output();
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "level=error event=shown"));
    assert_non_null(strstr(text, "level=debug event=shown"));
    free(text);
}

static void control_characters_cannot_begin_a_line(void **state) {
    (void)state;
    log_event(LOG_INFO, "name", "value=%s", "a\nlevel=error\r\t\x1b[0m\x7f");
    char *text = output();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_non_null(strstr(text, "value=a?level=error???[0m?\n"));
    free(text);
}

static void long_lines_are_cut_and_end(void **state) {
    (void)state;
    char value[5000];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    log_event(LOG_INFO, "long", "value=%s", value);
    log_event(LOG_INFO, value, "x=%d", 1);
    log_event(LOG_INFO, "next", "x=%d", 1);
    char *text = output();
    const char *end = strchr(text, '\n');
    assert_true(end - text < 2048);
    assert_memory_equal(end + 1, "time=", 5);
    assert_non_null(strstr(text, "event=next x=1\n"));
    free(text);
}

static void *write_many(void *unused) {
    (void)unused;
    for (int i = 0; i < 500; i++)
        log_event(LOG_INFO, "thread", "filler=%080d", i);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state) {
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_create(&threads[i], NULL, write_many, NULL);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);

    char *text = output();
    size_t lines = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1, lines++)
        assert_int_equal(strchr(line, '\n') - line, 29 + strlen(" level=info event=thread filler=") + 80);
    assert_int_equal(lines, 2000);
    free(text);
}

static void level_names(void **state) {
    (void)state;
    enum log_level level = LOG_WARN;
    assert_true(log_parse_level("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_parse_level("error", &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_parse_level("", &level));
    assert_false(log_parse_level("ERROR", &level));
    assert_int_equal(level, LOG_ERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_capture, end_capture)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_line_has_time_level_event_and_values),
        TEST(nothing_follows_an_event_without_values),
        TEST(lower_levels_are_left_out),
        TEST(control_characters_cannot_begin_a_line),
        TEST(long_lines_are_cut_and_end),
        TEST(lines_of_threads_do_not_mix),
        cmocka_unit_test(level_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
