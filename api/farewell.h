/* Sockets whose last answer is on its way: closing one while the peer still sends would make the kernel send a reset, and a reset can destroy the answer
 * before the peer has read it. So what the peer sends is read and thrown away for a while. The loop's thread only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

struct farewell;

/* `epoll_fd`: where sockets are watched; their events' data.ptr is what farewell_owns() recognises. */
enum err farewell_new(int epoll_fd, struct farewell **ret_farewell) MUST_USE;
void farewell_free(struct farewell *farewell);
/* Takes `fd` over, half-closes it, and closes it when the peer has closed, after LIMIT_LINGER_MS or LIMIT_LINGER_BYTES. */
void farewell_add(struct farewell *farewell, int fd, int64_t now_ms);
bool farewell_owns(const struct farewell *farewell, const void *pointer);
/* The socket has something to read. */
void farewell_ready(struct farewell *farewell, void *pointer);
/* Closes what is due; returns the milliseconds until the next is, or -1. */
int farewell_expire(struct farewell *farewell, int64_t now_ms);
