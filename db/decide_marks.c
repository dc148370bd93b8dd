/* Decisions on what is a member's own: marks, and the settings of a chat. */
#include "db/decide.h"

#include <string.h>

/* Nobody is refused: what became of them meanwhile is for the statements to see. */
void decide_marks(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    for (size_t i = 0; i < command->in.marks.count; i++) {
        const struct mark *mark = &command->in.marks.marks[i];
        switch (mark->kind) {
        case MARK_READ:
            state_push(state, &state->read_marks, (void *)(uintptr_t)mark);
            break;
        case MARK_DELIVERED:
            push_bulk(state, BULK_DELIVER_USER, mark->owner_id, mark->value);
            break;
        case MARK_ACKED:
            push_bulk(state, BULK_ACK_DEVICE, mark->owner_id, mark->value);
            break;
        }
    }
}

/* Whether anything is different now; so do the next two. */
static bool change_settings(const struct state *state, const struct command *command, struct chat_settings *settings) {
    struct chat_settings before = *settings;
    if (command->in.settings.set_muted)
        settings->muted_until_ms = command->in.settings.muted_until_ms;
    if (command->in.settings.set_archived)
        settings->archived = command->in.settings.archived;
    if (command->in.settings.set_pinned && command->in.settings.pinned != (settings->pinned_ms != 0))
        settings->pinned_ms = command->in.settings.pinned ? state->now_ms : 0;
    return before.muted_until_ms != settings->muted_until_ms || before.archived != settings->archived ||
           before.pinned_ms != settings->pinned_ms;
}

static bool is_same_draft(const struct command *command, const struct draft_entry *draft) {
    const char *text = command->in.settings.draft;
    if (!text || !draft->text)
        return text == draft->text;
    return command->in.settings.draft_size == draft->size && memcmp(text, draft->text, draft->size) == 0;
}

static bool change_draft(struct state *state, const struct command *command, struct draft_entry *draft) {
    if (!command->in.settings.set_draft || is_same_draft(command, draft))
        return false;
    draft->text = command->in.settings.draft;
    draft->size = command->in.settings.draft_size;
    if (!draft->listed)
        state_push(state, &state->changed_drafts, draft);
    draft->listed = true;
    return true;
}

static void settings_changed(struct state *state, struct stay_entry *stay) {
    if (!stay->settings_listed)
        state_push(state, &state->changed_settings, stay);
    stay->settings_listed = true;
}

/* The draft is not part of the body: an event of the log would keep it when it is gone. */
static struct event_entry *append_settings(struct state *state, const struct stay_entry *stay, const struct draft_entry *draft) {
    struct event_entry *event = append_user_event(state, stay->stay.user_id, EVENT_CHAT_SETTINGS, stay->stay.chat_id);
    if (!event)
        return NULL;
    struct buf body = BUF_INIT;
    json_member_id(&body, "chat_id", stay->stay.chat_id);
    buf_string(&body, ",\"settings\":");
    render_settings(&body, &stay->stay.settings);
    event_body(state, event, &body);
    event->event.draft = draft->text;
    event->event.draft_size = draft->size;
    return event;
}

void decide_settings(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    uint64_t chat_id = command->in.settings.chat_id;
    const struct chat_entry *chat = state_chat(state, chat_id);
    struct stay_entry *stay = state_stay(state, chat_id, command->actor_id);
    struct draft_entry *draft = state_draft(state, command->actor_id, chat_id);
    if (!chat || !stay || !draft)
        return;
    if (!chat->found || chat->chat.deleted_ms || !stay->found)
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    if (command->in.settings.draft && role_follows(&chat->chat, stay->stay.role))
        return refuse(command, ERR_FORBIDDEN, "draft", "only an owner or admin may post in this chat");
    bool set = change_settings(state, command, &stay->stay.settings);
    bool drafted = change_draft(state, command, draft);
    if (set || drafted) {
        settings_changed(state, stay);
        if (!append_settings(state, stay, draft))
            return;
    }
    buf_char(&command->out.json, '{');
    json_member_id(&command->out.json, "chat_id", chat_id);
    json_comma(&command->out.json);
    json_key(&command->out.json, "settings");
    render_settings(&command->out.json, &stay->stay.settings);
    render_draft(&command->out.json, draft->text, draft->size);
    buf_char(&command->out.json, '}');
}

void drop_draft(struct state *state, uint64_t user_id, uint64_t chat_id) { push_bulk(state, BULK_DROP_DRAFT, user_id, chat_id); }
