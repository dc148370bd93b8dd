/* Decisions on what users report to administrators. A batch holds one of them (decide_list_key): the limits are for all users together. */
#include "db/decide.h"

#include "core/limits.h"

#define DAY_S (24 * 3600)

static const struct report *find_same(const struct reporting *reporting, const struct command *command) {
    for (size_t i = 0; i < reporting->open.count; i++) {
        const struct report *report = reporting->open.items[i];
        bool is_user = !report->message_id && report->user_id == command->in.report_create.user_id;
        if (command->in.report_create.message_id ? report->message_id == command->in.report_create.message_id : is_user)
            return report;
    }
    return NULL;
}

static void answer(struct command *command, const struct report *report, bool existed) {
    command->out.existed = existed;
    command->out.id = report->id;
    render_report(&command->out.json, report);
}

/* ---- What is reported ---- */

static bool user_fits(struct state *state, struct command *command) {
    uint64_t user_id = command->in.report_create.user_id;
    const struct user_entry *user = state_user(state, user_id);
    if (user_id == command->actor_id)
        refuse(command, ERR_BAD_FIELD, "user_id", "this is yourself");
    else if (!user || !user->found)
        refuse(command, ERR_NOT_FOUND, NULL, NULL);
    return command->refusal.err == OK;
}

/* That the actor can see it was found by a read; what became of it since is judged here. */
static bool message_fits(struct state *state, struct command *command) {
    const struct message_entry *entry = state_message(state, command->in.report_create.message_id);
    if (!entry || !entry->found || message_is_over(state, &entry->message))
        refuse(command, ERR_NOT_FOUND, NULL, NULL);
    else if (entry->message.sender_id == command->actor_id)
        refuse(command, ERR_BAD_FIELD, "message_id", "this message is your own");
    else if (entry->message.deleted_ms)
        refuse(command, ERR_ALREADY_DELETED, NULL, "the message was deleted");
    return command->refusal.err == OK;
}

static bool has_room(const struct reporting *reporting, struct command *command) {
    if (reporting->last_day >= LIMIT_REPORTS_PER_DAY) {
        refuse(command, ERR_RATE_LIMITED, NULL, "you have reported as much as one may within a day");
        command->refusal.retry_after_s = DAY_S / LIMIT_REPORTS_PER_DAY;
    } else if (reporting->open.count >= LIMIT_REPORTS_PER_USER) {
        refuse(command, ERR_TOO_MANY_REPORTS, NULL, "as many reports of yours as may be are still open");
    } else if (reporting->open_count >= LIMIT_REPORTS) {
        refuse(command, ERR_TOO_MANY_REPORTS, NULL, "the administrators have as many open reports as may be");
    }
    return command->refusal.err == OK;
}

/* ---- A new one ---- */

/* At most so much, and whole characters. */
static size_t cut(const char *text, size_t size) {
    if (size <= LIMIT_REPORT_TEXT_BYTES)
        return size;
    size = LIMIT_REPORT_TEXT_BYTES;
    while (size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80)
        size--;
    return size;
}

static const char *copy(struct state *state, const char *text, size_t size) {
    const char *copied = text ? arena_copy(state->arena, text, size) : NULL;
    if (text && !copied)
        state->failed = true;
    return copied;
}

static void copy_message(struct state *state, const struct message *message, struct report *report) {
    report->user_id = message->sender_id;
    report->chat_id = message->chat_id;
    report->message_id = message->id;
    report->posted_ms = message->created_ms;
    if (message->text && message->text_size)
        report->text = copy(state, message->text, cut(message->text, message->text_size));
    report->attachments = copy(state, message->attachments, message->attachments_size);
}

static struct report *new_report(struct state *state, const struct command *command) {
    struct report *report = state_alloc(state, sizeof *report);
    if (!report)
        return NULL;
    *report = (struct report){
        .id = id_next(state->ids, state->now_ms),
        .reporter_id = command->actor_id,
        .user_id = command->in.report_create.user_id,
        .category = command->in.report_create.category,
        .reason = command->in.report_create.reason,
        .created_ms = state->now_ms,
    };
    const struct message_entry *entry =
        command->in.report_create.message_id ? state_message(state, command->in.report_create.message_id) : NULL;
    if (entry)
        copy_message(state, &entry->message, report);
    state_push(state, &state->new_reports, report);
    return report;
}

void decide_report_create(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    const struct report *same = find_same(slot->reporting, command);
    if (same)
        return answer(command, same, true);
    bool fits = command->in.report_create.message_id ? message_fits(state, command) : user_fits(state, command);
    if (!fits || !has_room(slot->reporting, command))
        return;
    const struct report *report = new_report(state, command);
    if (!report)
        return;
    slot->reporting->open_count++;
    answer(command, report, false);
}

/* ---- Its end ---- */

static void end_report(struct state *state, const struct report *report) {
    struct report_end *end = state_alloc(state, sizeof *end);
    if (!end)
        return;
    *end = (struct report_end){ report->id, report->note };
    state_push(state, &state->report_ends, end);
}

void decide_report_close(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct report *report = slot->reporting->open.count ? slot->reporting->open.items[0] : NULL;
    if (!report)
        return refuse(command, ERR_NOT_FOUND, NULL, "there is no such report");
    if (report->closed_ms)
        return refuse(command, ERR_CONFLICT, NULL, "the report is closed already");
    report->closed_ms = state->now_ms;
    report->note = command->in.report_close.note;
    end_report(state, report);
    slot->reporting->open_count--;
    answer(command, report, false);
}
