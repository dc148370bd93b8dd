/* Owns the wording of instructions and replies: which members each has, and what they may be. The rules are the API's (core/limits.h); whether the
 * state allows it is the store's to say.
 *
 * Threads: its caller's. */
#include "cli/instruction.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/text.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define FIELDS_MAX 6

/* One kind of instruction. */
struct verb {
    const char *fields[FIELDS_MAX]; /* the first names the verb; others are unknown */
    bool names_users;
    enum instruction_kind kind;
    /* False when it has set a refusal. */
    bool (*prepare)(struct instruction *instruction, const struct config *config, struct directory *directory);
    /* Writes the members of the reply's object; NULL: the replies are not of a command. */
    void (*reply)(const struct command *command, struct buf *replies);
};

/* ---- Refusals ---- */

PRINTF_LIKE(4, 5) static bool refuse(struct instruction *instruction, enum err err, const char *field, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(instruction->detail, sizeof(instruction->detail), format, arguments);
    va_end(arguments);
    instruction->command.refusal = (struct refusal){ .err = err, .field = field, .detail = instruction->detail };
    return false;
}

/* What the store's refusals mean here when it gives no detail. */
static const char *const details[ERR_COUNT] = {
    [ERR_USERNAME_TAKEN] = "there is a user of this name already",
    [ERR_CONFLICT] = "a token of it belongs to a device already",
    [ERR_CHAT_FULL] = "more members than PARLEY_GROUP_MAX",
    [ERR_TOO_MANY_CHATS] = "a member is in as many chats as PARLEY_CHATS_PER_USER allows",
    [ERR_OVERLOADED] = "the server is overloaded: this was not done",
    [ERR_DATABASE_UNAVAILABLE] = "the database failed: this was not done",
    [ERR_DATABASE_BUSY] = "the database is busy: this was not done",
    [ERR_DATABASE_UNKNOWN] = "the database failed: this may have been done or not",
    [ERR_DRAINING] = "the server is stopping: this was not done",
    [ERR_NO_MEMORY] = "out of memory: this was not done",
};

/* The store names fields as the API does. */
static const char *own_field(const char *field) {
    if (strcmp(field, "username") == 0)
        return "user";
    return strcmp(field, "member_ids") == 0 ? "members" : field;
}

/* ---- Members of the object ---- */

/* A string member of one line and at most `max` characters. Absent: *ret_text stays as it is. */
static bool read_line(struct instruction *instruction, const char *field, size_t max, const char **ret_text) {
    const json_t *value = json_object_get(instruction->root, field);
    const char *text = json_string_value(value);
    if (value == NULL)
        return true;
    if (text == NULL)
        return refuse(instruction, ERR_BAD_FIELD, field, "is not a string");

    size_t size = json_string_length(value);
    size_t length = utf8_length(text, size);
    if (length == 0 || length > max)
        return refuse(instruction, ERR_BAD_FIELD, field, "has not 1 to %zu characters", max);
    if (!text_is_line(text, size))
        return refuse(instruction, ERR_BAD_FIELD, field, "has control characters");
    *ret_text = text;
    return true;
}

static bool need_line(struct instruction *instruction, const char *field, size_t max, const char **ret_text) {
    *ret_text = NULL;
    if (!read_line(instruction, field, max, ret_text))
        return false;
    return *ret_text != NULL || refuse(instruction, ERR_MISSING_FIELD, field, "is missing");
}

/* An integer member from 1 to `max`. Absent: *ret_number stays as it is. */
static bool read_count(struct instruction *instruction, const char *field, int64_t max, int64_t *ret_number) {
    const json_t *value = json_object_get(instruction->root, field);
    if (value == NULL)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > max)
        return refuse(instruction, ERR_BAD_FIELD, field, "is not a whole number from 1 to %lld", (long long)max);
    *ret_number = json_integer_value(value);
    return true;
}

/* The strings of an array member, absent as an empty one; *ret_array NULL then. */
static bool read_array(struct instruction *instruction, const char *field, size_t max, const json_t **ret_array) {
    *ret_array = json_object_get(instruction->root, field);
    if (*ret_array == NULL)
        return true;
    if (!json_is_array(*ret_array))
        return refuse(instruction, ERR_BAD_FIELD, field, "is not an array");
    if (json_array_size(*ret_array) > max)
        return refuse(instruction, ERR_BAD_FIELD, field, "has more than %zu elements", max);
    for (size_t i = 0; i < json_array_size(*ret_array); i++)
        if (!json_is_string(json_array_get(*ret_array, i)))
            return refuse(instruction, ERR_BAD_FIELD, field, "has an element that is not a string");
    return true;
}

