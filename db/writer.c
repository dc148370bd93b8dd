/* The writer: takes all commands that wait, and runs them as one batch: load, decide, write, one commit.
 *
 * No savepoints: any database error rolls the whole batch back. If it may have been one command's fault, each is then run in a batch of its own; if
 * another writer was in the way, the batch is run again; otherwise all are refused. Nothing is answered and nothing goes to the streams before
 * the commit is on disk. Everything here runs on the writer's thread. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/random.h"
#include "db/batch.h"
#include "db/bus.h"
#include "db/follow.h"
#include "db/store_head.h"
#include "db/store_trial.h"

#define ACK_BEFORE_COMMIT_MS 30  /* how long the fault leaves between answer and commit */
#define AHEAD_MIN 16             /* commands that wait, before it is worth while to begin with them ahead of their turn */
#define AHEAD_PART 8             /* of them, between two looks at whether what is waited for is there */
#define QUICK_COMMIT_US 1500     /* where commits wait for less than that, on average, */
#define QUICK_ANSWER_US 5000     /* or than that, where a network may be between, */
#define QUICK_BATCH_COMMANDS 128 /* a batch has no more of them: the next ones are decided meanwhile */
#define COMMIT_SHARE 8           /* of the last wait, in that average: one in so many */
#define BEHIND_MIN 16            /* commands, before a batch is sent behind the commit before, */
#define BEHIND_BYTES (96 * 1024) /* that it writes, about: what is more the driver would not send without an answer */
#define POST_BYTES 500           /* of them, besides the text */
#define MARKS_LATE_MS 100        /* that marks wait for a batch that is not sent behind a commit */
#define RETRY_PAUSE_MS 20        /* at most, before a batch is run again */
#define LOOK_OUT_US 200          /* in which the next command is looked out for, where they come one after the other, */
#define LOOK_OUT_TURNS 1000      /* in so many looks at most: a clock may stand still */
#define QUIET_MS 1000            /* with fewer than LIMIT_QUIET_COMMITS in it, nobody is kept waiting */
#define RESIDUE_PART 4           /* of the time in which the cleanup keeps its promise: so long the log may go without being truncated */
#define SETTLE_PAUSE_MS 100      /* at most, before the database is asked again */

/* Whether the next command must wait for the next batch. */
static bool ends_batch(const struct batch *batch, const struct command *next, const uint64_t *list_keys, size_t list_key_count) {
    if (batch->count == 0)
        return false;
    if (batch->count >= batch->limit || batch->bytes + next->bytes > LIMIT_BATCH_BYTES || next->type == COMMAND_SWEEP)
        return true;
    uint64_t key = decide_list_key(next);
    for (size_t i = 0; key && i < list_key_count; i++) {
        if (list_keys[i] == key)
            return true;
    }
    return false;
}

/* Moves the queue's first command into the batch. Under the mutex. */
static struct command *take_first(struct store *store, struct batch *batch) {
    struct command *command = store->first;
    batch->slots[batch->count++] = (struct slot){ .command = command };
    batch->bytes += command->bytes;
    store->first = command->next;
    if (!store->first)
        store->last = NULL;
    store->queued--;
    store->queued_bytes -= command->bytes;
    return command;
}

/* Longer waits are shared by more; longer ones yet where the next batch is on its way meanwhile. */
static void set_limit(const struct store *store, struct batch *batch) {
    int64_t quick_us = head_is_trusted(store) ? QUICK_ANSWER_US : QUICK_COMMIT_US;
    batch->limit = store->commit_wait_us < quick_us ? QUICK_BATCH_COMMANDS : LIMIT_BATCH_COMMANDS;
}

/* Moves commands from the queue into the batch, in order; what is there ahead of its turn are posts. Under the mutex. */
static void fill_from_queue(struct store *store, struct batch *batch) {
    uint64_t list_keys[LIMIT_BATCH_COMMANDS];
    size_t list_key_count = 0;
    bool is_sweep = false;
    set_limit(store, batch);
    while (store->first && !is_sweep && !ends_batch(batch, store->first, list_keys, list_key_count)) {
        const struct command *command = take_first(store, batch);
        uint64_t key = decide_list_key(command);
        if (key)
            list_keys[list_key_count++] = key;
        is_sweep = command->type == COMMAND_SWEEP;
    }
    metric_set(GAUGE_WRITER_QUEUE_LENGTH, (int64_t)store->queued);
}

