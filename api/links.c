/* Owns the handlers for invitation links and for requests to join. */
#include <string.h>

#include "api/handlers.h"

struct link_form {
    struct integer expires_in_s;
    struct integer uses;
    struct flag approval;
};

static const struct field LINK_FIELDS[] = {
    { "expires_in_s", FIELD_INTEGER, false, LIMIT_LINK_MIN_MS / 1000, LIMIT_LINK_MS / 1000, offsetof(struct link_form, expires_in_s),
      NULL },
    { "uses", FIELD_INTEGER, false, 1, LIMIT_LINK_USES, offsetof(struct link_form, uses), NULL },
    { "approval", FIELD_FLAG, false, 0, 0, offsetof(struct link_form, approval), NULL },
};
const struct form link_form = FORM(link_form, LINK_FIELDS);

struct join_answer_form {
    bool approve;
};

static const struct field JOIN_ANSWER_FIELDS[] = {
    { "approve", FIELD_BOOL, true, 0, 0, offsetof(struct join_answer_form, approve), NULL },
};
const struct form join_answer_form = FORM(join_answer_form, JOIN_ANSWER_FIELDS);

/* ---- Links of a chat ---- */

struct new_token {
    char text[TOKEN_TEXT_SIZE];
    uint8_t hash[SHA256_SIZE];
};

enum err link_create(struct request *request) {
    const struct link_form *form = REQUEST_FORM(request, link_form);
    struct new_token *token = ARENA_NEW(&request->arena, struct new_token);
    if (form->approval.value && form->uses.given)
        return request_refuse(request, ERR_BAD_FIELD, "uses", "those who join by approval are counted by who approves");
    if (token == NULL)
        return ERR_NO_MEMORY;
    token_new(token->text);
    if (!token_hash(token->text, strlen(token->text), token->hash))
        return ERR_INTERNAL;
    struct command *command = request_command(request, COMMAND_LINK_CREATE);
    command->in.link_create.chat_id = request->ids[PATH_CHAT_ID];
    command->in.link_create.token = token->text;
    command->in.link_create.hash = token->hash;
    command->in.link_create.lifetime_ms = form->expires_in_s.value * 1000;
    command->in.link_create.uses_max = (uint32_t)form->uses.value;
    command->in.link_create.needs_approval = form->approval.value;
    return OK;
}

static enum err list_links(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    struct link *links;
    size_t count;
    enum err err = read_links(request->reader, request->session.user_id, request->ids[PATH_CHAT_ID], cursor, limit + 1, &request->arena,
                              &links, &count);
    if (err != OK)
        return err;
    size_t shown = count < limit ? count : limit;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < shown; i++) {
        json_comma(buf);
        render_link(buf, &links[i], NULL);
    }
    list_end(buf, count > limit ? links[shown - 1].id : 0, head_id);
    return OK;
}

enum err link_list(struct request *request) { return list_page(request, LIMIT_PAGE_ITEMS_DEFAULT, LIMIT_PAGE_ITEMS, list_links); }

enum err link_revoke(struct request *request) {
    struct command *command = request_command(request, COMMAND_LINK_REVOKE);
    command->in.link_revoke.chat_id = request->ids[PATH_CHAT_ID];
    command->in.link_revoke.link_id = request->ids[PATH_LINK_ID];
    return OK;
}

/* ---- Following one ---- */

static enum err find_link(struct request *request, struct link *ret_link, struct chat *ret_chat, bool *ret_works) {
    uint8_t hash[SHA256_SIZE];
    if (!token_hash(request->token_text.bytes, request->token_text.size, hash))
        return ERR_NOT_FOUND;
    return read_link(request->reader, hash, &request->arena, ret_link, ret_chat, ret_works);
}

enum err link_show(struct request *request) {
    struct link link;
    struct chat chat;
    bool works, banned;
    enum err err = find_link(request, &link, &chat, &works);
    if (err == OK)
        err = read_is_banned(request->reader, request->session.user_id, chat.id, &banned);
    if (err != OK)
        return err;
    if (banned)
        return request_refuse(request, ERR_BANNED, NULL, "an admin has banned you from this chat");
    if (!works)
        return request_refuse(request, ERR_LINK_ENDED, NULL, "it has expired, was revoked or is used up, or its maker may not add members");
    render_invitation(answer_json(request, 200), &link, &chat);
    return OK;
}

/* What a token stands for never changes; whether it still works is decided with the joining. */
enum err link_join(struct request *request) {
    struct link link;
    struct chat chat;
    bool works;
    enum err err = find_link(request, &link, &chat, &works);
    if (err != OK)
        return err;
    struct command *command = request_command(request, COMMAND_LINK_JOIN);
    command->in.link_join.chat_id = link.chat_id;
    command->in.link_join.link_id = link.id;
    return OK;
}

enum err link_joined(struct request *request) {
    enum err err = finish_json(request);
    if (err == OK && request->command.out.waits)
        request->answer.status = 202;
    return err;
}

/* ---- Requests to join ---- */

static enum err list_requests(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    struct join_request *requests;
    size_t count;
    enum err err = read_join_requests(request->reader, request->session.user_id, request->ids[PATH_CHAT_ID], cursor, limit + 1,
                                      &request->arena, &requests, &count);
    if (err != OK)
        return err;
    size_t shown = count < limit ? count : limit;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < shown; i++) {
        json_comma(buf);
        render_join_request(buf, &requests[i]);
    }
    list_end(buf, count > limit ? requests[shown - 1].user_id : 0, head_id);
    return OK;
}

enum err join_list(struct request *request) { return list_page(request, LIMIT_PAGE_ITEMS_DEFAULT, LIMIT_PAGE_ITEMS, list_requests); }

enum err join_answer(struct request *request) {
    struct command *command = request_command(request, COMMAND_JOIN_ANSWER);
    command->in.join_answer.chat_id = request->ids[PATH_CHAT_ID];
    command->in.join_answer.user_id = request->ids[PATH_USER_ID];
    command->in.join_answer.approve = REQUEST_FORM(request, join_answer_form)->approve;
    return OK;
}