/* ---- user ---- */

static bool read_tokens(struct instruction *instruction, size_t max) {
    const json_t *array;
    if (!read_array(instruction, "tokens", max, &array))
        return false;
    size_t count = json_array_size(array);
    if (count == 0)
        return true;
    instruction->tokens = calloc(count, sizeof(*instruction->tokens));
    if (instruction->tokens == NULL)
        return refuse(instruction, ERR_NO_MEMORY, "tokens", "out of memory");

    for (size_t i = 0; i < count; i++) {
        const json_t *token = json_array_get(array, i);
        if (!token_hash(json_string_value(token), json_string_length(token), instruction->tokens[i]))
            return refuse(instruction, ERR_BAD_FIELD, "tokens", "has an element that is not 43 characters of base64url");
    }
    instruction->command.in.user_create.tokens = (const uint8_t(*)[SHA256_SIZE])instruction->tokens;
    instruction->command.in.user_create.token_count = count;
    return true;
}

/* "scrypt$<cost>$<salt>$<hash>", as core/crypto.h makes them: nobody could ever log in with a stored text of another shape. */
static bool is_password_hash(const char *text) {
    unsigned cost;
    int salt = 0, salt_end = 0, end = 0;
    sscanf(text, "scrypt$%2u$%n%*[A-Za-z0-9_-]%n$%*[A-Za-z0-9_-]%n", &cost, &salt, &salt_end, &end);
    return end > 0 && text[end] == '\0' && cost >= 1 && cost <= 24 && salt_end - salt == 22 && end - salt_end == 44;
}

static bool read_password_hash(struct instruction *instruction) {
    const char *hash = NULL;
    if (!read_line(instruction, "password_hash", PASSWORD_HASH_SIZE - 1, &hash))
        return false;
    if (hash != NULL && !is_password_hash(hash))
        return refuse(instruction, ERR_BAD_FIELD, "password_hash", "is not scrypt$COST$SALT$HASH");
    instruction->command.in.user_create.password = hash;
    return true;
}

static bool prepare_user(struct instruction *instruction, const struct config *config, struct directory *directory) {
    const char *name;
    (void)directory;
    if (!need_line(instruction, "user", LIMIT_USERNAME_BYTES, &name))
        return false;
    if (!username_fold(name, strlen(name), instruction->username))
        return refuse(instruction, ERR_BAD_FIELD, "user", "is not 3 to 32 of A-Z a-z 0-9 _ . -");

    instruction->command.type = COMMAND_USER_CREATE;
    instruction->command.in.user_create.username = instruction->username;
    instruction->command.in.user_create.display_name = instruction->username;
    instruction->command.in.user_create.device_name = "imported";
    return read_line(instruction, "display_name", LIMIT_NAME_CHARACTERS, &instruction->command.in.user_create.display_name) &&
           read_password_hash(instruction) && read_tokens(instruction, (size_t)config->devices_per_user);
}

static void reply_user(const struct command *command, struct buf *replies) {
    json_member_string(replies, "user", command->in.user_create.username);
    json_member_id(replies, "id", command->out.id);
    json_comma(replies);
    json_key(replies, "devices");
    buf_char(replies, '[');
    for (size_t i = 0; i < command->in.user_create.token_count; i++) {
        json_comma(replies);
        buf_printf(replies, "\"%llu\"", (unsigned long long)command->out.device_ids[i]);
    }
    buf_char(replies, ']');
}

/* ---- chat ---- */

static bool find_user(struct instruction *instruction, struct directory *directory, const char *field, const char *name, uint64_t *ret_id) {
    enum err err = directory_find(directory, name, ret_id);
    if (err == ERR_NOT_FOUND)
        return refuse(instruction, ERR_BAD_FIELD, field, "there is no user \"%.64s\"", name);
    return err == OK || refuse(instruction, err, field, "cannot look up \"%.64s\"", name);
}

