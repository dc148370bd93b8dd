/* `parley chat import-members`: makes the followers of a channel from a list of user ids, however long.
 *
 * Threads: main. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/instruction.h"
#include "cli/lines.h"
#include "cli/operate.h"
#include "core/clock.h"
#include "core/id.h"

#define ROUND_INSTRUCTIONS 40 /* given at once, of LIMIT_FOLLOWERS_AT_ONCE users each; then the terminal is told */

struct import {
    const struct config *config;
    uint64_t chat_id;
    struct lines lines;
    uint64_t line;
    struct buf text; /* of the round's instructions */
    size_t users;    /* in its last instruction */
    size_t instructions;
    int64_t started_ms;
    bool ended;
    bool failed;
    uint64_t added, existed, unknown, refused, malformed;
};

/* ---- Replies ---- */

static void take_reply(void *context, const char *line, size_t size) {
    struct import *import = context;
    struct reply *reply = reply_parse(line, size);
    const char *error = reply == NULL ? "bad_json" : reply_text(reply, "error");
    const char *detail = reply == NULL ? NULL : reply_text(reply, "detail");
    if (error != NULL) {
        if (!import->failed)
            cli_complain("%s (%s)", detail == NULL ? "it failed" : detail, error);
        import->failed = true;
    } else {
        import->added += (uint64_t)reply_number(reply, "added");
        import->existed += (uint64_t)reply_number(reply, "existed");
        import->unknown += (uint64_t)reply_number(reply, "unknown");
        import->refused += (uint64_t)reply_number(reply, "refused");
    }
    reply_free(reply);
}

static uint64_t handled(const struct import *import) {
    return import->added + import->existed + import->unknown + import->refused + import->malformed;
}

static void show_progress(const struct import *import) {
    if (!isatty(STDERR_FILENO))
        return;
    int64_t took_ms = clock_monotonic_ms() - import->started_ms;
    fprintf(stderr, "\r%" PRIu64 " users, %" PRIu64 " a second ", handled(import),
            handled(import) * 1000 / (uint64_t)(took_ms > 0 ? took_ms : 1));
    if (import->ended)
        fputc('\n', stderr);
}

/* ---- Instructions ---- */

static void end_instruction(struct import *import) {
    if (import->users > 0)
        buf_string(&import->text, "]}\n");
    import->instructions += import->users > 0;
    import->users = 0;
}

static void begin_instruction(struct import *import) {
    buf_char(&import->text, '{');
    json_member_id(&import->text, "follow", import->chat_id);
    json_comma(&import->text);
    json_key(&import->text, "users");
    buf_char(&import->text, '[');
}

static void add_user(struct import *import, uint64_t user_id) {
    if (import->users == 0)
        begin_instruction(import);
    json_comma(&import->text);
    buf_printf(&import->text, "\"%" PRIu64 "\"", user_id);
    if (++import->users == LIMIT_FOLLOWERS_AT_ONCE)
        end_instruction(import);
}

static void take_line(struct import *import, const char *line, size_t size) {
    uint64_t user_id;
    import->line++;
    if (size > 0 && line[size - 1] == '\r')
        size--;
    if (size == 0)
        return;
    if (id_parse(line, size, &user_id)) {
        add_user(import, user_id);
        return;
    }
    cli_complain("line %" PRIu64 ": is not a user's id", import->line);
    import->malformed++;
}

/* Reads what makes one round. */
static void read_round(struct import *import) {
    while (!import->ended && import->instructions < ROUND_INSTRUCTIONS) {
        const char *line;
        size_t size;
        enum lines_result result = lines_next(&import->lines, &line, &size);
        if (result == LINES_LINE) {
            take_line(import, line, size);
            continue;
        }
        import->ended = true;
        import->failed = import->failed || result != LINES_END;
        if (result != LINES_END)
            cli_complain("cannot read the list: %s", result == LINES_TOO_LONG ? "a line is too long" : strerror(errno));
    }
    end_instruction(import);
}

static int run_round(struct import *import) {
    const struct operation operation = { .text = import->text.bytes, .fd = -1, .reply = take_reply, .context = import };
    if (!buf_ok(&import->text)) {
        cli_complain("out of memory");
        return STATUS_FAILED;
    }
    int status = import->instructions > 0 ? operate(import->config, &operation) : STATUS_OK;
    buf_clear(&import->text);
    import->instructions = 0;
    return status;
}

static int finish(const struct import *import, int status) {
    printf("%" PRIu64 " follow it now, %" PRIu64 " did already, %" PRIu64 " do not exist, %" PRIu64 " may not\n", import->added,
           import->existed, import->unknown, import->refused);
    bool whole = import->unknown + import->refused + import->malformed == 0 && !import->failed;
    return status == STATUS_OK && !whole ? STATUS_FAILED : status;
}

static int run_import(struct import *import) {
    int status = STATUS_OK;
    import->started_ms = clock_monotonic_ms();
    while (status == STATUS_OK && !import->ended && !import->failed) {
        read_round(import);
        status = run_round(import);
        show_progress(import);
    }
    return finish(import, status);
}

/* ---- The command ---- */

static int import_from(uint64_t chat_id, int fd) {
    struct config config;
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    struct import import = { .config = &config, .chat_id = chat_id, .lines = LINES_INIT(fd, -1, -1), .text = BUF_INIT };
    int status = run_import(&import);
    buf_release(&import.text);
    lines_release(&import.lines);
    config_release(&config);
    return status;
}

static int import_members_command(int argc, char **argv) {
    uint64_t chat_id;
    if (argc < 2 || argc > 3)
        return cli_misused("chat import-members", argc < 2 ? "the channel's id is missing" : "there is more than one file");
    if (!id_parse(argv[1], strlen(argv[1]), &chat_id))
        return cli_misused("chat import-members", "\"%s\" is not an id", argv[1]);
    bool from_input = argc == 2 || strcmp(argv[2], "-") == 0;
    int fd = from_input ? STDIN_FILENO : open(argv[2], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        cli_complain("cannot open %s: %s", argv[2], strerror(errno));
        return STATUS_FAILED;
    }
    int status = import_from(chat_id, fd);
    if (!from_input)
        close(fd);
    return status;
}

const struct cli_command chat_commands[] = {
    {
        .name = "import-members",
        .summary = "let many users follow a channel",
        .usage = "chat import-members CHAT_ID [FILE|-]",
        .help =
            "Reads ids of users, one a line, and makes them follow the channel; each of them hears of it. Those who follow it already stay as they\n"
            "are, so that an import which was interrupted is begun again with the same list. Says how many there were of each kind, and on a terminal\n"
            "how far it has come. Works through the running server, or on the database when none runs.\n"
            "\n"
            "Users who do not exist, are banned from the channel or are in too many chats are left out, and make the exit status 1.\n",
        .run = import_members_command,
    },
    { 0 },
};
