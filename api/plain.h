/* The plainest of JSON objects: a few strings, none of them with an escape. Most messages are that, and a general parser takes ten times as long for it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/crypto.h"

#define PLAIN_MEMBERS_MAX 8

/* As they are in the JSON, without their quotes. */
struct plain_member {
    struct slice name;
    struct slice value;
};

struct plain_object {
    struct plain_member members[PLAIN_MEMBERS_MAX];
    size_t count;
};

/* True: all of `json` is one well-formed object of at most PLAIN_MEMBERS_MAX members with different names, whose values are strings, and names and values
 * are well-formed UTF-8 without escapes and control characters. False: it is something else, well-formed or not, and *ret_object is anything. */
bool plain_read(const char *json, size_t size, struct plain_object *ret_object);
