/* Decisions on whom users have blocked, and whom they have for contacts. */
#include "db/decide.h"

#include <string.h>

#include "core/limits.h"

/* ---- What a block does ---- */

bool is_blocked_by(struct state *state, const struct command *command, uint64_t user_id) {
    const struct block_entry *entry = state_block(state, user_id, command->actor_id);
    return entry && entry->found;
}

static void set_blocker(struct chat *chat, uint64_t user_id, bool on) {
    uint32_t bit = user_id == chat->direct_low ? BLOCKER_LOW : BLOCKER_HIGH;
    chat->blockers = on ? chat->blockers | bit : chat->blockers & ~bit;
}

/* Its creator is not blocked, but may have blocked the other. */
void set_blockers(struct state *state, struct chat_entry *chat) {
    uint64_t user_id = chat->chat.created_by;
    const struct block_entry *entry = state_block(state, user_id, chat_peer(&chat->chat, user_id));
    set_blocker(&chat->chat, user_id, entry && entry->found);
}

/* What is hidden is nothing to read: while somebody is blocked, all that they say is, so the blocker has read the whole chat. The mark is stored in the same
 * transaction, so no reader sees one without the other. */
static void leave_nothing_unread(struct state *state, const struct chat_entry *chat, uint64_t user_id) {
    struct mark *mark = state_alloc(state, sizeof *mark);
    if (!mark)
        return;
    *mark = (struct mark){ .kind = MARK_READ, .chat_id = chat->chat.id, .owner_id = user_id, .value = chat->chat.last_seq };
    state_push(state, &state->read_marks, mark);
}

void hide_from_blocker(struct state *state, const struct chat_entry *chat, struct event_entry *event, bool says_more) {
    uint64_t peer_id = chat_peer(&chat->chat, event->event.message.sender_id);
    struct hidden_entry *hidden = state_hidden(state, peer_id, event->event.message.id);
    if (!hidden)
        return;
    if (says_more && chat_is_blocked_by(&chat->chat, peer_id))
        leave_nothing_unread(state, chat, peer_id);
    if (says_more && !hidden->hidden && chat_is_blocked_by(&chat->chat, peer_id)) {
        hidden->hidden = true;
        hidden->chat_id = chat->chat.id;
        state_push(state, &state->new_hidden, hidden);
    }
    if (hidden->hidden)
        event->event.hidden_from = peer_id;
}

/* ---- Blocks ---- */

/* Whether it is somebody else, who exists; else the command is refused. */
static bool is_somebody(struct state *state, struct command *command, uint64_t user_id) {
    const struct user_entry *user = state_user(state, user_id);
    if (user_id == command->actor_id)
        refuse(command, ERR_BAD_FIELD, "user_id", "this is yourself");
    else if (!user || !user->found)
        refuse(command, ERR_NOT_FOUND, NULL, NULL);
    return command->refusal.err == OK;
}

static void answer_block(struct command *command, const struct block *block, bool existed) {
    command->out.existed = existed;
    command->out.id = block->blocked_id;
    render_block(&command->out.json, block);
}

/* Their direct chat shows none of it: it is the blocker's alone to know. */
static void tell_chat(struct state *state, const struct block *block, bool on) {
    const struct pair_entry *pair = state_pair(state, block->user_id, block->blocked_id);
    struct chat_entry *chat = pair && pair->chat_id ? state_chat(state, pair->chat_id) : NULL;
    if (!chat || !chat->found)
        return;
    set_blocker(&chat->chat, block->user_id, on);
    chat_changed(state, chat);
    if (on)
        leave_nothing_unread(state, chat, block->user_id);
}

/* To the user's own devices. */
static void tell_user(struct state *state, uint64_t user_id, enum event_type type, uint64_t other_id) {
    struct event_entry *event = append_user_event(state, user_id, type, other_id);
    struct buf body = BUF_INIT;
    if (!event)
        return;
    json_member_id(&body, "user_id", other_id);
    event_body(state, event, &body);
}

void decide_block_put(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct user_entry *actor = state_user(state, command->actor_id);
    struct block_entry *entry = state_block(state, command->actor_id, command->in.block_put.user_id);
    if (!actor || !entry || !is_somebody(state, command, command->in.block_put.user_id))
        return;
    if (entry->found)
        return answer_block(command, &entry->block, true);
    if (actor->block_count >= LIMIT_BLOCKS)
        return refuse(command, ERR_CONFLICT, "user_id", "you have blocked as many users as one may: lift some blocks first");
    actor->block_count++;
    entry->found = true;
    entry->block.created_ms = state->now_ms;
    state_push(state, &state->new_blocks, entry);
    tell_chat(state, &entry->block, true);
    tell_user(state, command->actor_id, EVENT_USER_BLOCKED, entry->block.blocked_id);
    answer_block(command, &entry->block, false);
}

/* What was hidden meanwhile stays so. */
void decide_block_remove(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct block_entry *entry = state_block(state, command->actor_id, command->in.block_remove.user_id);
    if (!entry)
        return;
    if (!entry->found)
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    entry->found = false;
    push_bulk(state, BULK_DROP_BLOCK, command->actor_id, entry->block.blocked_id);
    tell_chat(state, &entry->block, false);
    tell_user(state, command->actor_id, EVENT_USER_UNBLOCKED, entry->block.blocked_id);
}

/* ---- Contacts ---- */

static void answer_contact(struct command *command, const struct contact *contact, bool existed) {
    command->out.existed = existed;
    command->out.id = contact->contact_id;
    render_contact(&command->out.json, contact);
}

static void tell_contact(struct state *state, const struct contact *contact) {
    struct event_entry *event = append_user_event(state, contact->user_id, EVENT_CONTACT_SAVED, contact->contact_id);
    struct buf body = BUF_INIT;
    if (!event)
        return;
    buf_string(&body, "\"contact\":");
    render_contact(&body, contact);
    event_body(state, event, &body);
}

static bool is_same_name(const char *one, const char *other) { return one && other ? strcmp(one, other) == 0 : one == other; }

void decide_contact_put(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct user_entry *actor = state_user(state, command->actor_id);
    struct contact_entry *entry = state_contact(state, command->actor_id, command->in.contact_put.user_id);
    if (!actor || !entry || !is_somebody(state, command, command->in.contact_put.user_id))
        return;
    bool existed = entry->found;
    if (existed && is_same_name(entry->contact.name, command->in.contact_put.name))
        return answer_contact(command, &entry->contact, true);
    if (!existed && actor->contact_count >= LIMIT_CONTACTS)
        return refuse(command, ERR_CONFLICT, "user_id", "you have as many contacts as one may: remove some first");
    if (!existed)
        entry->contact.created_ms = state->now_ms;
    entry->found = true;
    entry->contact.name = command->in.contact_put.name;
    state_push(state, &state->saved_contacts, entry);
    tell_contact(state, &entry->contact);
    answer_contact(command, &entry->contact, existed);
}

void decide_contact_remove(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct contact_entry *entry = state_contact(state, command->actor_id, command->in.contact_remove.user_id);
    if (!entry)
        return;
    if (!entry->found)
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    entry->found = false;
    push_bulk(state, BULK_DROP_CONTACT, command->actor_id, entry->contact.contact_id);
    tell_user(state, command->actor_id, EVENT_CONTACT_REMOVED, entry->contact.contact_id);
}
