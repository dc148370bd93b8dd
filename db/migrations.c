/* The schema. Steps are never changed once released, only added. Owns the table `migration`.
 *
 * Indexes are few, because what a message costs is what its rows and indexes make the disk write: a message touches the end of `event`, its
 * chat's place in event_by_owner, its chat's row, and its sender's place in `idempotency`. */
#include "db/migrations.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/random.h"

static const char step_1[] =
    "CREATE TABLE meta(name TEXT NOT NULL PRIMARY KEY, number BIGINT NOT NULL, bytes BLOB) WITHOUT ROWID;"

    "CREATE TABLE user(id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL,"
    " password TEXT, created_ms BIGINT NOT NULL);"

    "CREATE TABLE device(id INTEGER PRIMARY KEY, user_id BIGINT NOT NULL, name TEXT NOT NULL, token BLOB NOT NULL UNIQUE,"
    " created_ms BIGINT NOT NULL, seen_ms BIGINT NOT NULL);"
    "CREATE INDEX device_by_user ON device(user_id);"
    "CREATE INDEX device_by_seen ON device(seen_ms);"

    "CREATE TABLE ticket(ticket BLOB NOT NULL PRIMARY KEY, device_id BIGINT NOT NULL, created_ms BIGINT NOT NULL,"
    " used_ms BIGINT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX ticket_by_device ON ticket(device_id, created_ms);"
    "CREATE INDEX ticket_by_use ON ticket(used_ms, created_ms);"

    "CREATE TABLE invite(invite BLOB NOT NULL PRIMARY KEY, uses_left BIGINT NOT NULL, expires_ms BIGINT NOT NULL) WITHOUT ROWID;"

    /* direct_low and direct_high are NULL but for direct chats, of which there is one per pair. */
    "CREATE TABLE chat(id INTEGER PRIMARY KEY, type INTEGER NOT NULL, history INTEGER NOT NULL, title TEXT, created_by BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL, deleted_ms BIGINT NOT NULL, last_id BIGINT NOT NULL, last_rev BIGINT NOT NULL, last_seq BIGINT NOT NULL,"
    " changed_rev BIGINT NOT NULL, chain BLOB NOT NULL, member_count INTEGER NOT NULL, owner_count INTEGER NOT NULL,"
    " direct_low BIGINT, direct_high BIGINT);"
    "CREATE UNIQUE INDEX chat_by_pair ON chat(direct_low, direct_high);"

    /* Deleted chats whose messages are still to be blanked; purged_id: how far that has come. */
    "CREATE TABLE purge(chat_id INTEGER PRIMARY KEY, purged_id BIGINT NOT NULL);"

    /* One row per stay; left_id is 2^63-1 while it lasts. */
    "CREATE TABLE stay(chat_id BIGINT NOT NULL, user_id BIGINT NOT NULL, joined_id BIGINT NOT NULL, left_id BIGINT NOT NULL,"
    " role INTEGER NOT NULL, joined_ms BIGINT NOT NULL, PRIMARY KEY(chat_id, user_id, joined_id)) WITHOUT ROWID;"
    "CREATE INDEX stay_by_user ON stay(user_id, left_id, chat_id, role);"

    /* The log. Messages (is_message = 1) carry their content here and nowhere else; thin events carry JSON members in body.
     * seal: the salt of the text while original = 1, then the hash of the original text. */
    "CREATE TABLE event(id INTEGER PRIMARY KEY, owner_id BIGINT NOT NULL, is_message INTEGER NOT NULL, type INTEGER NOT NULL,"
    " actor_id BIGINT NOT NULL, ref_id BIGINT NOT NULL, rev BIGINT NOT NULL, seq BIGINT NOT NULL, created_ms BIGINT NOT NULL, body TEXT,"
    " changed_id BIGINT, changed_rev BIGINT, edited_ms BIGINT, deleted_ms BIGINT, original INTEGER, seal BLOB, chain BLOB, client_key TEXT);"
    "CREATE INDEX event_by_owner ON event(owner_id, is_message, id);"

    "CREATE TABLE idempotency(period INTEGER NOT NULL, user_id BIGINT NOT NULL, idempotency_key BIGINT NOT NULL, request BLOB NOT NULL,"
    " result_id BIGINT NOT NULL, PRIMARY KEY(period, user_id, idempotency_key)) WITHOUT ROWID;";

