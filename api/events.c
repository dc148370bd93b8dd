/* Owns the opening of streams, the tickets for them, and what devices acknowledge. What happens on a stream is stream/'s. */
#include "api/events.h"

#include <string.h>

#include "api/auth.h"
#include "api/handlers.h"
#include "api/head.h"
#include "api/rate.h"
#include "api/server_internal.h"
#include "core/id.h"
#include "core/metrics.h"
#include "core/random.h"

#define STREAM_TYPE "text/event-stream"

/* ---- Opening ---- */

enum err stream_admit(struct request *request) {
    const char *named = query_text(request, "named");
    if (named != NULL && strcmp(named, "0") != 0 && strcmp(named, "1") != 0)
        return request_refuse(request, ERR_BAD_QUERY, "named", "must be 0 or 1");
    return OK;
}

static bool is_named(struct request *request) {
    const char *named = query_text(request, "named");
    return named == NULL || strcmp(named, "0") != 0;
}

/* An EventSource sends the header; a page that reloads, and EventSource polyfills, use the query. Empty counts as not given. */
static const char *find_token(struct request *request) {
    const char *token = request->headers.last_event_id;
    if (token == NULL || token[0] == '\0')
        token = query_text(request, "last_event_id");
    if (token == NULL || token[0] == '\0')
        token = query_text(request, "lastEventId");
    return token != NULL && token[0] != '\0' ? token : NULL;
}

static void set_start(struct request *request, struct stream_request *stream) {
    const char *token = find_token(request);
    if (token == NULL)
        stream->start = START_AT_HEAD;
    else if (strcmp(token, "0") == 0 || id_parse(token, strlen(token), &stream->after_id)) /* "0": `as_of` of an empty log */
        stream->start = START_AFTER;
    else
        stream->start = START_RESET;
}

static void answer_as_stream(struct request *request) {
    request->answer.status = 200;
    request->answer.content_type = STREAM_TYPE;
    answer_header(request, "X-Accel-Buffering", "no");
}

static void write_head(struct request *request, struct buf *head) {
    answer_as_stream(request);
    answer_header(request, "Cache-Control", "no-store");
    head_format(head, request, -1);
}

static enum err note(const struct request *request, enum mark_kind kind, uint64_t owner_id, uint64_t id) {
    return store_move_mark(request->server->store, &(struct mark){ .kind = kind, .owner_id = owner_id, .value = id });
}

/* Whoever comes back with a token has what is before it. When there is no room to note that, a later one will say so, too. */
static void note_resumed(const struct request *request, const struct stream_request *stream) {
    if (stream->start != START_AFTER || stream->after_id > store_head(request->server->store))
        return;
    if (note(request, MARK_DELIVERED, stream->user_id, stream->after_id) != OK)
        metric_add(COUNTER_WHISPERS_DROPPED_RECEIPT, 1);
}

struct opening {
    struct hub *hub;
    struct stream_request stream;
};

static void open_stream(void *context) {
    struct opening *opening = context;
    hub_open(opening->hub, &opening->stream);
}

enum err stream_open(struct request *request, int fd) {
    const struct server *server = request->server;
    if (server->draining)
        return ERR_DRAINING;
    size_t header_count = request->answer.header_count;
    struct buf head = BUF_INIT;
    write_head(request, &head);
    struct opening opening = { server->hub,
                               {
                                   .fd = fd,
                                   .user_id = request->session.user_id,
                                   .device_id = request->session.device_id,
                                   .address_hash = rate_address_key(server->rate, RATE_OF_ADDRESS, request->address.bytes),
                                   .session_ends_ms = request->session.created_ms + server->config->session_max_ms,
                                   .named = is_named(request),
                                   .head_only = request->head_only,
                                   .head = head.bytes,
                                   .head_size = head.size,
                               } };
    set_start(request, &opening.stream);
    enum err err = !buf_ok(&head) ? ERR_NO_MEMORY : OK;
    if (err == OK && !auth_while_valid(server->auth, request->generation, open_stream, &opening))
        err = ERR_CONFLICT;
    if (err != OK)
        request->answer.header_count = header_count;
    else
        note_resumed(request, &opening.stream);
    buf_release(&head);
    return err;
}

