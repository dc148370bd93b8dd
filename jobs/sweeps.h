/* The sweeps of a cleanup, for jobs/ only: what is taken away, in which order. Each step is bounded, and safe to repeat after a crash at any point of it. */
#pragma once

#include "jobs/cleanup.h"

/* What the steps of one run share. */
struct sweeping {
    const struct cleanup_target *target;
    struct reader *reader;
    bool dry_run;
    bool patient;                 /* the write-ahead log may be truncated by a later run */
    bool checks_uploads;          /* the listing of uploads is not at its end yet */
    struct upload_cursor uploads; /* where it goes on */
};

struct sweep {
    const char *name;
    /* Fills in the step but for its name; on failure with what was done before it. */
    enum err (*step)(struct sweeping *sweeping, enum sweep_kind kind, struct cleanup_step *step);
    enum sweep_kind kind; /* of those that the store does */
};

/* Messages before the media that they held, and media before its objects: what a sweep finds is what those before it have left. */
#define SWEEP_COUNT (SWEEP_KINDS + 2)
extern const struct sweep sweeps[SWEEP_COUNT];

/* Tells the store that the run is over, so that nothing of what was deleted stays in the write-ahead log, or not for long. `ret_again`: it is at it; call again. */
enum err sweeps_finish(struct sweeping *sweeping, bool *ret_again) MUST_USE;

/* Deletes objects of doomed media, aborts their uploads, and then forgets their rows. */
enum err sweep_objects(struct sweeping *sweeping, enum sweep_kind kind, struct cleanup_step *step) MUST_USE;
/* Aborts multipart uploads that no row knows. */
enum err sweep_uploads(struct sweeping *sweeping, enum sweep_kind kind, struct cleanup_step *step) MUST_USE;
