/* `parley report list | show | close`: what users have reported, for an administrator at a terminal.
 *
 * Users have written most of what is shown: nothing of it may speak to the terminal. Threads: main. */
#include <stdlib.h>
#include <string.h>

#include "cli/instruction.h"
#include "cli/operate.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/text.h"

#define REASON_BYTES 60 /* in a list */

/* One command's arguments, and what came back. */
struct inquiry {
    void (*show)(const struct reply *reply);
    bool as_json;
    bool failed;
    uint64_t shown;
};

/* ---- Text of users ---- */

/* C0, DEL and C1 controls, escape sequences among them; `text` is well-formed UTF-8. */
static size_t control_size(const char *text) {
    const unsigned char *bytes = (const unsigned char *)text;
    if (bytes[0] < 0x20 || bytes[0] == 0x7F)
        return 1;
    return bytes[0] == 0xC2 && bytes[1] < 0xA0 ? 2 : 0;
}

/* On one line, at most `max` bytes of it. */
static void print_line(const char *text, size_t max) {
    const char *start = text;
    while (*text != '\0' && ((size_t)(text - start) < max || (*text & 0xC0) == 0x80)) {
        size_t size = control_size(text);
        putchar(size > 0 ? ' ' : *text);
        text += size > 0 ? size : 1;
    }
    fputs(*text == '\0' ? "" : "...", stdout);
}

/* Every line of it behind a mark, so that none can pass for something else. */
static void print_block(const char *title, const char *text) {
    printf("%s:\n", title);
    while (text != NULL && *text != '\0') {
        size_t size = strcspn(text, "\n");
        char *line = strndup(text, size);
        fputs("  | ", stdout);
        if (line != NULL)
            print_line(line, SIZE_MAX);
        putchar('\n');
        free(line);
        text += size + (text[size] == '\n');
    }
}

static void print_member(const struct reply *reply, const char *title, const char *member) {
    const char *text = reply_text(reply, member);
    if (text == NULL)
        return;
    printf("%-10s ", title);
    print_line(text, SIZE_MAX);
    putchar('\n');
}

static void print_user(const struct reply *reply, const char *title, const char *name, const char *id) {
    const char *shown_name = reply_text(reply, name), *shown_id = reply_text(reply, id);
    printf("%-10s %s (%s)\n", title, shown_name == NULL ? "?" : shown_name, shown_id == NULL ? "?" : shown_id);
}

/* ---- Reports ---- */

static void show_summary(const struct reply *report) {
    const char *id = reply_text(report, "id"), *created = reply_text(report, "created_at"), *category = reply_text(report, "category");
    const char *user = reply_text(report, "user"), *reporter = reply_text(report, "reporter"), *reason = reply_text(report, "reason");
    printf("%s  %s  %-6s  %-13s  %s %s, by %s: ", id == NULL ? "?" : id, created == NULL ? "?" : created,
           reply_text(report, "closed_at") == NULL ? "open" : "closed", category == NULL ? "?" : category,
           reply_text(report, "message_id") == NULL ? "user" : "message of", user == NULL ? "?" : user, reporter == NULL ? "?" : reporter);
    print_line(reason == NULL ? "" : reason, REASON_BYTES);
    putchar('\n');
}

static void show_attachments(const struct reply *report) {
    const struct reply *item;
    for (size_t i = 0; (item = reply_item(report, "attachments", i)) != NULL; i++) {
        const char *id = reply_text(item, "id"), *type = reply_text(item, "content_type");
        printf("%-10s media %s, ", "file:", id == NULL ? "?" : id);
        print_line(type == NULL ? "?" : type, SIZE_MAX);
        putchar('\n');
    }
}

static void show_copy(const struct reply *report) {
    if (reply_text(report, "message_id") == NULL)
        return;
    if (reply_text(report, "posted_at") == NULL) {
        puts("The copy of the message is gone: its time is over, or the report is closed.");
        return;
    }
    print_member(report, "posted:", "posted_at");
    show_attachments(report);
    print_block("message", reply_text(report, "text"));
}

static void show_whole(const struct reply *report) {
    print_member(report, "report:", "id");
    print_member(report, "made:", "created_at");
    print_user(report, "by:", "reporter", "reporter_id");
    print_user(report, "about:", "user", "user_id");
    print_member(report, "category:", "category");
    print_member(report, "chat:", "chat_id");
    print_member(report, "message:", "message_id");
    print_member(report, "closed:", "closed_at");
    print_member(report, "note:", "note");
    print_block("reason", reply_text(report, "reason"));
    show_copy(report);
}

static void show_nothing(const struct reply *report) { (void)report; }

/* ---- Asking ---- */

static void complain_about(const struct reply *reply) {
    const char *error = reply == NULL ? "bad_json" : reply_text(reply, "error");
    const char *detail = reply == NULL ? NULL : reply_text(reply, "detail");
    cli_complain("%s (%s)", detail == NULL ? "it failed" : detail, error);
}

