/* Content codings (RFC 9110, 8.4): what clients take. Pure. */
#pragma once

#include <stdbool.h>

/* Whether an Accept-Encoding header (NULL: none) allows gzip: by its name, by "x-gzip" or by "*", and not with a weight of 0. */
bool encoding_takes_gzip(const char *accept_encoding);
