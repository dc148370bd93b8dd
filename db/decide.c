/* What all decisions share: needs, events, idempotency, and the table of commands. */
#include "db/decide.h"

#include <string.h>

#include "core/limits.h"

void refuse(struct command *command, enum err err, const char *field, const char *detail) {
    command->refusal = (struct refusal){ .err = err, .field = field, .detail = detail };
}

static void needs_none(struct state *state, struct slot *slot) {
    (void)state;
    (void)slot;
}

static void needs_user_create(struct state *state, struct slot *slot) { state_user_named(state, slot->command->in.user_create.username); }

static void needs_actor(struct state *state, struct slot *slot) { state_user(state, slot->command->actor_id); }

static void needs_actor_devices(struct state *state, struct slot *slot) { state_need_devices(state, slot->command->actor_id); }

static void needs_key(struct state *state, const struct command *command) {
    if (command->idempotency.given)
        state_key(state, command->actor_id, command->idempotency.key);
}

/* Somebody whom the actor wants in a chat, and who may have blocked the actor. */
static void needs_joiner(struct state *state, const struct command *command, uint64_t user_id) {
    state_need_chat_count(state, user_id);
    state_block(state, user_id, command->actor_id);
}

static void needs_pair(struct state *state, const struct command *command) {
    state_pair(state, command->actor_id, command->in.chat_create.member_ids[0]);
    state_block(state, command->actor_id, command->in.chat_create.member_ids[0]);
}

static void needs_chat_create(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    for (size_t i = 0; i < command->in.chat_create.member_count; i++)
        needs_joiner(state, command, command->in.chat_create.member_ids[i]);
    state_need_chat_count(state, command->actor_id);
    if (command->in.chat_create.type == CHAT_DIRECT)
        needs_pair(state, command);
    needs_key(state, command);
}

static void needs_own_stay(struct state *state, const struct command *command, uint64_t chat_id) {
    state_chat(state, chat_id);
    state_stay(state, chat_id, command->actor_id);
}

static void needs_chat_update(struct state *state, struct slot *slot) {
    needs_own_stay(state, slot->command, slot->command->in.chat_update.chat_id);
    if (slot->command->in.chat_update.set_avatar)
        state_media(state, slot->command->in.chat_update.avatar_id);
}

static void needs_chat_delete(struct state *state, struct slot *slot) {
    needs_own_stay(state, slot->command, slot->command->in.chat_delete.chat_id);
}

static void needs_member_put(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    needs_own_stay(state, command, command->in.member_put.chat_id);
    state_stay(state, command->in.member_put.chat_id, command->in.member_put.user_id);
    needs_joiner(state, command, command->in.member_put.user_id);
    state_request(state, command->in.member_put.chat_id, command->in.member_put.user_id);
    state_ban(state, command->in.member_put.chat_id, command->in.member_put.user_id);
}

static void needs_member_remove(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    needs_own_stay(state, command, command->in.member_remove.chat_id);
    state_stay(state, command->in.member_remove.chat_id, command->in.member_remove.user_id);
}

static void needs_followers_add(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    uint64_t chat_id = command->in.followers_add.chat_id;
    state_chat(state, chat_id);
    for (size_t i = 0; i < command->in.followers_add.count; i++) {
        uint64_t user_id = command->in.followers_add.user_ids[i];
        state_stay(state, chat_id, user_id);
        state_need_chat_count(state, user_id);
        state_request(state, chat_id, user_id);
        state_ban(state, chat_id, user_id);
    }
}

static void needs_link_create(struct state *state, struct slot *slot) {
    needs_own_stay(state, slot->command, slot->command->in.link_create.chat_id);
    state_need_link_count(state, slot->command->in.link_create.chat_id);
}

static void needs_link_revoke(struct state *state, struct slot *slot) {
    needs_own_stay(state, slot->command, slot->command->in.link_revoke.chat_id);
    state_link(state, slot->command->in.link_revoke.link_id);
}

static void needs_link_join(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    needs_own_stay(state, command, command->in.link_join.chat_id);
    state_link(state, command->in.link_join.link_id);
    state_need_chat_count(state, command->actor_id);
    state_request(state, command->in.link_join.chat_id, command->actor_id);
    state_need_request_count(state, command->in.link_join.chat_id);
    state_ban(state, command->in.link_join.chat_id, command->actor_id);
}

