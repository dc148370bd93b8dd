/* Commands: everything that changes something, as values.
 *
 * Whoever asks fills `type`, `actor`, the member of `in` for the type, and `done`; store_submit() hands the command over; after the commit (or the
 * refusal) `refusal`, and on success `out`, are set and done() is called once. All memory a command points to must live until then; what `out` holds
 * is the command's (command_release). */
#pragma once

#include "core/buf.h"
#include "db/marks.h"
#include "db/model.h"
#include "db/render.h"

enum command_type {
    COMMAND_USER_CREATE,
    COMMAND_USER_UPDATE,
    COMMAND_PASSWORD_SET,
    COMMAND_SESSION_CREATE,
    COMMAND_DEVICE_REMOVE,
    COMMAND_DEVICE_TOUCH,
    COMMAND_USER_TOUCH,
    COMMAND_TICKET_CREATE,
    COMMAND_TICKET_USE,
    COMMAND_INVITE_CREATE,
    COMMAND_CHAT_CREATE,
    COMMAND_CHAT_UPDATE,
    COMMAND_CHAT_DELETE,
    COMMAND_MEMBER_PUT,
    COMMAND_MEMBER_REMOVE,
    COMMAND_FOLLOWERS_ADD,
    COMMAND_LINK_CREATE,
    COMMAND_LINK_REVOKE,
    COMMAND_LINK_JOIN,
    COMMAND_JOIN_ANSWER,
    COMMAND_BAN_PUT,
    COMMAND_BAN_REMOVE,
    COMMAND_BLOCK_PUT,
    COMMAND_BLOCK_REMOVE,
    COMMAND_CONTACT_PUT,
    COMMAND_CONTACT_REMOVE,
    COMMAND_MESSAGE_POST,
    COMMAND_MESSAGE_EDIT,
    COMMAND_MESSAGE_DELETE,
    COMMAND_MESSAGE_REACT,
    COMMAND_MESSAGE_PIN,
    COMMAND_MESSAGE_HIDE,
    COMMAND_SCHEDULE_CREATE,
    COMMAND_SCHEDULE_DELETE,
    COMMAND_SCHEDULE_SEND,
    COMMAND_REPORT_CREATE,
    COMMAND_REPORT_CLOSE,
    COMMAND_EVENTS_ACK,
    COMMAND_MARKS,
    COMMAND_SETTINGS,
    COMMAND_MEDIA_CREATE,
    COMMAND_MEDIA_BEGIN,
    COMMAND_MEDIA_COMPLETE,
    COMMAND_MEDIA_DELETE,
    COMMAND_MEDIA_SIGN,
    COMMAND_MEDIA_FORGET,
    COMMAND_LEASE,
    COMMAND_SWEEP,
};

/* What a cleanup takes away, in this order (db/store_sweep*.c). Each is bounded by itself. */
enum sweep_kind {
    SWEEP_LOG,       /* events past the server's retention; raises the floor */
    SWEEP_EXPIRED,   /* messages past their own time */
    SWEEP_DELIVERED, /* messages of until_delivered chats that everybody has */
    SWEEP_CHATS,     /* texts of deleted chats */
    SWEEP_SESSIONS,
    SWEEP_TICKETS,
    SWEEP_INVITES,
    SWEEP_LINKS,   /* invitation links that ended long ago */
    SWEEP_KEYS,    /* idempotency keys */
    SWEEP_REPORTS, /* copies of messages past retention, and reports that were closed long ago */
    SWEEP_MEDIA,   /* dooms media that are abandoned, unused or past their grace; their objects are the job's business */
    SWEEP_KINDS
};
const char *sweep_name(enum sweep_kind kind); /* "expired"; for logs and metrics */

/* A durable idempotency key, as the API hashes it: `key` is 63 bits of a keyed hash of the client's key (unique enough within one user: a million
 * keys collide with probability 5e-8, and then the second is refused, never confused), `request` of method, path and body. */
struct idempotency {
    bool given;
    uint64_t key;
    uint8_t request[HASH128_SIZE];
};

