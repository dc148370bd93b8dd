/* The inbox: what other threads hand to the hub's thread. All of it is under one mutex; an eventfd wakes the hub.
 *
 * Commits waiting here are bounded by LIMIT_RING_BYTES. When one more would not fit, all are forgotten and the inbox says so (`lost`): what they held
 * is in the store, and the hub reads it there. Appending never waits for the hub, so the writer never does. */
#pragma once

#include <pthread.h>

#include "db/whisper.h"
#include "stream/hub.h"

struct replay_job;

/* A new stream; owns the descriptor until a stream or a refusal takes it. */
struct opening {
    struct opening *next;
    uint64_t log_number;           /* the inbox's when it came: its session was good in that log */
    struct stream_request request; /* its head points to `head` */
    char head[];
};

struct commit {
    struct commit *next;
    uint64_t previous_id; /* the log's last id before it */
    size_t bytes;
    size_t count;
    struct frame *frames[]; /* held */
};

struct whisper_note {
    struct whisper_note *next;
    enum whisper_target target;
    uint64_t target_id;
    uint64_t except_user_id; /* 0: nobody */
    uint64_t device_id;      /* 0: all */
    enum counter dropped_as;
    struct frame *frame; /* held */
};

/* A first-in-first-out list of one of the four kinds. */
struct commit_list {
    struct commit *first, *last;
};
struct opening_list {
    struct opening *first, *last;
};
struct page_list {
    struct replay_job *first, *last;
};
struct whisper_list {
    struct whisper_note *first, *last;
};

struct inbox {
    pthread_mutex_t mutex;
    int event_fd; /* readable: something is new */
    /* Under the mutex: */
    bool signalled; /* the eventfd was written and not yet read */
    bool stopping;
    bool lost; /* commits were forgotten; those in the list are newer */
    /* What became of the log since the hub looked; commits in the list are newer than its replacement. */
    struct {
        bool doubted, replaced;
        uint64_t head_id; /* with `replaced` */
    } breaks;
    uint64_t log_number; /* counts its replacements */
    size_t commit_bytes;
    struct commit_list commits;
    struct opening_list openings;
    struct page_list pages;
    struct whisper_list whispers;
    size_t whisper_count; /* at most LIMIT_WHISPERS_WAITING */
};

enum err inbox_init(struct inbox *inbox) MUST_USE;
/* Closes and drops what is left; no other thread may still use the inbox. */
void inbox_release(struct inbox *inbox);

/* Any thread. */
void inbox_add_commit(struct inbox *inbox, uint64_t previous_id, struct frame *const *frames, size_t count);
/* The log was replaced: commits that wait are forgotten. */
void inbox_add_break(struct inbox *inbox, enum log_break kind, uint64_t head_id);
void inbox_add_opening(struct inbox *inbox, const struct stream_request *request);
void inbox_add_page(struct inbox *inbox, struct replay_job *job);
/* `device_id`: only for its streams; 0: for all. False: too many wait, or the hub ends. */
bool inbox_add_whisper(struct inbox *inbox, const struct whisper *whisper, uint64_t device_id) MUST_USE;
void inbox_stop(struct inbox *inbox); /* openings are closed from now on */

/* The hub's thread. What the take functions hand out belongs to the caller. */
void inbox_acknowledge(struct inbox *inbox); /* before taking, when the eventfd is readable */
bool inbox_stopping(struct inbox *inbox);
struct opening *inbox_take_openings(struct inbox *inbox);
struct replay_job *inbox_take_pages(struct inbox *inbox);
/* How much waits to be applied. */
size_t inbox_commit_bytes(struct inbox *inbox);
/* The oldest, at most LIMIT_TURN_WHISPERS; `ret_more`: there are others. */
struct whisper_note *inbox_take_whispers(struct inbox *inbox, bool *ret_more);
/* What became of the log; false: nothing. Of several what weighs most. `ret_log_number`: openings with another one came before or after it. */
bool inbox_take_break(struct inbox *inbox, enum log_break *ret_kind, uint64_t *ret_head_id, uint64_t *ret_log_number);
/* None while the replacement of the log has not been taken. The oldest commits, as long as they have no more than LIMIT_TICK_FRAMES frames together (but at least one). `ret_lost`: the ones before were forgotten. */
struct commit *inbox_take_commits(struct inbox *inbox, bool *ret_lost);

void commit_free(struct commit *commit); /* drops its frames */
void whisper_note_free(struct whisper_note *note);
void opening_free(struct opening *opening); /* does not close the descriptor */