static void needs_join_answer(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    needs_own_stay(state, command, command->in.join_answer.chat_id);
    state_stay(state, command->in.join_answer.chat_id, command->in.join_answer.user_id);
    state_need_chat_count(state, command->in.join_answer.user_id);
    state_request(state, command->in.join_answer.chat_id, command->in.join_answer.user_id);
    state_ban(state, command->in.join_answer.chat_id, command->in.join_answer.user_id);
}

static void needs_ban_put(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    needs_own_stay(state, command, command->in.ban_put.chat_id);
    state_stay(state, command->in.ban_put.chat_id, command->in.ban_put.user_id);
    state_user(state, command->in.ban_put.user_id);
    state_request(state, command->in.ban_put.chat_id, command->in.ban_put.user_id);
    state_ban(state, command->in.ban_put.chat_id, command->in.ban_put.user_id);
    state_need_ban_count(state, command->in.ban_put.chat_id);
}

static void needs_ban_remove(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    needs_own_stay(state, command, command->in.ban_remove.chat_id);
    state_ban(state, command->in.ban_remove.chat_id, command->in.ban_remove.user_id);
}

/* The direct chat that both may have is told. */
static void needs_block(struct state *state, const struct command *command, uint64_t user_id) {
    state_need_people_counts(state, command->actor_id);
    state_user(state, user_id);
    state_block(state, command->actor_id, user_id);
    state_pair(state, command->actor_id, user_id);
}

static void needs_block_put(struct state *state, struct slot *slot) {
    needs_block(state, slot->command, slot->command->in.block_put.user_id);
}

static void needs_block_remove(struct state *state, struct slot *slot) {
    needs_block(state, slot->command, slot->command->in.block_remove.user_id);
}

static void needs_contact_put(struct state *state, struct slot *slot) {
    state_need_people_counts(state, slot->command->actor_id);
    state_user(state, slot->command->in.contact_put.user_id);
    state_contact(state, slot->command->actor_id, slot->command->in.contact_put.user_id);
}

static void needs_contact_remove(struct state *state, struct slot *slot) {
    state_contact(state, slot->command->actor_id, slot->command->in.contact_remove.user_id);
}

static void needs_message_post(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    needs_own_stay(state, command, command->in.message_post.chat_id);
    needs_key(state, command);
    for (size_t i = 0; i < command->in.message_post.media_count; i++)
        state_media(state, command->in.message_post.media_ids[i]);
    for (size_t i = 0; i < command->in.message_post.mention_count; i++)
        state_stay(state, command->in.message_post.chat_id, command->in.message_post.mentions[i].user_id);
    if (command->in.message_post.reply_to)
        state_message(state, command->in.message_post.reply_to);
    if (command->in.message_post.forward.message_id) {
        needs_own_stay(state, command, command->in.message_post.forward.chat_id);
        state_message(state, command->in.message_post.forward.message_id);
        state_hidden(state, command->actor_id, command->in.message_post.forward.message_id);
    }
}

static void needs_schedule_create(struct state *state, struct slot *slot) {
    needs_message_post(state, slot);
    state_need_scheduled_count(state, slot->command->in.message_post.chat_id, slot->command->actor_id);
}

static void needs_schedule_send(struct state *state, struct slot *slot) {
    needs_message_post(state, slot);
    state_scheduled(state, slot->command->in.message_post.scheduled.id);
}

static void needs_schedule_delete(struct state *state, struct slot *slot) {
    needs_own_stay(state, slot->command, slot->command->in.schedule_delete.chat_id);
    state_scheduled(state, slot->command->in.schedule_delete.scheduled_id);
}

static void needs_message_edit(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    needs_own_stay(state, command, command->in.message_edit.chat_id);
    state_message(state, command->in.message_edit.message_id);
    for (size_t i = 0; i < command->in.message_edit.mention_count; i++)
        state_stay(state, command->in.message_edit.chat_id, command->in.message_edit.mentions[i].user_id);
}

static void needs_message_delete(struct state *state, struct slot *slot) {
    needs_own_stay(state, slot->command, slot->command->in.message_delete.chat_id);
    state_message(state, slot->command->in.message_delete.message_id);
}

