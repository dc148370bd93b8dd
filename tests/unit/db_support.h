/* A store with a folder and a database of its own, and short forms of commands, for the tests of db/.
 *
 * The database is SQLite's, in the folder. Where PARLEY_TEST_DB names one of a MariaDB server, whose user may make others with names that begin with its
 * name, it is a fresh one there. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "db/driver.h"
#include "db/reader.h"

#define DATABASE_URL_BYTES 512

struct fixture {
    struct config config;
    char folder[64];
    char url[DATABASE_URL_BYTES];
    struct store *store;
    struct reader *reader;
    struct arena arena;
    commit_listener listener; /* set from the next opening on; NULL: none */
    void *listener_context;
    uint64_t index_lag;    /* positions that the index of events by owner may be behind, from the next opening on; 0: as many as usual */
    unsigned trusts_after; /* transactions between which nobody else wrote before the head is not waited for, likewise */
    size_t key_run;        /* idempotency keys after which a run is made, from the next opening on; 0: as many as usual */
};

/* Whether fixtures are on MariaDB. */
bool is_on_mariadb(void);
/* Ends the test as skipped where it is about SQLite's files, or where there is no MariaDB server. */
void skip_on_mariadb(void);
void skip_without_mariadb(void);
/* A fresh database on the server of PARLEY_TEST_DB, and its end. */
void mariadb_create(char ret_url[DATABASE_URL_BYTES]);
void mariadb_drop(const char *url);
/* Opens what `url` names; fails the test when that is not possible. */
struct db *open_database(const char *url, enum db_mode mode);

/* Opens a store with default settings in a fresh folder (cmocka group or test set-up and tear-down). */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
/* Closes the store and opens it again on the same files. */
void fixture_reopen(struct fixture *fixture);
void fixture_close(struct fixture *fixture);
void fixture_open(struct fixture *fixture);
/* Another store on the fixture's database, as another node has one, which reaches it by `url`: not open yet, for settings of its own, or open. It ends by
 * fixture_close(), and borrows the fixture's settings. */
struct fixture fixture_beside(const struct fixture *fixture, const char *url);
void other_open(struct fixture *other, const struct fixture *fixture, const char *url);

/* Several commands at once. None of them may move until volley_wait(). */
#define VOLLEY_COMMANDS 2048
struct volley {
    struct fixture *fixture;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct command gate; /* changes nothing; the writer stays in its done() while the gate is shut */
    bool gate_reached, gate_shut;
    struct command *commands[VOLLEY_COMMANDS]; /* in the order of the queue */
    size_t submitted, done;
    bool in_order; /* done() was called in the order of the queue */
};
/* The writer works on the commands as they come. */
void volley_begin(struct volley *volley, struct fixture *fixture);
/* The writer waits, so that what is submitted now becomes one batch, as far as batches may hold it. */
void volley_begin_shut(struct volley *volley, struct fixture *fixture);
enum err volley_submit(struct volley *volley, struct command *command) MUST_USE;
/* Lets the writer go on. */
void volley_open(struct volley *volley);
/* The same, and waits until all commands are done. */
void volley_wait(struct volley *volley);

/* Each runs one command and asserts that it succeeded, but for the ones that return an error. Ids are returned. */
uint64_t make_user(struct fixture *fixture, const char *username);
uint64_t make_group(struct fixture *fixture, uint64_t owner_id, const uint64_t *member_ids, size_t count);
enum err post(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, const char *text, uint64_t key, struct command *ret_command);
uint64_t post_ok(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, const char *text);
/* By one volley, of VOLLEY_COMMANDS at most. */
void post_many(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, size_t count);
enum err put_member(struct fixture *fixture, uint64_t actor_id, uint64_t chat_id, uint64_t user_id, enum role role);
enum err remove_member(struct fixture *fixture, uint64_t actor_id, uint64_t chat_id, uint64_t user_id);
enum err edit(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t message_id, const char *text);
enum err delete_message(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t message_id);

/* Each in a snapshot of its own, what it finds in the fixture's arena. */
enum err find_message(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, uint64_t message_id, struct message *ret_message);
enum err find_messages(struct fixture *fixture, uint64_t user_id, const struct page_request *request, struct message **ret_messages,
                       size_t *ret_count, bool *ret_more);
enum err find_chat(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, struct chat_of_member *ret_chat);

/* Runs a sweep until nothing is left to do, or all of them, one after the other; returns the rows taken. The last of them ends the run. */
uint64_t sweep_kind(struct fixture *fixture, enum sweep_kind kind);
uint64_t sweep_all(struct fixture *fixture);

/* What a query that gives one number finds in the tables themselves. */
uint64_t count_rows(const struct config *config, const struct query *query);

/* The whole feed of a user after `after_id`, page by page; frames are owned by the caller (drop_all). */
struct frame **feed_of(struct fixture *fixture, uint64_t user_id, uint64_t after_id, size_t *ret_count);
void drop_all(struct frame **frames, size_t count);
