/* Cleanup: one bounded pass of one kind over what should be gone, so that posting stays fast while a million messages expire; the caller comes again
 * while out.sweep.more. Runs inside the writer's transaction; with dry_run it counts the rows of a pass and changes nothing.
 *
 * The kinds that are about messages are in store_sweep_log.c and store_sweep_messages.c, that about media in store_sweep_media.c. */
#include "db/store_sweep.h"

#include "core/limits.h"

#define SESSION_ROWS (LIMIT_SWEEP_ROWS / 4) /* each makes an event */

static const struct query old_keys = { "SELECT period, user_id, idempotency_key FROM idempotency WHERE period < ?1 LIMIT ?2" };
static const struct query delete_key = { "DELETE FROM idempotency WHERE period = ?1 AND user_id = ?2 AND idempotency_key = ?3" };
/* Recent keys that have become part of a run, or are of a period that is over: they are at the beginning, where as many are looked at as a pass takes. */
static const struct query old_recent = { "SELECT r.id FROM (SELECT id, period FROM recent_key ORDER BY id LIMIT ?2) r"
                                         " WHERE r.period < ?1 OR r.id <= (SELECT until_id FROM key_run ORDER BY id DESC LIMIT 1)" };
static const struct query delete_recent = { "DELETE FROM recent_key WHERE id = ?1" };
/* Runs are in the order of their periods, and their parts in that of the runs. */
static const struct query old_parts = {
    "SELECT b.id FROM key_block b WHERE b.id < 65536 * coalesce((SELECT r.id FROM key_run r WHERE r.period >= ?1 ORDER BY r.id LIMIT 1),"
    " 70368744177664) ORDER BY b.id LIMIT ?2"
};
static const struct query delete_part = { "DELETE FROM key_block WHERE id = ?1" };
static const struct query old_runs = { "SELECT r.id FROM (SELECT id, period FROM key_run ORDER BY id LIMIT ?2) r WHERE r.period < ?1" };
static const struct query delete_run = { "DELETE FROM key_run WHERE id = ?1" };
static const struct query idle_devices = { "SELECT id, user_id, seen_ms FROM device WHERE seen_ms < ?1 ORDER BY seen_ms LIMIT ?2" };
static const struct query aged_devices = { "SELECT id, user_id, seen_ms FROM device WHERE id < ?1 AND seen_ms >= ?3 ORDER BY id LIMIT ?2" };
static const struct query unused_tickets = { "SELECT ticket FROM ticket WHERE used_ms = 0 AND created_ms < ?1 LIMIT ?2" };
static const struct query delete_ticket = { "DELETE FROM ticket WHERE ticket = ?1" };
static const struct query old_invites = { "SELECT invite FROM invite WHERE expires_ms < ?1 OR uses_left = 0 LIMIT ?2" };
static const struct query delete_invite = { "DELETE FROM invite WHERE invite = ?1" };
static const struct query old_links = { "SELECT id FROM link WHERE expires_ms < ?1 ORDER BY expires_ms LIMIT ?2" };
static const struct query delete_link = { "DELETE FROM link WHERE id = ?1" };

static const struct query old_copies = { "SELECT id FROM report WHERE posted_ms > 0 AND posted_ms <= ?1 LIMIT ?2" };
static const struct query drop_copy = { "UPDATE report SET posted_ms = 0, text = NULL, attachments = NULL WHERE id = ?1" };
static const struct query old_reports = { "SELECT id FROM report WHERE closed_ms > 0 AND closed_ms < ?1 LIMIT ?2" };
static const struct query delete_report = { "DELETE FROM report WHERE id = ?1" };

/* The time that the oldest row counts from. */
static const struct query oldest_event = { "SELECT created_ms FROM event ORDER BY id LIMIT 1" };
static const struct query oldest_expiry = { "SELECT min(expires_ms) FROM expiry" };
static const struct query oldest_purge = { "SELECT c.deleted_ms FROM \"purge\" p {straight} chat c ON c.id = p.chat_id"
                                           " ORDER BY p.chat_id LIMIT 1" };