static int compare_ids(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Drops repeated ids and the actor's; returns how many are left. */
static size_t keep_others(uint64_t *ids, size_t count, uint64_t actor_id) {
    size_t kept = 0;
    qsort(ids, count, sizeof(*ids), compare_ids);
    for (size_t i = 0; i < count; i++)
        if (ids[i] != actor_id && (kept == 0 || ids[kept - 1] != ids[i]))
            ids[kept++] = ids[i];
    return kept;
}

/* Looks all members up into instruction->member_ids. */
static bool look_up_members(struct instruction *instruction, struct directory *directory, size_t max, size_t *ret_count) {
    const json_t *array;
    if (!read_array(instruction, "members", max, &array))
        return false;
    size_t count = json_array_size(array);
    instruction->member_ids = calloc(count + 1, sizeof(*instruction->member_ids));
    if (instruction->member_ids == NULL)
        return refuse(instruction, ERR_NO_MEMORY, "members", "out of memory");

    for (size_t i = 0; i < count; i++)
        if (!find_user(instruction, directory, "members", json_string_value(json_array_get(array, i)), &instruction->member_ids[i]))
            return false;
    *ret_count = count;
    return true;
}

static bool read_history(struct instruction *instruction, const char *otherwise) {
    const char *history = otherwise;
    if (!read_line(instruction, "history", LIMIT_NAME_CHARACTERS, &history))
        return false;
    bool is_all = strcmp(history, "all") == 0;
    if (!is_all && strcmp(history, "from_join") != 0)
        return refuse(instruction, ERR_BAD_FIELD, "history", "is neither from_join nor all");
    instruction->command.in.chat_create.history = is_all ? HISTORY_ALL : HISTORY_FROM_JOIN;
    return true;
}

static void set_chat(struct instruction *instruction, enum chat_type type, uint64_t actor_id, size_t count) {
    struct command *command = &instruction->command;
    command->type = COMMAND_CHAT_CREATE;
    command->actor_id = actor_id;
    command->bytes = sizeof(*command) + count * sizeof(uint64_t);
    command->in.chat_create.type = type;
    command->in.chat_create.member_count = count > 0 ? keep_others(instruction->member_ids, count, actor_id) : 0;
    command->in.chat_create.member_ids = instruction->member_ids;
}

/* Of a channel the followers are imported. */
static bool prepare_channel(struct instruction *instruction, struct directory *directory) {
    struct command *command = &instruction->command;
    const char *owner;
    uint64_t owner_id;
    if (json_object_get(instruction->root, "members") != NULL)
        return refuse(instruction, ERR_UNKNOWN_FIELD, "members", "is not for channels, which have followers");
    if (!need_line(instruction, "title", LIMIT_TITLE_CHARACTERS, &command->in.chat_create.title) || !read_history(instruction, "all") ||
        !need_line(instruction, "owner", LIMIT_USERNAME_BYTES, &owner) || !find_user(instruction, directory, "owner", owner, &owner_id))
        return false;
    set_chat(instruction, CHAT_CHANNEL, owner_id, 0);
    return true;
}

static bool prepare_group(struct instruction *instruction, const struct config *config, struct directory *directory) {
    const char *owner;
    uint64_t owner_id;
    size_t count;
    if (!need_line(instruction, "title", LIMIT_TITLE_CHARACTERS, &instruction->command.in.chat_create.title) ||
        !read_history(instruction, "from_join") || !need_line(instruction, "owner", LIMIT_USERNAME_BYTES, &owner) ||
        !find_user(instruction, directory, "owner", owner, &owner_id) ||
        !look_up_members(instruction, directory, (size_t)config->group_max, &count))
        return false;
    set_chat(instruction, CHAT_GROUP, owner_id, count);
    return true;
}

static bool prepare_direct(struct instruction *instruction, struct directory *directory) {
    size_t count;
    static const char *const of_groups[] = { "title", "owner", "history" };
    for (size_t i = 0; i < sizeof(of_groups) / sizeof(of_groups[0]); i++)
        if (json_object_get(instruction->root, of_groups[i]) != NULL)
            return refuse(instruction, ERR_UNKNOWN_FIELD, of_groups[i], "is for groups");
    if (!look_up_members(instruction, directory, 2, &count))
        return false;
    if (count != 2 || instruction->member_ids[0] == instruction->member_ids[1])
        return refuse(instruction, ERR_BAD_FIELD, "members", "are not two users");
    set_chat(instruction, CHAT_DIRECT, instruction->member_ids[0], count);
    return true;
}

static bool prepare_chat(struct instruction *instruction, const struct config *config, struct directory *directory) {
    const char *type;
    if (!need_line(instruction, "chat", LIMIT_NAME_CHARACTERS, &type))
        return false;
    if (strcmp(type, "direct") == 0)
        return prepare_direct(instruction, directory);
    if (strcmp(type, "group") == 0)
        return prepare_group(instruction, config, directory);
    if (strcmp(type, "channel") == 0)
        return prepare_channel(instruction, directory);
    return refuse(instruction, ERR_BAD_FIELD, "chat", "is neither group nor channel nor direct");
}

static void reply_chat(const struct command *command, struct buf *replies) { json_member_id(replies, "chat", command->out.id); }

/* ---- follow ---- */

static bool read_ids(struct instruction *instruction, const char *field, size_t max, size_t *ret_count) {
    const json_t *array;
    if (!read_array(instruction, field, max, &array))
        return false;
    size_t count = json_array_size(array);
    instruction->member_ids = calloc(count + 1, sizeof(*instruction->member_ids));
    if (instruction->member_ids == NULL)
        return refuse(instruction, ERR_NO_MEMORY, field, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(array, i);
        if (!id_parse(json_string_value(id), json_string_length(id), &instruction->member_ids[i]))
            return refuse(instruction, ERR_BAD_FIELD, field, "has an element that is not an id");
    }
    *ret_count = count;
    return true;
}

static bool prepare_follow(struct instruction *instruction, const struct config *config, struct directory *directory) {
    struct command *command = &instruction->command;
    const char *chat;
    size_t count = 0;
    (void)config, (void)directory;
    if (!need_line(instruction, "follow", ID_TEXT_SIZE, &chat) || !read_ids(instruction, "users", LIMIT_FOLLOWERS_AT_ONCE, &count))
        return false;
    if (!id_parse(chat, strlen(chat), &command->in.followers_add.chat_id))
        return refuse(instruction, ERR_BAD_FIELD, "follow", "is not an id");
    command->type = COMMAND_FOLLOWERS_ADD;
    command->bytes = sizeof(*command) + count * sizeof(uint64_t);
    command->in.followers_add.user_ids = instruction->member_ids;
    command->in.followers_add.count = count;
    return true;
}

static void reply_follow(const struct command *command, struct buf *replies) {
    json_member_id(replies, "follow", command->out.id);
    json_member_number(replies, "added", command->out.followers.added);
    json_member_number(replies, "existed", command->out.followers.existed);
    json_member_number(replies, "unknown", command->out.followers.unknown);
    json_member_number(replies, "refused", command->out.followers.refused);
}

/* ---- invite ---- */

static bool prepare_invite(struct instruction *instruction, const struct config *config, struct directory *directory) {
    const char *code;
    int64_t uses = INVITE_USES_DEFAULT, days = INVITE_DAYS_DEFAULT;
    (void)config, (void)directory;
    if (!need_line(instruction, "invite", TOKEN_TEXT_SIZE - 1, &code))
        return false;
    if (!token_hash(code, strlen(code), instruction->invite))
        return refuse(instruction, ERR_BAD_FIELD, "invite", "is not 43 characters of base64url");
    if (!read_count(instruction, "uses", INVITE_USES_MAX, &uses) || !read_count(instruction, "days", INVITE_DAYS_MAX, &days))
        return false;

    instruction->command.type = COMMAND_INVITE_CREATE;
    instruction->command.in.invite_create.invite = instruction->invite;
    instruction->command.in.invite_create.uses = (uint32_t)uses;
    instruction->command.in.invite_create.expires_ms = clock_now_ms() + days * DAY_MS;
    return true;
}

static void reply_invite(const struct command *command, struct buf *replies) {
    json_member_bool(replies, "invite", true);
    json_member_time(replies, "expires_at", command->in.invite_create.expires_ms);
}

/* ---- cleanup ---- */

static bool prepare_cleanup(struct instruction *instruction, const struct config *config, struct directory *directory) {
    const char *what;
    (void)config, (void)directory;
    if (!need_line(instruction, "cleanup", LIMIT_NAME_CHARACTERS, &what))
        return false;
    instruction->dry_run = strcmp(what, "count") == 0;
    return instruction->dry_run || strcmp(what, "run") == 0 || refuse(instruction, ERR_BAD_FIELD, "cleanup", "is neither run nor count");
}

void instruction_reply_cleanup(const struct cleanup_step *step, struct buf *replies) {
    buf_char(replies, '{');
    json_member_string(replies, "sweep", step->sweep);
    json_member_number(replies, "rows", step->rows);
    json_member_number(replies, "objects", step->objects);
    json_member_number(replies, "bytes", step->bytes);
    json_member_number(replies, "overdue_ms", (uint64_t)step->overdue_ms);
    json_member_bool(replies, "more", step->more);
    buf_string(replies, "}\n");
}

/* ---- reports ---- */

static bool prepare_reports(struct instruction *instruction, const struct config *config, struct directory *directory) {
    const char *which;
    (void)config, (void)directory;
    if (!need_line(instruction, "reports", LIMIT_NAME_CHARACTERS, &which))
        return false;
    instruction->reports = (struct report_request){ .all = strcmp(which, "all") == 0, .limit = LIMIT_REPORTS_PAGE };
    return instruction->reports.all || strcmp(which, "open") == 0 ||
           refuse(instruction, ERR_BAD_FIELD, "reports", "is neither open nor all");
}

static bool read_report_id(struct instruction *instruction, const char *field) {
    const char *text;
    if (!need_line(instruction, field, ID_TEXT_SIZE, &text))
        return false;
    return id_parse(text, strlen(text), &instruction->report_id) || refuse(instruction, ERR_BAD_FIELD, field, "is not an id");
}

static bool prepare_report(struct instruction *instruction, const struct config *config, struct directory *directory) {
    (void)config, (void)directory;
    return read_report_id(instruction, "report");
}

static bool prepare_report_close(struct instruction *instruction, const struct config *config, struct directory *directory) {
    (void)config, (void)directory;
    if (!read_report_id(instruction, "close_report"))
        return false;
    instruction->command.type = COMMAND_REPORT_CLOSE;
    instruction->command.in.report_close.report_id = instruction->report_id;
    return read_line(instruction, "note", LIMIT_REPORT_CHARACTERS, &instruction->command.in.report_close.note);
}

static void write_text(struct buf *replies, const char *member, const char *text) {
    if (text != NULL)
        json_member_string(replies, member, text);
    else
        json_member_null(replies, member);
}

static void write_end(const struct report *report, struct buf *replies) {
    if (report->closed_ms != 0)
        json_member_time(replies, "closed_at", report->closed_ms);
    else
        json_member_null(replies, "closed_at");
    write_text(replies, "note", report->note);
}

static void write_copy(const struct report *report, struct buf *replies) {
    if (report->text == NULL && report->attachments == NULL)
        return;
    json_member_time(replies, "posted_at", report->posted_ms);
    write_text(replies, "text", report->text);
    json_comma(replies);
    json_key(replies, "attachments");
    buf_printf(replies, "[%s]", report->attachments == NULL ? "" : report->attachments);
}

void instruction_reply_report(const struct report_shown *shown, bool is_whole, struct buf *replies) {
    render_report_open(replies, &shown->report);
    json_member_id(replies, "reporter_id", shown->report.reporter_id);
    write_text(replies, "reporter", shown->reporter_name);
    write_text(replies, "user", shown->user_name);
    write_end(&shown->report, replies);
    if (is_whole)
        write_copy(&shown->report, replies);
    buf_string(replies, "}\n");
}

static void reply_report_close(const struct command *command, struct buf *replies) {
    json_member_id(replies, "id", command->out.id);
    json_member_bool(replies, "closed", true);
}

/* ---- Instructions ---- */

static const struct verb verbs[] = {
    { { "user", "display_name", "password_hash", "tokens" }, false, INSTRUCTION_COMMAND, prepare_user, reply_user },
    { { "chat", "title", "owner", "members", "history" }, true, INSTRUCTION_COMMAND, prepare_chat, reply_chat },
    { { "follow", "users" }, false, INSTRUCTION_COMMAND, prepare_follow, reply_follow },
    { { "invite", "uses", "days" }, false, INSTRUCTION_COMMAND, prepare_invite, reply_invite },
    { { "cleanup" }, false, INSTRUCTION_CLEANUP, prepare_cleanup, NULL },
    { { "reports" }, false, INSTRUCTION_REPORTS, prepare_reports, NULL },
    { { "report" }, false, INSTRUCTION_REPORT, prepare_report, NULL },
    { { "close_report", "note" }, false, INSTRUCTION_COMMAND, prepare_report_close, reply_report_close },
};

static const struct verb *find_verb(const json_t *root) {
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (json_object_get(root, verbs[i].fields[0]) != NULL)
            return &verbs[i];
    return NULL;
}

static bool knows_field(const struct verb *verb, const char *name) {
    for (size_t i = 0; i < FIELDS_MAX && verb->fields[i] != NULL; i++)
        if (strcmp(verb->fields[i], name) == 0)
            return true;
    return false;
}

static bool check_fields(struct instruction *instruction) {
    const char *name;
    json_t *value;
    json_object_foreach(instruction->root, name, value) {
        if (!knows_field(instruction->verb, name))
            return refuse(instruction, ERR_UNKNOWN_FIELD, NULL, "there is no member \"%.64s\" here", name);
    }
    return true;
}

static bool parse(struct instruction *instruction, const char *line, size_t size) {
    json_error_t error;
    instruction->root = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);
    if (instruction->root == NULL)
        return refuse(instruction, ERR_BAD_JSON, NULL, "at byte %d: %.120s", error.position, error.text);
    if (!json_is_object(instruction->root))
        return refuse(instruction, ERR_BAD_JSON, NULL, "is not a JSON object");
    instruction->verb = find_verb(instruction->root);
    if (instruction->verb == NULL)
        return refuse(instruction, ERR_MISSING_FIELD, NULL, "has no member \"user\" or \"chat\"");
    instruction->kind = instruction->verb->kind;
    instruction->names_users = instruction->verb->names_users;
    return check_fields(instruction);
}

