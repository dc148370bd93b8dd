/* Owns the way of a request through authentication, limits, handler and commit. Knows no HTTP library and no noun.
 *
 *   dispatch_run ─ admit_everybody ─┬─ answer (404, 405, 429, 503, OPTIONS)
 *                                   ├─ prepare (AUTH_NONE)
 *                                   └─ look_up ─┬─ authenticated (cached)
 *                                               └─ STEP_RESOLVE at a reader ─ resolved ─┬─ authenticated
 *                                                    (unused ticket) STEP_USE_TICKET at the writer ─┘
 *   authenticated ─ prepare ─┬─ http_detach (streams)
 *                            ├─ handle on the loop ─────────────┬─ handled ─┬─ answer
 *                            └─ STEP_HANDLE at a reader/hasher ─┘           └─ STEP_COMMIT at the writer ─ committed ─ answer
 *
 * Uploads are admitted when their head is there (dispatch_admit_upload); each block of a transfer is STEP_BLOCK at a storage thread, and a file that
 * is left over goes by STEP_DISCARD.
 *
 * Each arrow to a reader, hasher or the writer comes back by http_complete() and dispatch_continue(). */
#include "api/dispatch.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/auth.h"
#include "api/blobs.h"
#include "api/browser.h"
#include "api/events.h"
#include "api/http.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/rate.h"
#include "api/rate_shared.h"
#include "api/representation.h"
#include "api/routes.h"
#include "api/server_internal.h"
#include "api/workers.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"

#define LOOKUPS_MAX 8 /* of one stream's session, when removals keep racing with it */

static void answer_now(struct request *request) {
    if (!answer_has(request, "Cache-Control"))
        answer_header(request, "Cache-Control", "no-store");
    http_answer(request);
}

static void fail(struct request *request, enum err err) {
    if (request->route != NULL && request->route->auth == AUTH_STREAM && stream_should_retry(err))
        stream_answer_closing(request, err);
    else
        problem_answer(request, err);
    if (problem_of(err)->status == 500)
        log_event(LOG_ERROR, "request_failed", "request_id=%s method=%s route=%s err=%s", request->id, request->method_name,
                  request->route != NULL ? request->route->path : "-", err_name(err));
    answer_now(request);
}

/* ---- Limits ---- */

static bool take(struct server *server, uint64_t key, const struct rate_rule *rule, struct rate_state *ret_state) {
    int64_t now_ms = clock_monotonic_ms();
    return server->rate_shared == NULL ? rate_take(server->rate, key, rule, now_ms, ret_state)
                                       : rate_shared_take(server->rate_shared, key, rule, now_ms, ret_state);
}

static enum err take_token(struct request *request, uint64_t key, const struct rate_rule *rule, struct rate_state *ret_state) {
    if (take(request->server, key, rule, ret_state))
        return OK;
    metric_add(COUNTER_RATE_LIMITED, 1);
    answer_header(request, "Retry-After", request_printf(request, "%u", ret_state->retry_s));
    return request_refuse(request, ERR_RATE_LIMITED, NULL, "too many requests; see Retry-After");
}

static struct rate_rule login_rule(const struct config *config) {
    return (struct rate_rule){ (double)config->rate_login / 60000, (double)config->rate_login };
}

static enum err limit_address(struct request *request) {
    const struct config *config = request->server->config;
    enum rate_class class = request->route != NULL ? request->route->rate : RATE_NORMAL;
    if (!config->rate_limit || class == RATE_FREE)
        return OK;
    struct rate_rule rule = { (double)config->rate_address / 1000, (double)config->rate_address * 4 };
    struct rate_rule login = login_rule(config);
    struct rate_state state;
    const struct rate *rate = request->server->rate;
    enum err err = take_token(request, rate_address_key(rate, RATE_OF_ADDRESS, request->address.bytes), &rule, &state);
    if (err == OK && class == RATE_LOGIN)
        err = take_token(request, rate_address_key(rate, RATE_OF_LOGIN_ADDRESS, request->address.bytes), &login, &state);
    return err;
}

enum err limit_account(struct request *request, const char *account) {
    if (account == NULL)
        return ERR_NO_MEMORY;
    if (!request->server->config->rate_limit)
        return OK;
    struct rate_rule rule = login_rule(request->server->config);
    struct rate_state state;
    return take_token(request, rate_key(request->server->rate, RATE_OF_LOGIN_ACCOUNT, account, (uint32_t)strlen(account)), &rule, &state);
}

