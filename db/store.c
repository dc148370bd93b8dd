/* Opening, locking and closing the store, and its queue of commands. The writer's thread itself is db/writer.c.
 *
 * Threads: store_submit, store_run and the getters from any; the rest from the one that opened it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/limits.h"
#include "core/metrics.h"
#include "core/random.h"
#include "db/bus.h"
#include "db/follow.h"
#include "db/migrations.h"
#include "db/store_head.h"

#define TRUSTS_AFTER 8 /* transactions between which nobody else wrote, before that is taken for granted of the next one */

static const struct query read_secret = { "SELECT bytes FROM meta WHERE name = 'secret'" };

static enum err make_folder(const struct config *config, char *problem, size_t problem_size) {
    if (mkdir(config->data_dir, 0700) == 0 || errno == EEXIST)
        return OK;
    snprintf(problem, problem_size, "PARLEY_DATA_DIR: %s: %s", config->data_dir, strerror(errno));
    return ERR_CONFIG;
}

/* The kernel forgets the lock with the process, however it ends. */
static enum err take_lock(const struct config *config, int *ret_fd, char *problem, size_t problem_size) {
    char path[4096];
    snprintf(path, sizeof path, "%s/parley.lock", config->data_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(problem, problem_size, "PARLEY_DATA_DIR: %s: %s", path, strerror(errno));
        return ERR_CONFIG;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(problem, problem_size, "PARLEY_DATA_DIR: %s is in use by another parley", config->data_dir);
        close(fd);
        return ERR_CONFLICT;
    }
    *ret_fd = fd;
    return OK;
}

enum err store_lock(const struct config *config, int *ret_fd, char *problem, size_t problem_size) {
    enum err err = make_folder(config, problem, problem_size);
    return err == OK ? take_lock(config, ret_fd, problem, problem_size) : err;
}

enum err store_load_secret(struct store *store) {
    struct statement *statement = db_query(store->db, &read_secret);
    bool row = false;
    enum err err = store->db->driver->step(statement, &row);
    if (err == OK && row)
        db_column_blob(store->db, statement, 0, store->secret, sizeof store->secret);
    store->db->driver->finish(statement);
    return err == OK && !row ? ERR_INTERNAL : err;
}

static enum err load_all(struct store *store, char *problem, size_t problem_size) {
    enum err err = migrate(store->db, NULL, problem, problem_size);
    if (err != OK)
        return err;
    err = store_load_secret(store);
    if (err == OK)
        err = head_load(store);
    if (err == OK)
        err = owner_index_open(&store->owner_index, store->db, store->last_id);
    if (err == OK)
        err = keys_load(&store->keys, store->db, clock_now_ms());
    if (err == OK) {
        place_init(&store->place, store->db->driver->is_shared);
        err = place_open(&store->place, store->db);
    }
    if (err == OK && store->db->driver->is_shared)
        err = head_sweep(store);
    if (err != OK)
        snprintf(problem, problem_size, "PARLEY_DB: reading the log's head failed: %s", err_name(err));
    return err;
}

/* The database's file has one writer. A server of databases has many, and lets them take turns. */
static enum err open_database(struct store *store, char *problem, size_t problem_size) {
    const struct db_driver *driver = db_driver_of(store->url);
    enum err err = make_folder(store->config, problem, problem_size);
    if (err == OK && !(driver && driver->is_shared))
        err = take_lock(store->config, &store->lock_fd, problem, problem_size);
    return err == OK ? db_open(store->url, DB_WRITER, &store->db, problem, problem_size) : err;
}

enum err store_open(const struct config *config, struct store **ret_store, char *problem, size_t problem_size) {
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return ERR_NO_MEMORY;
    store->config = config;
    store->lock_fd = -1;
    store->residue_ms = clock_monotonic_ms(); /* of earlier runs */
    store->trusts_after = TRUSTS_AFTER;
    atomic_store(&store->healthy, true);
    pthread_mutex_init(&store->mutex, NULL);
    pthread_mutex_init(&store->whispering, NULL);
    pthread_cond_init(&store->wake, NULL);
    marks_init(&store->marks);
    keys_init(&store->keys);
    owner_index_init(&store->owner_index);
    snprintf(problem, problem_size, "out of memory");
    snprintf(store->writer, sizeof store->writer, "writer.%016" PRIx64, random_u64());
    store->url = strdup(config->db);
    enum err err = store->url ? open_database(store, problem, problem_size) : ERR_NO_MEMORY;
    if (err == OK)
        err = load_all(store, problem, problem_size);
    if (err != OK) {
        store_close(store);
        return err;
    }
    *ret_store = store;
    return OK;
}

