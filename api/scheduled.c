/* Owns the handlers for messages that wait for their time. */
#include "api/handlers.h"

struct scheduled_form {
    struct moment send_at;
    struct text text;
    struct id_list attachments;
    struct integer ttl_s;
    uint64_t reply_to;
    struct mention_list mentions;
};

static const struct field SCHEDULED_FIELDS[] = {
    { "send_at", FIELD_MOMENT, true, 0, 0, offsetof(struct scheduled_form, send_at), NULL },
    { "text", FIELD_TEXT, false, 1, LIMIT_TEXT_CHARACTERS, offsetof(struct scheduled_form, text), NULL },
    { "attachments", FIELD_IDS, false, 1, LIMIT_ATTACHMENTS, offsetof(struct scheduled_form, attachments), NULL },
    { "ttl_s", FIELD_INTEGER, false, 1, LIMIT_MESSAGE_TTL_MS / 1000, offsetof(struct scheduled_form, ttl_s), NULL },
    { "reply_to", FIELD_ID, false, 0, 0, offsetof(struct scheduled_form, reply_to), NULL },
    { "mentions", FIELD_MENTIONS, false, 0, LIMIT_MENTIONS, offsetof(struct scheduled_form, mentions), NULL },
};
const struct form scheduled_form = FORM(scheduled_form, SCHEDULED_FIELDS);

static enum err check(struct request *request, const struct scheduled_form *form) {
    if (form->send_at.time_ms == 0)
        return request_refuse(request, ERR_BAD_FIELD, "send_at", "must be a time that is not over");
    if (form->text.bytes == NULL && form->attachments.count == 0)
        return request_refuse(request, ERR_MISSING_FIELD, "text", "a message has a text, attachments or both");
    enum err err = check_attachments(request, &form->attachments);
    return err == OK ? check_mentions(request, &form->mentions, &form->text) : err;
}

enum err schedule_create(struct request *request) {
    const struct scheduled_form *form = REQUEST_FORM(request, scheduled_form);
    enum err err = check(request, form);
    if (err == OK)
        err = request_idempotency(request);
    if (err != OK)
        return err;
    struct command *command = request_command(request, COMMAND_SCHEDULE_CREATE);
    command->in.message_post.chat_id = request->ids[PATH_CHAT_ID];
    command->in.message_post.text = form->text.bytes != NULL ? form->text.bytes : "";
    command->in.message_post.text_size = form->text.size;
    command->in.message_post.media_ids = form->attachments.ids;
    command->in.message_post.media_count = form->attachments.count;
    command->in.message_post.ttl_ms = form->ttl_s.value * 1000;
    command->in.message_post.reply_to = form->reply_to;
    command->in.message_post.mentions = form->mentions.mentions;
    command->in.message_post.mention_count = form->mentions.count;
    command->in.message_post.scheduled.due_ms = form->send_at.time_ms;
    return OK;
}

enum err schedule_delete(struct request *request) {
    struct command *command = request_command(request, COMMAND_SCHEDULE_DELETE);
    command->in.schedule_delete.chat_id = request->ids[PATH_CHAT_ID];
    command->in.schedule_delete.scheduled_id = request->ids[PATH_SCHEDULED_ID];
    return OK;
}

/* ---- The list ---- */

/* A cursor is the time of the last one that was shown, and how many of that time were. */
#define CURSOR_COUNT (LIMIT_SCHEDULED + 1)

static uint64_t cursor_after(const struct scheduled_request *page, const struct scheduled *scheduled, size_t count) {
    int64_t due_ms = scheduled[count - 1].due_ms;
    size_t shown = due_ms == page->due_ms ? page->skip : 0;
    for (size_t i = count; i > 0 && scheduled[i - 1].due_ms == due_ms; i--)
        shown++;
    return (uint64_t)due_ms * CURSOR_COUNT + shown;
}

static enum err list_scheduled(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    const struct scheduled_request page = { request->ids[PATH_CHAT_ID], (int64_t)(cursor / CURSOR_COUNT), cursor % CURSOR_COUNT, limit };
    struct scheduled *scheduled;
    size_t count;
    bool more;
    enum err err = read_scheduled(request->reader, request->session.user_id, &page, &request->arena, &scheduled, &count, &more);
    if (err != OK)
        return err;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < count; i++) {
        json_comma(buf);
        render_scheduled(buf, &scheduled[i]);
    }
    list_end(buf, more ? cursor_after(&page, scheduled, count) : 0, head_id);
    return OK;
}

enum err schedule_list(struct request *request) { return list_page(request, LIMIT_PAGE_ITEMS_DEFAULT, LIMIT_PAGE_ITEMS, list_scheduled); }
