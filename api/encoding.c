/* See encoding.h. Owns nothing. */
#include "api/encoding.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define LEVEL 1 /* a page of messages shrinks to a third; level 6 takes two to three times as long for a fourteenth of what is left */
#define GZIP_WINDOW 31 /* of 2^15 bytes, and 16 for gzip's format */
#define MEMORY_LEVEL 8 /* zlib's own default */

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

static enum err deflate_all(z_stream *stream, struct buf *packed) {
    uLong bound = deflateBound(stream, stream->avail_in);
    char *out = buf_reserve(packed, bound);
    if (out == NULL)
        return ERR_NO_MEMORY;
    stream->next_out = (Bytef *)out;
    stream->avail_out = (uInt)bound;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return ERR_NO_MEMORY;
    packed->size += stream->total_out;
    packed->bytes[packed->size] = '\0';
    return OK;
}

enum err encoding_pack(const void *bytes, size_t size, struct buf *ret_packed) {
    z_stream stream = { .next_in = (z_const Bytef *)(uintptr_t)bytes, .avail_in = (uInt)size };
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return ERR_NO_MEMORY;
    enum err err = deflate_all(&stream, ret_packed);
    deflateEnd(&stream);
    return err;
}
