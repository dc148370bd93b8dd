/* See xml.h. */
#include "media/xml.h"

#include <expat.h>

#include <limits.h>
#include <string.h>

#include "core/buf.h"

struct node {
    struct xml xml;
    struct node *parent;
    struct node *last_child;
};

struct reading {
    XML_Parser parser;
    struct arena *arena;
    struct node *root;
    struct node *open; /* the innermost element that has not ended */
    size_t depth;
    struct buf text; /* since the last tag */
    enum err err;
};

static void give_up(struct reading *reading, enum err err) {
    reading->err = err;
    XML_StopParser(reading->parser, XML_FALSE);
}

static const char *without_prefix(const char *name) {
    const char *colon = strchr(name, ':');
    return colon == NULL ? name : colon + 1;
}

static struct node *new_node(struct reading *reading, const char *name) {
    struct node *node = ARENA_NEW(reading->arena, struct node);
    if (node == NULL)
        return NULL;
    node->parent = reading->open;
    node->xml.name = arena_string(reading->arena, without_prefix(name));
    node->xml.text = "";
    return node->xml.name == NULL ? NULL : node;
}

static void append_child(struct node *parent, struct node *child) {
    if (parent->last_child == NULL)
        parent->xml.first_child = &child->xml;
    else
        parent->last_child->xml.next = &child->xml;
    parent->last_child = child;
}

static void XMLCALL begin_element(void *context, const char *name, const char **attributes) {
    struct reading *reading = context;
    (void)attributes;
    if (reading->depth == XML_DEPTH_MAX) {
        give_up(reading, ERR_BAD_REQUEST);
        return;
    }

    struct node *node = new_node(reading, name);
    if (node == NULL) {
        give_up(reading, ERR_NO_MEMORY);
        return;
    }
    if (reading->open == NULL)
        reading->root = node;
    else
        append_child(reading->open, node);
    reading->open = node;
    reading->depth++;
    buf_clear(&reading->text);
}

static void XMLCALL end_element(void *context, const char *name) {
    struct reading *reading = context;
    struct node *node = reading->open;
    (void)name;

    if (node->xml.first_child == NULL && reading->text.size > 0) {
        node->xml.text = arena_copy(reading->arena, reading->text.bytes, reading->text.size);
        if (node->xml.text == NULL || !buf_ok(&reading->text)) {
            give_up(reading, ERR_NO_MEMORY);
            return;
        }
    }
    buf_clear(&reading->text);
    reading->open = node->parent;
    reading->depth--;
}

static void XMLCALL add_text(void *context, const char *text, int size) {
    struct reading *reading = context;
    buf_append(&reading->text, text, (size_t)size);
    if (!buf_ok(&reading->text))
        give_up(reading, ERR_NO_MEMORY);
}

static void XMLCALL refuse_type(void *context, const char *name, const char *system_id, const char *public_id, int has_subset) {
    (void)name, (void)system_id, (void)public_id, (void)has_subset;
    give_up(context, ERR_BAD_REQUEST);
}

static enum err parse(struct reading *reading, const char *bytes, size_t size) {
    XML_SetUserData(reading->parser, reading);
    XML_SetElementHandler(reading->parser, begin_element, end_element);
    XML_SetCharacterDataHandler(reading->parser, add_text);
    XML_SetStartDoctypeDeclHandler(reading->parser, refuse_type);

    if (size > INT_MAX)
        return ERR_BAD_REQUEST;
    if (XML_Parse(reading->parser, bytes, (int)size, XML_TRUE) == XML_STATUS_OK)
        return OK;
    if (reading->err != OK)
        return reading->err;
    return XML_GetErrorCode(reading->parser) == XML_ERROR_NO_MEMORY ? ERR_NO_MEMORY : ERR_BAD_REQUEST;
}

enum err xml_read(const char *bytes, size_t size, struct arena *arena, const struct xml **ret_root) {
    struct reading reading = { .parser = XML_ParserCreate(NULL), .arena = arena, .text = BUF_INIT };
    if (reading.parser == NULL)
        return ERR_NO_MEMORY;

    enum err err = parse(&reading, bytes, size);
    XML_ParserFree(reading.parser);
    buf_release(&reading.text);
    if (err == OK)
        *ret_root = &reading.root->xml;
    return err;
}

static const struct xml *named(const struct xml *from, const char *name) {
    while (from != NULL && strcmp(from->name, name) != 0)
        from = from->next;
    return from;
}

const struct xml *xml_child(const struct xml *parent, const char *name) { return parent == NULL ? NULL : named(parent->first_child, name); }

const struct xml *xml_next(const struct xml *child) { return named(child->next, child->name); }

const char *xml_text(const struct xml *parent, const char *name) {
    const struct xml *child = xml_child(parent, name);
    return child == NULL ? "" : child->text;
}
