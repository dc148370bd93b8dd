#include "db/sqlite_pages.h"

#include <sqlite3.h>
#include <stdlib.h>

/* Each page is at `highest` at most, or is the one that is `parked`. */
struct sqlite3_pcache {
    sqlite3_pcache *below;
    unsigned highest;
    unsigned parked; /* beyond `highest`; 0: none is */
};

static struct sqlite3_pcache_methods2 below;

static int pages_init(void *context) { return below.xInit(context); }

static void pages_shutdown(void *context) { below.xShutdown(context); }

static sqlite3_pcache *pages_create(int size, int extra_size, int purgeable) {
    sqlite3_pcache *pages = calloc(1, sizeof *pages);
    if (pages)
        pages->below = below.xCreate(size, extra_size, purgeable);
    if (pages && pages->below)
        return pages;
    free(pages);
    return NULL;
}

static void pages_destroy(sqlite3_pcache *pages) {
    below.xDestroy(pages->below);
    free(pages);
}

static void pages_set_size(sqlite3_pcache *pages, int size) { below.xCachesize(pages->below, size); }

static int pages_count(sqlite3_pcache *pages) { return below.xPagecount(pages->below); }

static void pages_shrink(sqlite3_pcache *pages) { below.xShrink(pages->below); }

static sqlite3_pcache_page *pages_fetch(sqlite3_pcache *pages, unsigned number, int create) {
    sqlite3_pcache_page *page = below.xFetch(pages->below, number, create);
    if (page && number > pages->highest)
        pages->highest = number;
    return page;
}

static void pages_unpin(sqlite3_pcache *pages, sqlite3_pcache_page *page, int discard) { below.xUnpin(pages->below, page, discard); }

/* One page at a time is given a number that is free, so that others may change places. */
static void pages_renumber(sqlite3_pcache *pages, sqlite3_pcache_page *page, unsigned old, unsigned new) {
    below.xRekey(pages->below, page, old, new);
    if (old == pages->parked)
        pages->parked = 0;
    if (new <= pages->highest)
        return;
    if (pages->parked)
        pages->highest = new > pages->parked ? new : pages->parked;
    else
        pages->parked = new;
}

static void pages_truncate(sqlite3_pcache *pages, unsigned limit) {
    if (pages->highest < limit && pages->parked < limit)
        return;
    below.xTruncate(pages->below, limit);
    if (pages->highest >= limit)
        pages->highest = limit - 1;
    if (pages->parked >= limit)
        pages->parked = 0;
}

void sqlite_pages_install(void) {
    static const struct sqlite3_pcache_methods2 methods = {
        .iVersion = 1,
        .xInit = pages_init,
        .xShutdown = pages_shutdown,
        .xCreate = pages_create,
        .xCachesize = pages_set_size,
        .xPagecount = pages_count,
        .xFetch = pages_fetch,
        .xUnpin = pages_unpin,
        .xRekey = pages_renumber,
        .xTruncate = pages_truncate,
        .xDestroy = pages_destroy,
        .xShrink = pages_shrink,
    };
    if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &below) == SQLITE_OK)
        (void)sqlite3_config(SQLITE_CONFIG_PCACHE2, &methods);
}