/* ---- Marks ---- */

/* What was not stored waits again, but for the last ones: nobody would come for them. */
static void marks_done(struct command *command) {
    struct store *store = command->context;
    struct mark *marks = store->marks_due;
    size_t count = command->in.marks.count;
    bool stored = command->refusal.err == OK;
    pthread_mutex_lock(&store->mutex);
    bool is_last = store->stopping;
    pthread_mutex_unlock(&store->mutex);
    marks_written(&store->marks, marks, count, stored, clock_monotonic_ms());
    if (!stored && is_last)
        marks_clear(&store->marks);
    if (stored && store->marks_listener.call)
        store->marks_listener.call(store->marks_listener.context, marks, count);
    command_release(command);
}

/* Marks that are due by then go behind what the batch holds. */
static void add_marks(struct store *store, struct batch *batch, int64_t until_ms) {
    struct command *command = &store->marks_command;
    size_t count = marks_take(&store->marks, until_ms, store->marks_due, LIMIT_MARKS_AT_ONCE);
    if (count == 0)
        return;
    *command = (struct command){ .type = COMMAND_MARKS, .done = marks_done, .context = store };
    command->in.marks.marks = store->marks_due;
    command->in.marks.count = count;
    batch->slots[batch->count++] = (struct slot){ .command = command };
}

/* The sweep of messages that everybody has goes by what devices have acknowledged: those that did before it came are stored first. */
static bool add_marks_before_sweep(struct store *store, struct batch *batch) {
    const struct command *first = store->first;
    if (!first || first->type != COMMAND_SWEEP || first->in.sweep.kind != SWEEP_DELIVERED)
        return false;
    if (store->sweep_seen_ms == 0)
        store->sweep_seen_ms = clock_monotonic_ms();
    add_marks(store, batch, store->sweep_seen_ms + MARKS_PAUSE_MS);
    if (batch->count == 0)
        store->sweep_seen_ms = 0;
    return batch->count > 0;
}

/* Under the mutex. The store stops with nothing left to do, marks included. */
static void fill(struct store *store, struct batch *batch) {
    if (batch->count == 0 && add_marks_before_sweep(store, batch))
        return;
    fill_from_queue(store, batch);
    bool is_sweep = batch->count > 0 && batch->slots[0].command->type == COMMAND_SWEEP;
    if (!is_sweep)
        add_marks(store, batch, store->stopping ? INT64_MAX : clock_monotonic_ms());
}

/* Whoever posts alone, one after the other, comes back sooner than this thread would be asleep and awake again. Without the mutex, which whoever submits would
 * wait for. */
static void look_out(struct store *store, int64_t until_us) {
    pthread_mutex_unlock(&store->mutex);
    for (int turn = 0; turn < LOOK_OUT_TURNS && atomic_load(&store->queued) == 0 && clock_monotonic_us() < until_us; turn++)
        sched_yield();
    pthread_mutex_lock(&store->mutex);
}

/* For a command, for marks that are due, or the end; while the database fails, no longer than to the next trial. Under the mutex. */
static void wait_for_work(struct store *store) {
    int64_t trial_ms = clock_monotonic_ms() + LIMIT_TRIAL_PAUSE_MS;
    int timed_out = 0;
    while (!store->first && !store->stopping && timed_out == 0) {
        int64_t until_ms = marks_due_ms(&store->marks);
        if (!atomic_load(&store->healthy) && until_ms > trial_ms)
            until_ms = trial_ms;
        const struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
        if (until_ms == INT64_MAX)
            pthread_cond_wait(&store->wake, &store->mutex);
        else
            timed_out = pthread_cond_clockwait(&store->wake, &store->mutex, CLOCK_MONOTONIC, &until);
    }
}

