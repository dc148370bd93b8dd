/* Decisions on messages. */
#include "db/decide.h"

#include "core/limits.h"
#include "core/random.h"
#include "db/chain.h"

bool message_is_past_retention(const struct state *state, const struct message *message) {
    return state->config->retention_ms != CONFIG_FOREVER && message->created_ms + state->config->retention_ms <= state->now_ms;
}

bool message_is_over(const struct state *state, const struct message *message) {
    return message_is_past_retention(state, message) || (message->expires_ms && message->expires_ms <= state->now_ms);
}

bool message_is_in_view(const struct chat_entry *chat, const struct stay_entry *stay, const struct message_entry *message) {
    bool since_joining = chat->chat.history == HISTORY_ALL || message->message.id >= stay->stay.joined_id;
    return message->found && message->message.chat_id == chat->chat.id && since_joining;
}

static void answer_repeated(struct state *state, struct slot *slot) {
    slot->command->out.existed = true;
    slot->repeated = state_message(state, slot->repeated_id);
    if (!slot->repeated)
        return;
    if (!slot->repeated->found || message_is_past_retention(state, &slot->repeated->message)) /* its id is still the answer */
        slot->repeated->message =
            (struct message){ .id = slot->repeated_id, .chat_id = slot->command->in.message_post.chat_id, .gone = true };
    else
        chain_expire(&slot->repeated->message, state->now_ms);
}

/* The message's own end of life, 0 for none: the chat's or its sender's wish, whichever is shorter. */
static int64_t expiry_of(const struct state *state, const struct command *command, const struct chat *chat) {
    int64_t ttl_ms = command->in.message_post.ttl_ms;
    if (ttl_ms == 0 || (chat->message_ttl_ms != 0 && chat->message_ttl_ms < ttl_ms))
        ttl_ms = chat->message_ttl_ms;
    return ttl_ms ? state->now_ms + ttl_ms : 0;
}

static struct message_entry *new_message(struct state *state, const struct command *command, struct chat_entry *chat,
                                         const struct event *event) {
    struct message_entry *entry = state_message(state, event->id);
    if (!entry)
        return NULL;
    entry->found = true;
    entry->message = (struct message){
        .id = event->id,
        .chat_id = chat->chat.id,
        .sender_id = command->actor_id,
        .seq = ++chat->chat.last_seq,
        .rev = event->rev,
        .changed_id = event->id,
        .text = command->in.message_post.text,
        .text_size = command->in.message_post.text_size,
        .client_key = command->in.message_post.client_key,
        .created_ms = state->now_ms,
        .expires_ms = expiry_of(state, command, &chat->chat),
        .original = true,
    };
    media_attach(state, command, entry);
    references_set(state, command, entry);
    if (entry->message.expires_ms)
        push_bulk(state, BULK_ADD_EXPIRY, (uint64_t)entry->message.expires_ms, entry->message.id);
    random_bytes(entry->message.seal, sizeof entry->message.seal);
    chain_extend(chat->chat.chain, &entry->message);
    return entry;
}

struct chat_entry *enter_chat(struct state *state, struct command *command, uint64_t chat_id, struct stay_entry **ret_stay) {
    struct chat_entry *chat = state_chat(state, chat_id);
    struct stay_entry *stay = state_stay(state, chat_id, command->actor_id);
    if (!chat || !stay)
        return NULL;
    if (!chat->found || chat->chat.deleted_ms || !stay->found) {
        refuse(command, ERR_NOT_FOUND, NULL, NULL);
        return NULL;
    }
    *ret_stay = stay;
    return chat;
}

/* What the chat asks of members who are no admins. */
static bool may_speak(const struct state *state, struct command *command, const struct chat *chat, const struct stay *stay) {
    int64_t wait_ms = chat->slow_mode_ms ? stay->last_post_ms + chat->slow_mode_ms - state->now_ms : 0;
    if (stay->role >= ROLE_ADMIN)
        return true;
    if (!(chat->permissions & MEMBERS_POST)) {
        refuse(command, ERR_FORBIDDEN, NULL, "only an owner or admin may post in this chat");
    } else if (wait_ms > 0) {
        refuse(command, ERR_SLOW_MODE, NULL, "the chat is in slow mode");
        command->refusal.retry_after_s = (uint32_t)((wait_ms + 999) / 1000);
    }
    return command->refusal.err == OK;
}

