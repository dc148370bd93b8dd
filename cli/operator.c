/* Owns the instructions in flight. Instructions are read and submitted until a batch is full or the input pauses; then it waits for all of them and
 * replies in order. The writer takes what waits as one commit, so a batch costs about one.
 *
 * Threads: its caller's; finish() runs on the writer's. */
#include "cli/operator.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "cli/instruction.h"
#include "core/log.h"

#define BATCH_COUNT LIMIT_BATCH_COMMANDS
#define REPORTS_ARENA_BYTES ((size_t)4 * 1024 * 1024)
#define BATCH_BYTES ((size_t)8 * 1024 * 1024)
/* How long the writer's queue may stay full because of others. */
#define QUEUE_WAITS 1000
#define QUEUE_WAIT_MS 10

struct operator{
    const struct cleanup_target *target;
    operator_output output;
    void *context;
    struct reader *reader;
    struct directory *directory;
    const struct lines *lines; /* while they are run */
    uint64_t line;

    struct instruction *batch[BATCH_COUNT]; /* owned, in order */
    size_t count;
    size_t bytes;     /* of their lines */
    bool makes_users; /* one of them is not a chat, so a name may become known */
    struct buf replies;
    bool is_unwanted; /* the output has said that nobody wants replies */

    pthread_mutex_t mutex;
    pthread_cond_t finished;
    size_t unfinished; /* commands that the store has; under mutex */
};

enum err operator_open(const struct cleanup_target *target, operator_output output, void *context, struct operator** ret_operator) {
    struct operator* operator= calloc(1, sizeof(*operator));
    if (operator== NULL)
        return ERR_NO_MEMORY;
    operator->target = target;
    operator->output = output;
    operator->context = context;
    pthread_mutex_init(&operator->mutex, NULL);
    pthread_cond_init(&operator->finished, NULL);

    enum err err = reader_open(target->store, &operator->reader);
    if (err == OK)
        err = directory_new(operator->reader, &operator->directory);
    if (err != OK) {
        operator_close(operator);
        return err;
    }
    *ret_operator = operator;
    return OK;
}

void operator_close(struct operator* operator) {
    if (operator== NULL)
        return;
    directory_free(operator->directory);
    if (operator->reader != NULL)
        reader_close(operator->reader);
    buf_release(&operator->replies);
    pthread_cond_destroy(&operator->finished);
    pthread_mutex_destroy(&operator->mutex);
    free(operator);
}

/* ---- In flight ---- */

static void add_unfinished(struct operator* operator, size_t change) {
    pthread_mutex_lock(&operator->mutex);
    operator->unfinished += change;
    pthread_cond_signal(&operator->finished);
    pthread_mutex_unlock(&operator->mutex);
}

static void finish(struct command *command) { add_unfinished(command->context, (size_t)-1); }

/* Waits until at most `most` commands are unfinished. */
static void wait_for_store(struct operator* operator, size_t most) {
    pthread_mutex_lock(&operator->mutex);
    while (operator->unfinished> most)
        pthread_cond_wait(&operator->finished, &operator->mutex);
    pthread_mutex_unlock(&operator->mutex);
}

/* Waits for room in the writer's queue: until one of ours is done or, when others fill it, for a moment. */
static void wait_for_room(struct operator* operator) {
    pthread_mutex_lock(&operator->mutex);
    size_t before = operator->unfinished;
    pthread_mutex_unlock(&operator->mutex);
    if (before > 0)
        wait_for_store(operator, before - 1);
    else
        poll(NULL, 0, QUEUE_WAIT_MS);
}

static void submit(struct operator* operator, struct command * command) {
    command->done = finish;
    command->context = operator;
    add_unfinished(operator, 1);
    enum err err = store_submit(operator->target->store, command);
    for (unsigned waits = 0; err == ERR_OVERLOADED && waits < QUEUE_WAITS; waits++) {
        add_unfinished(operator,(size_t) - 1);
        wait_for_room(operator);
        add_unfinished(operator, 1);
        err = store_submit(operator->target->store, command);
    }
    if (err != OK) {
        command->refusal.err = err;
        finish(command);
    }
}

/* ---- Replies ---- */

static void put_out(struct operator* operator) {
    struct buf *replies = &operator->replies;
    if (!buf_ok(replies))
        operator->is_unwanted = true;
    if (replies->size > 0 && !operator->is_unwanted)
        operator->is_unwanted = !operator->output(operator->context, replies->bytes, replies->size);
    buf_clear(replies);
}

/* Who has access to the server closes reports; the note is for its row alone. */
static void log_decision(const struct command *command) {
    if (command->type == COMMAND_REPORT_CLOSE && command->refusal.err == OK)
        log_event(LOG_INFO, "report_closed", "report=%" PRIu64, command->out.id);
}

static void reply(struct operator* operator, struct instruction * instruction) {
    const struct command *command = &instruction->command;
    log_decision(command);
    if (command->type == COMMAND_USER_CREATE && command->refusal.err == OK)
        directory_add(operator->directory, command->in.user_create.username, command->out.id);
    instruction_reply(instruction, &operator->replies);
    instruction_free(instruction);
}

