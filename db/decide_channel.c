/* Decisions on channels: who follows one, and what it has none of.
 *
 * A channel may have a million followers, so nothing that it does touches their rows, and nothing that they do is told to each other: a stay of a follower
 * begins and ends with an event of the follower's own, which the chat's rev does not count. Those who run a channel come and go as in groups. */
#include "db/decide.h"

#include "core/limits.h"

/* ---- Stays of followers ---- */

static struct event_entry *tell_follower(struct state *state, struct chat_entry *chat, enum event_type type, uint64_t user_id,
                                         uint64_t actor_id) {
    struct event_entry *event = append_user_event(state, user_id, type, chat->chat.id);
    struct buf body = BUF_INIT;
    if (!event)
        return NULL;
    chat_changed(state, chat); /* for its member_count */
    json_member_id(&body, "chat_id", chat->chat.id);
    if (actor_id)
        json_member_id(&body, "actor_id", actor_id);
    event_body(state, event, &body);
    return event;
}

struct event_entry *begin_following(struct state *state, struct chat_entry *chat, uint64_t user_id) {
    return tell_follower(state, chat, EVENT_CHANNEL_FOLLOWED, user_id, 0);
}

struct event_entry *end_following(struct state *state, struct chat_entry *chat, uint64_t user_id, uint64_t actor_id) {
    return tell_follower(state, chat, EVENT_CHANNEL_LEFT, user_id, actor_id);
}

/* ---- Following by oneself ---- */

bool may_follow(struct state *state, const struct command *command) {
    const struct chat_entry *chat = state_chat(state, command->in.member_put.chat_id);
    const struct stay_entry *stay = state_stay(state, command->in.member_put.chat_id, command->actor_id);
    bool is_own = command->in.member_put.user_id == command->actor_id;
    return is_own && chat && stay && chat->found && !chat->chat.deleted_ms && chat->chat.is_public && !stay->found;
}

void follow(struct state *state, struct command *command) {
    struct chat_entry *chat = state_chat(state, command->in.member_put.chat_id);
    if (!chat)
        return;
    if (command->in.member_put.role > ROLE_MEMBER)
        return refuse(command, ERR_FORBIDDEN, NULL, "only an owner may give others the run of the channel");
    const struct stay_entry *stay = join_chat(state, command, chat, command->actor_id, ROLE_MEMBER);
    if (!stay)
        return;
    command->out.id = stay->stay.user_id;
    render_stay(&command->out.json, &stay->stay);
}

/* ---- Following by an operator's wish ---- */

static void add_follower(struct state *state, struct command *command, struct chat_entry *chat, uint64_t user_id) {
    const struct user_entry *user = state_user(state, user_id);
    const struct stay_entry *stay = state_stay(state, chat->chat.id, user_id);
    if (!user || !stay)
        return;
    if (!user->found)
        command->out.followers.unknown++;
    else if (stay->found)
        command->out.followers.existed++;
    else if (join_chat(state, command, chat, user_id, ROLE_MEMBER))
        command->out.followers.added++;
    else
        command->out.followers.refused++;
    command->refusal = (struct refusal){ .err = OK }; /* of one of many */
}

void decide_followers_add(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat = state_chat(state, command->in.followers_add.chat_id);
    if (!chat)
        return;
    if (!chat->found || chat->chat.deleted_ms)
        return refuse(command, ERR_NOT_FOUND, "follow", "there is no such channel");
    if (chat->chat.type != CHAT_CHANNEL)
        return refuse(command, ERR_BAD_FIELD, "follow", "is not a channel");
    command->out.id = chat->chat.id;
    for (size_t i = 0; i < command->in.followers_add.count; i++)
        add_follower(state, command, chat, command->in.followers_add.user_ids[i]);
}

/* ---- What a channel has none of ---- */

bool channel_takes(struct command *command) {
    if (command->in.chat_update.until_delivered)
        refuse(command, ERR_BAD_FIELD, "until_delivered", "nobody keeps count of what the followers of a channel have");
    else if (command->in.chat_update.slow_mode_ms)
        refuse(command, ERR_BAD_FIELD, "slow_mode_s", "a channel's followers do not post");
    else if (command->in.chat_update.permissions)
        refuse(command, ERR_BAD_FIELD, "permissions", "a channel's followers read and react");
    return command->refusal.err == OK;
}
