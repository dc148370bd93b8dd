/* Durable messages by ejabberd, in the same run as Parley's. */
#include <stdlib.h>

#include "bench.h"
#include "ejabberd.h"
#include "figures.h"
#include "report.h"

static void add_row(struct table *table, const struct ejabberd_result *result) {
    table_cell(table, "ejabberd");
    table_cell(table, "%u", EJABBERD_CONNECTIONS);
    table_count(table, (uint64_t)result->stored_per_second);
    table_latencies(table, &result->load.latency);
    table_count(table, result->load.answered);
    table_count(table, load_errors(&result->load));
    table_cell(table, "%+lld", (long long)(result->stored - result->load.answered));
}

enum outcome scenario_peers_posts(const struct options *options) {
    static const char *const columns[] = { "server",   "connections", "stored/s",   TABLE_LATENCY_COLUMNS,
                                           "answered", "errors",      "stored +/-", NULL };
    if (!ejabberd_is_installed()) {
        complain("peers: ejabberd is not installed (scripts/install.sh bench)");
        return OUTCOME_OK;
    }
    struct ejabberd_result *result = malloc(sizeof *result);
    if (!result)
        return OUTCOME_FAILED;
    struct table table;
    table_start(&table,
                "peers: messages to ejabberd's HTTP API, in the archives of both users on MariaDB; configuration in tests/bench/peers",
                columns);
    complain("peers: ejabberd");
    enum outcome outcome = ejabberd_load(options, options->seconds, result);
    if (outcome == OUTCOME_OK) {
        add_row(&table, result);
        figure_set(FIGURE_EJABBERD_POSTS, result->stored_per_second);
    }
    table_print(&table);
    free(result);
    return outcome;
}
