/* Owns the handlers for who may not be a member of a chat. */
#include "api/handlers.h"

static enum err list_bans(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    struct ban *bans;
    size_t count;
    enum err err =
        read_bans(request->reader, request->session.user_id, request->ids[PATH_CHAT_ID], cursor, limit + 1, &request->arena, &bans, &count);
    if (err != OK)
        return err;
    size_t shown = count < limit ? count : limit;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < shown; i++) {
        json_comma(buf);
        render_ban(buf, &bans[i]);
    }
    list_end(buf, count > limit ? bans[shown - 1].user_id : 0, head_id);
    return OK;
}

enum err ban_list(struct request *request) { return list_page(request, LIMIT_PAGE_ITEMS_DEFAULT, LIMIT_PAGE_ITEMS, list_bans); }

enum err ban_put(struct request *request) {
    struct command *command = request_command(request, COMMAND_BAN_PUT);
    command->in.ban_put.chat_id = request->ids[PATH_CHAT_ID];
    command->in.ban_put.user_id = request->ids[PATH_USER_ID];
    return OK;
}

enum err ban_remove(struct request *request) {
    struct command *command = request_command(request, COMMAND_BAN_REMOVE);
    command->in.ban_remove.chat_id = request->ids[PATH_CHAT_ID];
    command->in.ban_remove.user_id = request->ids[PATH_USER_ID];
    return OK;
}
