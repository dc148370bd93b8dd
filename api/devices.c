/* Owns the handlers for a user's devices. */
#include "api/handlers.h"

static enum err list_devices(struct request *request, uint64_t head_id) {
    struct device *devices;
    size_t count;
    enum err err = read_devices(request->reader, request->session.user_id, &request->arena, &devices, &count);
    if (err != OK)
        return err;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < count; i++) {
        json_comma(buf);
        render_device(buf, &devices[i], request->session.device_id);
    }
    list_end(buf, 0, head_id);
    return OK;
}

enum err device_list(struct request *request) {
    uint64_t head_id;
    enum err err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = list_devices(request, head_id);
    read_end(request->reader);
    return err;
}

enum err device_remove(struct request *request) {
    struct command *command = request_command(request, COMMAND_DEVICE_REMOVE);
    command->in.device_remove.device_id = request->ids[PATH_DEVICE_ID];
    command->in.device_remove.reason = REMOVAL_REVOKED;
    return OK;
}
