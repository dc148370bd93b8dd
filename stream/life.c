/* The life of streams. See life.h, and stream.h for the diagram. */
#include "stream/life.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/metrics.h"
#include "core/random.h"
#include "stream/harvest.h"

#define REFUSED_RETRY_MS 30000
#define DRAIN_RETRY_MIN_MS 1000

static struct stream *stream_of(struct list_node *in_state) { return LIST_ITEM(in_state, struct stream, in_state); }

static void enter(struct hub *hub, struct stream *stream, enum stream_state state) {
    hub->counts[stream->state]--;
    list_remove(&stream->in_state);
    stream->state = state & 0xf;
    list_append(&hub->streams[state], &stream->in_state);
    hub->counts[state]++;
}

/* ---- The end ---- */

/* Whoever waits for a page waits no longer. A job that is out with a replay thread is freed when it comes back. */
static void give_back_slot(struct stream *stream) {
    struct replay_job *job = stream->replay;
    if (job == NULL)
        return;
    stream->replay = NULL;
    job->stream = NULL;
    if (stream->state != STREAM_READING)
        replay_job_release(job);
}

/* Frees everything but the struct, which lists of this turn may still name, and the descriptor. */
static void leave(struct hub *hub, struct stream *stream) {
    give_back_slot(stream);
    socket_drop_rest(&hub->outlet, stream);
    push_forget(stream);
    opening_free(stream->opening);
    stream->opening = NULL;
    list_remove(&stream->in_wheel);
    index_remove_stream(&hub->index, stream);
    gate_leave(&hub->gate, stream->address_hash);
    devices_leave(&hub->devices, stream->device_id);
    /* Explicitly: the request loop may still have its own descriptor of this connection, and then closing ours would not remove it. */
    epoll_ctl(hub->epoll_fd, EPOLL_CTL_DEL, stream->fd, NULL);
    enter(hub, stream, STREAM_CLOSED);
    metric_add(COUNTER_STREAMS_CLOSED, 1);
}

void life_close(struct hub *hub, struct stream *stream) {
    if (stream->state == STREAM_CLOSED)
        return;
    leave(hub, stream);
    close(stream->fd);
}

static void finish(struct hub *hub, struct stream *stream) {
    leave(hub, stream);
    socket_finish(stream->fd);
}

void life_bury(struct hub *hub) {
    struct list_node *closed = &hub->streams[STREAM_CLOSED];
    while (!list_empty(closed)) {
        struct stream *stream = stream_of(list_first(closed));
        list_remove(&stream->in_state);
        hub->counts[STREAM_CLOSED]--;
        pool_give_back(&hub->stream_pool, stream);
    }
}

/* Half to one and a half times: clients that lost their streams together do not come back together. */
static int64_t jitter(int64_t ms) { return ms / 2 + (int64_t)random_below((uint64_t)ms + 1); }

static int64_t drain_retry_ms(const struct hub *hub) {
    int64_t spread_ms = hub->config->drain_spread_ms - DRAIN_RETRY_MIN_MS;
    return DRAIN_RETRY_MIN_MS + (spread_ms > 0 ? (int64_t)random_below((uint64_t)spread_ms + 1) : 0);
}

static int64_t retry_ms(const struct hub *hub, enum closing reason) {
    if (reason == CLOSING_DRAINING)
        return drain_retry_ms(hub);
    return jitter(reason == CLOSING_TOO_MANY_STREAMS ? REFUSED_RETRY_MS : hub->config->stream_retry_ms);
}

static void last_words(const struct hub *hub, struct buf *buf, const struct opening *unanswered, bool named, enum closing reason) {
    if (unanswered != NULL)
        buf_append(buf, unanswered->request.head, unanswered->request.head_size);
    notice_closing(buf, named, reason, retry_ms(hub, reason));
}

/* Whether to wait until the rest of the last words is sent. */
static bool say_last_words(struct hub *hub, struct stream *stream, enum closing reason, enum written *ret_written) {
    struct buf buf = BUF_INIT;
    last_words(hub, &buf, stream->opening, stream->named, reason);
    *ret_written = buf_ok(&buf) ? socket_write_bytes(&hub->outlet, stream, buf.bytes, buf.size, 0) : WRITTEN_FAILED;
    buf_release(&buf);
    return *ret_written == WRITTEN_FULL && stream->rest != NULL;
}

