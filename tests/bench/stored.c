#include "stored.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/limits.h"
#include "db/key_filter.h"

#define POSITION_BITS 16 /* an id is a position of the log, and so many bits of tag */
#define TAG 1
#define KEY_ENTRY_BYTES 40 /* of a row of key_block: db/keys.h */

struct chat {
    sqlite3_int64 id, author_id;
    sqlite3_int64 last_id, last_seq, last_rev;
};

struct filling {
    const struct stored_plan *plan;
    sqlite3 *db;
    struct chat *chats; /* owned */
    uint32_t chat_count;
    sqlite3_int64 last_position, now_ms;
    uint64_t first_id, random_state;
    char *text; /* owned */
};

/* ---- SQL ---- */

static bool run(sqlite3 *db, const char *statement) { return sqlite3_exec(db, statement, NULL, NULL, NULL) == SQLITE_OK; }

static bool prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret_statement) {
    return sqlite3_prepare_v2(db, text, -1, ret_statement, NULL) == SQLITE_OK;
}

static bool step(sqlite3_stmt *statement) { return sqlite3_step(statement) == SQLITE_DONE && sqlite3_reset(statement) == SQLITE_OK; }

static void database_path(const struct server *server, char out[PATH_MAX]) {
    snprintf(out, PATH_MAX, "%.3900s/data/parley.db", server->folder);
}

/* Without a journal, which a crash would need; it would only lose what is made for this run. */
static bool open_database(const struct server *server, struct filling *filling) {
    char path[PATH_MAX];
    database_path(server, path);
    return sqlite3_open(path, &filling->db) == SQLITE_OK && run(filling->db, "PRAGMA journal_mode=DELETE") &&
           run(filling->db, "PRAGMA journal_mode=OFF") && run(filling->db, "PRAGMA synchronous=OFF") &&
           run(filling->db, "PRAGMA cache_size=-1000000") && run(filling->db, "PRAGMA locking_mode=EXCLUSIVE") && run(filling->db, "BEGIN");
}

/* ---- What is there ---- */

static bool read_log(struct filling *filling) {
    sqlite3_stmt *statement = NULL;
    bool found = prepare(filling->db, "SELECT coalesce(max(id), 0), coalesce(max(created_ms), 0) FROM event", &statement) &&
                 sqlite3_step(statement) == SQLITE_ROW;
    if (found) {
        filling->last_position = sqlite3_column_int64(statement, 0) >> POSITION_BITS;
        filling->now_ms = sqlite3_column_int64(statement, 1);
    }
    sqlite3_finalize(statement);
    return found;
}

static bool read_chat(struct filling *filling, const char *chat_id, struct chat *ret_chat) {
    sqlite3_stmt *statement = NULL;
    bool found =
        prepare(
            filling->db,
            "SELECT c.id, c.last_id, c.last_seq, c.last_rev, (SELECT s.user_id FROM stay s WHERE s.chat_id = c.id ORDER BY s.role DESC LIMIT 1)"
            " FROM chat c WHERE c.id = ?",
            &statement) &&
        sqlite3_bind_int64(statement, 1, strtoll(chat_id, NULL, 10)) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW;
    if (found)
        *ret_chat = (struct chat){ .id = sqlite3_column_int64(statement, 0),
                                   .last_id = sqlite3_column_int64(statement, 1),
                                   .last_seq = sqlite3_column_int64(statement, 2),
                                   .last_rev = sqlite3_column_int64(statement, 3),
                                   .author_id = sqlite3_column_int64(statement, 4) };
    sqlite3_finalize(statement);
    return found;
}

static bool read_chats(struct filling *filling, const struct population *population) {
    filling->chat_count = population->shape.chat_count;
    filling->chats = calloc(filling->chat_count, sizeof *filling->chats);
    bool found = filling->chats != NULL;
    for (uint32_t i = 0; found && i < filling->chat_count; i++)
        found = read_chat(filling, population->chat_ids[i], &filling->chats[i]);
    return found;
}

/* ---- Messages ---- */

