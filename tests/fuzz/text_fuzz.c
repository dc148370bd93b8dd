/* Text: the UTF-8 validator against a plain reading of RFC 3629, ids and their text, and JSON strings against jansson's reading of them. */
#include <jansson.h>
#include <string.h>

#include "core/buf.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/text.h"
#include "tests/fuzz/fuzz.h"

/* Decodes one character by the definition, however slowly; 0 when there is none. */
static size_t decode(const uint8_t *input, size_t size, uint32_t *ret_code) {
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t length = input[0] < 0x80 ? 1 : (input[0] & 0xe0) == 0xc0 ? 2 : (input[0] & 0xf0) == 0xe0 ? 3 : (input[0] & 0xf8) == 0xf0 ? 4 : 0;
    if (length == 0 || length > size)
        return 0;
    uint32_t code = length == 1 ? input[0] : input[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((input[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (input[i] & 0x3f);
    }
    *ret_code = code;
    return code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : length;
}

static bool is_well_formed(const uint8_t *input, size_t size, size_t *ret_length) {
    uint32_t code;
    *ret_length = 0;
    for (size_t at = 0; at < size; ++*ret_length) {
        size_t length = decode(input + at, size - at, &code);
        if (length == 0 || code == 0)
            return false;
        at += length;
    }
    return true;
}

static void check_json(const char *text, size_t size) {
    struct buf buf = BUF_INIT;
    json_quote(&buf, text, size);
    json_t *read = json_loadb(buf.bytes, buf.size, JSON_DECODE_ANY, NULL);
    MUST(read != NULL);
    MUST(json_string_length(read) == size && memcmp(json_string_value(read), text, size) == 0);
    json_decref(read);
    buf_release(&buf);
}

static void check_id(const char *text, size_t size) {
    uint64_t id;
    char again[ID_TEXT_SIZE];
    if (!id_parse(text, size, &id))
        return;
    MUST(id >= 1 && id <= ID_MAX);
    MUST(id_format(id, again) == size && memcmp(again, text, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    const char *text = (const char *)input;
    char name[LIMIT_USERNAME_BYTES + 1];
    size_t length;
    bool is_well = is_well_formed(input, size, &length);
    MUST(utf8_valid(text, size) == is_well);
    if (is_well) {
        MUST(utf8_length(text, size) == length);
        check_json(text, size);
    }
    check_id(text, size);
    if (username_fold(text, size, name))
        MUST(strlen(name) == size && utf8_valid(name, size));
    return 0;
}
