/* Decisions on chats and who is in them. */
#include "db/decide.h"

#include <string.h>

void render_own(struct command *command, const struct chat_entry *chat, enum role role) {
    render_chat(&command->out.json, &chat->chat, command->actor_id, role);
    command->out.id = chat->chat.id;
}

/* The body of an event that carries the chat's whole new values. */
static void body_with_chat(struct state *state, struct event_entry *event, const struct chat_entry *chat, const struct stay *member) {
    struct buf body = BUF_INIT;
    if (member) {
        buf_string(&body, "\"member\":");
        render_stay(&body, member);
        json_comma(&body);
    }
    buf_string(&body, "\"chat\":");
    render_chat(&body, &chat->chat, 0, ROLE_NONE);
    event_body(state, event, &body);
}

static void add_stay(struct state *state, struct chat_entry *chat, uint64_t user_id, uint64_t joined_id, enum role role) {
    struct stay_entry *entry = state_stay(state, chat->chat.id, user_id);
    if (!entry)
        return;
    entry->found = true;
    entry->listed = true;
    entry->stay = (struct stay){ .chat_id = chat->chat.id,
                                 .user_id = user_id,
                                 .joined_id = joined_id,
                                 .left_id = STAY_OPEN,
                                 .joined_ms = state->now_ms,
                                 .role = role,
                                 .last_post_ms = entry->stay.last_post_ms,
                                 .read_seq = chat->chat.last_seq };
    chat->chat.member_count++;
    chat->chat.owner_count += role == ROLE_OWNER;
    struct user_entry *user = state_user(state, user_id);
    if (user)
        user->chat_count++;
    state_push(state, &state->new_stays, entry);
}

static bool all_exist(struct state *state, const uint64_t *user_ids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct user_entry *user = state_user(state, user_ids[i]);
        if (!user || !user->found)
            return false;
    }
    return true;
}

/* Of those whom the actor wants in a new chat. */
static bool somebody_blocks(struct state *state, const struct command *command) {
    for (size_t i = 0; i < command->in.chat_create.member_count; i++) {
        if (is_blocked_by(state, command, command->in.chat_create.member_ids[i]))
            return true;
    }
    return false;
}

static bool has_room(struct state *state, uint64_t user_id) {
    const struct user_entry *user = state_user(state, user_id);
    return user && user->chat_count < (uint64_t)state->config->chats_per_user;
}

static bool all_have_room(struct state *state, const struct command *command) {
    for (size_t i = 0; i < command->in.chat_create.member_count; i++) {
        if (!has_room(state, command->in.chat_create.member_ids[i]))
            return false;
    }
    return has_room(state, command->actor_id);
}

/* The answer to a key or a pair that was there already: the chat as its creator sees it now. */
static void answer_existing(struct state *state, struct command *command, uint64_t chat_id) {
    struct chat_entry *chat = state_chat(state, chat_id);
    struct stay_entry *stay = state_stay(state, chat_id, command->actor_id);
    if (!chat || !stay)
        return;
    if (!chat->found || chat->chat.deleted_ms || !stay->found)
        return refuse(command, ERR_NOT_FOUND, NULL, "the chat was deleted or left since");
    command->out.existed = true;
    render_own(command, chat, stay->stay.role);
}

/* Lists the chat for the table of those whose messages go when they are delivered. */
static void delivery_changed(struct state *state, struct chat_entry *chat) {
    if (chat->delivery_listed)
        return;
    chat->delivery_listed = true;
    state_push(state, &state->changed_deliveries, chat);
}

static struct chat_entry *new_chat(struct state *state, const struct command *command) {
    struct chat_entry *chat = state_chat(state, id_next(state->ids, state->now_ms));
    if (!chat)
        return NULL;
    chat->found = true;
    chat->listed = true;
    chat->chat.type = command->in.chat_create.type;
    chat->chat.history = command->in.chat_create.history;
    chat->chat.title = command->in.chat_create.title;
    chat->chat.message_ttl_ms = command->in.chat_create.message_ttl_ms;
    chat->chat.until_delivered = command->in.chat_create.until_delivered;
    chat->chat.description = command->in.chat_create.description;
    chat->chat.is_public = command->in.chat_create.is_public;
    chat->chat.permissions = chat->chat.type == CHAT_CHANNEL ? 0 : PERMISSIONS_DEFAULT;
    if (chat->chat.until_delivered)
        delivery_changed(state, chat);
    chat->chat.created_by = command->actor_id;
    chat->chat.created_ms = state->now_ms;
    state_push(state, &state->new_chats, chat);
    return chat;
}