void life_end(struct hub *hub, struct stream *stream, enum closing reason) {
    enum written written;
    if (stream->rest != NULL) {
        life_close(hub, stream);
        return;
    }
    give_back_slot(stream);
    if (say_last_words(hub, stream, reason, &written))
        enter(hub, stream, STREAM_CLOSING);
    else if (written == WRITTEN_ALL)
        finish(hub, stream);
    else
        life_close(hub, stream);
}

/* What a write means for the stream; false: it is blocked or closed, and there is nothing more to do now. */
static bool settle(struct hub *hub, struct stream *stream, enum written written) {
    switch (written) {
    case WRITTEN_ALL:
        return true;
    case WRITTEN_FULL:
        enter(hub, stream, STREAM_BLOCKED);
        return false;
    case WRITTEN_FAILED:
        life_close(hub, stream);
        return false;
    }
    return false;
}

/* ---- The first frames ---- */

static void write_ready(const struct hub *hub, const struct stream *stream, struct buf *buf) {
    const struct stream_request *request = &stream->opening->request;
    struct ready ready = {
        .id = stream->position,
        .user_id = request->user_id,
        .device_id = request->device_id,
        .heartbeat_ms = hub->config->heartbeat_ms,
        .retry_ms = jitter(hub->config->stream_retry_ms),
    };
    buf_append(buf, request->head, request->head_size);
    notice_ready(buf, stream->named, &ready);
}

/* Where a stream stands. */
struct standing {
    uint64_t head_id; /* for those that have no token, or no good one */
    enum reset reset;
};

/* Says `ready` on a new stream, and `reset` where its token cannot be honoured; false: blocked or closed. */
static bool answer(struct hub *hub, struct stream *stream, const struct standing *standing) {
    bool is_new = stream->opening != NULL;
    if (!is_new && standing->reset == RESET_NONE)
        return true;
    if (standing->reset != RESET_NONE || stream->opening->request.start == START_AT_HEAD)
        stream->position = standing->head_id;

    struct buf buf = BUF_INIT;
    if (is_new)
        write_ready(hub, stream, &buf);
    if (standing->reset != RESET_NONE) {
        notice_reset(&buf, stream->named, standing->reset, stream->position);
        metric_add(COUNTER_STREAM_RESETS, 1);
    }
    opening_free(stream->opening);
    stream->opening = NULL;
    enum written written = buf_ok(&buf) ? socket_write_bytes(&hub->outlet, stream, buf.bytes, buf.size, stream->position) : WRITTEN_FAILED;
    buf_release(&buf);
    return settle(hub, stream, written);
}

/* ---- Catching up ---- */

static struct replay_job *free_job(struct hub *hub) {
    for (size_t i = 0; i < LIMIT_REPLAYS_AT_ONCE; i++)
        if (!hub->jobs[i].busy)
            return &hub->jobs[i];
    return NULL;
}

/* Slots are for those whose sockets take something: a blocked stream loses its page when others wait. It has got a socket full of it, so
 * everybody moves on. */
static struct replay_job *rob_job(struct hub *hub) {
    for (size_t i = 0; i < LIMIT_REPLAYS_AT_ONCE; i++) {
        struct replay_job *job = &hub->jobs[hub->next_to_rob];
        hub->next_to_rob = (hub->next_to_rob + 1) % LIMIT_REPLAYS_AT_ONCE;
        if (job->stream != NULL && job->stream->state == STREAM_BLOCKED) {
            give_back_slot(job->stream);
            return job;
        }
    }
    return NULL;
}

/* Whether the log has the id, as far as the ring can tell. */
static bool is_known(const struct hub *hub, uint64_t id) { return id == hub->position || ring_knows(&hub->ring, id); }

/* Whether only the listener's links are missing for the ring to serve the stream. That is so for all who come back soon: their stays are read, and
 * no event. Should a stay have ended since, the next page brings what the ring must not (index.h). */
