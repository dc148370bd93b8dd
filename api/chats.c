/* Owns the handlers for chats. */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/server_internal.h"
#include "core/id.h"

static const struct choice CHAT_TYPES[] = { { "direct", CHAT_DIRECT }, { "group", CHAT_GROUP }, { "channel", CHAT_CHANNEL }, { NULL, 0 } };

/* Shifted by one, because 0 means that the field was not given. */
#define HISTORY_CHOICE(history) ((int)(history) + 1)
static const struct choice HISTORIES[] = {
    { "from_join", HISTORY_CHOICE(HISTORY_FROM_JOIN) },
    { "all", HISTORY_CHOICE(HISTORY_ALL) },
    { NULL, 0 },
};

static const struct choice PERMISSIONS[] = { { "post", MEMBERS_POST }, { "add", MEMBERS_ADD }, { "edit", MEMBERS_EDIT }, { NULL, 0 } };

#define SLOW_MODE_MAX_S (LIMIT_SLOW_MODE_MS / 1000)
#define TTL_MAX_S (LIMIT_MESSAGE_TTL_MS / 1000)

struct chat_create_form {
    int type;
    struct text title;
    struct id_list member_ids;
    int history;
    struct integer message_ttl_s;
    struct flag until_delivered;
    struct text description;
    struct flag is_public;
};

static const struct field CHAT_CREATE_FIELDS[] = {
    { "type", FIELD_CHOICE, true, 0, 0, offsetof(struct chat_create_form, type), CHAT_TYPES },
    { "title", FIELD_LINE, false, 1, LIMIT_TITLE_CHARACTERS, offsetof(struct chat_create_form, title), NULL },
    { "member_ids", FIELD_IDS, false, 0, 0, offsetof(struct chat_create_form, member_ids), NULL },
    { "history", FIELD_CHOICE, false, 0, 0, offsetof(struct chat_create_form, history), HISTORIES },
    { "message_ttl_s", FIELD_INTEGER, false, 0, TTL_MAX_S, offsetof(struct chat_create_form, message_ttl_s), NULL },
    { "until_delivered", FIELD_FLAG, false, 0, 0, offsetof(struct chat_create_form, until_delivered), NULL },
    { "description", FIELD_TEXT, false, 0, LIMIT_DESCRIPTION_CHARACTERS, offsetof(struct chat_create_form, description), NULL },
    { "public", FIELD_FLAG, false, 0, 0, offsetof(struct chat_create_form, is_public), NULL },
};
const struct form chat_create_form = FORM(chat_create_form, CHAT_CREATE_FIELDS);

struct chat_update_form {
    struct text title;
    int history;
    struct integer message_ttl_s;
    struct flag until_delivered;
    struct text description;
    struct optional_id avatar_id;
    struct integer slow_mode_s;
    struct who_may permissions;
    struct flag is_public;
};

static const struct field CHAT_UPDATE_FIELDS[] = {
    { "title", FIELD_LINE, false, 1, LIMIT_TITLE_CHARACTERS, offsetof(struct chat_update_form, title), NULL },
    { "history", FIELD_CHOICE, false, 0, 0, offsetof(struct chat_update_form, history), HISTORIES },
    { "message_ttl_s", FIELD_INTEGER, false, 0, TTL_MAX_S, offsetof(struct chat_update_form, message_ttl_s), NULL },
    { "until_delivered", FIELD_FLAG, false, 0, 0, offsetof(struct chat_update_form, until_delivered), NULL },
    { "description", FIELD_TEXT, false, 0, LIMIT_DESCRIPTION_CHARACTERS, offsetof(struct chat_update_form, description), NULL },
    { "avatar_id", FIELD_ID_OR_NULL, false, 0, 0, offsetof(struct chat_update_form, avatar_id), NULL },
    { "slow_mode_s", FIELD_INTEGER, false, 0, SLOW_MODE_MAX_S, offsetof(struct chat_update_form, slow_mode_s), NULL },
    { "permissions", FIELD_WHO_MAY, false, 0, 0, offsetof(struct chat_update_form, permissions), PERMISSIONS },
    { "public", FIELD_FLAG, false, 0, 0, offsetof(struct chat_update_form, is_public), NULL },
};
const struct form chat_update_form = FORM(chat_update_form, CHAT_UPDATE_FIELDS);

/* ---- Creating ---- */

static enum err check_direct(struct request *request, const struct chat_create_form *form) {
    if (form->title.bytes != NULL)
        return request_refuse(request, ERR_BAD_FIELD, "title", "a direct chat has no title");
    if (form->history != 0)
        return request_refuse(request, ERR_BAD_FIELD, "history", "a direct chat has no such setting");
    if (form->description.bytes != NULL)
        return request_refuse(request, ERR_BAD_FIELD, "description", "a direct chat has no description");
    if (form->member_ids.count != 1 || form->member_ids.ids[0] == request->session.user_id)
        return request_refuse(request, ERR_BAD_FIELD, "member_ids", "a direct chat takes exactly one other user");
    return OK;
}

