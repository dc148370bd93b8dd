#include "api/browser.h"
#include "api/server_internal.h"
#include "tests/unit/unit.h"

static char PUBLIC_URL[] = "https://chat.example", CORS_ORIGINS[] = "https://a.example, https://b.example/";
static struct config config = { .public_url = PUBLIC_URL, .cors_origins = CORS_ORIGINS };
static struct server server = { .config = &config };

static void assert_cookie(const char *header, const char *expected) {
    const char *value = NULL;
    size_t size = 0;
    bool found = cookie_find(header, &value, &size);
    assert_int_equal(found, expected != NULL);
    if (found) {
        assert_int_equal(size, strlen(expected));
        assert_memory_equal(value, expected, size);
    }
}

static void the_session_cookie_is_found_among_others(void **state) {
    (void)state;
    assert_cookie(NULL, NULL);
    assert_cookie("", NULL);
    assert_cookie("a=b", NULL);
    assert_cookie("xparley_session=1", NULL);
    assert_cookie("a=parley_session=1", NULL);
    assert_cookie("parley_session=abc", "abc");
    assert_cookie("a=b; parley_session=abc ; c=d", "abc");
    assert_cookie("a=b;parley_session=", "");
}

static bool own_page(const char *origin, const char *host, const char *fetch_site) {
    struct request request = { .server = &server };
    request.headers.origin = origin;
    request.headers.host = host;
    request.headers.fetch_site = fetch_site;
    return is_own_page(&request);
}

static void writes_come_from_own_pages_only(void **state) {
    (void)state;
    assert_true(own_page("http://localhost:8080", "localhost:8080", NULL));
    assert_true(own_page("https://localhost:8080", "LOCALHOST:8080", NULL));
    assert_true(own_page("https://chat.example", "backend", NULL));
    assert_true(own_page("https://a.example", "backend", NULL));
    assert_true(own_page("https://b.example", "backend", NULL));
    assert_true(own_page(NULL, "backend", "same-origin"));

    assert_false(own_page(NULL, "backend", NULL));
    assert_false(own_page(NULL, "backend", "same-site"));
    assert_false(own_page(NULL, "backend", "cross-site"));
    assert_false(own_page("null", "backend", "same-origin"));
    assert_false(own_page("https://evil.example", "backend", "same-origin"));
    assert_false(own_page("https://a.example.evil", "backend", NULL));
    assert_false(own_page("https://a.exampl", "backend", NULL));
    assert_false(own_page("http://chat.example", "backend", NULL));
    assert_false(own_page("https://localhost:8080.evil", "localhost:8080", NULL));
    assert_false(own_page("https://", NULL, NULL));
    assert_false(own_page("https://", "", NULL));
}

static const char *answer_value(const struct request *request, const char *name) {
    for (size_t i = 0; i < request->answer.header_count; i++)
        if (strcmp(request->answer.headers[i].name, name) == 0)
            return request->answer.headers[i].value;
    return NULL;
}

static void only_configured_origins_get_cors(void **state) {
    (void)state;
    struct request good = { .server = &server, .headers.origin = "https://a.example" };
    cors_answer(&good);
    assert_string_equal(answer_value(&good, "Access-Control-Allow-Origin"), "https://a.example");
    assert_string_equal(answer_value(&good, "Vary"), "Origin");
    struct request bad = { .server = &server, .headers.origin = "https://evil.example" };
    cors_answer(&bad);
    assert_null(answer_value(&bad, "Access-Control-Allow-Origin"));
    assert_string_equal(answer_value(&bad, "Vary"), "Origin");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_session_cookie_is_found_among_others),
        cmocka_unit_test(writes_come_from_own_pages_only),
        cmocka_unit_test(only_configured_origins_get_cors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
