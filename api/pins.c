/* Owns the handlers for pinned messages. */
#include "api/handlers.h"

static enum err prepare(struct request *request, bool on) {
    struct command *command = request_command(request, COMMAND_MESSAGE_PIN);
    command->in.message_pin.chat_id = request->ids[PATH_CHAT_ID];
    command->in.message_pin.message_id = request->ids[PATH_MESSAGE_ID];
    command->in.message_pin.on = on;
    return OK;
}

enum err pin_put(struct request *request) { return prepare(request, true); }

enum err pin_delete(struct request *request) { return prepare(request, false); }

static void render_pin(struct buf *buf, const struct pin *pin) {
    json_comma(buf);
    buf_char(buf, '{');
    json_member_id(buf, "message_id", pin->message_id);
    json_member_number(buf, "seq", pin->seq);
    json_member_id(buf, "user_id", pin->user_id);
    json_member_time(buf, "pinned_at", pin->pinned_ms);
    buf_char(buf, '}');
}

static enum err list_pins(struct request *request, uint64_t head_id) {
    struct pin *pins;
    size_t count;
    enum err err = read_pins(request->reader, request->session.user_id, request->ids[PATH_CHAT_ID], &request->arena, &pins, &count);
    if (err != OK)
        return err;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < count; i++)
        render_pin(buf, &pins[i]);
    list_end(buf, 0, head_id);
    return OK;
}

enum err pin_list(struct request *request) {
    uint64_t head_id;
    enum err err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = list_pins(request, head_id);
    read_end(request->reader);
    return err;
}
