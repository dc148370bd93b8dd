#include "model.h"

#include <openssl/sha.h>

#include "core/id.h"
#include "core/limits.h"
#include "model_check.h"

/* Room for one more: the array is moved when its count is a power of two. */
static void *grow(void *items, size_t count, size_t size) {
    if (count & (count - 1))
        return items;
    items = realloc(items, (count ? count * 2 : 1) * size);
    assert_non_null(items);
    return items;
}

#define ADD(array, count) ((array) = grow((array), (count), sizeof *(array)), (array) + (count)++)

/* A copy that lives as long as the model. */
static const char *keep(struct model *model, const char *text, size_t size) {
    char *copy = strndup(text, size);
    assert_non_null(copy);
    *ADD(model->strings, model->string_count) = copy;
    return copy;
}

const char *model_keep(struct model *model, const char *text) { return text ? keep(model, text, strlen(text)) : NULL; }

void model_init(struct model *model, const struct config *config) { *model = (struct model){ .config = config }; }

void model_release(struct model *model) {
    for (size_t i = 0; i < model->frame_count; i++)
        frame_drop(model->frames[i].frame);
    for (size_t i = 0; i < model->string_count; i++)
        free(model->strings[i]);
    for (size_t i = 0; i < model->message_count; i++)
        free(model->messages[i].links);
    void *arrays[] = { model->users,  model->devices, model->tickets, model->chats,   model->stays, model->messages,
                       model->events, model->keys,    model->frames,  model->strings, model->media };
    for (size_t i = 0; i < COUNT_OF(arrays); i++)
        free(arrays[i]);
}

/* On MariaDB the thread that follows the log may tell of a commit before the writer does: listeners go by ids. */
void model_note_commit(struct model *model, uint64_t previous_id, struct frame *const *frames, size_t count) {
    const struct model_frame *last = model->frame_count ? &model->frames[model->frame_count - 1] : NULL;
    size_t commit = last ? last->commit + 1 : 0;
    if (last && frames[0]->id <= last->frame->id)
        return;
    for (size_t i = 0; i < count; i++)
        *ADD(model->frames, model->frame_count) =
            (struct model_frame){ .frame = frame_hold(frames[i]), .commit = commit, .previous_id = previous_id };
}

struct user *model_user(const struct model *model, uint64_t user_id) {
    for (size_t i = 0; i < model->user_count; i++) {
        if (model->users[i].id == user_id)
            return &model->users[i];
    }
    return NULL;
}

struct model_device *model_device(const struct model *model, uint64_t device_id) {
    for (size_t i = 0; i < model->device_count; i++) {
        if (model->devices[i].device.id == device_id)
            return &model->devices[i];
    }
    return NULL;
}

struct model_chat *model_chat(const struct model *model, uint64_t chat_id) {
    for (size_t i = 0; i < model->chat_count; i++) {
        if (model->chats[i].chat.id == chat_id)
            return model->chats[i].forgotten ? NULL : &model->chats[i];
    }
    return NULL;
}

struct model_message *model_any_message(const struct model *model, uint64_t message_id) {
    size_t low = 0, high = model->message_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (model->messages[middle].message.id < message_id)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < model->message_count && model->messages[low].message.id == message_id;
    return found ? &model->messages[low] : NULL;
}

struct model_message *model_message(const struct model *model, uint64_t message_id) {
    struct model_message *message = model_any_message(model, message_id);
    return message && !message->removed ? message : NULL;
}

struct stay *model_membership(const struct model *model, uint64_t chat_id, uint64_t user_id) {
    for (size_t i = 0; i < model->stay_count; i++) {
        struct stay *stay = &model->stays[i].stay;
        if (stay->chat_id == chat_id && stay->user_id == user_id && stay->left_id == STAY_OPEN)
            return stay;
    }
    return NULL;
}

int64_t model_cutoff_ms(const struct model *model) {
    return model->config->retention_ms == CONFIG_FOREVER ? INT64_MIN : model->now_ms - model->config->retention_ms;
}

/* Positions are dense over the whole log, and the events of a commit share its tag. */
static void check_place(const struct model *model, const struct model_frame *live) {
    uint64_t id = live->frame->id;
    bool first_of_commit = live == model->frames || live[-1].commit != live->commit;
    assert_int_equal(log_position(id), log_position(model->head) + 1);
    if (first_of_commit)
        assert_int_equal(live->previous_id, model->head);
    else
        assert_int_equal((uint16_t)id, (uint16_t)model->head);
}

/* The next event, which has to be the next frame of the log. The command's other effects follow; model_apply() then looks at the frame. */
static struct model_event *append(struct model *model, struct chat *chat, enum event_type type, uint64_t actor_id, uint64_t ref_id) {
    if (model->command->refusal.err != OK)
        fail_msg("command %d was refused (%s), the model accepts it", model->command->type, err_name(model->command->refusal.err));
    assert_true(model->frames_taken < model->frame_count);
    const struct model_frame *live = &model->frames[model->frames_taken++];
    check_place(model, live);
    struct model_event *event = ADD(model->events, model->event_count);
    model->head = live->frame->id;
    *event = (struct model_event){
        .event = { .id = model->head, .owner_id = chat ? chat->id : actor_id, .type = type, .actor_id = actor_id, .ref_id = ref_id },
        .created_ms = model->now_ms,
    };
    if (type == EVENT_MESSAGE_CREATED)
        event->event.ref_id = model->head;
    if (!chat)
        return event;
    chat->last_id = model->head;
    event->event.rev = ++chat->last_rev;
    if (!event_is_message(type))
        chat->changed_rev = chat->last_rev;
    return event;
}