/* Waits for all that is in flight and puts the replies out. */
static void flush(struct operator* operator) {
    wait_for_store(operator, 0);
    for (size_t i = 0; i < operator->count; i++)
        reply(operator, operator->batch[i]);
    operator->count = 0;
    operator->bytes = 0;
    operator->makes_users = false;
    put_out(operator);
}

static void refuse_line(struct operator* operator, enum err err, const char *detail) {
    const struct refusal refusal = { .err = err, .detail = detail };
    flush(operator);
    instruction_reply_refusal(&refusal, operator->line, &operator->replies);
}

/* ---- Instructions ---- */

static bool reply_progress(void *context, const struct cleanup_step *step) {
    struct operator* operator= context;
    if (*step->sweep != '\0')
        instruction_reply_cleanup(step, &operator->replies);
    put_out(operator);
    return !operator->is_unwanted && !lines_stopped(operator->lines);
}

static const char *describe_failure(enum err err) {
    if (err == ERR_STORAGE_UNAVAILABLE)
        return storage_problem();
    return err == ERR_CONFLICT ? "another node is cleaning up: this was not done" : NULL;
}

static void clean(struct operator* operator, struct instruction * instruction) {
    const struct cleanup_options options = {
        .dry_run = instruction->dry_run, .checks_uploads = true, .progress = reply_progress, .context = operator, };
    flush(operator);
    enum err err = cleanup_once(operator->target, &options);
    if (err != OK)
        refuse_line(operator, err, describe_failure(err));
    instruction_free(instruction);
}

/* One page's replies are out before the next is read. 0: there are no more. */
static enum err show_page(struct operator* operator, const struct report_request * request, uint64_t *ret_last_id) {
    struct arena arena = ARENA_INIT(REPORTS_ARENA_BYTES);
    struct report_shown *reports;
    size_t count;
    enum err err = read_reports(operator->reader, request, &arena, &reports, &count);
    for (size_t i = 0; err == OK && i < count; i++)
        instruction_reply_report(&reports[i], false, &operator->replies);
    if (err == OK)
        *ret_last_id = count == request->limit ? reports[count - 1].report.id : 0;
    arena_release(&arena);
    put_out(operator);
    return err;
}

static void show_reports(struct operator* operator, struct instruction * instruction) {
    struct report_request request = instruction->reports;
    enum err err;
    flush(operator);
    do
        err = show_page(operator, & request, &request.after_id);
    while (err == OK && request.after_id != 0 && !operator->is_unwanted && !lines_stopped(operator->lines));
    if (err != OK)
        refuse_line(operator, err, "the reports cannot be read");
    instruction_free(instruction);
}

static void show_report(struct operator* operator, struct instruction * instruction) {
    struct arena arena = ARENA_INIT(REPORTS_ARENA_BYTES);
    struct report_shown shown;
    flush(operator);
    enum err err = read_report(operator->reader, instruction->report_id, &arena, &shown);
    if (err == OK)
        instruction_reply_report(&shown, true, &operator->replies);
    else
        refuse_line(operator, err, err == ERR_NOT_FOUND ? "there is no such report" : "the report cannot be read");
    arena_release(&arena);
    instruction_free(instruction);
}

static void add(struct operator* operator, struct instruction * instruction) {
    operator->batch[operator->count++] = instruction;
    operator->bytes += instruction->bytes;
    operator->makes_users |= !instruction->names_users;
    if (instruction->command.refusal.err == OK)
        submit(operator, & instruction->command);
    if (operator->count == BATCH_COUNT || operator->bytes >= BATCH_BYTES)
        flush(operator);
}

static void carry_out(struct operator* operator, const char * line, size_t size) {
    struct instruction *instruction = instruction_parse(line, size);
    if (instruction == NULL) {
        refuse_line(operator, ERR_NO_MEMORY, NULL);
        return;
    }
    instruction->line = operator->line;
    if (instruction->names_users && operator->makes_users)
        flush(operator);
    instruction_prepare(instruction, operator->target->config, operator->directory);

    if (instruction->command.refusal.err != OK) {
        add(operator, instruction);
        return;
    }
    switch (instruction->kind) {
    case INSTRUCTION_COMMAND:
        add(operator, instruction);
        break;
    case INSTRUCTION_CLEANUP:
        clean(operator, instruction);
        break;
    case INSTRUCTION_REPORTS:
        show_reports(operator, instruction);
        break;
    case INSTRUCTION_REPORT:
        show_report(operator, instruction);
        break;
    }
}

static bool is_blank(const char *line, size_t size) {
    while (size > 0 && (line[size - 1] == ' ' || line[size - 1] == '\t' || line[size - 1] == '\r'))
        size--;
    return size == 0;
}

enum lines_result operator_run(struct operator* operator, struct lines * lines) {
    enum lines_result result = LINES_FAILED;
    operator->lines = lines;
    while (!operator->is_unwanted) {
        const char *line;
        size_t size;
        if (!lines_ready(lines))
            flush(operator);
        result = lines_next(lines, &line, &size);
        if (result != LINES_LINE)
            break;
        operator->line++;
        if (!is_blank(line, size))
            carry_out(operator, line, size);
    }
    flush(operator);
    if (result == LINES_TOO_LONG) {
        operator->line++;
        refuse_line(operator, ERR_BODY_TOO_LARGE, "the line is longer than 4 MiB");
        put_out(operator);
    }
    return operator->is_unwanted ? LINES_FAILED : result;
}
