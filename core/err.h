/* Errors: the one enumeration that every fallible function of Parley returns.
 *
 * A driver turns its native codes into these in one function; api/problem.c turns these into HTTP
 * statuses in one table. Nothing here allocates. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

enum err {
    OK = 0,
    /* The request itself is wrong. */
    ERR_BAD_REQUEST,
    ERR_BAD_JSON,
    ERR_BAD_FIELD,
    ERR_UNKNOWN_FIELD,
    ERR_MISSING_FIELD,
    ERR_BAD_QUERY,
    ERR_BAD_CURSOR,
    ERR_BODY_TOO_LARGE,
    ERR_UNSUPPORTED_MEDIA_TYPE,
    ERR_BAD_DIGEST, /* the bytes are not those that were announced */
    ERR_BAD_RANGE,
    ERR_PRECONDITION_FAILED,
    ERR_METHOD_NOT_ALLOWED,
    /* The caller may not. */
    ERR_UNAUTHORIZED,
    ERR_LOGIN_FAILED,
    ERR_FORBIDDEN,
    ERR_BANNED, /* from a chat */
    ERR_CSRF,
    ERR_REGISTRATION_CLOSED,
    ERR_BAD_INVITE,
    ERR_WINDOW_CLOSED,
    ERR_BAD_SIGNATURE, /* of a presigned URL */
    ERR_URL_EXPIRED,
    ERR_NOT_FOUND,
    ERR_LINK_ENDED, /* an invitation link that works no more */
    /* The state does not allow it. */
    ERR_CONFLICT,
    ERR_USERNAME_TAKEN,
    ERR_DIRECT_CHAT,
    ERR_IDEMPOTENCY_MISMATCH,
    ERR_ALREADY_DELETED,
    ERR_TOO_MANY_REACTIONS,
    ERR_TOO_MANY_PINS,
    ERR_CHAT_FULL,
    ERR_TOO_MANY_CHATS,
    ERR_TOO_MANY_SCHEDULED,
    ERR_TOO_MANY_LINKS,
    ERR_TOO_MANY_JOIN_REQUESTS,
    ERR_TOO_MANY_BANS,
    ERR_TOO_MANY_REPORTS,
    ERR_TOO_MANY_UPLOADS,
    ERR_MEDIA_QUOTA,
    ERR_MEDIA_NOT_READY,
    ERR_MEDIA_IN_USE,
    ERR_UPLOAD_MISSING,
    ERR_UPLOAD_MISMATCH,
    /* The server cannot now; trying again may help. */
    ERR_RATE_LIMITED,
    ERR_SLOW_MODE,
    ERR_OVERLOADED,
    ERR_DATABASE_UNAVAILABLE,
    ERR_STORAGE_UNAVAILABLE,
    ERR_DATABASE_BUSY,    /* another transaction was in the way: nothing was changed, and the same again may succeed at once */
    ERR_DATABASE_UNKNOWN, /* of a commit: it may have happened or not */
    ERR_DRAINING,
    /* Programming, configuration or machine. */
    ERR_NO_MEMORY,
    ERR_CONFIG,
    ERR_IO,
    ERR_INTERNAL,
    ERR_COUNT
};

/* A refusal with its place: which field and what is wrong with it. Both strings are static or live
 * as long as the request; either may be NULL. */
struct refusal {
    enum err err;
    const char *field;
    const char *detail;
    uint32_t retry_after_s; /* when the same may succeed; 0: not known */
};

/* The name of `err` for logs ("ERR_NOT_FOUND" is "not_found"); never NULL. */
const char *err_name(enum err err);
