/* Replay threads. See replay.h. */
#include "stream/replay.h"

/* ---- Reading, on a replay thread ---- */

static enum err read_device(struct reader *reader, struct replay_job *job) {
    bool exists = true;
    enum err err = job->device_id != 0 ? read_device_exists(reader, job->user_id, job->device_id, &exists) : OK;
    job->device_is_gone = !exists;
    return err;
}

static enum err read_listener(struct reader *reader, struct replay_job *job) {
    enum err err = read_stays(reader, job->user_id, job->stays_after, &job->arena, &job->stays, &job->stay_count);
    return err == OK ? read_blanked(reader, job->user_id, &job->blanked_id) : err;
}

static enum err read_stream_page(struct reader *reader, struct replay_job *job) {
    enum err err = OK;
    if (job->judges_token)
        err = read_token(reader, job->after_id, &job->token);
    if (err == OK)
        err = read_device(reader, job);
    if (err == OK && job->wants_stays)
        err = read_listener(reader, job);
    if (err == OK && job->wants_page && job->token == TOKEN_GOOD)
        err = read_feed(reader, job->user_id, job->after_id, &job->page);
    return err;
}

static enum err read_log_page(struct reader *reader, struct replay_job *job) {
    enum err err = read_token(reader, job->after_id, &job->token);
    return err == OK && job->token == TOKEN_GOOD ? read_log(reader, job->after_id, &job->page) : err;
}

static void run(struct reader *reader, struct replay_job *job) {
    job->err = read_begin(reader, &job->head_id);
    if (job->err != OK)
        return;
    job->floor_id = read_floor(reader);
    job->err = job->is_log ? read_log_page(reader, job) : read_stream_page(reader, job);
    read_end(reader);
}

/* Waits for a job; NULL: the pool stops. */
static struct replay_job *next_job(struct replay_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    while (pool->first == NULL && !pool->stopping)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    struct replay_job *job = pool->stopping ? NULL : pool->first;
    if (job != NULL)
        pool->first = job->next;
    if (pool->first == NULL)
        pool->last = NULL;
    pthread_mutex_unlock(&pool->mutex);
    return job;
}

static void *work(void *context) {
    const struct replay_thread *thread = context;
    pthread_setname_np(pthread_self(), "parley-replay");
    for (struct replay_job *job; (job = next_job(thread->pool)) != NULL;) {
        run(thread->reader, job);
        inbox_add_page(thread->pool->inbox, job);
    }
    return NULL;
}

/* ---- The pool ---- */

static enum err start_thread(struct replay_pool *pool, struct store *store) {
    struct replay_thread *thread = &pool->threads[pool->thread_count];
    thread->pool = pool;
    enum err err = reader_open(store, &thread->reader);
    if (err != OK)
        return err;
    if (pthread_create(&thread->thread, NULL, work, thread) != 0) {
        reader_close(thread->reader);
        return ERR_NO_MEMORY;
    }
    pool->thread_count++;
    return OK;
}

enum err replay_start(struct replay_pool *pool, struct store *store, struct inbox *inbox) {
    *pool = (struct replay_pool){ .inbox = inbox };
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    enum err err = OK;
    while (err == OK && pool->thread_count < REPLAY_THREADS)
        err = start_thread(pool, store);
    if (err != OK)
        replay_stop(pool);
    return err;
}

void replay_stop(struct replay_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i].thread, NULL);
        reader_close(pool->threads[i].reader);
    }
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
}

void replay_submit(struct replay_pool *pool, struct replay_job *job) {
    pthread_mutex_lock(&pool->mutex);
    job->next = job->is_log ? pool->first : NULL;
    if (pool->first == NULL || job->is_log)
        pool->first = job;
    else
        pool->last->next = job;
    if (job->next == NULL)
        pool->last = job;
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

void replay_job_release(struct replay_job *job) {
    feed_page_release(&job->page);
    arena_release(&job->arena);
    *job = (struct replay_job){ .busy = false };
    arena_init(&job->arena, LIMIT_STAYS_BYTES);
}