static enum err check_group(struct request *request, const struct chat_create_form *form) {
    int64_t max = request->server->config->group_max;
    if (form->title.bytes == NULL)
        return request_refuse(request, ERR_MISSING_FIELD, "title", "a group has a title");
    if ((int64_t)form->member_ids.count > max - 1)
        return request_refuse(request, ERR_BAD_FIELD, "member_ids", request_printf(request, "at most %lld others", (long long)(max - 1)));
    return OK;
}

static enum err check_channel(struct request *request, const struct chat_create_form *form) {
    if (form->title.bytes == NULL)
        return request_refuse(request, ERR_MISSING_FIELD, "title", "a channel has a title");
    if (form->member_ids.ids != NULL)
        return request_refuse(request, ERR_BAD_FIELD, "member_ids", "nobody is made to follow a channel");
    if (form->until_delivered.given)
        return request_refuse(request, ERR_BAD_FIELD, "until_delivered", "nobody keeps count of what the followers of a channel have");
    return OK;
}

static enum err check_create(struct request *request, const struct chat_create_form *form) {
    if (form->type == CHAT_CHANNEL)
        return check_channel(request, form);
    if (form->member_ids.ids == NULL)
        return request_refuse(request, ERR_MISSING_FIELD, "member_ids", "is required, but for channels");
    if (form->is_public.value)
        return request_refuse(request, ERR_BAD_FIELD, "public", "only a channel can be public");
    return form->type == CHAT_DIRECT ? check_direct(request, form) : check_group(request, form);
}

static int compare_ids(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Sorted, without the creator and without repetitions. */
static enum err distinct_members(struct request *request, const struct id_list *list, struct id_list *ret_list) {
    uint64_t *ids = arena_alloc(&request->arena, (list->count + 1) * sizeof(*ids));
    if (ids == NULL)
        return ERR_NO_MEMORY;
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->ids[i] != request->session.user_id)
            ids[count++] = list->ids[i];
    qsort(ids, count, sizeof(*ids), compare_ids);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || ids[i] != ids[kept - 1])
            ids[kept++] = ids[i];
    *ret_list = (struct id_list){ ids, kept };
    return OK;
}

/* A channel shows what was there before: it has nothing else for who comes later. */
static enum chat_history history_of(const struct chat_create_form *form) {
    int otherwise = form->type == CHAT_CHANNEL ? HISTORY_CHOICE(HISTORY_ALL) : HISTORY_CHOICE(HISTORY_FROM_JOIN);
    int said = form->history != 0 ? form->history : otherwise;
    return said == HISTORY_CHOICE(HISTORY_ALL) ? HISTORY_ALL : HISTORY_FROM_JOIN;
}

/* "" is none. */
static const char *description_of(const struct text *text) { return text->bytes != NULL && text->bytes[0] != '\0' ? text->bytes : NULL; }

enum err chat_create(struct request *request) {
    const struct chat_create_form *form = REQUEST_FORM(request, chat_create_form);
    struct id_list members;
    enum err err = check_create(request, form);
    if (err == OK)
        err = distinct_members(request, &form->member_ids, &members);
    if (err == OK)
        err = request_idempotency(request);
    if (err != OK)
        return err;
    struct command *command = request_command(request, COMMAND_CHAT_CREATE);
    command->in.chat_create.type = (enum chat_type)form->type;
    command->in.chat_create.history = history_of(form);
    command->in.chat_create.title = form->title.bytes;
    command->in.chat_create.member_ids = members.ids;
    command->in.chat_create.member_count = members.count;
    command->in.chat_create.message_ttl_ms = form->message_ttl_s.value * 1000;
    command->in.chat_create.until_delivered = form->until_delivered.value;
    command->in.chat_create.description = description_of(&form->description);
    command->in.chat_create.is_public = form->is_public.value;
    return OK;
}

enum err chat_created(struct request *request) {
    answer_header(request, "Location", request_printf(request, "/v1/chats/%llu", (unsigned long long)request->command.out.id));
    return finish_json(request);
}

/* ---- Reading ---- */

/* A chat as one of its members sees it, with what is that member's own. */
static void render_own_chat(struct buf *buf, const struct chat_of_member *chat, uint64_t user_id) {
    render_chat_open(buf, &chat->chat, user_id, chat->role);
    json_member_number(buf, "read_seq", chat->read_seq);
    json_member_number(buf, "unread", chat->chat.last_seq - chat->read_seq);
    json_member_bool(buf, "mentioned", chat->mentioned);
    json_comma(buf);
    json_key(buf, "settings");
    render_settings(buf, &chat->settings);
    render_draft(buf, chat->draft, chat->draft_size);
    if (chat->last_message) {
        json_comma(buf);
        json_key(buf, "last_message");
        render_message(buf, chat->last_message);
    } else {
        json_member_null(buf, "last_message");
    }
    buf_char(buf, '}');
}

