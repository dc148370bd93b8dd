/* See db_cut.h. */
#include "db_cut.h"

struct commit_cutter *cutter;
static char *own_url;

int cut_set_up(void **state, unsigned trusts_after) {
    if (fixture_set_up(state) != 0)
        return 1;
    struct fixture *fixture = *state;
    cutter = is_on_mariadb() ? commit_cutter_start(fixture->url) : NULL;
    own_url = fixture->config.db;
    if (cutter)
        fixture->config.db = (char *)(uintptr_t)commit_cutter_url(cutter);
    fixture->trusts_after = trusts_after;
    fixture_reopen(fixture);
    return 0;
}

int cut_tear_down(void **state) {
    struct fixture *fixture = *state;
    fixture->config.db = own_url;
    fixture_reopen(fixture);
    if (cutter)
        commit_cutter_stop(cutter);
    cutter = NULL;
    return fixture_tear_down(state);
}
