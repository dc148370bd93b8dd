/* Frames of an event stream, as strictly as Parley promises to write them:
 * [`retry: MS`] [`event: TYPE`] [`id: ID`] [`data: JSON`], each at most once, in this order, ended by a blank line. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct frame {
    const char *type; /* borrowed from the bytes, not ended by NUL; NULL when there is no event: line */
    size_t type_len;
    const char *data; /* NULL when there is no data: line */
    size_t data_len;
    uint64_t id; /* 0 when there is no id: line */
};

enum frame_progress { FRAME_PARTIAL, FRAME_COMPLETE, FRAME_BROKEN };

/* Reads the frame at the start of `bytes`, and says how many bytes it is. */
enum frame_progress frame_parse(const char *bytes, size_t len, struct frame *ret_frame, size_t *ret_frame_len);
