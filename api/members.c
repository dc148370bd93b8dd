/* Owns the handlers for the members of a chat. */
#include "api/handlers.h"

static const struct choice ROLES[] = { { "member", ROLE_MEMBER }, { "admin", ROLE_ADMIN }, { "owner", ROLE_OWNER }, { NULL, 0 } };

struct member_form {
    int role; /* ROLE_NONE: not said */
};

static const struct field MEMBER_FIELDS[] = {
    { "role", FIELD_CHOICE, false, 0, 0, offsetof(struct member_form, role), ROLES },
};
const struct form member_form = FORM(member_form, MEMBER_FIELDS);

static enum err list_members(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    struct stay *stays;
    size_t count;
    enum err err = read_members(request->reader, request->session.user_id, request->ids[PATH_CHAT_ID], cursor, limit + 1, &request->arena,
                                &stays, &count);
    if (err != OK)
        return err;
    size_t shown = count < limit ? count : limit;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < shown; i++) {
        json_comma(buf);
        render_stay(buf, &stays[i]);
    }
    list_end(buf, count > limit ? stays[shown - 1].user_id : 0, head_id);
    return OK;
}

enum err member_list(struct request *request) {
    return list_page(request, LIMIT_MEMBERS_PAGE_ITEMS_DEFAULT, LIMIT_MEMBERS_PAGE_ITEMS, list_members);
}

enum err member_put(struct request *request) {
    const struct member_form *form = REQUEST_FORM(request, member_form);
    struct command *command = request_command(request, COMMAND_MEMBER_PUT);
    command->in.member_put.chat_id = request->ids[PATH_CHAT_ID];
    command->in.member_put.user_id = request->ids[PATH_USER_ID];
    command->in.member_put.role = (enum role)form->role;
    return OK;
}

enum err member_remove(struct request *request) {
    struct command *command = request_command(request, COMMAND_MEMBER_REMOVE);
    command->in.member_remove.chat_id = request->ids[PATH_CHAT_ID];
    command->in.member_remove.user_id = request->ids[PATH_USER_ID];
    return OK;
}
