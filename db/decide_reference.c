/* Decisions on what a message refers to: the message it answers, those whom it mentions, the message it forwards. */
#include "db/decide.h"

#include "core/limits.h"

/* ---- Replies ---- */

/* What is answered may be deleted: the answer stands by itself. */
static bool reply_fits(struct state *state, struct command *command) {
    uint64_t chat_id = command->in.message_post.chat_id;
    const struct message_entry *quoted = state_message(state, command->in.message_post.reply_to);
    const struct chat_entry *chat = state_chat(state, chat_id);
    const struct stay_entry *stay = state_stay(state, chat_id, command->actor_id);
    if (!quoted || !chat || !stay)
        return false;
    if (message_is_in_view(chat, stay, quoted) && !message_is_past_retention(state, &quoted->message))
        return true;
    refuse(command, ERR_BAD_FIELD, "reply_to", "there is no such message in this chat");
    return false;
}

static void set_reply(struct state *state, const struct command *command, struct message_entry *message) {
    const struct message_entry *quoted = state_message(state, command->in.message_post.reply_to);
    if (quoted)
        message->message.reply_to = (struct quotation){ quoted->message.id, quoted->message.seq, quoted->message.sender_id };
}

/* ---- Mentions ---- */

bool mentions_fit(struct state *state, struct command *command, uint64_t chat_id, const struct mention *mentions, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct stay_entry *stay = state_stay(state, chat_id, mentions[i].user_id);
        if (stay && stay->found)
            continue;
        refuse(command, ERR_BAD_FIELD, "mentions", "somebody who is mentioned is not a member of the chat");
        return false;
    }
    return true;
}

/* It is kept with the stay: who joins again begins without. Who has blocked the sender is not told. */
static void note_mention(struct state *state, const struct mention *mention, const struct message *message) {
    const struct chat_entry *chat = state_chat(state, message->chat_id);
    if (chat && chat_is_blocked_by(&chat->chat, mention->user_id))
        return;
    const struct stay_entry *stay = state_stay(state, message->chat_id, mention->user_id);
    struct mention_row *row = stay ? state_alloc(state, sizeof *row) : NULL;
    if (!row)
        return;
    *row = (struct mention_row){ message->chat_id, mention->user_id, stay->stay.joined_id, message->seq };
    state_push(state, &state->mentions, row);
}

/* Rendered once, like attachments. */
static void keep_mentions(struct state *state, struct message *message, struct buf *rendered) {
    message->mentions = buf_ok(rendered) ? arena_copy(state->arena, rendered->bytes, rendered->size) : NULL;
    message->mentions_size = rendered->size;
    if (!message->mentions)
        state->failed = true;
    buf_release(rendered);
}

void mentions_set(struct state *state, uint64_t actor_id, const struct mention *mentions, size_t count, struct message_entry *message) {
    struct buf rendered = BUF_INIT;
    message->message.mentions = NULL;
    message->message.mentions_size = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_char(&rendered, ',');
        render_mention(&rendered, &mentions[i]);
        if (mentions[i].user_id != actor_id)
            note_mention(state, &mentions[i], &message->message);
    }
    if (count > 0)
        keep_mentions(state, &message->message, &rendered);
}

/* ---- Forwarding ---- */

static bool source_in_view(struct state *state, const struct command *command, const struct message_entry *source) {
    uint64_t chat_id = command->in.message_post.forward.chat_id;
    const struct chat_entry *chat = state_chat(state, chat_id);
    const struct stay_entry *stay = state_stay(state, chat_id, command->actor_id);
    const struct hidden_entry *hidden = state_hidden(state, command->actor_id, source->message.id);
    bool is_member = chat && stay && chat->found && !chat->chat.deleted_ms && stay->found;
    return is_member && hidden && !hidden->hidden && message_is_in_view(chat, stay, source);
}

static bool forward_fits(struct state *state, struct command *command) {
    const struct message_entry *source = state_message(state, command->in.message_post.forward.message_id);
    if (!source)
        return false;
    if (!source_in_view(state, command, source) || message_is_over(state, &source->message))
        refuse(command, ERR_BAD_FIELD, "forward", "there is no such message that you can see as a member of its chat");
    else if (source->message.deleted_ms)
        refuse(command, ERR_ALREADY_DELETED, "forward", "the message was deleted");
    return command->refusal.err == OK;
}

static void set_forwarded(struct state *state, const struct command *command, struct message_entry *message) {
    const struct message_entry *source = state_message(state, command->in.message_post.forward.message_id);
    if (!source)
        return;
    message->message.text = source->message.text;
    message->message.text_size = source->message.text_size;
    message->message.forwarded = true;
    if (source->message.attachments)
        media_share(state, source, message);
}

/* ---- All of them ---- */

bool references_fit(struct state *state, struct command *command) {
    if (command->in.message_post.reply_to && !reply_fits(state, command))
        return false;
    if (command->in.message_post.forward.message_id && !forward_fits(state, command))
        return false;
    return mentions_fit(state, command, command->in.message_post.chat_id, command->in.message_post.mentions,
                        command->in.message_post.mention_count);
}

void references_set(struct state *state, const struct command *command, struct message_entry *message) {
    if (command->in.message_post.reply_to)
        set_reply(state, command, message);
    if (command->in.message_post.forward.message_id)
        set_forwarded(state, command, message);
    mentions_set(state, command->actor_id, command->in.message_post.mentions, command->in.message_post.mention_count, message);
}