static void note_post(struct state *state, const struct chat *chat, struct stay_entry *stay) {
    if (!chat->slow_mode_ms || stay->stay.role >= ROLE_ADMIN)
        return;
    stay->stay.last_post_ms = state->now_ms;
    stay_changed(state, stay);
}

bool may_post_now(struct state *state, struct command *command, const struct chat_entry *chat, const struct stay_entry *stay) {
    return may_speak(state, command, &chat->chat, &stay->stay) && references_fit(state, command) && media_may_attach(state, command);
}

void post_message(struct state *state, struct slot *slot, struct chat_entry *chat, struct stay_entry *stay) {
    struct command *command = slot->command;
    struct event_entry *event = append_chat_event(state, chat, EVENT_MESSAGE_CREATED, command->actor_id, 0);
    struct message_entry *message = event ? new_message(state, command, chat, &event->event) : NULL;
    if (!message)
        return;
    event->event.ref_id = event->event.id;
    event->event.message = message->message;
    if (chat->chat.blockers)
        hide_from_blocker(state, chat, event, true);
    command->out.id = message->message.id;
    slot->answer = event;
    note_post(state, &chat->chat, stay);
}

void decide_message_post(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct stay_entry *stay;
    struct chat_entry *chat = enter_chat(state, command, command->in.message_post.chat_id, &stay);
    if (!chat)
        return;
    if (key_seen(state, slot)) {
        if (slot->repeated_id)
            answer_repeated(state, slot);
        return;
    }
    if (!may_post_now(state, command, chat, stay))
        return;
    post_message(state, slot, chat, stay);
    if (command->out.id)
        key_note(state, command, command->out.id);
}

struct message_entry *message_find(struct state *state, struct command *command, uint64_t chat_id, uint64_t message_id,
                                   struct chat_entry **ret_chat, struct stay_entry **ret_stay) {
    struct chat_entry *chat = enter_chat(state, command, chat_id, ret_stay);
    struct message_entry *entry = chat ? state_message(state, message_id) : NULL;
    if (!entry)
        return NULL;
    if (!message_is_in_view(chat, *ret_stay, entry) || message_is_over(state, &entry->message)) {
        refuse(command, ERR_NOT_FOUND, NULL, NULL);
        return NULL;
    }
    *ret_chat = chat;
    return entry;
}

struct message_entry *message_find_shown(struct state *state, struct command *command, uint64_t chat_id, uint64_t message_id,
                                         struct chat_entry **ret_chat, struct stay_entry **ret_stay) {
    struct message_entry *entry = message_find(state, command, chat_id, message_id, ret_chat, ret_stay);
    const struct hidden_entry *hidden = entry ? state_hidden(state, command->actor_id, message_id) : NULL;
    if (!hidden)
        return NULL;
    if (!hidden->hidden)
        return entry;
    refuse(command, ERR_NOT_FOUND, NULL, NULL);
    return NULL;
}

static bool window_closed(const struct state *state, const struct message *message, int64_t window_ms) {
    return window_ms != 0 && state->now_ms - message->created_ms > window_ms;
}

static struct event_entry *note_change(struct state *state, struct chat_entry *chat, struct message_entry *entry, enum event_type type,
                                       uint64_t actor_id) {
    struct event_entry *event = append_chat_event(state, chat, type, actor_id, entry->message.id);
    if (!event)
        return NULL;
    entry->message.rev = event->event.rev;
    entry->message.changed_id = event->event.id;
    event->event.message = entry->message;
    if (chat->chat.type == CHAT_DIRECT)
        hide_from_blocker(state, chat, event, type == EVENT_MESSAGE_EDITED);
    if (chat_is_blocked_by(&chat->chat, actor_id))
        message_hide_reactions(&event->event.message); /* those of whom the actor has blocked are among them */
    if (!entry->listed)
        state_push(state, &state->changed_messages, entry);
    entry->listed = true;
    return event;
}

