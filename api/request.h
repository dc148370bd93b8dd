/* A request on its way through the API: what the client sent, what is known about it, and the answer.
 *
 * Life: http.c makes it when the head is there and frees it when the answer has left. In between it belongs to one thread at a time: the loop's,
 * or a worker's, or the writer's (while its command waits); http_complete() gives it back to the loop. */
#pragma once

#include <stddef.h>

#include "core/arena.h"
#include "core/config.h"
#include "core/limits.h"
#include "db/command.h"
#include "db/reader.h"
#include "db/store.h"

struct connection; /* http.c */
struct json_t;     /* jansson's, for json.c */
struct page;       /* pages.h */
struct request;
struct server;

enum method { METHOD_GET, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE, METHOD_OPTIONS, METHOD_OTHER, METHOD_COUNT };

/* Where a handler runs. */
enum place {
    ON_LOOP,    /* no database, no waiting */
    ON_READER,  /* reads the database; request->reader is set */
    ON_HASHER,  /* hashes passwords and reads the database; request->reader is set */
    ON_STORAGE, /* waits for the media storage, and may store_run(); request->reader is set */
    ON_UPLOAD, /* the same, but its body goes to the storage in blocks while it is received (blobs.h): admit() is asked when the head is there */
};

enum authentication { AUTH_NONE, AUTH_USER, AUTH_STREAM };

/* Which token buckets a request takes from. */
enum rate_class {
    RATE_NORMAL, /* address and user */
    RATE_LOGIN,  /* address, and the address' log-in attempts; the handler's admit() adds the account's */
    RATE_FREE,   /* none */
};

/* The ids of a path, by the name of its parameter. */
enum path_id { PATH_CHAT_ID, PATH_MESSAGE_ID, PATH_USER_ID, PATH_DEVICE_ID, PATH_MEDIA_ID, PATH_LINK_ID, PATH_SCHEDULED_ID, PATH_ID_COUNT };

/* One row of the route table (routes.c). */
struct route {
    enum method method;
    const char *path; /* "/v1/chats/{chat_id}" */
    enum authentication auth;
    enum place place;
    enum rate_class rate;
    unsigned success;        /* status */
    size_t body_bytes;       /* 0: LIMIT_BODY_BYTES */
    const struct form *form; /* the JSON body's fields; NULL: a body is ignored */
    const char *query;       /* names of query parameters, separated by spaces; NULL: none */
    /* On the loop, before handle(): cheap refusals and the account's rate limit. NULL: nothing to ask. */
    enum err (*admit)(struct request *request);
    /* At `place`; NULL for the stream, whose socket leaves HTTP instead. Fills request->answer, or prepares request->command (request_command). What it returns, with request->refusal's field and
     * detail, becomes the problem. */
    enum err (*handle)(struct request *request);
    /* On the loop, after the command was committed: fills request->answer. NULL: an empty answer. */
    enum err (*finish)(struct request *request);
};

struct header {
    const char *name;
    const char *value; /* static or the request's */
};

/* The headers that somebody asks for; NULL when absent. They live as long as the request. */
struct headers {
    const char *accept_encoding;
    const char *authorization;
    const char *cookie;
    const char *content_type;
    const char *content_encoding;
    const char *content_length;
    const char *transfer_encoding;
    const char *forwarded_for;
    const char *forwarded_proto;
    const char *host;
    const char *idempotency_key;
    const char *last_event_id;
    const char *origin;
    const char *requested_method; /* Access-Control-Request-Method */
    const char *fetch_site;       /* Sec-Fetch-Site */
    const char *content_md5;
    const char *range;
    const char *if_range;
    const char *if_match;
    const char *if_none_match;
    const char *if_modified_since;
    const char *if_unmodified_since;
    struct header amz[LIMIT_AMZ_HEADERS]; /* X-Amz-, as sent */
    size_t amz_count;                     /* may exceed LIMIT_AMZ_HEADERS: then there were more */
    bool ambiguous;                       /* two Content-Length or Host, a length beside Transfer-Encoding, or a folded one */
};

struct query_argument {
    const char *name;
    const char *value; /* as sent: not percent-decoded; "" without a value */
};

/* A client's network address: IPv4 mapped into IPv6. */
struct address {
    uint8_t bytes[16];
};

struct answer {
    unsigned status;
    const char *content_type; /* NULL: no body */
    /* The body: `frame`'s object, else `fixed`, else `body`. */
    struct frame *frame; /* owned */
    struct slice fixed;  /* lives for ever */
    struct buf body;     /* owned */
    uint64_t blob_bytes; /* not 0: so many bytes come by blob_give() instead */
    struct header headers[LIMIT_ANSWER_HEADERS];
    size_t header_count;
    bool close;      /* Connection: close */
    bool has_secret; /* tokens, or URLs that work for whoever has them */
};

enum credential { CREDENTIAL_NONE, CREDENTIAL_BEARER, CREDENTIAL_COOKIE, CREDENTIAL_TICKET };

/* What happens when the request comes back to the loop, or at a worker (dispatch.c has the diagram). */
enum step { STEP_RESOLVE, STEP_USE_TICKET, STEP_HANDLE, STEP_COMMIT, STEP_BLOCK, STEP_DISCARD };

