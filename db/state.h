/* What one batch knows: the rows its commands concern, as loaded and as decided so far, and everything it will write.
 *
 * Life of a batch (the functions that make each step):
 *     need (state_need_*, by decide_needs) → load (state_load) → decide (decide_command) → write (state_write) → commit
 * Entries are found by key and exist once per batch, so that each command sees what the earlier ones decided. Everything lives in the batch's arena. When
 * memory runs out `failed` is set, and the whole batch is given up. Used by the writer's thread only. */
#pragma once

#include <assert.h>

#include "core/arena.h"
#include "core/config.h"
#include "core/id.h"
#include "core/map.h"
#include "db/cache.h"
#include "db/command.h"
#include "db/driver.h"
#include "db/keys.h"
#include "db/owner_index.h"

/* A growing array of pointers in the arena. */
struct vec {
    void **items;
    size_t count, capacity;
};

/* What a batch asks the database for: one statement for each kind (db/store_load.c), in this order. */
enum need {
    /* Entries that are found by an id, */
    NEED_USERS,
    NEED_CHATS,
    NEED_MESSAGES,
    NEED_MEDIA,
    NEED_LINKS,
    NEED_SCHEDULED,
    /* or by two numbers; */
    NEED_STAYS,
    NEED_PAIRS,
    NEED_KEYS,
    NEED_SIGHTS,
    NEED_REQUESTS,
    NEED_BANS,
    NEED_REACTORS,
    NEED_HIDDEN,
    NEED_DRAFTS,
    NEED_BLOCKS,
    NEED_CONTACTS,
    NEED_ENTRY_KINDS,
    /* and what commands seldom want to know besides. */
    NEED_NAMES = NEED_ENTRY_KINDS,
    NEED_DEVICES,
    NEED_CHAT_COUNTS,
    NEED_PENDING_COUNTS,
    NEED_FORMER,
    NEED_ATTACHED,
    NEED_LINK_COUNTS,
    NEED_REQUEST_COUNTS,
    NEED_BAN_COUNTS,
    NEED_PINS,
    NEED_SCHEDULED_COUNTS,
    NEED_PEOPLE_COUNTS,
    NEED_KINDS
};
static_assert(NEED_KINDS <= 64, "a bit for each, in `needed` of entries");

/* The first member of entries that are found by two numbers. */
struct pair_link {
    struct pair_link *next; /* of those with the same key */
};

struct device_entry {
    struct device device;
    uint8_t token[SHA256_SIZE];
};

struct user_entry {
    struct user user;
    uint64_t needed;                     /* a bit for each enum need of what was asked for */
    struct vec devices;                  /* struct device_entry, if they were needed */
    uint32_t chat_count;                 /* of which the user is a member, if it was needed */
    uint32_t pending_count;              /* uploads that are not completed, if it was needed */
    uint32_t block_count, contact_count; /* the user's own, if they were needed */
    bool found;
    bool listed;       /* in new_users or changed_users */
    bool bytes_listed; /* in changed_bytes */
    struct user_entry *next_of_name;
};

/* A pinned message of a chat. */
struct pin_row {
    uint64_t chat_id, message_id, user_id;
};

struct chat_entry {
    struct chat chat;
    uint64_t needed; /* likewise */
    struct vec pins; /* struct pin_row, if they were needed: as they were when the batch began */
    bool found;
    bool listed;            /* in new_chats or changed_chats */
    bool delivery_listed;   /* in changed_deliveries */
    bool avatar_listed;     /* in changed_avatars */
    uint32_t link_count;    /* that work, if it was needed */
    uint32_t request_count; /* of users who wait to join, if it was needed */
    uint32_t ban_count;     /* if it was needed */
};

/* The open stay of a user in a chat; found is false when there is none. */
struct stay_entry {
    struct pair_link link;
    struct stay stay;
    bool found;
    bool listed;
    bool settings_listed;     /* in changed_settings */
    uint64_t needed;          /* likewise */
    uint32_t scheduled_count; /* messages that the member has scheduled, if it was needed */
};

