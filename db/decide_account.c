/* Decisions on accounts: users, devices, tickets, registration codes. */
#include "db/decide.h"

#include <stdlib.h>
#include <string.h>

/* A device and its row to write. Strings of commands live until done(), which is after the batch. */
static struct device_entry *add_device(struct state *state, uint64_t user_id, const char *name, const uint8_t *token) {
    struct device_entry *entry = state_alloc(state, sizeof *entry);
    if (!entry)
        return NULL;
    entry->device = (struct device){ .id = id_next(state->ids, state->now_ms),
                                     .user_id = user_id,
                                     .name = name,
                                     .created_ms = state->now_ms,
                                     .seen_ms = state->now_ms,
                                     .acked_id = state->last_id };
    memcpy(entry->token, token, SHA256_SIZE);
    state_push(state, &state->new_devices, entry);
    return entry;
}

static bool invite_good(struct state *state, struct slot *slot) {
    const struct invite_entry *invite = slot->invite;
    if (!slot->command->in.user_create.invite)
        return !slot->command->in.user_create.invite_required;
    return invite && invite->found && invite->uses_left > 0 && invite->expires_ms > state->now_ms;
}

static void add_first_devices(struct state *state, struct command *command, uint64_t user_id) {
    size_t count = command->in.user_create.token_count;
    if (count == 0)
        return;
    command->out.device_ids = calloc(count, sizeof *command->out.device_ids);
    for (size_t i = 0; command->out.device_ids && i < count; i++) {
        struct device_entry *device = add_device(state, user_id, command->in.user_create.device_name, command->in.user_create.tokens[i]);
        command->out.device_ids[i] = device ? device->device.id : 0;
    }
    if (command->out.device_ids)
        command->out.device_id = command->out.device_ids[0];
    else
        state->failed = true;
}

void decide_user_create(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct user_entry *user = state_user_named(state, command->in.user_create.username);
    if (!user)
        return;
    if (!invite_good(state, slot))
        return refuse(command, ERR_BAD_INVITE, "invite", "this invitation is not valid, used up or expired");
    if (user->found)
        return refuse(command, ERR_USERNAME_TAKEN, "username", "this user name is taken");
    if (slot->invite) {
        slot->invite->uses_left--;
        state_push(state, &state->invites, slot->invite);
    }
    user->found = true;
    user->user = (struct user){
        .id = id_next(state->ids, state->now_ms),
        .username = command->in.user_create.username,
        .display_name = command->in.user_create.display_name,
        .password = command->in.user_create.password,
        .created_ms = state->now_ms,
    };
    state_push(state, &state->new_users, user);
    command->out.id = user->user.id;
    command->out.time_ms = state->now_ms;
    add_first_devices(state, command, user->user.id);
}

static void user_changed(struct state *state, struct user_entry *user) {
    if (user->listed)
        return;
    user->listed = true;
    state_push(state, &state->changed_users, user);
}

/* Whether anything is different now. */
static bool update_user(const struct command *command, struct user *user) {
    const char *name = command->in.user_update.display_name;
    bool renamed = name && strcmp(name, user->display_name) != 0;
    bool hidden = command->in.user_update.set_presence && command->in.user_update.presence == user->hides_presence;
    bool switched = command->in.user_update.set_receipts && command->in.user_update.receipts == user->hides_receipts;
    if (renamed)
        user->display_name = name;
    if (hidden)
        user->hides_presence = !command->in.user_update.presence;
    if (switched)
        user->hides_receipts = !command->in.user_update.receipts;
    return renamed || hidden || switched;
}

void decide_user_update(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct user_entry *user = state_user(state, command->actor_id);
    if (!user || !user->found)
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    if (update_user(command, &user->user)) {
        user_changed(state, user);
        struct event_entry *event = append_user_event(state, user->user.id, EVENT_USER_UPDATED, user->user.id);
        if (!event)
            return;
        struct buf body = BUF_INIT;
        buf_string(&body, "\"user\":");
        render_own_user(&body, &user->user);
        event_body(state, event, &body);
    }
    render_own_user(&command->out.json, &user->user);
}

void remove_device(struct state *state, const struct device *device, enum removal reason) {
    struct event_entry *event = append_user_event(state, device->user_id, EVENT_DEVICE_REMOVED, device->id);
    struct bulk *bulk = state_alloc(state, sizeof *bulk);
    if (!event || !bulk)
        return;
    struct buf body = BUF_INIT;
    buf_string(&body, "\"device\":{");
    json_member_id(&body, "id", device->id);
    buf_char(&body, '}');
    json_member_string(&body, "reason", removal_name(reason));
    event_body(state, event, &body);
    event->event.removal = reason;
    bulk->a = device->id;
    state_push(state, &state->bulk[BULK_REMOVE_DEVICE], bulk);
}

