/* Owns the handlers for accounts: registering, profiles, passwords. */
#include <string.h>

#include "api/dispatch.h"
#include "api/handlers.h"
#include "api/server_internal.h"
#include "core/text.h"

#define DEFAULT_DEVICE_NAME "device"

struct user_create_form {
    struct text username;
    struct text password;
    struct text display_name;
    struct text device_name;
    struct text invite;
    bool cookie;
};

static const struct field USER_CREATE_FIELDS[] = {
    { "username", FIELD_TEXT, true, 1, LIMIT_USERNAME_BYTES, offsetof(struct user_create_form, username), NULL },
    { "password", FIELD_BYTES, true, LIMIT_PASSWORD_MIN_BYTES, LIMIT_PASSWORD_BYTES, offsetof(struct user_create_form, password), NULL },
    { "display_name", FIELD_LINE, false, 1, LIMIT_NAME_CHARACTERS, offsetof(struct user_create_form, display_name), NULL },
    { "device_name", FIELD_LINE, false, 1, LIMIT_NAME_CHARACTERS, offsetof(struct user_create_form, device_name), NULL },
    { "invite", FIELD_TEXT, false, 1, LIMIT_KEY_BYTES, offsetof(struct user_create_form, invite), NULL },
    { "cookie", FIELD_BOOL, false, 0, 0, offsetof(struct user_create_form, cookie), NULL },
};
const struct form user_create_form = FORM(user_create_form, USER_CREATE_FIELDS);

struct user_update_form {
    struct text display_name;
    int presence;
    struct flag receipts;
};

enum { PRESENCE_SHARED_CHATS = 1, PRESENCE_NOBODY };
static const struct choice PRESENCES[] = { { "shared_chats", PRESENCE_SHARED_CHATS }, { "nobody", PRESENCE_NOBODY }, { NULL, 0 } };

static const struct field USER_UPDATE_FIELDS[] = {
    { "display_name", FIELD_LINE, false, 1, LIMIT_NAME_CHARACTERS, offsetof(struct user_update_form, display_name), NULL },
    { "presence", FIELD_CHOICE, false, 0, 0, offsetof(struct user_update_form, presence), PRESENCES },
    { "receipts", FIELD_FLAG, false, 0, 0, offsetof(struct user_update_form, receipts), NULL },
};
const struct form user_update_form = FORM(user_update_form, USER_UPDATE_FIELDS);

struct password_form {
    struct text current_password;
    struct text new_password;
};

static const struct field PASSWORD_FIELDS[] = {
    { "current_password", FIELD_BYTES, true, 1, LIMIT_PASSWORD_BYTES, offsetof(struct password_form, current_password), NULL },
    { "new_password", FIELD_BYTES, true, LIMIT_PASSWORD_MIN_BYTES, LIMIT_PASSWORD_BYTES, offsetof(struct password_form, new_password),
      NULL },
};
const struct form password_form = FORM(password_form, PASSWORD_FIELDS);

/* ---- Registering ---- */

/* What the request needs from admitting it to its answer; in the arena. The form's struct is followed by nothing, so this refers to it. */
struct registration_state {
    char username[LIMIT_USERNAME_BYTES + 1];
    char token[TOKEN_TEXT_SIZE];
    uint8_t token_hash[SHA256_SIZE];
    uint8_t invite_hash[SHA256_SIZE];
    char password[PASSWORD_HASH_SIZE];
};

enum err user_create_admit(struct request *request) {
    const struct user_create_form *form = REQUEST_FORM(request, user_create_form);
    int64_t registration = request->server->config->registration;
    char username[LIMIT_USERNAME_BYTES + 1];
    if (registration == REGISTRATION_CLOSED)
        return ERR_REGISTRATION_CLOSED;
    if (registration == REGISTRATION_INVITE && form->invite.bytes == NULL)
        return request_refuse(request, ERR_MISSING_FIELD, "invite", "registering here takes an invite");
    if (!username_fold(form->username.bytes, form->username.size, username))
        return request_refuse(request, ERR_BAD_FIELD, "username", "must be 3 to 32 of A-Z a-z 0-9 _ . -");
    return OK;
}