struct link_entry {
    struct link link;
    const uint8_t *token; /* of a new one: the hash */
    bool found;
    bool listed; /* in new_links or changed_links */
};

/* A user's request to join a chat; found is false when there is none. */
struct request_entry {
    struct pair_link link;
    struct join_request request;
    bool found;
};

/* found is false when the user is not banned. */
struct ban_entry {
    struct pair_link link;
    struct ban ban;
    bool found;
};

/* found is false when the user has not blocked the other. */
struct block_entry {
    struct pair_link link;
    struct block block;
    bool found;
};

/* found is false when the other is no contact of the user's. */
struct contact_entry {
    struct pair_link link;
    struct contact contact;
    bool found;
};

struct draft_entry { /* of a member in a chat */
    struct pair_link link;
    uint64_t user_id, chat_id;
    const char *text; /* NULL: none */
    size_t size;
    bool listed; /* in changed_drafts */
};

/* found is false when it was sent or deleted. */
struct scheduled_entry {
    struct scheduled scheduled;
    const char *media_ids, *mentions; /* of a new one: as its row has them */
    bool found;
};

struct pair_entry { /* a direct chat's pair */
    struct pair_link link;
    uint64_t low, high;
    uint64_t chat_id; /* 0: there is none */
};

struct message_entry {
    struct message message;
    bool found;
    bool listed;
    bool reactions_listed; /* in reacted_messages */
    uint64_t needed;       /* likewise */
    struct vec attached;   /* struct media_entry, thumbnails among them, if they were needed */
};

/* A reaction of a user at a message: one that is there, or that this batch has changed. */
struct reaction_entry {
    uint64_t message_id, user_id;
    const char *emoji;
    bool stored; /* as the batch began */
    bool on;
    bool listed; /* in changed_reactions */
};

/* All reactions of a user at a message. */
struct reactor_entry {
    struct pair_link link;
    uint64_t message_id, user_id;
    struct vec reactions; /* struct reaction_entry */
};

/* What a message said before an edit. */
struct revision_row {
    uint64_t message_id, rev;
    const char *text;
    size_t text_size;
    int64_t edited_ms; /* when it came to say so */
};

/* Whether a user has deleted a message for themselves. */
struct hidden_entry {
    struct pair_link link;
    uint64_t user_id, message_id, chat_id;
    bool hidden;
};

struct media_entry {
    struct media media;
    uint64_t references; /* chats whose avatar it is, and messages it is attached to; these counted no further than a batch can take away */
    bool found;
    bool listed; /* in new_media or changed_media */
};

/* Whether a user saw a media in some message when the batch began. */
struct sight_entry {
    struct pair_link link;
    uint64_t media_id, user_id;
    bool seen;
};

struct attachment_row {
    uint64_t message_id, media_id, chat_id;
};

/* A member was mentioned in a message with that seq. */
struct mention_row {
    uint64_t chat_id, user_id, joined_id, seq;
};

struct lease_entry {
    const char *name;
    uint64_t holder;
    int64_t until_ms; /* 0: nobody has it */
};

/* What a decision on a report looks at. */
struct reporting {
    struct vec open;     /* struct report, without their copies: the reporter's; or the one to close, open or not */
    uint32_t last_day;   /* made by the reporter within a day */
    uint32_t open_count; /* of all users */
};

/* The end of a report. */
struct report_end {
    uint64_t id;
    const char *note;
};

struct event_entry {
    struct event event;
    uint64_t members_chat_id; /* chat.created: `members` are its first */
    const uint64_t *members;
    size_t member_count;
    bool is_scheduled;   /* message.created: its sender was not there when it was posted, */
    uint64_t read_seq;   /* and had read so far, as far as was stored */
    struct frame *frame; /* made before the commit; one reference is the batch's */
};