static struct model_event *last_event(struct model *model) { return &model->events[model->event_count - 1]; }

/* ---- Accounts ----------------------------------------------------------------------------------------------------------------------- */

/* It begins with what comes after `head`. */
static void add_device(struct model *model, uint64_t device_id, uint64_t user_id, const char *name, const uint8_t *token, uint64_t head) {
    struct model_device *device = ADD(model->devices, model->device_count);
    *device = (struct model_device){ .device = { .id = device_id,
                                                 .user_id = user_id,
                                                 .name = model_keep(model, name),
                                                 .created_ms = model->now_ms,
                                                 .seen_ms = model->now_ms,
                                                 .acked_id = head } };
    memcpy(device->token, token, SHA256_SIZE);
}

static void forget_device(struct model *model, struct model_device *device) {
    device->removed = true;
    for (size_t i = 0; i < model->ticket_count; i++) {
        if (model->tickets[i].device_id == device->device.id)
            model->tickets[i].removed = true;
    }
}

static void remove_device(struct model *model, struct model_device *device, enum removal reason) {
    forget_device(model, device);
    append(model, NULL, EVENT_DEVICE_REMOVED, device->device.user_id, device->device.id)->event.removal = reason;
}

static enum err apply_user_create(struct model *model, const struct command *command) {
    for (size_t i = 0; i < model->user_count; i++) {
        if (strcmp(model->users[i].username, command->in.user_create.username) == 0)
            return ERR_USERNAME_TAKEN;
    }
    if (command->refusal.err != OK)
        return OK;
    struct user *user = ADD(model->users, model->user_count);
    *user = (struct user){ .id = command->out.id, .created_ms = model->now_ms };
    user->username = model_keep(model, command->in.user_create.username);
    user->display_name = model_keep(model, command->in.user_create.display_name);
    user->password = model_keep(model, command->in.user_create.password);
    assert_int_equal(command->out.time_ms, model->now_ms);
    for (size_t i = 0; i < command->in.user_create.token_count; i++)
        add_device(model, command->out.device_ids[i], user->id, command->in.user_create.device_name, command->in.user_create.tokens[i],
                   model->head);
    return OK;
}

static enum err apply_user_update(struct model *model, const struct command *command) {
    struct user *user = model_user(model, command->actor_id);
    if (!user)
        return ERR_NOT_FOUND;
    if (strcmp(user->display_name, command->in.user_update.display_name) == 0)
        return OK;
    user->display_name = model_keep(model, command->in.user_update.display_name);
    append(model, NULL, EVENT_USER_UPDATED, user->id, user->id)->name = user->display_name;
    return OK;
}

static enum err apply_password_set(struct model *model, const struct command *command) {
    struct user *user = model_user(model, command->actor_id);
    const char *expected = command->in.password_set.expected;
    if (!user)
        return ERR_NOT_FOUND;
    if (expected && (!user->password || strcmp(user->password, expected) != 0))
        return ERR_CONFLICT;
    user->password = model_keep(model, command->in.password_set.password);
    for (size_t i = 0; i < model->device_count; i++) {
        struct model_device *device = &model->devices[i];
        if (!device->removed && device->device.user_id == user->id && device->device.id != command->device_id)
            remove_device(model, device, REMOVAL_PASSWORD_CHANGED);
    }
    return OK;
}

/* The device of a user that was seen longest ago, and how many there are. */
static struct model_device *oldest_device(const struct model *model, uint64_t user_id, size_t *ret_count) {
    struct model_device *oldest = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < model->device_count; i++) {
        struct model_device *device = &model->devices[i];
        if (device->removed || device->device.user_id != user_id)
            continue;
        ++*ret_count;
        if (!oldest || device->device.seen_ms < oldest->device.seen_ms)
            oldest = device;
    }
    return oldest;
}

static enum err apply_session_create(struct model *model, const struct command *command) {
    struct user *user = model_user(model, command->actor_id);
    if (!user || !user->password || strcmp(user->password, command->in.session_create.expected) != 0)
        return ERR_LOGIN_FAILED;
    size_t count;
    struct model_device *oldest = oldest_device(model, user->id, &count);
    if (count >= (size_t)model->config->devices_per_user)
        remove_device(model, oldest, REMOVAL_REPLACED);
    uint64_t head = model->head;
    append(model, NULL, EVENT_DEVICE_ADDED, user->id, command->out.device_id);
    add_device(model, command->out.device_id, user->id, command->in.session_create.device_name, command->in.session_create.token, head);
    return OK;
}

