/* The hub's own frames. See notice.h. */
#include "stream/notice.h"

#include <inttypes.h>
#include <stdio.h>

const char *closing_name(enum closing closing) {
    switch (closing) {
    case CLOSING_NONE:
        return "none";
    case CLOSING_DEVICE_REVOKED:
        return "device_revoked";
    case CLOSING_LOGGED_OUT:
        return "logged_out";
    case CLOSING_PASSWORD_CHANGED:
        return "password_changed";
    case CLOSING_REPLACED:
        return "replaced";
    case CLOSING_SESSION_EXPIRED:
        return "session_expired";
    case CLOSING_DRAINING:
        return "draining";
    case CLOSING_TOO_MANY_STREAMS:
        return "too_many_streams";
    case CLOSING_OVERLOADED:
        return "overloaded";
    }
    return "none";
}

enum closing closing_of_removal(enum removal removal) {
    switch (removal) {
    case REMOVAL_LOGGED_OUT:
        return CLOSING_LOGGED_OUT;
    case REMOVAL_REVOKED:
        return CLOSING_DEVICE_REVOKED;
    case REMOVAL_PASSWORD_CHANGED:
        return CLOSING_PASSWORD_CHANGED;
    case REMOVAL_REPLACED:
        return CLOSING_REPLACED;
    case REMOVAL_EXPIRED:
        return CLOSING_SESSION_EXPIRED;
    }
    return CLOSING_DEVICE_REVOKED; /* a reason that a newer version wrote */
}

enum reset reset_of_token(enum token_state token) {
    switch (token) {
    case TOKEN_GOOD:
        return RESET_NONE;
    case TOKEN_EXPIRED:
        return RESET_EXPIRED;
    case TOKEN_FORK:
        return RESET_FORK;
    case TOKEN_FUTURE:
        return RESET_FUTURE;
    }
    return RESET_FORK;
}

static const char *reset_name(enum reset reset) {
    switch (reset) {
    case RESET_NONE:
        return "none";
    case RESET_EXPIRED:
        return "expired";
    case RESET_FORK:
        return "fork";
    case RESET_FUTURE:
        return "future";
    case RESET_UNREADABLE:
        return "unreadable";
    }
    return "none";
}

static void begin(struct buf *buf, bool named, const char *type) {
    if (named)
        buf_printf(buf, "event: %s\n", type);
}

void notice_ready(struct buf *buf, bool named, const struct ready *ready) {
    buf_printf(buf, "retry: %" PRId64 "\n", ready->retry_ms);
    begin(buf, named, "ready");
    buf_printf(
        buf, "id: %" PRIu64 "\ndata: {\"type\":\"ready\",\"id\":\"%" PRIu64 "\",\"user_id\":\"%" PRIu64 "\",\"device_id\":\"%" PRIu64 "\",",
        ready->id, ready->id, ready->user_id, ready->device_id);
    buf_printf(buf, "\"heartbeat_ms\":%" PRId64 "}\n\n", ready->heartbeat_ms);
}

void notice_reset(struct buf *buf, bool named, enum reset reset, uint64_t head_id) {
    begin(buf, named, "reset");
    buf_printf(buf, "id: %" PRIu64 "\ndata: {\"type\":\"reset\",\"reason\":\"%s\",\"id\":\"%" PRIu64 "\",", head_id, reset_name(reset),
               head_id);
    buf_string(buf, "\"reload\":[\"/v1/chats\",\"/v1/users/me\",\"/v1/devices\"]}\n\n");
}

void notice_closing(struct buf *buf, bool named, enum closing closing, int64_t retry_ms) {
    buf_printf(buf, "retry: %" PRId64 "\n", retry_ms);
    begin(buf, named, "closing");
    buf_printf(buf, "data: {\"type\":\"closing\",\"reason\":\"%s\"}\n\n", closing_name(closing));
}

size_t notice_heartbeat(char out[NOTICE_HEARTBEAT_SIZE], uint64_t id) {
    return (size_t)snprintf(out, NOTICE_HEARTBEAT_SIZE, "id: %" PRIu64 "\n\n", id);
}
