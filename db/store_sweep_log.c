/* The sweep of the log: what is past the server's retention is a prefix of it, which goes row by row; then the floor rises, unless it is higher already,
 * after a restore. Where the last sweep ended is remembered, because MariaDB walks over rows that are deleted until it has purged them. */
#include "core/limits.h"
#include "core/map.h"
#include "db/store_sweep.h"

static const struct query oldest_events = {
    "SELECT id, created_ms, type, owner_id, ref_id, attachments IS NOT NULL, expires_ms, reactions_id IS NOT NULL, edited_ms"
    " FROM event WHERE id > ?1 ORDER BY id LIMIT ?2"
};
static const struct query delete_events = { "DELETE FROM event WHERE id <= ?1" };
static const struct query delete_attachments = { "DELETE FROM attachment WHERE message_id <= ?1 RETURNING media_id" };
static const struct query delete_reactions = { "DELETE FROM reaction WHERE message_id <= ?1" };
static const struct query delete_pins = { "DELETE FROM pin WHERE message_id <= ?1" };
static const struct query delete_hidden = { "DELETE FROM hidden WHERE message_id <= ?1" };
static const struct query delete_revisions = { "DELETE FROM revision WHERE message_id <= ?1" };
static const struct query delete_expiry = { "DELETE FROM expiry WHERE expires_ms = ?1 AND message_id = ?2" };
static const struct query set_floor = { "UPDATE meta SET number = ?1 WHERE name = 'floor' AND number < ?1" };
static const struct query delete_stay = { "DELETE FROM stay WHERE chat_id = ?1 AND user_id = ?2 AND left_id = ?3" };
static const struct query stays_of_chat = { "SELECT chat_id, user_id, joined_id FROM stay WHERE chat_id = ?1 LIMIT ?2" };
static const struct query delete_one_stay = { "DELETE FROM stay WHERE chat_id = ?1 AND user_id = ?2 AND joined_id = ?3" };
static const struct query delete_chat = { "DELETE FROM chat WHERE id = ?1 AND deleted_ms > 0" };

struct expired_event {
    uint64_t id, owner_id, ref_id;
    enum event_type type;
};

struct prefix {
    struct expired_event *events;
    size_t count;
    struct map owners;        /* of them → one of its events */
    struct row_key *expiries; /* of its messages that have a time of their own */
    size_t expiry_count;
    bool attached; /* some of its messages refer to media */
    bool reacted;  /* some of them have, or had, reactions */
    bool edited;   /* some of them may have earlier texts */
};

/* The stays of a deleted chat, of which a channel may have a million; then the chat. `ret_done`: nothing is left of it. */
static enum err forget_chat(struct pass *pass, uint64_t chat_id, bool *ret_done) {
    static const struct taking taking = { .read = &stays_of_chat, .write = &delete_one_stay, .numbers = 3 };
    uint64_t before = pass->command->out.sweep.rows;
    enum err err = pass_take(pass, &taking, chat_id, LIMIT_SWEEP_ROWS);
    *ret_done = pass->command->out.sweep.rows - before < LIMIT_SWEEP_ROWS;
    pass->command->out.sweep.rows = before; /* it is events that are counted */
    return err == OK && *ret_done ? pass_run(pass, &delete_chat, &chat_id, 1) : err;
}

/* An expired end of a stay takes the stay's row with it: nothing of it can be read any more. `ret_done`: so may the event go. */
static enum err forget_stay(struct pass *pass, const struct expired_event *event, bool *ret_done) {
    *ret_done = true;
    if (event->type == EVENT_MEMBER_REMOVED)
        return pass_run(pass, &delete_stay, (uint64_t[]){ event->owner_id, event->ref_id, event->id }, 3);
    if (event->type == EVENT_CHANNEL_LEFT)
        return pass_run(pass, &delete_stay, (uint64_t[]){ event->ref_id, event->owner_id, event->id }, 3);
    return event->type == EVENT_CHAT_DELETED ? forget_chat(pass, event->owner_id, ret_done) : OK;
}

/* The prefix ends before an event whose chat takes another pass. */
static enum err forget_stays(struct pass *pass, struct prefix *prefix) {
    enum err err = OK;
    for (size_t i = 0; err == OK && i < prefix->count; i++) {
        bool done = true;
        err = forget_stay(pass, &prefix->events[i], &done);
        if (!done)
            prefix->count = i;
    }
    uint64_t bound = prefix->count > 0 ? prefix->events[prefix->count - 1].id : 0;
    while (prefix->expiry_count > 0 && prefix->expiries[prefix->expiry_count - 1].numbers[1] > bound)
        prefix->expiry_count--;
    return err;
}

