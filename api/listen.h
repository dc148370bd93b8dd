/* Listening sockets. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define LISTEN_TEXT_SIZE 64

/* Binds and listens on "host:port" ("[::1]:8080" for IPv6; an empty host is every address; port 0 is any free one). `ret_text` gets the address as bound.
 * ERR_CONFIG or ERR_IO with a sentence in `problem`. */
enum err listen_open(const char *address, int *ret_fd, char ret_text[LISTEN_TEXT_SIZE], char *problem, size_t problem_size) MUST_USE;
