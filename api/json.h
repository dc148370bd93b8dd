/* JSON bodies, declared: a form names the fields a body may have, and form_read() turns a body into the struct the form describes.
 *
 * Everything that is wrong with a body is found here: not JSON, not an object, duplicate keys, NUL, broken UTF-8, too deep, unknown or missing
 * fields, wrong types, lengths out of range. Strings point into request->document or its arena, and live as long as the request. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "api/request.h"

/* A string; bytes NULL: not given. NUL-terminated, well-formed UTF-8, no U+0000 inside. */
struct text {
    const char *bytes;
    size_t size;
};

struct id_list {
    const uint64_t *ids; /* NULL: not given */
    size_t count;
};

struct integer {
    bool given;
    int64_t value;
};

/* A boolean that may be left out. */
struct flag {
    bool given;
    bool value;
};

/* A string or null; bytes NULL: null. */
struct text_or_null {
    bool given;
    struct text text;
};

/* A moment or null, in milliseconds; 0: null. */
struct moment {
    bool given;
    int64_t time_ms;
};

/* A part of an upload: its number and what its bytes are. */
struct part_digest {
    unsigned number; /* 1..STORAGE_PARTS_MAX, each once in a list */
    uint8_t md5[MD5_SIZE];
};

struct part_list {
    const struct part_digest *parts; /* NULL: not given */
    size_t count;
};

/* An id, or null. */
struct optional_id {
    bool given;
    uint64_t id; /* 0: null */
};

/* Who may do some things: bits of the choices. */
struct who_may {
    unsigned given;   /* those that are said */
    unsigned members; /* of these, what members may and not only admins */
};

struct mention_list {
    const struct mention *mentions; /* NULL: not given */
    size_t count;
};

/* A message of some chat; message_id 0: not given. */
struct message_place {
    uint64_t chat_id;
    uint64_t message_id;
};

enum field_type {
    FIELD_TEXT,         /* struct text; min and max in characters */
    FIELD_LINE,         /* the same without control characters */
    FIELD_BYTES,        /* struct text; min and max in bytes */
    FIELD_BOOL,         /* bool; absent: false */
    FIELD_FLAG,         /* struct flag */
    FIELD_CHOICE,       /* int: one of `choices`; absent: 0 */
    FIELD_INTEGER,      /* struct integer; min and max its values */
    FIELD_HEX,          /* const uint8_t *: `min` bytes, sent as twice as many hex digits; absent: NULL */
    FIELD_ID,           /* uint64_t; absent: 0 */
    FIELD_ID_OR_NULL,   /* struct optional_id */
    FIELD_IDS,          /* struct id_list; min and max in items, max 0: as many as fit the body */
    FIELD_PARTS,        /* struct part_list: objects {number, md5}; min and max in items */
    FIELD_WHO_MAY,      /* struct who_may: an object, for some of `choices`, whose values are bits, "members" or "admins" */
    FIELD_MENTIONS,     /* struct mention_list: objects {user_id, offset, length}; min and max in items */
    FIELD_MESSAGE,      /* struct message_place: an object {chat_id, message_id} */
    FIELD_TEXT_OR_NULL, /* struct text_or_null; min and max in characters */
    FIELD_MOMENT,       /* struct moment: RFC 3339 or null */
};

struct choice {
    const char *name; /* NULL ends the list */
    int value;        /* not 0 */
};

struct field {
    const char *name;
    enum field_type type;
    bool required;
    int64_t min;
    int64_t max;
    size_t offset; /* into the form's struct */
    const struct choice *choices;
};

struct form {
    const struct field *fields;
    size_t count; /* at most 64 */
    size_t size;  /* of the struct */
};

/* A form from an array of fields. */
#define FORM(struct_name, field_array) \
    { (field_array), sizeof(field_array) / sizeof((field_array)[0]), sizeof(struct struct_name) }

/* Must be called once before any body is parsed: seeds jansson's hash tables while there is one thread. */
void json_start(void);
/* Parses request->body into a new struct in the request's arena and sets request->form. */
enum err form_read(struct request *request, const struct form *form) MUST_USE;
/* Frees request->document. */
void form_release(struct request *request);