void store_close(struct store *store) {
    if (!store)
        return;
    store_stop(store);
    db_close(store->db);
    cache_release(&store->cache);
    keys_release(&store->keys);
    owner_index_release(&store->owner_index);
    marks_release(&store->marks);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_mutex_destroy(&store->mutex);
    pthread_mutex_destroy(&store->whispering);
    pthread_cond_destroy(&store->wake);
    free(store->url);
    free(store);
}

void store_on_commit(struct store *store, commit_listener listener, void *context) {
    store->listeners[store->listener_count].call = listener;
    store->listeners[store->listener_count].context = context;
    store->listener_count++;
}

void store_tell(const struct store *store, uint64_t previous_id, struct frame *const *frames, size_t count) {
    for (size_t i = 0; i < store->listener_count; i++)
        store->listeners[i].call(store->listeners[i].context, previous_id, frames, count);
}

void store_on_break(struct store *store, break_listener listener, void *context) {
    store->break_listeners[store->break_listener_count].call = listener;
    store->break_listeners[store->break_listener_count].context = context;
    store->break_listener_count++;
}

/* Marks are positions in the log. */
void store_tell_break(struct store *store, enum log_break kind, uint64_t head_id) {
    if (kind == LOG_REPLACED)
        marks_clear(&store->marks);
    for (size_t i = 0; i < store->break_listener_count; i++)
        store->break_listeners[i].call(store->break_listeners[i].context, kind, head_id);
}

void store_on_whisper(struct store *store, whisper_listener listener, void *context) {
    store->whisper_listeners[store->whisper_listener_count].call = listener;
    store->whisper_listeners[store->whisper_listener_count].context = context;
    store->whisper_listener_count++;
}

void store_whisper(struct store *store, const struct whisper *whisper) {
    pthread_mutex_lock(&store->whispering);
    bus_whisper(store->bus, whisper);
    pthread_mutex_unlock(&store->whispering);
}

static void hear_whisper(void *context, const struct whisper *whisper) {
    const struct store *store = context;
    for (size_t i = 0; i < store->whisper_listener_count; i++)
        store->whisper_listeners[i].call(store->whisper_listeners[i].context, whisper);
}

void store_on_marks(struct store *store, marks_listener listener, void *context) {
    store->marks_listener.call = listener;
    store->marks_listener.context = context;
}

void store_on_due(struct store *store, due_listener listener, void *context) {
    store->due_listener.call = listener;
    store->due_listener.context = context;
}

static void hear(void *context, const struct envelope *envelope) { follow_hear(((struct store *)context)->follow, envelope); }

static void hearing(void *context, bool on) { follow_hearing(((struct store *)context)->follow, on); }

/* To other nodes: they may be heard before the first commit of this one. */
static enum err connect_nodes(struct store *store) {
    const struct bus_listener listener = { store, hear, hearing, hear_whisper };
    if (!store->db->driver->is_shared)
        return OK;
    enum err err = follow_start(store, &store->follow);
    if (err != OK)
        return err;
    pthread_mutex_lock(&store->whispering);
    err = bus_open(store->config, store->secret, &listener, &store->bus);
    pthread_mutex_unlock(&store->whispering);
    return err;
}

enum err store_start(struct store *store) {
    enum err err = connect_nodes(store);
    if (err != OK)
        return err;
    store->started = pthread_create(&store->thread, NULL, writer_main, store) == 0;
    return store->started ? OK : ERR_NO_MEMORY;
}

/* Its listener may be at work until the end, so nobody else waits for that. */
static void close_bus(struct store *store) {
    pthread_mutex_lock(&store->whispering);
    struct bus *bus = store->bus;
    store->bus = NULL;
    pthread_mutex_unlock(&store->whispering);
    bus_close(bus);
}

void store_stop(struct store *store) {
    pthread_mutex_lock(&store->mutex);
    store->stopping = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    if (store->started)
        pthread_join(store->thread, NULL);
    store->started = false;
    close_bus(store);
    follow_stop(store->follow);
    store->follow = NULL;
}