static enum err limit_user(struct request *request) {
    const struct config *config = request->server->config;
    if (!config->rate_limit)
        return OK;
    struct rate_rule rule = { (double)config->rate_user / 1000, (double)config->rate_user * 4 };
    struct rate_state state;
    uint64_t key = rate_key(request->server->rate, RATE_OF_USER, &request->session.user_id, sizeof(request->session.user_id));
    enum err err = take_token(request, key, &rule, &state);
    answer_header(request, "RateLimit-Limit", request_printf(request, "%u", state.limit));
    answer_header(request, "RateLimit-Remaining", request_printf(request, "%u", state.remaining));
    answer_header(request, "RateLimit-Reset", request_printf(request, "%u", state.reset_s));
    return err;
}

/* ---- The handler ---- */

/* The name is the client's: cut at what is not ASCII, so that the problem stays well-formed. */
static const char *shown_name(struct request *request, const char *name) {
    size_t size = 0;
    while (size < 64 && name[size] >= 0x20 && name[size] < 0x7f)
        size++;
    return arena_copy(&request->arena, name, size);
}

static enum err check_query(struct request *request) {
    if (request->query_count > LIMIT_QUERY_ARGUMENTS)
        return request_refuse(request, ERR_BAD_QUERY, NULL, "too many query parameters");
    for (size_t i = 0; i < request->query_count; i++) {
        const char *name = request->query[i].name;
        size_t size = strlen(name);
        const char *known = request->route->query;
        while (known != NULL && !(strncmp(known, name, size) == 0 && (known[size] == ' ' || known[size] == '\0') && size > 0)) {
            known = strchr(known, ' ');
            known = known != NULL ? known + 1 : NULL;
        }
        if (known == NULL)
            return request_refuse(request, ERR_BAD_QUERY, shown_name(request, name), "this query parameter does not exist here");
        for (size_t j = 0; j < i; j++)
            if (strcmp(request->query[j].name, name) == 0)
                return request_refuse(request, ERR_BAD_QUERY, shown_name(request, name), "given more than once");
    }
    return OK;
}

static bool is_json(const char *content_type) {
    static const char JSON[] = "application/json";
    if (content_type == NULL || strncasecmp(content_type, JSON, sizeof(JSON) - 1) != 0)
        return false;
    const char *rest = content_type + sizeof(JSON) - 1;
    rest += strspn(rest, " \t");
    return *rest == '\0' || *rest == ';';
}

static bool is_coded(const char *content_encoding) {
    return content_encoding != NULL && content_encoding[0] != '\0' && strcasecmp(content_encoding, "identity") != 0;
}

static enum err read_body(struct request *request) {
    if (request->route->form == NULL)
        return OK;
    if (!is_json(request->headers.content_type))
        return request_refuse(request, ERR_UNSUPPORTED_MEDIA_TYPE, "Content-Type", "must be application/json");
    if (is_coded(request->headers.content_encoding)) {
        answer_header(request, "Accept-Encoding", "identity"); /* RFC 9110, 12.5.3 */
        return request_refuse(request, ERR_UNSUPPORTED_MEDIA_TYPE, "Content-Encoding", "bodies must not be compressed");
    }
    if (!buf_ok(&request->body))
        return ERR_NO_MEMORY;
    return form_read(request, request->route->form);
}

static void on_commit(struct command *command) {
    struct request *request = command->context;
    http_complete(request->server->http, request);
}

static void handled(struct request *request) {
    if (request->err != OK) {
        fail(request, request->err);
        return;
    }
    if (!request->has_command) {
        answer_now(request);
        return;
    }
    request->step = STEP_COMMIT;
    request->command.done = on_commit;
    request->command.context = request;
    enum err err = store_submit(request->server->store, &request->command);
    if (err != OK)
        fail(request, err);
}

static void committed(struct request *request) {
    enum err err = request->command.refusal.err;
    if (err != OK)
        request->refusal = request->command.refusal;
    else
        err = request->route->finish != NULL ? request->route->finish(request) : finish_empty(request);
    if (err != OK)
        fail(request, err);
    else
        answer_now(request);
}

static void wait_for(struct request *request, enum step step, struct workers *workers) {
    request->step = step;
    enum err err = workers_submit(workers, request);
    if (err != OK)
        fail(request, err);
}

/* What has arrived is not refused because others wait. */
static void finish_upload(struct request *request) {
    if (!blob_is_begun(request)) {
        wait_for(request, STEP_HANDLE, request->server->storers);
        return;
    }
    request->step = STEP_HANDLE;
    workers_resubmit(request->server->storers, request);
}

static void handle(struct request *request) {
    switch (request->route->place) {
    case ON_LOOP:
        request->err = request->route->handle(request);
        handled(request);
        break;
    case ON_READER:
        wait_for(request, STEP_HANDLE, request->server->readers);
        break;
    case ON_HASHER:
        wait_for(request, STEP_HANDLE, request->server->hashers);
        break;
    case ON_STORAGE:
        wait_for(request, STEP_HANDLE, request->server->storers);
        break;
    case ON_UPLOAD:
        finish_upload(request);
        break;
    }
}

