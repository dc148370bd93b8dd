/* Reading: one connection that can only query. One thread at a time; open as many as there are threads.
 *
 * Every function that reads on behalf of a user authorises by membership itself: what the user may not see is ERR_NOT_FOUND, as if it did not
 * exist. Results live in the caller's arena. Between read_begin() and read_end() all reads see one snapshot. What goes by the events of a chat or
 * user (messages, pages, chats with their last message, feeds, receipts) can be read only there: elsewhere it is ERR_INTERNAL, as soon as it meets what
 * db/owner_index.h has not entered yet. Messages past retention are hidden at once. */
#pragma once

#include "core/arena.h"
#include "core/limits.h"
#include "db/store.h"

struct reader;

enum err reader_open(struct store *store, struct reader **ret_reader) MUST_USE;
void reader_close(struct reader *reader);

/* Starts a snapshot and gives its head (the last id it contains; 0: an empty log). */
enum err read_begin(struct reader *reader, uint64_t *ret_head_id) MUST_USE;
void read_end(struct reader *reader);
/* The floor of the snapshot. */
uint64_t read_floor(const struct reader *reader);
/* How often the reader has connected to the database. */
uint64_t read_connections(const struct reader *reader);

/* Accounts. ERR_NOT_FOUND when there is none. */
enum err read_session(struct reader *reader, const uint8_t token[SHA256_SIZE], struct session *ret_session) MUST_USE;
/* A ticket's session. `ret_unused`: it has not been used yet (TICKET_USE has to be committed first). Expired unused tickets are ERR_NOT_FOUND. */
enum err read_ticket(struct reader *reader, const uint8_t ticket[SHA256_SIZE], struct session *ret_session, bool *ret_unused) MUST_USE;
enum err read_user(struct reader *reader, uint64_t user_id, struct arena *arena, struct user *ret_user) MUST_USE;
enum err read_user_by_name(struct reader *reader, const char *username, struct arena *arena, struct user *ret_user) MUST_USE;
enum err read_devices(struct reader *reader, uint64_t user_id, struct arena *arena, struct device **ret_devices,
                      size_t *ret_count) MUST_USE;

enum err read_device_exists(struct reader *reader, uint64_t user_id, uint64_t device_id, bool *ret_exists) MUST_USE;

/* Presence. */
struct presence_row {
    uint64_t user_id;
    int64_t active_ms; /* as stored, at most once a minute; 0: never */
};
/* Of these users those whose presence the caller may see: who share a chat with the caller and do not hide it, if the caller does not hide the own. Ascending. */
enum err read_presence(struct reader *reader, uint64_t user_id, const uint64_t *user_ids, size_t count, struct arena *arena,
                       struct presence_row **ret_rows, size_t *ret_count) MUST_USE;

/* Chats. */
struct chat_of_member {
    struct chat chat;
    enum role role;
    uint64_t joined_id;
    uint64_t read_seq; /* at most chat.last_seq */
    bool mentioned;    /* in a message that was not read yet */
    struct chat_settings settings;
    const char *draft; /* NULL: none */
    size_t draft_size;
    const struct message *last_message; /* of read_chats() and read_chat(): as the reader may see it; NULL: none that the reader may see */
};
enum err read_chat(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena,
                   struct chat_of_member *ret_chat) MUST_USE;
/* The same without draft and last message. */
enum err read_membership(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena,
                         struct chat_of_member *ret_chat) MUST_USE;
struct chat_page {
    uint64_t before_id; /* those with a lower last_id; 0: from the top */
    uint64_t since_id;  /* those with events after it, or of which the reader's own marks or settings were stored since; 0: all */
    size_t limit;
};
/* Most recent activity first. A page also ends when its last messages are of LIMIT_PAGE_BYTES. */
enum err read_chats(struct reader *reader, uint64_t user_id, const struct chat_page *page, struct arena *arena,
                    struct chat_of_member **ret_chats, size_t *ret_count, bool *ret_more) MUST_USE;
/* Messages that the user has not read, over all chats. */
enum err read_unread_total(struct reader *reader, uint64_t user_id, uint64_t *ret_total) MUST_USE;
/* Current members with user_id > after_id, ascending; of a channel only those who run it. */
enum err read_members(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t after_id, size_t limit, struct arena *arena,
                      struct stay **ret_stays, size_t *ret_count) MUST_USE;

/* Invitations. The link with that token's hash, and the chat it leads to, for whoever has the token: also one that works no more, while it is remembered. `ret_works`: whether
 * it brings a new member by now, or a request. */
enum err read_link(struct reader *reader, const uint8_t token[SHA256_SIZE], struct arena *arena, struct link *ret_link,
                   struct chat *ret_chat, bool *ret_works) MUST_USE;
/* Whether the user may not become a member of the chat. */
enum err read_is_banned(struct reader *reader, uint64_t user_id, uint64_t chat_id, bool *ret_banned) MUST_USE;
/* For admins, else ERR_FORBIDDEN: the links that work, with id > after_id; and the requests and bans of users with user_id > after_id; all ascending. */
enum err read_links(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t after_id, size_t limit, struct arena *arena,
                    struct link **ret_links, size_t *ret_count) MUST_USE;