/* Hashing is slow, so names that are taken are refused before it; the commit decides for good. */
static enum err refuse_taken(struct request *request, const char *username) {
    struct user user;
    enum err err = read_user_by_name(request->reader, username, &request->arena, &user);
    if (err == OK)
        return request_refuse(request, ERR_USERNAME_TAKEN, "username", "somebody else has this name");
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err user_create(struct request *request) {
    const struct user_create_form *form = REQUEST_FORM(request, user_create_form);
    const struct config *config = request->server->config;
    struct registration_state *state = ARENA_NEW(&request->arena, struct registration_state);
    if (state == NULL)
        return ERR_NO_MEMORY;
    if (!username_fold(form->username.bytes, form->username.size, state->username))
        return ERR_BAD_FIELD;
    enum err err = refuse_taken(request, state->username);
    if (err == OK)
        err = password_hash(form->password.bytes, (unsigned)config->password_cost, state->password);
    if (err != OK)
        return err;
    token_new(state->token);
    if (!token_hash(state->token, strlen(state->token), state->token_hash))
        return ERR_INTERNAL;
    sha256(&(struct slice){ form->invite.bytes, form->invite.size }, 1, state->invite_hash);
    struct command *command = request_command(request, COMMAND_USER_CREATE);
    command->in.user_create.username = state->username;
    command->in.user_create.display_name = form->display_name.bytes != NULL ? form->display_name.bytes : state->username;
    command->in.user_create.password = state->password;
    command->in.user_create.device_name = form->device_name.bytes != NULL ? form->device_name.bytes : DEFAULT_DEVICE_NAME;
    command->in.user_create.tokens = (const uint8_t(*)[SHA256_SIZE]) & state->token_hash;
    command->in.user_create.token_count = 1;
    command->in.user_create.invite = form->invite.bytes != NULL ? state->invite_hash : NULL;
    command->in.user_create.invite_required = config->registration == REGISTRATION_INVITE;
    return OK;
}

enum err user_created(struct request *request) {
    const struct command *command = &request->command;
    const struct user_create_form *form = REQUEST_FORM(request, user_create_form);
    /* The username is the first member of the state that user_create() made. */
    const struct registration_state *state = (const struct registration_state *)(const void *)command->in.user_create.username;
    struct user user = {
        .id = command->out.id,
        .username = state->username,
        .display_name = command->in.user_create.display_name,
        .created_ms = command->out.time_ms,
    };
    struct device device = {
        .id = command->out.device_id, .user_id = user.id, .name = command->in.user_create.device_name, .created_ms = command->out.time_ms
    };
    answer_header(request, "Location", request_printf(request, "/v1/users/%llu", (unsigned long long)user.id));
    session_answer(request, &user, &device, state->token, form->cookie);
    return OK;
}

/* ---- Profiles ---- */

enum err user_show(struct request *request) {
    struct user user;
    enum err err = read_user(request->reader, request->ids[PATH_USER_ID], &request->arena, &user);
    if (err == OK)
        render_user(answer_json(request, 200), &user);
    return err;
}

enum err user_show_me(struct request *request) {
    struct user user;
    enum err err = read_user(request->reader, request->session.user_id, &request->arena, &user);
    if (err == OK)
        render_own_user(answer_json(request, 200), &user);
    return err;
}

static enum err list_user_named(struct request *request, const char *name, uint64_t head_id) {
    char username[LIMIT_USERNAME_BYTES + 1];
    struct user user;
    enum err err =
        username_fold(name, strlen(name), username) ? read_user_by_name(request->reader, username, &request->arena, &user) : ERR_NOT_FOUND;
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    struct buf *buf = list_begin(request);
    if (err == OK)
        render_user(buf, &user);
    list_end(buf, 0, head_id);
    return OK;
}

enum err user_find(struct request *request) {
    const char *name = query_text(request, "username");
    uint64_t head_id;
    if (name == NULL)
        return request_refuse(request, ERR_BAD_QUERY, "username", "this query parameter is required");
    enum err err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = list_user_named(request, name, head_id);
    read_end(request->reader);
    return err;
}

enum err user_update(struct request *request) {
    const struct user_update_form *form = REQUEST_FORM(request, user_update_form);
    if (form->display_name.bytes == NULL && form->presence == 0 && !form->receipts.given)
        return user_show_me(request);
    struct command *command = request_command(request, COMMAND_USER_UPDATE);
    command->in.user_update.display_name = form->display_name.bytes;
    command->in.user_update.set_presence = form->presence != 0;
    command->in.user_update.presence = form->presence == PRESENCE_SHARED_CHATS;
    command->in.user_update.set_receipts = form->receipts.given;
    command->in.user_update.receipts = form->receipts.value;
    return OK;
}

/* ---- Passwords ---- */

/* A stolen session must not be a way to guess the password. The name is longer than what a log-in may give, so that log-ins do not use these tokens up. */
enum err password_admit(struct request *request) {
    return limit_account(request,
                         request_printf(request, "change the password of user %020llu", (unsigned long long)request->session.user_id));
}

enum err password_set(struct request *request) {
    const struct password_form *form = REQUEST_FORM(request, password_form);
    unsigned cost = (unsigned)request->server->config->password_cost;
    struct user user;
    bool matches;
    char *hash = arena_alloc(&request->arena, PASSWORD_HASH_SIZE);
    if (hash == NULL)
        return ERR_NO_MEMORY;
    enum err err = read_user(request->reader, request->session.user_id, &request->arena, &user);
    if (err == OK)
        err = password_verify(form->current_password.bytes, user.password, cost, &matches);
    if (err != OK)
        return err;
    if (!matches)
        return request_refuse(request, ERR_FORBIDDEN, "current_password", "this is not the current password");
    err = password_hash(form->new_password.bytes, cost, hash);
    if (err != OK)
        return err;
    struct command *command = request_command(request, COMMAND_PASSWORD_SET);
    command->in.password_set.expected = user.password;
    command->in.password_set.password = hash;
    return OK;
}