static void take_reply(void *context, const char *line, size_t size) {
    struct inquiry *inquiry = context;
    struct reply *reply = reply_parse(line, size);
    bool is_wrong = reply == NULL || reply_text(reply, "error") != NULL;
    inquiry->failed |= is_wrong;
    if (is_wrong)
        complain_about(reply);
    else if (inquiry->as_json)
        printf("%.*s\n", (int)size, line);
    else
        inquiry->show(reply);
    inquiry->shown += !is_wrong;
    reply_free(reply);
}

static int ask(const struct buf *instruction, struct inquiry *inquiry) {
    const struct operation operation = { .text = instruction->bytes, .fd = -1, .reply = take_reply, .context = inquiry };
    struct config config;
    if (!buf_ok(instruction)) {
        cli_complain("out of memory");
        return STATUS_FAILED;
    }
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    int status = operate(&config, &operation);
    config_release(&config);
    return inquiry->failed ? STATUS_FAILED : status;
}

/* ---- Commands ---- */

static int list_command(int argc, char **argv) {
    struct inquiry inquiry = { .show = show_summary };
    struct buf instruction = BUF_INIT;
    const char *which = "open";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--all") == 0)
            which = "all";
        else if (strcmp(argv[i], "--json") == 0)
            inquiry.as_json = true;
        else
            return cli_misused("report list", "unexpected argument \"%s\"", argv[i]);
    }
    buf_printf(&instruction, "{\"reports\":\"%s\"}\n", which);
    int status = ask(&instruction, &inquiry);
    buf_release(&instruction);
    if (status == STATUS_OK && inquiry.shown == 0 && !inquiry.as_json)
        puts(strcmp(which, "all") == 0 ? "There are no reports." : "There are no open reports.");
    return status;
}

static bool is_id(const char *text) {
    uint64_t id;
    return id_parse(text, strlen(text), &id);
}

static int show_command(int argc, char **argv) {
    struct inquiry inquiry = { .show = show_whole };
    struct buf instruction = BUF_INIT;
    const char *id = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            inquiry.as_json = true;
        else if (id == NULL && is_id(argv[i]))
            id = argv[i];
        else
            return cli_misused("report show", "unexpected argument \"%s\"", argv[i]);
    }
    if (id == NULL)
        return cli_misused("report show", "the report's id is missing");
    buf_printf(&instruction, "{\"report\":\"%s\"}\n", id);
    int status = ask(&instruction, &inquiry);
    buf_release(&instruction);
    return status;
}

/* A line that fits an instruction. */
static bool is_note(const char *text) {
    size_t size = strlen(text);
    return utf8_valid(text, size) && utf8_length(text, size) >= 1 && utf8_length(text, size) <= LIMIT_REPORT_CHARACTERS &&
           text_is_line(text, size);
}

static int close_report(const char *id, const char *note, struct inquiry *inquiry) {
    struct buf instruction = BUF_INIT;
    buf_char(&instruction, '{');
    json_member_string(&instruction, "close_report", id);
    if (note != NULL)
        json_member_string(&instruction, "note", note);
    buf_string(&instruction, "}\n");
    int status = ask(&instruction, inquiry);
    buf_release(&instruction);
    return status;
}

static int close_command(int argc, char **argv) {
    struct inquiry inquiry = { .show = show_nothing };
    const char *id = NULL, *note = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            inquiry.as_json = true;
        else if (strcmp(argv[i], "--note") == 0 && i + 1 < argc && is_note(argv[i + 1]))
            note = argv[++i];
        else if (strcmp(argv[i], "--note") == 0)
            return cli_misused("report close", "--note wants one line of 1 to %d characters", LIMIT_REPORT_CHARACTERS);
        else if (id == NULL && is_id(argv[i]))
            id = argv[i];
        else
            return cli_misused("report close", "unexpected argument \"%s\"", argv[i]);
    }
    return id == NULL ? cli_misused("report close", "the report's id is missing") : close_report(id, note, &inquiry);
}

/* ---- The table ---- */

#define BOTH_WAYS "Works through the running server, or on the database when none runs.\n"

const struct cli_command report_commands[] = {
    {
        .name = "list",
        .summary = "list what users have reported",
        .usage = "report list [--all] [--json]",
        .help = "One line for each report that is open, oldest first. " BOTH_WAYS "\n"
                "  --all   also those that were closed within the last 90 days\n"
                "  --json  one JSON object a line\n",
        .run = list_command,
    },
    {
        .name = "show",
        .summary = "show one report, with what the message said",
        .usage = "report show ID [--json]",
        .help =
            "Shows who reported whom, why, and a copy of the message as it was then, also when its sender has deleted it since. The copy goes when\n"
            "PARLEY_RETENTION would take the message, and when the report is closed. " BOTH_WAYS,
        .run = show_command,
    },
    {
        .name = "close",
        .summary = "close a report",
        .usage = "report close ID [--note TEXT] [--json]",
        .help = "The report's copy of the message is deleted, and 90 days later the report. The log says report_closed. " BOTH_WAYS "\n"
                "  --note TEXT  what was done about it, 1 to 500 characters\n",
        .run = close_command,
    },
    { 0 },
};