/* As db/owner_index.h has them. */
static const char enter_messages[] = "INSERT OR IGNORE INTO event_of_owner SELECT owner_id, is_message, id FROM event ORDER BY 1, 2, 3";

/* Evenly mixed, as a busy chat among others is. */
static struct chat *chat_of(struct filling *filling, uint64_t message) {
    const struct stored_plan *plan = filling->plan;
    uint64_t before = message * plan->in_first_chat / plan->message_count,
             after = (message + 1) * plan->in_first_chat / plan->message_count;
    if (after > before || filling->chat_count == 1)
        return &filling->chats[0];
    return &filling->chats[1 + message % (filling->chat_count - 1)];
}

static bool bind_message(struct filling *filling, sqlite3_stmt *statement, const struct chat *chat) {
    return sqlite3_bind_int64(statement, 1, chat->last_id) == SQLITE_OK && sqlite3_bind_int64(statement, 2, chat->id) == SQLITE_OK &&
           sqlite3_bind_int64(statement, 3, chat->author_id) == SQLITE_OK &&
           sqlite3_bind_int64(statement, 4, chat->last_rev) == SQLITE_OK && sqlite3_bind_int64(statement, 5, chat->last_seq) == SQLITE_OK &&
           sqlite3_bind_int64(statement, 6, filling->now_ms) == SQLITE_OK &&
           sqlite3_bind_text(statement, 7, filling->text, (int)filling->plan->text_bytes, SQLITE_STATIC) == SQLITE_OK;
}

static bool write_messages(struct filling *filling) {
    sqlite3_stmt *statement = NULL;
    bool written =
        prepare(filling->db,
                "INSERT INTO event(id, owner_id, is_message, type, actor_id, ref_id, rev, seq, created_ms, body, changed_id, changed_rev,"
                " edited_ms, deleted_ms, original, seal, chain) VALUES(?1, ?2, 1, 1, ?3, ?1, ?4, ?5, ?6, ?7, ?1, ?4, 0, 0, 1,"
                " randomblob(16), randomblob(16))",
                &statement);
    for (uint64_t i = 0; written && i < filling->plan->message_count && !bench_interrupted(); i++) {
        struct chat *chat = chat_of(filling, i);
        chat->last_id = (sqlite3_int64)((uint64_t)++filling->last_position << POSITION_BITS | TAG);
        chat->last_seq++;
        chat->last_rev++;
        if (chat == filling->chats && filling->first_id == 0)
            filling->first_id = (uint64_t)chat->last_id;
        written = bind_message(filling, statement, chat) && step(statement);
    }
    sqlite3_finalize(statement);
    return written;
}

static bool write_chats(struct filling *filling) {
    sqlite3_stmt *statement = NULL;
    bool written = prepare(filling->db, "UPDATE chat SET last_id = ?2, last_seq = ?3, last_rev = ?4 WHERE id = ?1", &statement);
    for (uint32_t i = 0; written && i < filling->chat_count; i++) {
        const struct chat *chat = &filling->chats[i];
        written = sqlite3_bind_int64(statement, 1, chat->id) == SQLITE_OK && sqlite3_bind_int64(statement, 2, chat->last_id) == SQLITE_OK &&
                  sqlite3_bind_int64(statement, 3, chat->last_seq) == SQLITE_OK &&
                  sqlite3_bind_int64(statement, 4, chat->last_rev) == SQLITE_OK && step(statement);
    }
    sqlite3_finalize(statement);
    return written;
}

/* ---- Keys ---- */

struct run_statements {
    sqlite3_stmt *block, *run;
};

static bool bind_block(sqlite3_stmt *statement, sqlite3_int64 id, const uint8_t *entries) {
    return sqlite3_bind_int64(statement, 1, id) == SQLITE_OK &&
           sqlite3_bind_blob(statement, 2, entries, KEY_RUN_PART_KEYS * KEY_ENTRY_BYTES, SQLITE_STATIC) == SQLITE_OK;
}

