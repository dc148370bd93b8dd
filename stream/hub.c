/* The hub's thread: its loop, and the public functions. See hub.h; what the hub's state means is in hub_state.h. */
#include "stream/hub.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/id.h"
#include "core/log.h"
#include "core/metrics.h"
#include "stream/life.h"
#include "stream/tail.h"
#include "stream/whisper.h"

#define CHORES_INTERVAL_MS 500
#define DRAIN_LIMIT_MS 2000
#define LAST_COMMITS_LIMIT_MS 2000

static void read_clocks(struct hub *hub) {
    hub->now_ms = clock_monotonic_ms();
    hub->wall_ms = clock_now_ms();
    hub->outlet.now_ms = hub->now_ms;
}

/* ---- One turn of the loop ---- */

static size_t streams_open(const struct hub *hub) {
    size_t count = 0;
    for (int state = 0; state < STREAM_CLOSED; state++)
        count += hub->counts[state];
    return count;
}

static size_t streams_behind(const struct hub *hub) {
    return hub->counts[STREAM_WAITING] + hub->counts[STREAM_READING] + hub->counts[STREAM_CATCHING_UP] + hub->counts[STREAM_BLOCKED];
}

static bool has_work(const struct hub *hub) {
    return hub->openings != NULL || hub->has_whispers || hub->counts[STREAM_CATCHING_UP] > 0 || tail_has_work(hub);
}

static int64_t sooner(int64_t a_ms, int64_t b_ms) { return a_ms < b_ms ? a_ms : b_ms; }

static int wait_ms(const struct hub *hub) {
    if (has_work(hub))
        return 0;
    int64_t at_ms = sooner(wheel_next_ms(&hub->wheel), hub->chores_at_ms);
    if (hub->tail.read_at_ms > hub->now_ms)
        at_ms = sooner(at_ms, hub->tail.read_at_ms);
    int64_t left_ms = at_ms - clock_monotonic_ms();
    return left_ms > 0 ? (int)left_ms : 0;
}

static void serve_stream(struct hub *hub, struct stream *stream, uint32_t events) {
    if (stream->state == STREAM_CLOSED)
        return;
    bool is_gone = (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0;
    if (is_gone || ((events & EPOLLIN) != 0 && !socket_discard_input(stream)))
        life_close(hub, stream);
    else if ((events & EPOLLOUT) != 0)
        life_writable(hub, stream);
}

static void serve_sockets(struct hub *hub, int timeout_ms) {
    struct epoll_event events[LIMIT_TURN_SOCKETS];
    int count = epoll_wait(hub->epoll_fd, events, LIMIT_TURN_SOCKETS, timeout_ms);
    read_clocks(hub);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL)
            inbox_acknowledge(&hub->inbox);
        else
            serve_stream(hub, events[i].data.ptr, events[i].events);
    }
}

/* Before anything else that was handed over: what came after a break is of the log as it is then. */
static void take_break(struct hub *hub) {
    enum log_break kind;
    uint64_t head_id;
    if (!inbox_take_break(&hub->inbox, &kind, &head_id, &hub->log_number))
        return;
    if (kind == LOG_REPLACED) {
        tail_restart(hub, head_id);
        return;
    }
    life_doubt(hub);
    tail_doubt(hub);
}

/* At most LIMIT_REPLAYS_AT_ONCE and the log's. */
static void take_pages(struct hub *hub) {
    for (struct replay_job *job = inbox_take_pages(&hub->inbox), *next; job != NULL; job = next) {
        next = job->next;
        if (job->is_log)
            tail_take_page(hub);
        else
            life_take_page(hub, job);
    }
}

static void open_streams(struct hub *hub) {
    if (hub->openings == NULL)
        hub->openings = inbox_take_openings(&hub->inbox);
    for (int i = 0; i < LIMIT_TURN_OPENINGS && hub->openings != NULL; i++) {
        struct opening *opening = hub->openings;
        hub->openings = opening->next;
        life_open(hub, opening);
    }
}

static void run_timers(struct hub *hub) {
    struct list_node *node;
    for (int i = 0; i < LIMIT_TURN_TIMERS && (node = wheel_take(&hub->wheel, hub->now_ms)) != NULL; i++)
        life_timer(hub, LIST_ITEM(node, struct stream, in_wheel));
}