/* Everything that can be refused before the handler runs. */
static void prepare(struct request *request) {
    const struct route *route = request->route;
    enum err err = check_query(request);
    if (err == OK)
        err = read_body(request);
    if (err == OK && route->admit != NULL)
        err = route->admit(request);
    if (err != OK)
        fail(request, err);
    else if (route->auth == AUTH_STREAM)
        http_detach(request);
    else
        handle(request);
}

/* ---- Authentication ---- */

/* Stores the session's last use: when the queue is full a later request will. */
static void touch(struct request *request, int64_t now_ms) {
    const struct session *session = &request->session;
    if (store_touch_device(request->server->store, session->user_id, session->device_id, now_ms) &&
        request->credential != CREDENTIAL_TICKET)
        auth_touched(request->server->auth, request->token, now_ms);
}

static bool is_write(const struct request *request) { return request->method != METHOD_GET && request->method != METHOD_OPTIONS; }

static enum err admit_session(struct request *request) {
    int64_t now_ms = clock_now_ms();
    if (!session_is_alive(&request->session, request->server->config, now_ms))
        return ERR_UNAUTHORIZED;
    if (request->credential == CREDENTIAL_COOKIE && is_write(request) && !is_own_page(request))
        return request_refuse(request, ERR_CSRF, "Origin", "writes with the session cookie must come from a page of this server");
    if (session_touch_is_due(&request->session, request->server->config, now_ms))
        touch(request, now_ms);
    return request->lookups > 1 ? OK : limit_user(request);
}

static void authenticated(struct request *request) {
    enum err err = admit_session(request);
    if (err != OK)
        fail(request, err);
    else
        prepare(request);
}

/* A session that seems to have been idle for too long is looked up again: its streams may have kept it alive. */
static bool is_known(struct request *request) {
    return request->credential != CREDENTIAL_TICKET &&
           auth_find(request->server->auth, request->token, &request->session, &request->generation) &&
           session_is_alive(&request->session, request->server->config, clock_now_ms());
}

static void look_up(struct request *request) {
    struct auth *auth = request->server->auth;
    request->lookups++;
    if (is_known(request)) {
        authenticated(request);
        return;
    }
    request->generation = auth_generation(auth);
    wait_for(request, STEP_RESOLVE, request->server->readers);
}

/* On a reader's thread. */
static enum err resolve(struct request *request) {
    if (request->reader == NULL)
        return ERR_DATABASE_UNAVAILABLE;
    if (request->credential == CREDENTIAL_TICKET)
        return read_ticket(request->reader, request->token, &request->session, &request->ticket_unused);
    return read_session(request->reader, request->token, &request->session);
}

/* The command is the request's own: a stream has no other. */
static void use_ticket(struct request *request) {
    request_command(request, COMMAND_TICKET_USE)->in.ticket_use.ticket = request->token;
    request->command.done = on_commit;
    request->command.context = request;
    request->step = STEP_USE_TICKET;
    enum err err = store_submit(request->server->store, &request->command);
    if (err != OK)
        fail(request, err);
}

static void resolved(struct request *request) {
    if (request->err != OK) {
        fail(request, request->err == ERR_NOT_FOUND ? ERR_UNAUTHORIZED : request->err);
        return;
    }
    if (request->credential != CREDENTIAL_TICKET)
        auth_remember(request->server->auth, request->token, &request->session, request->generation);
    else if (request->ticket_unused) {
        use_ticket(request);
        return;
    }
    authenticated(request);
}

static void ticket_used(struct request *request) {
    enum err err = request->command.refusal.err;
    if (err != OK)
        fail(request, err == ERR_NOT_FOUND || err == ERR_CONFLICT ? ERR_UNAUTHORIZED : err);
    else
        authenticated(request);
}

static bool take_credential(struct request *request, enum credential credential, const char *text, size_t size) {
    request->credential = credential;
    return token_hash(text, size, request->token);
}

/* An explicit credential wins over the ambient cookie. */
static bool find_credential(struct request *request) {
    static const char BEARER[] = "Bearer ";
    const char *text = request->headers.authorization;
    size_t size;
    if (text != NULL) {
        if (strncasecmp(text, BEARER, sizeof(BEARER) - 1) != 0)
            return false;
        text += sizeof(BEARER) - 1;
        text += strspn(text, " ");
        return take_credential(request, CREDENTIAL_BEARER, text, strlen(text));
    }
    if (request->route->auth == AUTH_STREAM && (text = query_text(request, "ticket")) != NULL)
        return take_credential(request, CREDENTIAL_TICKET, text, strlen(text));
    return cookie_find(request->headers.cookie, &text, &size) && take_credential(request, CREDENTIAL_COOKIE, text, size);
}

