/* Owns the server: its parts, and the order in which they start and stop. */
#include "api/server.h"

#include <stdlib.h>
#include <strings.h>

#include "api/auth.h"
#include "api/dispatch.h"
#include "api/http.h"
#include "api/json.h"
#include "api/pages.h"
#include "api/presence.h"
#include "api/rate.h"
#include "api/rate_shared.h"
#include "api/reaction_sender.h"
#include "api/receipt_sender.h"
#include "api/routes.h"
#include "api/server_internal.h"
#include "api/typing.h"
#include "api/workers.h"

static void release(struct server *server) {
    if (!http_stop(server->http))
        return;
    workers_stop(server->readers);
    workers_stop(server->hashers);
    workers_stop(server->storers);
    http_free(server->http);
    rate_shared_stop(server->rate_shared);
    rate_free(server->rate);
    auth_free(server->auth);
    typing_free(server->typing);
    presence_free(server->presence);
    receipt_sender_free(server->receipt_sender);
    free(server->page_policy);
    reaction_sender_free(server->reaction_sender);
    free(server);
}

static const struct workers_plan READERS = { "parley-reader", LIMIT_READER_THREADS, LIMIT_READER_QUEUE, dispatch_work };
static const struct workers_plan HASHERS = { "parley-hasher", LIMIT_HASHER_THREADS, LIMIT_HASHER_QUEUE, dispatch_work };

static const struct workers_plan STORERS = { "parley-storage", LIMIT_STORAGE_THREADS, LIMIT_STORAGE_QUEUE, dispatch_work };

static enum err start_rates(struct server *server) {
    const uint8_t *secret = store_secret(server->store);
    enum err err = rate_new(secret, SHA256_SIZE, &server->rate);
    return err == OK ? rate_shared_start(server->config, secret, SHA256_SIZE, server->rate, &server->rate_shared) : err;
}

/* Sessions first: what follows is of no use to a device that was removed. */
static void hear_commit(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    const struct server *server = context;
    auth_commit(server->auth, previous_id, frames, count);
    typing_commit(server->typing, previous_id, frames, count);
    presence_commit(server->presence, previous_id, frames, count);
}

static void hear_break(void *context, enum log_break kind, uint64_t head_id) {
    const struct server *server = context;
    auth_break(server->auth, kind, head_id);
    typing_break(server->typing, kind, head_id);
    presence_break(server->presence, kind, head_id);
}

static enum err start_parts(struct server *server, char *problem, size_t problem_size) {
    server->page_policy = page_policy_new(server->config, server->storage);
    enum err err = server->page_policy != NULL ? auth_new(&server->auth) : ERR_NO_MEMORY;
    if (err == OK)
        err = typing_new(&server->typing);
    if (err == OK)
        err = presence_start(server->config, server->store, server->hub, &server->presence);
    if (err == OK)
        err = start_rates(server);
    if (err == OK)
        err = receipt_sender_start(server->config, server->store, server->hub, &server->receipt_sender);
    if (err == OK)
        err = reaction_sender_start(server->hub, &server->reaction_sender);
    if (err == OK)
        err = http_open(server, &server->http, problem, problem_size);
    if (err == OK)
        err = workers_start(server->store, &READERS, &server->readers);
    if (err == OK)
        err = workers_start(server->store, &HASHERS, &server->hashers);
    if (err == OK)
        err = workers_start(server->store, &STORERS, &server->storers);
    if (err == OK) {
        store_on_commit(server->store, hear_commit, server);
        store_on_break(server->store, hear_break, server);
        store_on_whisper(server->store, presence_hear, server->presence);
        store_on_marks(server->store, receipt_sender_hear, server->receipt_sender);
    }
    return err == OK ? http_start(server->http) : err;
}

enum err server_start(const struct server_parts *parts, struct server **ret_server, char *problem, size_t problem_size) {
    if (problem_size > 0)
        problem[0] = '\0';
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return ERR_NO_MEMORY;
    server->config = parts->config;
    server->store = parts->store;
    hmac_key_init(&server->secret, store_secret(parts->store), SHA256_SIZE);
    server->hub = parts->hub;
    server->storage = parts->storage;
    server->secure_cookies = strncasecmp(parts->config->public_url, "https://", 8) == 0;
    list_init(&server->blobs);
    json_start();
    routes_start();
    enum err err = start_parts(server, problem, problem_size);
    if (err != OK) {
        release(server);
        return err;
    }
    *ret_server = server;
    return OK;
}

const char *server_address(const struct server *server) { return http_address(server->http); }

void server_quiesce(struct server *server) {
    server->draining = true;
    http_quiesce(server->http);
}

void server_drain(struct server *server) {
    server_quiesce(server);
    http_drain(server->http);
    presence_stop(server->presence);
    receipt_sender_stop(server->receipt_sender); /* the hub ends before the server does */
    reaction_sender_stop(server->reaction_sender);
}

/* The loop waits for what runs, so the workers must still work while it ends. */
void server_stop(struct server *server) {
    server->draining = true;
    release(server);
}
