/* Owns the handlers for logging in and out. */
#include <string.h>

#include "api/browser.h"
#include "api/dispatch.h"
#include "api/handlers.h"
#include "api/server_internal.h"
#include "core/text.h"

struct session_create_form {
    struct text username;
    struct text password;
    struct text device_name;
    bool cookie;
};

static const struct field SESSION_CREATE_FIELDS[] = {
    { "username", FIELD_TEXT, true, 1, LIMIT_USERNAME_BYTES, offsetof(struct session_create_form, username), NULL },
    { "password", FIELD_BYTES, true, 1, LIMIT_PASSWORD_BYTES, offsetof(struct session_create_form, password), NULL },
    { "device_name", FIELD_LINE, false, 1, LIMIT_NAME_CHARACTERS, offsetof(struct session_create_form, device_name), NULL },
    { "cookie", FIELD_BOOL, false, 0, 0, offsetof(struct session_create_form, cookie), NULL },
};
const struct form session_create_form = FORM(session_create_form, SESSION_CREATE_FIELDS);

void session_answer(struct request *request, const struct user *user, const struct device *device, const char *token, bool in_cookie) {
    struct buf *buf = answer_json(request, request->route->success);
    buf_char(buf, '{');
    if (in_cookie) {
        cookie_set(request, token);
        json_member_null(buf, "access_token");
    } else {
        json_member_string(buf, "access_token", token);
    }
    json_comma(buf);
    json_key(buf, "user");
    render_user(buf, user);
    json_comma(buf);
    json_key(buf, "device");
    render_device(buf, device, 0);
    buf_char(buf, '}');
}

/* What logging in needs from the password's check to the answer; in the arena. */
struct login_state {
    uint8_t token_hash[SHA256_SIZE]; /* first, so that the command's pointer to it finds the rest */
    char token[TOKEN_TEXT_SIZE];
    struct user user;
};

enum err session_create_admit(struct request *request) {
    const struct session_create_form *form = REQUEST_FORM(request, session_create_form);
    char username[LIMIT_USERNAME_BYTES + 1];
    if (!username_fold(form->username.bytes, form->username.size, username))
        return limit_account(request, form->username.bytes);
    return limit_account(request, username);
}

/* Unknown users and wrong passwords take the same time and get the same answer. */
static enum err check_password(struct request *request, const struct session_create_form *form, struct user *user) {
    unsigned cost = (unsigned)request->server->config->password_cost;
    char username[LIMIT_USERNAME_BYTES + 1];
    bool known = username_fold(form->username.bytes, form->username.size, username);
    enum err err = known ? read_user_by_name(request->reader, username, &request->arena, user) : ERR_NOT_FOUND;
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    const char *stored = err == OK ? user->password : NULL;
    bool matches;
    err = password_verify(form->password.bytes, stored, cost, &matches);
    if (err != OK)
        return err;
    return matches ? OK : ERR_LOGIN_FAILED;
}

enum err session_create(struct request *request) {
    const struct session_create_form *form = REQUEST_FORM(request, session_create_form);
    struct login_state *state = ARENA_NEW(&request->arena, struct login_state);
    if (state == NULL)
        return ERR_NO_MEMORY;
    enum err err = check_password(request, form, &state->user);
    if (err != OK)
        return err;
    token_new(state->token);
    if (!token_hash(state->token, strlen(state->token), state->token_hash))
        return ERR_INTERNAL;
    struct command *command = request_command(request, COMMAND_SESSION_CREATE);
    command->actor_id = state->user.id;
    command->in.session_create.expected = state->user.password;
    command->in.session_create.device_name = form->device_name.bytes != NULL ? form->device_name.bytes : "device";
    command->in.session_create.token = state->token_hash;
    return OK;
}

enum err session_created(struct request *request) {
    const struct command *command = &request->command;
    const struct session_create_form *form = REQUEST_FORM(request, session_create_form);
    const struct login_state *state = (const struct login_state *)(const void *)command->in.session_create.token;
    struct device device = {
        .id = command->out.device_id,
        .user_id = state->user.id,
        .name = command->in.session_create.device_name,
        .created_ms = command->out.time_ms,
    };
    session_answer(request, &state->user, &device, state->token, form->cookie);
    return OK;
}

enum err session_end(struct request *request) {
    struct command *command = request_command(request, COMMAND_DEVICE_REMOVE);
    command->in.device_remove.device_id = request->session.device_id;
    command->in.device_remove.reason = REMOVAL_LOGGED_OUT;
    return OK;
}

enum err session_ended(struct request *request) {
    cookie_set(request, NULL);
    return finish_empty(request);
}