struct key_entry { /* an idempotency key of a user */
    struct pair_link link;
    uint64_t user_id, key;
    uint8_t request[HASH128_SIZE];
    uint64_t result_id; /* 0: not seen before */
};

struct invite_entry {
    const uint8_t *invite;
    uint64_t uses_left;
    int64_t expires_ms;
    bool found;
};

/* Rows to be changed by one statement with two numbers; see db/store_write.c. */
enum bulk_kind {
    BULK_CLOSE_STAYS,
    BULK_PURGE_CHAT,
    BULK_REMOVE_DEVICE,
    BULK_TOUCH_DEVICE,
    BULK_TOUCH_USER,
    BULK_ACK_DEVICE,
    BULK_DELIVER_USER,
    BULK_DROP_DRAFT,
    BULK_DROP_DRAFTS, /* of a chat */
    BULK_PRUNE_TICKETS,
    BULK_DROP_ATTACHMENTS, /* of a message */
    BULK_DROP_REACTIONS,   /* of a message */
    BULK_DROP_PIN,         /* of a message */
    BULK_DROP_REVISIONS,   /* of a message */
    BULK_PRUNE_REVISIONS,  /* of a message */
    BULK_ADD_EXPIRY,
    BULK_DROP_EXPIRY,
    BULK_FORGET_MEDIA,
    BULK_DROP_REQUEST, /* of a chat, from a user */
    BULK_DROP_BAN,     /* the same */
    BULK_DROP_SCHEDULED,
    BULK_VOID_SCHEDULED, /* of a user, in a chat */
    BULK_VOID_SCHEDULED_OF_CHAT,
    BULK_DROP_BLOCK,   /* of a user, of another one */
    BULK_DROP_CONTACT, /* the same */
    BULK_KINDS
};
struct bulk {
    uint64_t a, b;
};

struct ticket_row {
    const uint8_t *ticket;
    uint64_t device_id; /* 0: mark as used */
};

struct state {
    struct arena *arena;
    const struct config *config;
    const struct cache *cache; /* what earlier batches knew */
    struct keys *keys;         /* likewise; the batch only makes room there */
    struct owner_index *owner_index;
    const struct state *before; /* of the batch that is being written, which is in neither of them yet; NULL: none is */
    struct id_generator *ids;   /* NULL: none can be made now */
    int64_t now_ms;             /* never before the last event's time */
    uint64_t last_id;           /* of the log, the batch's events included */
    uint16_t tag;               /* of this commit */
    uint64_t entered_id; /* what waited in the owner index is in its table when it was of owners whose oldest event is not after this one */
    bool failed;

    struct map entries[NEED_ENTRY_KINDS], names;
    struct buf need[NEED_KINDS]; /* JSON arrays */

    struct vec new_users, changed_users, new_devices, new_chats, changed_chats, new_stays, changed_stays, events, changed_messages;
    struct vec read_marks, changed_settings, changed_drafts;
    struct vec sought_keys; /* struct key_entry, that may be on disk */
    struct keys_written keys_written;
    struct vec new_keys, invites, new_invites, new_tickets, used_tickets;
    struct vec new_media, changed_media, changed_bytes, new_attachments, changed_deliveries, changed_avatars, leases;
    struct vec new_links, changed_links, new_requests, new_bans, new_blocks, saved_contacts;
    struct vec mentions; /* struct mention_row */
    struct vec reacted_messages, changed_reactions, new_pins, new_hidden, new_revisions;
    struct vec new_scheduled, failed_scheduled;
    struct vec new_reports, report_ends;
    struct vec bulk[BULK_KINDS];
};

void state_init(struct state *state, struct arena *arena, const struct config *config, const struct cache *cache, struct keys *keys,
                struct owner_index *owner_index, struct id_generator *ids);
/* Drops the frames of events and releases what is not in the arena. */
void state_release(struct state *state);

/* The key of what is found by two numbers; not 0. Two pairs may have the same. */
uint64_t state_mix(uint64_t a, uint64_t b);

