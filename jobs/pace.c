#include "jobs/pace.h"

/* So many times as long as the step took, */
#define REST_TIMES 8
#define REST_MS 10
#define REST_MAX_MS 100
/* and half as long when it is late by this. So little keeps it only seconds late where posts come fast, and what it takes in memory (docs/performance.md). */
#define HALF_MS 500
/* A batch on a healthy disk: those are gone before the next step begins. */
#define FEW_WAIT 32
/* What has been due for this part of the time in which it is promised to be gone leaves no time to rest. */
#define HURRY_PART 4
/* For whoever else in this process, or on another node, wants to clean up. */
#define PAUSE_MS 1000

static int64_t late_ms(const struct pace *pace) { return pace->overdue_ms > pace->interval_ms ? pace->overdue_ms - pace->interval_ms : 0; }

int64_t pace_rest_ms(const struct pace *pace, int64_t writer_us) {
    int64_t rest_ms = writer_us * REST_TIMES / 1000;
    if (pace->overdue_ms >= pace->deadline_ms / HURRY_PART)
        return 0;
    rest_ms = rest_ms < REST_MS ? REST_MS : rest_ms;
    rest_ms = rest_ms > REST_MAX_MS ? REST_MAX_MS : rest_ms;
    return pace->waiting > FEW_WAIT ? rest_ms : rest_ms * HALF_MS / (HALF_MS + late_ms(pace));
}

int64_t pace_pause_ms(const struct pace *pace) { return late_ms(pace) == 0 || pace->interval_ms < PAUSE_MS ? pace->interval_ms : PAUSE_MS; }
