/* Owns the table of sweeps, and those that the store does by itself. */
#include "jobs/sweeps.h"

#include "core/clock.h"

static enum err run_sweep(struct sweeping *sweeping, struct command *command, struct cleanup_step *step) {
    int64_t started_us = clock_monotonic_us();
    enum err err = store_run(sweeping->target->store, command);
    if (err == OK) {
        step->writer_us = clock_monotonic_us() - started_us;
        step->rows = command->out.sweep.rows;
        step->overdue_ms = command->out.sweep.overdue_ms;
        step->more = command->out.sweep.more;
    }
    command_release(command);
    return err;
}

static enum err sweep_rows(struct sweeping *sweeping, enum sweep_kind kind, struct cleanup_step *step) {
    struct command command = { .type = COMMAND_SWEEP, .in.sweep = { .kind = kind, .dry_run = sweeping->dry_run } };
    return run_sweep(sweeping, &command, step);
}

const struct sweep sweeps[SWEEP_COUNT] = {
    { "log", sweep_rows, SWEEP_LOG },          { "expired", sweep_rows, SWEEP_EXPIRED },   { "delivered", sweep_rows, SWEEP_DELIVERED },
    { "chats", sweep_rows, SWEEP_CHATS },      { "media", sweep_rows, SWEEP_MEDIA },       { "objects", sweep_objects, SWEEP_KINDS },
    { "uploads", sweep_uploads, SWEEP_KINDS }, { "sessions", sweep_rows, SWEEP_SESSIONS }, { "tickets", sweep_rows, SWEEP_TICKETS },
    { "invites", sweep_rows, SWEEP_INVITES },  { "links", sweep_rows, SWEEP_LINKS },       { "keys", sweep_rows, SWEEP_KEYS },
    { "reports", sweep_rows, SWEEP_REPORTS },
};

enum err sweeps_finish(struct sweeping *sweeping, bool *ret_again) {
    struct command command = { .type = COMMAND_SWEEP, .in.sweep = { .kind = SWEEP_KEYS, .last = true, .patient = sweeping->patient } };
    struct cleanup_step step;
    enum err err = run_sweep(sweeping, &command, &step);
    if (err == OK)
        *ret_again = command.out.sweep.truncating;
    return err;
}