static enum err apply_device_remove(struct model *model, const struct command *command) {
    struct model_device *device = model_device(model, command->in.device_remove.device_id);
    if (!device || device->removed || device->device.user_id != command->actor_id)
        return ERR_NOT_FOUND;
    remove_device(model, device, command->in.device_remove.reason);
    return OK;
}

static enum err apply_device_touch(struct model *model, const struct command *command) {
    struct model_device *device = model_device(model, command->device_id);
    if (device && device->device.seen_ms < command->in.device_touch.seen_ms)
        device->device.seen_ms = command->in.device_touch.seen_ms;
    return OK;
}

static enum err apply_events_ack(struct model *model, const struct command *command) {
    struct model_device *device = model_device(model, command->device_id);
    if (command->in.events_ack.id > model->head)
        return ERR_BAD_FIELD;
    if (device && device->device.acked_id < command->in.events_ack.id)
        device->device.acked_id = command->in.events_ack.id;
    return OK;
}

/* Only the newest few tickets of a device stay. */
static void prune_tickets(struct model *model, uint64_t device_id) {
    size_t kept = 0;
    for (size_t i = model->ticket_count; i-- > 0;) {
        struct model_ticket *ticket = &model->tickets[i];
        if (ticket->device_id == device_id && !ticket->removed && ++kept > LIMIT_TICKETS_PER_DEVICE)
            ticket->removed = true;
    }
}

static enum err apply_ticket_create(struct model *model, const struct command *command) {
    struct model_ticket *ticket = ADD(model->tickets, model->ticket_count);
    *ticket = (struct model_ticket){ .device_id = command->device_id, .created_ms = model->now_ms };
    memcpy(ticket->ticket, command->in.ticket_create.ticket, SHA256_SIZE);
    prune_tickets(model, command->device_id);
    return OK;
}

static enum err apply_ticket_use(struct model *model, const struct command *command) {
    for (size_t i = 0; i < model->ticket_count; i++) {
        if (memcmp(model->tickets[i].ticket, command->in.ticket_use.ticket, SHA256_SIZE) == 0)
            model->tickets[i].used = true;
    }
    return OK;
}

/* ---- Idempotency -------------------------------------------------------------------------------------------------------------------- */

struct model_key *model_find_key(const struct model *model, const struct command *command) {
    int64_t period = model->now_ms / IDEMPOTENCY_PERIOD_MS;
    for (size_t i = model->key_count; command->idempotency.given && i-- > 0;) {
        struct model_key *key = &model->keys[i];
        if (key->user_id == command->actor_id && key->key == command->idempotency.key && key->period > period - IDEMPOTENCY_PERIODS)
            return key;
    }
    return NULL;
}

bool model_same_request(const struct model_key *key, const struct command *command) {
    return memcmp(key->request, command->idempotency.request, HASH128_SIZE) == 0;
}

void model_note_key(struct model *model, const struct command *command, uint64_t result_id) {
    if (!command->idempotency.given)
        return;
    struct model_key *key = ADD(model->keys, model->key_count);
    *key = (struct model_key){ .user_id = command->actor_id,
                               .key = command->idempotency.key,
                               .result_id = result_id,
                               .period = model->now_ms / IDEMPOTENCY_PERIOD_MS };
    memcpy(key->request, command->idempotency.request, HASH128_SIZE);
}

/* ---- Chats -------------------------------------------------------------------------------------------------------------------------- */

static void add_stay(struct model *model, struct chat *chat, uint64_t user_id, enum role role) {
    ADD(model->stays, model->stay_count)->stay = (struct stay){
        .chat_id = chat->id, .user_id = user_id, .joined_id = model->head, .left_id = STAY_OPEN, .joined_ms = model->now_ms, .role = role
    };
    model->stays[model->stay_count - 1].removed = false;
    chat->member_count++;
    chat->owner_count += role == ROLE_OWNER;
}

static enum err answer_existing(struct model *model, const struct command *command, uint64_t chat_id) {
    struct model_chat *chat = model_chat(model, chat_id);
    if (!chat || chat->chat.deleted_ms || !model_membership(model, chat_id, command->actor_id))
        return ERR_NOT_FOUND;
    if (command->refusal.err == OK)
        assert_true(command->out.existed && command->out.id == chat_id);
    return OK;
}

static uint64_t find_pair(const struct model *model, uint64_t low, uint64_t high) {
    for (size_t i = 0; i < model->chat_count; i++) {
        if (model->chats[i].chat.direct_low == low && model->chats[i].chat.direct_high == high)
            return model->chats[i].chat.id;
    }
    return 0;
}

static void create_chat(struct model *model, const struct command *command, uint64_t low, uint64_t high) {
    bool direct = command->in.chat_create.type == CHAT_DIRECT;
    struct model_chat *entry = ADD(model->chats, model->chat_count);
    *entry = (struct model_chat){ .chat = { .id = command->out.id,
                                            .type = command->in.chat_create.type,
                                            .history = command->in.chat_create.history,
                                            .title = model_keep(model, command->in.chat_create.title),
                                            .created_by = command->actor_id,
                                            .created_ms = model->now_ms,
                                            .direct_low = low,
                                            .direct_high = high,
                                            .message_ttl_ms = command->in.chat_create.message_ttl_ms,
                                            .until_delivered = command->in.chat_create.until_delivered } };
    append(model, &entry->chat, EVENT_CHAT_CREATED, command->actor_id, 0);
    add_stay(model, &entry->chat, command->actor_id, direct ? ROLE_MEMBER : ROLE_OWNER);
    for (size_t i = 0; i < command->in.chat_create.member_count; i++)
        add_stay(model, &entry->chat, command->in.chat_create.member_ids[i], ROLE_MEMBER);
    last_event(model)->chat = entry->chat;
    assert_false(command->out.existed);
    model_note_key(model, command, command->out.id);
}

