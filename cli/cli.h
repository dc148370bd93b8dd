/* The command line: what a command is, and what all of them share. Main thread. */
#pragma once

#include <stddef.h>

#include "core/config.h"

/* What a command exits with. */
enum status {
    STATUS_OK = 0,
    STATUS_FAILED = 1, /* it was understood, and did not work */
    STATUS_USAGE = 2,  /* wrong arguments or settings: nothing was tried */
};

struct cli_command {
    const char *name;
    const char *summary; /* one line, for lists */
    const char *usage;   /* what follows the program's name, as "user invite [--uses N]" */
    const char *help;    /* paragraphs for --help, each line ending with a newline */
    /* argv[0] is the command's own name. Returns an enum status. --help never gets here. */
    int (*run)(int argc, char **argv);
    /* Commands of the second level, or NULL; `run` is then NULL. Ends with a row without a name. */
    const struct cli_command *commands;
};

/* Runs the command that argv[1] names in `commands` (which end with a row without a name). Knows --help at each level. `title` heads the list of
 * commands; `path` is what was typed before ("parley", "parley user"). */
int cli_dispatch(const struct cli_command *commands, const char *path, const char *title, int argc, char **argv);

/* One line on stderr, after "parley: ". */
void cli_complain(const char *format, ...) PRINTF_LIKE(1, 2);
/* The complaint for arguments that are wrong; returns STATUS_USAGE. */
int cli_misused(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* Reads the settings and sets the log level; false after saying on stderr which setting is wrong. */
bool cli_load_config(struct config *config) MUST_USE;
/* Makes the data folder (mode 0700) with those above it when it is missing; false after saying why not. */
bool cli_make_data_dir(const struct config *config) MUST_USE;

/* The commands: one file each. */
int serve_command(int argc, char **argv);
int migrate_command(int argc, char **argv);
int cleanup_command(int argc, char **argv);
int fsck_command(int argc, char **argv);
int backup_command(int argc, char **argv);
int restore_command(int argc, char **argv);
int config_command(int argc, char **argv);
int version_command(int argc, char **argv);
int routes_command(int argc, char **argv);
extern const struct cli_command user_commands[];
extern const struct cli_command chat_commands[];
extern const struct cli_command media_commands[];
extern const struct cli_command report_commands[];