/* All members' stays begin with the chat.created event. */
static void add_first_members(struct state *state, const struct command *command, struct chat_entry *chat, struct event_entry *event) {
    size_t count = command->in.chat_create.member_count;
    uint64_t *members = state_alloc(state, (count + 1) * sizeof *members);
    if (!members)
        return;
    bool direct = chat->chat.type == CHAT_DIRECT;
    members[0] = command->actor_id;
    add_stay(state, chat, members[0], event->event.id, direct ? ROLE_MEMBER : ROLE_OWNER);
    for (size_t i = 0; i < count; i++) {
        members[i + 1] = command->in.chat_create.member_ids[i];
        add_stay(state, chat, members[i + 1], event->event.id, ROLE_MEMBER);
    }
    event->members = members;
    event->member_count = count + 1;
}

static void set_pair(struct state *state, struct chat_entry *chat, struct pair_entry *pair) {
    pair->chat_id = chat->chat.id;
    chat->chat.direct_low = pair->low;
    chat->chat.direct_high = pair->high;
    set_blockers(state, chat);
}

void decide_chat_create(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    const uint64_t *member_ids = command->in.chat_create.member_ids;
    size_t count = command->in.chat_create.member_count;
    bool direct = command->in.chat_create.type == CHAT_DIRECT;
    if (key_seen(state, slot)) {
        if (slot->repeated_id)
            answer_existing(state, command, slot->repeated_id);
        return;
    }
    if (!all_exist(state, member_ids, count))
        return refuse(command, ERR_BAD_FIELD, "member_ids", "one of these users does not exist");
    if (count + 1 > (size_t)state->config->group_max)
        return refuse(command, ERR_CHAT_FULL, "member_ids", "more members than a group may have");
    struct pair_entry *pair = direct ? state_pair(state, command->actor_id, member_ids[0]) : NULL;
    if (pair && pair->chat_id)
        return answer_existing(state, command, pair->chat_id);
    if (somebody_blocks(state, command))
        return refuse(command, ERR_BAD_FIELD, "member_ids", "one of these users does not exist");
    if (!all_have_room(state, command))
        return refuse(command, ERR_TOO_MANY_CHATS, NULL, "one of the members is in as many chats as a user may be");
    struct chat_entry *chat = new_chat(state, command);
    struct event_entry *event = chat ? append_chat_event(state, chat, EVENT_CHAT_CREATED, command->actor_id, 0) : NULL;
    if (!event)
        return;
    if (pair)
        set_pair(state, chat, pair);
    add_first_members(state, command, chat, event);
    body_with_chat(state, event, chat, NULL);
    key_note(state, command, chat->chat.id);
    render_own(command, chat, direct ? ROLE_MEMBER : ROLE_OWNER);
}

/* The chat and the actor's stay in it; refuses and returns false when the actor is not a member. */
static bool enter(struct state *state, struct command *command, uint64_t chat_id, struct chat_entry **ret_chat,
                  struct stay_entry **ret_stay) {
    struct chat_entry *chat = state_chat(state, chat_id);
    struct stay_entry *stay = state_stay(state, chat_id, command->actor_id);
    if (!chat || !stay)
        return false;
    if (!chat->found || chat->chat.deleted_ms || !stay->found) {
        refuse(command, ERR_NOT_FOUND, NULL, NULL);
        return false;
    }
    *ret_chat = chat;
    *ret_stay = stay;
    return true;
}

bool enter_group(struct state *state, struct command *command, uint64_t chat_id, struct chat_entry **ret_chat,
                 struct stay_entry **ret_stay) {
    if (!enter(state, command, chat_id, ret_chat, ret_stay))
        return false;
    if ((*ret_chat)->chat.type != CHAT_DIRECT)
        return true;
    refuse(command, ERR_DIRECT_CHAT, NULL, "a direct chat always has its two members and no title");
    return false;
}

/* "" is none. */
static bool is_other_text(const char *text, const char *current) { return text && strcmp(text, current ? current : "") != 0; }

/* The permissions as they would be. */
static uint32_t permissions_after(const struct command *command, const struct chat *chat) {
    uint32_t said = command->in.chat_update.set_permissions;
    return (chat->permissions & ~said) | (command->in.chat_update.permissions & said);
}

static bool shows_other(const struct command *command, const struct chat *chat) {
    return command->in.chat_update.set_avatar && command->in.chat_update.avatar_id != chat->avatar_id;
}