static enum err apply_chat_create(struct model *model, const struct command *command) {
    const uint64_t *member_ids = command->in.chat_create.member_ids;
    const struct model_key *key = model_find_key(model, command);
    if (key)
        return model_same_request(key, command) ? answer_existing(model, command, key->result_id) : ERR_IDEMPOTENCY_MISMATCH;
    for (size_t i = 0; i < command->in.chat_create.member_count; i++) {
        if (!model_user(model, member_ids[i]))
            return ERR_BAD_FIELD;
    }
    if (command->in.chat_create.member_count + 1 > (size_t)model->config->group_max)
        return ERR_CHAT_FULL;
    uint64_t low = 0, high = 0;
    if (command->in.chat_create.type == CHAT_DIRECT) {
        low = command->actor_id < member_ids[0] ? command->actor_id : member_ids[0];
        high = command->actor_id < member_ids[0] ? member_ids[0] : command->actor_id;
        if (find_pair(model, low, high))
            return answer_existing(model, command, find_pair(model, low, high));
    }
    create_chat(model, command, low, high);
    return OK;
}

/* The chat and the actor's stay in it. */
static enum err enter(const struct model *model, const struct command *command, uint64_t chat_id, struct chat **ret_chat,
                      struct stay **ret_stay) {
    struct model_chat *chat = model_chat(model, chat_id);
    struct stay *stay = model_membership(model, chat_id, command->actor_id);
    if (!chat || chat->chat.deleted_ms || !stay)
        return ERR_NOT_FOUND;
    *ret_chat = &chat->chat;
    *ret_stay = stay;
    return OK;
}

static enum err enter_group(const struct model *model, const struct command *command, uint64_t chat_id, struct chat **ret_chat,
                            struct stay **ret_stay) {
    enum err err = enter(model, command, chat_id, ret_chat, ret_stay);
    return err == OK && (*ret_chat)->type == CHAT_DIRECT ? ERR_DIRECT_CHAT : err;
}

/* The chat's values after the update. */
static struct chat updated(struct model *model, const struct command *command, const struct chat *chat) {
    struct chat next = *chat;
    if (command->in.chat_update.title && strcmp(command->in.chat_update.title, chat->title) != 0)
        next.title = model_keep(model, command->in.chat_update.title);
    if (command->in.chat_update.set_history)
        next.history = command->in.chat_update.history;
    if (command->in.chat_update.set_ttl)
        next.message_ttl_ms = command->in.chat_update.message_ttl_ms;
    if (command->in.chat_update.set_until_delivered)
        next.until_delivered = command->in.chat_update.until_delivered;
    return next;
}

static enum err apply_chat_update(struct model *model, const struct command *command) {
    struct chat *chat;
    struct stay *own;
    enum err err = enter(model, command, command->in.chat_update.chat_id, &chat, &own);
    if (err != OK)
        return err;
    if (chat->type == CHAT_DIRECT && (command->in.chat_update.title || command->in.chat_update.set_history))
        return ERR_DIRECT_CHAT;
    if (chat->type == CHAT_GROUP && own->role < ROLE_ADMIN)
        return ERR_FORBIDDEN;
    struct chat next = updated(model, command, chat);
    if (next.title == chat->title && next.history == chat->history && next.message_ttl_ms == chat->message_ttl_ms &&
        next.until_delivered == chat->until_delivered)
        return OK;
    if (next.until_delivered != chat->until_delivered)
        model_chat(model, chat->id)->blanked_id = 0;
    *chat = next;
    append(model, chat, EVENT_CHAT_UPDATED, command->actor_id, 0);
    last_event(model)->chat = *chat;
    return OK;
}

static void end_chat(struct model *model, struct chat *chat, uint64_t actor_id) {
    append(model, chat, EVENT_CHAT_DELETED, actor_id, 0);
    chat->deleted_ms = model->now_ms;
    chat->member_count = chat->owner_count = 0;
    for (size_t i = 0; i < model->stay_count; i++) {
        struct stay *stay = &model->stays[i].stay;
        if (stay->chat_id == chat->id && stay->left_id == STAY_OPEN)
            stay->left_id = model->head;
    }
}

static enum err apply_chat_delete(struct model *model, const struct command *command) {
    struct chat *chat;
    struct stay *own;
    enum err err = enter_group(model, command, command->in.chat_delete.chat_id, &chat, &own);
    if (err != OK)
        return err;
    if (own->role < ROLE_OWNER)
        return ERR_FORBIDDEN;
    end_chat(model, chat, command->actor_id);
    return OK;
}

