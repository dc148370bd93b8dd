/* Owns the route table and the index over it. The index is built once and then only read. */
#include "api/routes.h"

#include <assert.h>
#include <string.h>

#include "api/handlers.h"
#include "api/pages.h"
#include "api/server.h"
#include "core/id.h"
#include "core/metrics.h"
#include "media/storage.h"

#define BIG LIMIT_MESSAGE_BODY_BYTES
#define HUGE ((size_t)STORAGE_PUT_MAX_BYTES)
#define SIGNATURE "X-Amz-Algorithm X-Amz-Content-Sha256 X-Amz-Credential X-Amz-Date X-Amz-Expires X-Amz-SignedHeaders X-Amz-Signature x-id "

/* clang-format off */
const struct route ROUTES[] = {
    { METHOD_POST,   "/v1/users",             AUTH_NONE, ON_HASHER, RATE_LOGIN,  201, 0, &user_create_form, NULL, user_create_admit, user_create, user_created },
    { METHOD_GET,    "/v1/users",             AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "username", NULL, user_find, NULL },
    { METHOD_GET,    "/v1/users/me",          AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, NULL, NULL, user_show_me, NULL },
    { METHOD_PATCH,  "/v1/users/me",          AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, &user_update_form, NULL, NULL, user_update, finish_json },
    { METHOD_PUT,    "/v1/users/me/password", AUTH_USER, ON_HASHER, RATE_NORMAL, 204, 0, &password_form, NULL, password_admit, password_set, finish_empty },
    { METHOD_GET,    "/v1/users/{user_id}",   AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, NULL, NULL, user_show, NULL },

    { METHOD_GET,    "/v1/blocks",             AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "limit cursor", NULL, block_list, NULL },
    { METHOD_PUT,    "/v1/blocks/{user_id}",   AUTH_USER, ON_LOOP,   RATE_NORMAL, 201, 0, NULL, NULL, NULL, block_put, finish_json },
    { METHOD_DELETE, "/v1/blocks/{user_id}",   AUTH_USER, ON_LOOP,   RATE_NORMAL, 204, 0, NULL, NULL, NULL, block_remove, finish_empty },
    { METHOD_GET,    "/v1/contacts",           AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "limit cursor", NULL, contact_list, NULL },
    { METHOD_PUT,    "/v1/contacts/{user_id}", AUTH_USER, ON_LOOP,   RATE_NORMAL, 201, 0, &contact_form, NULL, NULL, contact_put, finish_json },
    { METHOD_DELETE, "/v1/contacts/{user_id}", AUTH_USER, ON_LOOP,   RATE_NORMAL, 204, 0, NULL, NULL, NULL, contact_remove, finish_empty },

    { METHOD_POST,   "/v1/reports",           AUTH_USER, ON_READER, RATE_NORMAL, 201, 0, &report_form, NULL, NULL, report_create, finish_json },

    { METHOD_POST,   "/v1/sessions",          AUTH_NONE, ON_HASHER, RATE_LOGIN,  201, 0, &session_create_form, NULL, session_create_admit, session_create, session_created },
    { METHOD_DELETE, "/v1/sessions/current",  AUTH_USER, ON_LOOP,   RATE_NORMAL, 204, 0, NULL, NULL, NULL, session_end, session_ended },
    { METHOD_GET,    "/v1/devices",           AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, NULL, NULL, device_list, NULL },
    { METHOD_DELETE, "/v1/devices/{device_id}", AUTH_USER, ON_LOOP, RATE_NORMAL, 204, 0, NULL, NULL, NULL, device_remove, finish_empty },

    { METHOD_POST,   "/v1/chats",             AUTH_USER, ON_LOOP,   RATE_NORMAL, 201, 0, &chat_create_form, NULL, NULL, chat_create, chat_created },
    { METHOD_GET,    "/v1/chats",             AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "limit cursor since", NULL, chat_list, NULL },
    { METHOD_GET,    "/v1/chats/{chat_id}",   AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, NULL, NULL, chat_show, NULL },
    { METHOD_PATCH,  "/v1/chats/{chat_id}",   AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, &chat_update_form, NULL, NULL, chat_update, finish_json },
    { METHOD_DELETE, "/v1/chats/{chat_id}",   AUTH_USER, ON_LOOP,   RATE_NORMAL, 204, 0, NULL, NULL, NULL, chat_delete, finish_empty },

    { METHOD_GET,    "/v1/chats/{chat_id}/members",           AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "limit cursor", NULL, member_list, NULL },
    { METHOD_PUT,    "/v1/chats/{chat_id}/members/{user_id}", AUTH_USER, ON_LOOP, RATE_NORMAL, 201, 0, &member_form, NULL, NULL, member_put, finish_json },
    { METHOD_DELETE, "/v1/chats/{chat_id}/members/{user_id}", AUTH_USER, ON_LOOP, RATE_NORMAL, 204, 0, NULL, NULL, NULL, member_remove, finish_empty },

    { METHOD_POST,   "/v1/chats/{chat_id}/links",              AUTH_USER, ON_LOOP,   RATE_NORMAL, 201, 0, &link_form, NULL, NULL, link_create, finish_json },
    { METHOD_GET,    "/v1/chats/{chat_id}/links",              AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "limit cursor", NULL, link_list, NULL },
    { METHOD_DELETE, "/v1/chats/{chat_id}/links/{link_id}",    AUTH_USER, ON_LOOP,   RATE_NORMAL, 204, 0, NULL, NULL, NULL, link_revoke, finish_empty },
    { METHOD_GET,    "/v1/chats/{chat_id}/requests",           AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "limit cursor", NULL, join_list, NULL },
    { METHOD_PUT,    "/v1/chats/{chat_id}/requests/{user_id}", AUTH_USER, ON_LOOP,   RATE_NORMAL, 204, 0, &join_answer_form, NULL, NULL, join_answer, finish_empty },
    { METHOD_GET,    "/v1/chats/{chat_id}/bans",               AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "limit cursor", NULL, ban_list, NULL },
    { METHOD_PUT,    "/v1/chats/{chat_id}/bans/{user_id}",     AUTH_USER, ON_LOOP,   RATE_NORMAL, 201, 0, NULL, NULL, NULL, ban_put, finish_json },
    { METHOD_DELETE, "/v1/chats/{chat_id}/bans/{user_id}",     AUTH_USER, ON_LOOP,   RATE_NORMAL, 204, 0, NULL, NULL, NULL, ban_remove, finish_empty },
    { METHOD_GET,    "/v1/links/{token}",                      AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, NULL, NULL, link_show, NULL },
    { METHOD_POST,   "/v1/links/{token}/join",                 AUTH_USER, ON_READER, RATE_NORMAL, 201, 0, NULL, NULL, NULL, link_join, link_joined },

    { METHOD_POST,   "/v1/chats/{chat_id}/messages", AUTH_USER, ON_LOOP,   RATE_NORMAL, 201, BIG, &message_form, NULL, NULL, message_post, finish_message },
    { METHOD_GET,    "/v1/chats/{chat_id}/messages", AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "before after around limit", NULL, message_list, NULL },
    { METHOD_GET,    "/v1/chats/{chat_id}/messages/{message_id}", AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, NULL, NULL, message_show, NULL },
    { METHOD_PATCH,  "/v1/chats/{chat_id}/messages/{message_id}", AUTH_USER, ON_LOOP, RATE_NORMAL, 200, BIG, &message_edit_form, NULL, NULL, message_edit, finish_message },
    { METHOD_DELETE, "/v1/chats/{chat_id}/messages/{message_id}", AUTH_USER, ON_LOOP, RATE_NORMAL, 204, 0, NULL, "for", NULL, message_delete, finish_empty },

    { METHOD_GET,    "/v1/chats/{chat_id}/messages/{message_id}/edits", AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "limit cursor", NULL, edit_list, NULL },

    { METHOD_GET,    "/v1/chats/{chat_id}/messages/{message_id}/reactions", AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "emoji limit cursor", NULL, reaction_list, NULL },
    { METHOD_PUT,    "/v1/chats/{chat_id}/messages/{message_id}/reactions/{emoji}", AUTH_USER, ON_LOOP, RATE_NORMAL, 200, 0, NULL, NULL, NULL, reaction_put, reaction_done },
    { METHOD_DELETE, "/v1/chats/{chat_id}/messages/{message_id}/reactions/{emoji}", AUTH_USER, ON_LOOP, RATE_NORMAL, 200, 0, NULL, NULL, NULL, reaction_delete, reaction_done },

    { METHOD_POST,   "/v1/chats/{chat_id}/scheduled", AUTH_USER, ON_LOOP, RATE_NORMAL, 201, BIG, &scheduled_form, NULL, NULL, schedule_create, finish_json },
    { METHOD_GET,    "/v1/chats/{chat_id}/scheduled", AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "limit cursor", NULL, schedule_list, NULL },
    { METHOD_DELETE, "/v1/chats/{chat_id}/scheduled/{scheduled_id}", AUTH_USER, ON_LOOP, RATE_NORMAL, 204, 0, NULL, NULL, NULL, schedule_delete, finish_empty },
    { METHOD_GET,    "/v1/chats/{chat_id}/pins",              AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, NULL, NULL, pin_list, NULL },
    { METHOD_PUT,    "/v1/chats/{chat_id}/pins/{message_id}", AUTH_USER, ON_LOOP, RATE_NORMAL, 204, 0, NULL, NULL, NULL, pin_put, finish_empty },
    { METHOD_DELETE, "/v1/chats/{chat_id}/pins/{message_id}", AUTH_USER, ON_LOOP, RATE_NORMAL, 204, 0, NULL, NULL, NULL, pin_delete, finish_empty },

    { METHOD_POST,   "/v1/chats/{chat_id}/typing",   AUTH_USER, ON_READER, RATE_NORMAL, 204, 0, NULL, NULL, NULL, typing_say, NULL },
    { METHOD_PUT,    "/v1/chats/{chat_id}/read",     AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, &read_form, NULL, NULL, chat_read, NULL },
    { METHOD_GET,    "/v1/chats/{chat_id}/receipts", AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "limit cursor", NULL, receipt_list, NULL },
    { METHOD_GET,    "/v1/chats/{chat_id}/messages/{message_id}/receipts", AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, NULL, NULL, message_receipts, NULL },
    { METHOD_PATCH,  "/v1/chats/{chat_id}/me",       AUTH_USER, ON_LOOP,   RATE_NORMAL, 200, 0, &settings_form, NULL, NULL, settings_change, finish_json },

    { METHOD_PUT,    "/v1/presence",          AUTH_USER, ON_LOOP,   RATE_NORMAL, 204, 0, &presence_form, NULL, NULL, presence_say, NULL },
    { METHOD_GET,    "/v1/presence",          AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, NULL, "user_ids", NULL, presence_show, NULL },
    { METHOD_PUT,    "/v1/presence/subscriptions", AUTH_USER, ON_READER, RATE_NORMAL, 200, 0, &presence_subscriptions_form, NULL, NULL, presence_subscribe, NULL },

    { METHOD_POST,   "/v1/media",                     AUTH_USER, ON_LOOP,    RATE_NORMAL, 201, 0, &media_create_form, NULL, NULL, media_create, media_created },
    { METHOD_GET,    "/v1/media/{media_id}",          AUTH_USER, ON_READER,  RATE_NORMAL, 200, 0, NULL, NULL, NULL, media_show, media_signed },
    { METHOD_DELETE, "/v1/media/{media_id}",          AUTH_USER, ON_LOOP,    RATE_NORMAL, 204, 0, NULL, NULL, NULL, media_delete, finish_empty },
    { METHOD_GET,    "/v1/media/{media_id}/content",  AUTH_USER, ON_READER,  RATE_NORMAL, 307, 0, NULL, NULL, NULL, media_fetch, NULL },
    { METHOD_POST,   "/v1/media/{media_id}/complete", AUTH_USER, ON_STORAGE, RATE_NORMAL, 200, 0, NULL, NULL, NULL, media_complete, media_completed },
    { METHOD_GET,    "/v1/media/{media_id}/parts",    AUTH_USER, ON_STORAGE, RATE_NORMAL, 200, 0, NULL, "limit cursor", NULL, media_parts_list, NULL },
    { METHOD_POST,   "/v1/media/{media_id}/parts",    AUTH_USER, ON_STORAGE, RATE_NORMAL, 200, 0, &media_parts_form, NULL, NULL, media_parts_sign, media_signed },

    { METHOD_GET,    "/v1/events",            AUTH_STREAM, ON_LOOP, RATE_NORMAL, 200, 0, NULL, "last_event_id lastEventId ticket named", stream_admit, NULL, NULL },
    { METHOD_POST,   "/v1/events/ticket",     AUTH_USER, ON_LOOP,   RATE_NORMAL, 201, 0, NULL, NULL, NULL, ticket_create, ticket_created },
    { METHOD_POST,   "/v1/events/ack",        AUTH_USER, ON_LOOP,   RATE_NORMAL, 204, 0, &events_ack_form, NULL, NULL, events_ack, events_acked },

    { METHOD_PUT,    "/blobs/{object}",       AUTH_NONE, ON_UPLOAD, RATE_NORMAL, 200, HUGE, NULL, SIGNATURE "partNumber uploadId", blob_put_admit, blob_put, NULL },
    { METHOD_GET,    "/blobs/{object}",       AUTH_NONE, ON_STORAGE, RATE_NORMAL, 200, 0, NULL, SIGNATURE "response-content-type response-content-disposition", blob_get_admit, blob_get, NULL },

    { METHOD_GET,    "/",                     AUTH_NONE, ON_LOOP,   RATE_NORMAL, 200, 0, NULL, NULL, NULL, show_index, NULL },
    { METHOD_GET,    "/{page}",               AUTH_NONE, ON_LOOP,   RATE_NORMAL, 200, 0, NULL, NULL, NULL, show_page, NULL },
    { METHOD_GET,    "/openapi.yaml",         AUTH_NONE, ON_LOOP,   RATE_NORMAL, 200, 0, NULL, NULL, NULL, show_contract, NULL },
    { METHOD_GET,    "/healthz",              AUTH_NONE, ON_LOOP,   RATE_FREE,   200, 0, NULL, NULL, NULL, show_health, NULL },
    { METHOD_GET,    "/readyz",               AUTH_NONE, ON_LOOP,   RATE_FREE,   200, 0, NULL, NULL, NULL, show_readiness, NULL },
    { METHOD_GET,    "/metrics",              AUTH_NONE, ON_LOOP,   RATE_FREE,   200, 0, NULL, NULL, NULL, show_metrics, NULL },
};
/* clang-format on */

