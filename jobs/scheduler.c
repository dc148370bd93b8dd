/* See scheduler.h. Owns the thread, and the commands of one batch.
 *
 * Threads: its own; hear_due() and count_down() run on the writer's, the rest on the main thread. */
#include "jobs/scheduler.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/log.h"
#include "db/reader.h"

#define AGAIN_MS 1000 /* after something that failed */

struct scheduler {
    struct store *store;
    struct reader *reader;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stopping; /* under mutex; so are the next two */
    bool heard;    /* something may be due earlier than was looked for */
    size_t waiting;
    /* The thread's own. */
    struct command commands[LIMIT_SCHEDULE_BATCH];
    bool failing; /* has been said */
};

static bool is_stopping(struct scheduler *scheduler) {
    pthread_mutex_lock(&scheduler->mutex);
    bool stopping = scheduler->stopping;
    pthread_mutex_unlock(&scheduler->mutex);
    return stopping;
}

static void hear_due(void *context) {
    struct scheduler *scheduler = context;
    pthread_mutex_lock(&scheduler->mutex);
    scheduler->heard = true;
    pthread_cond_signal(&scheduler->changed);
    pthread_mutex_unlock(&scheduler->mutex);
}

/* ---- Sending ---- */

static void count_down(struct command *command) {
    struct scheduler *scheduler = command->context;
    pthread_mutex_lock(&scheduler->mutex);
    if (--scheduler->waiting == 0)
        pthread_cond_signal(&scheduler->changed);
    pthread_mutex_unlock(&scheduler->mutex);
}

static void fill(struct scheduler *scheduler, struct command *command, const struct scheduled *scheduled) {
    *command = (struct command){ .type = COMMAND_SCHEDULE_SEND,
                                 .actor_id = scheduled->user_id,
                                 .bytes = scheduled->text_size,
                                 .done = count_down,
                                 .context = scheduler };
    command->in.message_post.chat_id = scheduled->chat_id;
    command->in.message_post.text = scheduled->text ? scheduled->text : "";
    command->in.message_post.text_size = scheduled->text_size;
    command->in.message_post.media_ids = scheduled->media_ids;
    command->in.message_post.media_count = scheduled->media_count;
    command->in.message_post.mentions = scheduled->mentions;
    command->in.message_post.mention_count = scheduled->mention_count;
    command->in.message_post.reply_to = scheduled->reply_to;
    command->in.message_post.ttl_ms = scheduled->ttl_ms;
    command->in.message_post.scheduled.id = scheduled->id;
}

static enum err hand_over(struct scheduler *scheduler, struct command *command) {
    pthread_mutex_lock(&scheduler->mutex);
    scheduler->waiting++;
    pthread_mutex_unlock(&scheduler->mutex);
    enum err err = store_submit(scheduler->store, command);
    if (err != OK)
        count_down(command);
    return err;
}

static void wait_for_writer(struct scheduler *scheduler) {
    pthread_mutex_lock(&scheduler->mutex);
    while (scheduler->waiting > 0)
        pthread_cond_wait(&scheduler->changed, &scheduler->mutex);
    pthread_mutex_unlock(&scheduler->mutex);
}

/* The first failure; what failed is still there. */
static enum err send(struct scheduler *scheduler, const struct scheduled *scheduled, size_t count) {
    size_t handed = 0;
    enum err err = OK;
    for (; err == OK && handed < count; handed += err == OK) {
        fill(scheduler, &scheduler->commands[handed], &scheduled[handed]);
        err = hand_over(scheduler, &scheduler->commands[handed]);
    }
    wait_for_writer(scheduler);
    for (size_t i = 0; i < handed; i++) {
        if (err == OK)
            err = scheduler->commands[i].refusal.err;
        command_release(&scheduler->commands[i]);
    }
    return err;
}

/* One page of what is due; `request` moves on behind it. */
static enum err send_page(struct scheduler *scheduler, struct due_request *request, size_t *ret_count) {
    struct arena arena = ARENA_INIT(LIMIT_SCHEDULE_ARENA_BYTES);
    struct scheduled *scheduled = NULL;
    size_t count = 0;
    enum err err = read_due(scheduler->reader, request, &arena, &scheduled, &count);
    if (err == OK && count > 0) {
        request->after_due_ms = scheduled[count - 1].due_ms;
        request->after_id = scheduled[count - 1].id;
        err = send(scheduler, scheduled, count);
    }
    arena_release(&arena);
    *ret_count = count;
    return err;
}