/* ---- Closing before it began ---- */

bool stream_should_retry(enum err err) {
    return err == ERR_RATE_LIMITED || err == ERR_OVERLOADED || err == ERR_DATABASE_UNAVAILABLE || err == ERR_DATABASE_BUSY ||
           err == ERR_DATABASE_UNKNOWN || err == ERR_DRAINING || err == ERR_NO_MEMORY || err == ERR_IO || err == ERR_INTERNAL;
}

static int64_t retry_ms(const struct config *config, enum err err) {
    int64_t base_ms = config->stream_retry_ms > 0 ? config->stream_retry_ms : 1;
    int64_t retry = base_ms / 2 + (int64_t)random_below((uint64_t)base_ms + 1);
    if (err == ERR_DRAINING && config->drain_spread_ms > 0)
        retry += (int64_t)random_below((uint64_t)config->drain_spread_ms);
    return retry;
}

void stream_answer_closing(struct request *request, enum err err) {
    const char *reason = err == ERR_RATE_LIMITED ? "rate_limited" : err == ERR_DRAINING ? "draining" : "overloaded";
    struct buf *body = &request->answer.body;
    answer_as_stream(request);
    request->answer.close = true;
    buf_clear(body);
    buf_printf(body, "retry: %lld\n", (long long)retry_ms(request->server->config, err));
    if (is_named(request))
        buf_string(body, "event: closing\n");
    buf_printf(body, "data: {\"type\":\"closing\",\"reason\":\"%s\"}\n\n", reason);
}

/* ---- Tickets ---- */

struct ticket_state {
    uint8_t hash[SHA256_SIZE]; /* first, so that the command's pointer to it finds the rest */
    char ticket[TOKEN_TEXT_SIZE];
};

enum err ticket_create(struct request *request) {
    struct ticket_state *state = ARENA_NEW(&request->arena, struct ticket_state);
    if (state == NULL)
        return ERR_NO_MEMORY;
    token_new(state->ticket);
    if (!token_hash(state->ticket, strlen(state->ticket), state->hash))
        return ERR_INTERNAL;
    request_command(request, COMMAND_TICKET_CREATE)->in.ticket_create.ticket = state->hash;
    return OK;
}

enum err ticket_created(struct request *request) {
    const struct ticket_state *state = (const struct ticket_state *)(const void *)request->command.in.ticket_create.ticket;
    struct buf *buf = answer_json(request, request->route->success);
    buf_char(buf, '{');
    json_member_string(buf, "ticket", state->ticket);
    json_member_string(buf, "url", request_printf(request, "/v1/events?ticket=%s", state->ticket));
    json_member_number(buf, "expires_in", TICKET_FIRST_USE_MS / 1000);
    buf_char(buf, '}');
    return OK;
}

/* ---- Acknowledging ---- */

struct events_ack_form {
    uint64_t id;
};

static const struct field EVENTS_ACK_FIELDS[] = {
    { "id", FIELD_ID, true, 0, 0, offsetof(struct events_ack_form, id), NULL },
};
const struct form events_ack_form = FORM(events_ack_form, EVENTS_ACK_FIELDS);

/* An id beyond this node's head may be one that another has just given: the writer knows. */
enum err events_ack(struct request *request) {
    uint64_t id = REQUEST_FORM(request, events_ack_form)->id;
    if (id > store_head(request->server->store)) {
        request_command(request, COMMAND_EVENTS_ACK)->in.events_ack.id = id;
        return OK;
    }
    enum err err = note(request, MARK_ACKED, request->session.device_id, id);
    if (err == OK)
        err = note(request, MARK_DELIVERED, request->session.user_id, id);
    return err == OK ? finish_empty(request) : err;
}

enum err events_acked(struct request *request) {
    enum err err = note(request, MARK_DELIVERED, request->session.user_id, request->command.in.events_ack.id);
    return err == OK ? finish_empty(request) : err;
}
