/* What Parley keeps: users, devices, chats, stays of members, and the events of the log.
 *
 * Plain values. Strings are borrowed (from an arena, a command or a statement, as the function that fills the struct says), NUL-terminated,
 * and NULL when absent. Times are milliseconds since 1970-01-01 UTC; 0 means "not". Ids: core/id.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/crypto.h"

enum role { ROLE_NONE = 0, ROLE_MEMBER = 1, ROLE_ADMIN = 2, ROLE_OWNER = 3 };
/* A channel has followers, as many as come: members who read, react and otherwise only listen (db/decide_channel.c). */
enum chat_type { CHAT_DIRECT = 1, CHAT_GROUP = 2, CHAT_CHANNEL = 3 };
/* What a member may read of the time before joining. */
enum chat_history { HISTORY_FROM_JOIN = 0, HISTORY_ALL = 1 };

/* What members may do in a group; admins and owners always may. */
enum permission {
    MEMBERS_POST = 1,
    MEMBERS_ADD = 2,  /* other members, and make invitation links */
    MEMBERS_EDIT = 4, /* what the chat shows of itself: title, description and avatar */
};
#define PERMISSIONS_DEFAULT MEMBERS_POST

enum event_type {
    EVENT_MESSAGE_CREATED = 1,
    EVENT_MESSAGE_EDITED = 2,
    EVENT_MESSAGE_DELETED = 3,
    EVENT_CHAT_CREATED = 10,
    EVENT_CHAT_UPDATED = 11,
    EVENT_CHAT_DELETED = 12,
    EVENT_MESSAGE_REACTED = 13,
    EVENT_MESSAGE_PINNED = 14,
    EVENT_MESSAGE_UNPINNED = 15,
    EVENT_MEMBER_ADDED = 20,
    EVENT_MEMBER_UPDATED = 21,
    EVENT_MEMBER_REMOVED = 22,
    EVENT_USER_UPDATED = 30,
    EVENT_DEVICE_ADDED = 31,
    EVENT_DEVICE_REMOVED = 32,
    EVENT_MESSAGE_HIDDEN = 33,
    EVENT_CHAT_SETTINGS = 34,
    EVENT_JOIN_REQUESTED = 35,
    EVENT_JOIN_DECLINED = 36,
    EVENT_SCHEDULED_SENT = 37,
    EVENT_SCHEDULED_FAILED = 38,
    EVENT_USER_BLOCKED = 39,
    EVENT_USER_UNBLOCKED = 40,
    EVENT_CONTACT_SAVED = 41,
    EVENT_CONTACT_REMOVED = 42,
    EVENT_CHANNEL_FOLLOWED = 43, /* begins a stay in the channel ref_id, of the user whose event it is */
    EVENT_CHANNEL_LEFT = 44,     /* ends one */
};

/* Why a device's session ended; the last event on its streams says it. */
enum removal { REMOVAL_LOGGED_OUT = 1, REMOVAL_REVOKED = 2, REMOVAL_PASSWORD_CHANGED = 3, REMOVAL_REPLACED = 4, REMOVAL_EXPIRED = 5 };

struct user {
    uint64_t id;
    const char *username;
    const char *display_name;
    const char *password; /* core/crypto.h's text form; NULL: cannot log in */
    int64_t created_ms;
    int64_t media_bytes; /* of all media, also of what is being uploaded or deleted */
    bool hides_presence; /* others are not told whether and when this user is there, nor is this user of others */
    bool hides_receipts; /* others are not told what this user has and has read, nor is this user of others */
};

/* A device is a session: one log-in, one token. */
struct device {
    uint64_t id;
    uint64_t user_id;
    const char *name;
    int64_t created_ms;
    int64_t seen_ms;
    uint64_t acked_id; /* it has said that it has everything up to here; at first, where it started */
};

struct chat {
    uint64_t id;
    enum chat_type type;
    enum chat_history history;
    const char *title; /* NULL for direct chats */
    uint64_t created_by;
    int64_t created_ms;
    int64_t deleted_ms;
    uint64_t last_id;            /* the chat's last event */
    uint64_t last_rev;           /* its rev: events of a chat are 1, 2, 3 ... */
    uint64_t last_seq;           /* of its last message: messages are 1, 2, 3 ... */
    uint64_t changed_rev;        /* rev of the last change of the chat's own values */
    uint8_t chain[HASH128_SIZE]; /* of its last message */
    uint32_t member_count;
    uint32_t owner_count;
    uint64_t direct_low, direct_high; /* both members of a direct chat; 0 for others */
    int64_t message_ttl_ms;           /* of messages posted from now on; 0: the server's retention only */
    bool until_delivered;             /* messages go when every device of every member has acknowledged them */
    const char *description;          /* may be NULL */
    int64_t slow_mode_ms;             /* between two messages of a member who is no admin; 0: none */
    uint32_t permissions;             /* of enum permission */
    uint64_t avatar_id;               /* media; 0: none */
    uint32_t blockers;                /* of a direct chat: of enum blocker */
    bool is_public;                   /* a channel that everybody may follow who knows its id */
};