/* All that is due; what cannot be sent holds nothing back that comes behind it. The first failure. */
static enum err send_due(struct scheduler *scheduler, int64_t now_ms) {
    struct due_request request = { .now_ms = now_ms };
    enum err first = OK;
    size_t count = 1;
    while (count > 0 && !is_stopping(scheduler)) {
        enum err err = send_page(scheduler, &request, &count);
        first = first == OK ? err : first;
    }
    return first;
}

/* ---- The thread ---- */

/* Says when it begins to fail and when it works again, not each time. */
static void note_outcome(struct scheduler *scheduler, enum err err) {
    bool failing = err != OK && err != ERR_DRAINING;
    if (failing && !scheduler->failing)
        log_event(LOG_WARN, "scheduler_failed", "error=%s", err_name(err));
    if (!failing && scheduler->failing)
        log_event(LOG_INFO, "scheduler_recovered", "%s", "");
    scheduler->failing = failing;
}

/* How long there is nothing to do, as far as is known. */
static int64_t rest_of(struct scheduler *scheduler) {
    int64_t now_ms = clock_now_ms(), next_ms = 0;
    enum err err = send_due(scheduler, now_ms);
    if (err == OK)
        err = read_next_due(scheduler->reader, now_ms, &next_ms);
    note_outcome(scheduler, err);
    if (err != OK)
        return AGAIN_MS;
    int64_t rest_ms = next_ms - clock_now_ms();
    return rest_ms < LIMIT_SCHEDULE_LOOK_MS ? rest_ms : LIMIT_SCHEDULE_LOOK_MS;
}

static void rest(struct scheduler *scheduler, int64_t rest_ms) {
    const struct timespec until = clock_deadline(rest_ms > 0 ? rest_ms : 0);
    int timed_out = 0;
    pthread_mutex_lock(&scheduler->mutex);
    while (!scheduler->stopping && !scheduler->heard && timed_out == 0)
        timed_out = pthread_cond_clockwait(&scheduler->changed, &scheduler->mutex, CLOCK_MONOTONIC, &until);
    scheduler->heard = false;
    pthread_mutex_unlock(&scheduler->mutex);
}

static void *run_thread(void *context) {
    struct scheduler *scheduler = context;
    pthread_setname_np(pthread_self(), "scheduler");
    while (!is_stopping(scheduler))
        rest(scheduler, rest_of(scheduler));
    return NULL;
}

enum err scheduler_open(struct store *store, struct scheduler **ret_scheduler) {
    struct scheduler *scheduler = calloc(1, sizeof(*scheduler));
    if (scheduler == NULL)
        return ERR_NO_MEMORY;
    scheduler->store = store;
    pthread_mutex_init(&scheduler->mutex, NULL);
    pthread_cond_init(&scheduler->changed, NULL);
    store_on_due(store, hear_due, scheduler);
    *ret_scheduler = scheduler;
    return OK;
}

enum err scheduler_start(struct scheduler *scheduler) {
    enum err err = reader_open(scheduler->store, &scheduler->reader);
    if (err != OK)
        return err;
    scheduler->started = pthread_create(&scheduler->thread, NULL, run_thread, scheduler) == 0;
    return scheduler->started ? OK : ERR_NO_MEMORY;
}

void scheduler_stop(struct scheduler *scheduler) {
    if (scheduler == NULL)
        return;
    pthread_mutex_lock(&scheduler->mutex);
    scheduler->stopping = true;
    pthread_cond_signal(&scheduler->changed);
    pthread_mutex_unlock(&scheduler->mutex);
    if (scheduler->started)
        pthread_join(scheduler->thread, NULL);
    scheduler->started = false;
    reader_close(scheduler->reader);
    scheduler->reader = NULL;
}

void scheduler_close(struct scheduler *scheduler) {
    if (scheduler == NULL)
        return;
    pthread_cond_destroy(&scheduler->changed);
    pthread_mutex_destroy(&scheduler->mutex);
    free(scheduler);
}