const size_t ROUTE_COUNT = sizeof(ROUTES) / sizeof(ROUTES[0]);
#define COUNTED_ROUTES (sizeof(ROUTES) / sizeof(ROUTES[0]) + 1) /* the last index: requests that match none */

static_assert(COUNTED_ROUTES <= METRICS_ROUTES_MAX, "every route has its counters");

static const char *const METHOD_NAMES[METHOD_COUNT] = { "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER" };

/* ---- The index: a tree of path segments ---- */

#define NODES_MAX 192
#define NO_PARAMETER PATH_ID_COUNT
#define REST_PARAMETER ((enum path_id)(PATH_ID_COUNT + 1))  /* {object}, {emoji}: the rest of the path, slashes and all */
#define TOKEN_PARAMETER ((enum path_id)(PATH_ID_COUNT + 2)) /* {token}: a segment of any text */
#define PAGE_PARAMETER ((enum path_id)(PATH_ID_COUNT + 3))  /* {page}: the rest of the path, where it names a file that is served */

struct node {
    const char *segment; /* borrowed from the table */
    size_t size;
    enum path_id parameter; /* NO_PARAMETER: `segment` is literal */
    const struct route *routes[METHOD_COUNT];
    struct node *child, *sibling; /* literals before parameters */
};

static struct node nodes[NODES_MAX]; /* the first is the root */
static size_t node_count;

