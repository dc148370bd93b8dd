/* A reader's inside, for db/reader*.c. */
#pragma once

#include "db/driver.h"
#include "db/reader.h"
#include "db/rows.h"

struct reader {
    struct store *store;
    struct db *db;
    uint64_t floor; /* of the last snapshot */
    uint64_t
        entered_id; /* of the last snapshot: `{by_owner}` has all events up to this one; later ones are in `recent` (db/owner_index.h) */
    /* Messages with an id below are past retention. Right until `horizon_until_ms`, when the message at the horizon expires. */
    uint64_t horizon_id;
    int64_t horizon_until_ms;
    uint64_t horizon_log; /* of which log that is (store->log_number) */
};

/* The smallest id that is not past retention now. */
enum err reader_horizon(struct reader *reader, uint64_t *ret_id) MUST_USE;
/* The open stay of a user in a chat that is not deleted, and the chat. ERR_NOT_FOUND. */
enum err reader_membership(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, struct chat *ret_chat,
                           struct stay *ret_stay) MUST_USE;

/* What a member has begun to write in a chat, in the arena; `*ret_text` NULL: nothing. */
enum err reader_draft(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, const char **ret_text,
                      size_t *ret_size) MUST_USE;

/* Binds ids from ?1 on and returns the statement. */
struct statement *reader_query(struct reader *reader, const struct query *query, const uint64_t *ids, int count);
/* A growing array in the arena: room for one more item of `size` bytes; NULL when memory is out. */
void *reader_grow(struct arena *arena, void *items, size_t count, size_t size) MUST_USE;