static const struct query oldest_ticket = { "SELECT min(created_ms) FROM ticket WHERE used_ms = 0" };
static const struct query oldest_invite = { "SELECT min(expires_ms) FROM invite" };
static const struct query oldest_link = { "SELECT min(expires_ms) FROM link" };
static const struct query oldest_copy = { "SELECT min(posted_ms) FROM report WHERE posted_ms > 0" };
static const struct query oldest_key = { "SELECT min(k.period) FROM (SELECT min(period) AS period FROM idempotency"
                                         " UNION ALL SELECT (SELECT period FROM key_run ORDER BY id LIMIT 1)"
                                         " UNION ALL SELECT (SELECT period FROM recent_key ORDER BY id LIMIT 1)) k" };
static const struct query oldest_media = { "SELECT min(due_ms) FROM (SELECT min(expires_ms) AS due_ms FROM media WHERE state = 1"
                                           " UNION ALL SELECT min(expires_ms) FROM media WHERE state = 2) d" };

void pass_took(struct pass *pass, uint64_t rows, uint64_t limit) {
    pass->command->out.sweep.rows += rows;
    if (rows >= limit)
        pass->command->out.sweep.more = true;
}

enum err pass_run(struct pass *pass, const struct query *query, const uint64_t *numbers, int count) {
    struct statement *statement = db_query(pass->db, query);
    for (int i = 0; i < count; i++)
        pass->db->driver->bind_id(statement, i + 1, numbers[i]);
    return db_run(pass->db, statement);
}

/* ---- Rows taken by their keys ---- */

struct key_rows {
    const struct db_driver *driver;
    const struct row_key *keys;
    int numbers;
};

static void bind_key(struct statement *statement, const void *context, size_t index) {
    const struct key_rows *rows = context;
    const struct row_key *key = &rows->keys[index];
    if (rows->numbers == 0)
        rows->driver->bind_blob(statement, 1, key->hash, sizeof key->hash);
    for (int i = 0; i < rows->numbers; i++)
        rows->driver->bind_id(statement, i + 1, key->numbers[i]);
}

enum err pass_write(struct pass *pass, const struct query *query, const struct row_key *keys, size_t count, int numbers) {
    struct key_rows rows = { pass->db->driver, keys, numbers };
    return count > 0 ? pass->db->driver->write_rows(pass->db, query, &rows, count, bind_key) : OK;
}

static void read_key(struct pass *pass, const struct taking *taking, struct statement *row, struct row_key *ret_key) {
    if (taking->numbers == 0)
        db_column_blob(pass->db, row, 0, ret_key->hash, sizeof ret_key->hash);
    for (int i = 0; i < taking->numbers; i++)
        ret_key->numbers[i] = pass->db->driver->column_id(row, i);
    if (taking->sized)
        pass->command->out.sweep.bytes += pass->db->driver->column_id(row, taking->numbers);
}

enum err pass_take(struct pass *pass, const struct taking *taking, uint64_t bound, uint64_t limit) {
    struct row_key *keys = state_alloc(pass->state, limit * sizeof *keys);
    if (!keys)
        return ERR_NO_MEMORY;
    struct statement *statement = db_query(pass->db, taking->read);
    pass->db->driver->bind_id(statement, 1, bound);
    pass->db->driver->bind_id(statement, 2, limit);
    size_t rows = 0;
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row);)
        read_key(pass, taking, statement, &keys[rows++]);
    pass_took(pass, rows, limit);
    return err == OK && !pass->dry_run ? pass_write(pass, taking->write, keys, rows, taking->numbers) : err;
}

/* ---- Accounts ---- */

/* Sessions end with an event, so that streams close and caches forget them. */
static void end_session(struct pass *pass, struct statement *row, uint64_t taken, int64_t idle_ms) {
    struct device device = { .id = pass->db->driver->column_id(row, 0), .user_id = pass->db->driver->column_id(row, 1) };
    int64_t late_ms = idle_ms - (int64_t)pass->db->driver->column_id(row, 2);
    bool stays = pass->dry_run || taken == SESSION_ROWS;
    if (stays && late_ms > pass->command->out.sweep.overdue_ms)
        pass->command->out.sweep.overdue_ms = late_ms;
    if (!stays)
        remove_device(pass->state, &device, REMOVAL_EXPIRED);
}

