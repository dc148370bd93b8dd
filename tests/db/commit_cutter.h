/* A place between a client and a MariaDB server that passes everything on, until it is armed: then the next COMMIT still reaches the server, and the
 * connection ends when the answer comes. It listens on a socket of its own. */
#pragma once

struct commit_cutter;

/* `url` is the server's, with the option socket as its last; NULL when it has none. */
struct commit_cutter *commit_cutter_start(const char *url);
const char *commit_cutter_url(const struct commit_cutter *cutter);
void commit_cutter_arm(struct commit_cutter *cutter);
/* The next COMMIT does not reach the server: the connection ends when it comes. */
void commit_cutter_arm_early(struct commit_cutter *cutter);
/* The answer to the next COMMIT waits until it is let go, or its connection's end does. What is armed meanwhile comes too late. */
void commit_cutter_hold_answer(struct commit_cutter *cutter);
void commit_cutter_let_go(struct commit_cutter *cutter);
/* Connections that come from now on wait until they are let in, or are closed at once until they are let in. */
void commit_cutter_hold(struct commit_cutter *cutter);
void commit_cutter_close(struct commit_cutter *cutter);
void commit_cutter_let_in(struct commit_cutter *cutter);
/* After the client has closed all its connections. */
void commit_cutter_stop(struct commit_cutter *cutter);
