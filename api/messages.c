/* Owns the handlers for messages. message_post() is the path that has to be fast: it runs on the loop, and its answer is the event's own bytes. */
#include <string.h>

#include "api/handlers.h"
#include "core/text.h"

struct message_form {
    struct text text;
    struct text client_key;
    struct id_list attachments;
    struct integer ttl_s;
    uint64_t reply_to;
    struct mention_list mentions;
    struct message_place forward;
};

static_assert(LIMIT_MESSAGE_TTL_MIN_MS == 1000, "the least time to live is a second");

static const struct field MESSAGE_FIELDS[] = {
    { "text", FIELD_TEXT, false, 1, LIMIT_TEXT_CHARACTERS, offsetof(struct message_form, text), NULL },
    { "client_key", FIELD_TEXT, false, 1, LIMIT_CLIENT_KEY_CHARACTERS, offsetof(struct message_form, client_key), NULL },
    { "attachments", FIELD_IDS, false, 1, LIMIT_ATTACHMENTS, offsetof(struct message_form, attachments), NULL },
    { "ttl_s", FIELD_INTEGER, false, 1, LIMIT_MESSAGE_TTL_MS / 1000, offsetof(struct message_form, ttl_s), NULL },
    { "reply_to", FIELD_ID, false, 0, 0, offsetof(struct message_form, reply_to), NULL },
    { "mentions", FIELD_MENTIONS, false, 0, LIMIT_MENTIONS, offsetof(struct message_form, mentions), NULL },
    { "forward", FIELD_MESSAGE, false, 0, 0, offsetof(struct message_form, forward), NULL },
};
const struct form message_form = FORM(message_form, MESSAGE_FIELDS);

/* An edit's body is a message's text with its mentions; everything else stays as it was. */
static const struct field MESSAGE_EDIT_FIELDS[] = {
    { "text", FIELD_TEXT, true, 1, LIMIT_TEXT_CHARACTERS, offsetof(struct message_form, text), NULL },
    { "mentions", FIELD_MENTIONS, false, 0, LIMIT_MENTIONS, offsetof(struct message_form, mentions), NULL },
};
const struct form message_edit_form = FORM(message_form, MESSAGE_EDIT_FIELDS);

static bool overlap(const struct mention *one, const struct mention *other) {
    return one->offset < other->offset + other->length && other->offset < one->offset + one->length;
}

enum err check_mentions(struct request *request, const struct mention_list *list, const struct text *text) {
    const struct mention *mentions = list->mentions;
    size_t count = list->count;
    size_t length = count > 0 ? utf8_length(text->bytes, text->size) : 0;
    for (size_t i = 0; i < count; i++) {
        if (mentions[i].offset + mentions[i].length > length)
            return request_refuse(request, ERR_BAD_FIELD, "mentions", request_printf(request, "item %zu is not inside the text", i));
        for (size_t j = 0; j < i; j++)
            if (overlap(&mentions[i], &mentions[j]))
                return request_refuse(request, ERR_BAD_FIELD, "mentions", request_printf(request, "items %zu and %zu overlap", j, i));
    }
    return OK;
}

/* What is forwarded is the content. */
static enum err check_forward(struct request *request, const struct message_form *form) {
    bool has_content = form->text.bytes != NULL || form->attachments.count > 0 || form->mentions.count > 0;
    return has_content ? request_refuse(request, ERR_BAD_FIELD, "forward", "goes without text, attachments and mentions") : OK;
}

enum err check_attachments(struct request *request, const struct id_list *attachments) {
    for (size_t i = 0; i < attachments->count; i++)
        for (size_t j = 0; j < i; j++)
            if (attachments->ids[i] == attachments->ids[j])
                return request_refuse(request, ERR_BAD_FIELD, "attachments", "the same media is there twice");
    return OK;
}

