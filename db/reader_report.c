/* Reading reports, for administrators. */
#include "core/clock.h"
#include "db/reader_internal.h"
#include "db/store_internal.h"

/* Whoever is named may have no row any more after a restore from elsewhere. */
#define SHOWN_COLUMNS REPORT_COLUMNS ", r.username, u.username"
#define NAMES " LEFT JOIN user r ON r.id = o.reporter_id LEFT JOIN user u ON u.id = o.user_id"

static const struct query open_reports = { "SELECT " SHOWN_COLUMNS " FROM report o" NAMES
                                           " WHERE o.closed_ms = 0 AND o.id > ?1 ORDER BY o.id LIMIT ?2" };
static const struct query all_reports = { "SELECT " SHOWN_COLUMNS " FROM report o" NAMES " WHERE o.id > ?1 ORDER BY o.id LIMIT ?2" };
static const struct query report_by_id = { "SELECT " SHOWN_COLUMNS ", o.text, o.attachments FROM report o" NAMES " WHERE o.id = ?1" };
static const struct query count_open = { "SELECT count(*) FROM report WHERE closed_ms = 0" };

static enum err take_shown(struct reader *reader, struct statement *row, struct arena *arena, struct report_shown *ret_shown) {
    struct report_shown shown = { .reporter_name = NULL };
    enum err err = row_report(reader->db, row, 0, arena, &shown.report);
    if (err != OK)
        return err;
    shown.reporter_name = db_column_text(reader->db, row, REPORT_COLUMN_COUNT, arena, NULL);
    shown.user_name = db_column_text(reader->db, row, REPORT_COLUMN_COUNT + 1, arena, NULL);
    *ret_shown = shown;
    return OK;
}

enum err read_reports(struct reader *reader, const struct report_request *request, struct arena *arena, struct report_shown **ret_reports,
                      size_t *ret_count) {
    struct statement *statement =
        reader_query(reader, request->all ? &all_reports : &open_reports, (uint64_t[]){ request->after_id, request->limit }, 2);
    struct report_shown *reports = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        reports = reader_grow(arena, reports, count, sizeof *reports);
        err = reports ? take_shown(reader, statement, arena, &reports[count++]) : ERR_NO_MEMORY;
    }
    if (err != OK)
        return err;
    *ret_reports = reports;
    *ret_count = count;
    return OK;
}

/* What the cleanup has not taken yet is not shown either. */
static bool has_copy(const struct reader *reader, const struct report *report) {
    int64_t retention_ms = reader->store->config->retention_ms;
    return report->posted_ms && (retention_ms == CONFIG_FOREVER || report->posted_ms + retention_ms > clock_now_ms());
}

static enum err take_whole(struct reader *reader, struct statement *row, struct arena *arena, struct report_shown *ret_shown) {
    enum err err = take_shown(reader, row, arena, ret_shown);
    if (err != OK || !has_copy(reader, &ret_shown->report))
        return err;
    ret_shown->report.text = db_column_text(reader->db, row, REPORT_COLUMN_COUNT + 2, arena, NULL);
    ret_shown->report.attachments = db_column_text(reader->db, row, REPORT_COLUMN_COUNT + 3, arena, NULL);
    return OK;
}

enum err read_report(struct reader *reader, uint64_t report_id, struct arena *arena, struct report_shown *ret_report) {
    struct statement *statement = reader_query(reader, &report_by_id, &report_id, 1);
    bool row = false;
    enum err err = reader->db->driver->step(statement, &row);
    if (err == OK)
        err = row ? take_whole(reader, statement, arena, ret_report) : ERR_NOT_FOUND;
    reader->db->driver->finish(statement);
    return err;
}

enum err read_open_reports(struct reader *reader, uint64_t *ret_count) {
    struct statement *statement = reader_query(reader, &count_open, NULL, 0);
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);)
        *ret_count = reader->db->driver->column_id(statement, 0);
    return err;
}