static void set_role(struct model *model, struct chat *chat, struct stay *member, enum role role, uint64_t actor_id) {
    chat->owner_count -= member->role == ROLE_OWNER;
    chat->owner_count += role == ROLE_OWNER;
    member->role = role;
    struct model_event *event = append(model, chat, EVENT_MEMBER_UPDATED, actor_id, member->user_id);
    event->chat = *chat;
    event->member = *member;
}

static enum err change_role(struct model *model, const struct command *command, struct chat *chat, const struct stay *own,
                            struct stay *member) {
    enum role role = command->in.member_put.role;
    if (role == ROLE_NONE || role == member->role)
        return OK;
    if (own->role < ROLE_OWNER)
        return ERR_FORBIDDEN;
    if (member->role == ROLE_OWNER && chat->owner_count == 1)
        return ERR_CONFLICT;
    set_role(model, chat, member, role, command->actor_id);
    return OK;
}

static enum err add_member(struct model *model, const struct command *command, struct chat *chat, const struct stay *own) {
    enum role role = command->in.member_put.role == ROLE_NONE ? ROLE_MEMBER : command->in.member_put.role;
    if (own->role < ROLE_ADMIN || (role > ROLE_MEMBER && own->role < ROLE_OWNER))
        return ERR_FORBIDDEN;
    if (!model_user(model, command->in.member_put.user_id))
        return ERR_NOT_FOUND;
    if (chat->member_count >= (uint64_t)model->config->group_max)
        return ERR_CHAT_FULL;
    append(model, chat, EVENT_MEMBER_ADDED, command->actor_id, command->in.member_put.user_id);
    add_stay(model, chat, command->in.member_put.user_id, role);
    last_event(model)->chat = *chat;
    last_event(model)->member = model->stays[model->stay_count - 1].stay;
    return OK;
}

static enum err apply_member_put(struct model *model, const struct command *command) {
    struct chat *chat;
    struct stay *own;
    enum err err = enter_group(model, command, command->in.member_put.chat_id, &chat, &own);
    if (err != OK)
        return err;
    struct stay *member = model_membership(model, chat->id, command->in.member_put.user_id);
    bool existed = member != NULL;
    err = member ? change_role(model, command, chat, own, member) : add_member(model, command, chat, own);
    if (err == OK && command->refusal.err == OK)
        assert_int_equal(command->out.existed, existed);
    return err;
}

static bool serves_longer(const struct stay *one, const struct stay *other) {
    if (one->role != other->role)
        return one->role > other->role;
    return one->joined_id != other->joined_id ? one->joined_id < other->joined_id : one->user_id < other->user_id;
}

/* The longest-serving admin, else member, besides the one who leaves. */
static struct stay *successor_of(const struct model *model, const struct stay *leaving) {
    struct stay *best = NULL;
    for (size_t i = 0; i < model->stay_count; i++) {
        struct stay *stay = &model->stays[i].stay;
        if (stay->chat_id != leaving->chat_id || stay->left_id != STAY_OPEN || stay->user_id == leaving->user_id)
            continue;
        if (!best || serves_longer(stay, best))
            best = stay;
    }
    return best;
}

static void end_stay(struct model *model, struct chat *chat, struct stay *member, uint64_t actor_id) {
    if (member->role == ROLE_OWNER && chat->owner_count == 1)
        set_role(model, chat, successor_of(model, member), ROLE_OWNER, actor_id);
    append(model, chat, EVENT_MEMBER_REMOVED, actor_id, member->user_id)->member = *member;
    chat->member_count--;
    chat->owner_count -= member->role == ROLE_OWNER;
    member->left_id = model->head;
}

static enum err apply_member_remove(struct model *model, const struct command *command) {
    struct chat *chat;
    struct stay *own;
    enum err err = enter_group(model, command, command->in.member_remove.chat_id, &chat, &own);
    if (err != OK)
        return err;
    struct stay *member = model_membership(model, chat->id, command->in.member_remove.user_id);
    if (!member)
        return ERR_NOT_FOUND;
    if (member != own && own->role != ROLE_OWNER && !(own->role == ROLE_ADMIN && member->role == ROLE_MEMBER))
        return ERR_FORBIDDEN;
    if (chat->member_count == 1)
        end_chat(model, chat, command->actor_id);
    else
        end_stay(model, chat, member, command->actor_id);
    return OK;
}

/* ---- Messages ----------------------------------------------------------------------------------------------------------------------- */

static void hash_parts(const void *const *parts, const size_t *sizes, size_t count, uint8_t out[HASH128_SIZE]) {
    uint8_t bytes[SHA256_DIGEST_LENGTH], *joined = NULL;
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        joined = realloc(joined, size + sizes[i] + 1);
        assert_non_null(joined);
        memcpy(joined + size, parts[i], sizes[i]);
        size += sizes[i];
    }
    SHA256(joined, size, bytes);
    free(joined);
    memcpy(out, bytes, HASH128_SIZE);
}

