/* Following the log. See tail.h. */
#include "stream/tail.h"

#include "core/clock.h"
#include "core/id.h"
#include "core/metrics.h"
#include "stream/life.h"

#define READ_PAUSE_MS 100 /* after a read that failed, or brought nothing although something is missing */
#define REST_TIMES 3
#define REST_MAX_US 4000

/* ---- One event ---- */

/* The stream has everything up to the hub's position, which is still the one before this event. */
static void deliver(void *context, struct stream *stream, struct frame *frame) {
    struct hub *hub = context;
    if (stream->state != STREAM_LIVE || frame->id <= stream->position)
        return;
    if (frame->type == EVENT_DEVICE_REMOVED && frame->ref_id == stream->device_id)
        return; /* it gets its last words instead */
    if (stream->position < hub->position && stream->pending_first == 0)
        stream->position = hub->position;
    if (!push_add(&hub->push, stream, frame))
        life_fall_behind(hub, stream);
}

static void apply(struct hub *hub, struct frame *frame) {
    if (push_is_full(&hub->push)) {
        life_push(hub);
        hub->was_full = true;
    }
    if (index_apply(&hub->index, frame, deliver, hub) != OK)
        hub->has_broken = true;
    if (frame->type == EVENT_DEVICE_REMOVED)
        life_remove_device(hub, frame->owner_id, frame->ref_id, closing_of_removal(frame->removal));
    ring_append(&hub->ring, frame, hub->wall_ms);
    hub->position = frame->id;
}

/* ---- Commits ---- */

/* False: something before the rest of the commit is missing. */
static bool apply_commit(struct hub *hub, const struct commit *commit) {
    uint64_t previous_id = commit->previous_id;
    for (size_t i = 0; i < commit->count; i++) {
        struct frame *frame = commit->frames[i];
        if (frame->id > hub->position) {
            if (previous_id != hub->position)
                return false;
            apply(hub, frame);
        }
        previous_id = frame->id;
    }
    return true;
}

static void free_commits(struct commit **list) {
    while (*list != NULL) {
        struct commit *commit = *list;
        *list = commit->next;
        commit_free(commit);
    }
}

static void end_tick(struct hub *hub, int64_t began_us) {
    bool gathers = push_gathers(&hub->push);
    life_push(hub);
    free_commits(&hub->tail.applied);
    if (gathers)
        hub->tail.rest_us = (clock_monotonic_us() - began_us) * REST_TIMES;
}

void tail_rest(struct hub *hub) {
    int64_t rest_us = hub->tail.rest_us;
    hub->tail.rest_us = 0;
    if (rest_us > 0 && hub->openings == NULL && hub->counts[STREAM_CATCHING_UP] == 0)
        clock_sleep_us(rest_us < REST_MAX_US ? rest_us : REST_MAX_US);
}

static void read_missing(struct hub *hub) {
    struct tail *tail = &hub->tail;
    tail->is_reading = true;
    tail->job.is_log = true;
    tail->job.after_id = hub->position;
    replay_submit(&hub->replays, &tail->job);
}

/* Whether all of them were applied. */
static bool apply_commits(struct hub *hub) {
    struct tail *tail = &hub->tail;
    while (tail->commits != NULL) {
        struct commit *commit = tail->commits;
        if (!apply_commit(hub, commit))
            return false;
        tail->commits = commit->next;
        commit->next = tail->applied;
        tail->applied = commit;
    }
    return true;
}

static bool may_read(const struct hub *hub) { return !hub->tail.is_reading && hub->now_ms >= hub->tail.read_at_ms; }

void tail_follow(struct hub *hub) {
    struct tail *tail = &hub->tail;
    if (!may_read(hub))
        return;
    if (tail->commits == NULL && !tail->lost) {
        tail->commits = inbox_take_commits(&hub->inbox, &tail->lost);
        tail->took_some = tail->commits != NULL;
    }
    int64_t began_us = clock_monotonic_us();
    bool complete = !tail->lost && apply_commits(hub);
    end_tick(hub, began_us);
    if (!complete)
        read_missing(hub);
}

/* ---- What was missing ---- */

static void apply_page(struct hub *hub, const struct feed_page *page) {
    int64_t began_us = clock_monotonic_us();
    for (size_t i = 0; i < page->count; i++)
        if (page->frames[i]->id > hub->position)
            apply(hub, page->frames[i]);
    end_tick(hub, began_us);
}

/* Whether the log has nothing after the hub's position as of the snapshot. */
static bool is_last(const struct feed_page *page) { return page->complete || page->count == 0; }

static void take_page(struct hub *hub) {
    struct tail *tail = &hub->tail;
    struct replay_job *job = &tail->job;
    uint64_t before_id = hub->position;
    if (job->err == OK && job->token != TOKEN_GOOD) {
        tail_restart(hub, job->head_id);
    } else if (job->err == OK) {
        apply_page(hub, &job->page);
        metric_add(COUNTER_HUB_GAPS_FILLED, 1);
        /* Commits at hand say themselves whether more is missing. */
        tail->lost = !is_last(&job->page) && tail->commits == NULL;
    } else {
        tail->lost = true;
        hub->failed_reads++;
    }
    if (hub->position == before_id && (tail->lost || tail->commits != NULL))
        tail->read_at_ms = hub->now_ms + READ_PAUSE_MS;
}

void tail_take_page(struct hub *hub) {
    struct tail *tail = &hub->tail;
    bool is_stale = tail->is_stale;
    tail->is_reading = tail->is_stale = false;
    if (!is_stale)
        take_page(hub);
    replay_job_release(&tail->job);
}

/* ---- Another log ---- */

void tail_doubt(struct hub *hub) {
    hub->tail.is_stale = hub->tail.is_reading;
    hub->tail.lost = true;
}

void tail_restart(struct hub *hub, uint64_t head_id) {
    struct tail *tail = &hub->tail;
    free_commits(&tail->commits);
    tail->is_stale = tail->is_reading;
    tail->lost = false;
    tail->took_some = true; /* newer ones may wait already */
    life_restart(hub, head_id);
}

bool tail_has_work(const struct hub *hub) {
    const struct tail *tail = &hub->tail;
    return may_read(hub) && (tail->commits != NULL || tail->lost || tail->took_some);
}

bool tail_is_done(const struct hub *hub) {
    const struct tail *tail = &hub->tail;
    return !tail->is_reading && tail->commits == NULL && !tail->lost && !tail->took_some;
}

void tail_check(struct hub *hub) {
    struct tail *tail = &hub->tail;
    bool stalled = tail_is_done(hub) && tail->checked_id == hub->position;
    tail->checked_id = hub->position;
    if (stalled && store_head(hub->store) > hub->position)
        tail->lost = true;
}

void tail_release(struct hub *hub) {
    free_commits(&hub->tail.commits);
    free_commits(&hub->tail.applied);
    replay_job_release(&hub->tail.job);
}
