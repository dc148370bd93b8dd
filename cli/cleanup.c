/* `parley cleanup --once`: asks whoever has the database to clean up, and says how far it is.
 *
 * Threads: main. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/instruction.h"
#include "cli/operate.h"

struct sweeping {
    bool dry_run;
    bool shows_progress;
    bool more;
    bool failed;
    uint64_t rows;
};

static void count_rows(struct sweeping *sweeping, const struct reply *reply) {
    sweeping->rows += (uint64_t)reply_number(reply, "rows");
    sweeping->more = reply_is_true(reply, "more");
    if (sweeping->shows_progress)
        fprintf(stderr, "\r%" PRIu64 " rows%s", sweeping->rows, sweeping->more ? " ..." : "    \n");
}

static void take_reply(void *context, const char *line, size_t size) {
    struct sweeping *sweeping = context;
    struct reply *reply = reply_parse(line, size);
    const char *error = reply == NULL ? "bad_json" : reply_text(reply, "error");

    if (error == NULL)
        count_rows(sweeping, reply);
    else
        cli_complain("the cleanup failed after %" PRIu64 " rows: %s", sweeping->rows, error);
    sweeping->failed |= error != NULL;
    reply_free(reply);
}

static int clean(const struct config *config, struct sweeping *sweeping) {
    const struct operation operation = {
        .text = sweeping->dry_run ? "{\"cleanup\":\"count\"}\n" : "{\"cleanup\":\"run\"}\n",
        .fd = -1,
        .reply = take_reply,
        .context = sweeping,
    };
    int status = operate(config, &operation);
    if (status != STATUS_OK || sweeping->failed)
        return STATUS_FAILED;
    if (sweeping->dry_run)
        printf("%s%" PRIu64 " rows are due\n", sweeping->more ? "at least " : "", sweeping->rows);
    else
        printf("%" PRIu64 " rows cleaned up\n", sweeping->rows);
    return STATUS_OK;
}

int cleanup_command(int argc, char **argv) {
    struct sweeping sweeping = { .shows_progress = isatty(STDERR_FILENO) };
    struct config config;
    bool once = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--once") == 0)
            once = true;
        else if (strcmp(argv[i], "--dry-run") == 0)
            sweeping.dry_run = true;
        else
            return cli_misused("cleanup", "unexpected argument \"%s\"", argv[i]);
    }
    if (!once)
        return cli_misused("cleanup", "--once is missing");
    if (!cli_load_config(&config))
        return STATUS_USAGE;
    int status = clean(&config, &sweeping);
    config_release(&config);
    return status;
}