void decide_password_set(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct user_entry *user = state_user(state, command->actor_id);
    if (!user || !user->found)
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    const char *expected = command->in.password_set.expected;
    if (expected && (!user->user.password || strcmp(user->user.password, expected) != 0))
        return refuse(command, ERR_CONFLICT, "current_password", "the password was changed meanwhile");
    user->user.password = command->in.password_set.password;
    user_changed(state, user);
    for (size_t i = 0; i < user->devices.count; i++) {
        struct device_entry *device = user->devices.items[i];
        if (device->device.id != command->device_id)
            remove_device(state, &device->device, REMOVAL_PASSWORD_CHANGED);
    }
}

/* Beyond the cap the devices seen longest ago make room. */
static void make_room(struct state *state, struct user_entry *user) {
    size_t keep = (size_t)state->config->devices_per_user - 1;
    for (size_t count = user->devices.count; count > keep; count--) {
        size_t oldest = 0;
        for (size_t i = 1; i < count; i++) {
            if (((struct device_entry *)user->devices.items[i])->device.seen_ms <
                ((struct device_entry *)user->devices.items[oldest])->device.seen_ms)
                oldest = i;
        }
        remove_device(state, &((struct device_entry *)user->devices.items[oldest])->device, REMOVAL_REPLACED);
        user->devices.items[oldest] = user->devices.items[count - 1];
    }
}

void decide_session_create(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct user_entry *user = state_user(state, command->actor_id);
    if (!user)
        return;
    if (!user->found || !user->user.password || strcmp(user->user.password, command->in.session_create.expected) != 0)
        return refuse(command, ERR_LOGIN_FAILED, NULL, NULL);
    make_room(state, user);
    struct device_entry *device =
        add_device(state, user->user.id, command->in.session_create.device_name, command->in.session_create.token);
    struct event_entry *event = device ? append_user_event(state, user->user.id, EVENT_DEVICE_ADDED, device->device.id) : NULL;
    if (!event)
        return;
    struct buf body = BUF_INIT;
    buf_string(&body, "\"device\":");
    render_device(&body, &device->device, 0);
    event_body(state, event, &body);
    command->out.id = user->user.id;
    command->out.device_id = device->device.id;
    command->out.time_ms = state->now_ms;
}

void decide_device_remove(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct user_entry *user = state_user(state, command->actor_id);
    for (size_t i = 0; user && i < user->devices.count; i++) {
        struct device_entry *device = user->devices.items[i];
        if (device->device.id == command->in.device_remove.device_id)
            return remove_device(state, &device->device, command->in.device_remove.reason);
    }
    refuse(command, ERR_NOT_FOUND, NULL, NULL);
}

void decide_device_touch(struct state *state, struct slot *slot) {
    push_bulk(state, BULK_TOUCH_DEVICE, slot->command->device_id, (uint64_t)slot->command->in.device_touch.seen_ms);
}

void decide_user_touch(struct state *state, struct slot *slot) {
    push_bulk(state, BULK_TOUCH_USER, slot->command->actor_id, (uint64_t)slot->command->in.user_touch.active_ms);
}

void decide_events_ack(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    if (command->in.events_ack.id > state->last_id)
        return refuse(command, ERR_BAD_FIELD, "id", "no event has this id yet");
    push_bulk(state, BULK_ACK_DEVICE, command->device_id, command->in.events_ack.id);
}

static void push_ticket(struct state *state, struct vec *vec, const uint8_t *ticket, uint64_t device_id) {
    struct ticket_row *row = state_alloc(state, sizeof *row);
    if (!row)
        return;
    *row = (struct ticket_row){ .ticket = ticket, .device_id = device_id };
    state_push(state, vec, row);
}

void decide_ticket_create(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    push_ticket(state, &state->new_tickets, command->in.ticket_create.ticket, command->device_id);
    push_bulk(state, BULK_PRUNE_TICKETS, command->device_id, 0);
}

void decide_ticket_use(struct state *state, struct slot *slot) {
    push_ticket(state, &state->used_tickets, slot->command->in.ticket_use.ticket, 0);
}

void decide_invite_create(struct state *state, struct slot *slot) {
    struct invite_entry *invite = state_alloc(state, sizeof *invite);
    if (!invite)
        return;
    *invite = (struct invite_entry){ .invite = slot->command->in.invite_create.invite,
                                     .uses_left = slot->command->in.invite_create.uses,
                                     .expires_ms = slot->command->in.invite_create.expires_ms };
    state_push(state, &state->new_invites, invite);
}
