/* JSON bodies: whatever is sent, form_read() refuses with a reason, or every field is what its row promises. */
#include <string.h>

#include "api/json.h"
#include "core/text.h"
#include "tests/fuzz/fuzz.h"

struct everything {
    struct text text;
    struct text line;
    struct text bytes;
    bool flag;
    int choice;
    struct id_list ids;
    struct integer number;
    const uint8_t *hex;
    uint64_t id;
    struct part_list parts;
};

static const struct choice choices[] = { { "one", 1 }, { "two", 2 }, { NULL, 0 } };
static const struct field fields[] = {
    { .name = "text", .type = FIELD_TEXT, .required = true, .min = 1, .max = 100, .offset = offsetof(struct everything, text) },
    { .name = "line", .type = FIELD_LINE, .min = 2, .max = 8, .offset = offsetof(struct everything, line) },
    { .name = "bytes", .type = FIELD_BYTES, .min = 4, .max = 16, .offset = offsetof(struct everything, bytes) },
    { .name = "flag", .type = FIELD_BOOL, .offset = offsetof(struct everything, flag) },
    { .name = "choice", .type = FIELD_CHOICE, .offset = offsetof(struct everything, choice), .choices = choices },
    { .name = "ids", .type = FIELD_IDS, .max = 5, .offset = offsetof(struct everything, ids) },
    { .name = "number", .type = FIELD_INTEGER, .min = -5, .max = 500, .offset = offsetof(struct everything, number) },
    { .name = "hex", .type = FIELD_HEX, .min = 4, .max = 4, .offset = offsetof(struct everything, hex) },
    { .name = "id", .type = FIELD_ID, .offset = offsetof(struct everything, id) },
    { .name = "parts", .type = FIELD_PARTS, .min = 1, .max = 3, .offset = offsetof(struct everything, parts) },
};
static const struct form form = { fields, sizeof(fields) / sizeof(fields[0]), sizeof(struct everything) };

static void check_text(const struct text *text, size_t min, size_t max, bool counts_bytes) {
    if (text->bytes == NULL)
        return;
    size_t length = counts_bytes ? text->size : utf8_length(text->bytes, text->size);
    MUST(utf8_valid(text->bytes, text->size));
    MUST(text->bytes[text->size] == '\0');
    MUST(length >= min && length <= max);
}

static void check_form(const struct everything *body) {
    MUST(body->text.bytes != NULL);
    check_text(&body->text, 1, 100, false);
    check_text(&body->line, 2, 8, false);
    check_text(&body->bytes, 4, 16, true);
    MUST(body->line.bytes == NULL || text_is_line(body->line.bytes, body->line.size));
    MUST(body->choice >= 0 && body->choice <= 2);
    MUST(body->ids.ids != NULL ? body->ids.count <= 5 : body->ids.count == 0);
    for (size_t i = 0; i < body->ids.count; i++)
        MUST(body->ids.ids[i] >= 1 && body->ids.ids[i] <= INT64_MAX);
    MUST(!body->number.given || (body->number.value >= -5 && body->number.value <= 500));
    MUST(body->id <= INT64_MAX);
    MUST(body->parts.parts != NULL ? body->parts.count >= 1 && body->parts.count <= 3 : body->parts.count == 0);
    for (size_t i = 0; i < body->parts.count; i++)
        MUST(body->parts.parts[i].number >= 1 && body->parts.parts[i].number <= 10000);
}

static void check_refusal(enum err err, const struct refusal *refusal) {
    MUST(err == ERR_BAD_JSON || err == ERR_BAD_FIELD || err == ERR_UNKNOWN_FIELD || err == ERR_MISSING_FIELD);
    MUST(refusal->err == err);
    MUST(refusal->detail != NULL && utf8_valid(refusal->detail, strlen(refusal->detail)));
    MUST((err == ERR_BAD_JSON) == (refusal->field == NULL));
    MUST(refusal->field == NULL || utf8_valid(refusal->field, strlen(refusal->field)));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct request request = { .arena = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES) };
    buf_append(&request.body, input, size);
    enum err err = form_read(&request, &form);
    if (err == OK)
        check_form(request.form);
    else
        check_refusal(err, &request.refusal);
    form_release(&request);
    arena_release(&request.arena);
    buf_release(&request.body);
    return 0;
}