/* ---- Chores ---- */

static uint64_t lag_in(const struct hub *hub, enum stream_state state) {
    uint64_t lag = 0;
    LIST_EACH(&hub->streams[state], node) {
        const struct stream *stream = LIST_ITEM(node, struct stream, in_state);
        bool counts = stream->opening == NULL && stream->position < hub->position;
        if (counts && log_position(hub->position) - log_position(stream->position) > lag)
            lag = log_position(hub->position) - log_position(stream->position);
    }
    return lag;
}

/* Looks only at the streams that are behind. */
static uint64_t largest_lag(const struct hub *hub) {
    uint64_t lag = 0;
    for (int state = STREAM_WAITING; state <= STREAM_BLOCKED; state++) {
        uint64_t lag_here = lag_in(hub, (enum stream_state)state);
        lag = lag_here > lag ? lag_here : lag;
    }
    return lag;
}

static void log_failures(struct hub *hub) {
    if (hub->failed_reads == 0)
        return;
    log_event(LOG_WARN, "stream_read_failed", "count=%llu", (unsigned long long)hub->failed_reads);
    hub->failed_reads = 0;
}

static void do_chores(struct hub *hub) {
    metric_set(GAUGE_STREAMS_OPEN, (int64_t)streams_open(hub));
    metric_set(GAUGE_STREAMS_BEHIND, (int64_t)streams_behind(hub));
    if (hub->now_ms < hub->chores_at_ms)
        return;
    hub->chores_at_ms = hub->now_ms + CHORES_INTERVAL_MS;

    metric_set(GAUGE_STREAM_LAG_POSITIONS, (int64_t)largest_lag(hub));
    tail_check(hub);
    log_failures(hub);
}

/* Before anything is sent: what is past retention is hidden at once. Costs a look at the oldest slot. */
static void trim(struct hub *hub) {
    int64_t kept_ms = hub->config->retention_ms;
    ring_trim(&hub->ring, store_floor(hub->store), kept_ms == CONFIG_FOREVER ? 0 : hub->wall_ms - kept_ms);
}

static void turn(struct hub *hub) {
    serve_sockets(hub, wait_ms(hub));
    take_break(hub);
    trim(hub);
    take_pages(hub);
    open_streams(hub);
    tail_follow(hub);
    whisper_deliver(hub);
    life_catch_up(hub);
    run_timers(hub);
    life_close_broken(hub);
    life_relieve(hub);
    life_grant_slots(hub);
    do_chores(hub);
    life_bury(hub);
    tail_rest(hub);
}

/* ---- The thread ---- */

static void turn_until_commits_are_out(struct hub *hub) {
    int64_t until_ms = hub->now_ms + LAST_COMMITS_LIMIT_MS;
    do
        turn(hub);
    while (!tail_is_done(hub) && hub->now_ms < until_ms);
}

/* All but those whose sockets are full: these are told when their sockets drain (life_writable). */
static void say_draining(struct hub *hub) {
    static const enum stream_state states[] = { STREAM_WAITING, STREAM_READING, STREAM_CATCHING_UP, STREAM_LIVE };
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        while (!list_empty(&hub->streams[states[i]]))
            life_end(hub, LIST_ITEM(list_first(&hub->streams[states[i]]), struct stream, in_state), CLOSING_DRAINING);
}

static void close_all(struct hub *hub) {
    for (int state = 0; state < STREAM_CLOSED; state++)
        while (!list_empty(&hub->streams[state]))
            life_close(hub, LIST_ITEM(list_first(&hub->streams[state]), struct stream, in_state));
    life_bury(hub);
}

static void drain(struct hub *hub) {
    hub->draining = true;
    say_draining(hub);
    int64_t until_ms = hub->now_ms + DRAIN_LIMIT_MS;
    while (streams_open(hub) > 0 && hub->now_ms < until_ms)
        turn(hub);
    close_all(hub);
    do_chores(hub);
}

static void *run(void *context) {
    struct hub *hub = context;
    pthread_setname_np(pthread_self(), "parley-hub");
    while (!inbox_stopping(&hub->inbox))
        turn(hub);
    turn_until_commits_are_out(hub);
    drain(hub);
    return NULL;
}

