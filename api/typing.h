/* Who types where: what is known of it in memory, so that a call of each few seconds costs neither the database nor the others much.
 *
 * Somebody is a member here for TYPING_MEMBER_MS after the database said so, unless it is heard meanwhile that they left, or that the chat was deleted; and
 * is said to type at most once in TYPING_INTERVAL_MS. The table has a fixed size, and two that share a seat displace each other: then the
 * database is asked once more, and others are told once more. Thread-safe. */
#pragma once

#include <assert.h>

#include "db/render.h"
#include "db/store.h"

#define TYPING_INTERVAL_MS 3000
#define TYPING_EXPIRES_MS 6000 /* unless it is said again */
#define TYPING_MEMBER_MS 30000

static_assert(TYPING_EXPIRES_MS > TYPING_INTERVAL_MS, "who goes on typing is not shown to pause");

struct typing;

enum err typing_new(struct typing **ret_typing) MUST_USE;
void typing_free(struct typing *typing);

struct typist {
    uint64_t user_id;
    uint64_t chat_id;
    int64_t now_ms; /* monotonic */
};

enum typing_verdict {
    TYPING_UNKNOWN, /* whether this is a member has to be looked up: typing_learn() */
    TYPING_QUIET,   /* a member; nothing is to be said */
    TYPING_DUE,     /* a member; the others are to be told, which counts as done */
};

/* `ret_generation` is for typing_learn(). */
enum typing_verdict typing_take(struct typing *typing, const struct typist *typist, uint64_t *ret_generation);
/* The database says, asked after typing_take(), that this is a member. `is_told`: and that the chat is one whose members are told. Remembers it if nothing
 * was heard since that speaks against it. Never TYPING_UNKNOWN. */
enum typing_verdict typing_learn(struct typing *typing, const struct typist *typist, bool is_told, uint64_t generation);

/* A commit_listener and a break_listener (db/store.h); context is the struct typing. */
void typing_commit(void *typing, uint64_t previous_id, struct frame *const *frames, size_t count);
void typing_break(void *typing, enum log_break kind, uint64_t head_id);
