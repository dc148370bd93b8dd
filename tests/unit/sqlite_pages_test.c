/* Pages behind the end of the database go, and are searched for only when there are any. */
#include "db/sqlite_pages.h"

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "unit.h"

#define PATH_BYTES 128
#define PAGES 200
#define STEPS 20000

/* ---- The cache below: SQLite's own, counted ---- */

static struct sqlite3_pcache_methods2 plain;
static struct { unsigned truncations, moves_up; } below;

static void counted_truncate(sqlite3_pcache *pages, unsigned limit) {
    below.truncations += limit > 1; /* a statement's own table gives up all of its pages */
    plain.xTruncate(pages, limit);
}

static void counted_renumber(sqlite3_pcache *pages, sqlite3_pcache_page *page, unsigned old, unsigned new) {
    below.moves_up += new > 100000;
    plain.xRekey(pages, page, old, new);
}

static int install(void **state) {
    static struct sqlite3_pcache_methods2 counted;
    (void)state;
    if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &plain) != SQLITE_OK)
        return -1;
    counted = plain;
    counted.xTruncate = counted_truncate;
    counted.xRekey = counted_renumber;
    if (sqlite3_config(SQLITE_CONFIG_PCACHE2, &counted) != SQLITE_OK)
        return -1;
    sqlite_pages_install();
    return sqlite3_initialize() == SQLITE_OK ? 0 : -1;
}

/* ---- In a database ---- */

static void run(sqlite3 *db, const char *sql) {
    char *problem = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &problem) != SQLITE_OK)
        fail_msg("%s: %s", sql, problem);
}

static sqlite3_int64 number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    sqlite3_int64 value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static sqlite3 *open_database(char path[PATH_BYTES]) {
    sqlite3 *db = NULL;
    snprintf(path, PATH_BYTES, "/tmp/parley-sqlite-pages-%d.db", (int)getpid());
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    run(db, "PRAGMA auto_vacuum=FULL; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
            "CREATE TABLE item(id INTEGER PRIMARY KEY, text BLOB); CREATE INDEX item_by_text ON item(text);");
    return db;
}

static void close_database(sqlite3 *db, const char *path) {
    char log[PATH_BYTES + 8];
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(unlink(path), 0);
    snprintf(log, sizeof log, "%s-wal", path);
    (void)unlink(log);
    snprintf(log, sizeof log, "%s-shm", path);
    (void)unlink(log);
}

#define INSERT_100 \
    "INSERT INTO item(text) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT randomblob(400) FROM n;"

static void what_is_not_there_is_not_searched_for(void **state) {
    char path[PATH_BYTES];
    sqlite3 *db = open_database(path);
    (void)state;
    below.truncations = below.moves_up = 0;
    for (int i = 0; i < 50; i++)
        run(db, INSERT_100);
    assert_true(below.moves_up > 0); /* pages were sorted, or this shows nothing */
    assert_int_equal(below.truncations, 0);
    close_database(db, path);
}

static void a_database_that_shrinks_forgets_the_pages_behind_its_end(void **state) {
    char path[PATH_BYTES];
    sqlite3 *db = open_database(path);
    (void)state;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 10; i++)
            run(db, INSERT_100);
        run(db, "BEGIN;" INSERT_100 INSERT_100 "ROLLBACK;");
        below.truncations = 0;
        run(db, "DELETE FROM item WHERE id % 7 <> 0;");
        assert_true(below.truncations > 0);
        assert_int_equal(number(db, "SELECT count(*) = 0 FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 1);
        assert_int_equal(number(db, "SELECT count(*) FROM item WHERE length(text) <> 400"), 0);
    }
    close_database(db, path);
}

/* ---- By itself ---- */

struct model {
    sqlite3_pcache *pages;
    sqlite3_pcache_page *held[2 * PAGES]; /* by number, from 1; NULL: it is not there */
};

static void fetch(const struct sqlite3_pcache_methods2 *methods, struct model *model, unsigned page) {
    sqlite3_pcache_page *found = methods->xFetch(model->pages, page, 2);
    assert_non_null(found);
    if (model->held[page])
        assert_ptr_equal(found, model->held[page]);
    model->held[page] = found;
}

static void renumber(const struct sqlite3_pcache_methods2 *methods, struct model *model, unsigned old, unsigned new) {
    if (!model->held[old] || model->held[new])
        return;
    methods->xRekey(model->pages, model->held[old], old, new);
    model->held[new] = model->held[old];
    model->held[old] = NULL;
}

static void truncate_to(const struct sqlite3_pcache_methods2 *methods, struct model *model, unsigned limit) {
    methods->xTruncate(model->pages, limit);
    for (unsigned page = limit; page < 2 * PAGES; page++)
        model->held[page] = NULL;
}

static void check(const struct sqlite3_pcache_methods2 *methods, const struct model *model) {
    int count = 0;
    for (unsigned page = 1; page < 2 * PAGES; page++) {
        assert_ptr_equal(methods->xFetch(model->pages, page, 0), model->held[page]);
        count += model->held[page] != NULL;
    }
    assert_int_equal(methods->xPagecount(model->pages), count);
}

static void whatever_is_done_only_pages_behind_the_limit_go(void **state) {
    struct sqlite3_pcache_methods2 methods;
    struct model model = { 0 };
    (void)state;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &methods), SQLITE_MISUSE); /* while SQLite is in use nothing may change */
    assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &methods), SQLITE_OK);
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    model.pages = methods.xCreate(512, 64, 1);
    assert_non_null(model.pages);
    methods.xCachesize(model.pages, 4 * PAGES);
    unsigned random = 1;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1103515245 + 12345;
        unsigned page = 1 + (random >> 8) % (PAGES - 1), other = 1 + (random >> 16) % (2 * PAGES - 1);
        if (step % 50 == 0)
            truncate_to(&methods, &model, other);
        else if (step % 3 == 0)
            renumber(&methods, &model, step % 2 ? page : other, step % 2 ? other : page);
        else
            fetch(&methods, &model, page);
        if (step % 50 == 1)
            check(&methods, &model);
    }
    methods.xDestroy(model.pages);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_there_is_not_searched_for),
        cmocka_unit_test(a_database_that_shrinks_forgets_the_pages_behind_its_end),
        cmocka_unit_test(whatever_is_done_only_pages_behind_the_limit_go),
    };
    return cmocka_run_group_tests(tests, install, NULL);
}