void model_body_hash(const struct message *message, uint8_t out[HASH128_SIZE]) {
    const struct model_message *entry = (const struct model_message *)(const void *)message;
    if (message->original)
        hash_parts((const void *[]){ message->seal, message->text, entry->links ? entry->links : "" },
                   (size_t[]){ HASH128_SIZE, message->text_size, entry->links_size }, 3, out);
    else
        memcpy(out, message->seal, HASH128_SIZE);
}

/* The chain by its definition (db/chain.h), written down a second time. */
static void extend_chain(struct chat *chat, struct message *message) {
    uint8_t numbers[16], hash[HASH128_SIZE];
    for (int i = 0; i < 8; i++) {
        numbers[i] = (uint8_t)(message->seq >> (56 - 8 * i));
        numbers[8 + i] = (uint8_t)(message->sender_id >> (56 - 8 * i));
    }
    model_body_hash(message, hash);
    hash_parts((const void *[]){ chat->chain, numbers, hash }, (size_t[]){ HASH128_SIZE, sizeof numbers, HASH128_SIZE }, 3, message->chain);
    memcpy(chat->chain, message->chain, HASH128_SIZE);
}

/* Of a message that is one of the model's. */
static void seal(struct message *message) {
    uint8_t hash[HASH128_SIZE];
    model_body_hash(message, hash);
    memcpy(message->seal, hash, HASH128_SIZE);
    message->original = false;
}

static bool past_retention(const struct model *model, const struct message *message) {
    return message->created_ms <= model_cutoff_ms(model);
}

static bool expired(const struct model *model, const struct message *message) {
    return past_retention(model, message) || (message->expires_ms && message->expires_ms <= model->now_ms);
}

int64_t model_gone_ms(const struct model *model, const struct model_message *entry) {
    const struct message *message = &entry->message;
    const struct model_chat *chat = model_chat(model, message->chat_id);
    int64_t gone_ms = chat ? chat->chat.deleted_ms : 0;
    bool expires = message->expires_ms && message->expires_ms <= model->now_ms;
    if (message->deleted_ms)
        return message->deleted_ms;
    return expires && (!gone_ms || message->expires_ms < gone_ms) ? message->expires_ms : gone_ms;
}

static void blank(struct message *message, int64_t deleted_ms) {
    if (message->original)
        seal(message);
    message->text = message->client_key = message->attachments = NULL;
    message->text_size = message->attachments_size = 0;
    message->deleted_ms = deleted_ms;
}

struct message model_shown(const struct model *model, const struct model_message *entry) {
    struct model_message copy = *entry;
    int64_t gone_ms = model_gone_ms(model, entry);
    if (gone_ms && !copy.message.deleted_ms)
        blank(&copy.message, gone_ms);
    return copy.message;
}

/* The answer is the message as it is after the batch, so only what no later command of the batch may have changed is compared. */
static enum err answer_repeated(const struct model *model, const struct command *command, uint64_t message_id) {
    if (command->refusal.err != OK)
        return OK;
    const struct model_message *message = model_message(model, message_id);
    assert_true(command->out.existed && command->out.id == message_id);
    if (message && !past_retention(model, &message->message))
        check_repeated(&message->message, command->out.frame);
    else
        check_gone(message_id, command->out.frame);
    return OK;
}

static int64_t expiry_of(const struct model *model, const struct command *command, const struct chat *chat) {
    int64_t own_ms = command->in.message_post.ttl_ms ? command->in.message_post.ttl_ms : INT64_MAX;
    int64_t chat_ms = chat->message_ttl_ms ? chat->message_ttl_ms : INT64_MAX;
    int64_t ttl_ms = own_ms < chat_ms ? own_ms : chat_ms;
    return ttl_ms == INT64_MAX ? 0 : model->now_ms + ttl_ms;
}

static enum err apply_message_post(struct model *model, const struct command *command) {
    struct chat *chat;
    struct stay *own;
    enum err err = enter(model, command, command->in.message_post.chat_id, &chat, &own);
    if (err != OK)
        return err;
    const struct model_key *key = model_find_key(model, command);
    if (key)
        return model_same_request(key, command) ? answer_repeated(model, command, key->result_id) : ERR_IDEMPOTENCY_MISMATCH;
    err = model_may_attach(model, command);
    if (err != OK)
        return err;
    struct model_event *event = append(model, chat, EVENT_MESSAGE_CREATED, command->actor_id, 0);
    struct model_message *entry = ADD(model->messages, model->message_count);
    *entry = (struct model_message){ .message = { .id = event->event.id,
                                                  .chat_id = chat->id,
                                                  .sender_id = command->actor_id,
                                                  .seq = ++chat->last_seq,
                                                  .rev = event->event.rev,
                                                  .changed_id = event->event.id,
                                                  .text_size = command->in.message_post.text_size,
                                                  .client_key = model_keep(model, command->in.message_post.client_key),
                                                  .created_ms = model->now_ms,
                                                  .expires_ms = expiry_of(model, command, chat),
                                                  .original = true } };
    if (command->in.message_post.media_count > 0)
        model_attach(model, command, entry);
    entry->message.text = keep(model, command->in.message_post.text, command->in.message_post.text_size);
    read_salt(model->frames[model->frames_taken - 1].frame, entry->message.seal);
    extend_chain(chat, &entry->message);
    model_note_key(model, command, event->event.id);
    assert_true(command->out.id == event->event.id && !command->out.existed);
    const struct frame *frame = model->frames[model->frames_taken - 1].frame;
    assert_int_equal(command->out.frame->size, frame->size);
    assert_memory_equal(command->out.frame->bytes, frame->bytes, frame->size);
    return OK;
}