static bool ring_may_do(const struct hub *hub, const struct stream *stream) {
    return !stream->listener->installed && !stream->unsure_position && is_known(hub, stream->position);
}

static bool comes_with_token(const struct stream *stream) {
    return stream->opening != NULL && stream->opening->request.start == START_AFTER;
}

static void start_reading(struct hub *hub, struct stream *stream, struct replay_job *job) {
    bool stands_somewhere = stream->opening == NULL || comes_with_token(stream);
    job->busy = true;
    job->stream = stream;
    job->user_id = stream->listener->user_id;
    job->after_id = stream->position;
    job->wants_page = stands_somewhere && !ring_may_do(hub, stream);
    job->judges_token = (comes_with_token(stream) && job->wants_page) || stream->unsure_position;
    job->device_id = stream->unsure_device ? stream->device_id : 0;
    job->wants_stays = !stream->listener->installed;
    /* No stream below the ring's start ever takes events from the ring, so stays that ended there need not be known. */
    job->stays_after = log_id(hub->ring.base - 1, 0);
    stream->replay = job;
    enter(hub, stream, STREAM_READING);
    metric_add(COUNTER_REPLAY_PAGES, job->wants_page);
    replay_submit(&hub->replays, job);
}

void life_grant_slots(struct hub *hub) {
    struct list_node *waiting = &hub->streams[STREAM_WAITING];
    while (!list_empty(waiting)) {
        struct replay_job *job = free_job(hub);
        if (job == NULL)
            job = rob_job(hub);
        if (job == NULL)
            return;
        start_reading(hub, stream_of(list_first(waiting)), job);
    }
}

/* Installs the listener's links, if the ring has what happened since the snapshot; otherwise the stream's next page brings newer ones. */
static enum err install(struct hub *hub, struct listener *listener, const struct replay_job *job) {
    if (listener->installed || !ring_reaches(&hub->ring, job->head_id))
        return OK;

    struct snapshot_stays snapshot = { job->stays, job->stay_count, job->head_id, job->blanked_id };
    enum err err = index_install(&hub->index, listener, &snapshot);
    if (err != OK)
        return err;
    for (uint64_t position = log_position(job->head_id) + 1; position < ring_end(&hub->ring); position++) {
        const struct ring_slot *slot = ring_at(&hub->ring, position);
        if (slot->frame != NULL)
            index_replay(&hub->index, listener, slot->frame);
    }
    hub->has_broken = hub->has_broken || listener->broken;
    return OK;
}

/* A client's token is judged by the store. Later positions are the hub's own: they are good, unless the floor has passed a stream that is very slow. */
static enum reset reset_of_job(const struct stream *stream, const struct replay_job *job) {
    if (job->judges_token)
        return reset_of_token(job->token);
    if (stream->opening != NULL && !comes_with_token(stream))
        return stream->opening->request.start == START_RESET ? RESET_UNREADABLE : RESET_NONE;
    return job->after_id < job->floor_id ? RESET_EXPIRED : RESET_NONE;
}

/* Sends what is left of the stream's page, if it has one; false: blocked or closed. A blocked stream keeps the page until somebody else needs
 * the slot. */
static bool send_page(struct hub *hub, struct stream *stream) {
    struct replay_job *job = stream->replay;
    if (job == NULL)
        return true;
    const struct feed_page *page = &job->page;
    while (job->sent < page->count && page->frames[job->sent]->id <= stream->position)
        job->sent++;
    if (!settle(hub, stream, socket_write(&hub->outlet, stream, page->frames + job->sent, page->count - job->sent)))
        return false;
    if (page->last_id > stream->position)
        stream->position = page->last_id;
    give_back_slot(stream);
    return true;
}

static void send_from_ring(struct hub *hub, struct stream *stream) {
    struct harvest harvest;
    harvest_take(hub, stream, &harvest);
    if (!settle(hub, stream, socket_write(&hub->outlet, stream, harvest.frames, harvest.count)))
        return;
    if (harvest.scanned_id > stream->position)
        stream->position = harvest.scanned_id;

    if (harvest.forgotten)
        enter(hub, stream, STREAM_WAITING);
    else if (stream->position >= hub->position)
        enter(hub, stream, STREAM_LIVE);
    else
        enter(hub, stream, STREAM_CATCHING_UP); /* at the end of the list */
}

