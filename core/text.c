/* See text.h. */
#include "core/text.h"

#include <stdint.h>
#include <string.h>

#include "core/limits.h"

size_t utf8_length(const char *text, size_t size) {
    size_t length = 0;
    for (size_t i = 0; i < size; i++)
        length += ((uint8_t)text[i] & 0xc0) != 0x80; /* every byte that begins a character */
    return length;
}

/* Eight ASCII bytes, none of them NUL: what nearly all of nearly every text is. */
static bool is_plain_word(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    bool has_high = (word & UINT64_C(0x8080808080808080)) != 0;
    bool has_zero = ((word - UINT64_C(0x0101010101010101)) & ~word & UINT64_C(0x8080808080808080)) != 0;
    return !has_high && !has_zero;
}

static bool is_tail(uint8_t byte) { return (byte & 0xc0) == 0x80; }

/* Bytes of the well-formed character at `bytes`, 0 when it is none: the grammar of RFC 3629 section 4. Its special rows for the second byte shut out
 * overlong forms (E0, F0), surrogates (ED) and what is beyond U+10FFFF (F4). */
static size_t character_size(const uint8_t *bytes, size_t left) {
    uint8_t lead = bytes[0];
    if (lead == 0)
        return 0;
    if (lead < 0x80)
        return 1;

    size_t size = lead >= 0xc2 && lead <= 0xdf ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
    if (size == 0 || size > left)
        return 0;
    uint8_t second_min = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t second_max = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (bytes[1] < second_min || bytes[1] > second_max)
        return 0;
    for (size_t i = 2; i < size; i++)
        if (!is_tail(bytes[i]))
            return 0;
    return size;
}

bool utf8_valid(const char *text, size_t size) {
    const uint8_t *next = (const uint8_t *)text;
    const uint8_t *end = next + size;

    while (next < end) {
        if (end - next >= 8 && is_plain_word(next)) {
            next += 8;
            continue;
        }
        size_t character = character_size(next, (size_t)(end - next));
        if (character == 0)
            return false;
        next += character;
    }
    return true;
}

bool text_is_line(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

/* A character of two or three bytes as the number that these make; others: 0. Of well-formed text. */
static uint32_t short_character(const char *text) {
    const uint8_t *bytes = (const uint8_t *)text;
    if (bytes[0] >= 0xc2 && bytes[0] < 0xe0)
        return (uint32_t)bytes[0] << 8 | bytes[1];
    return bytes[0] >= 0xe0 && bytes[0] < 0xf0 ? (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2] : 0;
}

/* Late controls, spaces, and what shows nothing or turns the direction of the text around it. */
static bool is_unseen(uint32_t character) {
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        { 0xc280, 0xc2a0 },     { 0xc2ad, 0xc2ad },     { 0xe28080, 0xe2808c }, { 0xe2808e, 0xe2808f }, { 0xe280a8, 0xe280af },
        { 0xe2819f, 0xe281af }, { 0xe38080, 0xe38080 }, { 0xefbbbf, 0xefbbbf }, { 0xefbfbe, 0xefbfbf },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (character >= ranges[i].first && character <= ranges[i].last)
            return true;
    }
    return false;
}

/* The joiner, and the two selectors of how an emoji looks: they belong to others. */
static bool is_attendant(uint32_t character) { return character == 0xe2808d || character == 0xefb88e || character == 0xefb88f; }

bool text_is_emoji(const char *text, size_t size) {
    bool is_seen = false;
    if (size == 0 || size > LIMIT_EMOJI_BYTES || !utf8_valid(text, size))
        return false;
    for (size_t i = 0; i < size; i++) {
        bool is_ascii = (uint8_t)text[i] < 0x80;
        bool is_keycap = (text[i] >= '0' && text[i] <= '9') || text[i] == '#' || text[i] == '*';
        bool begins = (uint8_t)text[i] >= 0xc0;
        if (is_ascii ? !is_keycap : begins && is_unseen(short_character(&text[i])))
            return false;
        is_seen = is_seen || (begins && !is_attendant(short_character(&text[i])));
    }
    return is_seen;
}

static bool is_username_character(char character) {
    return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9') || character == '_' || character == '.' ||
           character == '-';
}

bool username_fold(const char *name, size_t size, char *out) {
    if (size < LIMIT_USERNAME_MIN_BYTES || size > LIMIT_USERNAME_BYTES)
        return false;

    for (size_t i = 0; i < size; i++) {
        char folded = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
        if (!is_username_character(folded))
            return false;
        out[i] = folded;
    }
    out[size] = '\0';
    return true;
}

static bool multiply(int64_t number, int64_t factor, int64_t *ret_product) {
    int64_t product;
    if (__builtin_mul_overflow(number, factor, &product))
        return false;
    *ret_product = product;
    return true;
}

bool text_to_bytes(const char *text, size_t size, int64_t *ret_bytes) {
    static const char *const UNITS[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    int64_t number = 0;
    size_t digits = 0;
    for (; digits < size && text[digits] >= '0' && text[digits] <= '9'; digits++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, text[digits] - '0', &number))
            return false;
    if (digits == 0)
        return false;
    for (unsigned unit = 0; unit < sizeof(UNITS) / sizeof(UNITS[0]); unit++)
        if (strlen(UNITS[unit]) == size - digits && memcmp(UNITS[unit], text + digits, size - digits) == 0)
            return multiply(number, INT64_C(1) << (10 * unit), ret_bytes);
    return number == 0 && digits == size && multiply(0, 1, ret_bytes);
}