/* ---- Everybody ---- */

static void answer_options(struct request *request) {
    const char *allow = routes_allow(request);
    answer_header(request, "Allow", allow);
    cors_preflight(request, allow);
    request->answer.status = 204;
    answer_now(request);
}

static enum err refuse_unmatched(struct request *request) {
    if (request->allowed == 0)
        return request_refuse(request, ERR_NOT_FOUND, NULL, "there is nothing at this path");
    answer_header(request, "Allow", routes_allow(request));
    return request_refuse(request, ERR_METHOD_NOT_ALLOWED, NULL, "see Allow for the methods of this path");
}

static enum err admit_everybody(struct request *request) {
    bool operations = request->route != NULL && request->route->rate == RATE_FREE;
    if (request->late && !operations)
        return request_refuse(request, ERR_DRAINING, NULL, "the server is shutting down");
    enum err err = limit_address(request);
    if (err == OK && request->route == NULL && (request->method != METHOD_OPTIONS || request->allowed == 0))
        err = refuse_unmatched(request);
    return err;
}

bool dispatch_is_upload(const struct request *request) { return request->route != NULL && request->route->place == ON_UPLOAD; }

enum err dispatch_admit_upload(struct request *request) {
    cors_answer(request);
    enum err err = admit_everybody(request);
    if (err == OK)
        err = check_query(request);
    return err == OK ? request->route->admit(request) : err;
}

enum err dispatch_block(struct request *request) {
    request->step = STEP_BLOCK;
    if (!blob_is_begun(request))
        return workers_submit(request->server->storers, request);
    workers_resubmit(request->server->storers, request);
    return OK;
}

bool dispatch_discard(struct request *request) {
    if (!blob_is_begun(request))
        return false;
    request->step = STEP_DISCARD;
    workers_resubmit(request->server->storers, request);
    return true;
}

void dispatch_run(struct request *request) {
    if (dispatch_is_upload(request)) {
        handle(request);
        return;
    }
    cors_answer(request);
    enum err err = admit_everybody(request);
    if (err != OK)
        fail(request, err);
    else if (request->route == NULL)
        answer_options(request);
    else if (request->route->auth == AUTH_NONE)
        prepare(request);
    else if (find_credential(request))
        look_up(request);
    else
        fail(request, ERR_UNAUTHORIZED);
}

void dispatch_continue(struct request *request) {
    request->reader = NULL;
    switch (request->step) {
    case STEP_RESOLVE:
        resolved(request);
        break;
    case STEP_USE_TICKET:
        ticket_used(request);
        break;
    case STEP_HANDLE:
        handled(request);
        break;
    case STEP_COMMIT:
        committed(request);
        break;
    case STEP_BLOCK:
        http_block_passed(request);
        break;
    case STEP_DISCARD:
        http_discarded(request);
        break;
    }
}

static enum err handle_elsewhere(struct request *request) {
    if (request->reader == NULL)
        return ERR_DATABASE_UNAVAILABLE;
    enum err err = request->route->handle(request);
    if (err == OK && !request->has_command)
        representation_choose(request);
    return err;
}

/* The steps that are done elsewhere. */
static enum err run_step(struct request *request) {
    switch (request->step) {
    case STEP_RESOLVE:
        return resolve(request);
    case STEP_HANDLE:
        return handle_elsewhere(request);
    case STEP_BLOCK:
        return blob_pass(request);
    case STEP_DISCARD:
        blob_release(request);
        return OK;
    case STEP_USE_TICKET:
    case STEP_COMMIT:
        break;
    }
    return ERR_INTERNAL;
}

void dispatch_work(struct request *request) {
    request->err = run_step(request);
    http_complete(request->server->http, request);
}

void dispatch_detach_failed(struct request *request, enum err err) {
    if (err == ERR_CONFLICT && request->lookups < LOOKUPS_MAX)
        look_up(request);
    else
        fail(request, err == ERR_CONFLICT ? ERR_OVERLOADED : err);
}

size_t dispatch_head(struct request *request) {
    routes_match(request);
    return request->route != NULL && request->route->body_bytes != 0 ? request->route->body_bytes : LIMIT_BODY_BYTES;
}

void dispatch_release(struct request *request) {
    if (request->has_command)
        command_release(&request->command);
    form_release(request);
    blob_end(request);
    frame_drop(request->answer.frame);
    buf_release(&request->answer.body);
    buf_release(&request->body);
    arena_reset(&request->arena);
}