static void needs_message_react(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    needs_own_stay(state, command, command->in.message_react.chat_id);
    state_message(state, command->in.message_react.message_id);
    state_reactor(state, command->in.message_react.message_id, command->actor_id);
    state_hidden(state, command->actor_id, command->in.message_react.message_id);
}

static void needs_message_pin(struct state *state, struct slot *slot) {
    needs_own_stay(state, slot->command, slot->command->in.message_pin.chat_id);
    state_message(state, slot->command->in.message_pin.message_id);
    state_hidden(state, slot->command->actor_id, slot->command->in.message_pin.message_id);
    state_need_pins(state, slot->command->in.message_pin.chat_id);
}

static void needs_message_hide(struct state *state, struct slot *slot) {
    needs_own_stay(state, slot->command, slot->command->in.message_hide.chat_id);
    state_message(state, slot->command->in.message_hide.message_id);
    state_hidden(state, slot->command->actor_id, slot->command->in.message_hide.message_id);
}

static void needs_report_create(struct state *state, struct slot *slot) {
    state_user(state, slot->command->in.report_create.user_id);
    if (slot->command->in.report_create.message_id)
        state_message(state, slot->command->in.report_create.message_id);
}

static void needs_settings(struct state *state, struct slot *slot) {
    needs_own_stay(state, slot->command, slot->command->in.settings.chat_id);
    state_draft(state, slot->command->actor_id, slot->command->in.settings.chat_id);
}

static void needs_media_create(struct state *state, struct slot *slot) {
    state_need_pending_count(state, slot->command->actor_id);
    if (slot->command->in.media_create.media.thumbnail_id)
        state_media(state, slot->command->in.media_create.media.thumbnail_id);
    needs_key(state, slot->command);
}

static void needs_media_begin(struct state *state, struct slot *slot) { state_media(state, slot->command->in.media_begin.media_id); }

static void needs_media_complete(struct state *state, struct slot *slot) { state_media(state, slot->command->in.media_complete.media_id); }

static void needs_media_delete(struct state *state, struct slot *slot) { state_media(state, slot->command->in.media_delete.media_id); }

static void needs_media_sign(struct state *state, struct slot *slot) { state_media(state, slot->command->in.media_sign.media_id); }

static void needs_media_forget(struct state *state, struct slot *slot) {
    for (size_t i = 0; i < slot->command->in.media_forget.count; i++)
        state_media(state, slot->command->in.media_forget.media_ids[i]);
}

static void decide_nothing(struct state *state, struct slot *slot) {
    (void)state;
    (void)slot;
}

