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
    struct reporting *reporting;    /* REPORT_CREATE and REPORT_CLOSE */
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
void stay_changed(struct state *state, struct stay_entry *stay);
/* Body of a thin event out of a buffer, copied into the arena; releases the buffer. */
void event_body(struct state *state, struct event_entry *event, struct buf *body);
/* True when the key was seen before; then the command is refused or slot->repeated_id is set. */
bool key_seen(struct state *state, struct slot *slot);
void key_note(struct state *state, const struct command *command, uint64_t result_id);

void push_bulk(struct state *state, enum bulk_kind kind, uint64_t a, uint64_t b);

/* Whether a message is past the server's retention, which hides at once what the cleanup has not taken yet; or that, or past its own time. */
bool message_is_past_retention(const struct state *state, const struct message *message);
bool message_is_over(const struct state *state, const struct message *message);
/* Whether it is a message of the chat that whoever has the stay there can see, as far as the stay goes. */
bool message_is_in_view(const struct chat_entry *chat, const struct stay_entry *stay, const struct message_entry *message);

/* The message to change, when the actor is in its chat and joined before it or the chat shows its history; else NULL, and refused. */
struct message_entry *message_find(struct state *state, struct command *command, uint64_t chat_id, uint64_t message_id,
                                   struct chat_entry **ret_chat, struct stay_entry **ret_stay);

/* The same, of one that is not hidden from the actor; whether it is was asked for (state_hidden). */
struct message_entry *message_find_shown(struct state *state, struct command *command, uint64_t chat_id, uint64_t message_id,
                                         struct chat_entry **ret_chat, struct stay_entry **ret_stay);

/* db/decide_reference.c: what a message refers to. */
/* Whether a MESSAGE_POST may refer to what it names; else it is refused. */
bool references_fit(struct state *state, struct command *command);
/* Gives a new message what it refers to: the message it answers, those whom it mentions, what it forwards. */
void references_set(struct state *state, const struct command *command, struct message_entry *message);
/* Those of an edit, instead of those before. */
bool mentions_fit(struct state *state, struct command *command, uint64_t chat_id, const struct mention *mentions, size_t count);
void mentions_set(struct state *state, uint64_t actor_id, const struct mention *mentions, size_t count, struct message_entry *message);

/* Whether a MESSAGE_POST may refer to its media; else it is refused. */
bool media_may_attach(struct state *state, struct command *command);
/* Refers the message to them and to their thumbnails, and sets its `attachments`. */
void media_attach(struct state *state, const struct command *command, struct message_entry *message);
/* Refers the message to all that another one, whose media were loaded, is referred to. */
void media_share(struct state *state, const struct message_entry *from, struct message_entry *message);
/* Takes a message's references away; media that nothing refers to any more begin their grace. After chain_seal(). */
void media_detach(struct state *state, struct message_entry *message);

/* Groups. The chat and the actor's stay in it; refuses and returns false when the actor is not a member, and where the chat is a direct one. */
bool enter_group(struct state *state, struct command *command, uint64_t chat_id, struct chat_entry **ret_chat,
                 struct stay_entry **ret_stay);
/* Whether somebody may add members of that role. */
bool may_add(const struct chat *chat, const struct stay *actor, enum role role);
/* Makes a member of somebody who is none, with the event; a request to join is answered by that. NULL: refused, or failed. */
struct stay_entry *join_chat(struct state *state, struct command *command, struct chat_entry *chat, uint64_t user_id, enum role role);
/* Whether the user may not become a member; then the command is refused. */
bool is_banned(struct state *state, struct command *command, const struct chat_entry *chat, uint64_t user_id);
/* Whether the actor ranks above the member, or is the member. */
bool may_remove(const struct command *command, const struct stay_entry *actor, const struct stay_entry *member);
/* Whether the chat would be left without an owner by that member. */
bool needs_successor(const struct chat_entry *chat, const struct stay_entry *leaving);
/* Ends a member's stay, with the event. A chat that is left without an owner is the caller's care. */
void leave_chat(struct state *state, struct chat_entry *chat, struct stay_entry *member, uint64_t actor_id);
/* The answer is the chat as the actor sees it. */
void render_own(struct command *command, const struct chat_entry *chat, enum role role);
/* Takes a user's request to join back, if there is one. */
void drop_request(struct state *state, struct chat_entry *chat, uint64_t user_id);