/* Whether a member with that role may add others as members, and make links that do. ROLE_NONE: may not. */
static inline bool role_may_add(const struct chat *chat, enum role role) {
    return role >= ROLE_ADMIN || (role == ROLE_MEMBER && chat->permissions & MEMBERS_ADD);
}

/* Who of a direct chat has blocked the other: what the other posts is hidden from them. */
enum blocker { BLOCKER_LOW = 1, BLOCKER_HIGH = 2 };

/* Whether a member with that role only listens: nobody else hears of such a member, and no list has them. */
static inline bool role_follows(const struct chat *chat, enum role role) { return chat->type == CHAT_CHANNEL && role < ROLE_ADMIN; }

/* The other member of a direct chat; 0 for others. */
static inline uint64_t chat_peer(const struct chat *chat, uint64_t user_id) {
    return user_id == chat->direct_low ? chat->direct_high : chat->direct_low;
}

/* Whether the member of a direct chat has blocked the other. */
static inline bool chat_is_blocked_by(const struct chat *chat, uint64_t user_id) {
    uint32_t bit = user_id == chat->direct_low ? BLOCKER_LOW : BLOCKER_HIGH;
    return chat->type == CHAT_DIRECT && chat->blockers & bit;
}

/* Nobody's id: in a direct chat, both members. */
#define BOTH_MEMBERS ((uint64_t)INT64_MAX)

/* What a member has set for a chat, for all of its own devices. */
struct chat_settings {
    int64_t muted_until_ms; /* 0: not; may be past */
    int64_t pinned_ms;      /* since when; 0: not */
    bool archived;
};

#define STAY_OPEN ((uint64_t)INT64_MAX)

/* One stay of a user in a chat: the ids of events from joined_id to left_id, both inclusive, are its feed. */
struct stay {
    uint64_t chat_id;
    uint64_t user_id;
    uint64_t joined_id;
    uint64_t left_id; /* STAY_OPEN while a member */
    int64_t joined_ms;
    enum role role;
    int64_t last_post_ms; /* where the chat is in slow mode: of the last message that it held for */
    /* As in the row, which follows db/marks.h within a second: the writer does not decide on these two. */
    uint64_t read_seq;
    uint64_t mentioned_seq; /* of the last message that mentions the user */
    struct chat_settings settings;
};

/* An invitation to a group: who has its token may join, or ask to. It works until expires_ms, and that moment comes at once when it is revoked or used up. */
#define LINK_NEVER INT64_MAX
struct link {
    uint64_t id;
    uint64_t chat_id;
    uint64_t created_by;
    int64_t created_ms;
    int64_t expires_ms; /* LINK_NEVER: not by itself */
    uint32_t uses_max;  /* members that it may bring; 0: any number */
    uint32_t uses;      /* members that it has brought */
    bool needs_approval;
};

/* Of a user who waits until an admin lets them in. */
struct join_request {
    uint64_t chat_id;
    uint64_t user_id;
    uint64_t link_id; /* by which they came */
    int64_t created_ms;
};

/* Of a user who may not be a member. */
struct ban {
    uint64_t chat_id;
    uint64_t user_id;
    uint64_t by_id;
    int64_t created_ms;
};

/* Somebody whom a user does not want to hear of. */
struct block {
    uint64_t user_id; /* whose it is */
    uint64_t blocked_id;
    int64_t created_ms;
};

/* Somebody whom a user wants to find again. */
struct contact {
    uint64_t user_id; /* whose it is */
    uint64_t contact_id;
    const char *name; /* what the user calls them; may be NULL */
    int64_t created_ms;
};

/* What a report is about. */
enum report_category {
    REPORT_SPAM = 1,
    REPORT_HARASSMENT = 2,
    REPORT_VIOLENCE = 3,
    REPORT_SEXUAL = 4,
    REPORT_ILLEGAL = 5,
    REPORT_IMPERSONATION = 6,
    REPORT_OTHER = 7,
};