struct instruction *instruction_parse(const char *line, size_t size) {
    struct instruction *instruction = calloc(1, sizeof(*instruction));
    if (instruction == NULL)
        return NULL;
    instruction->bytes = size;
    parse(instruction, line, size);
    return instruction;
}

void instruction_prepare(struct instruction *instruction, const struct config *config, struct directory *directory) {
    if (instruction->command.refusal.err == OK)
        instruction->verb->prepare(instruction, config, directory);
}

static void write_refusal(const struct refusal *refusal, uint64_t line, struct buf *replies) {
    const char *detail = refusal->detail != NULL ? refusal->detail : details[refusal->err];
    json_member_string(replies, "error", err_name(refusal->err));
    if (refusal->field != NULL)
        json_member_string(replies, "field", own_field(refusal->field));
    if (detail != NULL)
        json_member_string(replies, "detail", detail);
    json_member_number(replies, "line", line);
}

void instruction_reply_refusal(const struct refusal *refusal, uint64_t line, struct buf *replies) {
    buf_char(replies, '{');
    write_refusal(refusal, line, replies);
    buf_string(replies, "}\n");
}

void instruction_reply(const struct instruction *instruction, struct buf *replies) {
    if (instruction->command.refusal.err != OK) {
        instruction_reply_refusal(&instruction->command.refusal, instruction->line, replies);
        return;
    }
    buf_char(replies, '{');
    instruction->verb->reply(&instruction->command, replies);
    buf_string(replies, "}\n");
}

void instruction_free(struct instruction *instruction) {
    if (instruction == NULL)
        return;
    command_release(&instruction->command);
    json_decref(instruction->root);
    free(instruction->tokens);
    free(instruction->member_ids);
    free(instruction);
}

/* ---- Replies: a reply is its JSON object ---- */

static const json_t *root_of(const struct reply *reply) { return (const json_t *)reply; }

struct reply *reply_parse(const char *line, size_t size) {
    json_t *root = json_loadb(line, size, 0, NULL);
    if (json_is_object(root))
        return (struct reply *)root;
    json_decref(root);
    return NULL;
}

void reply_free(struct reply *reply) { json_decref((json_t *)reply); }

const char *reply_text(const struct reply *reply, const char *member) { return json_string_value(json_object_get(root_of(reply), member)); }

int64_t reply_number(const struct reply *reply, const char *member) { return json_integer_value(json_object_get(root_of(reply), member)); }

bool reply_is_true(const struct reply *reply, const char *member) { return json_is_true(json_object_get(root_of(reply), member)); }

const struct reply *reply_item(const struct reply *reply, const char *member, size_t index) {
    return (const struct reply *)json_array_get(json_object_get(root_of(reply), member), index);
}