/* Adds what waits to what was taken ahead, if anything was. False when the store stops and nothing is left to do. The batch is empty when it is time for a trial. */
static bool take_batch(struct store *store, struct batch *batch) {
    pthread_mutex_lock(&store->mutex);
    int64_t soon_us = clock_monotonic_us() + LOOK_OUT_US;
    if (batch->count == 0 && store->comes_alone)
        look_out(store, soon_us);
    if (batch->count == 0)
        wait_for_work(store);
    fill(store, batch);
    store->comes_alone = batch->count == 1 && clock_monotonic_us() < soon_us;
    bool goes_on = batch->count > 0 || !store->stopping;
    pthread_mutex_unlock(&store->mutex);
    return goes_on;
}

static void answer_all(struct batch *batch) {
    for (size_t i = 0; i < batch->count && !batch->early; i++)
        batch->slots[i].command->done(batch->slots[i].command);
}

/* A fault. Of posts alone: without what else is lost with them, such as a log-in, nobody could go on to see what became of them. */
static bool acks_early(const struct batch *batch) {
    if (!fault_is("ack_before_commit"))
        return false;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->slots[i].command->type != COMMAND_MESSAGE_POST)
            return false;
    return true;
}

/* ---- Ahead of its turn ---- */

struct ahead {
    struct store *store;
    const struct batch *before; /* is being written */
    struct batch *batch;
    bool begun, ended;
};

/* Whether memory is as the batch before leaves it, and stays so until the next one's turn. Nothing more is taken for a batch that was begun in vain. */
static bool knows_enough(const struct ahead *ahead) {
    const struct store *store = ahead->store;
    return ahead->batch->count == 0 && !cache_is_full(&store->cache) && store->keys.whole && !store->keys.doubted && store_healthy(store);
}

static bool is_worth_while(void *context) {
    const struct ahead *ahead = context;
    struct store *store = ahead->store;
    pthread_mutex_lock(&store->mutex);
    bool waits = store->queued >= (ahead->begun ? 1 : AHEAD_MIN) && store->first->type == COMMAND_MESSAGE_POST;
    pthread_mutex_unlock(&store->mutex);
    return waits && !ahead->ended && (ahead->begun || knows_enough(ahead));
}

static bool take_posts(struct store *store, struct batch *batch) {
    size_t count = batch->count, end = count + AHEAD_PART;
    set_limit(store, batch);
    pthread_mutex_lock(&store->mutex);
    while (batch->count < end && store->first && store->first->type == COMMAND_MESSAGE_POST && !ends_batch(batch, store->first, NULL, 0))
        take_first(store, batch);
    metric_set(GAUGE_WRITER_QUEUE_LENGTH, (int64_t)store->queued);
    pthread_mutex_unlock(&store->mutex);
    return batch->count > count;
}

/* What cannot be decided yet waits in the batch for its turn. */
static bool decide_some(void *context) {
    struct ahead *ahead = context;
    struct batch *batch = ahead->batch;
    ahead->begun = true;
    if (!take_posts(ahead->store, batch))
        return false;
    if (!batch->started)
        batch_start(batch, ahead->store, ahead->before);
    size_t decided = batch->decided;
    ahead->ended = !batch_decide_ahead(batch);
    if (ahead->ended)
        return false;
    metric_add(COUNTER_COMMANDS_AHEAD, batch->decided - decided);
    return true;
}

static bool knows_all_keys(const struct store *store) { return store->keys.whole && !store->keys.doubted; }

/* Not when the commit before failed, or others have written since. */
static bool still_holds(const struct store *store, const struct batch *batch) {
    return batch->previous_id == store->last_id && knows_all_keys(store);
}

/* ---- What a batch leaves in memory ---- */

/* What was deleted or replaced is gone from the tables now, but not from the write-ahead log. */
static bool leaves_residue(const struct state *state) {
    return state->changed_messages.count || state->changed_users.count || state->bulk[BULK_REMOVE_DEVICE].count ||
           state->bulk[BULK_PURGE_CHAT].count || state->changed_drafts.count || state->bulk[BULK_DROP_DRAFT].count ||
           state->bulk[BULK_FORGET_MEDIA].count || state->bulk[BULK_DROP_SCHEDULED].count || state->bulk[BULK_VOID_SCHEDULED].count ||
           state->report_ends.count;
}