static const struct {
    void (*needs)(struct state *state, struct slot *slot);
    void (*decide)(struct state *state, struct slot *slot);
    bool makes_ids;
} table[] = {
    [COMMAND_USER_CREATE] = { needs_user_create, decide_user_create, .makes_ids = true },
    [COMMAND_USER_UPDATE] = { needs_actor, decide_user_update },
    [COMMAND_PASSWORD_SET] = { needs_actor_devices, decide_password_set },
    [COMMAND_SESSION_CREATE] = { needs_actor_devices, decide_session_create, .makes_ids = true },
    [COMMAND_DEVICE_REMOVE] = { needs_actor_devices, decide_device_remove },
    [COMMAND_DEVICE_TOUCH] = { needs_none, decide_device_touch },
    [COMMAND_USER_TOUCH] = { needs_none, decide_user_touch },
    [COMMAND_TICKET_CREATE] = { needs_none, decide_ticket_create },
    [COMMAND_TICKET_USE] = { needs_none, decide_ticket_use },
    [COMMAND_INVITE_CREATE] = { needs_none, decide_invite_create },
    [COMMAND_CHAT_CREATE] = { needs_chat_create, decide_chat_create, .makes_ids = true },
    [COMMAND_CHAT_UPDATE] = { needs_chat_update, decide_chat_update },
    [COMMAND_CHAT_DELETE] = { needs_chat_delete, decide_chat_delete },
    [COMMAND_MEMBER_PUT] = { needs_member_put, decide_member_put },
    [COMMAND_MEMBER_REMOVE] = { needs_member_remove, decide_member_remove },
    [COMMAND_FOLLOWERS_ADD] = { needs_followers_add, decide_followers_add },
    [COMMAND_LINK_CREATE] = { needs_link_create, decide_link_create, .makes_ids = true },
    [COMMAND_LINK_REVOKE] = { needs_link_revoke, decide_link_revoke },
    [COMMAND_LINK_JOIN] = { needs_link_join, decide_link_join },
    [COMMAND_JOIN_ANSWER] = { needs_join_answer, decide_join_answer },
    [COMMAND_BAN_PUT] = { needs_ban_put, decide_ban_put },
    [COMMAND_BAN_REMOVE] = { needs_ban_remove, decide_ban_remove },
    [COMMAND_BLOCK_PUT] = { needs_block_put, decide_block_put },
    [COMMAND_BLOCK_REMOVE] = { needs_block_remove, decide_block_remove },
    [COMMAND_CONTACT_PUT] = { needs_contact_put, decide_contact_put },
    [COMMAND_CONTACT_REMOVE] = { needs_contact_remove, decide_contact_remove },
    [COMMAND_MESSAGE_POST] = { needs_message_post, decide_message_post },
    [COMMAND_MESSAGE_EDIT] = { needs_message_edit, decide_message_edit },
    [COMMAND_MESSAGE_DELETE] = { needs_message_delete, decide_message_delete },
    [COMMAND_MESSAGE_REACT] = { needs_message_react, decide_message_react },
    [COMMAND_MESSAGE_PIN] = { needs_message_pin, decide_message_pin },
    [COMMAND_MESSAGE_HIDE] = { needs_message_hide, decide_message_hide },
    [COMMAND_SCHEDULE_CREATE] = { needs_schedule_create, decide_schedule_create, .makes_ids = true },
    [COMMAND_SCHEDULE_DELETE] = { needs_schedule_delete, decide_schedule_delete },
    [COMMAND_SCHEDULE_SEND] = { needs_schedule_send, decide_schedule_send },
    [COMMAND_REPORT_CREATE] = { needs_report_create, decide_report_create, .makes_ids = true },
    [COMMAND_REPORT_CLOSE] = { needs_none, decide_report_close },
    [COMMAND_EVENTS_ACK] = { needs_none, decide_events_ack },
    [COMMAND_MARKS] = { needs_none, decide_marks },
    [COMMAND_SETTINGS] = { needs_settings, decide_settings },
    [COMMAND_MEDIA_CREATE] = { needs_media_create, decide_media_create, .makes_ids = true },
    [COMMAND_MEDIA_BEGIN] = { needs_media_begin, decide_media_begin },
    [COMMAND_MEDIA_COMPLETE] = { needs_media_complete, decide_media_complete },
    [COMMAND_MEDIA_DELETE] = { needs_media_delete, decide_media_delete },
    [COMMAND_MEDIA_SIGN] = { needs_media_sign, decide_media_sign },
    [COMMAND_MEDIA_FORGET] = { needs_media_forget, decide_media_forget },
    [COMMAND_LEASE] = { needs_none, decide_lease },
    [COMMAND_SWEEP] = { needs_none, decide_nothing }, /* db/store_sweep.c */
};

void decide_needs(struct state *state, struct slot *slot) { table[slot->command->type].needs(state, slot); }

static void needs_of_pair(struct state *state, const struct command *command) {
    struct pair_entry *pair = state_pair(state, command->actor_id, command->in.chat_create.member_ids[0]);
    if (pair && pair->chat_id)
        needs_own_stay(state, command, pair->chat_id);
}

/* The direct chat with somebody who is blocked, or no longer. */
static void needs_of_block(struct state *state, uint64_t user_id, uint64_t blocked_id) {
    const struct pair_entry *pair = state_pair(state, user_id, blocked_id);
    if (pair && pair->chat_id)
        state_chat(state, pair->chat_id);
}

/* Whether the other member of a direct chat gets the message without content. */
static void needs_hidden_from_peer(struct state *state, const struct command *command, uint64_t chat_id, uint64_t message_id) {
    const struct chat_entry *chat = state_chat(state, chat_id);
    if (chat && chat->found && chat->chat.type == CHAT_DIRECT)
        state_hidden(state, chat_peer(&chat->chat, command->actor_id), message_id);
}