static enum path_id parameter_of(const char *segment, size_t size) {
    static const char *const NAMES[PATH_ID_COUNT] = { "{chat_id}",  "{message_id}", "{user_id}",     "{device_id}",
                                                      "{media_id}", "{link_id}",    "{scheduled_id}" };
    for (int i = 0; i < PATH_ID_COUNT; i++)
        if (strlen(NAMES[i]) == size && memcmp(NAMES[i], segment, size) == 0)
            return (enum path_id)i;
    static const char OBJECT[] = "{object}", EMOJI[] = "{emoji}", TOKEN[] = "{token}", PAGE[] = "{page}";
    if (size == sizeof(TOKEN) - 1 && memcmp(segment, TOKEN, size) == 0)
        return TOKEN_PARAMETER;
    if (size == sizeof(PAGE) - 1 && memcmp(segment, PAGE, size) == 0)
        return PAGE_PARAMETER;
    bool is_rest = (size == sizeof(OBJECT) - 1 && memcmp(segment, OBJECT, size) == 0) ||
                   (size == sizeof(EMOJI) - 1 && memcmp(segment, EMOJI, size) == 0);
    return is_rest ? REST_PARAMETER : NO_PARAMETER;
}

static struct node *add_child(struct node *parent, const char *segment, size_t size) {
    struct node **link = &parent->child;
    enum path_id parameter = parameter_of(segment, size);
    for (; *link != NULL; link = &(*link)->sibling) {
        if ((*link)->size == size && memcmp((*link)->segment, segment, size) == 0)
            return *link;
        if ((*link)->parameter != NO_PARAMETER && parameter == NO_PARAMETER)
            break;
    }
    assert(node_count < NODES_MAX);
    struct node *node = &nodes[node_count++];
    *node = (struct node){ .segment = segment, .size = size, .parameter = parameter, .sibling = *link };
    *link = node;
    return node;
}

