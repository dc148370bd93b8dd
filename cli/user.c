/* `parley user create | invite | import`: makes the instructions from arguments and files, and shows the replies.
 *
 * Threads: main. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/instruction.h"
#include "cli/operate.h"
#include "core/id.h"
#include "core/text.h"

/* Of a generated password: 120 bits, more than anybody can guess and short enough to be typed off a screen once. */
#define GENERATED_PASSWORD_SIZE 20

/* ---- Replies ---- */

/* Shows a reply that is an error, after `place`; false when it is none. */
static bool complain_about(const struct reply *reply, const char *place) {
    const char *error = reply == NULL ? "bad_json" : reply_text(reply, "error");
    if (error == NULL)
        return false;
    const char *field = reply == NULL ? NULL : reply_text(reply, "field");
    const char *detail = reply == NULL ? NULL : reply_text(reply, "detail");
    cli_complain("%s%s%s%s (%s)", place, field == NULL ? "" : field, field == NULL ? "" : ": ", detail == NULL ? "it failed" : detail,
                 error);
    return true;
}

/* The reply to a single instruction. */
struct outcome {
    bool succeeded;
    char id[ID_TEXT_SIZE];
};

static void take_reply(void *context, const char *line, size_t size) {
    struct outcome *outcome = context;
    struct reply *reply = reply_parse(line, size);
    outcome->succeeded = !complain_about(reply, "");
    if (outcome->succeeded && reply_text(reply, "id") != NULL)
        snprintf(outcome->id, sizeof(outcome->id), "%s", reply_text(reply, "id"));
    reply_free(reply);
}

/* Gives one instruction with the settings of the environment; STATUS_OK when it was done. */
static int instruct(const struct config *config, const struct buf *instruction, struct outcome *outcome) {
    const struct operation operation = { .text = instruction->bytes, .fd = -1, .reply = take_reply, .context = outcome };
    if (!buf_ok(instruction)) {
        cli_complain("out of memory");
        return STATUS_FAILED;
    }
    int status = operate(config, &operation);
    return outcome->succeeded ? status : STATUS_FAILED;
}

/* ---- user create ---- */

struct new_user {
    const char *name;
    const char *display_name;
    bool password_from_stdin;
    char password[LIMIT_PASSWORD_BYTES + 3]; /* with a line's end and a NUL */
};

static bool read_password(struct new_user *user) {
    if (isatty(STDIN_FILENO)) {
        cli_complain("--password-stdin wants the password from a pipe or a file, not from the terminal, which would show it");
        return false;
    }
    if (fgets(user->password, sizeof(user->password), stdin) == NULL)
        user->password[0] = '\0';
    user->password[strcspn(user->password, "\r\n")] = '\0';

    size_t size = strlen(user->password);
    if (size < LIMIT_PASSWORD_MIN_BYTES || size > LIMIT_PASSWORD_BYTES || !utf8_valid(user->password, size)) {
        cli_complain("the password is not %d to %d bytes of UTF-8", LIMIT_PASSWORD_MIN_BYTES, LIMIT_PASSWORD_BYTES);
        return false;
    }
    return true;
}

static void generate_password(struct new_user *user) {
    char token[TOKEN_TEXT_SIZE];
    token_new(token);
    snprintf(user->password, sizeof(user->password), "%.*s", GENERATED_PASSWORD_SIZE, token);
}

/* Only the password's hash leaves this process. */
static enum err write_create(const struct config *config, const struct new_user *user, struct buf *instruction) {
    char hash[PASSWORD_HASH_SIZE];
    enum err err = password_hash(user->password, (unsigned)config->password_cost, hash);
    if (err != OK)
        return err;
    buf_char(instruction, '{');
    json_member_string(instruction, "user", user->name);
    if (user->display_name != NULL)
        json_member_string(instruction, "display_name", user->display_name);
    json_member_string(instruction, "password_hash", hash);
    buf_string(instruction, "}\n");
    return OK;
}

static int create(const struct config *config, struct new_user *user) {
    struct buf instruction = BUF_INIT;
    struct outcome outcome = { 0 };

    if (user->password_from_stdin && !read_password(user))
        return STATUS_USAGE;
    if (!user->password_from_stdin)
        generate_password(user);
    enum err err = write_create(config, user, &instruction);
    if (err != OK)
        cli_complain("cannot hash the password: %s", err_name(err));
    int status = err == OK ? instruct(config, &instruction, &outcome) : STATUS_FAILED;
    buf_release(&instruction);

    if (status == STATUS_OK) {
        printf("user: %s\nid: %s\n", user->name, outcome.id);
        if (!user->password_from_stdin)
            printf("password: %s\n", user->password);
    }
    return status;
}

static int create_command(int argc, char **argv) {
    struct new_user user = { 0 };
    struct config config;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--password-stdin") == 0)
            user.password_from_stdin = true;
        else if (strcmp(argv[i], "--display-name") == 0 && i + 1 < argc)
            user.display_name = argv[++i];
        else if (argv[i][0] == '-' || user.name != NULL)
            return cli_misused("user create", "unexpected argument \"%s\"", argv[i]);
        else
            user.name = argv[i];
    }
    if (user.name == NULL)
        return cli_misused("user create", "the name is missing");
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    int status = create(&config, &user);
    config_release(&config);
    return status;
}

/* ---- user invite ---- */

static int invite(const struct config *config, int64_t uses, int64_t days) {
    struct buf instruction = BUF_INIT;
    struct outcome outcome = { 0 };
    char code[TOKEN_TEXT_SIZE];

    token_new(code);
    buf_char(&instruction, '{');
    json_member_string(&instruction, "invite", code);
    json_member_number(&instruction, "uses", (uint64_t)uses);
    json_member_number(&instruction, "days", (uint64_t)days);
    buf_string(&instruction, "}\n");

    int status = instruct(config, &instruction, &outcome);
    buf_release(&instruction);
    if (status == STATUS_OK)
        puts(code);
    return status;
}