/* Whether the rule of index.h lets the stream take events from the ring, and from the log as it comes. */
static bool may_use_ring(const struct hub *hub, const struct stream *stream) {
    const struct listener *listener = stream->listener;
    bool is_sure = !stream->unsure_position && !stream->unsure_device;
    return is_sure && listener->installed && stream->position >= listener->closed_max && ring_reaches(&hub->ring, stream->position);
}

/* False: blocked or closed. */
static bool say_reset(struct hub *hub, struct stream *stream) {
    const struct standing standing = { hub->position, (enum reset)stream->reset };
    stream->reset = RESET_NONE;
    return answer(hub, stream, &standing);
}

/* One step of a stream that is CATCHING_UP. */
static void advance(struct hub *hub, struct stream *stream) {
    if (!say_reset(hub, stream) || !send_page(hub, stream))
        return;
    if (may_use_ring(hub, stream))
        send_from_ring(hub, stream);
    else
        enter(hub, stream, STREAM_WAITING);
}

void life_catch_up(struct hub *hub) {
    struct list_node *list = &hub->streams[STREAM_CATCHING_UP];
    for (size_t i = 0; i < LIMIT_TURN_CATCH_UPS && !list_empty(list); i++)
        advance(hub, stream_of(list_first(list)));
}

/* A fault: the second event of a page is lost. */
static void lose_event(struct feed_page *page) {
    if (page->count < 2)
        return;
    frame_drop(page->frames[1]);
    page->count--;
    for (size_t i = 1; i < page->count; i++)
        page->frames[i] = page->frames[i + 1];
}

void life_take_page(struct hub *hub, struct replay_job *job) {
    struct stream *stream = job->stream;
    if (stream == NULL) {
        replay_job_release(job);
        return;
    }

    enter(hub, stream, STREAM_CATCHING_UP);
    enum err err = job->err;
    if (err == OK && job->wants_stays)
        err = install(hub, stream->listener, job);
    if (err != OK) {
        hub->failed_reads++;
        life_end(hub, stream, CLOSING_OVERLOADED);
        return;
    }
    if (job->device_is_gone) {
        life_end(hub, stream, CLOSING_DEVICE_REVOKED);
        return;
    }
    stream->unsure_position = stream->unsure_device = false;
    arena_release(&job->arena); /* the stays are in the index now; the page may be kept for a while */
    if (hub->loses_event_at_resume)
        lose_event(&job->page);
    struct standing standing = { job->head_id, reset_of_job(stream, job) };
    if (answer(hub, stream, &standing))
        advance(hub, stream);
}

void life_writable(struct hub *hub, struct stream *stream) {
    if (stream->state != STREAM_BLOCKED && stream->state != STREAM_CLOSING)
        return;
    int64_t written_ms = stream->written_ms;
    enum written written = socket_write_rest(&hub->outlet, stream);
    if (written == WRITTEN_FULL) {
        if (stream->written_ms != written_ms)
            enter(hub, stream, (enum stream_state)stream->state); /* to the end of its list: it makes progress */
        return;
    }
    if (written == WRITTEN_FAILED) {
        life_close(hub, stream);
    } else if (stream->state == STREAM_CLOSING) {
        finish(hub, stream);
    } else if (hub->draining) {
        life_end(hub, stream, CLOSING_DRAINING);
    } else {
        enter(hub, stream, STREAM_CATCHING_UP);
        advance(hub, stream);
    }
}

/* ---- Another log ---- */

/* Whatever it has read, and not sent, is of no use. */
static void drop_page(struct hub *hub, struct stream *stream) {
    bool is_reading = stream->state == STREAM_READING;
    give_back_slot(stream);
    push_forget(stream);
    if (is_reading)
        enter(hub, stream, STREAM_WAITING);
}

static enum reset reset_at(const struct hub *hub, uint64_t position, uint64_t head_id) {
    if (position < store_floor(hub->store))
        return RESET_EXPIRED;
    return log_position(position) > log_position(head_id) ? RESET_FUTURE : RESET_FORK;
}