static void index_route(const struct route *route) {
    struct node *node = &nodes[0];
    for (const char *segment = route->path; *segment == '/';) {
        size_t size = strcspn(++segment, "/");
        node = add_child(node, segment, size);
        segment += size;
    }
    assert(node->routes[route->method] == NULL);
    node->routes[route->method] = route;
}

void routes_start(void) {
    memset(nodes, 0, sizeof(nodes));
    node_count = 1;
    for (unsigned i = 0; i < ROUTE_COUNT; i++) {
        index_route(&ROUTES[i]);
        metrics_register_route(i, METHOD_NAMES[ROUTES[i].method], ROUTES[i].path);
    }
    metrics_register_route((unsigned)ROUTE_COUNT, "ANY", "unmatched");
}

static const struct node *step_down(struct request *request, const struct node *node, const char *segment, size_t size) {
    for (const struct node *child = node->child; child != NULL; child = child->sibling) {
        if (child->parameter == REST_PARAMETER) {
            request->object = segment;
            return size > 0 ? child : NULL;
        }
        if (child->parameter == TOKEN_PARAMETER) {
            request->token_text = (struct slice){ segment, size };
            return child;
        }
        if (child->parameter == PAGE_PARAMETER) {
            request->page = page_find(request->path);
            return request->page != NULL ? child : NULL;
        }
        if (child->parameter != NO_PARAMETER)
            return id_parse(segment, size, &request->ids[child->parameter]) ? child : NULL;
        if (child->size == size && memcmp(child->segment, segment, size) == 0)
            return child;
    }
    return NULL;
}

