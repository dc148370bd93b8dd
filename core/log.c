/* See log.h. */
#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"

#define LINE_BYTES 2048 /* a longer line is cut; below PIPE_BUF, so that lines of several processes do not mix */

static const char *const level_names[] = { [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error" };
static atomic_int threshold = LOG_INFO;

void log_set_level(enum log_level level) { atomic_store_explicit(&threshold, (int)level, memory_order_relaxed); }

bool log_parse_level(const char *name, enum log_level *ret_level) {
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        if (strcmp(name, level_names[level]) == 0) {
            *ret_level = (enum log_level)level;
            return true;
        }
    }
    return false;
}

/* What came from outside must not be able to begin a line of its own. */
static void replace_controls(char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
}

static void write_line(const char *line, size_t size) {
    ssize_t written;
    do
        written = write(STDERR_FILENO, line, size);
    while (written < 0 && errno == EINTR); /* nobody to tell when the log itself fails */
}

/* The size of what snprintf left in `room` bytes, given what it returned. */
static size_t size_kept(int wanted, size_t room) {
    size_t size = wanted < 0 ? 0 : (size_t)wanted;
    return size < room ? size : room - 1;
}

void log_event(enum log_level level, const char *event, const char *format, ...) {
    if ((int)level < atomic_load_explicit(&threshold, memory_order_relaxed))
        return;

    int saved_errno = errno;
    char time[CLOCK_RFC3339_SIZE];
    char line[LINE_BYTES];
    clock_format(clock_now_ms(), time);
    const size_t room = sizeof(line) - 1; /* for the newline */
    size_t size = size_kept(snprintf(line, room, "time=%s level=%s event=%s ", time, level_names[level], event), room);

    va_list arguments;
    va_start(arguments, format);
    size += size_kept(vsnprintf(line + size, room - size, format, arguments), room - size);
    va_end(arguments);

    replace_controls(line, size);
    while (size > 0 && line[size - 1] == ' ')
        size--;
    line[size++] = '\n';
    write_line(line, size);
    errno = saved_errno;
}
