/* Conditional requests and ranges (RFC 9110, sections 13 and 14): what to send of something that has a version and a size. Pure. */
#pragma once

#include "api/request.h"

/* What could be sent. */
struct version {
    const char *etag; /* without its quotes; a strong one */
    int64_t modified_ms;
    uint64_t size;
};

enum portion {
    PORTION_WHOLE,
    PORTION_RANGE,        /* 206 */
    PORTION_NONE,         /* 304 */
    PORTION_REFUSED,      /* 412 */
    PORTION_UNSATISFIABLE /* 416 */
};

struct range {
    uint64_t first; /* bytes */
    uint64_t size;
};

/* Whether If-None-Match names the tag (without its quotes): the client has what would be sent. For what has no date. */
bool conditions_knows(const struct request *request, const char *etag);

/* What the request's If- headers and Range ask for. `ret_range` is what is to be sent of PORTION_WHOLE and PORTION_RANGE. Several ranges, units other
 * than bytes, and what cannot be understood get the whole; HEAD knows no ranges (14.2). */
enum portion conditions_check(const struct request *request, const struct version *version, struct range *ret_range);
