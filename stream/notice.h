/* What the hub itself says on a stream: ready, reset, closing and the heartbeat. Bytes only; any thread. */
#pragma once

#include "core/buf.h"
#include "db/reader.h"

/* Why a stream ends. */
enum closing {
    CLOSING_NONE,
    CLOSING_DEVICE_REVOKED,
    CLOSING_LOGGED_OUT,
    CLOSING_PASSWORD_CHANGED,
    CLOSING_REPLACED,
    CLOSING_SESSION_EXPIRED,
    CLOSING_DRAINING,
    CLOSING_TOO_MANY_STREAMS,
    CLOSING_OVERLOADED, /* out of memory, or the store did not answer */
};

const char *closing_name(enum closing closing);
enum closing closing_of_removal(enum removal removal);

/* Why a stream does not continue where its client asked. */
enum reset { RESET_NONE, RESET_EXPIRED, RESET_FORK, RESET_FUTURE, RESET_UNREADABLE };

enum reset reset_of_token(enum token_state token);

struct ready {
    uint64_t id; /* where the stream stands */
    uint64_t user_id;
    uint64_t device_id;
    int64_t heartbeat_ms;
    int64_t retry_ms;
};

/* Each writes one frame; without `named` there is no `event:` line. */
void notice_ready(struct buf *buf, bool named, const struct ready *ready);
void notice_reset(struct buf *buf, bool named, enum reset reset, uint64_t head_id);
void notice_closing(struct buf *buf, bool named, enum closing closing, int64_t retry_ms);

#define NOTICE_HEARTBEAT_SIZE 32
/* Returns the number of bytes. */
size_t notice_heartbeat(char out[NOTICE_HEARTBEAT_SIZE], uint64_t id);
