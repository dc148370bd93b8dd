/* The hub's inbox. See inbox.h. */
#include "stream/inbox.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/limits.h"
#include "stream/replay.h"

/* `list` and `item` of the four kinds have the same member names. */
#define LIST_PUSH(list, item)            \
    do {                                 \
        (item)->next = NULL;             \
        if ((list)->last != NULL)        \
            (list)->last->next = (item); \
        else                             \
            (list)->first = (item);      \
        (list)->last = (item);           \
    } while (0)

enum err inbox_init(struct inbox *inbox) {
    *inbox = (struct inbox){ .event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
    if (inbox->event_fd < 0)
        return ERR_IO;
    pthread_mutex_init(&inbox->mutex, NULL);
    return OK;
}

void commit_free(struct commit *commit) {
    for (size_t i = 0; i < commit->count; i++)
        frame_drop(commit->frames[i]);
    free(commit);
}

void opening_free(struct opening *opening) { free(opening); }

static void free_commits(struct commit *commit) {
    while (commit != NULL) {
        struct commit *next = commit->next;
        commit_free(commit);
        commit = next;
    }
}

static void close_openings(struct opening *opening) {
    while (opening != NULL) {
        struct opening *next = opening->next;
        close(opening->request.fd);
        opening_free(opening);
        opening = next;
    }
}

void whisper_note_free(struct whisper_note *note) {
    if (note == NULL)
        return;
    frame_drop(note->frame);
    free(note);
}

static void free_whispers(struct whisper_note *note) {
    while (note != NULL) {
        struct whisper_note *next = note->next;
        whisper_note_free(note);
        note = next;
    }
}

void inbox_release(struct inbox *inbox) {
    if (inbox->event_fd < 0)
        return;
    free_commits(inbox->commits.first);
    close_openings(inbox->openings.first);
    free_whispers(inbox->whispers.first);
    close(inbox->event_fd);
    pthread_mutex_destroy(&inbox->mutex);
}

/* One write wakes the hub however much follows before it looks. */
static void signal_locked(struct inbox *inbox) {
    if (inbox->signalled)
        return;
    inbox->signalled = true;
    (void)!write(inbox->event_fd, &(uint64_t){ 1 }, sizeof(uint64_t)); /* cannot be full: it is read before it is written again */
}

/* ---- Commits ---- */

static struct commit *commit_new(uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct commit *commit = malloc(sizeof(*commit) + count * sizeof(struct frame *));
    if (commit == NULL)
        return NULL;
    *commit = (struct commit){ .previous_id = previous_id, .bytes = sizeof(*commit), .count = count };
    for (size_t i = 0; i < count; i++) {
        commit->frames[i] = frame_hold(frames[i]);
        commit->bytes += sizeof(**frames) + frames[i]->size;
    }
    return commit;
}

/* Forgets all that wait; returns them to be freed outside the mutex. */
static struct commit *lose_commits_locked(struct inbox *inbox) {
    struct commit *forgotten = inbox->commits.first;
    inbox->commits = (struct commit_list){ NULL, NULL };
    inbox->commit_bytes = 0;
    inbox->lost = true;
    return forgotten;
}

void inbox_add_commit(struct inbox *inbox, uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct commit *commit = commit_new(previous_id, frames, count);
    struct commit *forgotten = NULL;

    pthread_mutex_lock(&inbox->mutex);
    if (commit == NULL || inbox->commit_bytes + commit->bytes > LIMIT_RING_BYTES) {
        forgotten = lose_commits_locked(inbox);
    } else {
        LIST_PUSH(&inbox->commits, commit);
        inbox->commit_bytes += commit->bytes;
        commit = NULL;
    }
    signal_locked(inbox);
    pthread_mutex_unlock(&inbox->mutex);

    free_commits(commit);
    free_commits(forgotten);
}

void inbox_add_break(struct inbox *inbox, enum log_break kind, uint64_t head_id) {
    struct commit *forgotten = NULL;
    pthread_mutex_lock(&inbox->mutex);
    inbox->breaks.doubted = true;
    if (kind == LOG_REPLACED) {
        forgotten = lose_commits_locked(inbox);
        inbox->lost = false;
        inbox->breaks.replaced = true;
        inbox->breaks.head_id = head_id;
        inbox->log_number++;
    }
    signal_locked(inbox);
    pthread_mutex_unlock(&inbox->mutex);
    free_commits(forgotten);
}

bool inbox_take_break(struct inbox *inbox, enum log_break *ret_kind, uint64_t *ret_head_id, uint64_t *ret_log_number) {
    pthread_mutex_lock(&inbox->mutex);
    bool is_there = inbox->breaks.doubted;
    if (is_there) {
        *ret_kind = inbox->breaks.replaced ? LOG_REPLACED : LOG_DOUBTED;
        *ret_head_id = inbox->breaks.head_id;
        *ret_log_number = inbox->log_number;
    }
    inbox->breaks.doubted = inbox->breaks.replaced = false;
    pthread_mutex_unlock(&inbox->mutex);
    return is_there;
}

/* Cuts the list behind the commits that may be taken together. */
static struct commit *cut_commits_locked(struct inbox *inbox) {
    struct commit *first = inbox->commits.first, *last = NULL;
    size_t frames = 0;
    for (struct commit *commit = first; commit != NULL && (last == NULL || frames + commit->count <= LIMIT_TICK_FRAMES);
         commit = commit->next) {
        frames += commit->count;
        inbox->commit_bytes -= commit->bytes;
        last = commit;
    }
    if (last == NULL)
        return NULL;
    inbox->commits.first = last->next;
    if (last->next == NULL)
        inbox->commits.last = NULL;
    last->next = NULL;
    return first;
}

struct commit *inbox_take_commits(struct inbox *inbox, bool *ret_lost) {
    pthread_mutex_lock(&inbox->mutex);
    bool is_stale = inbox->breaks.replaced;
    struct commit *commits = is_stale ? NULL : cut_commits_locked(inbox);
    *ret_lost = !is_stale && inbox->lost;
    inbox->lost = is_stale && inbox->lost;
    pthread_mutex_unlock(&inbox->mutex);
    return commits;
}

size_t inbox_commit_bytes(struct inbox *inbox) {
    pthread_mutex_lock(&inbox->mutex);
    size_t bytes = inbox->commit_bytes;
    pthread_mutex_unlock(&inbox->mutex);
    return bytes;
}

/* ---- Openings, pages, stopping ---- */

static struct opening *opening_new(const struct stream_request *request) {
    struct opening *opening = malloc(sizeof(*opening) + request->head_size);
    if (opening == NULL)
        return NULL;
    opening->request = *request;
    opening->request.head = opening->head;
    memcpy(opening->head, request->head, request->head_size);
    return opening;
}

void inbox_add_opening(struct inbox *inbox, const struct stream_request *request) {
    struct opening *opening = opening_new(request);

    pthread_mutex_lock(&inbox->mutex);
    bool taken = opening != NULL && !inbox->stopping;
    if (taken) {
        opening->log_number = inbox->log_number;
        LIST_PUSH(&inbox->openings, opening);
        signal_locked(inbox);
    }
    pthread_mutex_unlock(&inbox->mutex);

    if (!taken) {
        close(request->fd);
        free(opening);
    }
}

struct opening *inbox_take_openings(struct inbox *inbox) {
    pthread_mutex_lock(&inbox->mutex);
    struct opening *openings = inbox->openings.first;
    inbox->openings = (struct opening_list){ NULL, NULL };
    pthread_mutex_unlock(&inbox->mutex);
    return openings;
}

void inbox_add_page(struct inbox *inbox, struct replay_job *job) {
    pthread_mutex_lock(&inbox->mutex);
    LIST_PUSH(&inbox->pages, job);
    signal_locked(inbox);
    pthread_mutex_unlock(&inbox->mutex);
}

struct replay_job *inbox_take_pages(struct inbox *inbox) {
    pthread_mutex_lock(&inbox->mutex);
    struct replay_job *jobs = inbox->pages.first;
    inbox->pages = (struct page_list){ NULL, NULL };
    pthread_mutex_unlock(&inbox->mutex);
    return jobs;
}

/* ---- Whispers ---- */

static struct whisper_note *whisper_note_new(const struct whisper *whisper, uint64_t device_id) {
    struct whisper_note *note = malloc(sizeof(*note));
    struct frame *frame = note != NULL ? whisper_frame(whisper) : NULL;
    if (frame == NULL) {
        free(note);
        return NULL;
    }
    *note = (struct whisper_note){ .target = whisper->target,
                                   .target_id = whisper->target_id,
                                   .except_user_id = whisper->except_user_id,
                                   .device_id = device_id,
                                   .dropped_as = whisper_drop_counter(whisper->type),
                                   .frame = frame };
    return note;
}

bool inbox_add_whisper(struct inbox *inbox, const struct whisper *whisper, uint64_t device_id) {
    struct whisper_note *note = whisper_note_new(whisper, device_id);
    pthread_mutex_lock(&inbox->mutex);
    bool taken = note != NULL && !inbox->stopping && inbox->whisper_count < LIMIT_WHISPERS_WAITING;
    if (taken) {
        LIST_PUSH(&inbox->whispers, note);
        inbox->whisper_count++;
        signal_locked(inbox);
    }
    pthread_mutex_unlock(&inbox->mutex);
    if (!taken)
        whisper_note_free(note);
    return taken;
}

struct whisper_note *inbox_take_whispers(struct inbox *inbox, bool *ret_more) {
    pthread_mutex_lock(&inbox->mutex);
    struct whisper_note *first = inbox->whispers.first, *last = NULL;
    for (size_t i = 0; i < LIMIT_TURN_WHISPERS && (last == NULL ? first : last->next) != NULL; i++) {
        last = last == NULL ? first : last->next;
        inbox->whisper_count--;
    }
    inbox->whispers.first = last != NULL ? last->next : NULL;
    if (inbox->whispers.first == NULL)
        inbox->whispers.last = NULL;
    if (last != NULL)
        last->next = NULL;
    *ret_more = inbox->whispers.first != NULL;
    pthread_mutex_unlock(&inbox->mutex);
    return first;
}

void inbox_stop(struct inbox *inbox) {
    pthread_mutex_lock(&inbox->mutex);
    inbox->stopping = true;
    signal_locked(inbox);
    pthread_mutex_unlock(&inbox->mutex);
}

bool inbox_stopping(struct inbox *inbox) {
    pthread_mutex_lock(&inbox->mutex);
    bool stopping = inbox->stopping;
    pthread_mutex_unlock(&inbox->mutex);
    return stopping;
}

void inbox_acknowledge(struct inbox *inbox) {
    uint64_t count;
    pthread_mutex_lock(&inbox->mutex);
    (void)!read(inbox->event_fd, &count, sizeof(count));
    inbox->signalled = false;
    pthread_mutex_unlock(&inbox->mutex);
}
