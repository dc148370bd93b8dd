/* See encoding.h. Owns nothing. */
#include "api/encoding.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* One member of the list: "gzip;q=0.5". */
struct coding {
    const char *name;
    size_t size;
    bool is_refused; /* its weight is 0 */
};

/* A weight of 0 has only zeros: "q=0", "q=0.000". */
static bool refuses(const char *parameters, size_t size) {
    size_t blank = strspn(parameters, "; \t");
    if (blank >= size || strncasecmp(parameters + blank, "q=", 2) != 0)
        return false;
    return blank + 2 + strspn(parameters + blank + 2, "0.") >= size;
}

/* Reads the member at *text and moves on behind it; false: there is none. */
static bool read_coding(const char **text, struct coding *ret_coding) {
    *text += strspn(*text, ", \t");
    size_t size = strcspn(*text, ",");
    size_t name = strcspn(*text, ",; \t");
    if (size == 0)
        return false;
    size_t end = size;
    while (end > name && ((*text)[end - 1] == ' ' || (*text)[end - 1] == '\t'))
        end--;
    *ret_coding = (struct coding){ *text, name, end > name && refuses(*text + name, end - name) };
    *text += size;
    return true;
}

static bool is_named(const struct coding *coding, const char *name) {
    return strlen(name) == coding->size && strncasecmp(coding->name, name, coding->size) == 0;
}

bool encoding_takes_gzip(const char *accept_encoding) {
    bool others = false;
    struct coding coding;
    while (accept_encoding != NULL && read_coding(&accept_encoding, &coding)) {
        if (is_named(&coding, "gzip") || is_named(&coding, "x-gzip"))
            return !coding.is_refused;
        if (is_named(&coding, "*"))
            others = !coding.is_refused;
    }
    return others;
}