/* One more than a pass takes is read: it tells that there is more, and for how long. */
static enum err end_sessions(struct pass *pass, const struct query *query, uint64_t bound, int64_t idle_ms) {
    struct statement *statement = db_query(pass->db, query);
    pass->db->driver->bind_id(statement, 1, bound);
    pass->db->driver->bind_id(statement, 2, SESSION_ROWS + 1);
    if (query == &aged_devices) /* the others are taken as idle */
        pass->db->driver->bind_id(statement, 3, (uint64_t)idle_ms);
    uint64_t rows = 0;
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row); rows++)
        end_session(pass, statement, rows, idle_ms);
    pass->command->out.sweep.more = pass->command->out.sweep.more || rows > SESSION_ROWS;
    pass->command->out.sweep.rows += rows > SESSION_ROWS ? SESSION_ROWS : rows;
    return err;
}

static enum err sweep_sessions(struct pass *pass) {
    const struct config *config = pass->state->config;
    int64_t now_ms = pass->state->now_ms;
    int64_t oldest_ms = now_ms - config->session_max_ms - ID_EPOCH_MS;
    int64_t idle_ms = now_ms - config->session_idle_ms;
    enum err err = end_sessions(pass, &idle_devices, (uint64_t)idle_ms, idle_ms);
    if (err == OK && oldest_ms > 0) /* ids of devices carry when they were made */
        err = end_sessions(pass, &aged_devices, (uint64_t)oldest_ms << (ID_NODE_BITS + ID_SEQUENCE_BITS), idle_ms);
    return err;
}

static enum err sweep_tickets(struct pass *pass) {
    static const struct taking taking = { .read = &unused_tickets, .write = &delete_ticket };
    uint64_t bound_ms = (uint64_t)(pass->state->now_ms - 2 * TICKET_FIRST_USE_MS);
    return pass_take(pass, &taking, bound_ms, LIMIT_SWEEP_ROWS);
}

static enum err sweep_invites(struct pass *pass) {
    static const struct taking taking = { .read = &old_invites, .write = &delete_invite };
    return pass_take(pass, &taking, (uint64_t)pass->state->now_ms, LIMIT_SWEEP_ROWS);
}

static enum err sweep_links(struct pass *pass) {
    static const struct taking taking = { .read = &old_links, .write = &delete_link, .numbers = 1 };
    return pass_take(pass, &taking, (uint64_t)(pass->state->now_ms - LINK_KEPT_MS), LIMIT_SWEEP_ROWS);
}

static enum err sweep_reports(struct pass *pass) {
    static const struct taking copies = { .read = &old_copies, .write = &drop_copy, .numbers = 1 };
    static const struct taking reports = { .read = &old_reports, .write = &delete_report, .numbers = 1 };
    int64_t retention_ms = pass->state->config->retention_ms;
    enum err err = OK;
    if (retention_ms != CONFIG_FOREVER)
        err = pass_take(pass, &copies, (uint64_t)(pass->state->now_ms - retention_ms), LIMIT_SWEEP_ROWS);
    return err == OK ? pass_take(pass, &reports, (uint64_t)(pass->state->now_ms - REPORT_KEPT_MS), LIMIT_SWEEP_ROWS) : err;
}

static enum err sweep_keys(struct pass *pass) {
    static const struct taking takings[] = { { .read = &old_keys, .write = &delete_key, .numbers = 3 },
                                             { .read = &old_recent, .write = &delete_recent, .numbers = 1 },
                                             { .read = &old_parts, .write = &delete_part, .numbers = 1 },
                                             { .read = &old_runs, .write = &delete_run, .numbers = 1 } };
    uint64_t period = keys_first_period(pass->state->now_ms);
    enum err err = OK;
    for (size_t i = 0; err == OK && !pass->command->out.sweep.more && i < sizeof takings / sizeof *takings; i++)
        err = pass_take(pass, &takings[i], period, LIMIT_SWEEP_ROWS);
    return err;
}