/* Zeroed memory of the batch; NULL sets `failed`. */
void *state_alloc(struct state *state, size_t size) MUST_USE;
void state_push(struct state *state, struct vec *vec, void *item);

/* Before the load: ask for an entry. After it the same functions find it; what was never asked for is found == false. NULL only when failed. */
struct user_entry *state_user(struct state *state, uint64_t user_id);
struct user_entry *state_user_named(struct state *state, const char *username); /* folded */
void state_need_devices(struct state *state, uint64_t user_id);
void state_need_chat_count(struct state *state, uint64_t user_id);
struct chat_entry *state_chat(struct state *state, uint64_t chat_id);
struct stay_entry *state_stay(struct state *state, uint64_t chat_id, uint64_t user_id);
/* Of somebody who is not a member: last_post_ms as the last stay left it. */
void state_need_former(struct state *state, uint64_t chat_id, uint64_t user_id);
struct link_entry *state_link(struct state *state, uint64_t link_id);
void state_need_link_count(struct state *state, uint64_t chat_id);
struct request_entry *state_request(struct state *state, uint64_t chat_id, uint64_t user_id);
struct ban_entry *state_ban(struct state *state, uint64_t chat_id, uint64_t user_id);
void state_need_ban_count(struct state *state, uint64_t chat_id);
void state_need_request_count(struct state *state, uint64_t chat_id);
void state_need_pins(struct state *state, uint64_t chat_id);
struct pair_entry *state_pair(struct state *state, uint64_t one, uint64_t other);
struct message_entry *state_message(struct state *state, uint64_t message_id);
struct key_entry *state_key(struct state *state, uint64_t user_id, uint64_t key);
void state_need_pending_count(struct state *state, uint64_t user_id);
struct media_entry *state_media(struct state *state, uint64_t media_id);
void state_need_attached(struct state *state, uint64_t message_id);
struct reactor_entry *state_reactor(struct state *state, uint64_t message_id, uint64_t user_id);
struct hidden_entry *state_hidden(struct state *state, uint64_t user_id, uint64_t message_id);
struct draft_entry *state_draft(struct state *state, uint64_t user_id, uint64_t chat_id);
struct scheduled_entry *state_scheduled(struct state *state, uint64_t scheduled_id);
void state_need_scheduled_count(struct state *state, uint64_t chat_id, uint64_t user_id);
struct block_entry *state_block(struct state *state, uint64_t user_id, uint64_t blocked_id);
struct contact_entry *state_contact(struct state *state, uint64_t user_id, uint64_t contact_id);
/* How many a user has blocked, and has for contacts. */
void state_need_people_counts(struct state *state, uint64_t user_id);
struct sight_entry *state_sight(struct state *state, uint64_t media_id, uint64_t user_id);

/* Whether memory alone has said all that was asked for. False, too, when failed. */
bool state_needs_nothing(struct state *state) MUST_USE;
/* What was asked for will not be loaded. */
void state_forget_needs(struct state *state);
/* Loads all that was asked for: a constant number of statements. Call again after asking for more. */
enum err state_load(struct state *state, struct db *db) MUST_USE;
/* The longest-serving admin, else, but not in channels, member of a chat besides `leaving_id`; 0 when there is nobody. */
enum err state_load_successor(struct state *state, struct db *db, const struct chat *chat, uint64_t leaving_id,
                              struct stay *ret_stay) MUST_USE;
enum err state_load_invite(struct state *state, struct db *db, struct invite_entry *invite) MUST_USE;
/* A reporter's open reports, and how many there are; or with a report's id that one instead. */
enum err state_load_reports(struct state *state, struct db *db, uint64_t reporter_id, uint64_t report_id,
                            struct reporting *reporting) MUST_USE;
enum err state_load_lease(struct state *state, struct db *db, struct lease_entry *lease) MUST_USE;

/* Writes everything decided: one array write per table. Inside the transaction. */
enum err state_write(struct state *state, struct db *db) MUST_USE;