/* A new one is not told: its token is judged by the other log. A blocked one is told when its socket drains. */
static void restart_stream(struct hub *hub, struct stream *stream, uint64_t head_id) {
    drop_page(hub, stream);
    stream->unsure_device = true;
    stream->unsure_position = false;
    if (stream->opening != NULL)
        return;
    stream->reset = reset_at(hub, stream->position, head_id) & 0xf;
    if (stream->state != STREAM_BLOCKED)
        enter(hub, stream, STREAM_CATCHING_UP);
}

static void doubt_stream(struct hub *hub, struct stream *stream) {
    drop_page(hub, stream);
    if (stream->opening == NULL && stream->position > hub->position)
        stream->unsure_position = stream->unsure_device = true;
    if (stream->state == STREAM_LIVE && (stream->unsure_position || !stream->listener->installed))
        enter(hub, stream, STREAM_CATCHING_UP);
}

static void restart_listener(struct hub *hub, struct listener *listener, uint64_t head_id) {
    index_forget(&hub->index, listener);
    LIST_EACH(&listener->streams, node) {
        struct stream *stream = LIST_ITEM(node, struct stream, in_listener);
        if (stream->state != STREAM_CLOSING)
            restart_stream(hub, stream, head_id);
    }
}

void life_restart(struct hub *hub, uint64_t head_id) {
    for (struct listener *listener = NULL; (listener = index_next(&hub->index, listener)) != NULL;)
        restart_listener(hub, listener, head_id);
    ring_restart(&hub->ring, head_id);
    hub->position = head_id;
}

static void doubt_listener(struct hub *hub, struct listener *listener) {
    if (listener->as_of > hub->position)
        index_forget(&hub->index, listener);
    LIST_EACH(&listener->streams, node) {
        struct stream *stream = LIST_ITEM(node, struct stream, in_listener);
        if (stream->state != STREAM_CLOSING)
            doubt_stream(hub, stream);
    }
}

void life_doubt(struct hub *hub) {
    for (struct listener *listener = NULL; (listener = index_next(&hub->index, listener)) != NULL;)
        doubt_listener(hub, listener);
}

/* ---- Live ---- */

/* A fault: the last two frames change places. */
static void swap_last_two(struct frame **frames, size_t count) {
    if (count < 2)
        return;
    struct frame *last = frames[count - 1];
    frames[count - 1] = frames[count - 2];
    frames[count - 2] = last;
}

static void push_to(struct hub *hub, struct stream *stream) {
    struct frame *frames[LIMIT_WRITE_FRAMES];
    size_t count;
    while (stream->state == STREAM_LIVE && (count = push_take(&hub->push, stream, frames, LIMIT_WRITE_FRAMES)) > 0) {
        if (hub->reorders_pair)
            swap_last_two(frames, count);
        (void)settle(hub, stream, socket_write(&hub->outlet, stream, frames, count));
    }
    push_forget(stream);
}

void life_fall_behind(struct hub *hub, struct stream *stream) {
    push_forget(stream);
    enter(hub, stream, STREAM_CATCHING_UP);
}

void life_push(struct hub *hub) {
    for (struct stream *stream; (stream = push_next(&hub->push)) != NULL;)
        push_to(hub, stream);
}

/* One of the device's streams that still can be told, or NULL. */
static struct stream *find_device_stream(struct hub *hub, uint64_t user_id, uint64_t device_id) {
    const struct listener *listener = index_find(&hub->index, user_id);
    if (listener == NULL)
        return NULL;
    LIST_EACH(&listener->streams, node) {
        struct stream *stream = LIST_ITEM(node, struct stream, in_listener);
        if (stream->device_id == device_id && stream->state != STREAM_CLOSING)
            return stream;
    }
    return NULL;
}

void life_remove_device(struct hub *hub, uint64_t user_id, uint64_t device_id, enum closing reason) {
    gate_remove_device(&hub->gate, device_id, reason);
    for (struct stream *stream; (stream = find_device_stream(hub, user_id, device_id)) != NULL;) {
        push_to(hub, stream); /* what came before its end */
        if (stream->state != STREAM_CLOSED)
            life_end(hub, stream, reason);
    }
}