void routes_match(struct request *request) {
    const struct node *node = request->path[0] == '/' ? &nodes[0] : NULL;
    for (const char *segment = request->path; node != NULL && *segment == '/';) {
        size_t size = strcspn(++segment, "/");
        node = step_down(request, node, segment, size);
        segment += request->object != NULL || request->page != NULL ? strlen(segment) : size;
    }
    if (node == NULL)
        return;
    request->route = node->routes[request->method];
    for (int method = 0; method < METHOD_COUNT; method++)
        if (node->routes[method] != NULL)
            request->allowed |= (uint16_t)(1u << method);
}

const char *routes_allow(struct request *request) {
    struct buf list = BUF_INIT;
    for (int method = 0; method < METHOD_COUNT; method++) {
        if ((request->allowed & 1u << method) == 0)
            continue;
        buf_string(&list, METHOD_NAMES[method]);
        buf_string(&list, method == METHOD_GET ? ", HEAD, " : ", ");
    }
    buf_string(&list, "OPTIONS");
    char *allow = buf_ok(&list) ? arena_copy(&request->arena, list.bytes, list.size) : NULL;
    buf_release(&list);
    return allow;
}

void routes_count(const struct request *request, int64_t duration_us) {
    size_t index = request->route != NULL ? (size_t)(request->route - ROUTES) : ROUTE_COUNT;
    metrics_count_request((unsigned)index, request->answer.status, (uint64_t)duration_us);
}

void routes_print(FILE *out) {
    static const char *const AUTH[] = { [AUTH_NONE] = "none", [AUTH_USER] = "user", [AUTH_STREAM] = "stream" };
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        fprintf(out, "%s %s %s %u\n", METHOD_NAMES[ROUTES[i].method], ROUTES[i].path, AUTH[ROUTES[i].auth], ROUTES[i].success);
}
