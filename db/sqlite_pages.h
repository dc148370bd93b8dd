/* SQLite's cache of pages, spared its search for pages behind the file's end.
 *
 * At each commit SQLite drops the pages that are behind the end of the database. Its cache looks for them, over all it holds, when it ever had one of so high a
 * number; and while it sorts new pages SQLite gives one, for a moment, the number of the page at 1 GiB. So in smaller databases, where a cleanup frees pages and
 * messages take them again, nearly each commit searched 32,000 pages in vain, which took a sixth of the writer's time. Here the highest number that a page has is
 * known, and the cache is asked only when there is something to drop. All else goes through to it.
 *
 * Threads: a cache is its connection's, as before. */
#pragma once

/* For connections that are opened from now on. Where SQLite is in use already, nothing changes. */
void sqlite_pages_install(void);