/* A log that is truncated has to grow again, and until then each commit also waits for the file system: half a second and more of slow posts. While they
 * are many the log begins anew all the time, and overwrites what it held. */
static bool may_wait(const struct store *store) {
    int64_t now_ms = clock_monotonic_ms(), early_ms = store->config->cleanup_deadline_ms / RESIDUE_PART;
    return now_ms - store->commits_ms[store->commit_count % LIMIT_QUIET_COMMITS] < QUIET_MS && now_ms - store->residue_ms < early_ms;
}

static void note_residue(struct store *store, struct batch *batch) {
    const struct command *command = batch->slots[0].command;
    bool is_sweep = command->type == COMMAND_SWEEP;
    if (store->residue_ms == 0 && (leaves_residue(&batch->state) || (is_sweep && command->out.sweep.rows > 0)))
        store->residue_ms = clock_monotonic_ms();
    if (is_sweep && command->in.sweep.last && !command->in.sweep.dry_run && store->residue_ms != 0)
        batch->truncate = !command->in.sweep.patient || !may_wait(store);
}

/* What a committed batch leaves in memory. */
static void keep(struct store *store, struct batch *batch) {
    if (batch->kept)
        return;
    batch->kept = true;
    head_keep(store, batch->state.last_id, batch->tag);
    cache_keep(&store->cache, &batch->state);
    keys_keep(&store->keys, &batch->state);
    owner_index_keep(&store->owner_index, &batch->state);
    note_residue(store, batch);
}

/* ---- Behind the commit before ---- */

/* Marks that are due would not have their turn. */
static bool may_go_behind(struct store *store) {
    return head_is_trusted(store) && marks_due_ms(&store->marks) > clock_monotonic_ms() - MARKS_LATE_MS;
}

/* A batch of posts, all of them decided ahead: what the database needs no answer for. */
static bool is_fit_to_go(const struct batch *next) {
    size_t bytes = 0;
    if (!next->started || next->count < BEHIND_MIN || next->decided < next->count)
        return false;
    for (size_t i = 0; i < next->count; i++)
        bytes += POST_BYTES + next->slots[i].command->in.message_post.text_size;
    return bytes <= BEHIND_BYTES;
}

static enum err write_batch(struct store *store, struct batch *batch) {
    enum err err = state_write(&batch->state, store->db);
    return err == OK && store->db->driver->is_shared ? head_write(store, batch->state.last_id, batch->tag) : err;
}

static enum err begin_transaction(struct store *store, struct batch *batch) {
    batch->log_number = atomic_load(&store->log_number);
    batch->trusting = head_is_trusted(store);
    return head_begin(store);
}

static enum err send_behind(struct store *store, struct batch *batch) {
    enum err err = begin_transaction(store, batch);
    if (err == OK)
        err = batch_decide(batch, store);
    return err == OK ? write_batch(store, batch) : err;
}

/* What waits is decided and sent while the database works on the commit, which then goes on with it at once. Memory is as this commit leaves it before that
 * is certain. When it fails, the head is not what this writer left, and all is forgotten (db/store_head.h). */
static void go_behind(struct store *store, struct batch *batch, struct batch *next) {
    while (db_is_busy_meanwhile(store->db) && store->db->meanwhile.work(store->db->meanwhile.context))
        ;
    if (!is_fit_to_go(next))
        return;
    store->db->meanwhile = (struct db_meanwhile){ .wanted = NULL };
    keep(store, batch);
    next->sent = knows_all_keys(store) && send_behind(store, next) == OK;
}

static enum err commit_with_next(struct store *store, struct batch *batch) {
    struct batch *next = batch->next;
    enum err err = store->db->driver->send_commit(store->db);
    if (err != OK)
        return err;
    if (may_go_behind(store))
        go_behind(store, batch, next);
    err = store->db->driver->await_commit(store->db);
    next->sent = next->sent && err == OK;
    if (batch->kept && !next->sent) {
        store->db->driver->rollback(store->db);
        batch_stop(next);
    }
    metric_add(COUNTER_BATCHES_BEHIND, next->sent);
    return err;
}

