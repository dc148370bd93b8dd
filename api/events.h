/* Opening streams: from an authenticated request to a socket in the hub's hands. The loop's thread. */
#pragma once

#include "api/request.h"

/* Hands `fd` to the hub when OK. ERR_CONFLICT: a device was removed since the session was looked up; ask again. */
enum err stream_open(struct request *request, int fd) MUST_USE;
/* Answers on the stream itself what a client should retry, because an EventSource gives up for good on any status but 200. */
void stream_answer_closing(struct request *request, enum err err);
/* Whether `err` is such an answer. */
bool stream_should_retry(enum err err);
