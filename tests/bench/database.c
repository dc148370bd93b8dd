#include "database.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "process.h"

#define SCRIPT "tests/support/mariadb.sh"
#define PARENT "/tmp" /* a socket is in it, whose name is short, and the user mysql must get there */

bool database_is_installed(void) { return process_is_installed("mariadbd"); }

static enum outcome run_script(const struct database *database, const char *action, const char *log) {
    char script[] = SCRIPT, verb[16];
    char *const arguments[] = { script, verb, NULL };
    snprintf(verb, sizeof verb, "%s", action);
    setenv("DIR", database->folder, 1);
    enum outcome outcome = process_run(arguments, log, "MariaDB");
    unsetenv("DIR");
    return outcome;
}

enum outcome database_start(uint16_t port, struct database *ret_database) {
    struct database database = { 0 };
    char log[PATH_MAX];
    snprintf(database.folder, sizeof database.folder, PARENT "/parley-bench-db-XXXXXX");
    if (!mkdtemp(database.folder) || chmod(database.folder, 0755)) {
        complain("MariaDB: cannot make a folder in " PARENT ": %s", strerror(errno));
        return OUTCOME_FAILED;
    }
    snprintf(log, sizeof log, "%.3900s/script.log", database.folder);
    snprintf(database.socket, sizeof database.socket, "%.3900s/socket", database.folder);
    snprintf(database.url, sizeof database.url, "mariadb://parley@/parley?socket=%.200s", database.socket);
    char number[8];
    snprintf(number, sizeof number, "%u", port);
    if (port)
        setenv("PORT", number, 1);
    enum outcome outcome = run_script(&database, "start", log);
    unsetenv("PORT");
    if (outcome) {
        database_release(&database);
        return OUTCOME_FAILED;
    }
    *ret_database = database;
    return OUTCOME_OK;
}

enum outcome database_administrate(const struct database *database, const char *statements) {
    char client[] = "mariadb", defaults[] = "--no-defaults", user[] = "-uroot", option[] = "-e", log[PATH_MAX], path[PATH_MAX];
    char *text = strdup(statements);
    if (!text)
        return OUTCOME_FAILED;
    snprintf(log, sizeof log, "%.3900s/script.log", database->folder);
    snprintf(path, sizeof path, "--socket=%.3900s", database->socket);
    char *const arguments[] = { client, defaults, user, path, option, text, NULL };
    enum outcome outcome = process_run(arguments, log, "MariaDB");
    free(text);
    return outcome;
}

void database_release(struct database *database) {
    if (!database->folder[0])
        return;
    if (run_script(database, "stop", "/dev/null"))
        complain("MariaDB: the server in %s was not stopped", database->folder);
    process_remove_folder(database->folder);
    database->folder[0] = '\0';
}