/* ---- Starting and stopping ---- */

static void close_openings(struct hub *hub) {
    while (hub->openings != NULL) {
        struct opening *opening = hub->openings;
        hub->openings = opening->next;
        close(opening->request.fd);
        opening_free(opening);
    }
}

/* Releases a hub without threads, also one that was begun only (init_all). */
static void hub_free(struct hub *hub) {
    close_openings(hub);
    tail_release(hub);
    for (size_t i = 0; i < LIMIT_REPLAYS_AT_ONCE; i++)
        replay_job_release(&hub->jobs[i]);
    inbox_release(&hub->inbox);
    ring_release(&hub->ring);
    index_release(&hub->index);
    push_release(&hub->push);
    gate_release(&hub->gate);
    outlet_release(&hub->outlet);
    devices_release(&hub->devices);
    pool_release(&hub->stream_pool);
    if (hub->epoll_fd >= 0)
        close(hub->epoll_fd);
    free(hub);
}

static void init_plain(struct hub *hub, struct store *store, const struct config *config) {
    hub->store = store;
    hub->config = config;
    hub->position = store_head(store);
    hub->loses_event_at_resume = fault_is("lost_event_at_resume");
    hub->reorders_pair = fault_is("reordered_pair");
    for (int state = 0; state < STREAM_STATES; state++)
        list_init(&hub->streams[state]);
    for (size_t i = 0; i < LIMIT_REPLAYS_AT_ONCE; i++)
        replay_job_release(&hub->jobs[i]);
    replay_job_release(&hub->tail.job);
    pool_init(&hub->stream_pool, sizeof(struct stream));
    index_init(&hub->index);
    outlet_init(&hub->outlet);
    devices_init(&hub->devices);
    read_clocks(hub);
    wheel_init(&hub->wheel, config->heartbeat_ms, hub->now_ms);
}

static enum err init_fallible(struct hub *hub) {
    enum err err = inbox_init(&hub->inbox);
    if (err == OK)
        err = gate_init(&hub->gate, hub->config);
    if (err == OK)
        err = ring_init(&hub->ring, LIMIT_RING_EVENTS, LIMIT_RING_BYTES, hub->position);
    if (err != OK)
        return err;
    hub->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    bool watched = hub->epoll_fd >= 0 && epoll_ctl(hub->epoll_fd, EPOLL_CTL_ADD, hub->inbox.event_fd, &event) == 0;
    return watched ? OK : ERR_IO;
}

static enum err start_threads(struct hub *hub) {
    enum err err = replay_start(&hub->replays, hub->store, &hub->inbox);
    if (err != OK)
        return err;
    if (pthread_create(&hub->thread, NULL, run, hub) == 0)
        return OK;
    replay_stop(&hub->replays);
    return ERR_NO_MEMORY;
}

enum err hub_start(struct store *store, const struct config *config, struct hub **ret_hub) {
    struct hub *hub = calloc(1, sizeof(*hub));
    if (hub == NULL)
        return ERR_NO_MEMORY;
    hub->epoll_fd = -1;
    hub->inbox.event_fd = -1;
    init_plain(hub, store, config);
    enum err err = init_fallible(hub);
    if (err == OK)
        err = start_threads(hub);
    if (err != OK) {
        hub_free(hub);
        return err;
    }
    *ret_hub = hub;
    return OK;
}

void hub_drain(struct hub *hub) {
    if (hub->ended)
        return;
    inbox_stop(&hub->inbox);
    pthread_join(hub->thread, NULL);
    replay_stop(&hub->replays);
    hub->ended = true;
}

void hub_stop(struct hub *hub) {
    hub_drain(hub);
    hub_free(hub);
}

void hub_commit(void *hub, uint64_t previous_id, struct frame *const *frames, size_t count) {
    if (count > 0)
        inbox_add_commit(&((struct hub *)hub)->inbox, previous_id, frames, count);
}

void hub_break(void *hub, enum log_break kind, uint64_t head_id) { inbox_add_break(&((struct hub *)hub)->inbox, kind, head_id); }

void hub_open(struct hub *hub, const struct stream_request *request) { inbox_add_opening(&hub->inbox, request); }

bool hub_has_device(struct hub *hub, uint64_t device_id) { return devices_has(&hub->devices, device_id); }
