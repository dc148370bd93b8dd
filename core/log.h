/* The server's own log: one line of key=value per event on stderr.
 *
 * Only programs log (api/, cli/, jobs/, the threads' outermost functions); library layers return errors. Never a body, a token, a ticket
 * or a signed URL. Thread-safe: a line is one write(). */
#pragma once

#include "core/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
/* "debug", "info", "warn" or "error"; false for anything else. */
bool log_parse_level(const char *name, enum log_level *ret_level);
/* `event` is a short stable name; `format` gives the rest of the line as key=value pairs. Values that may hold spaces are quoted by the
 * caller; control characters are replaced here. */
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);
