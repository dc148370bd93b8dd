#include "jobs/pace.h"

#include <stdbool.h>

/* So many times as long as the step took. */
#define REST_TIMES 8
#define REST_MS 10
#define REST_MAX_MS 100
/* Parts of the time in which things are promised to be gone. Up to the first, a minute of an hour, it is not late; then it rests the less the later it is: half as
 * long when it is twice as late. What has been due for the second leaves no time to rest. */
#define CALM_PART 60
#define HURRY_PART 4
/* For whoever else in this process, or on another node, wants to clean up. */
#define PAUSE_MS 1000

static int64_t calm_ms(const struct pace *pace) { return pace->deadline_ms / CALM_PART; }

static bool is_calm(const struct pace *pace) { return pace->overdue_ms <= calm_ms(pace); }

int64_t pace_rest_ms(const struct pace *pace, int64_t writer_us) {
    int64_t rest_ms = writer_us * REST_TIMES / 1000;
    rest_ms = rest_ms < REST_MS ? REST_MS : rest_ms;
    rest_ms = rest_ms > REST_MAX_MS ? REST_MAX_MS : rest_ms;
    if (is_calm(pace))
        return rest_ms;
    return pace->overdue_ms < pace->deadline_ms / HURRY_PART ? rest_ms * calm_ms(pace) / pace->overdue_ms : 0;
}

int64_t pace_pause_ms(const struct pace *pace, int64_t interval_ms) {
    return is_calm(pace) || interval_ms < PAUSE_MS ? interval_ms : PAUSE_MS;
}
