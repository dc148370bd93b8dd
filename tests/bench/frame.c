#include "frame.h"

#include <stdbool.h>
#include <string.h>

enum field { FIELD_RETRY, FIELD_EVENT, FIELD_ID, FIELD_DATA, FIELD_COUNT };

static bool parse_id(const char *text, size_t len, uint64_t *ret_id) {
    uint64_t id = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        id = id * 10 + (uint64_t)(text[i] - '0');
    }
    *ret_id = id;
    return id > 0;
}

/* Which field a line is; FIELD_COUNT when it is none. */
static enum field line_field(const char *line, size_t len, const char **ret_value) {
    static const struct {
        const char *start;
        size_t len;
    } fields[FIELD_COUNT] = {
        [FIELD_RETRY] = { "retry: ", 7 },
        [FIELD_EVENT] = { "event: ", 7 },
        [FIELD_ID] = { "id: ", 4 },
        [FIELD_DATA] = { "data: ", 6 },
    };
    for (enum field field = 0; field < FIELD_COUNT; field++) {
        if (len >= fields[field].len && memcmp(line, fields[field].start, fields[field].len) == 0) {
            *ret_value = line + fields[field].len;
            return field;
        }
    }
    return FIELD_COUNT;
}

static bool frame_take_line(struct frame *frame, const char *line, size_t len, enum field *next) {
    const char *value;
    enum field field = line_field(line, len, &value);
    size_t value_len = field == FIELD_COUNT ? 0 : (size_t)(line + len - value);
    if (field == FIELD_COUNT || field < *next)
        return false;
    *next = field + 1;
    switch (field) {
    case FIELD_EVENT:
        frame->type = value;
        frame->type_len = value_len;
        return true;
    case FIELD_ID:
        return parse_id(value, value_len, &frame->id);
    case FIELD_DATA:
        frame->data = value;
        frame->data_len = value_len;
        return true;
    case FIELD_RETRY:
    case FIELD_COUNT:
        return true;
    }
    return false;
}

enum frame_progress frame_parse(const char *bytes, size_t len, struct frame *ret_frame, size_t *ret_frame_len) {
    const char *line = bytes, *end = bytes + len;
    enum field next = 0;
    *ret_frame = (struct frame){ 0 };
    while (line < end) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        if (!line_end)
            return FRAME_PARTIAL;
        if (line_end == line) {
            *ret_frame_len = (size_t)(line_end + 1 - bytes);
            return next > 0 ? FRAME_COMPLETE : FRAME_BROKEN;
        }
        if (!frame_take_line(ret_frame, line, (size_t)(line_end - line), &next))
            return FRAME_BROKEN;
        line = line_end + 1;
    }
    return FRAME_PARTIAL;
}
