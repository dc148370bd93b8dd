/* Listening sockets, and the ones accepted from them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "api/request.h"
#include "core/err.h"

#define LISTEN_TEXT_SIZE 64

/* Binds and listens on "host:port" ("[::1]:8080" for IPv6; an empty host is every address; port 0 is any free one). `ret_text` gets the address as bound.
 * ERR_CONFIG or ERR_IO with a sentence in `problem`. */
enum err listen_open(const char *address, int *ret_fd, char ret_text[LISTEN_TEXT_SIZE], char *problem, size_t problem_size) MUST_USE;

/* For a socket just accepted from `peer`. From this machine, as through a proxy on it, its congestion control becomes "reno", whatever the system's is:
 * nothing is lost or crowded on the way, where one that paces (bbr) spends a timer on each answer. Others keep the system's; so does one that is from this
 * machine by a way that somebody has made long, to see how that is. */
void listen_accepted(int fd, const struct address *peer);