static bool group_changes(const struct command *command, const struct chat *chat) {
    return is_other_text(command->in.chat_update.title, chat->title) ||
           is_other_text(command->in.chat_update.description, chat->description) || shows_other(command, chat) ||
           (command->in.chat_update.set_slow_mode && command->in.chat_update.slow_mode_ms != chat->slow_mode_ms) ||
           permissions_after(command, chat) != chat->permissions;
}

static bool update_changes(const struct command *command, const struct chat *chat) {
    return group_changes(command, chat) || (command->in.chat_update.set_history && command->in.chat_update.history != chat->history) ||
           (command->in.chat_update.set_ttl && command->in.chat_update.message_ttl_ms != chat->message_ttl_ms) ||
           (command->in.chat_update.set_until_delivered && command->in.chat_update.until_delivered != chat->until_delivered) ||
           (command->in.chat_update.set_public && command->in.chat_update.is_public != chat->is_public);
}

static void update_group(const struct command *command, struct chat *chat) {
    const char *description = command->in.chat_update.description;
    if (command->in.chat_update.title)
        chat->title = command->in.chat_update.title;
    if (description)
        chat->description = *description ? description : NULL;
    if (command->in.chat_update.set_slow_mode)
        chat->slow_mode_ms = command->in.chat_update.slow_mode_ms;
    chat->permissions = permissions_after(command, chat);
}

static void update_chat(struct state *state, const struct command *command, struct chat_entry *chat) {
    update_group(command, &chat->chat);
    if (command->in.chat_update.set_avatar)
        show_avatar(state, chat, command->in.chat_update.avatar_id);
    if (command->in.chat_update.set_history)
        chat->chat.history = command->in.chat_update.history;
    if (command->in.chat_update.set_public)
        chat->chat.is_public = command->in.chat_update.is_public;
    if (command->in.chat_update.set_ttl)
        chat->chat.message_ttl_ms = command->in.chat_update.message_ttl_ms;
    if (command->in.chat_update.set_until_delivered && command->in.chat_update.until_delivered != chat->chat.until_delivered) {
        chat->chat.until_delivered = command->in.chat_update.until_delivered;
        delivery_changed(state, chat);
    }
    struct event_entry *event = append_chat_event(state, chat, EVENT_CHAT_UPDATED, command->actor_id, 0);
    if (event)
        body_with_chat(state, event, chat, NULL);
}

/* Whether it changes what the chat shows of itself. */
static bool edits_chat(const struct command *command) {
    return command->in.chat_update.title || command->in.chat_update.description || command->in.chat_update.set_avatar;
}

/* Whether it changes how a group works. */
static bool rules_group(const struct command *command) {
    return command->in.chat_update.set_history || command->in.chat_update.set_slow_mode || command->in.chat_update.set_permissions ||
           command->in.chat_update.set_public;
}

static bool rules_messages(const struct command *command) {
    return command->in.chat_update.set_ttl || command->in.chat_update.set_until_delivered;
}

static bool may_update_group(const struct command *command, const struct chat *chat, const struct stay *stay) {
    bool only_edits = !rules_group(command) && !rules_messages(command);
    return stay->role >= ROLE_ADMIN || (only_edits && chat->permissions & MEMBERS_EDIT);
}

/* How long messages stay is for both of a direct chat to say; all else is a group's. */
static bool may_update(struct command *command, const struct chat *chat, const struct stay *stay) {
    if (chat->type == CHAT_DIRECT && (edits_chat(command) || rules_group(command)))
        refuse(command, ERR_DIRECT_CHAT, NULL, "a direct chat has no title, and both members see all of it");
    else if (chat->type != CHAT_DIRECT && !may_update_group(command, chat, stay))
        refuse(command, ERR_FORBIDDEN, NULL, "only an owner or admin may change the chat");
    else if (chat->type != CHAT_CHANNEL && command->in.chat_update.set_public)
        refuse(command, ERR_BAD_FIELD, "public", "only a channel can be public");
    return command->refusal.err == OK && (chat->type != CHAT_CHANNEL || channel_takes(command));
}

void decide_chat_update(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *stay;
    if (!enter(state, command, command->in.chat_update.chat_id, &chat, &stay) || !may_update(command, &chat->chat, &stay->stay))
        return;
    if (shows_other(command, &chat->chat) && !may_show_avatar(state, command, command->in.chat_update.avatar_id))
        return;
    if (update_changes(command, &chat->chat))
        update_chat(state, command, chat);
    render_own(command, chat, stay->stay.role);
}