static enum err check_content(struct request *request, const struct message_form *form) {
    const struct id_list *attachments = &form->attachments;
    if (form->forward.message_id != 0)
        return check_forward(request, form);
    if (form->text.bytes == NULL && attachments->count == 0)
        return request_refuse(request, ERR_MISSING_FIELD, "text", "a message has a text, attachments or both");
    enum err err = check_attachments(request, attachments);
    return err == OK ? check_mentions(request, &form->mentions, &form->text) : err;
}

enum err message_post(struct request *request) {
    const struct message_form *form = REQUEST_FORM(request, message_form);
    enum err err = check_content(request, form);
    if (err == OK)
        err = request_idempotency(request);
    if (err != OK)
        return err;
    struct command *command = request_command(request, COMMAND_MESSAGE_POST);
    request->is_independent = true;
    command->in.message_post.chat_id = request->ids[PATH_CHAT_ID];
    command->in.message_post.text = form->text.bytes != NULL ? form->text.bytes : "";
    command->in.message_post.text_size = form->text.size;
    command->in.message_post.client_key = form->client_key.bytes;
    command->in.message_post.media_ids = form->attachments.ids;
    command->in.message_post.media_count = form->attachments.count;
    command->in.message_post.ttl_ms = form->ttl_s.value * 1000;
    command->in.message_post.reply_to = form->reply_to;
    command->in.message_post.mentions = form->mentions.mentions;
    command->in.message_post.mention_count = form->mentions.count;
    command->in.message_post.forward.chat_id = form->forward.chat_id;
    command->in.message_post.forward.message_id = form->forward.message_id;
    if (form->forward.message_id != 0)
        command->bytes += LIMIT_FORWARD_BYTES;
    return OK;
}

enum err message_edit(struct request *request) {
    const struct message_form *form = REQUEST_FORM(request, message_form);
    enum err err = check_mentions(request, &form->mentions, &form->text);
    if (err != OK)
        return err;
    struct command *command = request_command(request, COMMAND_MESSAGE_EDIT);
    command->in.message_edit.chat_id = request->ids[PATH_CHAT_ID];
    command->in.message_edit.message_id = request->ids[PATH_MESSAGE_ID];
    command->in.message_edit.text = form->text.bytes;
    command->in.message_edit.text_size = form->text.size;
    command->in.message_edit.mentions = form->mentions.mentions;
    command->in.message_edit.mention_count = form->mentions.count;
    return OK;
}

static enum err hide(struct request *request) {
    struct command *command = request_command(request, COMMAND_MESSAGE_HIDE);
    command->in.message_hide.chat_id = request->ids[PATH_CHAT_ID];
    command->in.message_hide.message_id = request->ids[PATH_MESSAGE_ID];
    return OK;
}

enum err message_delete(struct request *request) {
    const char *whom = query_text(request, "for");
    if (whom != NULL && strcmp(whom, "me") == 0)
        return hide(request);
    if (whom != NULL && strcmp(whom, "everyone") != 0)
        return request_refuse(request, ERR_BAD_QUERY, "for", "must be me or everyone");
    struct command *command = request_command(request, COMMAND_MESSAGE_DELETE);
    command->in.message_delete.chat_id = request->ids[PATH_CHAT_ID];
    command->in.message_delete.message_id = request->ids[PATH_MESSAGE_ID];
    return OK;
}

/* ---- History ---- */

static enum err read_page_request(struct request *request, struct page_request *page) {
    static const struct {
        const char *name;
        enum direction direction;
    } CURSORS[] = { { "before", PAGE_BEFORE }, { "after", PAGE_AFTER }, { "around", PAGE_AROUND } };
    *page = (struct page_request){ .chat_id = request->ids[PATH_CHAT_ID], .direction = PAGE_BEFORE };
    for (size_t i = 0; i < sizeof(CURSORS) / sizeof(CURSORS[0]); i++) {
        uint64_t cursor;
        enum err err = query_cursor(request, CURSORS[i].name, &cursor);
        if (err != OK)
            return err;
        if (cursor == 0)
            continue;
        if (page->cursor != 0)
            return request_refuse(request, ERR_BAD_QUERY, CURSORS[i].name, "only one of before, after and around");
        page->cursor = cursor;
        page->direction = CURSORS[i].direction;
    }
    return query_limit(request, LIMIT_PAGE_ITEMS_DEFAULT, LIMIT_PAGE_ITEMS, &page->limit);
}

