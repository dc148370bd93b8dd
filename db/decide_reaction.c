/* Decisions on reactions: one of each emoji per user, and the counts that the message shows. */
#include "db/decide.h"

#include <string.h>

#include "core/limits.h"
#include "db/reactions.h"

static struct reaction_entry *find_reaction(const struct reactor_entry *reactor, const char *emoji) {
    for (size_t i = 0; i < reactor->reactions.count; i++) {
        struct reaction_entry *reaction = reactor->reactions.items[i];
        if (strcmp(reaction->emoji, emoji) == 0)
            return reaction;
    }
    return NULL;
}

static struct reaction_entry *new_reaction(struct state *state, struct reactor_entry *reactor, const char *emoji) {
    struct reaction_entry *reaction = state_alloc(state, sizeof *reaction);
    if (!reaction)
        return NULL;
    *reaction = (struct reaction_entry){ .message_id = reactor->message_id, .user_id = reactor->user_id, .emoji = emoji };
    state_push(state, &reactor->reactions, reaction);
    return reaction;
}

static void turn(struct state *state, struct reaction_entry *reaction, bool on) {
    reaction->on = on;
    if (!reaction->listed)
        state_push(state, &state->changed_reactions, reaction);
    reaction->listed = true;
}

/* The counts follow from what they were, in the row that the decision has loaded. */
static void count(struct state *state, struct message *message, const char *emoji, bool on) {
    uint64_t before = reactions_count(message, emoji);
    struct buf rendered = BUF_INIT;
    reactions_change(message, emoji, on ? before + 1 : before - (before > 0), &rendered);
    message->reactions = rendered.size ? arena_copy(state->arena, rendered.bytes, rendered.size) : NULL;
    message->reactions_size = rendered.size;
    if (!buf_ok(&rendered) || (rendered.size && !message->reactions))
        state->failed = true;
    buf_release(&rendered);
}

static void list_message(struct state *state, struct message_entry *entry) {
    if (!entry->reactions_listed)
        state_push(state, &state->reacted_messages, entry);
    entry->reactions_listed = true;
}

/* Followers do not decide how much all others of a channel hear: the log has nothing of it, and each message counts its own changes. They are seen by those
 * whose stay lasts beyond all that was posted before. */
static void note_quietly(struct state *state, struct command *command, const struct chat *chat, struct message_entry *entry) {
    entry->message.reactions_rev++;
    entry->message.reactions_id = log_id(log_position(state->last_id) + 1, 0);
    list_message(state, entry);
    if (chat->history == HISTORY_ALL)
        command->out.quiet_rev = entry->message.reactions_rev;
}

static void note_event(struct state *state, struct chat_entry *chat, struct message_entry *entry, const struct reaction_entry *reaction) {
    struct event_entry *event = append_chat_event(state, chat, EVENT_MESSAGE_REACTED, reaction->user_id, entry->message.id);
    if (!event)
        return;
    entry->message.reactions_rev = event->event.rev;
    entry->message.reactions_id = event->event.id;
    event->event.message.seq = entry->message.seq;
    event->event.hidden_from = chat_addition_hidden_from(&chat->chat, EVENT_MESSAGE_REACTED, reaction->user_id);
    list_message(state, entry);
    struct buf body = BUF_INIT;
    json_member_id(&body, "message_id", entry->message.id);
    json_member_id(&body, "user_id", reaction->user_id);
    json_member_string(&body, "emoji", reaction->emoji);
    json_member_bool(&body, "on", reaction->on);
    render_reactions(&body, &entry->message);
    event_body(state, event, &body);
}

static void render_answer(struct command *command, const struct message *message) {
    struct buf *json = &command->out.json;
    buf_char(json, '{');
    json_member_id(json, "message_id", message->id);
    render_reactions(json, message);
    buf_char(json, '}');
    command->out.id = message->id;
}

/* To who has blocked the other of a direct chat: the own ones. Emoji need no escaping (text_is_emoji). */
static void answer_own(struct command *command, const struct message *message, const struct reactor_entry *reactor) {
    struct message shown = *message;
    struct buf own = BUF_INIT;
    for (size_t i = 0; i < reactor->reactions.count; i++) {
        const struct reaction_entry *reaction = reactor->reactions.items[i];
        if (reaction->on)
            buf_printf(&own, "%s{\"emoji\":\"%s\",\"count\":1}", own.size ? "," : "", reaction->emoji);
    }
    shown.reactions = own.bytes;
    shown.reactions_size = own.size;
    render_answer(command, &shown);
    buf_release(&own);
}

static void answer(struct command *command, const struct chat *chat, const struct message *message, const struct reactor_entry *reactor) {
    if (chat_is_blocked_by(chat, command->actor_id))
        answer_own(command, message, reactor);
    else
        render_answer(command, message);
}

static bool has_room(const struct message *message, const char *emoji) {
    return reactions_count(message, emoji) > 0 || reactions_kinds(message) < LIMIT_REACTIONS;
}

void decide_message_react(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    const char *emoji = command->in.message_react.emoji;
    bool on = command->in.message_react.on;
    struct chat_entry *chat;
    struct stay_entry *stay;
    struct message_entry *entry =
        message_find_shown(state, command, command->in.message_react.chat_id, command->in.message_react.message_id, &chat, &stay);
    struct reactor_entry *reactor = entry ? state_reactor(state, entry->message.id, command->actor_id) : NULL;
    if (!reactor)
        return;
    if (entry->message.deleted_ms)
        return refuse(command, ERR_ALREADY_DELETED, NULL, "the message was deleted");
    struct reaction_entry *reaction = find_reaction(reactor, emoji);
    if ((reaction && reaction->on) == on)
        return answer(command, &chat->chat, &entry->message, reactor);
    if (on && !has_room(&entry->message, emoji))
        return refuse(command, ERR_TOO_MANY_REACTIONS, NULL, "the message has as many different reactions as it may have");
    if (!reaction)
        reaction = new_reaction(state, reactor, emoji);
    if (!reaction)
        return;
    turn(state, reaction, on);
    count(state, &entry->message, emoji, on);
    if (chat->chat.type == CHAT_CHANNEL)
        note_quietly(state, command, &chat->chat, entry);
    else
        note_event(state, chat, entry, reaction);
    answer(command, &chat->chat, &entry->message, reactor);
}