/* Ends the chat for all: their stays close with the event, the texts are blanked by the cleanup job, which also closes the stays of a channel, however many. */
static void end_chat(struct state *state, struct chat_entry *chat, uint64_t actor_id) {
    struct event_entry *event = append_chat_event(state, chat, EVENT_CHAT_DELETED, actor_id, 0);
    struct bulk *close = state_alloc(state, sizeof *close);
    struct bulk *purge = state_alloc(state, sizeof *purge);
    if (!event || !close || !purge)
        return;
    chat->chat.deleted_ms = state->now_ms;
    if (chat->chat.until_delivered)
        delivery_changed(state, chat);
    chat->chat.title = NULL;
    chat->chat.description = NULL;
    show_avatar(state, chat, 0);
    chat->chat.member_count = 0;
    chat->chat.owner_count = 0;
    *close = (struct bulk){ chat->chat.id, event->event.id };
    *purge = (struct bulk){ chat->chat.id, 0 };
    if (chat->chat.type != CHAT_CHANNEL)
        state_push(state, &state->bulk[BULK_CLOSE_STAYS], close);
    state_push(state, &state->bulk[BULK_PURGE_CHAT], purge);
    push_bulk(state, BULK_DROP_DRAFTS, chat->chat.id, 0);
    void_scheduled_of_chat(state, chat->chat.id);
}

void decide_chat_delete(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *stay;
    if (!enter_group(state, command, command->in.chat_delete.chat_id, &chat, &stay))
        return;
    if (stay->stay.role < ROLE_OWNER)
        return refuse(command, ERR_FORBIDDEN, NULL, "only an owner may delete the chat");
    end_chat(state, chat, command->actor_id);
}

static void answer_member(struct command *command, const struct stay *stay, bool existed) {
    command->out.existed = existed;
    command->out.id = stay->user_id;
    render_stay(&command->out.json, stay);
}

static void set_role(struct state *state, struct chat_entry *chat, struct stay_entry *member, enum role role, uint64_t actor_id) {
    chat->chat.owner_count -= member->stay.role == ROLE_OWNER;
    chat->chat.owner_count += role == ROLE_OWNER;
    member->stay.role = role;
    stay_changed(state, member);
    struct event_entry *event = append_chat_event(state, chat, EVENT_MEMBER_UPDATED, actor_id, member->stay.user_id);
    if (event)
        body_with_chat(state, event, chat, &member->stay);
}

static void change_role(struct state *state, struct command *command, struct chat_entry *chat, const struct stay_entry *actor,
                        struct stay_entry *member) {
    enum role role = command->in.member_put.role;
    if (role == ROLE_NONE || role == member->stay.role)
        return answer_member(command, &member->stay, true);
    if (actor->stay.role < ROLE_OWNER)
        return refuse(command, ERR_FORBIDDEN, NULL, "only an owner may change roles");
    if (member->stay.role == ROLE_OWNER && chat->chat.owner_count == 1)
        return refuse(command, ERR_CONFLICT, "role", "the chat would be left without an owner");
    set_role(state, chat, member, role, command->actor_id);
    answer_member(command, &member->stay, true);
}

/* Members only members, where the chat lets them at all. */
bool may_add(const struct chat *chat, const struct stay *actor, enum role role) {
    if (role > ROLE_MEMBER)
        return actor->role == ROLE_OWNER;
    return role_may_add(chat, actor->role);
}

struct stay_entry *join_chat(struct state *state, struct command *command, struct chat_entry *chat, uint64_t user_id, enum role role) {
    bool is_channel = chat->chat.type == CHAT_CHANNEL;
    bool has_place = is_channel || chat->chat.member_count < (uint64_t)state->config->group_max;
    if (is_banned(state, command, chat, user_id))
        return NULL;
    if (!has_place)
        refuse(command, ERR_CHAT_FULL, NULL, "the group has as many members as it may");
    else if (!has_room(state, user_id))
        refuse(command, ERR_TOO_MANY_CHATS, NULL, "this user is in as many chats as a user may be");
    if (command->refusal.err != OK)
        return NULL;
    struct event_entry *event =
        is_channel ? begin_following(state, chat, user_id) : append_chat_event(state, chat, EVENT_MEMBER_ADDED, command->actor_id, user_id);
    struct stay_entry *stay = event ? state_stay(state, chat->chat.id, user_id) : NULL;
    if (!stay)
        return NULL;
    add_stay(state, chat, user_id, event->event.id, role);
    drop_request(state, chat, user_id);
    if (!is_channel)
        body_with_chat(state, event, chat, &stay->stay);
    return stay;
}

