/* What only browsers need: the session cookie, the defence against forged cross-site writes, and CORS. */
#pragma once

#include "api/request.h"

/* The value of the session cookie in a Cookie header; false when there is none. */
bool cookie_find(const char *cookie_header, const char **ret_value, size_t *ret_size);
/* Adds the Set-Cookie header for `token`; NULL takes the cookie away. */
void cookie_set(struct request *request, const char *token);

/* Whether a cookie-authenticated write really comes from one of our pages: its Origin is the request's own, the public URL's or a configured one, or
 * there is no Origin and the browser says same-origin. */
bool is_own_page(const struct request *request);

/* Adds the CORS headers to the answer when the request comes from a configured origin. */
void cors_answer(struct request *request);
/* Adds the headers that answer a preflight (an OPTIONS request with Access-Control-Request-Method). */
void cors_preflight(struct request *request, const char *methods);
