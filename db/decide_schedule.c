/* Decisions on messages that wait for their time. Until then their media are kept by rows of `attachment`, as a message's are. */
#include "db/decide.h"

#include "core/limits.h"

/* ---- Rows ---- */

static const char *kept_text(struct state *state, struct buf *buf) {
    const char *text = buf_ok(buf) ? arena_copy(state->arena, buf->size ? buf->bytes : "", buf->size + 1) : NULL;
    if (!text)
        state->failed = true;
    buf_release(buf);
    return text;
}

static void put_number(struct buf *buf, uint64_t number) {
    if (buf->size)
        buf_char(buf, ',');
    buf_u64(buf, number);
}

static const char *list_media(struct state *state, const struct scheduled *scheduled) {
    struct buf list = BUF_INIT;
    for (size_t i = 0; i < scheduled->media_count; i++)
        put_number(&list, scheduled->media_ids[i]);
    return scheduled->media_count ? kept_text(state, &list) : NULL;
}

static const char *list_mentions(struct state *state, const struct scheduled *scheduled) {
    struct buf list = BUF_INIT;
    for (size_t i = 0; i < scheduled->mention_count; i++) {
        put_number(&list, scheduled->mentions[i].user_id);
        put_number(&list, scheduled->mentions[i].offset);
        put_number(&list, scheduled->mentions[i].length);
    }
    return scheduled->mention_count ? kept_text(state, &list) : NULL;
}

static void keep_media(struct state *state, const struct command *command, struct scheduled *scheduled) {
    struct message_entry *holder = state_message(state, scheduled->id);
    if (!holder)
        return;
    holder->message.chat_id = scheduled->chat_id;
    media_attach(state, command, holder);
    scheduled->attachments = holder->message.attachments;
    scheduled->attachments_size = holder->message.attachments_size;
}

static struct scheduled_entry *new_scheduled(struct state *state, const struct command *command, const struct stay *stay) {
    struct scheduled_entry *entry = state_scheduled(state, id_next(state->ids, state->now_ms));
    if (!entry)
        return NULL;
    entry->found = true;
    entry->scheduled = (struct scheduled){
        .id = entry->scheduled.id,
        .user_id = stay->user_id,
        .chat_id = stay->chat_id,
        .joined_id = stay->joined_id,
        .due_ms = command->in.message_post.scheduled.due_ms,
        .created_ms = state->now_ms,
        .text = command->in.message_post.text,
        .text_size = command->in.message_post.text_size,
        .media_ids = command->in.message_post.media_ids,
        .media_count = command->in.message_post.media_count,
        .mentions = command->in.message_post.mentions,
        .mention_count = command->in.message_post.mention_count,
        .reply_to = command->in.message_post.reply_to,
        .ttl_ms = command->in.message_post.ttl_ms,
    };
    keep_media(state, command, &entry->scheduled);
    entry->media_ids = list_media(state, &entry->scheduled);
    entry->mentions = list_mentions(state, &entry->scheduled);
    state_push(state, &state->new_scheduled, entry);
    return entry;
}

/* Its media begin their grace, if nothing else refers to them. */
static void remove_scheduled(struct state *state, struct scheduled_entry *entry) {
    struct message_entry *holder = state_message(state, entry->scheduled.id);
    if (!holder)
        return;
    holder->message.attachments = entry->scheduled.attachments;
    media_detach(state, holder);
    entry->found = false;
    push_bulk(state, BULK_DROP_SCHEDULED, entry->scheduled.id, 0);
}

void void_scheduled(struct state *state, uint64_t user_id, uint64_t chat_id) { push_bulk(state, BULK_VOID_SCHEDULED, user_id, chat_id); }

void void_scheduled_of_chat(struct state *state, uint64_t chat_id) { push_bulk(state, BULK_VOID_SCHEDULED_OF_CHAT, chat_id, 0); }

/* ---- By their senders ---- */

/* Its id is still the answer when it was sent or deleted meanwhile. */
static void answer_repeated(struct state *state, struct slot *slot) {
    struct buf *json = &slot->command->out.json;
    const struct scheduled_entry *entry = state_scheduled(state, slot->repeated_id);
    slot->command->out.existed = true;
    if (!entry)
        return;
    if (entry->found)
        return render_scheduled(json, &entry->scheduled);
    buf_char(json, '{');
    json_member_id(json, "id", slot->repeated_id);
    json_member_id(json, "chat_id", slot->command->in.message_post.chat_id);
    json_member_bool(json, "gone", true);
    buf_char(json, '}');
}