static enum err find_message(const struct model *model, const struct command *command, uint64_t chat_id, uint64_t message_id,
                             struct chat **ret_chat, struct stay **ret_stay, struct message **ret_message) {
    enum err err = enter(model, command, chat_id, ret_chat, ret_stay);
    if (err != OK)
        return err;
    struct model_message *message = model_message(model, message_id);
    if (!message || message->message.chat_id != chat_id || expired(model, &message->message))
        return ERR_NOT_FOUND;
    if ((*ret_chat)->history != HISTORY_ALL && message_id < (*ret_stay)->joined_id)
        return ERR_NOT_FOUND;
    *ret_message = &message->message;
    return OK;
}

static bool window_closed(const struct model *model, const struct message *message, int64_t window_ms) {
    return window_ms != 0 && model->now_ms - message->created_ms > window_ms;
}

static void note_change(struct model *model, struct chat *chat, struct message *message, enum event_type type, uint64_t actor_id) {
    const struct model_event *event = append(model, chat, type, actor_id, message->id);
    message->rev = event->event.rev;
    message->changed_id = event->event.id;
    assert_int_equal(model->command->out.id, message->id);
}

static enum err apply_message_edit(struct model *model, const struct command *command) {
    struct chat *chat;
    struct stay *own;
    struct message *message;
    enum err err =
        find_message(model, command, command->in.message_edit.chat_id, command->in.message_edit.message_id, &chat, &own, &message);
    if (err != OK)
        return err;
    if (message->sender_id != command->actor_id)
        return ERR_FORBIDDEN;
    if (message->deleted_ms)
        return ERR_ALREADY_DELETED;
    if (window_closed(model, message, model->config->edit_window_ms))
        return ERR_WINDOW_CLOSED;
    if (message->original)
        seal(message);
    message->text = keep(model, command->in.message_edit.text, command->in.message_edit.text_size);
    message->text_size = command->in.message_edit.text_size;
    message->edited_ms = model->now_ms;
    note_change(model, chat, message, EVENT_MESSAGE_EDITED, command->actor_id);
    return OK;
}

static enum err apply_message_delete(struct model *model, const struct command *command) {
    struct chat *chat;
    struct stay *own;
    struct message *message;
    enum err err =
        find_message(model, command, command->in.message_delete.chat_id, command->in.message_delete.message_id, &chat, &own, &message);
    if (err != OK)
        return err;
    if (message->sender_id != command->actor_id && own->role < ROLE_ADMIN)
        return ERR_FORBIDDEN;
    if (message->deleted_ms)
        return OK;
    if (own->role < ROLE_ADMIN && window_closed(model, message, model->config->delete_window_ms))
        return ERR_WINDOW_CLOSED;
    model_detach(model, model_message(model, message->id));
    blank(message, model->now_ms);
    note_change(model, chat, message, EVENT_MESSAGE_DELETED, command->actor_id);
    return OK;
}

/* ---- All commands ------------------------------------------------------------------------------------------------------------------- */

static enum err (*const appliers[])(struct model *model, const struct command *command) = {
    [COMMAND_USER_CREATE] = apply_user_create,     [COMMAND_USER_UPDATE] = apply_user_update,
    [COMMAND_PASSWORD_SET] = apply_password_set,   [COMMAND_SESSION_CREATE] = apply_session_create,
    [COMMAND_DEVICE_REMOVE] = apply_device_remove, [COMMAND_DEVICE_TOUCH] = apply_device_touch,
    [COMMAND_TICKET_CREATE] = apply_ticket_create, [COMMAND_TICKET_USE] = apply_ticket_use,
    [COMMAND_CHAT_CREATE] = apply_chat_create,     [COMMAND_CHAT_UPDATE] = apply_chat_update,
    [COMMAND_CHAT_DELETE] = apply_chat_delete,     [COMMAND_MEMBER_PUT] = apply_member_put,
    [COMMAND_MEMBER_REMOVE] = apply_member_remove, [COMMAND_MESSAGE_POST] = apply_message_post,
    [COMMAND_MESSAGE_EDIT] = apply_message_edit,   [COMMAND_MESSAGE_DELETE] = apply_message_delete,
    [COMMAND_EVENTS_ACK] = apply_events_ack,       [COMMAND_MEDIA_CREATE] = apply_media_create,
    [COMMAND_MEDIA_BEGIN] = apply_media_begin,     [COMMAND_MEDIA_COMPLETE] = apply_media_complete,
    [COMMAND_MEDIA_DELETE] = apply_media_delete,   [COMMAND_MEDIA_SIGN] = apply_media_sign,
    [COMMAND_MEDIA_FORGET] = apply_media_forget,   [COMMAND_LEASE] = apply_lease,
};

