/* HTTP heads: what a request's says, and writing an answer's for sockets that leave the daemon. */
#pragma once

#include <sys/socket.h>

#include "api/request.h"

struct MHD_Connection;

/* Fills method, path, headers, query and address (which must hold the connection's). */
void head_read(struct request *request, struct MHD_Connection *connection, const char *url, const char *method);
/* False when the head leaves open where the body ends, which is how requests are smuggled through proxies. */
bool head_is_sound(const struct request *request);
/* IPv4 or IPv6; anything else is all zero. NULL is fine. */
void address_from_socket(struct address *address, const struct sockaddr *socket);

/* Writes a response head from request->answer: status line, Date, Content-Type, X-Request-Id, the answer's headers, `Connection: close` and the
 * empty line. `content_length` < 0: none. */
void head_format(struct buf *buf, const struct request *request, int64_t content_length);
