/* The files that are part of the program: the browser client (web/, from / on), the documentation (docs/, from /docs on) and openapi.yaml, as they were
 * when this was compiled (scripts/pages.sh). */
#pragma once

#include "api/request.h"

struct storage;

struct page {
    const char *path;
    const char *type;
    const char *tag;        /* ETag of the file as it is, without quotes */
    const char *packed_tag; /* of its compressed form */
    struct slice bytes;
    struct slice packed; /* by gzip; empty where that does not pay */
    bool is_client;      /* of web/, which PARLEY_WEB=off hides */
};

/* The page at a request's path, with or without a slash at its end; NULL: none. */
const struct page *page_find(const char *path);

/* Answers with the page, or 304. */
enum err page_answer(struct request *request, const struct page *page) MUST_USE;

/* The Content-Security-Policy of all pages: nothing from elsewhere, but for what the storage of files has. To free(); NULL when out of memory. */
char *page_policy_new(const struct config *config, const struct storage *storage) MUST_USE;