/* db/decide_channel.c */
/* The event that begins or ends the stay of a user who follows the channel; `actor_id`: who ended it. NULL when failed. */
struct event_entry *begin_following(struct state *state, struct chat_entry *chat, uint64_t user_id);
struct event_entry *end_following(struct state *state, struct chat_entry *chat, uint64_t user_id, uint64_t actor_id);
/* Whether a MEMBER_PUT is of somebody who wants to follow a public channel; and that. */
bool may_follow(struct state *state, const struct command *command);
void follow(struct state *state, struct command *command);
/* Whether a channel can have what a CHAT_UPDATE asks for; else it is refused. */
bool channel_takes(struct command *command);

/* db/decide_people.c */
/* Whether the user has blocked the actor, who is to learn no more than that there were no such user. */
bool is_blocked_by(struct state *state, const struct command *command, uint64_t user_id);
/* A new direct chat of users of whom one may have blocked the other. */
void set_blockers(struct state *state, struct chat_entry *chat);
/* Hides what a message event shows from the other member of a direct chat: for good when that one has blocked the sender, who has said something new;
 * and where it is hidden already. */
void hide_from_blocker(struct state *state, const struct chat_entry *chat, struct event_entry *event, bool says_more);

/* Whether the actor may make the media an avatar; else the command is refused. */
bool may_show_avatar(struct state *state, struct command *command, uint64_t media_id);
/* Makes it the chat's avatar, in place of the one that was; 0: none. */
void show_avatar(struct state *state, struct chat_entry *chat, uint64_t media_id);

/* The chat, when the actor is a member of it now; else refuses and returns NULL. */
struct chat_entry *enter_chat(struct state *state, struct command *command, uint64_t chat_id, struct stay_entry **ret_stay);
/* Whether the actor may post what the command says there, now; else it is refused. */
bool may_post_now(struct state *state, struct command *command, const struct chat_entry *chat, const struct stay_entry *stay);
/* Posts it: the command's out.id and the slot's answer. */
void post_message(struct state *state, struct slot *slot, struct chat_entry *chat, struct stay_entry *stay);

/* What members have scheduled goes with their stays, and with the chat. */
void void_scheduled(struct state *state, uint64_t user_id, uint64_t chat_id);
void void_scheduled_of_chat(struct state *state, uint64_t chat_id);

/* What a member had begun to write in a chat goes with the stay. */
void drop_draft(struct state *state, uint64_t user_id, uint64_t chat_id);

/* Ends a session: its row and tickets go, its user's devices learn why. */
void remove_device(struct state *state, const struct device *device, enum removal reason);

void decide_user_create(struct state *state, struct slot *slot);
void decide_user_update(struct state *state, struct slot *slot);
void decide_password_set(struct state *state, struct slot *slot);
void decide_session_create(struct state *state, struct slot *slot);
void decide_device_remove(struct state *state, struct slot *slot);
void decide_user_touch(struct state *state, struct slot *slot);
void decide_device_touch(struct state *state, struct slot *slot);
void decide_ticket_create(struct state *state, struct slot *slot);
void decide_ticket_use(struct state *state, struct slot *slot);
void decide_invite_create(struct state *state, struct slot *slot);
void decide_chat_create(struct state *state, struct slot *slot);
void decide_chat_update(struct state *state, struct slot *slot);
void decide_chat_delete(struct state *state, struct slot *slot);
void decide_member_put(struct state *state, struct slot *slot);
void decide_member_remove(struct state *state, struct slot *slot);
void decide_followers_add(struct state *state, struct slot *slot);
void decide_link_create(struct state *state, struct slot *slot);
void decide_link_revoke(struct state *state, struct slot *slot);
void decide_link_join(struct state *state, struct slot *slot);
void decide_join_answer(struct state *state, struct slot *slot);
void decide_ban_put(struct state *state, struct slot *slot);
void decide_ban_remove(struct state *state, struct slot *slot);
void decide_block_put(struct state *state, struct slot *slot);
void decide_block_remove(struct state *state, struct slot *slot);
void decide_contact_put(struct state *state, struct slot *slot);
void decide_contact_remove(struct state *state, struct slot *slot);
void decide_message_post(struct state *state, struct slot *slot);
void decide_message_edit(struct state *state, struct slot *slot);
void decide_message_delete(struct state *state, struct slot *slot);
void decide_message_react(struct state *state, struct slot *slot);
void decide_message_pin(struct state *state, struct slot *slot);
void decide_message_hide(struct state *state, struct slot *slot);
void decide_schedule_create(struct state *state, struct slot *slot);
void decide_schedule_delete(struct state *state, struct slot *slot);
void decide_schedule_send(struct state *state, struct slot *slot);
void decide_report_create(struct state *state, struct slot *slot);
void decide_report_close(struct state *state, struct slot *slot);
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