static void needs_of_change(struct state *state, const struct command *command) {
    if (command->type == COMMAND_MESSAGE_EDIT)
        needs_hidden_from_peer(state, command, command->in.message_edit.chat_id, command->in.message_edit.message_id);
    if (command->type == COMMAND_MESSAGE_DELETE)
        needs_hidden_from_peer(state, command, command->in.message_delete.chat_id, command->in.message_delete.message_id);
    if (command->type == COMMAND_BLOCK_PUT)
        needs_of_block(state, command->actor_id, command->in.block_put.user_id);
    if (command->type == COMMAND_BLOCK_REMOVE)
        needs_of_block(state, command->actor_id, command->in.block_remove.user_id);
}

static void needs_of_key(struct state *state, const struct command *command) {
    struct key_entry *key = command->idempotency.given ? state_key(state, command->actor_id, command->idempotency.key) : NULL;
    if (!key || !key->result_id)
        return;
    if (command->type == COMMAND_CHAT_CREATE)
        needs_own_stay(state, command, key->result_id);
    else if (command->type == COMMAND_MEDIA_CREATE)
        state_media(state, key->result_id);
    else if (command->type == COMMAND_SCHEDULE_CREATE)
        state_scheduled(state, key->result_id);
    else
        state_message(state, key->result_id);
}

static void needs_thumbnail(struct state *state, uint64_t media_id) {
    const struct media_entry *media = state_media(state, media_id);
    if (media && media->media.thumbnail_id)
        state_media(state, media->media.thumbnail_id);
}

/* Somebody else's media may be forwarded by those who see it in a message. */
static void needs_of_attachments(struct state *state, const struct command *command) {
    for (size_t i = 0; i < command->in.message_post.media_count; i++) {
        const struct media_entry *media = state_media(state, command->in.message_post.media_ids[i]);
        needs_thumbnail(state, command->in.message_post.media_ids[i]);
        if (media && media->found && media->media.owner_id != command->actor_id)
            state_sight(state, media->media.id, command->actor_id);
    }
}

static void needs_of_message(struct state *state, uint64_t message_id) {
    const struct message_entry *message = state_message(state, message_id);
    if (message && message->found && message->message.attachments)
        state_need_attached(state, message_id);
}

/* What a scheduled message keeps until then. */
static void needs_of_scheduled(struct state *state, uint64_t scheduled_id) {
    const struct scheduled_entry *entry = state_scheduled(state, scheduled_id);
    if (entry && entry->found && entry->scheduled.attachments)
        state_need_attached(state, scheduled_id);
}

static bool is_post(const struct command *command) {
    return command->type == COMMAND_MESSAGE_POST || command->type == COMMAND_SCHEDULE_CREATE || command->type == COMMAND_SCHEDULE_SEND;
}

static void needs_owners(struct state *state, const struct command *command) {
    for (size_t i = 0; i < command->in.media_forget.count; i++) {
        const struct media_entry *media = state_media(state, command->in.media_forget.media_ids[i]);
        if (media && media->found)
            state_user(state, media->media.owner_id);
    }
}

/* Who made the link must be one who may add members, or learns of those who ask by it. */
static void needs_maker(struct state *state, const struct command *command) {
    const struct link_entry *link = state_link(state, command->in.link_join.link_id);
    if (link && link->found)
        state_stay(state, link->link.chat_id, link->link.created_by);
}

static void needs_link_of_request(struct state *state, const struct command *command) {
    const struct request_entry *request = state_request(state, command->in.join_answer.chat_id, command->in.join_answer.user_id);
    if (request && request->found)
        state_link(state, request->request.link_id);
}

/* Leaving and coming back shortens nobody's wait. */
static void needs_former(struct state *state, uint64_t chat_id, uint64_t user_id) {
    const struct chat_entry *chat = state_chat(state, chat_id);
    if (chat && chat->found && chat->chat.slow_mode_ms)
        state_need_former(state, chat_id, user_id);
}

static void needs_of_joiner(struct state *state, const struct command *command) {
    if (command->type == COMMAND_MEMBER_PUT)
        needs_former(state, command->in.member_put.chat_id, command->in.member_put.user_id);
    if (command->type == COMMAND_LINK_JOIN)
        needs_former(state, command->in.link_join.chat_id, command->actor_id);
    if (command->type == COMMAND_JOIN_ANSWER)
        needs_former(state, command->in.join_answer.chat_id, command->in.join_answer.user_id);
}

/* What would be shown no more. */
static void needs_avatar(struct state *state, uint64_t chat_id) {
    const struct chat_entry *chat = state_chat(state, chat_id);
    if (chat && chat->found)
        state_media(state, chat->chat.avatar_id);
}