/* A whole number from 1 to `max`. */
static bool parse_count(const char *text, int64_t max, int64_t *ret_count) {
    char *rest;
    errno = 0;
    long long count = strtoll(text, &rest, 10);
    if (errno != 0 || *rest != '\0' || count < 1 || count > max)
        return false;
    *ret_count = count;
    return true;
}

static int invite_command(int argc, char **argv) {
    int64_t uses = INVITE_USES_DEFAULT, days = INVITE_DAYS_DEFAULT;
    struct config config;

    for (int i = 1; i < argc; i += 2) {
        bool is_uses = strcmp(argv[i], "--uses") == 0;
        if (!is_uses && strcmp(argv[i], "--days") != 0)
            return cli_misused("user invite", "unexpected argument \"%s\"", argv[i]);
        int64_t max = is_uses ? INVITE_USES_MAX : INVITE_DAYS_MAX;
        if (i + 1 == argc || !parse_count(argv[i + 1], max, is_uses ? &uses : &days))
            return cli_misused("user invite", "%s wants a whole number from 1 to %" PRId64, argv[i], max);
    }
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    int status = invite(&config, uses, days);
    config_release(&config);
    return status;
}

/* ---- user import ---- */

struct tally {
    uint64_t done;
    uint64_t failed;
};

/* Replies go to stdout as they are; what is wrong also to stderr, for people. */
static void show_reply(void *context, const char *line, size_t size) {
    static const char error_start[] = "{\"error\":";
    struct tally *tally = context;
    fwrite(line, 1, size, stdout);
    putchar('\n');
    if (size < sizeof(error_start) || memcmp(line, error_start, sizeof(error_start) - 1) != 0) {
        tally->done++;
        return;
    }
    char place[32];
    struct reply *reply = reply_parse(line, size);
    tally->failed++;
    snprintf(place, sizeof(place), "line %" PRId64 ": ", reply == NULL ? 0 : reply_number(reply, "line"));
    complain_about(reply, place);
    reply_free(reply);
}

static int import(const struct config *config, int fd) {
    struct tally tally = { 0 };
    const struct operation operation = { .fd = fd, .reply = show_reply, .context = &tally };
    int status = operate(config, &operation);
    if (tally.failed > 0)
        cli_complain("%" PRIu64 " lines were imported, %" PRIu64 " were not", tally.done, tally.failed);
    return tally.failed > 0 ? STATUS_FAILED : status;
}

static int import_command(int argc, char **argv) {
    struct config config;
    if (argc != 2)
        return cli_misused("user import", argc < 2 ? "the file is missing" : "there is more than one file");
    int fd = strcmp(argv[1], "-") == 0 ? STDIN_FILENO : open(argv[1], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        cli_complain("cannot open %s: %s", argv[1], strerror(errno));
        return STATUS_FAILED;
    }
    int status = STATUS_USAGE;
    if (cli_load_config(&config)) {
        status = import(&config, fd);
        config_release(&config);
    }
    if (fd != STDIN_FILENO)
        close(fd);
    return status;
}

/* ---- The table ---- */

#define BOTH_WAYS "Works through the running server, or on the database when none runs.\n"

const struct cli_command user_commands[] = {
    {
        .name = "create",
        .summary = "create a user who can log in",
        .usage = "user create NAME [--display-name TEXT] [--password-stdin]",
        .help = "Prints the user's id and, unless it was given, a fresh password. " BOTH_WAYS "\n"
                "  --display-name TEXT  1 to 64 characters; default: the name\n"
                "  --password-stdin     read the password, one line of 8 to 256 bytes, from a pipe\n",
        .run = create_command,
    },
    {
        .name = "invite",
        .summary = "print a code to register with",
        .usage = "user invite [--uses N] [--days N]",
        .help = "A code lets people register while PARLEY_REGISTRATION is invite. It is shown only now. " BOTH_WAYS "\n"
                "  --uses N  how many may register with it; default: 1\n"
                "  --days N  how long it holds; default: 7\n",
        .run = invite_command,
    },
    {
        .name = "import",
        .summary = "create users, tokens and chats in bulk",
        .usage = "user import FILE|-",
        .help =
            "Reads one JSON object a line and prints one reply a line, in the same order. " BOTH_WAYS "\n"
            "  {\"user\":\"alice\",\"display_name\":\"Alice\",\"tokens\":[\"...\"]}\n"
            "      -> {\"user\":\"alice\",\"id\":\"...\",\"devices\":[\"...\"]}\n"
            "  {\"chat\":\"group\",\"title\":\"Tea\",\"owner\":\"alice\",\"members\":[\"bob\",\"carol\"]}\n"
            "  {\"chat\":\"direct\",\"members\":[\"alice\",\"bob\"]}\n"
            "  {\"chat\":\"channel\",\"title\":\"News\",\"owner\":\"alice\"}\n"
            "      -> {\"chat\":\"...\"}\n"
            "\n"
            "display_name, tokens, members of a group and \"history\" (\"from_join\" or \"all\") may be left out. Each token (43 characters\n"
            "of base64url) makes one device that can use the API with it. Users have no password and cannot log in, unless \"password_hash\"\n"
            "holds one in Parley's own form.\n"
            "\n"
            "A line that is wrong gets {\"error\":...,\"line\":N}; the others are imported, and the exit status is 1.\n",
        .run = import_command,
    },
    { 0 },
};