/* More would come, but that is for the next pass. */
static bool is_full(const struct prefix *prefix) {
    return prefix->count == LIMIT_SWEEP_EVENTS || prefix->owners.count == LIMIT_SWEEP_OWNERS;
}

static enum err take_event(struct prefix *prefix, const struct db_driver *driver, struct statement *row) {
    struct expired_event *event = &prefix->events[prefix->count++];
    *event = (struct expired_event){ .id = driver->column_id(row, 0),
                                     .type = (enum event_type)driver->column_id(row, 2),
                                     .owner_id = driver->column_id(row, 3),
                                     .ref_id = driver->column_id(row, 4) };
    prefix->attached = prefix->attached || driver->column_id(row, 5);
    prefix->reacted = prefix->reacted || driver->column_id(row, 7);
    prefix->edited = prefix->edited || driver->column_id(row, 8);
    if (!driver->is_null(row, 6))
        prefix->expiries[prefix->expiry_count++] = (struct row_key){ .numbers = { driver->column_id(row, 6), event->id } };
    return map_put(&prefix->owners, event->owner_id, event);
}

/* Times never go back along the log, so what is expired is a prefix of it. */
static enum err read_prefix(struct pass *pass, int64_t cutoff_ms, struct prefix *prefix) {
    const struct db_driver *driver = pass->db->driver;
    struct statement *statement = db_query(pass->db, &oldest_events);
    driver->bind_id(statement, 1, pass->place->swept_id);
    driver->bind_id(statement, 2, LIMIT_SWEEP_EVENTS);
    enum err err = OK;
    for (bool row; !is_full(prefix) && rows_next(pass->db, statement, &err, &row);) {
        if ((int64_t)driver->column_id(statement, 1) > cutoff_ms)
            break;
        err = take_event(prefix, driver, statement);
    }
    driver->finish(statement);
    return err;
}

/* Nothing may be entered later of events that are gone. */
static enum err forget_entries(struct pass *pass, const struct prefix *prefix, uint64_t bound) {
    size_t cursor = 0;
    enum err err = owner_index_enter(pass->state, pass->db, bound);
    for (const struct expired_event *event; err == OK && (event = map_next(&prefix->owners, &cursor));)
        err = owner_index_forget(pass->state, pass->db, event->owner_id, bound);
    return err;
}

static enum err delete_prefix(struct pass *pass, const struct prefix *prefix) {
    uint64_t bound = prefix->events[prefix->count - 1].id;
    enum err err = OK;
    if (prefix->attached)
        err = release_attachments(pass, &delete_attachments, bound);
    if (err == OK && prefix->reacted)
        err = pass_run(pass, &delete_reactions, &bound, 1);
    if (err == OK && prefix->edited)
        err = pass_run(pass, &delete_revisions, &bound, 1);
    if (err == OK)
        err = pass_run(pass, &delete_pins, &bound, 1);
    if (err == OK)
        err = pass_run(pass, &delete_hidden, &bound, 1);
    if (err == OK)
        err = pass_write(pass, &delete_expiry, prefix->expiries, prefix->expiry_count, 2);
    if (err == OK)
        err = forget_entries(pass, prefix, bound);
    if (err == OK)
        err = pass_run(pass, &delete_events, &bound, 1);
    if (err == OK)
        err = pass_run(pass, &set_floor, &bound, 1);
    if (err != OK)
        return err;
    pass->place->swept_id = bound;
    if (pass->place->floor < bound)
        pass->place->floor = bound;
    return OK;
}

enum err sweep_log(struct pass *pass) {
    int64_t retention_ms = pass->state->config->retention_ms;
    if (retention_ms == CONFIG_FOREVER)
        return OK;
    struct prefix prefix = { .events = state_alloc(pass->state, LIMIT_SWEEP_EVENTS * sizeof *prefix.events),
                             .owners = MAP_INIT,
                             .expiries = state_alloc(pass->state, LIMIT_SWEEP_EVENTS * sizeof *prefix.expiries) };
    if (!prefix.events || !prefix.expiries)
        return ERR_NO_MEMORY;
    enum err err = read_prefix(pass, pass->state->now_ms - retention_ms, &prefix);
    bool is_cut = is_full(&prefix);
    if (err == OK && !pass->dry_run)
        err = forget_stays(pass, &prefix);
    pass->command->out.sweep.rows += prefix.count;
    pass->command->out.sweep.more = pass->command->out.sweep.more || is_cut;
    if (err == OK && prefix.count > 0 && !pass->dry_run)
        err = delete_prefix(pass, &prefix);
    map_release(&prefix.owners);
    return err;
}
