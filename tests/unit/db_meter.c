/* See db_meter.h. SQLite counts by statement: those of all its connections are added up, which whoever measures has for themselves. */
#include "db_meter.h"

#include <sqlite3.h>

#include "db/store_internal.h"
#include "unit.h"

#define CONNECTIONS 64

static sqlite3 *connections[CONNECTIONS];
static size_t connection_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static const struct query rows_read = {
    "SELECT CAST(sum(variable_value) AS SIGNED) FROM information_schema.session_status"
    " WHERE variable_name IN ('HANDLER_READ_NEXT', 'HANDLER_READ_PREV', 'HANDLER_READ_RND_NEXT', 'HANDLER_READ_RND')"
};

/* An SQLite extension, which is told of every connection. */
static int note_connection(sqlite3 *handle, char **problem, const struct sqlite3_api_routines *routines) {
    (void)problem, (void)routines;
    pthread_mutex_lock(&mutex);
    assert_in_range(connection_count, 0, CONNECTIONS - 1);
    connections[connection_count++] = handle;
    pthread_mutex_unlock(&mutex);
    return SQLITE_OK;
}

void meter_prepare(void) {
    connection_count = 0;
    assert_int_equal(sqlite3_auto_extension((void (*)(void))note_connection), SQLITE_OK);
}

static uint64_t steps_of(sqlite3 *handle) {
    uint64_t steps = 0;
    for (sqlite3_stmt *statement = sqlite3_next_stmt(handle, NULL); statement; statement = sqlite3_next_stmt(handle, statement))
        steps += (uint64_t)sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 0);
    return steps;
}

static uint64_t count_steps(void) {
    uint64_t steps = 0;
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < connection_count; i++)
        steps += steps_of(connections[i]);
    pthread_mutex_unlock(&mutex);
    return steps;
}

static uint64_t count_rows_read(struct db *db) {
    bool row = false;
    struct statement *statement = db_query(db, &rows_read);
    assert_int_equal(db->driver->step(statement, &row), OK);
    uint64_t count = db->driver->column_id(statement, 0);
    db->driver->finish(statement);
    return count;
}

/* Counting reads rows, too. */
struct meter meter_start(struct db *db) {
    if (!is_on_mariadb())
        return (struct meter){ db, count_steps(), 0 };
    uint64_t once = count_rows_read(db), twice = count_rows_read(db);
    return (struct meter){ db, twice, twice - once };
}

uint64_t meter_end(const struct meter *meter) {
    uint64_t count = is_on_mariadb() ? count_rows_read(meter->db) : count_steps();
    return count - meter->before - meter->own;
}

/* The writer has its connection for itself whenever something is due, such as marks: it is measured while the writer is at a gate. */
uint64_t meter_run(struct fixture *fixture, struct command *command) {
    struct volley volley;
    volley_begin_shut(&volley, fixture);
    struct meter meter = meter_start(fixture->store->db);
    assert_int_equal(volley_submit(&volley, command), OK);
    volley_wait(&volley);
    assert_int_equal(command->refusal.err, OK);
    volley_begin_shut(&volley, fixture);
    uint64_t count = meter_end(&meter);
    volley_wait(&volley);
    return count;
}