struct request {
    struct server *server;
    struct connection *connection;
    const struct route *route; /* NULL: unknown path, or a method it does not have */
    uint16_t allowed;          /* methods the path has, 1 << enum method; 0: unknown path */
    enum method method;
    const char *method_name;
    bool head_only;   /* HEAD: answered like GET, without the body */
    const char *path; /* as sent, without the query */
    struct headers headers;
    struct query_argument query[LIMIT_QUERY_ARGUMENTS];
    size_t query_count; /* may exceed LIMIT_QUERY_ARGUMENTS: then there were more */
    uint64_t ids[PATH_ID_COUNT];
    struct slice token_text; /* the path's {token}, as sent */
    const char *object;      /* the path's {object} or {emoji}: all the rest of it, as sent */
    const struct page *page; /* that the path's {page} names; NULL: the route has none */
    struct address address;
    char id[17]; /* X-Request-Id */

    struct buf body;
    struct blob *blob;                /* NULL: the body is not one of the storage's objects, nor the answer's */
    size_t taken;                     /* bytes of the body that are in the blob's block and still in the daemon's buffer */
    size_t body_limit, body_received; /* bytes */
    size_t held_bytes;                /* counted in http.c's sum */
    struct json_t *document;          /* the parsed body; strings of `form` live in it */
    void *form;                       /* the struct that route->form describes, in form_space or, when it is larger, in the arena */
    _Alignas(max_align_t) char form_space[128];
    struct arena arena;

    enum credential credential;
    uint8_t token[SHA256_SIZE];
    struct session session; /* once authenticated: user_id is not 0 */
    uint64_t generation;    /* of the auth cache when the session was looked up */
    bool ticket_unused;
    unsigned lookups; /* how often the session was looked up, for streams that race with removals */

    enum step step;
    struct reader *reader; /* on a worker only */
    struct command command;
    bool has_command;
    bool is_independent; /* the command refers to nothing of the head: the request may wait for the writer when its connection has gone */
    enum err err;        /* of the step that ran elsewhere */
    struct refusal refusal; /* field and detail of a problem */
    struct answer answer;

    /* http.c's. They lie together because it asks each request that lingers, again and again. */
    int64_t started_us; /* monotonic */
    bool suspended;
    bool lingers;     /* waits without being suspended */
    bool is_orphaned; /* its connection ended while it lingered */
    bool dispatched;  /* dispatch_run() was called */
    bool running;     /* counted: it may be elsewhere, and comes back */
    bool late;        /* its head came after the server had begun to drain */
    bool answered;
    bool unanswerable; /* the daemon did not take the answer */
    bool detach;
    struct request *next; /* in one queue at a time */
};

/* Prepares request->command on behalf of the session's user. */
struct command *request_command(struct request *request, enum command_type type);
/* Reads the header Idempotency-Key, if given, into request->command. */
enum err request_idempotency(struct request *request) MUST_USE;
/* Sets the refusal's field and detail and returns `err`: `return request_refuse(request, ERR_BAD_FIELD, "title", "...")`. */
enum err request_refuse(struct request *request, enum err err, const char *field, const char *detail) MUST_USE;
/* printf into the request's arena; NULL when out of memory. */
const char *request_printf(struct request *request, const char *format, ...) PRINTF_LIKE(2, 3);
/* The struct that the route's form was read into. */
#define REQUEST_FORM(request, type) ((const struct type *)(request)->form)

/* Answers. */
void answer_header(struct request *request, const char *name, const char *value); /* `value` NULL (out of memory): left out */
bool answer_has(const struct request *request, const char *name);
/* A JSON answer: the caller writes into the returned buffer. */
struct buf *answer_json(struct request *request, unsigned status);
/* Finishers for commands: an empty 204; the JSON that the command made; the frame's object. 200 instead of 201 when it existed. */
enum err finish_empty(struct request *request) MUST_USE;
enum err finish_json(struct request *request) MUST_USE;
enum err finish_message(struct request *request) MUST_USE;

/* Percent-decodes into the request's arena; NULL when out of memory. */
const char *request_decode(struct request *request, const char *text);
/* Query parameters, decoded; NULL when absent. */
const char *query_text(struct request *request, const char *name);
/* `limit`, within 1..max. */
enum err query_limit(struct request *request, size_t standard, size_t max, size_t *ret_limit) MUST_USE;
/* An id; 0 when absent. ERR_BAD_CURSOR when it is not one. */
enum err query_cursor(struct request *request, const char *name, uint64_t *ret_id) MUST_USE;

/* Lists: `{"items":[` … `],"next":…,"as_of":…}`. `next_id` 0: null. */
struct buf *list_begin(struct request *request);
void list_end(struct buf *buf, uint64_t next_id, uint64_t head_id);
/* The same without the closing brace. */
void list_end_open(struct buf *buf, uint64_t next_id, uint64_t head_id);
/* Reads `cursor` and `limit`, and calls `fill` in one snapshot of the database, whose head is the list's as_of. On a reader. */
typedef enum err (*list_filler)(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id);
enum err list_page(struct request *request, size_t standard, size_t max, list_filler fill) MUST_USE;
