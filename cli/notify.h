/* Owns what a service manager is told: that the server is ready, and that it stops. It is the protocol of sd_notify(3), a datagram to the socket that the environment
 * names in NOTIFY_SOCKET; without one nothing is said. Main thread. */
#pragma once

/* Both are hints: whether they arrived is not known, and nothing depends on it. */
void notify_ready(void);
void notify_stopping(void);
