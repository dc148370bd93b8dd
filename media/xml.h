/* Reads the small XML documents that an S3 storage answers with, over expat.
 *
 * Elements and their text only: attributes, namespaces, comments and processing instructions are skipped, and a document type is refused, so
 * nothing is ever expanded or fetched. Pure; any thread. */
#pragma once

#include <stddef.h>

#include "core/arena.h"

#define XML_DEPTH_MAX 16

/* All in the arena that it was read into. */
struct xml {
    const char *name; /* without a prefix: "Key" */
    const char *text; /* of an element without children; "" otherwise */
    const struct xml *first_child;
    const struct xml *next; /* its parent's next child */
};

/* ERR_BAD_REQUEST: not well-formed, deeper than XML_DEPTH_MAX, or with a document type; ERR_NO_MEMORY: machine or arena. */
enum err xml_read(const char *bytes, size_t size, struct arena *arena, const struct xml **ret_root) MUST_USE;
/* The first child of that name; NULL when there is none, or no parent. */
const struct xml *xml_child(const struct xml *parent, const char *name);
/* The next one after `child` that has the same name; NULL at the end. */
const struct xml *xml_next(const struct xml *child);
/* The text of the first child of that name, "" without one. */
const char *xml_text(const struct xml *parent, const char *name);
