/* See whisper.h. */
#include "db/whisper.h"

#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "core/limits.h"

static bool is_name(const char *type) {
    size_t size = strspn(type, "abcdefghijklmnopqrstuvwxyz._");
    return size > 0 && size <= LIMIT_WHISPER_TYPE_BYTES && type[size] == '\0';
}

/* A line break would end the frame's `data:`; JSON escapes those that are in strings. */
static bool is_object_on_one_line(const char *json, size_t size) {
    if (size < 2 || size > LIMIT_WHISPER_BYTES || json[0] != '{' || json[size - 1] != '}')
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)json[i] < 0x20)
            return false;
    return true;
}

bool whisper_is_sound(const struct whisper *whisper) {
    bool has_target = whisper->target >= WHISPER_CHAT && whisper->target <= WHISPER_NODES;
    return has_target && whisper->target_id >= 1 && whisper->target_id <= ID_MAX && is_name(whisper->type) &&
           is_object_on_one_line(whisper->json, whisper->json_size);
}

static void write_frame(struct buf *buf, const struct whisper *whisper, size_t *ret_unnamed) {
    bool is_empty = whisper->json_size == 2;
    buf_printf(buf, "event: %s\n", whisper->type);
    *ret_unnamed = buf->size;
    buf_printf(buf, "data: {\"type\":\"%s\"%s", whisper->type, is_empty ? "" : ",");
    buf_append(buf, whisper->json + 1, whisper->json_size - 1);
    buf_string(buf, "\n\n");
}

static struct frame *frame_of_buf(const struct buf *buf, size_t unnamed) {
    struct frame *frame = buf_ok(buf) ? malloc(sizeof *frame + buf->size) : NULL;
    if (!frame)
        return NULL;
    *frame = (struct frame){ .references = 1, .size = (uint32_t)buf->size, .unnamed = (uint32_t)unnamed };
    memcpy(frame->bytes, buf->bytes, buf->size);
    return frame;
}

struct frame *whisper_frame(const struct whisper *whisper) {
    struct buf buf = BUF_INIT;
    size_t unnamed;
    write_frame(&buf, whisper, &unnamed);
    struct frame *frame = frame_of_buf(&buf, unnamed);
    buf_release(&buf);
    return frame;
}

enum counter whisper_drop_counter(const char *type) {
    static const struct {
        const char *type;
        enum counter counter;
    } counters[] = {
        { "typing", COUNTER_WHISPERS_DROPPED_TYPING },
        { "presence", COUNTER_WHISPERS_DROPPED_PRESENCE },
        { "receipt", COUNTER_WHISPERS_DROPPED_RECEIPT },
    };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        if (strncmp(counters[i].type, type, strcspn(type, ".")) == 0)
            return counters[i].counter;
    return COUNTER_WHISPERS_DROPPED_OTHER;
}

void whisper_count_dropped(const char *type) { metric_add(whisper_drop_counter(type), 1); }
