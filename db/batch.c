/* See batch.h. */
#include "db/batch.h"

#include <string.h>

#include "core/clock.h"
#include "core/random.h"

/* ---- Its life ---- */

/* A command may be decided a second time when its batch was rolled back. */
static void forget_outcome(struct slot *slot) {
    command_release(slot->command);
    memset(&slot->command->out, 0, sizeof slot->command->out);
    slot->command->refusal = (struct refusal){ .err = OK };
    *slot = (struct slot){ .command = slot->command };
}

void batch_forget(struct batch *batch) {
    for (size_t i = 0; i < batch->count; i++)
        forget_outcome(&batch->slots[i]);
}

/* Times never go back along the log. */
static void set_time(struct batch *batch, int64_t last_ms) {
    int64_t now_ms = clock_now_ms();
    batch->state.now_ms = now_ms > last_ms ? now_ms : last_ms;
}

/* While a batch is being written its rows point into the cache. */
void batch_start(struct batch *batch, struct store *store, const struct batch *before) {
    if (!before)
        cache_trim(&store->cache);
    arena_init(&batch->arena, LIMIT_BATCH_ARENA_BYTES);
    state_init(&batch->state, &batch->arena, store->config, &store->cache, &store->keys, &store->owner_index, &store->place.ids);
    set_time(batch, before ? before->state.now_ms : store->last_ms);
    batch->state.before = before ? &before->state : NULL;
    batch->previous_id = before ? before->state.last_id : store->last_id;
    batch->state.last_id = batch->previous_id;
    batch->state.tag = (uint16_t)random_u64();
    if (store->db->driver->is_shared)
        random_bytes(batch->tag, sizeof batch->tag);
    batch->place = (struct sweep_place){ store_floor(store), store->delivery_chat_id, store->swept_id };
    batch->decided = 0;
    batch->kept = false;
    batch->started = true;
    batch_forget(batch);
}

void batch_stop(struct batch *batch) {
    if (!batch->started)
        return;
    state_release(&batch->state);
    arena_release(&batch->arena);
    batch->started = false;
}

/* ---- Loading ---- */

static enum err load_invite(struct batch *batch, struct db *db, struct slot *slot) {
    slot->invite = state_alloc(&batch->state, sizeof *slot->invite);
    if (!slot->invite)
        return ERR_NO_MEMORY;
    slot->invite->invite = slot->command->in.user_create.invite;
    return state_load_invite(&batch->state, db, slot->invite);
}

static enum err load_lease(struct batch *batch, struct db *db, struct slot *slot) {
    slot->lease = state_alloc(&batch->state, sizeof *slot->lease);
    if (!slot->lease)
        return ERR_NO_MEMORY;
    slot->lease->name = slot->command->in.lease.name;
    return state_load_lease(&batch->state, db, slot->lease);
}

static enum err load_reports(struct batch *batch, struct db *db, struct slot *slot) {
    const struct command *command = slot->command;
    uint64_t report_id = command->type == COMMAND_REPORT_CLOSE ? command->in.report_close.report_id : 0;
    slot->reporting = state_alloc(&batch->state, sizeof *slot->reporting);
    return slot->reporting ? state_load_reports(&batch->state, db, command->actor_id, report_id, slot->reporting) : ERR_NO_MEMORY;
}

static enum err load_successor(struct batch *batch, struct db *db, struct slot *slot) {
    uint64_t chat_id = slot->command->in.member_remove.chat_id, user_id = slot->command->in.member_remove.user_id;
    const struct chat_entry *chat = state_chat(&batch->state, chat_id);
    const struct stay_entry *leaving = state_stay(&batch->state, chat_id, user_id);
    if (!chat || !leaving)
        return ERR_NO_MEMORY;
    return needs_successor(chat, leaving) ? state_load_successor(&batch->state, db, &chat->chat, user_id, &slot->successor) : OK;
}

/* What cannot be loaded as a set; all are rare. */
static enum err load_singles(struct batch *batch, struct db *db) {
    enum err err = OK;
    for (size_t i = batch->decided; err == OK && i < batch->count; i++) {
        struct slot *slot = &batch->slots[i];
        const struct command *command = slot->command;
        if (command->type == COMMAND_MEMBER_REMOVE)
            err = load_successor(batch, db, slot);
        if (command->type == COMMAND_USER_CREATE && command->in.user_create.invite)
            err = load_invite(batch, db, slot);
        if (command->type == COMMAND_LEASE)
            err = load_lease(batch, db, slot);
        if (command->type == COMMAND_REPORT_CREATE || command->type == COMMAND_REPORT_CLOSE)
            err = load_reports(batch, db, slot);
    }
    return err;
}

static void ask(struct batch *batch, void (*needs)(struct state *state, struct slot *slot)) {
    for (size_t i = batch->decided; i < batch->count; i++)
        needs(&batch->state, &batch->slots[i]);
}