/* ---- All kinds ---- */

static int64_t kept_by_retention(const struct config *config) { return config->retention_ms; }

static int64_t kept_as_ticket(const struct config *config) {
    (void)config;
    return 2 * TICKET_FIRST_USE_MS;
}

static int64_t kept_as_link(const struct config *config) {
    (void)config;
    return LINK_KEPT_MS;
}

static int64_t kept_as_key(const struct config *config) {
    (void)config;
    return IDEMPOTENCY_PERIODS * IDEMPOTENCY_PERIOD_MS;
}

static const struct {
    const char *name;
    enum err (*run)(struct pass *pass);
    const struct query *oldest;                      /* NULL: the sweep tells, or it is not known without looking at everything */
    int64_t unit_ms;                                 /* of what it gives */
    int64_t (*kept_ms)(const struct config *config); /* how long rows stay from then on; NULL: no longer */
} sweeps[SWEEP_KINDS] = {
    [SWEEP_LOG] = { "log", sweep_log, &oldest_event, 1, kept_by_retention },
    [SWEEP_EXPIRED] = { "expired", sweep_expired, &oldest_expiry, 1, NULL },
    [SWEEP_DELIVERED] = { "delivered", sweep_delivered, NULL, 1, NULL },
    [SWEEP_CHATS] = { "chats", sweep_chats, &oldest_purge, 1, NULL },
    [SWEEP_SESSIONS] = { "sessions", sweep_sessions, NULL, 1, NULL },
    [SWEEP_TICKETS] = { "tickets", sweep_tickets, &oldest_ticket, 1, kept_as_ticket },
    [SWEEP_INVITES] = { "invites", sweep_invites, &oldest_invite, 1, NULL },
    [SWEEP_LINKS] = { "links", sweep_links, &oldest_link, 1, kept_as_link },
    [SWEEP_KEYS] = { "keys", sweep_keys, &oldest_key, IDEMPOTENCY_PERIOD_MS, kept_as_key },
    [SWEEP_REPORTS] = { "reports", sweep_reports, &oldest_copy, 1, kept_by_retention },
    [SWEEP_MEDIA] = { "media", sweep_media, &oldest_media, 1, NULL },
};

const char *sweep_name(enum sweep_kind kind) { return sweeps[kind].name; }

/* How long what is still there should be gone already. */
static enum err note_overdue(struct pass *pass) {
    enum sweep_kind kind = pass->command->in.sweep.kind;
    int64_t kept_ms = sweeps[kind].kept_ms ? sweeps[kind].kept_ms(pass->state->config) : 0;
    if (!sweeps[kind].oldest || kept_ms == CONFIG_FOREVER)
        return OK;
    struct statement *statement = db_query(pass->db, sweeps[kind].oldest);
    enum err err = OK;
    for (bool row; rows_next(pass->db, statement, &err, &row);) {
        int64_t due_ms = (int64_t)pass->db->driver->column_id(statement, 0);
        if (pass->db->driver->is_null(statement, 0) || due_ms == MEDIA_NEVER)
            continue;
        due_ms = due_ms * sweeps[kind].unit_ms + kept_ms;
        pass->command->out.sweep.overdue_ms = due_ms < pass->state->now_ms ? pass->state->now_ms - due_ms : 0;
    }
    return err;
}

enum err sweep(struct state *state, struct db *db, struct command *command, struct sweep_place *place) {
    struct pass pass = { .state = state, .db = db, .command = command, .place = place, .dry_run = command->in.sweep.dry_run };
    enum err err = sweeps[command->in.sweep.kind].run(&pass);
    if (err == OK)
        err = release_media(&pass);
    if (err == OK)
        err = note_overdue(&pass);
    buf_release(&pass.released);
    return err;
}
