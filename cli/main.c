/* Owns the table of commands and how the process ends.
 *
 * Threads: main. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

static const struct cli_command commands[] = {
    {
        .name = "serve",
        .summary = "run the server",
        .usage = "serve",
        .help =
            "Serves the API and the event streams until SIGTERM or SIGINT, which let running requests finish and tell the streams when to come\n"
            "back; a second signal ends at once. Settings come from the environment: see parley config.\n",
        .run = serve_command,
    },
    {
        .name = "migrate",
        .summary = "bring the database to this version's schema",
        .usage = "migrate",
        .help = "The server does the same when it starts; this is for doing it on its own, with no server running. It can be repeated.\n",
        .run = migrate_command,
    },
    {
        .name = "cleanup",
        .summary = "delete what retention has expired, now",
        .usage = "cleanup --once [--dry-run]",
        .help =
            "Deletes expired messages, their files in the media storage, abandoned uploads, ended sessions and what else is past its time, and says\n"
            "how much of each. The server does the same at an interval (PARLEY_CLEANUP_INTERVAL; 0 leaves it to this command, from cron or a timer).\n"
            "Works through the running server, or on the database when none runs. Exits with 1 when anything could not be deleted.\n"
            "\n"
            "  --once     clean up and end\n"
            "  --dry-run  with --once: only count what is due\n",
        .run = cleanup_command,
    },
    {
        .name = "fsck",
        .summary = "compare the database with the media storage",
        .usage = "fsck [--repair]",
        .help =
            "Prints a line for each thing that does not fit:\n"
            "\n"
            "  missing   media that can be used, whose object is not in the storage; it cannot be brought back\n"
            "  mismatch  media whose object has another size or MD5 than was uploaded\n"
            "  orphan    an object that belongs to nothing\n"
            "  upload    a multipart upload that nobody will complete\n"
            "\n"
            "What may still be on its way is not judged, so that it can run beside the server. Exits with 0 when all fits, and with 1 when something\n"
            "does not, or could not be looked at.\n"
            "\n"
            "  --repair  delete orphans and abort such uploads; what then is left makes the exit status 1\n",
        .run = fsck_command,
    },
    {
        .name = "backup",
        .summary = "write everything that is in the database to a file",
        .usage = "backup FILE|-",
        .help =
            "Writes the whole database, as it is at one moment, to the file, or with - to the standard output. The server may run meanwhile. A file of\n"
            "that name is replaced when the new one is whole. People's files (media) are not in it, but in the media storage.\n"
            "\n"
            "The backup is as secret as the database: it holds messages, and what sessions and keys are made with. The file is for its owner only.\n",
        .run = backup_command,
    },
    {
        .name = "restore",
        .summary = "make a database from a backup",
        .usage = "restore FILE|-",
        .help =
            "Makes the database that PARLEY_DB names from a backup, of whichever kind of database it was. No server may run on it, and it must be\n"
            "empty. When anything fails, it is empty afterwards, too; when this is interrupted, nobody can use it, and the same can be done again.\n"
            "\n"
            "Sessions stay valid. Streams go on beyond anything that was lost: every client is told to reload. Run parley fsck afterwards.\n",
        .run = restore_command,
    },
    { .name = "media", .summary = "set up the media storage", .commands = media_commands },
    { .name = "user", .summary = "create, invite and import users", .commands = user_commands },
    { .name = "chat", .summary = "import the followers of a channel", .commands = chat_commands },
    { .name = "report", .summary = "see and close what users have reported", .commands = report_commands },
    {
        .name = "config",
        .summary = "print or check the settings",
        .usage = "config [--check]",
        .help = "Prints every setting with its type, default, current value and meaning. Settings are environment variables.\n"
                "\n"
                "  --check  print nothing; exit 0 when the settings are right, else say which one is wrong and exit 2\n",
        .run = config_command,
    },
    {
        .name = "routes",
        .summary = "print the API's routes",
        .usage = "routes",
        .help = "One line per route: METHOD PATH AUTH STATUS, where AUTH is none, user or stream and STATUS is that of success.\n",
        .run = routes_command,
    },
    {
        .name = "version",
        .summary = "print the version",
        .usage = "version",
        .help = "Prints the version that this program was built from.\n",
        .run = version_command,
    },
    { 0 },
};

/* What was printed must have arrived: a full disk is a failure. */
static int finish(int status) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    cli_complain("cannot write the output: %s", strerror(errno));
    return status == STATUS_OK ? STATUS_FAILED : status;
}

int main(int argc, char **argv) {
    umask(077); /* whatever is written holds people's messages: for nobody else, wherever the data folder is */
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return finish(version_command(1, argv + 1));
    return finish(cli_dispatch(commands, "parley", "Parley: a chat backend with a REST API and event streams", argc, argv));
}
