/* Whether sockets can be taken over from the linked libmicrohttpd.
 *
 * Streams depend on how the library closes a connection: it must only close its own descriptor, and not shut the socket down. No documentation
 * promises that, so it is tried at each start. */
#pragma once

#include <stdbool.h>

/* Serves one request on a socket pair by a daemon of its own, takes the socket over as http.c does, and looks whether it still works. */
bool handover_works(void);
