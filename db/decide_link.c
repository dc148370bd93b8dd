/* Decisions on invitation links, and on those who come by them. */
#include "db/decide.h"

#include "core/limits.h"

/* ---- Links ---- */

static void link_changed(struct state *state, struct link_entry *link) {
    if (link->listed)
        return;
    link->listed = true;
    state_push(state, &state->changed_links, link);
}

static bool has_ended(const struct state *state, const struct link *link) { return link->expires_ms <= state->now_ms; }

static void end_link(struct state *state, struct link_entry *link) {
    if (has_ended(state, &link->link))
        return;
    link->link.expires_ms = state->now_ms;
    link_changed(state, link);
}

/* A member has come by it. */
static void use_link(struct state *state, struct link_entry *link) {
    link->link.uses++;
    link_changed(state, link);
    if (link->link.uses_max && link->link.uses >= link->link.uses_max)
        end_link(state, link);
}

static struct link_entry *new_link(struct state *state, const struct command *command) {
    struct link_entry *entry = state_link(state, id_next(state->ids, state->now_ms));
    if (!entry)
        return NULL;
    int64_t lifetime_ms = command->in.link_create.lifetime_ms;
    entry->found = entry->listed = true;
    entry->token = command->in.link_create.hash;
    entry->link.chat_id = command->in.link_create.chat_id;
    entry->link.created_by = command->actor_id;
    entry->link.created_ms = state->now_ms;
    entry->link.expires_ms = lifetime_ms ? state->now_ms + lifetime_ms : LINK_NEVER;
    entry->link.uses_max = command->in.link_create.uses_max;
    entry->link.needs_approval = command->in.link_create.needs_approval;
    state_push(state, &state->new_links, entry);
    return entry;
}

void decide_link_create(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *actor;
    if (!enter_group(state, command, command->in.link_create.chat_id, &chat, &actor))
        return;
    if (!may_add(&chat->chat, &actor->stay, ROLE_MEMBER))
        return refuse(command, ERR_FORBIDDEN, NULL, "only those who may add members may make links");
    if (chat->link_count >= LIMIT_LINKS_PER_CHAT)
        return refuse(command, ERR_TOO_MANY_LINKS, NULL, "revoke some of the chat's links first");
    const struct link_entry *link = new_link(state, command);
    if (!link)
        return;
    chat->link_count++;
    command->out.id = link->link.id;
    render_link(&command->out.json, &link->link, command->in.link_create.token);
}

void decide_link_revoke(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *actor;
    if (!enter_group(state, command, command->in.link_revoke.chat_id, &chat, &actor))
        return;
    struct link_entry *link = state_link(state, command->in.link_revoke.link_id);
    if (!link)
        return;
    bool is_maker = link->found && link->link.created_by == command->actor_id;
    if (actor->stay.role < ROLE_ADMIN && !is_maker)
        return refuse(command, ERR_FORBIDDEN, NULL, "only an owner or admin may revoke links of others");
    if (!link->found || link->link.chat_id != chat->chat.id || has_ended(state, &link->link))
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    end_link(state, link);
    command->out.id = link->link.id;
}

/* ---- Requests ---- */

void drop_request(struct state *state, struct chat_entry *chat, uint64_t user_id) {
    struct request_entry *request = state_request(state, chat->chat.id, user_id);
    if (!request || !request->found)
        return;
    request->found = false;
    if (chat->request_count > 0)
        chat->request_count--;
    push_bulk(state, BULK_DROP_REQUEST, chat->chat.id, user_id);
}

/* Who made the link, if an admin still; the others see the list of requests. */
static void tell_maker(struct state *state, const struct link *link, const struct join_request *request) {
    const struct stay_entry *maker = state_stay(state, link->chat_id, link->created_by);
    if (!maker || !maker->found || maker->stay.role < ROLE_ADMIN)
        return;
    struct event_entry *event = append_user_event(state, link->created_by, EVENT_JOIN_REQUESTED, request->user_id);
    struct buf body = BUF_INIT;
    if (!event)
        return;
    buf_string(&body, "\"request\":");
    render_join_request(&body, request);
    event_body(state, event, &body);
}