/* The memory of all keys is asked for before the first of them is waited for. */
static void ask_first(struct batch *batch) {
    for (size_t i = batch->decided; i < batch->count; i++) {
        const struct command *command = batch->slots[i].command;
        if (command->idempotency.given)
            keys_prefetch(batch->state.keys, command->actor_id, command->idempotency.key);
    }
    ask(batch, decide_needs);
}

static enum err load(struct batch *batch, struct db *db) {
    struct command *first = batch->slots[0].command;
    if (batch->decided == batch->count)
        return OK;
    if (first->type == COMMAND_SWEEP)
        return sweep(&batch->state, db, first, &batch->place);
    ask_first(batch);
    enum err err = state_load(&batch->state, db);
    if (err != OK)
        return err;
    ask(batch, decide_needs_of_loaded);
    err = state_load(&batch->state, db);
    return err == OK ? load_singles(batch, db) : err;
}

/* ---- Deciding ---- */

/* Without a number for them, those that would make ids are refused. */
static enum err take_place(struct store *store, struct batch *batch) {
    bool makes_ids = false;
    for (size_t i = batch->decided; i < batch->count; i++)
        makes_ids = makes_ids || decide_makes_ids(batch->slots[i].command);
    enum err err = makes_ids ? place_take(&store->place, store->db, batch->state.now_ms) : OK;
    if (err != ERR_OVERLOADED)
        return err;
    batch->state.ids = NULL;
    return OK;
}

static enum err decide(struct batch *batch) {
    for (; batch->decided < batch->count; batch->decided++)
        decide_command(&batch->state, &batch->slots[batch->decided]);
    return batch->state.failed ? ERR_NO_MEMORY : OK;
}

static bool make_frame(struct event_entry *entry) {
    entry->frame = frame_new(&entry->event);
    bool whole = entry->frame;
    if (whole && event_has_withheld(entry->event.type))
        whole = frame_set_withheld(entry->frame, &entry->event);
    if (whole && entry->event.hidden_from)
        whole = frame_set_hidden(entry->frame, &entry->event);
    if (whole && entry->members)
        whole = frame_set_members(entry->frame, entry->members, entry->member_count);
    return whole;
}

/* Of those that have none yet. */
static enum err make_frames(struct batch *batch) {
    const struct vec *events = &batch->state.events;
    for (size_t i = 0; !batch->state.failed && i < events->count; i++) {
        struct event_entry *entry = events->items[i];
        batch->state.failed = !entry->frame && !make_frame(entry);
    }
    return batch->state.failed ? ERR_NO_MEMORY : OK;
}

static enum err list_frames(struct batch *batch) {
    const struct vec *events = &batch->state.events;
    batch->frames = arena_alloc(&batch->arena, (events->count + 1) * sizeof(struct frame *));
    for (size_t i = 0; batch->frames && i < events->count; i++)
        batch->frames[i] = ((struct event_entry *)events->items[i])->frame;
    return batch->frames ? OK : ERR_NO_MEMORY;
}

static enum err answer_with_frame(struct slot *slot) {
    if (slot->answer) {
        slot->command->out.frame = frame_hold(slot->answer->frame);
    } else if (slot->repeated) {
        const struct message *message = &slot->repeated->message;
        slot->command->out.id = message->id;
        slot->command->out.frame = frame_new(
            &(struct event){ .id = message->id, .type = EVENT_MESSAGE_CREATED, .owner_id = message->chat_id, .message = *message });
        return slot->command->out.frame ? OK : ERR_NO_MEMORY;
    }
    return buf_ok(&slot->command->out.json) ? OK : ERR_NO_MEMORY;
}

static enum err make_answers(struct batch *batch) {
    enum err err = make_frames(batch);
    if (err == OK)
        err = list_frames(batch);
    for (size_t i = 0; err == OK && i < batch->count; i++)
        err = answer_with_frame(&batch->slots[i]);
    return err;
}

/* What deciding itself asked for is new, and not to be loaded. */
bool batch_decide_ahead(struct batch *batch) {
    ask_first(batch);
    if (!state_needs_nothing(&batch->state))
        return false;
    ask(batch, decide_needs_of_loaded);
    if (!state_needs_nothing(&batch->state))
        return false;
    enum err err = decide(batch);
    if (err == OK)
        err = make_frames(batch);
    state_forget_needs(&batch->state);
    return err == OK;
}

enum err batch_decide(struct batch *batch, struct store *store) {
    batch->state.before = NULL;
    set_time(batch, batch->state.now_ms);
    enum err err = load(batch, store->db);
    if (err == OK)
        err = take_place(store, batch);
    if (err == OK)
        err = decide(batch);
    return err == OK ? make_answers(batch) : err;
}