static const char step_2[] =
    "ALTER TABLE user ADD COLUMN media_bytes BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE device ADD COLUMN acked_id BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE chat ADD COLUMN message_ttl_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE chat ADD COLUMN until_delivered INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE event ADD COLUMN attachments TEXT;"
    "ALTER TABLE event ADD COLUMN expires_ms BIGINT;"

    "CREATE TABLE media(id INTEGER PRIMARY KEY, owner_id BIGINT NOT NULL, state INTEGER NOT NULL, token BLOB NOT NULL,"
    " content_type TEXT NOT NULL, size BIGINT NOT NULL, md5 BLOB NOT NULL, sha256 BLOB, file_name TEXT, width INTEGER NOT NULL,"
    " height INTEGER NOT NULL, duration_ms BIGINT NOT NULL, blurhash TEXT, thumbnail_id BIGINT NOT NULL, part_size BIGINT NOT NULL,"
    " upload_id TEXT, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, upload_until_ms BIGINT NOT NULL);"
    "CREATE INDEX media_by_expiry ON media(state, expires_ms);"
    "CREATE INDEX media_by_owner ON media(owner_id, state);"

    /* Which messages refer to which media: the reference count. Rows go with what they stand for: the message's content. */
    "CREATE TABLE attachment(message_id BIGINT NOT NULL, media_id BIGINT NOT NULL, chat_id BIGINT NOT NULL,"
    " PRIMARY KEY(message_id, media_id)) WITHOUT ROWID;"
    "CREATE INDEX attachment_by_media ON attachment(media_id, chat_id, message_id);"

    /* Messages with a time of their own that still have their content. */
    "CREATE TABLE expiry(expires_ms BIGINT NOT NULL, message_id BIGINT NOT NULL, PRIMARY KEY(expires_ms, message_id)) WITHOUT ROWID;"

    /* Chats whose messages go when everybody has them; blanked_id: all up to there went. */
    "CREATE TABLE delivery(chat_id INTEGER PRIMARY KEY, blanked_id BIGINT NOT NULL);"

    "CREATE TABLE lease(name TEXT NOT NULL PRIMARY KEY, holder BIGINT NOT NULL, until_ms BIGINT NOT NULL) WITHOUT ROWID;";

static const char *const steps[] = { step_1, step_2 };
#define STEP_COUNT (sizeof steps / sizeof *steps)

static const struct query newest_step = { "SELECT coalesce(max(step), 0) FROM migration" };
static const struct query note_step = { "INSERT INTO migration(step, applied_ms) VALUES(?1, ?2)" };
static const struct query note_secret = { "INSERT INTO meta(name, number, bytes) VALUES('secret', 0, ?1)" };
static const struct query note_floor = { "INSERT INTO meta(name, number, bytes) VALUES('floor', 0, NULL)" };

static enum err read_newest(struct db *db, uint64_t *ret_step) {
    struct statement *statement = db_query(db, &newest_step);
    bool row = false;
    enum err err = db->driver->step(statement, &row);
    if (err == OK && row)
        *ret_step = db->driver->column_id(statement, 0);
    db->driver->finish(statement);
    return err;
}

/* What only the first step's tables hold from the start. */
static enum err seed(struct db *db) {
    uint8_t secret[32];
    random_bytes(secret, sizeof secret);
    struct statement *statement = db_query(db, &note_secret);
    db->driver->bind_blob(statement, 1, secret, sizeof secret);
    enum err err = db_run(db, statement);
    return err == OK ? db_run(db, db_query(db, &note_floor)) : err;
}

static enum err apply(struct db *db, uint64_t step) {
    enum err err = db->driver->execute(db, steps[step - 1]);
    if (err == OK && step == 1)
        err = seed(db);
    if (err != OK)
        return err;
    struct statement *statement = db_query(db, &note_step);
    db->driver->bind_id(statement, 1, step);
    db->driver->bind_id(statement, 2, (uint64_t)clock_now_ms());
    return db_run(db, statement);
}

static enum err apply_in_transaction(struct db *db, uint64_t step) {
    enum err err = db->driver->begin(db);
    if (err == OK)
        err = apply(db, step);
    if (err == OK)
        err = db->driver->commit(db);
    if (err != OK)
        db->driver->rollback(db);
    return err;
}

enum err migrate(struct db *db, unsigned *ret_applied, char *problem, size_t problem_size) {
    uint64_t newest = 0;
    unsigned applied = 0;
    enum err err = db->driver->execute(db, "CREATE TABLE IF NOT EXISTS migration(step INTEGER PRIMARY KEY, applied_ms BIGINT NOT NULL)");
    if (err == OK)
        err = read_newest(db, &newest);
    if (err == OK && newest > STEP_COUNT) {
        snprintf(problem, problem_size, "PARLEY_DB: made by a newer parley (schema step %d, this one knows %d)", (int)newest,
                 (int)STEP_COUNT);
        return ERR_CONFIG;
    }
    for (; err == OK && newest < STEP_COUNT; newest++, applied++)
        err = apply_in_transaction(db, newest + 1);
    if (err != OK)
        snprintf(problem, problem_size, "PARLEY_DB: schema step %d failed: %s", (int)newest + 1, err_name(err));
    if (ret_applied)
        *ret_applied = applied;
    return err;
}