static bool bind_run(const struct filling *filling, sqlite3_stmt *statement, uint64_t run, const uint8_t *fingerprints) {
    return sqlite3_bind_int64(statement, 1, (sqlite3_int64)run) == SQLITE_OK &&
           sqlite3_bind_int64(statement, 2, filling->now_ms / IDEMPOTENCY_PERIOD_MS) == SQLITE_OK &&
           sqlite3_bind_blob(statement, 3, fingerprints, LIMIT_KEY_RUN * KEY_FINGERPRINT_BYTES, SQLITE_STATIC) == SQLITE_OK;
}

/* In runs, as the server makes them (db/keys.h); the last ones stay recent. The runs' keys are random, which is what matters to those who ask for others. */
static bool write_run(struct filling *filling, const struct run_statements *statements, uint64_t run, uint8_t *bytes) {
    uint8_t *fingerprints = bytes + KEY_RUN_PART_KEYS * KEY_ENTRY_BYTES;
    bool written = true;
    for (size_t i = 0; i < LIMIT_KEY_RUN; i++)
        key_fingerprint_put(fingerprints + i * KEY_FINGERPRINT_BYTES, 1, random_next(&filling->random_state));
    for (size_t part = 0; written && part < key_run_parts(LIMIT_KEY_RUN); part++) {
        for (size_t i = 0; i < KEY_RUN_PART_KEYS * KEY_ENTRY_BYTES; i += sizeof(uint64_t))
            memcpy(bytes + i, &(uint64_t){ random_next(&filling->random_state) }, sizeof(uint64_t));
        written = bind_block(statements->block, (sqlite3_int64)(run * KEY_RUN_PARTS_MAX + part), bytes) && step(statements->block);
    }
    return written && bind_run(filling, statements->run, run, fingerprints) && step(statements->run);
}

static bool write_runs(struct filling *filling, const struct run_statements *statements) {
    uint8_t *bytes = malloc(KEY_RUN_PART_KEYS * KEY_ENTRY_BYTES + LIMIT_KEY_RUN * KEY_FINGERPRINT_BYTES);
    bool written = bytes;
    for (uint64_t run = 1; written && run <= filling->plan->message_count / LIMIT_KEY_RUN && !bench_interrupted(); run++)
        written = write_run(filling, statements, run, bytes);
    free(bytes);
    return written;
}

static bool write_keys(struct filling *filling) {
    struct run_statements statements = { 0 };
    bool written = prepare(filling->db, "INSERT INTO key_block(id, entries) VALUES(?1, ?2)", &statements.block) &&
                   prepare(filling->db, "INSERT INTO key_run(id, period, until_id, filter, fingerprints) VALUES(?1, ?2, 0, x'', ?3)",
                           &statements.run) &&
                   write_runs(filling, &statements);
    sqlite3_finalize(statements.block);
    sqlite3_finalize(statements.run);
    return written;
}

/* Gigabytes that are on their way to the disk would be in the way of what is measured next. */
static bool sync_database(const struct server *server) {
    char path[PATH_MAX];
    database_path(server, path);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool synced = file >= 0 && fsync(file) == 0;
    if (file >= 0)
        close(file);
    return synced;
}

enum outcome stored_fill(const struct server *server, const struct population *population, const struct stored_plan *plan,
                         uint64_t *ret_first_id) {
    struct filling filling = { .plan = plan, .random_state = 1, .text = malloc(plan->text_bytes + 1) };
    bool filled = filling.text && open_database(server, &filling) && read_log(&filling) && read_chats(&filling, population);
    if (filled) {
        memset(filling.text, 'x', plan->text_bytes);
        filled = write_messages(&filling) && run(filling.db, enter_messages) && write_chats(&filling) && write_keys(&filling) &&
                 run(filling.db, "COMMIT");
    }
    if (!filled)
        complain("the database cannot be filled: %s", sqlite3_errmsg(filling.db));
    else if (!(filled = sync_database(server)))
        complain("the database cannot be synced");
    sqlite3_close(filling.db);
    free(filling.chats);
    free(filling.text);
    *ret_first_id = filling.first_id;
    return filled && !bench_interrupted() ? OUTCOME_OK : OUTCOME_FAILED;
}
