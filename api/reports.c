/* Owns the handler by which users report others, or messages, to the administrators (`parley report`). */
#include "api/handlers.h"

static const struct choice CATEGORIES[] = {
    { "spam", REPORT_SPAM },       { "harassment", REPORT_HARASSMENT },       { "violence", REPORT_VIOLENCE }, { "sexual", REPORT_SEXUAL },
    { "illegal", REPORT_ILLEGAL }, { "impersonation", REPORT_IMPERSONATION }, { "other", REPORT_OTHER },       { NULL, 0 },
};

struct report_form {
    uint64_t user_id;
    uint64_t chat_id;
    uint64_t message_id;
    struct text reason;
    int category;
};

static const struct field REPORT_FIELDS[] = {
    { "user_id", FIELD_ID, false, 0, 0, offsetof(struct report_form, user_id), NULL },
    { "chat_id", FIELD_ID, false, 0, 0, offsetof(struct report_form, chat_id), NULL },
    { "message_id", FIELD_ID, false, 0, 0, offsetof(struct report_form, message_id), NULL },
    { "reason", FIELD_TEXT, true, 1, LIMIT_REPORT_CHARACTERS, offsetof(struct report_form, reason), NULL },
    { "category", FIELD_CHOICE, false, 0, 0, offsetof(struct report_form, category), CATEGORIES },
};
const struct form report_form = FORM(report_form, REPORT_FIELDS);

static enum err check(struct request *request, const struct report_form *form) {
    if (form->user_id && (form->chat_id || form->message_id))
        return request_refuse(request, ERR_BAD_FIELD, "user_id", "either a user is reported or a message");
    if (!form->user_id && !form->chat_id)
        return request_refuse(request, ERR_MISSING_FIELD, form->message_id ? "chat_id" : "user_id",
                              "say who, or which message, is reported");
    if (form->chat_id && !form->message_id)
        return request_refuse(request, ERR_MISSING_FIELD, "message_id", "say which message of the chat is reported");
    return OK;
}

/* What the reader is not shown is as if it did not exist. One that was deleted may have been reported before, which is then the answer. */
static enum err find_message(struct request *request, const struct report_form *form) {
    struct message message;
    uint64_t head_id;
    enum err err = read_begin(request->reader, &head_id);
    if (err != OK)
        return err;
    err = read_message(request->reader, request->session.user_id, form->chat_id, form->message_id, &request->arena, &message);
    read_end(request->reader);
    return err == OK && (message.hidden || message.withheld) ? ERR_NOT_FOUND : err;
}

enum err report_create(struct request *request) {
    const struct report_form *form = REQUEST_FORM(request, report_form);
    enum err err = check(request, form);
    if (err == OK && form->message_id)
        err = find_message(request, form);
    if (err != OK)
        return err;
    struct command *command = request_command(request, COMMAND_REPORT_CREATE);
    command->in.report_create.user_id = form->user_id;
    command->in.report_create.chat_id = form->chat_id;
    command->in.report_create.message_id = form->message_id;
    command->in.report_create.category = form->category ? (enum report_category)form->category : REPORT_OTHER;
    command->in.report_create.reason = form->reason.bytes;
    return OK;
}
