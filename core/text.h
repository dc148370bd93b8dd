/* Text questions: length in characters, and what a name may hold. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Number of Unicode characters (code points) in well-formed UTF-8. */
size_t utf8_length(const char *text, size_t size);
/* Well-formed UTF-8 (RFC 3629), without NUL. */
bool utf8_valid(const char *text, size_t size);
/* No C0 control characters and no DEL: fit for one line (names, titles). */
bool text_is_line(const char *text, size_t size);
/* Well-formed UTF-8 of 1 to LIMIT_EMOJI_BYTES that has something beyond ASCII, of which it has only 0-9, # and *, as in keycaps. So it needs no escaping
 * in JSON. Spaces and characters that show nothing are none; joiners and variation selectors only beside others. */
bool text_is_emoji(const char *text, size_t size);
/* A whole number of bytes with its unit: "20MiB", of B, KiB, MiB, GiB and TiB; "0" needs none. */
bool text_to_bytes(const char *text, size_t size, int64_t *ret_bytes);
/* 3 to 32 of [A-Za-z0-9_.-]; writes it folded to lower case with a NUL into `out` (LIMIT_USERNAME_BYTES + 1). */
bool username_fold(const char *name, size_t size, char *out);