struct command {
    enum command_type type;
    uint64_t actor_id;              /* the user who asks; 0: an operator */
    uint64_t device_id;             /* the device that asks; 0: none */
    struct idempotency idempotency; /* CHAT_CREATE, MESSAGE_POST, SCHEDULE_CREATE and MEDIA_CREATE */
    size_t bytes;                   /* memory that waits with it, for the queue's bound; 0: taken as small */

    union {
        /* USER_CREATE (actor_id 0). Creates the user and one device per token hash. `invite` is the SHA-256 of a registration code or NULL. */
        struct {
            const char *username; /* folded */
            const char *display_name;
            const char *password; /* text form, or NULL */
            const char *device_name;
            const uint8_t (*tokens)[SHA256_SIZE];
            size_t token_count;
            const uint8_t *invite;
            bool invite_required;
        } user_create;
        struct {
            const char *display_name; /* NULL: as it is */
            bool set_presence;
            bool presence; /* shown to those who share a chat */
            bool set_receipts;
            bool receipts;
        } user_update;
        /* Ends every other device. `expected` is the stored text that was verified: the command is refused when it changed meanwhile. */
        struct {
            const char *expected;
            const char *password;
        } password_set;
        struct {
            const char *expected;
            const char *device_name;
            const uint8_t *token;
        } session_create;
        struct {
            uint64_t device_id;
            enum removal reason;
        } device_remove; /* NOT_FOUND when not the actor's */
        struct {
            int64_t seen_ms;
        } device_touch; /* device_id's */
        struct {
            int64_t active_ms;
        } user_touch; /* the actor's */
        struct {
            const uint8_t *ticket;
        } ticket_create; /* SHA-256 */
        struct {
            const uint8_t *ticket;
        } ticket_use;
        struct {
            const uint8_t *invite;
            uint32_t uses;
            int64_t expires_ms;
        } invite_create;
        struct {
            enum chat_type type;
            enum chat_history history;
            const char *title;
            const uint64_t *member_ids; /* without the actor, distinct */
            size_t member_count;
            int64_t message_ttl_ms; /* 0: none */
            bool until_delivered;
            const char *description; /* NULL: none */
            bool is_public;          /* a channel */
        } chat_create;
        struct {
            uint64_t chat_id;
            const char *title; /* NULL: as it is */
            bool set_history;
            enum chat_history history;
            bool set_ttl;
            int64_t message_ttl_ms; /* 0: none */
            bool set_until_delivered;
            bool until_delivered;    /* direct chats: only this and the one before */
            const char *description; /* NULL: as it is; "": none */
            bool set_slow_mode;
            int64_t slow_mode_ms; /* 0: none */
            bool set_avatar;
            uint64_t avatar_id;       /* a READY image of the actor's; 0: none */
            uint32_t set_permissions; /* those that are said, of enum permission */
            uint32_t permissions;     /* of these, what members may */
            bool set_public;          /* channels */
            bool is_public;
        } chat_update;
        struct {
            uint64_t chat_id;
        } chat_delete;
        struct {
            uint64_t chat_id;
            uint64_t user_id;
            enum role role; /* ROLE_NONE: not said */
        } member_put;       /* of the actor, who is no member: follows a public channel */
        struct {
            uint64_t chat_id;
            uint64_t user_id;
        } member_remove;
        /* An operator's: these follow the channel from now on, but for those who do, who do not exist or may not (out.followers). */
        struct {
            uint64_t chat_id;
            const uint64_t *user_ids;
            size_t count; /* at most LIMIT_FOLLOWERS_AT_ONCE */
        } followers_add;
        /* The answer shows `token`, of which only the SHA-256 `hash` is stored. TOO_MANY_LINKS. */
        struct {
            uint64_t chat_id;
            const char *token;
            const uint8_t *hash;
            int64_t lifetime_ms; /* 0: for ever */
            uint32_t uses_max;   /* 0: any number */
            bool needs_approval;
        } link_create;
        /* An admin's, or its maker's. */
        struct {
            uint64_t chat_id;
            uint64_t link_id;
        } link_revoke;
        /* By a link that the actor was shown (read_link): out.json is the chat, or with out.waits the request. LINK_ENDED. */
        struct {
            uint64_t chat_id;
            uint64_t link_id;
        } link_join;
        struct {
            uint64_t chat_id;
            uint64_t user_id;
            bool approve;
        } join_answer;
        struct {
            uint64_t chat_id;
            uint64_t user_id;
        } ban_put; /* who is a member is removed */
        struct {
            uint64_t chat_id;
            uint64_t user_id;
        } ban_remove;
        /* SCHEDULE_CREATE keeps it until `due_ms` (TOO_MANY_SCHEDULED), without client_key and forward; out.json shows it. SCHEDULE_SEND, the scheduler's, posts
         * what it has read of a scheduled message, which goes in the same transaction; one that is not there any more is not posted, one whose stay has ended
         * goes, and one that is refused as a post stays, with the reason. The command itself is not refused then. */
        struct {
            uint64_t user_id;
        } block_put;
        struct {
            uint64_t user_id;
        } block_remove;
        struct {
            uint64_t user_id;
            const char *name; /* NULL: none */
        } contact_put;        /* in place of what there was */
        struct {
            uint64_t user_id;
        } contact_remove;
        struct {
            uint64_t chat_id;
            const char *text;
            size_t text_size;
            const char *client_key;
            const uint64_t *media_ids;      /* distinct; the actor's own, or what the actor can see in a message */
            size_t media_count;             /* at most LIMIT_ATTACHMENTS */
            int64_t ttl_ms;                 /* 0: the chat's */
            uint64_t reply_to;              /* a message of the chat that the actor can see, deleted or not; 0: none */
            const struct mention *mentions; /* of members, inside the text */
            size_t mention_count;           /* at most LIMIT_MENTIONS */
            struct {
                uint64_t chat_id;
                uint64_t message_id; /* 0: none; else its text and attachments are posted, and there are no others, nor mentions */
            } forward;
            struct {
                uint64_t id;    /* SCHEDULE_SEND */
                int64_t due_ms; /* SCHEDULE_CREATE */
            } scheduled;
        } message_post;
        struct {
            uint64_t chat_id;
            uint64_t message_id;
            const char *text;
            size_t text_size;
            const struct mention *mentions; /* instead of those before */
            size_t mention_count;
        } message_edit;
        struct {
            uint64_t chat_id;
            uint64_t message_id;
        } message_delete;
        /* Sets or takes back one of the actor's reactions; what is so already changes nothing. out.json: the message's reactions. */
        struct {
            uint64_t chat_id;
            uint64_t message_id;
            const char *emoji; /* text_is_emoji() */
            bool on;
        } message_react;
        /* By admins, in direct chats by both. What is so already changes nothing. */
        struct {
            uint64_t chat_id;
            uint64_t message_id;
            bool on;
        } message_pin;
        /* Deletes it for the actor alone. */
        struct {
            uint64_t chat_id;
            uint64_t message_id;
        } message_hide;
        /* The actor's own. */
        struct {
            uint64_t chat_id;
            uint64_t scheduled_id;
        } schedule_delete;
        /* Of a user, or of a message that the actor was shown (read_message). One like it that is open is the answer: out.existed. TOO_MANY_REPORTS. */
        struct {
            uint64_t user_id; /* 0: the message is reported */
            uint64_t chat_id;
            uint64_t message_id;
            enum report_category category;
            const char *reason;
        } report_create;
        /* An operator's. CONFLICT: it is closed. */
        struct {
            uint64_t report_id;
            const char *note; /* NULL: none */
        } report_close;
        struct {
            uint64_t id; /* refused (BAD_FIELD "id") beyond the log's head */
        } events_ack;    /* device_id's */
        /* Stores marks, those of open stays, each unless its row has a higher one. The writer's own. */
        struct {
            const struct mark *marks;
            size_t count; /* at most LIMIT_MARKS_AT_ONCE */
        } marks;
        /* The actor's own of a chat. What is not given stays as it is. */
        struct {
            uint64_t chat_id;
            bool set_muted;
            int64_t muted_until_ms; /* 0: not muted */
            bool set_archived;
            bool archived;
            bool set_pinned;
            bool pinned;
            bool set_draft;
            const char *draft; /* NULL: none */
            size_t draft_size;
        } settings;
        /* Reserves an object: `media` without what the store gives it (id, owner, state, token, times). Refuses what does not fit the limits of the user;
         * thumbnail_id must be a READY image of the actor's. A repeated key: out.existed, and the media as it is now; NOT_FOUND when it is gone. */
        struct {
            struct media media;
            int64_t upload_until_ms;
        } media_create;
        /* Notes the upload that the storage has begun. CONFLICT: there is one already, or it is not PENDING. */
        struct {
            uint64_t media_id;
            const char *upload_id;
        } media_begin;
        /* What the storage holds was checked: PENDING becomes READY. Those that are READY already succeed with out.existed. */
        struct {
            uint64_t media_id;
        } media_complete;
        /* The owner's. MEDIA_IN_USE while chats or messages refer to it, also those past their own time until the cleanup has blanked them. */
        struct {
            uint64_t media_id;
        } media_delete;
        /* New upload URLs for a PENDING one are about to be given out, or its parts are about to be joined: its object may appear until then. CONFLICT: it
         * is READY meanwhile. */
        struct {
            uint64_t media_id;
            int64_t upload_until_ms;
        } media_sign;
        /* The objects of these DOOMED media, which were due, are gone: forgets the rows, but for those whose upload URLs may have worked since they
         * were due: these become due again when their URLs have ended. out.sweep.rows: forgotten. */
        struct {
            const uint64_t *media_ids;
            size_t count; /* at most LIMIT_SWEEP_OBJECTS */
        } media_forget;
        /* Takes, prolongs (same holder) or gives back (until_ms 0) the lease of a job. CONFLICT: somebody else has it. */
        struct {
            const char *name;
            uint64_t holder;
            int64_t until_ms;
        } lease;
        struct {
            enum sweep_kind kind;
            bool dry_run; /* only counts, up to the bound of one pass */
            bool last;    /* the run ends with this one: what was deleted leaves the write-ahead log, too, before it is answered; */
            bool patient; /* or by a later one, while many post: soon enough for config->cleanup_deadline_ms */
        } sweep;          /* one bounded pass; out.sweep.more says whether there is more */
    } in;

