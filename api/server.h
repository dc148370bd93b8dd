/* The HTTP server: what programs start and stop.
 *
 * Life: server_start (before store_start(), because it listens to commits) → server_quiesce → server_drain → store_stop → server_stop → store_close. */
#pragma once

#include <stdio.h>

#include "core/config.h"
#include "db/store.h"
#include "stream/hub.h"

struct server;
struct storage;

/* What it serves; all are borrowed until server_stop(). */
struct server_parts {
    const struct config *config;
    struct store *store;
    struct hub *hub;
    struct storage *storage;
};

/* Binds config->listen, proves that the linked libmicrohttpd lets sockets be handed over to the hub, and starts the HTTP loop and the workers. To be called before the hub's listener is registered (store_on_commit()) and before store_start(): the
 * session cache has to hear of a removed device before the hub does, see auth.h. Requests that need the writer before store_start() wait in its
 * queue. `problem` gets a sentence on failure. */
enum err server_start(const struct server_parts *parts, struct server **ret_server, char *problem, size_t problem_size) MUST_USE;
/* host:port as bound. Lives as long as the server. */
const char *server_address(const struct server *server);
/* Stops accepting: running requests (those whose head is there) finish, new ones on kept connections get 503. Returns at once. Any thread. */
void server_quiesce(struct server *server);
/* The same, and waits until no request runs, at most LIMIT_DRAIN_MS. Nothing is said to the hub, nor to the store unasked, afterwards. */
void server_drain(struct server *server);
/* Ends the threads, closes the connections and frees the server. After store_stop(), because the server listens to commits, and before store_close(),
 * because its workers read. */
void server_stop(struct server *server);

/* Prints `METHOD PATH AUTH SUCCESS_STATUS` for each route. */
void routes_print(FILE *out);