enum err read_join_requests(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t after_id, size_t limit, struct arena *arena,
                            struct join_request **ret_requests, size_t *ret_count) MUST_USE;
enum err read_bans(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t after_id, size_t limit, struct arena *arena,
                   struct ban **ret_bans, size_t *ret_count) MUST_USE;

/* Whom the user has blocked, and has for contacts, with ids > after_id, ascending. */
enum err read_blocks(struct reader *reader, uint64_t user_id, uint64_t after_id, size_t limit, struct arena *arena,
                     struct block **ret_blocks, size_t *ret_count) MUST_USE;
enum err read_contacts(struct reader *reader, uint64_t user_id, uint64_t after_id, size_t limit, struct arena *arena,
                       struct contact **ret_contacts, size_t *ret_count) MUST_USE;

/* Messages. */
enum direction { PAGE_BEFORE, PAGE_AFTER, PAGE_AROUND };
struct page_request {
    uint64_t chat_id;
    enum direction direction;
    uint64_t cursor; /* message id; 0 with PAGE_BEFORE: from the newest */
    size_t limit;
};
/* Always ascending by id. `ret_more`: there are further messages in the direction of travel (never for PAGE_AROUND). */
enum err read_messages(struct reader *reader, uint64_t user_id, const struct page_request *request, struct arena *arena,
                       struct message **ret_messages, size_t *ret_count, bool *ret_more) MUST_USE;
enum err read_message(struct reader *reader, uint64_t user_id, uint64_t chat_id, uint64_t message_id, struct arena *arena,
                      struct message *ret_message) MUST_USE;

/* Who reacted to a message with an emoji, by user id, from after_id on. For members who can see the message; those who follow a channel see themselves. */
struct reaction {
    uint64_t user_id;
    int64_t created_ms;
};
struct reaction_request {
    uint64_t chat_id;
    uint64_t message_id;
    const char *emoji;
    uint64_t after_id;
    size_t limit;
};
enum err read_reactions(struct reader *reader, uint64_t user_id, const struct reaction_request *request, struct arena *arena,
                        struct reaction **ret_reactions, size_t *ret_count) MUST_USE;

/* What a message said before its edits, oldest first, from after_rev on: for those who see its text. At most `limit`, and no more once they have
 * LIMIT_PAGE_BYTES; `ret_more`: there are further ones. */
struct revision {
    uint64_t rev;
    const char *text;
    size_t text_size;
    int64_t edited_ms;
};
struct revision_request {
    uint64_t chat_id;
    uint64_t message_id;
    uint64_t after_rev;
    size_t limit;
};
enum err read_revisions(struct reader *reader, uint64_t user_id, const struct revision_request *request, struct arena *arena,
                        struct revision **ret_revisions, size_t *ret_count, bool *ret_more) MUST_USE;

/* The pinned messages of a chat that a member can see, the last pinned first; at most LIMIT_PINS. */
struct pin {
    uint64_t message_id;
    uint64_t seq;
    uint64_t user_id; /* who pinned it */
    int64_t pinned_ms;
};
enum err read_pins(struct reader *reader, uint64_t user_id, uint64_t chat_id, struct arena *arena, struct pin **ret_pins,
                   size_t *ret_count) MUST_USE;

/* What a member has scheduled in a chat, by due_ms; at most `limit`, and no more once they have LIMIT_PAGE_BYTES. From due_ms on, without the first `skip`. */
struct scheduled_request {
    uint64_t chat_id;
    int64_t due_ms;
    size_t skip;
    size_t limit;
};
enum err read_scheduled(struct reader *reader, uint64_t user_id, const struct scheduled_request *request, struct arena *arena,
                        struct scheduled **ret_scheduled, size_t *ret_count, bool *ret_more) MUST_USE;
/* For the scheduler: those that are due at `now_ms`, by due_ms and id, after the given one; at most LIMIT_SCHEDULE_BATCH, and no more once they have
 * LIMIT_PAGE_BYTES. */
struct due_request {
    int64_t now_ms;
    int64_t after_due_ms;
    uint64_t after_id;
};
enum err read_due(struct reader *reader, const struct due_request *request, struct arena *arena, struct scheduled **ret_scheduled,
                  size_t *ret_count) MUST_USE;
/* When the next one after `after_ms` is due; INT64_MAX: none is. */
enum err read_next_due(struct reader *reader, int64_t after_ms, int64_t *ret_due_ms) MUST_USE;

/* Reports, for administrators alone: the names of those concerned are NULL when there is no such user. */
struct report_shown {
    struct report report;
    const char *reporter_name;
    const char *user_name;
};
struct report_request {
    bool all; /* also those that are closed */
    uint64_t after_id;
    size_t limit;
};
/* Ascending by id, without copies of messages. */
enum err read_reports(struct reader *reader, const struct report_request *request, struct arena *arena, struct report_shown **ret_reports,
                      size_t *ret_count) MUST_USE;