static void needs_of_chat(struct state *state, const struct command *command) {
    if (command->type == COMMAND_CHAT_UPDATE && command->in.chat_update.set_avatar)
        needs_avatar(state, command->in.chat_update.chat_id);
    if (command->type == COMMAND_CHAT_DELETE)
        needs_avatar(state, command->in.chat_delete.chat_id);
    if (command->type == COMMAND_MEMBER_REMOVE)
        needs_avatar(state, command->in.member_remove.chat_id);
}

void decide_needs_of_loaded(struct state *state, struct slot *slot) {
    const struct command *command = slot->command;
    needs_of_key(state, command);
    needs_of_chat(state, command);
    needs_of_joiner(state, command);
    needs_of_change(state, command);
    if (command->type == COMMAND_CHAT_CREATE && command->in.chat_create.type == CHAT_DIRECT)
        needs_of_pair(state, command);
    if (is_post(command))
        needs_of_attachments(state, command);
    if (command->type == COMMAND_SCHEDULE_SEND)
        needs_of_scheduled(state, command->in.message_post.scheduled.id);
    if (command->type == COMMAND_SCHEDULE_DELETE)
        needs_of_scheduled(state, command->in.schedule_delete.scheduled_id);
    if (command->type == COMMAND_MESSAGE_POST && command->in.message_post.forward.message_id)
        needs_of_message(state, command->in.message_post.forward.message_id);
    if (command->type == COMMAND_MESSAGE_DELETE)
        needs_of_message(state, command->in.message_delete.message_id);
    if (command->type == COMMAND_LINK_JOIN)
        needs_maker(state, command);
    if (command->type == COMMAND_JOIN_ANSWER)
        needs_link_of_request(state, command);
    if (command->type == COMMAND_MEDIA_COMPLETE)
        needs_thumbnail(state, command->in.media_complete.media_id);
    if (command->type == COMMAND_MEDIA_FORGET)
        needs_owners(state, command);
}

uint64_t decide_list_key(const struct command *command) {
    switch (command->type) {
    case COMMAND_PASSWORD_SET:
    case COMMAND_SESSION_CREATE:
    case COMMAND_DEVICE_REMOVE:
    case COMMAND_TICKET_CREATE:
    case COMMAND_BLOCK_PUT:
    case COMMAND_BLOCK_REMOVE:
    case COMMAND_CONTACT_PUT:
    case COMMAND_CONTACT_REMOVE:
        return command->actor_id;
    case COMMAND_CHAT_DELETE:
        return command->in.chat_delete.chat_id;
    case COMMAND_MEMBER_PUT:
        return command->in.member_put.chat_id;
    case COMMAND_MEMBER_REMOVE:
        return command->in.member_remove.chat_id;
    case COMMAND_FOLLOWERS_ADD:
        return command->in.followers_add.chat_id;
    case COMMAND_LINK_JOIN:
        return command->in.link_join.chat_id;
    case COMMAND_JOIN_ANSWER:
        return command->in.join_answer.chat_id;
    case COMMAND_BAN_PUT:
        return command->in.ban_put.chat_id;
    case COMMAND_BAN_REMOVE:
        return command->in.ban_remove.chat_id;
    case COMMAND_MESSAGE_PIN:
        return command->in.message_pin.chat_id;
    case COMMAND_USER_CREATE:
        return command->in.user_create.invite ? 1 : 0; /* all that use invitations, one after the other */
    case COMMAND_LEASE:
        return 2; /* so do those that want leases */
    case COMMAND_REPORT_CREATE:
    case COMMAND_REPORT_CLOSE:
        return 3; /* and those on reports: there is a limit for all users together */
    case COMMAND_USER_UPDATE:
    case COMMAND_DEVICE_TOUCH:
    case COMMAND_USER_TOUCH:
    case COMMAND_TICKET_USE:
    case COMMAND_INVITE_CREATE:
    case COMMAND_CHAT_CREATE:
    case COMMAND_CHAT_UPDATE:
    case COMMAND_LINK_CREATE:
    case COMMAND_LINK_REVOKE:
    case COMMAND_MESSAGE_POST:
    case COMMAND_MESSAGE_EDIT:
    case COMMAND_MESSAGE_DELETE:
    case COMMAND_MESSAGE_REACT:
    case COMMAND_MESSAGE_HIDE:
    case COMMAND_SCHEDULE_CREATE:
    case COMMAND_SCHEDULE_DELETE:
    case COMMAND_SCHEDULE_SEND:
    case COMMAND_EVENTS_ACK:
    case COMMAND_MARKS:
    case COMMAND_SETTINGS:
    case COMMAND_MEDIA_CREATE:
    case COMMAND_MEDIA_BEGIN:
    case COMMAND_MEDIA_COMPLETE:
    case COMMAND_MEDIA_DELETE:
    case COMMAND_MEDIA_SIGN:
    case COMMAND_MEDIA_FORGET:
    case COMMAND_SWEEP:
        return 0;
    }
    return 0;
}