static bool may_wait(const struct state *state, struct command *command, const struct chat_entry *chat, const struct stay_entry *stay) {
    int64_t wait_ms = command->in.message_post.scheduled.due_ms - state->now_ms;
    if (wait_ms < 0)
        refuse(command, ERR_BAD_FIELD, "send_at", "that time is over");
    else if (wait_ms > LIMIT_SCHEDULE_MS)
        refuse(command, ERR_BAD_FIELD, "send_at", "must be within 366 days");
    else if (role_follows(&chat->chat, stay->stay.role))
        refuse(command, ERR_FORBIDDEN, NULL, "only an owner or admin may post in this chat");
    else if (stay->scheduled_count >= LIMIT_SCHEDULED)
        refuse(command, ERR_TOO_MANY_SCHEDULED, NULL, "delete some of those that you have scheduled in this chat first");
    return command->refusal.err == OK;
}

/* Whether the sender may post is for its time to see, but for those who follow a channel: there would be a million. */
void decide_schedule_create(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct stay_entry *stay;
    const struct chat_entry *chat = enter_chat(state, command, command->in.message_post.chat_id, &stay);
    if (!chat)
        return;
    if (key_seen(state, slot)) {
        if (slot->repeated_id)
            answer_repeated(state, slot);
        return;
    }
    if (!may_wait(state, command, chat, stay) || !references_fit(state, command) || !media_may_attach(state, command))
        return;
    const struct scheduled_entry *entry = new_scheduled(state, command, &stay->stay);
    if (!entry)
        return;
    stay->scheduled_count++;
    command->out.id = entry->scheduled.id;
    key_note(state, command, entry->scheduled.id);
    render_scheduled(&command->out.json, &entry->scheduled);
}

void decide_schedule_delete(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct stay_entry *stay;
    struct scheduled_entry *entry = state_scheduled(state, command->in.schedule_delete.scheduled_id);
    if (!entry || !enter_chat(state, command, command->in.schedule_delete.chat_id, &stay))
        return;
    const struct scheduled *scheduled = &entry->scheduled;
    bool own = entry->found && scheduled->user_id == command->actor_id && scheduled->chat_id == stay->stay.chat_id;
    if (!own || scheduled->joined_id != stay->stay.joined_id)
        return refuse(command, ERR_NOT_FOUND, NULL, NULL);
    command->out.id = scheduled->id;
    remove_scheduled(state, entry);
}

/* ---- At their time ---- */

static void tell_sender(struct state *state, const struct scheduled *scheduled, enum event_type type, uint64_t message_id) {
    struct event_entry *event = append_user_event(state, scheduled->user_id, type, scheduled->id);
    if (!event)
        return;
    struct buf body = BUF_INIT;
    json_member_id(&body, "scheduled_id", scheduled->id);
    json_member_id(&body, "chat_id", scheduled->chat_id);
    if (message_id)
        json_member_id(&body, "message_id", message_id);
    else
        json_member_string(&body, "failed", scheduled->failure);
    event_body(state, event, &body);
}

static void note_failure(struct state *state, struct command *command, struct scheduled_entry *entry) {
    if (command->refusal.err == OK)
        return;
    entry->scheduled.failure = err_name(command->refusal.err);
    command->refusal = (struct refusal){ .err = OK };
    state_push(state, &state->failed_scheduled, entry);
    tell_sender(state, &entry->scheduled, EVENT_SCHEDULED_FAILED, 0);
}

/* The row decides, not what the scheduler read: it is posted by whoever finds it, and found by nobody after that. */
void decide_schedule_send(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct scheduled_entry *entry = state_scheduled(state, command->in.message_post.scheduled.id);
    struct chat_entry *chat = state_chat(state, command->in.message_post.chat_id);
    struct stay_entry *stay = state_stay(state, command->in.message_post.chat_id, command->actor_id);
    if (!entry || !chat || !stay || !entry->found || entry->scheduled.failure)
        return;
    bool lasts = entry->scheduled.due_ms && chat->found && !chat->chat.deleted_ms && stay->found;
    if (!lasts || stay->stay.joined_id != entry->scheduled.joined_id)
        return remove_scheduled(state, entry);
    if (!may_post_now(state, command, chat, stay))
        return note_failure(state, command, entry);
    post_message(state, slot, chat, stay);
    if (!command->out.id)
        return;
    slot->answer->is_scheduled = true;
    slot->answer->read_seq = stay->stay.read_seq;
    tell_sender(state, &entry->scheduled, EVENT_SCHEDULED_SENT, command->out.id);
    remove_scheduled(state, entry);
}