/* With its copy, while there is one. ERR_NOT_FOUND. */
enum err read_report(struct reader *reader, uint64_t report_id, struct arena *arena, struct report_shown *ret_report) MUST_USE;
enum err read_open_reports(struct reader *reader, uint64_t *ret_count) MUST_USE;

/* How far somebody has come in a chat. */
struct receipt {
    uint64_t user_id;
    uint64_t joined_id;
    uint64_t delivered_id; /* of the log */
    uint64_t delivered_seq;
    uint64_t read_seq;
    bool hidden; /* the user does not want others to know */
};
/* Of current members with user_id > after_id who do not hide them, ascending. */
enum err read_receipts(struct reader *reader, const struct chat *chat, uint64_t after_id, size_t limit, struct arena *arena,
                       struct receipt **ret_receipts, size_t *ret_count) MUST_USE;
/* Who was to get a message: of all current members but its sender who were there when it was posted, without delivered_seq. Ascending by user_id. */
enum err read_recipients(struct reader *reader, const struct message *message, struct arena *arena, struct receipt **ret_receipts,
                         size_t *ret_count) MUST_USE;
/* Whether others may know that this one has read the message, and has it. */
bool receipt_is_read(const struct receipt *receipt, const struct message *message);
bool receipt_is_delivered(const struct receipt *receipt, const struct message *message);
/* The same of as many as there are, with no memory for each. */
struct recipient_counts {
    uint64_t members, delivered, read;
};
enum err count_recipients(struct reader *reader, const struct message *message, struct recipient_counts *ret_counts) MUST_USE;
/* The chats of at most `members` members of which a user has got messages in (after_id, up_to_id], the latest first, at most LIMIT_RECEIPT_CHATS. */
struct delivery_range {
    uint64_t after_id, up_to_id;
    uint64_t members;
};
enum err read_delivered_chats(struct reader *reader, uint64_t user_id, const struct delivery_range *range, uint64_t ret_chat_ids[],
                              size_t *ret_count) MUST_USE;
/* Who in a chat tells of receipts and is told of them: the current members who do not hide theirs, ascending. */
struct audience {
    uint64_t *user_ids;
    size_t count;
    bool everybody;
    bool too_large; /* the chat has more than `members` members: nobody is listed */
};
enum err read_audience(struct reader *reader, uint64_t chat_id, size_t members, struct arena *arena,
                       struct audience *ret_audience) MUST_USE;

/* Media. */
/* The user's own, PENDING or READY, or a READY one that the user can see in a message or as a chat's avatar; anything else is ERR_NOT_FOUND. Strings in the arena. */
enum err read_media(struct reader *reader, uint64_t user_id, uint64_t media_id, struct arena *arena, struct media *ret_media) MUST_USE;
/* For the cleanup: DOOMED ones that are due, oldest first; at most `limit`. `ret_overdue_ms`: how long the first has been due, else 0. */
enum err read_doomed(struct reader *reader, size_t limit, struct arena *arena, struct media **ret_media, size_t *ret_count,
                     int64_t *ret_overdue_ms) MUST_USE;
/* For fsck: all with id > after_id, ascending; and those with the given ids, ascending. At most `limit`. */
enum err read_all_media(struct reader *reader, uint64_t after_id, size_t limit, struct arena *arena, struct media **ret_media,
                        size_t *ret_count) MUST_USE;
enum err read_media_set(struct reader *reader, const uint64_t *media_ids, size_t count, struct arena *arena, struct media **ret_media,
                        size_t *ret_count) MUST_USE;

/* The log. */
enum token_state { TOKEN_GOOD, TOKEN_EXPIRED, TOKEN_FORK, TOKEN_FUTURE };
/* Whether a stream may continue after `id` (0 is EXPIRED unless the log was never cut). */
enum err read_token(struct reader *reader, uint64_t id, enum token_state *ret_state) MUST_USE;

/* Frames after `after_id`, ascending; `count` of them, each holding one reference that the receiver drops. */
struct feed_page {
    struct frame *frames[LIMIT_REPLAY_EVENTS];
    size_t count;
    uint64_t last_id; /* everything of the feed up to here is in the page; not always an id that is in the log: never shown to clients */
    bool complete;    /* last_id is the snapshot's head */
};
/* One page of the feed of a user: own events and those of the chats within the user's stays. Inside read_begin(). ERR_NOT_FOUND is never returned;
 * a page may be empty and not complete. */
enum err read_feed(struct reader *reader, uint64_t user_id, uint64_t after_id, struct feed_page *page) MUST_USE;
/* One page of the whole log, for the log tail. */
enum err read_log(struct reader *reader, uint64_t after_id, struct feed_page *page) MUST_USE;
void feed_page_release(struct feed_page *page); /* drops the frames still in it */

/* All open stays of a user and the closed ones that ended above `after_id`. */
enum err read_stays(struct reader *reader, uint64_t user_id, uint64_t after_id, struct arena *arena, struct stay **ret_stays,
                    size_t *ret_count) MUST_USE;
/* The id up to which messages may have gone, in some chat that the user is in, because all had acknowledged them: no event says so. 0: none has. */
enum err read_blanked(struct reader *reader, uint64_t user_id, uint64_t *ret_blanked_id) MUST_USE;
