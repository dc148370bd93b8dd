/* How long the cleanup rests, so that posts have the writer for themselves most of the time: less the later it is, so that not more comes than goes for good.
 *
 * Only decides: no clock, no waiting. Any thread. */
#pragma once

#include <stdint.h>

struct pace {
    int64_t deadline_ms; /* the promise: PARLEY_CLEANUP_DEADLINE */
    int64_t overdue_ms;  /* how long the oldest thing that is still there should already be gone */
};

/* After a step that deleted something, and had the writer or waited for it for so long. */
int64_t pace_rest_ms(const struct pace *pace, int64_t writer_us);
/* Between a run that ended before its work did and the next; `interval_ms` when it is not late. */
int64_t pace_pause_ms(const struct pace *pace, int64_t interval_ms);
