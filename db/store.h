/* The store: everything durable. One writer thread changes it; any number of readers look at it.
 *
 * Life: store_open → (store_on_commit) → store_start → store_submit … → store_stop → store_close. */
#pragma once

#include "core/config.h"
#include "db/command.h"
#include "db/marks.h"

struct store;

/* Opens the database that config->db names and migrates it to the newest schema; before that, when its file can have only one writer, takes the lock of the
 * data folder (ERR_CONFLICT when another process holds it). `problem` gets a sentence on failure. `config` must outlive the store. */
enum err store_open(const struct config *config, struct store **ret_store, char *problem, size_t problem_size) MUST_USE;
/* Opens the database only to look at it, beside whoever has it: without the lock and without migrating. Good for reader_open() and store_secret() only. Errors
 * as above; it is never made when it is missing. */
enum err store_inspect(const struct config *config, struct store **ret_store, char *problem, size_t problem_size) MUST_USE;
void store_close(struct store *store);

/* Called on the writer's thread after every commit, before the commands' done(), in log order, with the commit's frames (borrowed: hold what you
 * keep). `previous_id` is the log's last id before the commit. Must not block. Set before store_start(); up to two listeners. */
typedef void (*commit_listener)(void *context, uint64_t previous_id, struct frame *const *frames, size_t count);
void store_on_commit(struct store *store, commit_listener listener, void *context);

/* What can become of the log besides more of it, where it is in a database that others may write to, too, or restore, or replace by a copy. */
enum log_break {
    LOG_DOUBTED,  /* the database was away: what was read of it before may be gone, though what the listeners were told is not */
    LOG_REPLACED, /* what the listeners were told is gone, in part or in whole: from now on it is another log, whose last id is `head_id` */
};
/* Called on a thread of the store's, in turn with the commit listeners: commits told afterwards are of the log as it is then. Must not block. Set before
 * store_start(); up to two listeners, called in the order in which they were set. */
typedef void (*break_listener)(void *context, enum log_break kind, uint64_t head_id);
void store_on_break(struct store *store, break_listener listener, void *context);

/* Called on a thread of the store's with what other nodes whisper, borrowed (db/whisper.h). Must not block. Set before store_start(); up to two
 * listeners. */
struct whisper;
typedef void (*whisper_listener)(void *context, const struct whisper *whisper);
void store_on_whisper(struct store *store, whisper_listener listener, void *context);
/* Passes one on to the other nodes, where there are such and they can be told; else it does nothing. Never blocks; any thread. */
void store_whisper(struct store *store, const struct whisper *whisper);

/* Called on the writer's thread after each commit that stored marks, with those (borrowed). Must not block. Set before store_start(); one. */
typedef void (*marks_listener)(void *context, const struct mark *marks, size_t count);
void store_on_marks(struct store *store, marks_listener listener, void *context);

/* Called on the writer's thread after each commit by which a scheduled message may have become due earlier than all before. Must not block. Set before
 * store_start(); one. */
typedef void (*due_listener)(void *context);
void store_on_due(struct store *store, due_listener listener, void *context);

/* Starts the writer thread. */
enum err store_start(struct store *store) MUST_USE;
/* Refuses new commands (ERR_DRAINING), finishes those queued, and ends the thread. */
void store_stop(struct store *store);

/* Whether the queue is more than half full, in count or bytes: time to do without what is not needed. Any thread. */
bool store_is_behind(struct store *store);

/* Queues the command; never blocks; any thread. Not OK: done() will not be called. ERR_OVERLOADED: the queue is full (count or bytes). */
enum err store_submit(struct store *store, struct command *command) MUST_USE;
/* Submits and waits; for programs and tests. Returns command->refusal.err. */
enum err store_run(struct store *store, struct command *command);

/* Stores when a device was last used, behind the caller's back. Any thread; false: not now (the queue is full), try again later. */
bool store_touch_device(struct store *store, uint64_t user_id, uint64_t device_id, int64_t seen_ms);
/* The same for when a user was active. */
bool store_touch_user(struct store *store, uint64_t user_id, int64_t active_ms);
/* How old what is stored may get while the device is in use: at most an hour, less with a short idle lifetime. */
int64_t store_touch_interval_ms(const struct config *config);

/* Moves a mark forward, in memory; it is stored soon (db/marks.h). Whether the owner may move it there is the caller's to know. Never blocks; any
 * thread. ERR_OVERLOADED: too many wait to be stored. */
enum err store_move_mark(struct store *store, const struct mark *mark) MUST_USE;
/* The value of a mark as far as this process has moved it lately; 0: not. */
uint64_t store_mark(struct store *store, enum mark_kind kind, uint64_t chat_id, uint64_t owner_id);

/* The last committed id and the floor (0: nothing was ever cut), from memory; any thread. */
uint64_t store_head(const struct store *store);
uint64_t store_floor(const struct store *store);
/* Commands that wait for the writer, from memory; any thread. */
size_t store_waiting(const struct store *store);
/* False after the last batch failed on the database and none has succeeded since. */
bool store_healthy(const struct store *store);
/* 32 secret bytes of this database, made at its first migration: keys idempotency hashes. */
const uint8_t *store_secret(const struct store *store);
/* Who this process is to leases: random where others share the database, so that no two are the same; else always the same, so that after a kill
 * the next one goes on at once. */
uint64_t store_holder(const struct store *store);
