/* Columns and rows: one list of columns per table and one function that reads it, for the batch and for readers alike. */
#pragma once

#include "db/driver.h"
#include "db/model.h"

#define USER_COLUMNS "u.id, u.username, u.display_name, u.password, u.created_ms"
#define DEVICE_COLUMNS "d.id, d.user_id, d.name, d.created_ms, d.seen_ms"
#define CHAT_COLUMNS                                                                                                                \
    "c.id, c.type, c.history, c.title, c.created_by, c.created_ms, c.deleted_ms, c.last_id, c.last_rev, c.last_seq, c.changed_rev," \
    " c.chain, c.member_count, c.owner_count, c.direct_low, c.direct_high"
#define CHAT_COLUMN_COUNT 16
#define STAY_COLUMNS "s.chat_id, s.user_id, s.joined_id, s.left_id, s.role, s.joined_ms"
#define STAY_COLUMN_COUNT 6
/* Of a message's own row in the log, named m. */
#define MESSAGE_COLUMNS                                                                                                                \
    "m.id, m.owner_id, m.actor_id, m.seq, m.changed_rev, m.changed_id, m.body, m.client_key, m.created_ms, m.edited_ms, m.deleted_ms," \
    " m.original, m.seal, m.chain"
#define MESSAGE_COLUMN_COUNT 14
#define STAY_OPEN_SQL "9223372036854775807"

/* Each reads its columns from `column` on; strings go to the arena. ERR_NO_MEMORY when the arena is full. */
enum err row_user(struct db *db, struct statement *row, int column, struct arena *arena, struct user *ret_user) MUST_USE;
enum err row_device(struct db *db, struct statement *row, int column, struct arena *arena, struct device *ret_device) MUST_USE;
enum err row_chat(struct db *db, struct statement *row, int column, struct arena *arena, struct chat *ret_chat) MUST_USE;
void row_stay(struct db *db, struct statement *row, int column, struct stay *ret_stay);
enum err row_message(struct db *db, struct statement *row, int column, struct arena *arena, struct message *ret_message) MUST_USE;

/* Loops over the rows of `statement`: `err` holds the outcome, the statement is finished at the end.
 * Usage:  for (bool row; rows_next(db, statement, &err, &row);) { ... } */
bool rows_next(struct db *db, struct statement *statement, enum err *err, bool *row);
