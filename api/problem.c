/* Owns the table from enum err to HTTP status and code, and the rendering of problems. Any thread. */
#include "api/problem.h"

#include <string.h>

static const struct problem PROBLEMS[ERR_COUNT] = {
    [OK] = { 500, "internal", "Internal error" },
    [ERR_BAD_REQUEST] = { 400, "bad_request", "Malformed request" },
    [ERR_BAD_JSON] = { 400, "bad_json", "Malformed JSON" },
    [ERR_BAD_FIELD] = { 400, "bad_field", "Invalid value" },
    [ERR_UNKNOWN_FIELD] = { 400, "unknown_field", "Unknown field" },
    [ERR_MISSING_FIELD] = { 400, "missing_field", "Missing field" },
    [ERR_BAD_QUERY] = { 400, "bad_query", "Invalid query parameter" },
    [ERR_BAD_CURSOR] = { 400, "bad_cursor", "Invalid cursor" },
    [ERR_BODY_TOO_LARGE] = { 413, "body_too_large", "Body too large" },
    [ERR_UNSUPPORTED_MEDIA_TYPE] = { 415, "unsupported_media_type", "Unsupported media type" },
    [ERR_BAD_DIGEST] = { 400, "bad_digest", "Wrong content" },
    [ERR_BAD_RANGE] = { 416, "bad_range", "Range not satisfiable" },
    [ERR_PRECONDITION_FAILED] = { 412, "precondition_failed", "Precondition failed" },
    [ERR_METHOD_NOT_ALLOWED] = { 405, "method_not_allowed", "Method not allowed" },
    [ERR_UNAUTHORIZED] = { 401, "unauthorized", "Not authenticated" },
    [ERR_LOGIN_FAILED] = { 401, "login_failed", "Wrong username or password" },
    [ERR_FORBIDDEN] = { 403, "forbidden", "Not permitted" },
    [ERR_BANNED] = { 403, "banned", "Banned from the chat" },
    [ERR_CSRF] = { 403, "csrf", "Origin not permitted" },
    [ERR_REGISTRATION_CLOSED] = { 403, "registration_closed", "Registration is closed" },
    [ERR_BAD_INVITE] = { 403, "bad_invite", "Invalid invite" },
    [ERR_WINDOW_CLOSED] = { 403, "window_closed", "Too late" },
    [ERR_BAD_SIGNATURE] = { 403, "bad_signature", "Signature does not fit" },
    [ERR_URL_EXPIRED] = { 403, "url_expired", "URL has expired" },
    [ERR_NOT_FOUND] = { 404, "not_found", "Not found" },
    [ERR_LINK_ENDED] = { 410, "link_ended", "Link works no more" },
    [ERR_CONFLICT] = { 409, "conflict", "Conflict" },
    [ERR_USERNAME_TAKEN] = { 409, "username_taken", "Username taken" },
    [ERR_DIRECT_CHAT] = { 409, "direct_chat", "Not possible in a direct chat" },
    [ERR_IDEMPOTENCY_MISMATCH] = { 409, "idempotency_mismatch", "Key used for another request" },
    [ERR_ALREADY_DELETED] = { 409, "already_deleted", "Already deleted" },
    [ERR_TOO_MANY_REACTIONS] = { 409, "too_many_reactions", "Too many reactions" },
    [ERR_TOO_MANY_PINS] = { 409, "too_many_pins", "Too many pins" },
    [ERR_CHAT_FULL] = { 409, "chat_full", "Chat is full" },
    [ERR_TOO_MANY_CHATS] = { 409, "too_many_chats", "Too many chats" },
    [ERR_TOO_MANY_SCHEDULED] = { 409, "too_many_scheduled", "Too many scheduled messages" },
    [ERR_TOO_MANY_LINKS] = { 409, "too_many_links", "Too many links" },
    [ERR_TOO_MANY_JOIN_REQUESTS] = { 409, "too_many_join_requests", "Too many requests to join" },
    [ERR_TOO_MANY_BANS] = { 409, "too_many_bans", "Too many bans" },
    [ERR_TOO_MANY_REPORTS] = { 409, "too_many_reports", "Too many reports" },
    [ERR_TOO_MANY_UPLOADS] = { 409, "too_many_uploads", "Too many uploads" },
    [ERR_MEDIA_QUOTA] = { 409, "media_quota", "Media quota used up" },
    [ERR_MEDIA_NOT_READY] = { 409, "media_not_ready", "Media is not ready" },
    [ERR_MEDIA_IN_USE] = { 409, "media_in_use", "Media is in use" },
    [ERR_UPLOAD_MISSING] = { 409, "upload_missing", "Nothing was uploaded" },
    [ERR_UPLOAD_MISMATCH] = { 409, "upload_mismatch", "Something else was uploaded" },
    [ERR_RATE_LIMITED] = { 429, "rate_limited", "Too many requests" },
    [ERR_SLOW_MODE] = { 429, "slow_mode", "Slow mode" },
    [ERR_OVERLOADED] = { 503, "overloaded", "Overloaded" },
    [ERR_DATABASE_UNAVAILABLE] = { 503, "database_unavailable", "Database unavailable" },
    [ERR_STORAGE_UNAVAILABLE] = { 503, "storage_unavailable", "Media storage unavailable" },
    [ERR_DATABASE_BUSY] = { 503, "database_unavailable", "Database unavailable" },
    [ERR_DATABASE_UNKNOWN] = { 503, "database_unavailable", "Database unavailable" },
    [ERR_DRAINING] = { 503, "draining", "Shutting down" },
    [ERR_NO_MEMORY] = { 503, "overloaded", "Overloaded" },
    [ERR_CONFIG] = { 500, "internal", "Internal error" },
    [ERR_IO] = { 500, "internal", "Internal error" },
    [ERR_INTERNAL] = { 500, "internal", "Internal error" },
};

