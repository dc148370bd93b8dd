/* Owns the handlers for what was delivered and read: one's own mark in a chat, and those of others. */
#include "api/handlers.h"
#include "api/server_internal.h"

struct read_form {
    struct integer seq;
};

static const struct field READ_FIELDS[] = {
    { "seq", FIELD_INTEGER, true, 0, INT64_MAX, offsetof(struct read_form, seq), NULL },
};
const struct form read_form = FORM(read_form, READ_FIELDS);

/* ---- One's own mark ---- */

static enum err move_mark(struct request *request, const struct chat_of_member *chat, uint64_t seq) {
    const struct mark mark = { .kind = MARK_READ, .chat_id = chat->chat.id, .owner_id = request->session.user_id, .value = seq };
    if (seq > chat->chat.last_seq)
        return request_refuse(request, ERR_BAD_FIELD, "seq", "no message of the chat has this number yet");
    return seq > chat->read_seq ? store_move_mark(request->server->store, &mark) : OK;
}

static enum err read_up_to(struct request *request, uint64_t seq) {
    struct chat_of_member chat;
    uint64_t total = 0;
    enum err err = read_membership(request->reader, request->session.user_id, request->ids[PATH_CHAT_ID], &request->arena, &chat);
    if (err == OK)
        err = move_mark(request, &chat, seq);
    if (err == OK)
        err = read_unread_total(request->reader, request->session.user_id, &total);
    if (err != OK)
        return err;
    uint64_t read_seq = seq > chat.read_seq ? seq : chat.read_seq;
    struct buf *buf = answer_json(request, 200);
    buf_char(buf, '{');
    json_member_number(buf, "read_seq", read_seq);
    json_member_number(buf, "unread", chat.chat.last_seq - read_seq);
    json_member_number(buf, "unread_total", total);
    buf_char(buf, '}');
    return OK;
}

enum err chat_read(struct request *request) {
    uint64_t head_id;
    enum err err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = read_up_to(request, (uint64_t)REQUEST_FORM(request, read_form)->seq.value);
    read_end(request->reader);
    return err;
}

/* ---- Those of others ---- */

/* Who tells nobody is told of nobody. */
static enum err admit(struct request *request, struct chat_of_member *ret_chat) {
    struct user user;
    enum err err = read_membership(request->reader, request->session.user_id, request->ids[PATH_CHAT_ID], &request->arena, ret_chat);
    if (err == OK)
        err = read_user(request->reader, request->session.user_id, &request->arena, &user);
    if (err == OK && user.hides_receipts)
        return request_refuse(request, ERR_FORBIDDEN, NULL, "who has switched receipts off does not see those of others");
    return err;
}

static bool is_by_name(const struct request *request, const struct chat *chat) {
    return chat->type != CHAT_CHANNEL && (int64_t)chat->member_count <= request->server->config->receipts_members_max;
}

/* Of whom somebody in a direct chat is not told, where one has blocked the other: it looks as if the other told nobody. */
static bool is_silent(const struct request *request, const struct chat *chat, uint64_t user_id) {
    return chat->blockers != 0 && user_id != request->session.user_id;
}

static void render_receipt(struct buf *buf, const struct receipt *receipt) {
    json_comma(buf);
    buf_char(buf, '{');
    json_member_id(buf, "user_id", receipt->user_id);
    json_member_number(buf, "delivered_seq", receipt->delivered_seq);
    json_member_number(buf, "read_seq", receipt->read_seq);
    buf_char(buf, '}');
}

static enum err list_receipts(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    struct chat_of_member chat;
    struct receipt *receipts = NULL;
    size_t count = 0;
    enum err err = admit(request, &chat);
    if (err == OK && is_by_name(request, &chat.chat))
        err = read_receipts(request->reader, &chat.chat, cursor, limit + 1, &request->arena, &receipts, &count);
    if (err != OK)
        return err;
    size_t shown = count < limit ? count : limit;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < shown; i++)
        if (!is_silent(request, &chat.chat, receipts[i].user_id))
            render_receipt(buf, &receipts[i]);
    list_end(buf, count > limit ? receipts[shown - 1].user_id : 0, head_id);
    return OK;
}