#define MESSAGE_OVERHEAD_BYTES 400 /* of a rendered message besides its text */

static size_t rendered_size(const struct message *message) {
    return MESSAGE_OVERHEAD_BYTES + message->attachments_size + message->mentions_size + message->reactions_size +
           (message->text ? json_quoted_size(message->text, message->text_size) : 0);
}

/* A window of a page's messages. */
struct window {
    size_t first, end;
};

/* Drops one message: from the far end in the direction of travel, around a message from the longer side. */
static void shrink(struct window *window, const struct message *messages, const struct page_request *page) {
    size_t middle = window->first;
    while (page->direction == PAGE_AROUND && middle < window->end && messages[middle].id < page->cursor)
        middle++;
    bool at_front = page->direction == PAGE_BEFORE || (page->direction == PAGE_AROUND && middle - window->first >= window->end - middle);
    if (at_front)
        window->first++;
    else
        window->end--;
}

/* What fits into LIMIT_PAGE_BYTES, and at least one message. */
static struct window what_fits(const struct message *messages, size_t count, const struct page_request *page) {
    struct window window = { 0, count };
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += rendered_size(&messages[i]);
    while (bytes > LIMIT_PAGE_BYTES && window.end - window.first > 1) {
        struct window before = window;
        shrink(&window, messages, page);
        bytes -= rendered_size(&messages[window.first > before.first ? before.first : window.end]);
    }
    return window;
}

/* Where the next page begins; 0: there is none. */
static uint64_t next_of(const struct message *messages, size_t count, struct window window, const struct page_request *page, bool more) {
    if (count == 0 || page->direction == PAGE_AROUND)
        return 0;
    if (page->direction == PAGE_AFTER)
        return more || window.end < count ? messages[window.end - 1].id : 0;
    return more || window.first > 0 ? messages[window.first].id : 0;
}

static enum err list_messages(struct request *request, const struct page_request *page, uint64_t head_id, struct arena *arena) {
    struct message *messages;
    size_t count;
    bool more;
    enum err err = read_messages(request->reader, request->session.user_id, page, arena, &messages, &count, &more);
    if (err != OK)
        return err;
    struct window window = what_fits(messages, count, page);
    struct buf *buf = list_begin(request);
    for (size_t i = window.first; i < window.end; i++) {
        json_comma(buf);
        render_message(buf, &messages[i]);
    }
    list_end(buf, next_of(messages, count, window, page, more), head_id);
    return OK;
}

/* A hundred of the longest messages do not fit into a request's memory: then the page is shorter than asked for, and `next` leads on. */
static enum err list_what_fits(struct request *request, struct page_request *page, uint64_t head_id) {
    enum err err;
    do {
        struct arena arena = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
        err = list_messages(request, page, head_id, &arena);
        arena_release(&arena);
        page->limit /= 2;
    } while (err == ERR_NO_MEMORY && page->limit > 0);
    return err;
}

enum err message_list(struct request *request) {
    struct page_request page;
    uint64_t head_id;
    enum err err = read_page_request(request, &page);
    if (err == OK)
        err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = list_what_fits(request, &page, head_id);
    read_end(request->reader);
    return err;
}

static enum err show_message(struct request *request) {
    struct message message;
    enum err err = read_message(request->reader, request->session.user_id, request->ids[PATH_CHAT_ID], request->ids[PATH_MESSAGE_ID],
                                &request->arena, &message);
    if (err == OK)
        render_message(answer_json(request, 200), &message);
    return err;
}

enum err message_show(struct request *request) {
    uint64_t head_id;
    enum err err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = show_message(request);
    read_end(request->reader);
    return err;
}
