#include "core/metrics.h"
#include "tests/unit/unit.h"

#include <pthread.h>

static char *render(void) {
    struct buf buf = BUF_INIT;
    metrics_render(&buf);
    assert_true(buf_ok(&buf));
    return buf_detach(&buf);
}

static void assert_rendered(const char *line) {
    char *text = render();
    if (strstr(text, line) == NULL)
        fail_msg("%s is not in\n%s", line, text);
    free(text);
}

static void counters_and_gauges(void **state) {
    (void)state;
    metric_add(COUNTER_STREAM_RESETS, 2);
    metric_add(COUNTER_STREAM_RESETS, 3);
    metric_set(GAUGE_STREAMS_OPEN, 7);
    metric_set(GAUGE_STREAM_LAG_POSITIONS, -1);
    assert_int_equal(metric_get(COUNTER_STREAM_RESETS), 5);
    assert_rendered("# TYPE parley_stream_resets_total counter\nparley_stream_resets_total 5\n");
    assert_rendered("# TYPE parley_streams_open gauge\nparley_streams_open 7\n");
    assert_rendered("parley_stream_lag_positions -1\n");
}

static void counters_of_one_name_differ_by_label(void **state) {
    (void)state;
    metric_add(COUNTER_WHISPERS_DROPPED_PRESENCE, 4);
    assert_rendered("# TYPE parley_whispers_dropped_total counter\n"
                    "parley_whispers_dropped_total{type=\"typing\"} 0\n"
                    "parley_whispers_dropped_total{type=\"presence\"} 4\n");
}

static void histograms_are_cumulative_and_bounds_inclusive(void **state) {
    (void)state;
    metric_observe(HISTOGRAM_COMMIT_BATCH, 1);
    metric_observe(HISTOGRAM_COMMIT_BATCH, 3);
    metric_observe(HISTOGRAM_COMMIT_BATCH, 4);
    metric_observe(HISTOGRAM_COMMIT_BATCH, 513);
    assert_rendered("parley_commit_batch_size_bucket{le=\"1\"} 1\n"
                    "parley_commit_batch_size_bucket{le=\"2\"} 1\n"
                    "parley_commit_batch_size_bucket{le=\"4\"} 3\n");
    assert_rendered("parley_commit_batch_size_bucket{le=\"512\"} 3\n"
                    "parley_commit_batch_size_bucket{le=\"+Inf\"} 4\n"
                    "parley_commit_batch_size_sum 521.000000\n"
                    "parley_commit_batch_size_count 4\n");
}

static void microseconds_are_printed_as_seconds(void **state) {
    (void)state;
    metric_observe(HISTOGRAM_COMMIT_SECONDS, 1500000);
    assert_rendered("parley_commit_duration_seconds_bucket{le=\"1\"} 0\nparley_commit_duration_seconds_bucket{le=\"2.5\"} 1\n");
    assert_rendered("parley_commit_duration_seconds_sum 1.500000\n");
    assert_rendered("parley_commit_duration_seconds_bucket{le=\"0.0001\"} 0\n");
}

static void requests_are_counted_by_route_and_status(void **state) {
    (void)state;
    metrics_register_route(0, "POST", "/v1/chats/{id}/messages");
    metrics_register_route(1, "GET", "/never/asked");
    metrics_count_request(0, 201, 300);
    metrics_count_request(0, 201, 300);
    metrics_count_request(0, 404, 90);
    assert_rendered("parley_http_requests_total{route=\"/v1/chats/{id}/messages\",method=\"POST\",status=\"201\"} 2\n"
                    "parley_http_requests_total{route=\"/v1/chats/{id}/messages\",method=\"POST\",status=\"404\"} 1\n");
    assert_rendered("parley_http_request_duration_seconds_bucket{route=\"/v1/chats/{id}/messages\",method=\"POST\",le=\"0.0001\"} 1\n");
    assert_rendered("parley_http_request_duration_seconds_count{route=\"/v1/chats/{id}/messages\",method=\"POST\"} 3\n");
    char *text = render();
    assert_null(strstr(text, "/never/asked"));
    free(text);
}

static void what_is_out_of_range_is_ignored(void **state) {
    (void)state;
    metrics_register_route(METRICS_ROUTES_MAX, "GET", "/out");
    metrics_count_request(METRICS_ROUTES_MAX, 200, 1);
    metrics_count_request(0, 99, 1);
    metrics_count_request(0, 600, 1);
    char *text = render();
    assert_null(strstr(text, "/out"));
    assert_null(strstr(text, "\"600\""));
    free(text);
}

static void the_process_is_described(void **state) {
    (void)state;
    assert_rendered("\nprocess_resident_memory_bytes ");
    assert_rendered("\nprocess_open_fds ");
    assert_rendered("\nprocess_max_fds ");
    assert_rendered("\nprocess_cpu_seconds_total ");
    assert_rendered("\nprocess_start_time_seconds 1");
}

/* Prometheus refuses a page in which a name has two TYPE lines, or a line that is none. */
static void every_line_has_a_known_shape(void **state) {
    (void)state;
    char *text = render(), *rest;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0)
            continue;
        char *value = strrchr(line, ' '), *end;
        assert_non_null(value);
        strtod(value + 1, &end);
        assert_true(end > value + 1 && *end == '\0');
        assert_true(strncmp(line, "parley_", 7) == 0 || strncmp(line, "process_", 8) == 0);
    }
    free(text);
}

static void *count_many(void *unused) {
    (void)unused;
    for (int i = 0; i < 10000; i++)
        metric_add(COUNTER_CLEANUP_ROWS, 1);
    return NULL;
}

static void threads_lose_nothing(void **state) {
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_create(&threads[i], NULL, count_many, NULL);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_get(COUNTER_CLEANUP_ROWS), 40000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_gauges),
        cmocka_unit_test(counters_of_one_name_differ_by_label),
        cmocka_unit_test(histograms_are_cumulative_and_bounds_inclusive),
        cmocka_unit_test(microseconds_are_printed_as_seconds),
        cmocka_unit_test(requests_are_counted_by_route_and_status),
        cmocka_unit_test(what_is_out_of_range_is_ignored),
        cmocka_unit_test(the_process_is_described),
        cmocka_unit_test(every_line_has_a_known_shape),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
