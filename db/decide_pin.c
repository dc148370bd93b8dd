/* Decisions on pinned messages. A chat's are a list: a batch holds one command on them (decide_list_key). */
#include "db/decide.h"

#include "core/limits.h"

static bool may_pin(const struct chat_entry *chat, const struct stay_entry *stay) {
    return chat->chat.type == CHAT_DIRECT || stay->stay.role >= ROLE_ADMIN;
}

static bool is_pinned(const struct chat_entry *chat, uint64_t message_id) {
    for (size_t i = 0; i < chat->pins.count; i++) {
        if (((struct pin_row *)chat->pins.items[i])->message_id == message_id)
            return true;
    }
    return false;
}

static void note_event(struct state *state, struct chat_entry *chat, const struct message *message, const struct command *command) {
    bool on = command->in.message_pin.on;
    enum event_type type = on ? EVENT_MESSAGE_PINNED : EVENT_MESSAGE_UNPINNED;
    struct event_entry *event = append_chat_event(state, chat, type, command->actor_id, message->id);
    struct buf body = BUF_INIT;
    if (!event)
        return;
    event->event.message.seq = message->seq;
    event->event.hidden_from = chat_addition_hidden_from(&chat->chat, type, command->actor_id);
    json_member_id(&body, "message_id", message->id);
    if (on)
        json_member_time(&body, "pinned_at", state->now_ms);
    event_body(state, event, &body);
}

static void pin(struct state *state, const struct command *command) {
    struct pin_row *row = state_alloc(state, sizeof *row);
    if (!row)
        return;
    *row = (struct pin_row){ command->in.message_pin.chat_id, command->in.message_pin.message_id, command->actor_id };
    state_push(state, &state->new_pins, row);
}

void decide_message_pin(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    bool on = command->in.message_pin.on;
    struct chat_entry *chat;
    struct stay_entry *stay;
    struct message_entry *entry =
        message_find_shown(state, command, command->in.message_pin.chat_id, command->in.message_pin.message_id, &chat, &stay);
    if (!entry)
        return;
    if (!may_pin(chat, stay))
        return refuse(command, ERR_FORBIDDEN, NULL, "only an admin may pin messages in a group");
    if (on && entry->message.deleted_ms)
        return refuse(command, ERR_ALREADY_DELETED, NULL, "the message was deleted");
    command->out.id = entry->message.id;
    if (is_pinned(chat, entry->message.id) == on || entry->message.deleted_ms)
        return;
    if (on && chat->pins.count >= LIMIT_PINS)
        return refuse(command, ERR_TOO_MANY_PINS, NULL, "the chat has as many pinned messages as it may have");
    if (on)
        pin(state, command);
    else
        push_bulk(state, BULK_DROP_PIN, entry->message.id, 0);
    note_event(state, chat, &entry->message, command);
}
