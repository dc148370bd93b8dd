/* Decisions on who may not be a member. */
#include "db/decide.h"

#include "core/limits.h"

bool is_banned(struct state *state, struct command *command, const struct chat_entry *chat, uint64_t user_id) {
    const struct ban_entry *ban = state_ban(state, chat->chat.id, user_id);
    if (!ban || !ban->found)
        return false;
    refuse(command, ERR_BANNED, NULL,
           command->actor_id == user_id ? "an admin has banned you from this chat" : "this user is banned from the chat");
    return true;
}

/* Admins ban those who are below them, and others so that they do not come. */
static bool may_ban(struct state *state, struct command *command, const struct stay_entry *actor, const struct stay_entry *member) {
    const struct user_entry *user = state_user(state, command->in.ban_put.user_id);
    if (actor->stay.role < ROLE_ADMIN || (member->found && !may_remove(command, actor, member)))
        refuse(command, ERR_FORBIDDEN, NULL, "only an admin may ban members, and only an owner admins and owners");
    else if (command->in.ban_put.user_id == command->actor_id)
        refuse(command, ERR_CONFLICT, "user_id", "nobody bans themselves: leave the chat");
    else if (!user || !user->found)
        refuse(command, ERR_NOT_FOUND, NULL, NULL);
    return command->refusal.err == OK;
}

static void answer_ban(struct command *command, const struct ban *ban, bool existed) {
    command->out.existed = existed;
    command->out.id = ban->user_id;
    render_ban(&command->out.json, ban);
}

static void add_ban(struct state *state, struct command *command, struct chat_entry *chat, struct ban_entry *entry) {
    chat->ban_count++;
    entry->found = true;
    entry->ban.by_id = command->actor_id;
    entry->ban.created_ms = state->now_ms;
    state_push(state, &state->new_bans, entry);
    drop_request(state, chat, entry->ban.user_id);
    answer_ban(command, &entry->ban, false);
}

/* The actor stays, so the chat keeps an owner: owners are banned by owners alone. */
void decide_ban_put(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *actor;
    if (!enter_group(state, command, command->in.ban_put.chat_id, &chat, &actor))
        return;
    struct stay_entry *member = state_stay(state, chat->chat.id, command->in.ban_put.user_id);
    struct ban_entry *entry = state_ban(state, chat->chat.id, command->in.ban_put.user_id);
    if (!member || !entry || !may_ban(state, command, actor, member))
        return;
    if (entry->found)
        return answer_ban(command, &entry->ban, true);
    if (chat->ban_count >= LIMIT_BANS_PER_CHAT)
        return refuse(command, ERR_TOO_MANY_BANS, NULL, "lift some of the chat's bans first");
    add_ban(state, command, chat, entry);
    if (member->found)
        leave_chat(state, chat, member, command->actor_id);
}

void decide_ban_remove(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *actor;
    if (!enter_group(state, command, command->in.ban_remove.chat_id, &chat, &actor))
        return;
    struct ban_entry *entry = state_ban(state, chat->chat.id, command->in.ban_remove.user_id);
    if (!entry)
        return;
    if (actor->stay.role < ROLE_ADMIN)
        return refuse(command, ERR_FORBIDDEN, NULL, "only an admin may lift bans");
    if (!entry->found)
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    entry->found = false;
    push_bulk(state, BULK_DROP_BAN, chat->chat.id, entry->ban.user_id);
}