/* ---- In its turn ---- */

static enum err commit(struct store *store, struct batch *batch) {
    int64_t started_us = clock_monotonic_us();
    bool sends = batch->next && store->db->driver->send_commit && !store->db->in_cluster;
    enum err err = sends ? commit_with_next(store, batch) : head_commit(store, batch->tag);
    store->commit_wait_us += (clock_monotonic_us() - started_us - store->commit_wait_us) / COMMIT_SHARE;
    return err;
}

static enum err write_and_commit(struct store *store, struct batch *batch) {
    enum err err = batch->sent ? OK : write_batch(store, batch);
    batch->sent = false;
    if (err == OK && store->db->driver->is_shared)
        err = head_check(store);
    if (err == OK && acks_early(batch)) {
        answer_all(batch);
        batch->early = true;
        clock_sleep_ms(ACK_BEFORE_COMMIT_MS);
    }
    if (err == OK)
        fault_freeze_at("freeze_before_commit");
    return err == OK ? commit(store, batch) : err;
}

static enum err run_in_transaction(struct store *store, struct batch *batch) {
    struct ahead ahead = { .store = store, .before = batch, .batch = batch->next };
    enum err err = batch->sent ? OK : batch_decide(batch, store);
    if (err != OK)
        return err;
    if (batch->next && batch->slots[0].command->type != COMMAND_SWEEP)
        store->db->meanwhile = (struct db_meanwhile){ is_worth_while, decide_some, &ahead };
    store->db->defers = true;
    err = write_and_commit(store, batch);
    store->db->defers = false;
    store->db->meanwhile = (struct db_meanwhile){ .wanted = NULL };
    return err;
}

/* Where others write, too, in turn with what they wrote. */
static void tell(struct store *store, const struct batch *batch, size_t count) {
    if (store->follow) {
        follow_commit(store->follow, batch->log_number, batch->previous_id, batch->frames, count);
        return;
    }
    atomic_store(&store->head, batch->state.last_id);
    store_tell(store, batch->previous_id, batch->frames, count);
}

/* Who posts has read what is there up to the own message; by a scheduled one nothing is read that was not read before. */
static bool has_read(struct store *store, const struct event_entry *entry) {
    const struct event *event = &entry->event;
    if (event->type != EVENT_MESSAGE_CREATED || !entry->is_scheduled)
        return event->type == EVENT_MESSAGE_CREATED;
    uint64_t marked_seq = store_mark(store, MARK_READ, event->owner_id, event->actor_id);
    return (marked_seq > entry->read_seq ? marked_seq : entry->read_seq) + 1 >= event->message.seq;
}

/* When there is no room for the mark, that is told by the client's next one. */
static void move_marks(struct store *store, const struct vec *events) {
    for (size_t i = 0; i < events->count; i++) {
        const struct event_entry *entry = events->items[i];
        const struct event *event = &entry->event;
        const struct mark mark = {
            .kind = MARK_READ, .chat_id = event->owner_id, .owner_id = event->actor_id, .value = event->message.seq, .silent = true
        };
        if (has_read(store, entry) && store_move_mark(store, &mark) != OK)
            break;
    }
}

/* Whether something may be due earlier than before. */
static bool schedules(const struct state *state) {
    return state->new_scheduled.count || state->bulk[BULK_VOID_SCHEDULED].count || state->bulk[BULK_VOID_SCHEDULED_OF_CHAT].count;
}

static void count_reports(const struct batch *batch) {
    for (size_t i = 0; i < batch->count; i++)
        if (batch->slots[i].reporting)
            metric_set(GAUGE_REPORTS_OPEN, batch->slots[i].reporting->open_count);
}