bool decide_makes_ids(const struct command *command) { return table[command->type].makes_ids; }

void decide_command(struct state *state, struct slot *slot) {
    if (!state->ids && decide_makes_ids(slot->command))
        return refuse(slot->command, ERR_OVERLOADED, NULL, "every node number is taken");
    table[slot->command->type].decide(state, slot);
}

/* The next position, with this commit's tag. */
static struct event_entry *append(struct state *state, enum event_type type) {
    struct event_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    state->last_id = log_id(log_position(state->last_id) + 1, state->tag);
    entry->event = (struct event){ .id = state->last_id, .type = type };
    state_push(state, &state->events, entry);
    return entry;
}

struct event_entry *append_chat_event(struct state *state, struct chat_entry *chat, enum event_type type, uint64_t actor_id,
                                      uint64_t ref_id) {
    struct event_entry *entry = append(state, type);
    if (!entry)
        return NULL;
    chat->chat.last_id = entry->event.id;
    chat->chat.last_rev++;
    if (!event_is_message(type) && !event_is_about_message(type))
        chat->chat.changed_rev = chat->chat.last_rev; /* these events carry the chat's whole new values */
    chat_changed(state, chat);
    entry->event.owner_id = chat->chat.id;
    entry->event.actor_id = actor_id;
    entry->event.ref_id = ref_id;
    entry->event.rev = chat->chat.last_rev;
    return entry;
}

struct event_entry *append_user_event(struct state *state, uint64_t user_id, enum event_type type, uint64_t ref_id) {
    struct event_entry *entry = append(state, type);
    if (!entry)
        return NULL;
    entry->event.owner_id = user_id;
    entry->event.actor_id = user_id;
    entry->event.ref_id = ref_id;
    return entry;
}

void chat_changed(struct state *state, struct chat_entry *chat) {
    if (chat->listed)
        return;
    chat->listed = true;
    state_push(state, &state->changed_chats, chat);
}

void stay_changed(struct state *state, struct stay_entry *stay) {
    if (stay->listed)
        return;
    stay->listed = true;
    state_push(state, &state->changed_stays, stay);
}

void push_bulk(struct state *state, enum bulk_kind kind, uint64_t a, uint64_t b) {
    struct bulk *bulk = state_alloc(state, sizeof *bulk);
    if (!bulk)
        return;
    *bulk = (struct bulk){ a, b };
    state_push(state, &state->bulk[kind], bulk);
}

void event_body(struct state *state, struct event_entry *event, struct buf *body) {
    event->event.body = buf_ok(body) ? arena_copy(state->arena, body->bytes, body->size) : NULL;
    event->event.body_size = body->size;
    if (!event->event.body)
        state->failed = true;
    buf_release(body);
}

bool key_seen(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    if (!command->idempotency.given)
        return false;
    struct key_entry *key = state_key(state, command->actor_id, command->idempotency.key);
    if (!key || !key->result_id)
        return false;
    if (secret_equal(key->request, command->idempotency.request, sizeof key->request))
        slot->repeated_id = key->result_id;
    else
        refuse(command, ERR_IDEMPOTENCY_MISMATCH, "Idempotency-Key", "this key was used for a different request");
    return true;
}

void key_note(struct state *state, const struct command *command, uint64_t result_id) {
    if (!command->idempotency.given)
        return;
    struct key_entry *key = state_key(state, command->actor_id, command->idempotency.key);
    if (!key)
        return;
    key->result_id = result_id;
    memcpy(key->request, command->idempotency.request, sizeof key->request);
    state_push(state, &state->new_keys, key);
}