static void add_member(struct state *state, struct command *command, struct chat_entry *chat, const struct stay_entry *actor) {
    enum role role = command->in.member_put.role == ROLE_NONE ? ROLE_MEMBER : command->in.member_put.role;
    uint64_t user_id = command->in.member_put.user_id;
    struct user_entry *user = state_user(state, user_id);
    if (chat->chat.type == CHAT_CHANNEL)
        return refuse(command, ERR_FORBIDDEN, NULL, "nobody is made to follow a channel: give them a link");
    if (!may_add(&chat->chat, &actor->stay, role))
        return refuse(command, ERR_FORBIDDEN, NULL, "only an admin may add members, and only an owner others than members");
    if (!user || !user->found || is_blocked_by(state, command, user_id))
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    const struct stay_entry *stay = join_chat(state, command, chat, user_id, role);
    if (stay)
        answer_member(command, &stay->stay, false);
}

void decide_member_put(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *actor;
    if (may_follow(state, command))
        return follow(state, command);
    if (!enter_group(state, command, command->in.member_put.chat_id, &chat, &actor))
        return;
    struct stay_entry *member = state_stay(state, chat->chat.id, command->in.member_put.user_id);
    if (!member)
        return;
    if (member->found)
        change_role(state, command, chat, actor, member);
    else
        add_member(state, command, chat, actor);
}

bool may_remove(const struct command *command, const struct stay_entry *actor, const struct stay_entry *member) {
    return command->actor_id == member->stay.user_id || actor->stay.role == ROLE_OWNER ||
           (actor->stay.role == ROLE_ADMIN && member->stay.role == ROLE_MEMBER);
}

bool needs_successor(const struct chat_entry *chat, const struct stay_entry *leaving) {
    return leaving->found && leaving->stay.role == ROLE_OWNER && chat->chat.owner_count == 1;
}

/* A group never stands without an owner: the last one to leave hands over in the same commit. */
static void hand_over(struct state *state, struct slot *slot, struct chat_entry *chat, const struct stay_entry *leaving) {
    if (!needs_successor(chat, leaving))
        return;
    struct stay_entry *successor = state_stay(state, chat->chat.id, slot->successor.user_id);
    if (successor && successor->found)
        set_role(state, chat, successor, ROLE_OWNER, slot->command->actor_id);
}

static void body_with_user(struct state *state, struct event_entry *event, uint64_t user_id) {
    struct buf body = BUF_INIT;
    buf_string(&body, "\"member\":{");
    json_member_id(&body, "user_id", user_id);
    buf_char(&body, '}');
    event_body(state, event, &body);
}

void leave_chat(struct state *state, struct chat_entry *chat, struct stay_entry *member, uint64_t actor_id) {
    bool is_follower = role_follows(&chat->chat, member->stay.role);
    struct event_entry *event = is_follower ? end_following(state, chat, member->stay.user_id, actor_id)
                                            : append_chat_event(state, chat, EVENT_MEMBER_REMOVED, actor_id, member->stay.user_id);
    if (!event)
        return;
    chat->chat.member_count--;
    chat->chat.owner_count -= member->stay.role == ROLE_OWNER;
    member->stay.left_id = event->event.id;
    member->found = false;
    stay_changed(state, member);
    drop_draft(state, member->stay.user_id, chat->chat.id);
    void_scheduled(state, member->stay.user_id, chat->chat.id);
    if (!is_follower)
        body_with_user(state, event, member->stay.user_id);
}

void decide_member_remove(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct chat_entry *chat;
    struct stay_entry *actor;
    if (!enter_group(state, command, command->in.member_remove.chat_id, &chat, &actor))
        return;
    struct stay_entry *member = state_stay(state, chat->chat.id, command->in.member_remove.user_id);
    if (!member)
        return;
    if (!member->found)
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    if (!may_remove(command, actor, member))
        return refuse(command, ERR_FORBIDDEN, NULL, "only an admin may remove members, and only an owner admins and owners");
    if (chat->chat.member_count == 1)
        return end_chat(state, chat, command->actor_id);
    if (chat->chat.type == CHAT_CHANNEL && needs_successor(chat, member) && !slot->successor.user_id)
        return refuse(command, ERR_CONFLICT, "user_id",
                      "followers do not inherit a channel: make somebody an admin or owner, or delete it");
    hand_over(state, slot, chat, member);
    leave_chat(state, chat, member, command->actor_id);
}
