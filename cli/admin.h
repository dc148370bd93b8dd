/* The admin socket: how the commands of this program reach a running server. A Unix socket of mode 0600 in the data folder; instructions go in,
 * replies come out (cli/instruction.h), one peer at a time. After the last reply to all that the peer had to say comes ADMIN_END; without it the
 * server ended or gave up before. */
#pragma once

#include "jobs/cleanup.h"

#define ADMIN_END "{\"end\":true}"

struct admin;

/* Listens, in the place of a socket that an earlier server left behind, and starts the thread. ERR_IO, EADDRINUSE: a server that runs has this data
 * folder. What `target` names outlives the admin. On failure errno says why. */
enum err admin_start(const struct cleanup_target *target, struct admin **ret_admin) MUST_USE;
/* Ends the thread after the instructions in flight and removes the socket; before store_stop(). NULL is fine. */
void admin_stop(struct admin *admin);

/* Connects to the server of the data folder. ERR_NOT_FOUND: none listens there. ERR_IO: errno says why. */
enum err admin_connect(const struct config *config, int *ret_fd) MUST_USE;
