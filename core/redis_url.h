/* redis://[user[:password]@]host[:port][/number][?password_file=PATH], taken apart. Pure.
 *
 * Each part is percent-decoded. What comes before an @ without a colon is the user; a password for the user "default" alone is written as :password@.
 * Problems are fixed sentences that quote nothing: in a URL that is wrong, the password may be anywhere. */
#pragma once

#include <stddef.h>

#include "core/err.h"

#define REDIS_DEFAULT_PORT 6379

/* All strings are owned. */
struct redis_url {
    char *user;          /* "": the user that Redis calls "default" */
    char *password;      /* "": there is none */
    char *password_file; /* read at each connection, so that it can change; NULL: there is none */
    char *host;
    unsigned port;
    unsigned database;
};

/* ERR_CONFIG with a sentence in `ret_problem` (static, goes on after the name of the setting), or ERR_NO_MEMORY. */
enum err redis_url_parse(const char *text, struct redis_url *ret_url, const char **ret_problem) MUST_USE;
void redis_url_release(struct redis_url *url);

/* What is wrong with a URL; NULL when nothing is. */
const char *redis_url_problem(const char *text);
