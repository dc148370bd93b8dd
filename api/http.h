/* The HTTP loop: one thread that receives requests and sends answers, over libmicrohttpd.
 *
 * It knows connections, bytes and deadlines, and nothing of what a request means: it gives each complete request to dispatch.h and gets an answer back,
 * at once or later. */
#pragma once

#include "api/request.h"

struct http;

/* Binds the listening socket and makes sure that sockets can be handed over. `problem` gets a sentence on failure. */
enum err http_open(struct server *server, struct http **ret_http, char *problem, size_t problem_size) MUST_USE;
/* Starts the loop's thread. */
enum err http_start(struct http *http) MUST_USE;
const char *http_address(const struct http *http);
/* Stops accepting. Any thread. */
void http_quiesce(struct http *http);
/* After http_quiesce(): returns when no request runs, or after LIMIT_DRAIN_MS. Any thread but the loop's. */
void http_drain(struct http *http);
/* Waits for running requests and ends the loop's thread if it was started; NULL is fine. False when some requests never came back: then what they may
 * still touch, here and in the server, has to stay until the process ends. */
bool http_stop(struct http *http);
/* After http_stop(), and after the threads that complete requests have ended: the loop may take a request before http_complete() of it has returned. */
void http_free(struct http *http);

/* Gives a request back to the loop, which then calls dispatch_continue(). Any thread, also the loop's. */
void http_complete(struct http *http, struct request *request);

/* For the loop's thread, once for each request that dispatch_run() was called with: */
/* Sends request->answer. */
void http_answer(struct request *request);
/* What dispatch_block() and dispatch_discard() were called for is done; request->err says how. */
void http_block_passed(struct request *request);
void http_discarded(struct request *request);
/* Takes the socket away from HTTP: stream_open() is called with it, and on failure dispatch_detach_failed(). */
void http_detach(struct request *request);
