/* Request lines and cookies: `METHOD PATH?QUERY`, a newline, and a Cookie header. Matching and reading them must stay within the input. */
#include <string.h>

#include "api/browser.h"
#include "api/routes.h"
#include "tests/fuzz/fuzz.h"

static void check_cookie(const char *header) {
    const char *value;
    size_t size;
    if (!cookie_find(header, &value, &size))
        return;
    MUST(value >= header && value + size <= header + strlen(header));
    MUST(memchr(value, ';', size) == NULL);
}

static void check_match(const struct request *request) {
    MUST(request->route == NULL || request->allowed != 0);
    for (size_t i = 0; i < PATH_ID_COUNT; i++)
        MUST(request->ids[i] <= INT64_MAX);
}

static void check_query(struct request *request) {
    size_t limit = 0;
    uint64_t cursor = 0;
    const char *name = query_text(request, "username");
    MUST(name == NULL || strlen(name) <= LIMIT_HEAD_BYTES);
    enum err err = query_limit(request, 50, 100, &limit);
    MUST(err != OK || (limit >= 1 && limit <= 100));
    err = query_cursor(request, "before", &cursor);
    MUST(err == OK || err == ERR_BAD_CURSOR);
    MUST(cursor <= INT64_MAX);
}

/* Cuts `text` at the first `separator`; what follows it, or "". */
static char *cut(char *text, char separator) {
    char *found = strchr(text, separator);
    if (found == NULL)
        return text + strlen(text);
    *found = '\0';
    return found + 1;
}

static void split_query(struct request *request, char *query) {
    while (*query != '\0') {
        char *next = cut(query, '&');
        struct query_argument argument = { .name = query, .value = cut(query, '=') };
        if (request->query_count < LIMIT_QUERY_ARGUMENTS)
            request->query[request->query_count++] = argument;
        query = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    static bool is_started;
    if (!is_started)
        routes_start();
    is_started = true;

    struct request request = { .arena = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES) };
    char *text = arena_copy(&request.arena, input, size < LIMIT_HEAD_BYTES ? size : LIMIT_HEAD_BYTES);
    char *cookie = cut(text, '\n');
    char *path = cut(text, ' ');
    split_query(&request, cut(path, '?'));
    request.method_name = text;
    request.method = (enum method)(size % METHOD_COUNT);
    request.path = path;

    routes_match(&request);
    check_match(&request);
    check_query(&request);
    check_cookie(cookie);
    arena_release(&request.arena);
    return 0;
}
