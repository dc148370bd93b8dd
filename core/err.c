/* See err.h. Owns the names of errors. */
#include "core/err.h"

#include <stddef.h>

static const char *const names[ERR_COUNT] = {
    [OK] = "ok",
    [ERR_BAD_REQUEST] = "bad_request",
    [ERR_BAD_JSON] = "bad_json",
    [ERR_BAD_FIELD] = "bad_field",
    [ERR_UNKNOWN_FIELD] = "unknown_field",
    [ERR_MISSING_FIELD] = "missing_field",
    [ERR_BAD_QUERY] = "bad_query",
    [ERR_BAD_CURSOR] = "bad_cursor",
    [ERR_BODY_TOO_LARGE] = "body_too_large",
    [ERR_UNSUPPORTED_MEDIA_TYPE] = "unsupported_media_type",
    [ERR_BAD_DIGEST] = "bad_digest",
    [ERR_BAD_RANGE] = "bad_range",
    [ERR_PRECONDITION_FAILED] = "precondition_failed",
    [ERR_METHOD_NOT_ALLOWED] = "method_not_allowed",
    [ERR_UNAUTHORIZED] = "unauthorized",
    [ERR_LOGIN_FAILED] = "login_failed",
    [ERR_FORBIDDEN] = "forbidden",
    [ERR_BANNED] = "banned",
    [ERR_CSRF] = "csrf",
    [ERR_REGISTRATION_CLOSED] = "registration_closed",
    [ERR_BAD_INVITE] = "bad_invite",
    [ERR_WINDOW_CLOSED] = "window_closed",
    [ERR_BAD_SIGNATURE] = "bad_signature",
    [ERR_URL_EXPIRED] = "url_expired",
    [ERR_NOT_FOUND] = "not_found",
    [ERR_LINK_ENDED] = "link_ended",
    [ERR_CONFLICT] = "conflict",
    [ERR_USERNAME_TAKEN] = "username_taken",
    [ERR_DIRECT_CHAT] = "direct_chat",
    [ERR_IDEMPOTENCY_MISMATCH] = "idempotency_mismatch",
    [ERR_ALREADY_DELETED] = "already_deleted",
    [ERR_TOO_MANY_REACTIONS] = "too_many_reactions",
    [ERR_TOO_MANY_PINS] = "too_many_pins",
    [ERR_CHAT_FULL] = "chat_full",
    [ERR_TOO_MANY_CHATS] = "too_many_chats",
    [ERR_TOO_MANY_LINKS] = "too_many_links",
    [ERR_TOO_MANY_JOIN_REQUESTS] = "too_many_join_requests",
    [ERR_TOO_MANY_BANS] = "too_many_bans",
    [ERR_TOO_MANY_UPLOADS] = "too_many_uploads",
    [ERR_MEDIA_QUOTA] = "media_quota",
    [ERR_MEDIA_NOT_READY] = "media_not_ready",
    [ERR_MEDIA_IN_USE] = "media_in_use",
    [ERR_UPLOAD_MISSING] = "upload_missing",
    [ERR_UPLOAD_MISMATCH] = "upload_mismatch",
    [ERR_RATE_LIMITED] = "rate_limited",
    [ERR_SLOW_MODE] = "slow_mode",
    [ERR_OVERLOADED] = "overloaded",
    [ERR_DATABASE_UNAVAILABLE] = "database_unavailable",
    [ERR_STORAGE_UNAVAILABLE] = "storage_unavailable",
    [ERR_DATABASE_BUSY] = "database_busy",
    [ERR_DATABASE_UNKNOWN] = "database_unknown",
    [ERR_DRAINING] = "draining",
    [ERR_NO_MEMORY] = "no_memory",
    [ERR_CONFIG] = "config",
    [ERR_IO] = "io",
    [ERR_INTERNAL] = "internal",
};

const char *err_name(enum err err) {
    if ((unsigned)err >= ERR_COUNT || names[err] == NULL)
        return "unknown";
    return names[err];
}