/* After the commit: the new head is visible first, then the streams learn of it, then whoever asked. */
static void publish(struct store *store, struct batch *batch) {
    const struct vec *events = &batch->state.events;
    store->last_ms = batch->state.now_ms;
    store->last_id = batch->state.last_id;
    store->delivery_chat_id = batch->place.delivery_chat_id;
    store->swept_id = batch->place.swept_id;
    atomic_store(&store->floor, batch->place.floor);
    metric_set(GAUGE_LOG_HEAD_POSITION, (int64_t)log_position(batch->state.last_id));
    metric_set(GAUGE_LOG_FLOOR_POSITION, (int64_t)log_position(batch->place.floor));
    if (batch->state.new_reports.count || batch->state.report_ends.count)
        count_reports(batch);
    if (store->due_listener.call && schedules(&batch->state))
        store->due_listener.call(store->due_listener.context);
    if (events->count == 0)
        return;
    move_marks(store, events);
    tell(store, batch, events->count);
    bus_publish(store->bus, batch->previous_id, batch->frames, events->count);
}

static void count_commit(struct store *store, const struct batch *batch, int64_t started_us) {
    enum command_type type = batch->slots[0].command->type;
    if (type != COMMAND_SWEEP && type != COMMAND_LEASE)
        store->commits_ms[store->commit_count++ % LIMIT_QUIET_COMMITS] = clock_monotonic_ms();
    metric_add(COUNTER_COMMITS, 1);
    metric_add(COUNTER_COMMANDS, batch->count);
    metric_observe(HISTOGRAM_COMMIT_BATCH, batch->count);
    metric_observe(HISTOGRAM_COMMIT_SECONDS, (uint64_t)(clock_monotonic_us() - started_us));
}

/* Says when the database begins to fail and when it works again, not each time. */
static void note_health(struct store *store, enum err err) {
    bool failed = err == ERR_DATABASE_UNAVAILABLE || err == ERR_DATABASE_UNKNOWN || err == ERR_DATABASE_BUSY;
    bool healthy = !failed && err != ERR_INTERNAL && err != ERR_NO_MEMORY;
    if (healthy == atomic_exchange(&store->healthy, healthy))
        return;
    if (healthy)
        log_event(LOG_INFO, "database_recovered", "head=%llu", (unsigned long long)store_head(store));
    else
        log_event(LOG_ERROR, "database_failed", "error=%s problem=\"%s\"", err_name(err), store->db->driver->problem(store->db));
}

static bool pause_until(int64_t end_ms, uint64_t longest_ms) {
    clock_sleep_ms(1 + (int64_t)random_below(longest_ms));
    return clock_monotonic_ms() < end_ms;
}

/* The answer to the commit got lost. OK: it was kept; ERR_DATABASE_BUSY: it was not; ERR_DATABASE_UNKNOWN: the database stays away. Nobody is answered
 * meanwhile: who was told that nothing happened might say it again without a key. */
static enum err settle(struct store *store, const struct batch *batch) {
    int64_t end_ms = clock_monotonic_ms() + LIMIT_SETTLE_MS;
    bool kept = false;
    note_health(store, ERR_DATABASE_UNKNOWN);
    enum err err = head_settle(store, batch->tag, &kept);
    while (err != OK && pause_until(end_ms, SETTLE_PAUSE_MS))
        err = head_settle(store, batch->tag, &kept);
    if (err != OK)
        return ERR_DATABASE_UNKNOWN;
    return kept ? OK : ERR_DATABASE_BUSY;
}

static enum err begin(struct store *store, struct batch *batch) {
    enum err err = begin_transaction(store, batch);
    if (!still_holds(store, batch))
        batch_stop(batch);
    if (!batch->started)
        batch_start(batch, store, NULL);
    return err == OK ? keys_refresh(&store->keys, store->db, batch->state.now_ms) : err;
}

static enum err attempt(struct store *store, struct batch *batch) {
    int64_t started_us = clock_monotonic_us();
    enum err err = batch->sent ? OK : begin(store, batch);
    if (err == OK)
        err = run_in_transaction(store, batch);
    if (err == ERR_DATABASE_UNKNOWN)
        err = settle(store, batch);
    if (err == OK) {
        keep(store, batch);
        publish(store, batch);
        count_commit(store, batch, started_us);
    } else {
        store->db->driver->rollback(store->db);
        place_doubt(&store->place);
        metric_add(COUNTER_BATCHES_FAILED, 1);
        head_distrust(store);
        if (batch->kept)
            head_doubt(store);
        if (batch->next)
            batch_stop(batch->next);
    }
    batch_stop(batch);
    return err;
}