/* What a user wants an administrator to look at: somebody, or a message. An administrator sees who reported whom, when and why, where the message is, and a
 * copy of what it said when it was reported. The copy is there so that whoever is reported cannot take it away by deleting or editing the message, or by
 * letting it disappear; it goes when the server's retention would have taken the message, and when the report is closed, whichever comes first. What is left then says
 * which message it was, and nothing of its content. */
struct report {
    uint64_t id;
    uint64_t reporter_id;
    uint64_t user_id;    /* who is reported: of a message, its sender */
    uint64_t chat_id;    /* 0: the user is */
    uint64_t message_id; /* 0: the same */
    enum report_category category;
    const char *reason;
    int64_t created_ms;
    int64_t closed_ms;       /* 0: it is open */
    const char *note;        /* what the administrator has noted when closing it; may be NULL */
    int64_t posted_ms;       /* of the message, while there is a copy; else 0 */
    const char *text;        /* the copy, no longer than LIMIT_REPORT_TEXT_BYTES; NULL: none */
    const char *attachments; /* the same of the message's `attachments` */
};

/* A message that another one answers: enough to find it, and to say whose it was when it is gone. */
struct quotation {
    uint64_t id; /* 0: it answers none */
    uint64_t seq;
    uint64_t sender_id;
};

/* Who is meant by a part of a text, counted in Unicode characters (code points). */
struct mention {
    uint64_t user_id;
    uint32_t offset;
    uint32_t length;
};

/* A message that waits for its time. */
struct scheduled {
    uint64_t id;
    uint64_t user_id;
    uint64_t chat_id;
    uint64_t joined_id; /* of the stay that it goes with */
    int64_t due_ms;     /* 0: its stay has ended, and it is to go */
    int64_t created_ms;
    const char *text; /* NULL: none */
    size_t text_size;
    const char *attachments; /* rendered; NULL: none */
    size_t attachments_size;
    const uint64_t *media_ids;
    size_t media_count;
    const struct mention *mentions;
    size_t mention_count;
    uint64_t reply_to;   /* 0: none */
    int64_t ttl_ms;      /* 0: the chat's */
    const char *failure; /* why it was not sent, as a problem code; NULL: it waits */
};

/* A message as it is now. `text` is NULL when deleted or withheld. */
struct message {
    uint64_t id;
    uint64_t chat_id;
    uint64_t sender_id;
    uint64_t seq;
    uint64_t rev;        /* of its last change */
    uint64_t changed_id; /* event of its last change; its own id when unchanged */
    const char *text;
    size_t text_size;
    const char *client_key;
    int64_t created_ms;
    int64_t edited_ms;
    int64_t deleted_ms;
    int64_t expires_ms;      /* its own; 0: the server's retention only. Once past, it is shown as deleted at that time */
    const char *attachments; /* rendered JSON objects, separated by commas (render_attachment); NULL: none, deleted or withheld */
    size_t attachments_size;
    struct quotation reply_to;
    const char *mentions; /* rendered JSON objects, separated by commas (render_mention); NULL: none, deleted or withheld */
    size_t mentions_size;
    const char *reactions; /* rendered JSON objects, separated by commas (db/reactions.h); NULL: none, deleted or withheld */
    size_t reactions_size;
    uint64_t reactions_rev; /* of their last change; 0: there never was one, or the reader does not learn of it */
    uint64_t reactions_id;  /* event of their last change, which is none of the message */
    bool forwarded;         /* its text and attachments were copied from another message */
    bool gone;              /* expired: only id, chat_id and seq (0: unknown) are left */
    bool hidden;            /* the reader has deleted it for themselves, or blocked its sender: only id, chat_id and seq are left */
    bool withheld;          /* changed after the reader left */
    bool missed;            /* the reader was away when it was changed, and back when it was changed last */
    bool original;          /* text is the posted one: `seal` is its salt, else the body hash */
    uint8_t seal[HASH128_SIZE];
    uint8_t chain[HASH128_SIZE];
};

/* Takes all content away: what is left says that there was a message, and proves it. */
static inline void message_empty(struct message *message) {
    message->text = NULL;
    message->text_size = 0;
    message->client_key = NULL;
    message->attachments = NULL;
    message->attachments_size = 0;
    message->reply_to = (struct quotation){ .id = 0 };
    message->mentions = NULL;
    message->mentions_size = 0;
    message->forwarded = false;
    message->reactions = NULL;
    message->reactions_size = 0;
    message->reactions_rev = 0;
}

/* Takes away what the reader has deleted for themselves, or does not want to hear. */
static inline void message_hide(struct message *message) {
    message->hidden = true;
    message_empty(message);
}

