/* Decisions: pure functions of (state, command, now, random).
 *
 * They accept a command by changing the state, or refuse it and change nothing. No I/O. */
#pragma once

#include "db/state.h"

/* One command in a batch and what it led to. */
struct slot {
    struct command *command;
    struct event_entry *answer;     /* its frame's object is the answer; NULL: none */
    struct message_entry *repeated; /* a message that was there already is the answer */
    uint64_t repeated_id;           /* the result of an idempotency key seen before; 0: none */
    struct invite_entry *invite;    /* USER_CREATE */
    struct stay successor;          /* MEMBER_REMOVE; user_id 0: nobody */
    struct lease_entry *lease;      /* LEASE */
};

/* Asks the state for what the decision will look at. */
void decide_needs(struct state *state, struct slot *slot);
/* After the first load: what the loaded rows refer to, those of idempotency keys seen before among them. */
void decide_needs_of_loaded(struct state *state, struct slot *slot);
/* The id of the user or chat whose lists the command decides on, 0 if none: a batch holds at most one such command per id, because lists are
 * loaded as they were before the batch. */
uint64_t decide_list_key(const struct command *command);
/* Whether it makes a user, a device, a chat or a media: then state->ids is needed. */
bool decide_makes_ids(const struct command *command);
/* Sets command->refusal and, when accepted, command->out (but for frames) and the state. */
void decide_command(struct state *state, struct slot *slot);

/* For the decide_*.c files. */
void refuse(struct command *command, enum err err, const char *field, const char *detail);
/* Appends an event; `owner` is the chat's entry, or NULL for an event of `user_id`. NULL when failed. */
struct event_entry *append_chat_event(struct state *state, struct chat_entry *chat, enum event_type type, uint64_t actor_id,
                                      uint64_t ref_id);
struct event_entry *append_user_event(struct state *state, uint64_t user_id, enum event_type type, uint64_t ref_id);
void chat_changed(struct state *state, struct chat_entry *chat); /* lists it for writing */
/* Body of a thin event out of a buffer, copied into the arena; releases the buffer. */
void event_body(struct state *state, struct event_entry *event, struct buf *body);
/* True when the key was seen before; then the command is refused or slot->repeated_id is set. */
bool key_seen(struct state *state, struct slot *slot);
void key_note(struct state *state, const struct command *command, uint64_t result_id);

void push_bulk(struct state *state, enum bulk_kind kind, uint64_t a, uint64_t b);

/* Whether a MESSAGE_POST may refer to its media; else it is refused. */
bool media_may_attach(struct state *state, struct command *command);
/* Refers the message to them and to their thumbnails, and sets its `attachments`. */
void media_attach(struct state *state, const struct command *command, struct message_entry *message);
/* Takes a message's references away; media that nothing refers to any more begin their grace. After chain_seal(). */
void media_detach(struct state *state, struct message_entry *message);

/* What a member had begun to write in a chat goes with the stay. */
void drop_draft(struct state *state, uint64_t user_id, uint64_t chat_id);

/* Ends a session: its row and tickets go, its user's devices learn why. */
void remove_device(struct state *state, const struct device *device, enum removal reason);

void decide_user_create(struct state *state, struct slot *slot);
void decide_user_update(struct state *state, struct slot *slot);
void decide_password_set(struct state *state, struct slot *slot);
void decide_session_create(struct state *state, struct slot *slot);
void decide_device_remove(struct state *state, struct slot *slot);
void decide_device_touch(struct state *state, struct slot *slot);
void decide_ticket_create(struct state *state, struct slot *slot);
void decide_ticket_use(struct state *state, struct slot *slot);
void decide_invite_create(struct state *state, struct slot *slot);
void decide_chat_create(struct state *state, struct slot *slot);
void decide_chat_update(struct state *state, struct slot *slot);
void decide_chat_delete(struct state *state, struct slot *slot);
void decide_member_put(struct state *state, struct slot *slot);
void decide_member_remove(struct state *state, struct slot *slot);
void decide_message_post(struct state *state, struct slot *slot);
void decide_message_edit(struct state *state, struct slot *slot);
void decide_message_delete(struct state *state, struct slot *slot);
void decide_events_ack(struct state *state, struct slot *slot);
void decide_marks(struct state *state, struct slot *slot);
void decide_settings(struct state *state, struct slot *slot);
void decide_media_create(struct state *state, struct slot *slot);
void decide_media_begin(struct state *state, struct slot *slot);
void decide_media_complete(struct state *state, struct slot *slot);
void decide_media_delete(struct state *state, struct slot *slot);
void decide_media_sign(struct state *state, struct slot *slot);
void decide_media_forget(struct state *state, struct slot *slot);
void decide_lease(struct state *state, struct slot *slot);
