/* A plain model of the store: arrays in memory, changed by one command after the other as the rules say, with no thought for speed.
 *
 * It decides each command by itself and is told only what is random or the log's to give: ids, tags and salts, which it takes from the outcomes and from the
 * frames of the commits. Whatever else the store answered is compared. A difference fails the running cmocka test. */
#pragma once

#include "unit.h"

#include "core/config.h"
#include "core/limits.h"
#include "db/command.h"

struct model_device {
    struct device device;
    uint8_t token[SHA256_SIZE];
    bool removed;
};

struct model_ticket {
    uint8_t ticket[SHA256_SIZE];
    uint64_t device_id;
    int64_t created_ms;
    bool used, removed;
};

struct model_chat {
    struct chat chat;
    uint64_t blanked_id; /* until_delivered: all up to there was looked at */
    bool purged;         /* cleanup has blanked it */
    bool forgotten;      /* its end is below the floor */
};

struct model_stay {
    struct stay stay;
    bool removed; /* its end is below the floor */
};

struct model_message {
    struct message message;                   /* first. seal: the salt of the posted text as long as it is `original` */
    uint64_t attached[2 * LIMIT_ATTACHMENTS]; /* media it refers to, thumbnails among them */
    size_t attached_count;
    char *links; /* what the chain takes of its attachments */
    size_t links_size;
    bool removed; /* below the floor */
};

struct model_media {
    struct media media;
    bool removed; /* forgotten */
};

struct model_lease {
    const char *name; /* static */
    uint64_t holder;
    int64_t until_ms;
};

/* An event and, for those that carry a chat's whole values, what these were. */
struct model_event {
    struct event event; /* without body and message */
    int64_t created_ms;
    struct chat chat;
    struct stay member;
    const char *name; /* user.updated: the new display name */
};

struct model_key {
    uint64_t user_id, key;
    uint8_t request[HASH128_SIZE];
    uint64_t result_id;
    int64_t period;
};

/* What a listener saw: each frame of the log once, in order. */
struct model_frame {
    struct frame *frame;  /* held */
    size_t commit;        /* counts commits */
    uint64_t previous_id; /* what the commit said was before it */
};

struct model {
    const struct config *config;
    int64_t now_ms; /* of all commands until it is moved */
    uint64_t head, floor;
    const struct command *command; /* the one that is applied */
    bool alone;                    /* nothing else can be in its batch */

    struct user *users;
    size_t user_count;
    struct model_device *devices;
    size_t device_count;
    struct model_ticket *tickets;
    size_t ticket_count;
    struct model_chat *chats;
    size_t chat_count;
    struct model_stay *stays;
    size_t stay_count;
    struct model_message *messages; /* by id */
    size_t message_count;
    struct model_event *events; /* by id */
    size_t event_count;
    size_t first_event;        /* above the floor */
    struct model_media *media; /* by id */
    size_t media_count;
    struct model_lease leases[4];
    size_t lease_count;
    struct model_key *keys;
    size_t key_count;
    struct model_frame *frames;
    size_t frame_count, frames_taken;
    char **strings; /* all that the values above borrow */
    size_t string_count;
};

void model_init(struct model *model, const struct config *config);
void model_release(struct model *model);
/* What a commit listener does with the frames it gets. The caller sees to it that nobody looks at the model meanwhile. */
void model_note_commit(struct model *model, uint64_t previous_id, struct frame *const *frames, size_t count);

/* Applies a command that the store has decided, and fails the test unless the model decides the same. */
void model_apply(struct model *model, const struct command *command);
/* Applies the effects of cleanup commands that left nothing to do. */
void model_sweep(struct model *model);

struct user *model_user(const struct model *model, uint64_t user_id);
struct model_device *model_device(const struct model *model, uint64_t device_id);
struct model_chat *model_chat(const struct model *model, uint64_t chat_id);              /* NULL when forgotten */
struct model_message *model_message(const struct model *model, uint64_t message_id);     /* NULL when below the floor */
struct model_message *model_any_message(const struct model *model, uint64_t message_id); /* also those */
/* The open stay, NULL when the user is not a member. */
struct stay *model_membership(const struct model *model, uint64_t chat_id, uint64_t user_id);
/* Messages of this moment and before are past retention. */
int64_t model_cutoff_ms(const struct model *model);
/* The hash of the posted text, whatever became of it. */
void model_body_hash(const struct message *message, uint8_t out[HASH128_SIZE]);
/* Whether the user sees a media in some message. */
bool model_sees(const struct model *model, uint64_t user_id, uint64_t media_id);
/* NULL when it was forgotten, or never was. */
struct model_media *model_media(const struct model *model, uint64_t media_id);
/* Since when readers are told that the message is deleted; 0: it is not. */
int64_t model_gone_ms(const struct model *model, const struct model_message *entry);
/* The message as readers get it now. */
struct message model_shown(const struct model *model, const struct model_message *entry);

/* ---- Between model.c and model_media.c ---- */

/* A copy that lives as long as the model; NULL stays NULL. */
const char *model_keep(struct model *model, const char *text);
struct model_key *model_find_key(const struct model *model, const struct command *command);
bool model_same_request(const struct model_key *key, const struct command *command);
void model_note_key(struct model *model, const struct command *command, uint64_t result_id);

enum err apply_media_create(struct model *model, const struct command *command);
enum err apply_media_begin(struct model *model, const struct command *command);
enum err apply_media_complete(struct model *model, const struct command *command);
enum err apply_media_delete(struct model *model, const struct command *command);
enum err apply_media_sign(struct model *model, const struct command *command);
enum err apply_media_forget(struct model *model, const struct command *command);
enum err apply_lease(struct model *model, const struct command *command);
/* Whether a post may refer to its media. */
enum err model_may_attach(const struct model *model, const struct command *command);
/* Refers the message to them, and renders them. */
void model_attach(struct model *model, const struct command *command, struct model_message *entry);
/* Takes the message's references away. */
void model_detach(struct model *model, struct model_message *entry);
/* Takes what was never used, or not for long enough. */
void model_doom(struct model *model);