static void keep_revision(struct state *state, const struct message *message) {
    struct revision_row *row = state->config->edit_history ? state_alloc(state, sizeof *row) : NULL;
    if (!row)
        return;
    *row = (struct revision_row){ .message_id = message->id,
                                  .rev = message->rev,
                                  .text = message->text,
                                  .text_size = message->text_size,
                                  .edited_ms = message->edited_ms ? message->edited_ms : message->created_ms };
    state_push(state, &state->new_revisions, row);
    push_bulk(state, BULK_PRUNE_REVISIONS, message->id, LIMIT_REVISIONS);
}

void decide_message_edit(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *stay;
    struct message_entry *entry =
        message_find(state, command, command->in.message_edit.chat_id, command->in.message_edit.message_id, &chat, &stay);
    if (!entry)
        return;
    if (entry->message.sender_id != command->actor_id || role_follows(&chat->chat, stay->stay.role))
        return refuse(command, ERR_FORBIDDEN, NULL, "only its sender may edit a message, and in a channel only as an admin");
    if (entry->message.deleted_ms)
        return refuse(command, ERR_ALREADY_DELETED, NULL, "the message was deleted");
    if (window_closed(state, &entry->message, state->config->edit_window_ms))
        return refuse(command, ERR_WINDOW_CLOSED, NULL, "the message is too old to be edited");
    const struct mention *mentions = command->in.message_edit.mentions;
    size_t mention_count = command->in.message_edit.mention_count;
    if (!mentions_fit(state, command, chat->chat.id, mentions, mention_count))
        return;
    keep_revision(state, &entry->message);
    chain_seal(&entry->message);
    entry->message.text = command->in.message_edit.text;
    entry->message.text_size = command->in.message_edit.text_size;
    entry->message.edited_ms = state->now_ms;
    entry->message.forwarded = false; /* it is the sender's own text now */
    mentions_set(state, command->actor_id, mentions, mention_count, entry);
    command->out.id = entry->message.id;
    slot->answer = note_change(state, chat, entry, EVENT_MESSAGE_EDITED, command->actor_id);
}

void decide_message_delete(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *stay;
    struct message_entry *entry =
        message_find(state, command, command->in.message_delete.chat_id, command->in.message_delete.message_id, &chat, &stay);
    if (!entry)
        return;
    bool own = entry->message.sender_id == command->actor_id && !role_follows(&chat->chat, stay->stay.role);
    if (!own && stay->stay.role < ROLE_ADMIN)
        return refuse(command, ERR_FORBIDDEN, NULL, "only its sender or an admin may delete a message");
    if (entry->message.deleted_ms)
        return;
    if (own && stay->stay.role < ROLE_ADMIN && window_closed(state, &entry->message, state->config->delete_window_ms))
        return refuse(command, ERR_WINDOW_CLOSED, NULL, "the message is too old to be deleted");
    chain_seal(&entry->message);
    media_detach(state, entry);
    if (entry->message.reactions_id)
        push_bulk(state, BULK_DROP_REACTIONS, entry->message.id, 0);
    push_bulk(state, BULK_DROP_PIN, entry->message.id, 0);
    if (entry->message.edited_ms)
        push_bulk(state, BULK_DROP_REVISIONS, entry->message.id, 0);
    chain_blank(&entry->message, state->now_ms);
    if (entry->message.expires_ms)
        push_bulk(state, BULK_DROP_EXPIRY, (uint64_t)entry->message.expires_ms, entry->message.id);
    command->out.id = entry->message.id;
    note_change(state, chat, entry, EVENT_MESSAGE_DELETED, command->actor_id);
}

/* Nobody else is told, and nothing else changes. */
void decide_message_hide(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *stay;
    struct message_entry *entry =
        message_find(state, command, command->in.message_hide.chat_id, command->in.message_hide.message_id, &chat, &stay);
    struct hidden_entry *hidden = entry ? state_hidden(state, command->actor_id, entry->message.id) : NULL;
    if (!hidden || hidden->hidden)
        return;
    struct event_entry *event = append_user_event(state, command->actor_id, EVENT_MESSAGE_HIDDEN, entry->message.id);
    if (!event)
        return;
    hidden->hidden = true;
    hidden->chat_id = chat->chat.id;
    state_push(state, &state->new_hidden, hidden);
    struct buf body = BUF_INIT;
    json_member_id(&body, "chat_id", chat->chat.id);
    json_member_id(&body, "message_id", entry->message.id);
    event_body(state, event, &body);
    command->out.id = entry->message.id;
}
