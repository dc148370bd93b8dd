/* `parley cleanup --once`: asks whoever has the database to clean up, shows how far it is, and says what was done.
 *
 * Threads: main. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/instruction.h"
#include "cli/operate.h"

#define SWEEPS_MAX 16
#define BAR_WIDTH 30

/* What one sweep has done so far. */
struct tally {
    char sweep[16];
    uint64_t rows, objects, bytes;
    int64_t overdue_ms; /* of the oldest thing that is left */
    int64_t worst_ms;   /* the most that it was */
    bool more;
};

struct cleaning {
    bool dry_run;
    bool shows_progress;
    bool failed;
    struct tally tallies[SWEEPS_MAX];
    size_t count;
};

/* ---- What was done ---- */

/* NULL: a server with more sweeps than this program can count. */
static struct tally *find_tally(struct cleaning *cleaning, const char *sweep) {
    for (size_t i = 0; i < cleaning->count; i++)
        if (strcmp(cleaning->tallies[i].sweep, sweep) == 0)
            return &cleaning->tallies[i];
    if (cleaning->count == SWEEPS_MAX)
        return NULL;
    struct tally *tally = &cleaning->tallies[cleaning->count++];
    snprintf(tally->sweep, sizeof(tally->sweep), "%s", sweep);
    return tally;
}

static void add_step(struct cleaning *cleaning, const struct reply *reply) {
    const char *sweep = reply_text(reply, "sweep");
    struct tally *tally = find_tally(cleaning, sweep == NULL ? "" : sweep);
    if (tally == NULL)
        return;
    tally->rows += (uint64_t)reply_number(reply, "rows");
    tally->objects += (uint64_t)reply_number(reply, "objects");
    tally->bytes += (uint64_t)reply_number(reply, "bytes");
    tally->overdue_ms = reply_number(reply, "overdue_ms");
    tally->worst_ms = tally->overdue_ms > tally->worst_ms ? tally->overdue_ms : tally->worst_ms;
    tally->more = reply_is_true(reply, "more");
}

static struct tally sum(const struct cleaning *cleaning) {
    struct tally total = { .sweep = "total" };
    for (size_t i = 0; i < cleaning->count; i++) {
        const struct tally *tally = &cleaning->tallies[i];
        total.rows += tally->rows;
        total.objects += tally->objects;
        total.bytes += tally->bytes;
        total.overdue_ms += tally->overdue_ms;
        total.worst_ms += tally->worst_ms;
        total.more |= tally->more;
    }
    return total;
}

/* ---- Progress ---- */

/* How much is left is known only by its age: the sweeps take the oldest first, so the oldest that is left comes closer to being in time. */
static void show_progress(const struct cleaning *cleaning) {
    struct tally total = sum(cleaning);
    int64_t done_ms = total.worst_ms - total.overdue_ms;
    int share = total.worst_ms == 0 ? 0 : (int)((double)done_ms / (double)total.worst_ms * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];
    memset(bar, '#', (size_t)share);
    memset(bar + share, ' ', (size_t)(BAR_WIDTH - share));
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %" PRIu64 " rows, %" PRIu64 " objects, %.1f MiB ", bar, total.rows, total.objects,
            (double)total.bytes / (1024 * 1024));
}

static void take_reply(void *context, const char *line, size_t size) {
    struct cleaning *cleaning = context;
    struct reply *reply = reply_parse(line, size);
    const char *error = reply == NULL ? "bad_json" : reply_text(reply, "error");
    const char *detail = reply == NULL ? NULL : reply_text(reply, "detail");

    if (error == NULL)
        add_step(cleaning, reply);
    if (cleaning->shows_progress)
        show_progress(cleaning);
    if (error != NULL) {
        fputs(cleaning->shows_progress ? "\n" : "", stderr);
        cli_complain("the cleanup failed: %s%s%s", error, detail == NULL ? "" : ": ", detail == NULL ? "" : detail);
    }
    cleaning->failed |= error != NULL;
    reply_free(reply);
}

/* ---- The summary ---- */

static void print_tally(const struct tally *tally) {
    if (tally->rows + tally->objects == 0)
        return;
    printf("%-10s %s%" PRIu64 " rows", tally->sweep, tally->more ? "at least " : "", tally->rows);
    if (tally->objects > 0)
        printf(", %" PRIu64 " objects", tally->objects);
    if (tally->bytes > 0)
        printf(", %" PRIu64 " bytes", tally->bytes);
    putchar('\n');
}

static void print_summary(const struct cleaning *cleaning) {
    struct tally total = sum(cleaning);
    for (size_t i = 0; i < cleaning->count; i++)
        print_tally(&cleaning->tallies[i]);
    printf("%s%" PRIu64 " rows and %" PRIu64 " objects (%" PRIu64 " bytes) %s\n", total.more ? "at least " : "", total.rows, total.objects,
           total.bytes, cleaning->dry_run ? "are due" : "cleaned up");
}

static int clean(const struct config *config, struct cleaning *cleaning) {
    const struct operation operation = {
        .text = cleaning->dry_run ? "{\"cleanup\":\"count\"}\n" : "{\"cleanup\":\"run\"}\n",
        .fd = -1,
        .reply = take_reply,
        .context = cleaning,
    };
    int status = operate(config, &operation);
    if (cleaning->shows_progress && !cleaning->failed)
        fputc('\n', stderr);
    if (status == STATUS_OK || cleaning->count > 0)
        print_summary(cleaning);
    return cleaning->failed ? STATUS_FAILED : status;
}

int cleanup_command(int argc, char **argv) {
    struct cleaning cleaning = { .shows_progress = isatty(STDERR_FILENO) };
    struct config config;
    bool once = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--once") == 0)
            once = true;
        else if (strcmp(argv[i], "--dry-run") == 0)
            cleaning.dry_run = true;
        else
            return cli_misused("cleanup", "unexpected argument \"%s\"", argv[i]);
    }
    if (!once)
        return cli_misused("cleanup", "--once is missing");
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    int status = clean(&config, &cleaning);
    config_release(&config);
    return status;
}