enum err receipt_list(struct request *request) {
    return list_page(request, LIMIT_MEMBERS_PAGE_ITEMS_DEFAULT, LIMIT_MEMBERS_PAGE_ITEMS, list_receipts);
}

/* ---- Of one message ---- */

typedef bool (*receipt_test)(const struct receipt *receipt, const struct message *message);

struct recipients {
    const struct message *message;
    const struct receipt *receipts;
    size_t count;
};

static void render_names(struct buf *buf, const char *name, const struct recipients *recipients, receipt_test test) {
    json_comma(buf);
    json_key(buf, name);
    buf_char(buf, '[');
    for (size_t i = 0; i < recipients->count; i++) {
        if (!test(&recipients->receipts[i], recipients->message))
            continue;
        json_comma(buf);
        buf_printf(buf, "\"%llu\"", (unsigned long long)recipients->receipts[i].user_id);
    }
    buf_char(buf, ']');
}

static void render_counts(struct buf *buf, const struct message *message, const struct recipient_counts *counts) {
    json_member_id(buf, "message_id", message->id);
    json_member_number(buf, "member_count", counts->members);
    json_member_number(buf, "delivered_count", counts->delivered);
    json_member_number(buf, "read_count", counts->read);
}

static void count_each(const struct recipients *recipients, struct recipient_counts *ret_counts) {
    *ret_counts = (struct recipient_counts){ .members = recipients->count };
    for (size_t i = 0; i < recipients->count; i++) {
        ret_counts->delivered += receipt_is_delivered(&recipients->receipts[i], recipients->message);
        ret_counts->read += receipt_is_read(&recipients->receipts[i], recipients->message);
    }
}

static enum err show_names(struct request *request, const struct chat *chat, const struct message *message) {
    struct receipt *receipts = NULL;
    struct recipient_counts counts;
    size_t count = 0;
    enum err err = read_recipients(request->reader, message, &request->arena, &receipts, &count);
    if (err != OK)
        return err;
    for (size_t i = 0; i < count; i++)
        receipts[i].hidden |= is_silent(request, chat, receipts[i].user_id);
    const struct recipients recipients = { message, receipts, count };
    count_each(&recipients, &counts);
    struct buf *buf = answer_json(request, 200);
    buf_char(buf, '{');
    render_counts(buf, message, &counts);
    render_names(buf, "delivered", &recipients, receipt_is_delivered);
    render_names(buf, "read", &recipients, receipt_is_read);
    buf_char(buf, '}');
    return OK;
}

static enum err show_counts(struct request *request, const struct chat *chat, const struct message *message) {
    struct recipient_counts counts;
    enum err err = count_recipients(request->reader, message, &counts);
    if (err != OK)
        return err;
    if (is_silent(request, chat, chat_peer(chat, message->sender_id)))
        counts.delivered = counts.read = 0;
    struct buf *buf = answer_json(request, 200);
    buf_char(buf, '{');
    render_counts(buf, message, &counts);
    buf_char(buf, '}');
    return OK;
}

static enum err show_receipts(struct request *request) {
    struct chat_of_member chat;
    struct message message;
    enum err err = admit(request, &chat);
    if (err == OK && chat.chat.type == CHAT_CHANNEL)
        return request_refuse(request, ERR_FORBIDDEN, NULL, "nobody is told what the followers of a channel have read");
    if (err == OK)
        err =
            read_message(request->reader, request->session.user_id, chat.chat.id, request->ids[PATH_MESSAGE_ID], &request->arena, &message);
    if (err != OK)
        return err;
    return is_by_name(request, &chat.chat) ? show_names(request, &chat.chat, &message) : show_counts(request, &chat.chat, &message);
}

enum err message_receipts(struct request *request) {
    uint64_t head_id;
    enum err err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = show_receipts(request);
    read_end(request->reader);
    return err;
}