/* A stream's token, or "0": `as_of` of an empty log. */
static enum err query_since(struct request *request, uint64_t *ret_id) {
    const char *text = query_text(request, "since");
    *ret_id = 0;
    if (text == NULL || strcmp(text, "0") == 0 || id_parse(text, strlen(text), ret_id))
        return OK;
    return request_refuse(request, ERR_BAD_CURSOR, "since", "must be the as_of of an earlier answer");
}

static enum err list_chats(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    uint64_t user_id = request->session.user_id, unread_total = 0;
    struct chat_page page = { .before_id = cursor, .limit = limit };
    struct chat_of_member *chats = NULL;
    size_t count = 0;
    bool more = false;
    enum err err = query_since(request, &page.since_id);
    if (err == OK)
        err = read_chats(request->reader, user_id, &page, &request->arena, &chats, &count, &more);
    if (err == OK)
        err = read_unread_total(request->reader, user_id, &unread_total);
    if (err != OK)
        return err;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < count; i++) {
        json_comma(buf);
        render_own_chat(buf, &chats[i], user_id);
    }
    list_end_open(buf, more ? chats[count - 1].chat.last_id : 0, head_id);
    json_member_number(buf, "unread_total", unread_total);
    buf_char(buf, '}');
    return OK;
}

enum err chat_list(struct request *request) { return list_page(request, LIMIT_PAGE_ITEMS_DEFAULT, LIMIT_PAGE_ITEMS, list_chats); }

static enum err show_chat(struct request *request) {
    struct chat_of_member chat;
    enum err err = read_chat(request->reader, request->session.user_id, request->ids[PATH_CHAT_ID], &request->arena, &chat);
    if (err == OK)
        render_own_chat(answer_json(request, 200), &chat, request->session.user_id);
    return err;
}

enum err chat_show(struct request *request) {
    uint64_t head_id;
    enum err err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = show_chat(request);
    read_end(request->reader);
    return err;
}

/* ---- Changing ---- */

static bool is_empty(const struct chat_update_form *form) {
    return form->title.bytes == NULL && form->history == 0 && !form->message_ttl_s.given && !form->until_delivered.given &&
           form->description.bytes == NULL && !form->avatar_id.given && !form->slow_mode_s.given && form->permissions.given == 0 &&
           !form->is_public.given;
}

static void update_group(struct command *command, const struct chat_update_form *form) {
    command->in.chat_update.title = form->title.bytes;
    command->in.chat_update.set_history = form->history != 0;
    command->in.chat_update.history = form->history == HISTORY_CHOICE(HISTORY_ALL) ? HISTORY_ALL : HISTORY_FROM_JOIN;
    command->in.chat_update.description = form->description.bytes;
    command->in.chat_update.set_avatar = form->avatar_id.given;
    command->in.chat_update.avatar_id = form->avatar_id.id;
    command->in.chat_update.set_slow_mode = form->slow_mode_s.given;
    command->in.chat_update.slow_mode_ms = form->slow_mode_s.value * 1000;
    command->in.chat_update.set_permissions = form->permissions.given;
    command->in.chat_update.permissions = form->permissions.members;
    command->in.chat_update.set_public = form->is_public.given;
    command->in.chat_update.is_public = form->is_public.value;
}

static enum err answer_unchanged(struct request *request) {
    struct chat_of_member chat;
    enum err err = read_membership(request->reader, request->session.user_id, request->ids[PATH_CHAT_ID], &request->arena, &chat);
    if (err == OK)
        render_chat(answer_json(request, 200), &chat.chat, request->session.user_id, chat.role);
    return err;
}

enum err chat_update(struct request *request) {
    const struct chat_update_form *form = REQUEST_FORM(request, chat_update_form);
    if (is_empty(form))
        return answer_unchanged(request);
    struct command *command = request_command(request, COMMAND_CHAT_UPDATE);
    command->in.chat_update.chat_id = request->ids[PATH_CHAT_ID];
    update_group(command, form);
    command->in.chat_update.set_ttl = form->message_ttl_s.given;
    command->in.chat_update.message_ttl_ms = form->message_ttl_s.value * 1000;
    command->in.chat_update.set_until_delivered = form->until_delivered.given;
    command->in.chat_update.until_delivered = form->until_delivered.value;
    return OK;
}

enum err chat_delete(struct request *request) {
    request_command(request, COMMAND_CHAT_DELETE)->in.chat_delete.chat_id = request->ids[PATH_CHAT_ID];
    return OK;
}
