/* Owns what all commands share: finding them by name, help, complaints, settings and the data folder.
 *
 * Threads: main. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"

/* ---- Complaints ---- */

void cli_complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("parley: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

int cli_misused(const char *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "parley %s: ", command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; see parley %s --help\n", command);
    va_end(arguments);
    return STATUS_USAGE;
}

/* ---- Finding commands ---- */

static bool is_help(const char *argument) { return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0; }

static const struct cli_command *find(const struct cli_command *commands, const char *name) {
    for (; commands->name != NULL; commands++)
        if (strcmp(commands->name, name) == 0)
            return commands;
    return NULL;
}

static void print_commands(FILE *out, const struct cli_command *commands, const char *path, const char *title) {
    fprintf(out, "%s\n\nusage: %s COMMAND [ARGUMENT...]\n\n", title, path);
    for (; commands->name != NULL; commands++)
        fprintf(out, "  %-10s %s\n", commands->name, commands->summary);
    fprintf(out, "\n%s COMMAND --help says more about each.\n", path);
}

static int print_help(const struct cli_command *command) {
    printf("%s\n\nusage: parley %s\n\n%s", command->summary, command->usage, command->help);
    return STATUS_OK;
}

static bool asks_for_help(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (is_help(argv[i]))
            return true;
    return false;
}

static int run(const struct cli_command *command, const char *path, int argc, char **argv) {
    char longer[64];
    if (command->commands != NULL) {
        snprintf(longer, sizeof(longer), "%s %s", path, command->name);
        return cli_dispatch(command->commands, longer, command->summary, argc, argv);
    }
    return asks_for_help(argc, argv) ? print_help(command) : command->run(argc, argv);
}

int cli_dispatch(const struct cli_command *commands, const char *path, const char *title, int argc, char **argv) {
    if (argc < 2) {
        print_commands(stderr, commands, path, title);
        return STATUS_USAGE;
    }
    if (is_help(argv[1])) {
        print_commands(stdout, commands, path, title);
        return STATUS_OK;
    }
    const struct cli_command *command = find(commands, argv[1]);
    if (command == NULL) {
        cli_complain("there is no command \"%s %s\"; %s --help lists them", path, argv[1], path);
        return STATUS_USAGE;
    }
    return run(command, path, argc - 1, argv + 1);
}

/* ---- Settings and folders ---- */

bool cli_load_config(struct config *config) {
    char problem[512] = "out of memory";
    enum log_level level;

    if (config_load(config, problem, sizeof(problem)) != OK) {
        cli_complain("%s", problem);
        return false;
    }
    if (log_parse_level(config->log_level, &level))
        log_set_level(level);
    return true;
}

/* Makes every folder of the path that is missing. */
static bool make_folders(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool is_there = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!is_there)
            return false;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

bool cli_make_data_dir(const struct config *config) {
    char *path = strdup(config->data_dir);
    bool made = path != NULL && make_folders(path);
    if (!made)
        cli_complain("PARLEY_DATA_DIR: cannot make the folder %s: %s", config->data_dir, strerror(errno));
    free(path);
    return made;
}
