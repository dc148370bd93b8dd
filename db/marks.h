/* Marks: how far users have read their chats, and what their devices have. They only move forward, and much more often than they have to be on disk:
 * so they move here, in memory, and the writer stores each at most once every MARKS_PAUSE_MS, behind the posts of a batch that is
 * written anyhow, or in one of its own.
 *
 * The value of a mark is the higher one of what is here and what is in its row. So what this node has answered is never behind; other nodes learn of
 * it from the row. A kill loses what waits, which the clients' next marks make good.
 *
 * A mark waits (moved, and not stored), is being written, or is kept for a while, because readers may still have a snapshot from before it was
 * stored. Any thread. */
#pragma once

#include <pthread.h>

#include "core/list.h"
#include "core/map.h"

enum mark_kind {
    MARK_READ,      /* a user's of a chat: the seq of the last message that was read */
    MARK_DELIVERED, /* a user's: the highest id that any device has shown to have */
    MARK_ACKED,     /* a device's: the highest id that it has acknowledged */
};

struct mark {
    enum mark_kind kind;
    uint64_t chat_id;  /* MARK_READ; else 0 */
    uint64_t owner_id; /* the user, or the device */
    uint64_t value;
    uint64_t previous; /* of those that were written: the value before, if it is still known, else 0 */
    bool silent;       /* others need not be told: they see it in an event of the log */
};

struct marks {
    pthread_mutex_t mutex;
    struct map entries; /* mix of the key → chain of struct mark_entry, owned */
    size_t count;
    struct list_node waiting; /* by when they are due */
    size_t waiting_count;
    size_t writing_count;  /* taken, and not told about yet: by one at a time */
    struct list_node kept; /* by when they may be forgotten */
};

void marks_init(struct marks *marks);
void marks_release(struct marks *marks);

/* Moves a mark forward; a value that is not higher changes nothing. Times are of clock_monotonic_ms(). `ret_first`: nothing else waits, so whoever waits for
 * marks_due_ms() has to look again. ERR_OVERLOADED: too many wait; ERR_NO_MEMORY. */
enum err marks_move(struct marks *marks, const struct mark *mark, int64_t now_ms, bool *ret_first) MUST_USE;
/* The value of the mark with this key, 0 when it is not here. */
uint64_t marks_value(struct marks *marks, enum mark_kind kind, uint64_t chat_id, uint64_t owner_id);

/* When the first that waits is due; INT64_MAX: none waits. */
int64_t marks_due_ms(struct marks *marks);
/* Takes those that are due by `until_ms`, oldest first, at most `limit`; they are being written until marks_written(). */
size_t marks_take(struct marks *marks, int64_t until_ms, struct mark *ret_marks, size_t limit);
/* What became of those that were taken: if they were not stored, they wait again. Sets their `previous`. */
void marks_written(struct marks *marks, struct mark *written, size_t count, bool stored, int64_t now_ms);
/* Forgets all: nobody needs them any more, or they are of a log that is gone. */
void marks_clear(struct marks *marks);
