/* See plain.h. Owns nothing, allocates nothing; any thread. */
#include "api/plain.h"

#include <string.h>

#include "core/text.h"

struct scan {
    const char *next;
    const char *end;
};

static void skip_space(struct scan *scan) {
    while (scan->next < scan->end && (*scan->next == ' ' || *scan->next == '\t' || *scan->next == '\n' || *scan->next == '\r'))
        scan->next++;
}

/* The character, after any space. */
static bool skip(struct scan *scan, char character) {
    skip_space(scan);
    if (scan->next == scan->end || *scan->next != character)
        return false;
    scan->next++;
    return true;
}

static bool has_control(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20)
            return true;
    return false;
}

static bool read_string(struct scan *scan, struct slice *ret_string) {
    if (!skip(scan, '"'))
        return false;
    const char *start = scan->next;
    const char *quote = memchr(start, '"', (size_t)(scan->end - start));
    if (quote == NULL)
        return false;
    size_t size = (size_t)(quote - start);
    if (memchr(start, '\\', size) != NULL || has_control(start, size) || !utf8_valid(start, size))
        return false;
    scan->next = quote + 1;
    *ret_string = (struct slice){ start, size };
    return true;
}

static bool has_member(const struct plain_object *object, const struct slice *name) {
    for (size_t i = 0; i < object->count; i++)
        if (object->members[i].name.size == name->size && memcmp(object->members[i].name.bytes, name->bytes, name->size) == 0)
            return true;
    return false;
}

static bool read_member(struct scan *scan, struct plain_object *object) {
    struct plain_member member;
    if (object->count == PLAIN_MEMBERS_MAX || !read_string(scan, &member.name) || !skip(scan, ':') || !read_string(scan, &member.value))
        return false;
    if (has_member(object, &member.name))
        return false;
    object->members[object->count++] = member;
    return true;
}

static bool read_members(struct scan *scan, struct plain_object *object) {
    do {
        if (!read_member(scan, object))
            return false;
    } while (skip(scan, ','));
    return skip(scan, '}');
}

bool plain_read(const char *json, size_t size, struct plain_object *ret_object) {
    if (size == 0)
        return false;
    struct scan scan = { json, json + size };
    ret_object->count = 0;
    if (!skip(&scan, '{') || !(skip(&scan, '}') || read_members(&scan, ret_object)))
        return false;
    skip_space(&scan);
    return scan.next == scan.end;
}