const struct problem *problem_of(enum err err) { return &PROBLEMS[(unsigned)err < ERR_COUNT ? err : ERR_INTERNAL]; }

static void write_problem(struct buf *buf, const struct problem *problem, const struct request *request) {
    buf_char(buf, '{');
    json_member_string(buf, "type", "about:blank");
    json_member_string(buf, "title", problem->title);
    json_member_number(buf, "status", problem->status);
    json_member_string(buf, "code", problem->code);
    json_member_string(buf, "detail", request->refusal.detail != NULL ? request->refusal.detail : problem->title);
    if (request->refusal.field != NULL)
        json_member_string(buf, "field", request->refusal.field);
    json_member_string(buf, "request_id", request->id);
    buf_char(buf, '}');
}

/* The body that was compressed is not sent. */
static void forget_coding(struct answer *answer) {
    for (size_t i = 0; i < answer->header_count; i++)
        if (strcmp(answer->headers[i].name, "Content-Encoding") == 0)
            answer->headers[i--] = answer->headers[--answer->header_count];
}

void problem_answer(struct request *request, enum err err) {
    const struct problem *problem = problem_of(err);
    struct answer *answer = &request->answer;
    frame_drop(answer->frame);
    answer->frame = NULL;
    answer->fixed = (struct slice){ NULL, 0 };
    answer->blob_bytes = 0;
    buf_clear(&answer->body);
    forget_coding(answer);
    answer->status = problem->status;
    answer->content_type = "application/problem+json";
    write_problem(&answer->body, problem, request);
    if (problem->status == 401)
        answer_header(request, "WWW-Authenticate", "Bearer");
    if (request->refusal.retry_after_s > 0)
        answer_header(request, "Retry-After", request_printf(request, "%u", request->refusal.retry_after_s));
    if ((problem->status == 429 || problem->status == 503) && !answer_has(request, "Retry-After"))
        answer_header(request, "Retry-After", "1");
    if (err == ERR_DRAINING)
        answer->close = true;
}
