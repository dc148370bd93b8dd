/* See pages.h. Owns the bytes, and how browsers may use them. The paths of the files are relative to the folder the compiler runs in, the project's root; make
 * has to know that this object depends on them. */
#include "api/pages.h"

#include <string.h>

#include "api/conditions.h"
#include "api/encoding.h"
#include "api/handlers.h"
#include "api/server_internal.h"
#include "media/storage.h"

/* ---- The files ---- */

#define PAGE(number, client, path, type, hash, size, file, packed_size, packed_file) \
    __asm__(".section .rodata\n"                                                     \
            ".globl page_" #number "\n"                                              \
            "page_" #number ":\n"                                                    \
            ".incbin \"" file "\"\n"                                                 \
            ".globl page_packed_" #number "\n"                                       \
            "page_packed_" #number ":\n"                                             \
            ".incbin \"" packed_file "\"\n"                                          \
            ".byte 0\n"                                                              \
            ".previous\n");                                                          \
    extern const char page_##number[], page_packed_##number[];
#include "build/pages/table.h"
#undef PAGE

#define PAGE(number, client, path, type, hash, size, file, packed_size, packed_file) \
    { path, type, hash, hash "-gzip", { page_##number, size }, { page_packed_##number, packed_size }, client },
static const struct page PAGES[] = {
#include "build/pages/table.h"
};
#undef PAGE

const struct page *page_find(const char *path) {
    size_t size = strlen(path);
    if (size > 1 && path[size - 1] == '/')
        size--;
    for (size_t i = 0; i < sizeof(PAGES) / sizeof(PAGES[0]); i++)
        if (strlen(PAGES[i].path) == size && memcmp(PAGES[i].path, path, size) == 0)
            return &PAGES[i];
    return NULL;
}

/* ---- What browsers may do with them ---- */

/* Where presigned URLs lead, if not to the page's own origin. */
static const char *files_origin(const struct config *config, const struct storage *storage) {
    const char *origin = storage_origin(storage);
    return origin != NULL ? origin : config->public_url;
}

char *page_policy_new(const struct config *config, const struct storage *storage) {
    const char *files = files_origin(config, storage);
    struct buf policy = BUF_INIT;
    buf_string(&policy, "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'");
    const char *blank = *files != '\0' ? " " : "";
    buf_printf(&policy, "; connect-src 'self'%s%s", blank, files);
    buf_printf(&policy, "; img-src 'self' blob:%s%s", blank, files);
    buf_printf(&policy, "; media-src 'self' blob:%s%s", blank, files);
    if (!buf_ok(&policy)) {
        buf_release(&policy);
        return NULL;
    }
    return buf_detach(&policy);
}

/* ---- Answers ---- */

/* Files have no versions in their names, and modules of different versions do not go together: so each is asked for again, and seldom sent. */
static void describe(struct request *request, const char *tag) {
    answer_header(request, "ETag", request_printf(request, "\"%s\"", tag));
    answer_header(request, "Cache-Control", "no-cache");
    answer_header(request, "Vary", "Accept-Encoding");
    answer_header(request, "Content-Security-Policy", request->server->page_policy);
    answer_header(request, "Referrer-Policy", "no-referrer");
}

enum err page_answer(struct request *request, const struct page *page) {
    bool is_packed = page->packed.size > 0 && encoding_takes_gzip(request->headers.accept_encoding);
    const char *tag = is_packed ? page->packed_tag : page->tag;
    describe(request, tag);
    request->answer.status = conditions_knows(request, tag) ? 304 : 200;
    request->answer.content_type = page->type;
    request->answer.fixed = is_packed ? page->packed : page->bytes;
    if (is_packed)
        answer_header(request, "Content-Encoding", "gzip");
    return OK;
}

/* ---- Handlers ---- */

enum err show_page(struct request *request) {
    if (request->page->is_client && !request->server->config->web)
        return request_refuse(request, ERR_NOT_FOUND, NULL, "there is nothing at this path");
    return page_answer(request, request->page);
}

enum err show_contract(struct request *request) { return page_answer(request, page_find("/openapi.yaml")); }

static enum err name_server(struct request *request) {
    struct buf *buf = answer_json(request, 200);
    buf_char(buf, '{');
    json_member_string(buf, "name", "parley");
    json_member_string(buf, "version", PARLEY_VERSION);
    json_member_string(buf, "docs", "/docs");
    buf_char(buf, '}');
    return OK;
}

enum err show_index(struct request *request) {
    const struct page *page = page_find("/");
    return page != NULL && request->server->config->web ? page_answer(request, page) : name_server(request);
}
