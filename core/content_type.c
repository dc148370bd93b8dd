/* See content_type.h. Owns nothing. */
#include "core/content_type.h"

#include <string.h>
#include <strings.h>

#include "core/limits.h"
#include "core/text.h"

#define TYPE_MAX 127

/* ---- Types ---- */

static size_t token_size(const char *text) {
    return strspn(text, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
}

/* "type/subtype" without parameters. */
static size_t essence_size(const char *type) {
    size_t main = token_size(type);
    if (main == 0 || type[main] != '/')
        return 0;
    size_t sub = token_size(type + main + 1);
    return sub == 0 ? 0 : main + 1 + sub;
}

static bool is_printable(const char *text) {
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            return false;
    return true;
}

bool content_type_is_valid(const char *type) {
    size_t size = essence_size(type);
    const char *rest = type + size + strspn(type + size, " ");
    return size > 0 && strlen(type) <= TYPE_MAX && memchr(type, '*', size) == NULL && is_printable(type) && (*rest == '\0' || *rest == ';');
}

/* Browsers run the scripts of whatever is XML, under any type that says so. */
static bool is_markup(const char *type, size_t size) {
    return (size >= 4 && strncasecmp(type + size - 4, "+xml", 4) == 0) || strncasecmp(type, "image/svg", 9) == 0;
}

/* A comma makes a list of types, of which browsers take the last ("image/png;a=b,text/html"). */
bool content_type_is_shown(const char *type) {
    static const char *const GROUPS[] = { "image/", "audio/", "video/" };
    size_t size = essence_size(type);
    if (is_markup(type, size) || strchr(type, ',') != NULL)
        return false;
    if ((size == 10 && strncasecmp(type, "text/plain", size) == 0) || (size == 15 && strncasecmp(type, "application/pdf", size) == 0))
        return true;
    for (size_t i = 0; i < sizeof(GROUPS) / sizeof(GROUPS[0]); i++)
        if (strncasecmp(type, GROUPS[i], strlen(GROUPS[i])) == 0)
            return true;
    return false;
}

/* ---- The setting: PATTERN:BYTES,... ---- */

struct type_rule {
    const char *pattern;
    size_t pattern_size;
    int64_t bytes;
};

/* A type, or with a star for the subtype, or for both. */
static bool is_pattern(const char *text, size_t size) {
    const char *star = memchr(text, '*', size);
    if (size == 0 || essence_size(text) != size)
        return false;
    return star == NULL || (star == text + size - 1 && star[-1] == '/') || (size == 3 && memcmp(text, "*/*", size) == 0);
}

/* Reads the rule at *text and moves on to the next; false: it is none. */
static bool read_rule(const char **text, struct type_rule *ret_rule) {
    size_t size = strcspn(*text, ",");
    const char *colon = memchr(*text, ':', size);
    if (colon == NULL)
        return false;
    struct type_rule rule = { .pattern = *text, .pattern_size = (size_t)(colon - *text) };
    if (!is_pattern(*text, rule.pattern_size) || !text_to_bytes(colon + 1, size - rule.pattern_size - 1, &rule.bytes))
        return false;
    *text += size;
    if (**text == ',' && *++*text == '\0')
        return false;
    *ret_rule = rule;
    return true;
}

static bool rule_fits(const struct type_rule *rule, const char *type, size_t size) {
    if (rule->pattern_size == 3 && memcmp(rule->pattern, "*/*", 3) == 0)
        return true;
    bool any_subtype = rule->pattern[rule->pattern_size - 1] == '*';
    size_t compared = any_subtype ? rule->pattern_size - 1 : rule->pattern_size;
    return (any_subtype ? size > compared : size == compared) && strncasecmp(rule->pattern, type, compared) == 0;
}

int64_t content_type_limit(const char *setting, const char *type) {
    size_t size = essence_size(type);
    struct type_rule rule;
    while (size > 0 && *setting != '\0' && read_rule(&setting, &rule))
        if (rule_fits(&rule, type, size))
            return rule.bytes;
    return 0;
}

const char *content_type_check_setting(const char *setting) {
    struct type_rule rule;
    do
        if (!read_rule(&setting, &rule))
            return "is not a list like image/*:20MiB,application/pdf:100MiB,*/*:1GiB";
    while (*setting != '\0');
    return NULL;
}

/* ---- Names ---- */

/* C1 controls, which some programs take for ends of lines: U+0080-9F. */
static bool is_control(const char *at) {
    const unsigned char *u = (const unsigned char *)at;
    return u[0] == 0xc2 && u[1] < 0xa0;
}

/* Marks that make the text after them read in another direction, and line separators: U+061C, U+200E-F, U+2028-E, U+2066-9. */
static bool is_deceptive(const char *at) {
    const unsigned char *u = (const unsigned char *)at;
    if (u[0] == 0xd8)
        return u[1] == 0x9c;
    if (u[0] != 0xe2)
        return false;
    return (u[1] == 0x80 && ((u[2] >= 0x8e && u[2] <= 0x8f) || (u[2] >= 0xa8 && u[2] <= 0xae))) ||
           (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9);
}

/* Whether that is so at any byte of the name, which is well-formed: what begins a character is followed by the rest of it. */
static bool any(const char *name, size_t size, bool (*question)(const char *at)) {
    for (size_t i = 0; i < size; i++)
        if (question(name + i))
            return true;
    return false;
}

static bool is_separator(const char *at) { return *at == '/' || *at == '\\' || *at == '"'; }

static bool is_folder(const char *name, size_t size) { return size <= 2 && memcmp(name, "..", size) == 0; }

const char *file_name_problem(const char *name, size_t size) {
    if (size == 0 || size > LIMIT_FILE_NAME_BYTES)
        return "must have 1 to 255 bytes";
    if (!utf8_valid(name, size) || !text_is_line(name, size) || any(name, size, is_control))
        return "must not contain control characters";
    if (is_folder(name, size) || any(name, size, is_separator))
        return "must be the name of a file, without slashes, backslashes and double quotes";
    if (any(name, size, is_deceptive))
        return "must not contain characters that change the direction of text";
    return NULL;
}
