/* Owns the session cookie, the CSRF defence and CORS. Pure functions of the request and the settings. */
#include "api/browser.h"

#include <string.h>
#include <strings.h>

#include "api/server_internal.h"

#define COOKIE_NAME "parley_session"

bool cookie_find(const char *cookie_header, const char **ret_value, size_t *ret_size) {
    const char *pair = cookie_header;
    while (pair != NULL && *pair != '\0') {
        pair += strspn(pair, " ;");
        size_t size = strcspn(pair, ";");
        size_t name = sizeof(COOKIE_NAME "=") - 1;
        if (size >= name && memcmp(pair, COOKIE_NAME "=", name) == 0) {
            *ret_value = pair + name;
            *ret_size = size - name;
            while (*ret_size > 0 && (*ret_value)[*ret_size - 1] == ' ')
                --*ret_size;
            return true;
        }
        pair += size;
    }
    return false;
}

void cookie_set(struct request *request, const char *token) {
    const struct config *config = request->server->config;
    const char *secure = request->server->secure_cookies ? "; Secure" : "";
    long long age_s = token != NULL ? (long long)(config->session_max_ms / 1000) : 0;
    answer_header(request, "Set-Cookie",
                  request_printf(request, COOKIE_NAME "=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Lax%s", token != NULL ? token : "",
                                 age_s, secure));
}

/* Length of `url` up to the end of its authority, so that a public URL with a path still names its origin. */
static size_t origin_length(const char *url) {
    const char *authority = strstr(url, "://");
    if (authority == NULL)
        return strcspn(url, "/");
    return (size_t)(authority + 3 - url) + strcspn(authority + 3, "/");
}

static bool is_origin(const char *origin, const char *url, size_t size) {
    return strlen(origin) == size && strncasecmp(origin, url, size) == 0;
}

static bool is_configured_origin(const struct config *config, const char *origin) {
    const char *entry = config->cors_origins;
    while (*entry != '\0') {
        entry += strspn(entry, ", ");
        size_t size = strcspn(entry, ", ");
        size_t trimmed = size > 0 && entry[size - 1] == '/' ? size - 1 : size;
        if (trimmed > 0 && is_origin(origin, entry, trimmed))
            return true;
        entry += size;
    }
    return false;
}

static bool is_host(const char *origin, const char *scheme, const char *host) {
    size_t size = strlen(scheme);
    return host != NULL && host[0] != '\0' && strncasecmp(origin, scheme, size) == 0 && strcasecmp(origin + size, host) == 0;
}

bool is_own_page(const struct request *request) {
    const struct config *config = request->server->config;
    const char *origin = request->headers.origin;
    if (origin == NULL)
        return request->headers.fetch_site != NULL && strcmp(request->headers.fetch_site, "same-origin") == 0;
    if (is_host(origin, "http://", request->headers.host) || is_host(origin, "https://", request->headers.host))
        return true;
    if (config->public_url[0] != '\0' && is_origin(origin, config->public_url, origin_length(config->public_url)))
        return true;
    return is_configured_origin(config, origin);
}

void cors_answer(struct request *request) {
    const struct config *config = request->server->config;
    if (config->cors_origins[0] == '\0')
        return;
    answer_header(request, "Vary", "Origin");
    const char *origin = request->headers.origin;
    if (origin == NULL || !is_configured_origin(config, origin))
        return;
    answer_header(request, "Access-Control-Allow-Origin", origin);
    answer_header(request, "Access-Control-Allow-Credentials", "true");
    answer_header(request, "Access-Control-Expose-Headers",
                  "Location, Retry-After, X-Request-Id, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, ETag, Content-Range");
}

void cors_preflight(struct request *request, const char *methods) {
    const char *origin = request->headers.origin;
    if (origin == NULL || request->headers.requested_method == NULL || !is_configured_origin(request->server->config, origin))
        return;
    answer_header(request, "Access-Control-Allow-Methods", methods);
    answer_header(request, "Access-Control-Allow-Headers",
                  "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Content-MD5, X-Amz-Acl, Range");
    answer_header(request, "Access-Control-Max-Age", "600");
}