/* Whoever was in the way has done something meanwhile. */
static enum err attempt_often(struct store *store, struct batch *batch) {
    int64_t end_ms = clock_monotonic_ms() + LIMIT_BATCH_PATIENCE_MS;
    enum err err = attempt(store, batch);
    if (err != OK && err != ERR_DATABASE_UNKNOWN && batch->trusting) /* others wrote, or the connection was lost: then it shows */
        err = attempt(store, batch);
    for (int i = 1; err == ERR_DATABASE_BUSY && i < LIMIT_BATCH_ATTEMPTS && pause_until(end_ms, RETRY_PAUSE_MS); i++)
        err = attempt(store, batch);
    note_health(store, err);
    return err;
}

static void refuse_all(struct batch *batch, enum err err) {
    batch_forget(batch);
    for (size_t i = 0; i < batch->count; i++)
        refuse(batch->slots[i].command, err, NULL, NULL);
}

static void run_batch(struct store *store, struct batch *batch);

/* One of them breaks a constraint: run each in a batch of its own, so that only that one is refused. */
static void run_one_by_one(struct store *store, const struct batch *batch) {
    struct batch single = { .next = NULL };
    for (size_t i = 0; i < batch->count; i++) {
        single.slots[0] = (struct slot){ .command = batch->slots[i].command };
        single.count = 1;
        run_batch(store, &single);
    }
}

/* ERR_OVERLOADED: readers hold the log; a later one will do it. ERR_DATABASE_BUSY: it is being moved. */
static enum err checkpoint(struct store *store, enum db_checkpoint when) {
    int64_t started_us = clock_monotonic_us();
    enum err err = store->db->driver->checkpoint ? store->db->driver->checkpoint(store->db, when) : OK;
    uint64_t took_us = (uint64_t)(clock_monotonic_us() - started_us);
    if (took_us > 100) /* something was due */
        metric_observe(HISTOGRAM_CHECKPOINT_WAIT_SECONDS, took_us);
    return err;
}

/* Whoever is told that a cleanup is done may look at the disk. */
static void truncate_log(struct store *store, const struct batch *batch) {
    if (!batch->truncate)
        return;
    enum err err = checkpoint(store, CHECKPOINT_TRUNCATE);
    if (err == OK)
        store->residue_ms = 0;
    batch->slots[0].command->out.sweep.truncating = err == ERR_DATABASE_BUSY;
}

static void run_batch(struct store *store, struct batch *batch) {
    batch->early = false;
    batch->truncate = false;
    enum err err = attempt_often(store, batch);
    if ((err == ERR_CONFLICT || err == ERR_INTERNAL) && batch->count > 1) {
        run_one_by_one(store, batch);
    } else {
        if (err != OK)
            refuse_all(batch, err);
        truncate_log(store, batch);
        answer_all(batch);
    }
    batch->count = batch->bytes = 0;
}

void *writer_main(void *context) {
    struct store *store = context;
    struct batch batches[2] = { { .next = &batches[1] }, { .next = &batches[0] } }; /* 120 KB of this thread's stack */
    struct batch *batch = &batches[0];
    pthread_setname_np(pthread_self(), "parley-writer");
    while (batch->sent || take_batch(store, batch)) {
        if (batch->count == 0) {
            if (!store_healthy(store))
                note_health(store, store_trial(store));
            continue;
        }
        run_batch(store, batch);
        (void)checkpoint(store, CHECKPOINT_LARGE); /* off the commits' path: the answers have left */
        batch = batch->next;
    }
    place_give_back(store);
    return NULL;
}

void command_release(struct command *command) {
    frame_drop(command->out.frame);
    buf_release(&command->out.json);
    free(command->out.device_ids);
    free(command->out.media_strings);
    command->out.frame = NULL;
    command->out.media_strings = NULL;
    command->out.device_ids = NULL;
}