static void answer_request(struct command *command, const struct join_request *request) {
    command->out.waits = true;
    command->out.id = request->user_id;
    render_join_request(&command->out.json, request);
}

/* Asking again changes nothing. */
static void ask_to_join(struct state *state, struct command *command, struct chat_entry *chat, const struct link *link) {
    struct request_entry *entry = state_request(state, chat->chat.id, command->actor_id);
    if (!entry)
        return;
    if (is_banned(state, command, chat, command->actor_id))
        return;
    if (entry->found)
        return answer_request(command, &entry->request);
    if (chat->request_count >= LIMIT_JOIN_REQUESTS_PER_CHAT)
        return refuse(command, ERR_TOO_MANY_JOIN_REQUESTS, NULL, "as many as may wait for this chat's admins already do");
    chat->request_count++;
    entry->found = true;
    entry->request.link_id = link->id;
    entry->request.created_ms = state->now_ms;
    state_push(state, &state->new_requests, entry);
    tell_maker(state, link, &entry->request);
    answer_request(command, &entry->request);
}

static void decline(struct state *state, const struct command *command, struct chat_entry *chat) {
    uint64_t user_id = command->in.join_answer.user_id;
    struct event_entry *event = append_user_event(state, user_id, EVENT_JOIN_DECLINED, chat->chat.id);
    struct buf body = BUF_INIT;
    if (!event)
        return;
    json_key(&body, "chat_id");
    buf_printf(&body, "\"%llu\"", (unsigned long long)chat->chat.id);
    event_body(state, event, &body);
    drop_request(state, chat, user_id);
}

static void approve(struct state *state, struct command *command, struct chat_entry *chat, const struct request_entry *request) {
    struct link_entry *link = state_link(state, request->request.link_id);
    if (join_chat(state, command, chat, request->request.user_id, ROLE_MEMBER) && link && link->found)
        use_link(state, link);
}

void decide_join_answer(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *actor;
    if (!enter_group(state, command, command->in.join_answer.chat_id, &chat, &actor))
        return;
    if (actor->stay.role < ROLE_ADMIN)
        return refuse(command, ERR_FORBIDDEN, NULL, "only an owner or admin may answer requests");
    const struct request_entry *request = state_request(state, chat->chat.id, command->in.join_answer.user_id);
    if (!request)
        return;
    if (!request->found)
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    if (command->in.join_answer.approve)
        approve(state, command, chat, request);
    else
        decline(state, command, chat);
}

/* ---- Joining ---- */

static void join_by(struct state *state, struct command *command, struct chat_entry *chat, struct link_entry *link) {
    const struct stay_entry *stay = join_chat(state, command, chat, command->actor_id, ROLE_MEMBER);
    if (!stay)
        return;
    use_link(state, link);
    render_own(command, chat, stay->stay.role);
}

/* A link adds members in the name of who made it. */
static bool maker_may_add(struct state *state, const struct chat *chat, const struct link *link) {
    const struct stay_entry *maker = state_stay(state, chat->id, link->created_by);
    return maker && maker->found && role_may_add(chat, maker->stay.role);
}

/* Members need no link, and are told what they are members of. */
static void answer_here_already(struct command *command, const struct chat_entry *chat, const struct stay_entry *stay) {
    command->out.existed = true;
    render_own(command, chat, stay->stay.role);
}

void decide_link_join(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat = state_chat(state, command->in.link_join.chat_id);
    struct link_entry *link = state_link(state, command->in.link_join.link_id);
    struct stay_entry *stay = state_stay(state, command->in.link_join.chat_id, command->actor_id);
    if (!chat || !link || !stay)
        return;
    if (!chat->found || chat->chat.deleted_ms || !link->found || link->link.chat_id != chat->chat.id)
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    if (stay->found)
        return answer_here_already(command, chat, stay);
    if (has_ended(state, &link->link))
        return refuse(command, ERR_LINK_ENDED, NULL, "it has expired, was revoked or is used up");
    if (link->link.needs_approval)
        ask_to_join(state, command, chat, &link->link);
    else if (!maker_may_add(state, &chat->chat, &link->link))
        refuse(command, ERR_LINK_ENDED, NULL, "who made it may not add members any more");
    else
        join_by(state, command, chat, link);
}
