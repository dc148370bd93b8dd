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

/* Dates of HTTP (RFC 9110, 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT", and for reading its two obsolete forms. */
#define HTTP_DATE_SIZE 40
void head_date_format(int64_t time_ms, char out[HTTP_DATE_SIZE]);
bool head_date_parse(const char *text, int64_t *ret_time_s);

/* Writes a response head from request->answer: status line, Date, Content-Type, X-Request-Id, the answer's headers, `Connection: close` and the
 * empty line. `content_length` < 0: none. */
void head_format(struct buf *buf, const struct request *request, int64_t content_length);