/* Takes away reactions that came after the reader had left, or that an event yet to come tells of. */
static inline void message_hide_reactions(struct message *message) {
    message->reactions = NULL;
    message->reactions_size = 0;
    message->reactions_rev = 0;
}

/* Takes away what a reader must not see of a message. */
static inline void message_withhold(struct message *message) {
    message->withheld = true;
    message_empty(message);
}

/* One row of the log. */
struct event {
    uint64_t id;
    uint64_t owner_id; /* the chat or the user it belongs to */
    enum event_type type;
    uint64_t actor_id;
    uint64_t ref_id;      /* message events: the message; member events: the user; device events: the device */
    uint64_t rev;         /* of the chat; 0 for user events */
    enum removal removal; /* device.removed */
    const char
        *body; /* JSON members (without braces) that follow the common ones; NULL for message events, and for message.reacted withheld */
    size_t body_size;
    const char *draft; /* chat.settings: what it is now; NULL: none */
    size_t draft_size;
    struct message message; /* message events only: what the message is now */
    uint64_t hidden_from; /* events of direct chats about messages: the member who gets them without content, or BOTH_MEMBERS; 0: nobody */
};

static inline bool event_is_message(enum event_type type) { return type <= EVENT_MESSAGE_DELETED; }
/* Thin events about a message: the chat's own values stay as they are. */
static inline bool event_is_about_message(enum event_type type) { return type >= EVENT_MESSAGE_REACTED && type <= EVENT_MESSAGE_UNPINNED; }
/* Who of a direct chat gets such an event without content, because one has blocked the other: of a reaction, which shows how many there are in all, whoever has;
 * of a pin, who has blocked whoever has set it. */
static inline uint64_t chat_addition_hidden_from(const struct chat *chat, enum event_type type, uint64_t actor_id) {
    uint64_t peer_id = chat_peer(chat, actor_id);
    bool from_peer = chat_is_blocked_by(chat, peer_id);
    bool from_actor = type == EVENT_MESSAGE_REACTED && chat_is_blocked_by(chat, actor_id);
    if (from_peer && from_actor)
        return BOTH_MEMBERS;
    return from_peer ? peer_id : from_actor ? actor_id : 0;
}
/* Those that somebody who joined after the message gets in a withheld form. */
static inline bool event_has_withheld(enum event_type type) { return type == EVENT_MESSAGE_EDITED || type == EVENT_MESSAGE_REACTED; }
static inline bool event_is_member(enum event_type type) { return type >= EVENT_MEMBER_ADDED && type <= EVENT_MEMBER_REMOVED; }
static inline bool event_is_user(enum event_type type) { return type >= EVENT_USER_UPDATED; }

/* An object in the storage, and who may refer to it.
 *
 *   PENDING ──complete──▶ READY ──expired, or deleted by its owner──▶ DOOMED ──object gone──▶ no row
 *      └──────────abandoned, or deleted by its owner─────────────────────▲
 *
 * The row is there before the object and after it, so that every object is found. A READY one does not expire while messages or chats refer to it. */
enum media_state { MEDIA_PENDING = 1, MEDIA_READY = 2, MEDIA_DOOMED = 3 };
#define MEDIA_NEVER INT64_MAX
#define MEDIA_TOKEN_BYTES 16

struct media {
    uint64_t id;
    uint64_t owner_id;
    enum media_state state;
    uint8_t token[MEDIA_TOKEN_BYTES]; /* random; makes its key in the storage unguessable */
    const char *content_type;
    int64_t size; /* bytes */
    uint8_t md5[MD5_SIZE];
    bool has_sha256;
    uint8_t sha256[SHA256_SIZE]; /* as the client says */
    const char *file_name;       /* may be NULL */
    uint32_t width, height;      /* pixels; 0: not said */
    uint32_t duration_ms;        /* 0: not said */
    const char *blurhash;        /* may be NULL */
    uint64_t thumbnail_id;       /* media of its own; 0: none */
    int64_t part_size;           /* bytes of each part but the last; 0: uploaded in one piece */
    const char *upload_id;       /* the storage's, of a multipart upload that was begun; else NULL */
    int64_t created_ms;
    int64_t expires_ms; /* when it may be doomed, and for DOOMED when it is (again) to be deleted; MEDIA_NEVER while it is referred to */
    int64_t upload_until_ms; /* URLs for uploading it work until then: only afterwards its row is forgotten */
};

/* What a token stands for. */
struct session {
    uint64_t user_id;
    uint64_t device_id;
    int64_t created_ms;
    int64_t seen_ms; /* last use as stored; written at most once an hour */
};