void model_apply(struct model *model, const struct command *command) {
    size_t first = model->event_count;
    model->command = command;
    enum err err = appliers[command->type](model, command);
    if (err != command->refusal.err)
        fail_msg("command %d: the store says %s, the model %s", command->type, err_name(command->refusal.err), err_name(err));
    for (size_t i = first; i < model->event_count; i++) {
        size_t behind = model->event_count - i;
        check_frame(model, &model->events[i], model->frames[model->frames_taken - behind].frame, &(struct span){ 0, STAY_OPEN });
    }
}

/* The end of a stay takes the stay with it when it falls below the floor. */
static void cut_event(struct model *model, const struct event *event) {
    bool ends_chat = event->type == EVENT_CHAT_DELETED;
    for (size_t i = 0; i < model->stay_count && (ends_chat || event->type == EVENT_MEMBER_REMOVED); i++) {
        struct model_stay *stay = &model->stays[i];
        if (stay->stay.chat_id == event->owner_id && stay->stay.left_id == event->id)
            stay->removed = true;
    }
    if (ends_chat)
        model_chat(model, event->owner_id)->forgotten = true;
    struct model_message *message = event->type == EVENT_MESSAGE_CREATED ? model_message(model, event->id) : NULL;
    if (!message)
        return;
    message->removed = true;
    model_detach(model, message);
}

static bool session_over(const struct model *model, const struct device *device) {
    int64_t made_ms = (int64_t)(device->id >> (ID_NODE_BITS + ID_SEQUENCE_BITS)) + ID_EPOCH_MS;
    return device->seen_ms < model->now_ms - model->config->session_idle_ms || made_ms < model->now_ms - model->config->session_max_ms;
}

/* Which session goes first is the store's choice: the frames tell. */
static void end_sessions(struct model *model) {
    while (model->frames_taken < model->frame_count) {
        const struct frame *frame = model->frames[model->frames_taken].frame;
        struct model_device *device = model_device(model, frame->ref_id);
        assert_int_equal(frame->type, EVENT_DEVICE_REMOVED);
        assert_true(device && !device->removed && session_over(model, &device->device));
        remove_device(model, device, REMOVAL_EXPIRED);
        check_frame(model, last_event(model), frame, &(struct span){ 0, STAY_OPEN });
    }
    for (size_t i = 0; i < model->device_count; i++)
        assert_true(model->devices[i].removed || !session_over(model, &model->devices[i].device));
}

static void sweep_message(struct model *model, struct model_message *entry, int64_t gone_ms) {
    model_detach(model, entry);
    blank(&entry->message, gone_ms);
}

/* All up to there has reached every device that counts. */
static uint64_t delivered_id(const struct model *model, const struct model_chat *chat) {
    uint64_t least_id = chat->chat.last_id;
    for (size_t i = 0; i < model->stay_count; i++) {
        const struct stay *stay = &model->stays[i].stay;
        bool counts = !model->stays[i].removed && stay->chat_id == chat->chat.id && stay->left_id > chat->blanked_id;
        for (size_t k = 0; k < model->device_count && counts; k++) {
            const struct device *device = &model->devices[k].device;
            bool waits = !model->devices[k].removed && device->user_id == stay->user_id && device->acked_id < stay->left_id &&
                         device->seen_ms > model->now_ms - model->config->dormant_after_ms;
            if (waits && device->acked_id < least_id)
                least_id = device->acked_id;
        }
    }
    return least_id;
}

static void sweep_chat(struct model *model, struct model_chat *chat) {
    bool delivers = chat->chat.until_delivered && !chat->chat.deleted_ms && !chat->forgotten;
    uint64_t up_to_id = delivers ? delivered_id(model, chat) : 0;
    for (size_t i = 0; i < model->message_count; i++) {
        struct model_message *entry = &model->messages[i];
        if (entry->removed || entry->message.deleted_ms || entry->message.chat_id != chat->chat.id)
            continue;
        int64_t gone_ms = model_gone_ms(model, entry);
        bool delivered = entry->message.id > chat->blanked_id && entry->message.id <= up_to_id;
        if (gone_ms || delivered)
            sweep_message(model, entry, gone_ms ? gone_ms : model->now_ms);
    }
    if (up_to_id > chat->blanked_id)
        chat->blanked_id = up_to_id;
    chat->purged = chat->chat.deleted_ms != 0;
}

void model_sweep(struct model *model) {
    static const struct command sweep = { .type = COMMAND_SWEEP };
    model->command = &sweep;
    for (; model->first_event < model->event_count; model->first_event++) {
        const struct model_event *event = &model->events[model->first_event];
        if (event->created_ms > model_cutoff_ms(model))
            break;
        cut_event(model, &event->event);
        model->floor = event->event.id;
    }
    for (size_t i = 0; i < model->chat_count; i++)
        sweep_chat(model, &model->chats[i]);
    for (size_t i = 0; i < model->ticket_count; i++) {
        struct model_ticket *ticket = &model->tickets[i];
        if (!ticket->used && ticket->created_ms < model->now_ms - 2 * TICKET_FIRST_USE_MS)
            ticket->removed = true;
    }
    end_sessions(model);
    model_doom(model);
}
