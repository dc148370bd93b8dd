/* How long the cleanup rests, so that posts have the writer for themselves most of the time. When it is late it rests less, the less the later it is, so that not
 * more comes than goes, and so that what it takes was written lately: memory still has it, where a database that grows has to be read from the disk. But it then
 * takes time that posts leave, not time that they wait for: where more than a few wait, being late is no reason until a quarter of the deadline is over.
 *
 * Only decides: no clock, no waiting. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct pace {
    int64_t deadline_ms; /* the promise: PARLEY_CLEANUP_DEADLINE */
    int64_t interval_ms; /* PARLEY_CLEANUP_INTERVAL: what has been due for less is not late, it has waited for a run to begin */
    int64_t overdue_ms;  /* how long the oldest thing that is still there should already be gone */
    size_t waiting;      /* commands that wait for the writer now */
};

/* After a step that deleted something, and had the writer or waited for it for so long. To be asked again while it rests: who waits changes. */
int64_t pace_rest_ms(const struct pace *pace, int64_t writer_us);
/* Between a run that ended before its work did and the next: the interval, unless it is late. */
int64_t pace_pause_ms(const struct pace *pace);
