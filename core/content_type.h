/* What files may be: their types, names and how browsers may show them. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A media type without parameters or with `; charset=` and the like, of printable ASCII: "type/subtype" (RFC 9110, 8.3.1), at most 127 bytes. */
bool content_type_is_valid(const char *type);
/* The largest file of that type in bytes by the setting PARLEY_MEDIA_TYPES (core/config.c shows its form; the first match counts); 0: not allowed. */
int64_t content_type_limit(const char *setting, const char *type);
/* What is wrong with such a setting, or NULL. */
const char *content_type_check_setting(const char *setting);
/* Browsers may show it in place: images but SVG, audio, video, plain text and PDF. Everything else is offered as a download of unknown type. */
bool content_type_is_shown(const char *type);

/* No path separators, double quotes, control characters or characters that change the direction of text; not "." or ".."; 1 to 255 bytes of
 * UTF-8. Returns what is wrong, or NULL. */
const char *file_name_problem(const char *name, size_t size);
