#include "api/problem.h"
#include "api/routes.h"
#include "tests/unit/unit.h"

static struct request matched(enum method method, const char *path) {
    struct request request = { .method = method, .path = path };
    routes_match(&request);
    return request;
}

static void every_row_is_found_by_its_own_path(void **state) {
    (void)state;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        char path[256] = "";
        for (const char *in = ROUTES[i].path; *in != '\0'; in++) {
            if (*in == '{') {
                strcat(path, strncmp(in, "{page}", 6) == 0 ? "docs" : "7");
                in = strchr(in, '}');
            } else {
                strncat(path, in, 1);
            }
        }
        assert_ptr_equal(matched(ROUTES[i].method, path).route, &ROUTES[i]);
    }
}

static void rows_are_complete(void **state) {
    (void)state;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        assert_in_range(ROUTES[i].success, 200, 399);
        assert_true((ROUTES[i].handle == NULL) == (ROUTES[i].auth == AUTH_STREAM));
        if (ROUTES[i].place != ON_LOOP)
            assert_non_null(ROUTES[i].handle);
    }
}

static void ids_go_where_their_names_say(void **state) {
    (void)state;
    struct request request = matched(METHOD_GET, "/v1/chats/12/messages/345");
    assert_string_equal(request.route->path, "/v1/chats/{chat_id}/messages/{message_id}");
    assert_int_equal(request.ids[PATH_CHAT_ID], 12);
    assert_int_equal(request.ids[PATH_MESSAGE_ID], 345);
}

static void an_object_is_the_rest_of_the_path(void **state) {
    (void)state;
    static const char *const OBJECTS[] = { "7", "a/b", "a//b/", "..", "%2e%2E/x", "x%00y" };
    for (size_t i = 0; i < COUNT_OF(OBJECTS); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/blobs/%s", OBJECTS[i]);
        struct request request = matched(METHOD_PUT, path);
        assert_string_equal(request.route->path, "/blobs/{object}");
        assert_string_equal(request.object, OBJECTS[i]);
    }
    assert_null(matched(METHOD_GET, "/blobs").route);
    assert_null(matched(METHOD_GET, "/blobs/").route);
    assert_null(matched(METHOD_GET, "/blobs//x").route);
}

static void a_token_is_a_segment_of_any_text(void **state) {
    (void)state;
    static const char *const TOKENS[] = { "7", "a-b_C", "..", "%2f", "" };
    for (size_t i = 0; i < COUNT_OF(TOKENS); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/v1/links/%s/join", TOKENS[i]);
        struct request request = matched(METHOD_POST, path);
        assert_string_equal(request.route->path, "/v1/links/{token}/join");
        assert_int_equal(request.token_text.size, strlen(TOKENS[i]));
        assert_memory_equal(request.token_text.bytes, TOKENS[i], request.token_text.size);
    }
    assert_null(matched(METHOD_POST, "/v1/links/a/b/join").route);
}

static void words_win_over_parameters(void **state) {
    (void)state;
    assert_string_equal(matched(METHOD_GET, "/v1/users/me").route->path, "/v1/users/me");
    assert_string_equal(matched(METHOD_GET, "/v1/users/1").route->path, "/v1/users/{user_id}");
}

static void other_paths_are_unknown(void **state) {
    (void)state;
    static const char *const UNKNOWN[] = {
        "",
        "*",
        "//",
        "/v1",
        "/v1/",
        "/v1/chats/",
        "/v1/chat",
        "/v1/chats/0",
        "/v1/chats/01",
        "/v1/chats/-1",
        "/v1/chats/+1",
        "/v1/chats/9223372036854775808",
        "/v1/chats/1/",
        "/v1/chats/1/messages/x",
        "/V1/chats",
        "/v1/users/m",
        "v1/chats",
        "/v1/%63hats",
    };
    for (size_t i = 0; i < COUNT_OF(UNKNOWN); i++) {
        struct request request = matched(METHOD_GET, UNKNOWN[i]);
        assert_null(request.route);
        assert_int_equal(request.allowed, 0);
    }
}

static void a_wrong_method_learns_the_right_ones(void **state) {
    (void)state;
    struct request request = matched(METHOD_DELETE, "/v1/chats");
    assert_null(request.route);
    arena_init(&request.arena, 4096);
    assert_string_equal(routes_allow(&request), "GET, HEAD, POST, OPTIONS");
    arena_release(&request.arena);
    assert_null(matched(METHOD_OTHER, "/v1/chats").route);
}

static void every_error_has_a_problem(void **state) {
    (void)state;
    for (int err = OK; err < ERR_COUNT; err++) {
        const struct problem *problem = problem_of((enum err)err);
        assert_in_range(problem->status, 400, 599);
        assert_non_null(problem->code);
        assert_non_null(problem->title);
    }
    assert_int_equal(problem_of(ERR_NOT_FOUND)->status, 404);
}

static int start(void **state) {
    (void)state;
    routes_start();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_by_its_own_path),
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(ids_go_where_their_names_say),
        cmocka_unit_test(an_object_is_the_rest_of_the_path),
        cmocka_unit_test(a_token_is_a_segment_of_any_text),
        cmocka_unit_test(words_win_over_parameters),
        cmocka_unit_test(other_paths_are_unknown),
        cmocka_unit_test(a_wrong_method_learns_the_right_ones),
        cmocka_unit_test(every_error_has_a_problem),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