static struct listener *find_broken(const struct hub *hub) {
    struct listener *listener = NULL;
    do
        listener = index_next(&hub->index, listener);
    while (listener != NULL && !listener->broken);
    return listener;
}

void life_close_broken(struct hub *hub) {
    if (!hub->has_broken)
        return;
    for (struct listener *listener; (listener = find_broken(hub)) != NULL;)
        for (uint32_t left = listener->stream_count; left > 0; left--) /* the listener goes with its last stream */
            life_close(hub, LIST_ITEM(list_first(&listener->streams), struct stream, in_listener));
    hub->has_broken = false;
}

/* Half-sent frames share one budget. Before it is used up those make room whose peers have taken nothing for longest, so that peers that stop reading
 * cannot keep others from large frames. */
void life_relieve(struct hub *hub) {
    struct list_node *blocked = &hub->streams[STREAM_BLOCKED];
    while (hub->outlet.kept_bytes > LIMIT_PARTIAL_BYTES / 4 * 3 && !list_empty(blocked))
        life_close(hub, stream_of(list_first(blocked)));
}

/* ---- Timers ---- */

/* A stream that the store has taken farther than the hub gets its heartbeat when the hub is there, too: ids never go back, and the end of
 * a page (feed_page.last_id) need not be an id of the log. */
static void heartbeat(struct hub *hub, struct stream *stream) {
    char bytes[NOTICE_HEARTBEAT_SIZE];
    if (stream->position > hub->position)
        return;
    stream->position = hub->position; /* it has everything up to there */
    size_t size = notice_heartbeat(bytes, stream->position);
    (void)settle(hub, stream, socket_write_bytes(&hub->outlet, stream, bytes, size, stream->position));
}

static void set_timer(struct hub *hub, struct stream *stream, int64_t after_ms) {
    wheel_add(&hub->wheel, &stream->in_wheel, hub->now_ms + after_ms);
}

/* A device that only listens is in use. */
static void touch_if_due(struct hub *hub, struct stream *stream) {
    if (hub->wall_ms - (int64_t)stream->touched_s * 1000 < store_touch_interval_ms(hub->config))
        return;
    if (store_touch_device(hub->store, stream->listener->user_id, stream->device_id, hub->wall_ms))
        stream->touched_s = (uint32_t)(hub->wall_ms / 1000);
}

void life_timer(struct hub *hub, struct stream *stream) {
    int64_t left_ms = stream->written_ms + hub->config->heartbeat_ms - hub->now_ms;
    set_timer(hub, stream, left_ms > 0 ? left_ms : hub->config->heartbeat_ms);
    if (stream->state == STREAM_CLOSING)
        return;
    if (stream->session_ends_s != 0 && hub->wall_ms >= (int64_t)stream->session_ends_s * 1000)
        life_end(hub, stream, CLOSING_SESSION_EXPIRED);
    else if (stream->state == STREAM_LIVE && left_ms <= 0) {
        touch_if_due(hub, stream);
        heartbeat(hub, stream);
    }
}

/* ---- Opening ---- */

/* Turns an opening away in-band: another status than 200 would make an EventSource give up for good. */
static void refuse(struct hub *hub, struct opening *opening, enum closing reason) {
    struct stream refused = { .fd = opening->request.fd };
    struct buf buf = BUF_INIT;
    last_words(hub, &buf, opening, opening->request.named, reason);
    if (buf_ok(&buf))
        (void)!socket_write_bytes(&hub->outlet, &refused, buf.bytes, buf.size, 0);
    socket_drop_rest(&hub->outlet, &refused);
    buf_release(&buf);
    socket_finish(refused.fd);
    opening_free(opening);
}

static void answer_head_only(struct hub *hub, struct opening *opening) {
    struct stream stream = { .fd = opening->request.fd };
    (void)!socket_write_bytes(&hub->outlet, &stream, opening->head, opening->request.head_size, 0);
    socket_drop_rest(&hub->outlet, &stream);
    socket_finish(stream.fd);
    opening_free(opening);
}

