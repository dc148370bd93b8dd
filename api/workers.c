/* Owns the pools of worker threads and their queues. Knows nothing of what a request is for. */
#include "api/workers.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS_MAX 8

struct worker {
    struct workers *pool;
    struct reader *reader; /* NULL: not open yet; the thread's */
    pthread_t thread;
};

struct workers {
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct request *head, *tail; /* waiting, oldest first */
    size_t waiting, queue_max;
    bool stopping;
    worker_function run;
    struct store *store;
    const char *name;
    struct worker threads[THREADS_MAX];
    unsigned thread_count; /* started */
};

/* The oldest request, or NULL when stopping and nothing waits. */
static struct request *take(struct workers *workers) {
    pthread_mutex_lock(&workers->mutex);
    while (workers->head == NULL && !workers->stopping)
        pthread_cond_wait(&workers->work, &workers->mutex);
    struct request *request = workers->head;
    if (request != NULL) {
        workers->head = request->next;
        if (workers->head == NULL)
            workers->tail = NULL;
        workers->waiting--;
        request->next = NULL;
    }
    pthread_mutex_unlock(&workers->mutex);
    return request;
}

/* NULL: the next request tries again. */
static struct reader *reader_of(struct worker *worker) {
    if (worker->reader == NULL && reader_open(worker->pool->store, &worker->reader) != OK)
        return NULL;
    return worker->reader;
}

static void *work(void *argument) {
    struct worker *worker = argument;
    struct request *request;
    while ((request = take(worker->pool)) != NULL) {
        request->reader = reader_of(worker);
        worker->pool->run(request);
    }
    return NULL;
}

static enum err start_one(struct workers *workers) {
    struct worker *worker = &workers->threads[workers->thread_count];
    worker->pool = workers;
    if (pthread_create(&worker->thread, NULL, work, worker) != 0)
        return ERR_NO_MEMORY;
    pthread_setname_np(worker->thread, workers->name);
    workers->thread_count++;
    return OK;
}

enum err workers_start(struct store *store, const struct workers_plan *plan, struct workers **ret_workers) {
    struct workers *workers = calloc(1, sizeof(*workers));
    if (workers == NULL)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_cond_init(&workers->work, NULL);
    workers->queue_max = plan->queue_max;
    workers->run = plan->run;
    workers->store = store;
    workers->name = plan->name;
    enum err err = OK;
    for (unsigned i = 0; i < plan->threads && i < THREADS_MAX && err == OK; i++)
        err = start_one(workers);
    if (err != OK) {
        workers_stop(workers);
        return err;
    }
    *ret_workers = workers;
    return OK;
}

void workers_stop(struct workers *workers) {
    if (workers == NULL)
        return;
    pthread_mutex_lock(&workers->mutex);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->work);
    pthread_mutex_unlock(&workers->mutex);
    for (unsigned i = 0; i < workers->thread_count; i++) {
        pthread_join(workers->threads[i].thread, NULL);
        reader_close(workers->threads[i].reader);
    }
    pthread_cond_destroy(&workers->work);
    pthread_mutex_destroy(&workers->mutex);
    free(workers);
}

/* Under the mutex. */
static void append(struct workers *workers, struct request *request) {
    request->next = NULL;
    if (workers->tail != NULL)
        workers->tail->next = request;
    else
        workers->head = request;
    workers->tail = request;
    workers->waiting++;
    pthread_cond_signal(&workers->work);
}

enum err workers_submit(struct workers *workers, struct request *request) {
    pthread_mutex_lock(&workers->mutex);
    bool full = workers->waiting >= workers->queue_max;
    if (!full)
        append(workers, request);
    pthread_mutex_unlock(&workers->mutex);
    return full ? ERR_OVERLOADED : OK;
}

void workers_resubmit(struct workers *workers, struct request *request) {
    pthread_mutex_lock(&workers->mutex);
    append(workers, request);
    pthread_mutex_unlock(&workers->mutex);
}