static enum err admit(const struct store *store, size_t bytes) {
    if (store->stopping)
        return ERR_DRAINING;
    if (store->queued >= (size_t)store->config->queue_max || store->queued_bytes + bytes > LIMIT_QUEUE_BYTES)
        return ERR_OVERLOADED;
    return OK;
}

enum err store_submit(struct store *store, struct command *command) {
    command->next = NULL;
    pthread_mutex_lock(&store->mutex);
    enum err err = admit(store, command->bytes);
    if (err == OK) {
        if (store->last)
            store->last->next = command;
        else
            store->first = command;
        store->last = command;
        store->queued_bytes += command->bytes;
        if (store->queued++ == 0)
            pthread_cond_signal(&store->wake);
    }
    pthread_mutex_unlock(&store->mutex);
    if (err == ERR_OVERLOADED)
        metric_add(COUNTER_COMMANDS_REFUSED_FULL, 1);
    return err;
}

bool store_is_behind(struct store *store) {
    pthread_mutex_lock(&store->mutex);
    bool is_behind = store->queued > (size_t)store->config->queue_max / 2 || store->queued_bytes > LIMIT_QUEUE_BYTES / 2;
    pthread_mutex_unlock(&store->mutex);
    return is_behind;
}

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool done;
};

static void wake_waiter(struct command *command) {
    struct waiter *waiter = command->context;
    pthread_mutex_lock(&waiter->mutex);
    waiter->done = true;
    pthread_cond_signal(&waiter->wake);
    pthread_mutex_unlock(&waiter->mutex);
}

enum err store_run(struct store *store, struct command *command) {
    struct waiter waiter = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    command->done = wake_waiter;
    command->context = &waiter;
    enum err err = store_submit(store, command);
    if (err != OK) {
        command->refusal = (struct refusal){ .err = err };
        return err;
    }
    pthread_mutex_lock(&waiter.mutex);
    while (!waiter.done)
        pthread_cond_wait(&waiter.wake, &waiter.mutex);
    pthread_mutex_unlock(&waiter.mutex);
    return command->refusal.err;
}

static void forget_command(struct command *command) {
    command_release(command);
    free(command);
}

/* A copy of it, for whose end nobody waits. */
static bool submit_and_forget(struct store *store, const struct command *what) {
    struct command *command = malloc(sizeof *command);
    if (!command)
        return false;
    *command = *what;
    command->done = forget_command;
    if (store_submit(store, command) == OK)
        return true;
    free(command);
    return false;
}

bool store_touch_device(struct store *store, uint64_t user_id, uint64_t device_id, int64_t seen_ms) {
    return submit_and_forget(
        store,
        &(struct command){ .type = COMMAND_DEVICE_TOUCH, .actor_id = user_id, .device_id = device_id, .in.device_touch.seen_ms = seen_ms });
}

bool store_touch_user(struct store *store, uint64_t user_id, int64_t active_ms) {
    return submit_and_forget(store,
                             &(struct command){ .type = COMMAND_USER_TOUCH, .actor_id = user_id, .in.user_touch.active_ms = active_ms });
}

/* The writer may sleep until something is due, and does not know of this one. */
static void wake_writer(struct store *store) {
    pthread_mutex_lock(&store->mutex);
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

enum err store_move_mark(struct store *store, const struct mark *mark) {
    bool first = false;
    enum err err = mark->value ? marks_move(&store->marks, mark, clock_monotonic_ms(), &first) : OK;
    if (first)
        wake_writer(store);
    return err;
}

uint64_t store_mark(struct store *store, enum mark_kind kind, uint64_t chat_id, uint64_t owner_id) {
    return marks_value(&store->marks, kind, chat_id, owner_id);
}

int64_t store_touch_interval_ms(const struct config *config) {
    int64_t interval_ms = config->session_idle_ms / 4;
    return interval_ms < TOUCH_INTERVAL_MS ? interval_ms : TOUCH_INTERVAL_MS;
}

uint64_t store_head(const struct store *store) { return atomic_load(&store->head); }

uint64_t store_floor(const struct store *store) { return atomic_load(&store->floor); }

size_t store_waiting(const struct store *store) { return atomic_load(&store->queued); }

bool store_healthy(const struct store *store) { return atomic_load(&store->healthy); }

const uint8_t *store_secret(const struct store *store) { return store->secret; }

uint64_t store_holder(const struct store *store) { return store->place.holder; }