    struct refusal refusal; /* refusal.err == OK: done and on disk */

    struct {
        bool existed;         /* answer 200 rather than 201: it was there already */
        bool waits;           /* LINK_JOIN: an admin has to approve it */
        uint64_t id;          /* of the user, chat, message or device made or found */
        uint64_t device_id;   /* USER_CREATE (the first), SESSION_CREATE */
        int64_t time_ms;      /* when it was made */
        uint64_t quiet_rev;   /* MESSAGE_REACT: how they are now is told by no event, but to all who follow; 0: else */
        struct frame *frame;  /* MESSAGE_POST, MESSAGE_EDIT: its object is the answer; NULL when `json` is */
        struct buf json;      /* the answer's object for the other commands that have one */
        struct media media;   /* MEDIA_ commands but for DELETE and FORGET: as it is then; its strings live as long as the command */
        char *media_strings;  /* owned: they are in here */
        uint64_t *device_ids; /* USER_CREATE: one per token, owned; NULL otherwise */
        struct {
            uint32_t added;
            uint32_t existed;
            uint32_t unknown;
            uint32_t refused; /* banned, or in as many chats as a user may be */
        } followers;
        struct {
            uint64_t rows;
            uint64_t bytes;     /* SWEEP_MEDIA and MEDIA_FORGET: of the objects */
            int64_t overdue_ms; /* how long the oldest row that is still there should already be gone; 0: none is */
            bool more;
            bool truncating; /* the last one: what was deleted has not left the write-ahead log yet; send it again */
        } sweep;
    } out;

    void (*done)(struct command *command); /* on the writer's thread; must not block */
    void *context;
    struct command *next; /* the queue's */
};

/* Releases what `out` holds. */
void command_release(struct command *command);