/* Edge-triggered: a stream is told once when its socket takes bytes again, and costs no system call to ask. */
static enum err watch(const struct hub *hub, struct stream *stream) {
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = stream };
    return epoll_ctl(hub->epoll_fd, EPOLL_CTL_ADD, stream->fd, &event) == 0 ? OK : ERR_IO;
}

static enum err join_user(struct hub *hub, struct stream *stream, uint64_t user_id) {
    if (index_add_stream(&hub->index, user_id, stream) == NULL)
        return ERR_NO_MEMORY;
    enum err err = watch(hub, stream);
    if (err != OK)
        index_remove_stream(&hub->index, stream);
    return err;
}

/* Enters it into everything that a stream is in; on failure into nothing. */
static enum err admit(struct hub *hub, struct stream *stream, const struct stream_request *request) {
    enum err err = gate_enter(&hub->gate, request->address_hash);
    if (err != OK)
        return err;
    err = devices_enter(&hub->devices, request->device_id);
    if (err == OK) {
        err = join_user(hub, stream, request->user_id);
        if (err != OK)
            devices_leave(&hub->devices, request->device_id);
    }
    if (err != OK)
        gate_leave(&hub->gate, request->address_hash);
    return err;
}

/* Rounded up; what is farther away than the field reaches (the year 2106) is never. */
static uint32_t whole_seconds(int64_t ms) { return ms <= (int64_t)UINT32_MAX * 1000 ? (uint32_t)((ms + 999) / 1000) : 0; }

static struct stream *stream_new(struct hub *hub, struct opening *opening) {
    const struct stream_request *request = &opening->request;
    struct stream *stream = pool_take(&hub->stream_pool);
    if (stream == NULL)
        return NULL;
    *stream = (struct stream){
        .opening = opening,
        .position = request->start == START_AFTER ? request->after_id : 0,
        .device_id = request->device_id,
        .address_hash = request->address_hash,
        .session_ends_s = whole_seconds(request->session_ends_ms),
        .touched_s = (uint32_t)(hub->wall_ms / 1000),
        .written_ms = hub->now_ms,
        .fd = request->fd,
        .state = STREAM_WAITING,
        .unsure_device = opening->log_number != hub->log_number,
        .named = request->named,
    };
    if (admit(hub, stream, request) != OK) {
        pool_give_back(&hub->stream_pool, stream);
        return NULL;
    }
    list_init(&stream->in_state);
    list_append(&hub->streams[STREAM_WAITING], &stream->in_state);
    hub->counts[STREAM_WAITING]++;
    set_timer(hub, stream, hub->config->heartbeat_ms);
    metric_add(COUNTER_STREAMS_OPENED, 1);
    return stream;
}

/* Whether the hub knows, without the store, where the stream stands: another stream of the user has installed the links, and the token is one
 * of the ring's. */
static bool knows_standing(const struct hub *hub, const struct stream *stream) {
    const struct stream_request *request = &stream->opening->request;
    if (!stream->listener->installed || stream->unsure_device)
        return false;
    if (request->start != START_AFTER)
        return hub->position >= stream->listener->closed_max;
    return is_known(hub, request->after_id) && request->after_id >= stream->listener->closed_max;
}

void life_open(struct hub *hub, struct opening *opening) {
    const struct stream_request *request = &opening->request;
    socket_prepare(request->fd);
    if (request->head_only) {
        answer_head_only(hub, opening);
        return;
    }
    enum closing refusal = hub->draining ? CLOSING_DRAINING : gate_judge(&hub->gate, index_find(&hub->index, request->user_id), request);
    struct stream *stream = refusal == CLOSING_NONE ? stream_new(hub, opening) : NULL;
    if (stream == NULL) {
        refuse(hub, opening, refusal == CLOSING_NONE ? CLOSING_OVERLOADED : refusal);
        return;
    }
    if (!knows_standing(hub, stream))
        return; /* it waits for a slot */

    struct standing standing = { hub->position, request->start == START_RESET ? RESET_UNREADABLE : RESET_NONE };
    enter(hub, stream, STREAM_CATCHING_UP);
    if (answer(hub, stream, &standing))
        advance(hub, stream);
}
