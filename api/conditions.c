/* See conditions.h. Owns nothing. */
#include "api/conditions.h"

#include <string.h>
#include <strings.h>

#include "api/head.h"

/* ---- Conditions ---- */

/* Whether one of `list`'s entity tags is this one, or the list is "*". A weak one counts only when `weakly` (8.8.3.2). */
static bool names_tag(const char *list, const char *etag, bool weakly) {
    size_t size = strlen(etag);
    list += strspn(list, " \t");
    if (*list == '*')
        return true;
    while (*list != '\0') {
        list += strspn(list, ", \t");
        bool is_weak = strncmp(list, "W/", 2) == 0;
        list += is_weak ? 2 : 0;
        const char *end = *list == '"' ? strchr(list + 1, '"') : NULL;
        if (end == NULL)
            return false;
        if ((weakly || !is_weak) && (size_t)(end - list - 1) == size && memcmp(list + 1, etag, size) == 0)
            return true;
        list = end + 1;
    }
    return false;
}

bool conditions_knows(const struct request *request, const char *etag) {
    return request->headers.if_none_match != NULL && names_tag(request->headers.if_none_match, etag, true);
}

/* Dates have whole seconds. A date that cannot be read is as if it were not there (13.1.3). */
static bool modified_after(const char *date, const struct version *version) {
    int64_t date_s;
    return !head_date_parse(date, &date_s) || version->modified_ms / 1000 > date_s;
}

static bool is_refused(const struct headers *headers, const struct version *version) {
    int64_t date_s;
    if (headers->if_match != NULL)
        return !names_tag(headers->if_match, version->etag, false);
    return headers->if_unmodified_since != NULL && head_date_parse(headers->if_unmodified_since, &date_s) &&
           version->modified_ms / 1000 > date_s;
}

static bool is_known(const struct headers *headers, const struct version *version) {
    if (headers->if_none_match != NULL)
        return names_tag(headers->if_none_match, version->etag, true);
    return headers->if_modified_since != NULL && !modified_after(headers->if_modified_since, version);
}

/* The range is wanted only of the version that the client has the rest of (13.1.5): a date must be exactly the one it was told. */
static bool range_applies(const struct headers *headers, const struct version *version) {
    const char *condition = headers->if_range;
    int64_t date_s;
    if (condition == NULL)
        return true;
    if (condition[0] == '"' || strncmp(condition, "W/", 2) == 0)
        return names_tag(condition, version->etag, false);
    return head_date_parse(condition, &date_s) && version->modified_ms / 1000 == date_s;
}

/* ---- Ranges ---- */

/* Reads digits; false when there are none. A number too large counts as the largest. */
static bool read_number(const char **text, uint64_t *ret_number) {
    uint64_t number = 0;
    const char *at = *text;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            number = UINT64_MAX;
    if (at == *text)
        return false;
    *text = at;
    *ret_number = number;
    return true;
}

static enum portion suffix_of(uint64_t wanted, const struct version *version, struct range *ret_range) {
    if (wanted == 0)
        return PORTION_UNSATISFIABLE;
    if (version->size == 0)
        return PORTION_WHOLE; /* satisfiable, but no Content-Range could say so */
    uint64_t size = wanted < version->size ? wanted : version->size;
    *ret_range = (struct range){ version->size - size, size };
    return PORTION_RANGE;
}

static enum portion range_of(const char *header, const struct version *version, struct range *ret_range) {
    uint64_t first = 0, last = UINT64_MAX;
    if (strncasecmp(header, "bytes=", 6) != 0)
        return PORTION_WHOLE;
    header += 6 + strspn(header + 6, " \t");
    bool has_first = read_number(&header, &first);
    if (*header++ != '-')
        return PORTION_WHOLE;
    bool has_last = read_number(&header, &last);
    header += strspn(header, " \t");
    if (*header != '\0' || (!has_first && !has_last) || (has_first && last < first))
        return PORTION_WHOLE;
    if (!has_first)
        return suffix_of(last, version, ret_range);
    if (first >= version->size)
        return PORTION_UNSATISFIABLE;
    uint64_t end = last < version->size ? last + 1 : version->size;
    *ret_range = (struct range){ first, end - first };
    return PORTION_RANGE;
}

enum portion conditions_check(const struct request *request, const struct version *version, struct range *ret_range) {
    const struct headers *headers = &request->headers;
    *ret_range = (struct range){ 0, version->size };
    if (is_refused(headers, version))
        return PORTION_REFUSED;
    if (is_known(headers, version))
        return PORTION_NONE;
    if (headers->range == NULL || request->head_only || !range_applies(headers, version))
        return PORTION_WHOLE;
    return range_of(headers->range, version, ret_range);
}
