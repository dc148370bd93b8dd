/* The JSON of Parley's objects, and the event frames that streams send. One place for the wire's field names. */
#pragma once

#include <stdatomic.h>

#include "core/buf.h"
#include "db/model.h"

const char *event_type_name(enum event_type type); /* "message.created" */
const char *role_name(enum role role);             /* "owner"; never NULL */
enum role role_parse(const char *name);            /* ROLE_NONE for anything else */
const char *removal_name(enum removal removal);    /* "logged_out" */

/* Each writes one JSON object. */
void render_user(struct buf *buf, const struct user *user);
/* With what only the user may see. */
void render_own_user(struct buf *buf, const struct user *user);
/* `current_device_id` 0 leaves `current` and `last_seen_at` out. */
void render_device(struct buf *buf, const struct device *device, uint64_t current_device_id);
/* `reader_id` and `role` are the reader's; 0 and ROLE_NONE (in events) leave my_role and peer_id out. */
void render_chat(struct buf *buf, const struct chat *chat, uint64_t reader_id, enum role role);
/* The same without the closing brace. */
void render_chat_open(struct buf *buf, const struct chat *chat, uint64_t reader_id, enum role role);
/* {muted_until, archived, pinned_at} */
void render_settings(struct buf *buf, const struct chat_settings *settings);
/* The member `draft`, null without one. */
void render_draft(struct buf *buf, const char *text, size_t size);
void render_stay(struct buf *buf, const struct stay *stay); /* {user_id, role, joined_at} */
/* As those see it who may make links; `token` NULL: without. */
void render_link(struct buf *buf, const struct link *link, const char *token);
/* As those see it who may follow it. */
void render_invitation(struct buf *buf, const struct link *link, const struct chat *chat);
void render_ban(struct buf *buf, const struct ban *ban);         /* {user_id, banned_by, created_at} */
const char *report_category_name(enum report_category category); /* "spam" */
/* As its reporter sees it. */
void render_report(struct buf *buf, const struct report *report);
/* The same without the closing brace. */
void render_report_open(struct buf *buf, const struct report *report);
void render_block(struct buf *buf, const struct block *block);       /* {user_id, blocked_at} */
void render_contact(struct buf *buf, const struct contact *contact); /* {user_id, name, added_at} */
void render_join_request(struct buf *buf, const struct join_request *request);
void render_message(struct buf *buf, const struct message *message);
void render_mention(struct buf *buf, const struct mention *mention); /* {user_id, offset, length} */
/* As its sender sees it until it is sent. */
void render_scheduled(struct buf *buf, const struct scheduled *scheduled);
/* `"reactions":[…],"reactions_rev":N` into an object. */
void render_reactions(struct buf *buf, const struct message *message);
/* As it stands in a message; `thumbnail` NULL: none. */
void render_attachment(struct buf *buf, const struct media *media, const struct media *thumbnail);
/* The same without the closing brace. */
void render_attachment_open(struct buf *buf, const struct media *media, const struct media *thumbnail);
/* As its owner sees it, without the closing brace: who calls goes on with what the storage adds. */
void render_media_open(struct buf *buf, const struct media *media);

/* One event, encoded once for every recipient:
 *     event: TYPE\n   id: ID\n   data: {...}\n   \n
 * Shared between threads by reference count; immutable. */
struct frame {
    _Atomic uint32_t references;
    enum event_type type;
    uint64_t id;
    uint64_t owner_id;
    uint64_t ref_id;
    uint64_t changed_id; /* of the message it shows, else its own id */
    uint32_t size;       /* of bytes */
    uint32_t unnamed;    /* offset where the frame without its `event:` line starts */
    uint32_t object;     /* offset of the message's JSON object (message events only) */
    uint32_t object_size;
    int64_t expires_ms;   /* message events: when the message disappears; 0: not by itself */
    enum removal removal; /* device.removed only */
    uint32_t member_count;
    uint64_t *members; /* chat.created only: the initial members; owned by the frame, else NULL */
    struct frame
        *withheld; /* event_has_withheld() only: the same without content, for those whose stay began after the message; owned, else NULL */
    struct frame *hidden; /* events of direct chats about messages only: the same without content, for hidden_from; owned, else NULL */
    uint64_t hidden_from; /* a member, or BOTH_MEMBERS; 0: nobody */
    char bytes[];
};

/* A new frame with one reference, or NULL when out of memory. */
struct frame *frame_new(const struct event *event) MUST_USE;
/* Gives the frame of an event_has_withheld() its withheld form; false when out of memory. */
bool frame_set_withheld(struct frame *frame, const struct event *event) MUST_USE;
/* Gives the frame of an event about a message the form that event->hidden_from gets; false when out of memory. */
bool frame_set_hidden(struct frame *frame, const struct event *event) MUST_USE;
/* Gives the frame of a chat.created its members (copied); false when out of memory. */
bool frame_set_members(struct frame *frame, const uint64_t *user_ids, size_t count) MUST_USE;
struct frame *frame_hold(struct frame *frame); /* returns its argument */
void frame_drop(struct frame *frame);          /* NULL is fine */
