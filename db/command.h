/* Commands: everything that changes something, as values.
 *
 * Whoever asks fills `type`, `actor`, the member of `in` for the type, and `done`; store_submit() hands the command over; after the commit (or the
 * refusal) `refusal`, and on success `out`, are set and done() is called once. All memory a command points to must live until then; what `out` holds
 * is the command's (command_release). */
#pragma once

#include "core/buf.h"
#include "db/model.h"
#include "db/render.h"

enum command_type {
    COMMAND_USER_CREATE,
    COMMAND_USER_UPDATE,
    COMMAND_PASSWORD_SET,
    COMMAND_SESSION_CREATE,
    COMMAND_DEVICE_REMOVE,
    COMMAND_DEVICE_TOUCH,
    COMMAND_TICKET_CREATE,
    COMMAND_TICKET_USE,
    COMMAND_INVITE_CREATE,
    COMMAND_CHAT_CREATE,
    COMMAND_CHAT_UPDATE,
    COMMAND_CHAT_DELETE,
    COMMAND_MEMBER_PUT,
    COMMAND_MEMBER_REMOVE,
    COMMAND_MESSAGE_POST,
    COMMAND_MESSAGE_EDIT,
    COMMAND_MESSAGE_DELETE,
    COMMAND_SWEEP,
};

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
    struct idempotency idempotency; /* CHAT_CREATE and MESSAGE_POST */
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
            const char *display_name;
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
        } chat_create;
        struct {
            uint64_t chat_id;
            const char *title; /* NULL: as it is */
            bool set_history;
            enum chat_history history;
        } chat_update;
        struct {
            uint64_t chat_id;
        } chat_delete;
        struct {
            uint64_t chat_id;
            uint64_t user_id;
            enum role role; /* ROLE_NONE: not said */
        } member_put;
        struct {
            uint64_t chat_id;
            uint64_t user_id;
        } member_remove;
        struct {
            uint64_t chat_id;
            const char *text;
            size_t text_size;
            const char *client_key;
        } message_post;
        struct {
            uint64_t chat_id;
            uint64_t message_id;
            const char *text;
            size_t text_size;
        } message_edit;
        struct {
            uint64_t chat_id;
            uint64_t message_id;
        } message_delete;
        struct {
            bool dry_run;
        } sweep; /* one bounded pass; out.sweep.more says whether there is more */
    } in;

    struct refusal refusal; /* refusal.err == OK: done and on disk */

    struct {
        bool existed;         /* answer 200 rather than 201: it was there already */
        uint64_t id;          /* of the user, chat, message or device made or found */
        uint64_t device_id;   /* USER_CREATE (the first), SESSION_CREATE */
        int64_t time_ms;      /* when it was made */
        struct frame *frame;  /* MESSAGE_POST, MESSAGE_EDIT: its object is the answer; NULL when `json` is */
        struct buf json;      /* the answer's object for the other commands that have one */
        uint64_t *device_ids; /* USER_CREATE: one per token, owned; NULL otherwise */
        struct {
            uint64_t rows;
            bool more;
        } sweep;
    } out;

    void (*done)(struct command *command); /* on the writer's thread; must not block */
    void *context;
    struct command *next; /* the queue's */
};

/* Releases what `out` holds. */
void command_release(struct command *command);
