/* JSON of the domain's objects. Owns nothing; any thread. */
#include "db/render.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    enum event_type type;
    const char *name;
} event_names[] = {
    { EVENT_MESSAGE_CREATED, "message.created" },   { EVENT_MESSAGE_EDITED, "message.edited" },
    { EVENT_MESSAGE_DELETED, "message.deleted" },   { EVENT_CHAT_CREATED, "chat.created" },
    { EVENT_CHAT_UPDATED, "chat.updated" },         { EVENT_CHAT_DELETED, "chat.deleted" },
    { EVENT_MEMBER_ADDED, "member.added" },         { EVENT_MEMBER_UPDATED, "member.updated" },
    { EVENT_MEMBER_REMOVED, "member.removed" },     { EVENT_MESSAGE_REACTED, "message.reacted" },
    { EVENT_MESSAGE_PINNED, "message.pinned" },     { EVENT_MESSAGE_UNPINNED, "message.unpinned" },
    { EVENT_USER_UPDATED, "user.updated" },         { EVENT_DEVICE_ADDED, "device.added" },
    { EVENT_DEVICE_REMOVED, "device.removed" },     { EVENT_MESSAGE_HIDDEN, "message.hidden" },
    { EVENT_JOIN_REQUESTED, "join.requested" },     { EVENT_JOIN_DECLINED, "join.declined" },
    { EVENT_CHAT_SETTINGS, "chat.settings" },       { EVENT_SCHEDULED_SENT, "scheduled.sent" },
    { EVENT_SCHEDULED_FAILED, "scheduled.failed" }, { EVENT_USER_BLOCKED, "user.blocked" },
    { EVENT_USER_UNBLOCKED, "user.unblocked" },     { EVENT_CONTACT_SAVED, "contact.saved" },
    { EVENT_CONTACT_REMOVED, "contact.removed" },   { EVENT_CHANNEL_FOLLOWED, "channel.followed" },
    { EVENT_CHANNEL_LEFT, "channel.left" },
};

static const char *const role_names[] = { [ROLE_NONE] = "none", [ROLE_MEMBER] = "member", [ROLE_ADMIN] = "admin", [ROLE_OWNER] = "owner" };

static const char *const removal_names[] = {
    [REMOVAL_LOGGED_OUT] = "logged_out", [REMOVAL_REVOKED] = "device_revoked",  [REMOVAL_PASSWORD_CHANGED] = "password_changed",
    [REMOVAL_REPLACED] = "replaced",     [REMOVAL_EXPIRED] = "session_expired",
};

const char *event_type_name(enum event_type type) {
    for (size_t i = 0; i < sizeof event_names / sizeof *event_names; i++) {
        if (event_names[i].type == type)
            return event_names[i].name;
    }
    return "unknown";
}

const char *role_name(enum role role) { return role_names[role]; }

enum role role_parse(const char *name) {
    for (enum role role = ROLE_MEMBER; role <= ROLE_OWNER; role++) {
        if (strcmp(role_names[role], name) == 0)
            return role;
    }
    return ROLE_NONE;
}

const char *removal_name(enum removal removal) { return removal_names[removal]; }

static void render_user_open(struct buf *buf, const struct user *user) {
    buf_char(buf, '{');
    json_member_id(buf, "id", user->id);
    json_member_string(buf, "username", user->username);
    json_member_string(buf, "display_name", user->display_name);
    json_member_time(buf, "created_at", user->created_ms);
}

void render_user(struct buf *buf, const struct user *user) {
    render_user_open(buf, user);
    buf_char(buf, '}');
}

void render_own_user(struct buf *buf, const struct user *user) {
    render_user_open(buf, user);
    json_member_string(buf, "presence", user->hides_presence ? "nobody" : "shared_chats");
    json_member_bool(buf, "receipts", !user->hides_receipts);
    buf_char(buf, '}');
}

void render_device(struct buf *buf, const struct device *device, uint64_t current_device_id) {
    buf_char(buf, '{');
    json_member_id(buf, "id", device->id);
    json_member_string(buf, "name", device->name);
    json_member_time(buf, "created_at", device->created_ms);
    if (current_device_id) {
        json_member_time(buf, "last_seen_at", device->seen_ms);
        json_member_bool(buf, "current", device->id == current_device_id);
    }
    buf_char(buf, '}');
}

static const char *chat_type_name(enum chat_type type) {
    switch (type) {
    case CHAT_DIRECT:
        return "direct";
    case CHAT_GROUP:
        return "group";
    case CHAT_CHANNEL:
        return "channel";
    }
    return "unknown";
}

static const char *who(const struct chat *chat, enum permission permission) {
    return chat->permissions & permission ? "members" : "admins";
}

static void render_description(struct buf *buf, const struct chat *chat) {
    if (chat->description)
        json_member_string(buf, "description", chat->description);
    else
        json_member_null(buf, "description");
}

/* What direct chats have not. */
static void render_group(struct buf *buf, const struct chat *chat) {
    render_description(buf, chat);
    if (chat->avatar_id)
        json_member_id(buf, "avatar_id", chat->avatar_id);
    else
        json_member_null(buf, "avatar_id");
    json_member_number(buf, "slow_mode_s", (uint64_t)chat->slow_mode_ms / 1000);
    json_comma(buf);
    json_key(buf, "permissions");
    buf_char(buf, '{');
    json_member_string(buf, "post", who(chat, MEMBERS_POST));
    json_member_string(buf, "add", who(chat, MEMBERS_ADD));
    json_member_string(buf, "edit", who(chat, MEMBERS_EDIT));
    buf_char(buf, '}');
}

static void render_pair(struct buf *buf, const struct chat *chat, uint64_t reader_id) {
    json_comma(buf);
    json_key(buf, "member_ids");
    buf_printf(buf, "[\"%llu\",\"%llu\"]", (unsigned long long)chat->direct_low, (unsigned long long)chat->direct_high);
    if (reader_id)
        json_member_id(buf, "peer_id", reader_id == chat->direct_low ? chat->direct_high : chat->direct_low);
}

void render_chat_open(struct buf *buf, const struct chat *chat, uint64_t reader_id, enum role role) {
    buf_char(buf, '{');
    json_member_id(buf, "id", chat->id);
    json_member_string(buf, "type", chat_type_name(chat->type));
    if (chat->title)
        json_member_string(buf, "title", chat->title);
    else
        json_member_null(buf, "title");
    json_member_string(buf, "history", chat->history == HISTORY_ALL ? "all" : "from_join");
    json_member_number(buf, "rev", chat->changed_rev);
    json_member_number(buf, "last_rev", chat->last_rev);
    json_member_number(buf, "last_seq", chat->last_seq);
    json_member_id(buf, "last_id", chat->last_id);
    json_member_number(buf, "member_count", chat->member_count);
    json_member_time(buf, "created_at", chat->created_ms);
    json_member_id(buf, "created_by", chat->created_by);
    json_member_number(buf, "message_ttl_s", (uint64_t)chat->message_ttl_ms / 1000);
    json_member_bool(buf, "until_delivered", chat->until_delivered);
    if (chat->type == CHAT_DIRECT)
        render_pair(buf, chat, reader_id);
    else
        render_group(buf, chat);
    if (chat->type == CHAT_CHANNEL)
        json_member_bool(buf, "public", chat->is_public);
    if (role != ROLE_NONE)
        json_member_string(buf, "my_role", role_name(role));
}

void render_chat(struct buf *buf, const struct chat *chat, uint64_t reader_id, enum role role) {
    render_chat_open(buf, chat, reader_id, role);
    buf_char(buf, '}');
}

static void render_moment(struct buf *buf, const char *name, int64_t time_ms) {
    if (time_ms)
        json_member_time(buf, name, time_ms);
    else
        json_member_null(buf, name);
}

void render_settings(struct buf *buf, const struct chat_settings *settings) {
    buf_char(buf, '{');
    render_moment(buf, "muted_until", settings->muted_until_ms);
    json_member_bool(buf, "archived", settings->archived);
    render_moment(buf, "pinned_at", settings->pinned_ms);
    buf_char(buf, '}');
}

void render_draft(struct buf *buf, const char *text, size_t size) {
    if (text)
        json_member_text(buf, "draft", text, size);
    else
        json_member_null(buf, "draft");
}

void render_stay(struct buf *buf, const struct stay *stay) {
    buf_char(buf, '{');
    json_member_id(buf, "user_id", stay->user_id);
    json_member_string(buf, "role", role_name(stay->role));
    json_member_time(buf, "joined_at", stay->joined_ms);
    buf_char(buf, '}');
}

static void render_expiry(struct buf *buf, const struct link *link) {
    if (link->expires_ms == LINK_NEVER)
        json_member_null(buf, "expires_at");
    else
        json_member_time(buf, "expires_at", link->expires_ms);
}

void render_link(struct buf *buf, const struct link *link, const char *token) {
    buf_char(buf, '{');
    json_member_id(buf, "id", link->id);
    json_member_id(buf, "chat_id", link->chat_id);
    if (token)
        json_member_string(buf, "token", token);
    json_member_bool(buf, "approval", link->needs_approval);
    if (link->uses_max)
        json_member_number(buf, "uses", link->uses_max);
    else
        json_member_null(buf, "uses");
    json_member_number(buf, "used", link->uses);
    render_expiry(buf, link);
    json_member_time(buf, "created_at", link->created_ms);
    json_member_id(buf, "created_by", link->created_by);
    buf_char(buf, '}');
}

void render_invitation(struct buf *buf, const struct link *link, const struct chat *chat) {
    buf_char(buf, '{');
    json_member_id(buf, "chat_id", chat->id);
    json_member_string(buf, "type", chat_type_name(chat->type));
    json_member_string(buf, "title", chat->title ? chat->title : "");
    render_description(buf, chat);
    json_member_number(buf, "member_count", chat->member_count);
    json_member_bool(buf, "approval", link->needs_approval);
    render_expiry(buf, link);
    buf_char(buf, '}');
}

void render_join_request(struct buf *buf, const struct join_request *request) {
    buf_char(buf, '{');
    json_member_id(buf, "chat_id", request->chat_id);
    json_member_id(buf, "user_id", request->user_id);
    json_member_id(buf, "link_id", request->link_id);
    json_member_time(buf, "created_at", request->created_ms);
    buf_char(buf, '}');
}

void render_ban(struct buf *buf, const struct ban *ban) {
    buf_char(buf, '{');
    json_member_id(buf, "user_id", ban->user_id);
    json_member_id(buf, "banned_by", ban->by_id);
    json_member_time(buf, "created_at", ban->created_ms);
    buf_char(buf, '}');
}

void render_block(struct buf *buf, const struct block *block) {
    buf_char(buf, '{');
    json_member_id(buf, "user_id", block->blocked_id);
    json_member_time(buf, "blocked_at", block->created_ms);
    buf_char(buf, '}');
}

void render_contact(struct buf *buf, const struct contact *contact) {
    buf_char(buf, '{');
    json_member_id(buf, "user_id", contact->contact_id);
    if (contact->name)
        json_member_string(buf, "name", contact->name);
    else
        json_member_null(buf, "name");
    json_member_time(buf, "added_at", contact->created_ms);
    buf_char(buf, '}');
}

const char *report_category_name(enum report_category category) {
    static const char *const names[] = {
        [REPORT_SPAM] = "spam",       [REPORT_HARASSMENT] = "harassment",       [REPORT_VIOLENCE] = "violence", [REPORT_SEXUAL] = "sexual",
        [REPORT_ILLEGAL] = "illegal", [REPORT_IMPERSONATION] = "impersonation", [REPORT_OTHER] = "other",
    };
    return names[category];
}

void render_report(struct buf *buf, const struct report *report) {
    render_report_open(buf, report);
    buf_char(buf, '}');
}

void render_report_open(struct buf *buf, const struct report *report) {
    buf_char(buf, '{');
    json_member_id(buf, "id", report->id);
    json_member_id(buf, "user_id", report->user_id);
    if (report->message_id) {
        json_member_id(buf, "chat_id", report->chat_id);
        json_member_id(buf, "message_id", report->message_id);
    }
    json_member_string(buf, "category", report_category_name(report->category));
    json_member_string(buf, "reason", report->reason);
    json_member_time(buf, "created_at", report->created_ms);
}

static void render_gone(struct buf *buf, const struct message *message) {
    json_member_id(buf, "id", message->id);
    json_member_id(buf, "chat_id", message->chat_id);
    if (message->seq)
        json_member_number(buf, "seq", message->seq);
    json_member_bool(buf, "deleted", true);
}

static void render_hidden(struct buf *buf, const struct message *message) {
    json_member_id(buf, "id", message->id);
    json_member_id(buf, "chat_id", message->chat_id);
    json_member_number(buf, "seq", message->seq);
    json_member_bool(buf, "hidden", true);
}

/* What an attachment and its thumbnail have in common; all in one order, which db/chain.c relies on. */
static void render_file(struct buf *buf, const struct media *media) {
    json_member_string(buf, "content_type", media->content_type);
    json_member_number(buf, "size", (uint64_t)media->size);
    json_member_hex(buf, "md5", media->md5, sizeof media->md5);
    if (media->has_sha256)
        json_member_hex(buf, "sha256", media->sha256, sizeof media->sha256);
    if (media->file_name)
        json_member_string(buf, "file_name", media->file_name);
    if (media->width)
        json_member_number(buf, "width", media->width);
    if (media->height)
        json_member_number(buf, "height", media->height);
    if (media->duration_ms)
        json_member_number(buf, "duration_ms", media->duration_ms);
    if (media->blurhash)
        json_member_string(buf, "blurhash", media->blurhash);
}

void render_attachment_open(struct buf *buf, const struct media *media, const struct media *thumbnail) {
    buf_char(buf, '{');
    json_member_id(buf, "id", media->id);
    render_file(buf, media);
    if (thumbnail) {
        json_comma(buf);
        json_key(buf, "thumbnail");
        render_attachment(buf, thumbnail, NULL);
    }
}

void render_attachment(struct buf *buf, const struct media *media, const struct media *thumbnail) {
    render_attachment_open(buf, media, thumbnail);
    buf_char(buf, '}');
}

void render_media_open(struct buf *buf, const struct media *media) {
    buf_char(buf, '{');
    json_member_id(buf, "id", media->id);
    json_member_string(buf, "state", media->state == MEDIA_PENDING ? "pending" : "ready");
    render_file(buf, media);
    if (media->thumbnail_id)
        json_member_id(buf, "thumbnail_id", media->thumbnail_id);
    json_member_time(buf, "created_at", media->created_ms);
    if (media->expires_ms != MEDIA_NEVER)
        json_member_time(buf, "expires_at", media->expires_ms);
}

/* An array whose items are rendered already; NULL: none. */
static void render_array(struct buf *buf, const char *name, const char *items, size_t size) {
    if (!items)
        return;
    json_comma(buf);
    json_key(buf, name);
    buf_char(buf, '[');
    buf_append(buf, items, size);
    buf_char(buf, ']');
}

void render_mention(struct buf *buf, const struct mention *mention) {
    buf_char(buf, '{');
    json_member_id(buf, "user_id", mention->user_id);
    json_member_number(buf, "offset", mention->offset);
    json_member_number(buf, "length", mention->length);
    buf_char(buf, '}');
}

static void render_mentions_of(struct buf *buf, const struct scheduled *scheduled) {
    if (scheduled->mention_count == 0)
        return;
    json_comma(buf);
    json_key(buf, "mentions");
    buf_char(buf, '[');
    for (size_t i = 0; i < scheduled->mention_count; i++) {
        json_comma(buf);
        render_mention(buf, &scheduled->mentions[i]);
    }
    buf_char(buf, ']');
}

void render_scheduled(struct buf *buf, const struct scheduled *scheduled) {
    buf_char(buf, '{');
    json_member_id(buf, "id", scheduled->id);
    json_member_id(buf, "chat_id", scheduled->chat_id);
    json_member_time(buf, "send_at", scheduled->due_ms);
    json_member_time(buf, "created_at", scheduled->created_ms);
    json_member_text(buf, "text", scheduled->text ? scheduled->text : "", scheduled->text_size);
    if (scheduled->attachments) {
        buf_string(buf, ",\"attachments\":[");
        buf_append(buf, scheduled->attachments, scheduled->attachments_size);
        buf_char(buf, ']');
    }
    if (scheduled->reply_to)
        json_member_id(buf, "reply_to", scheduled->reply_to);
    render_mentions_of(buf, scheduled);
    if (scheduled->ttl_ms)
        json_member_number(buf, "ttl_s", (uint64_t)scheduled->ttl_ms / 1000);
    if (scheduled->failure)
        json_member_string(buf, "failed", scheduled->failure);
    buf_char(buf, '}');
}

static void render_reply(struct buf *buf, const struct quotation *reply_to) {
    if (!reply_to->id)
        return;
    json_comma(buf);
    json_key(buf, "reply_to");
    buf_char(buf, '{');
    json_member_id(buf, "id", reply_to->id);
    json_member_number(buf, "seq", reply_to->seq);
    json_member_id(buf, "sender_id", reply_to->sender_id);
    buf_char(buf, '}');
}

void render_reactions(struct buf *buf, const struct message *message) {
    render_array(buf, "reactions", message->reactions ? message->reactions : "", message->reactions_size);
    json_member_number(buf, "reactions_rev", message->reactions_rev);
}

/* The text with what proves it, or what stands in its place. */
static void render_content(struct buf *buf, const struct message *message) {
    if (message->deleted_ms) {
        json_member_bool(buf, "deleted", true);
        json_member_time(buf, "deleted_at", message->deleted_ms);
    } else if (message->withheld) {
        json_member_bool(buf, "withheld", true);
    } else {
        json_member_text(buf, "text", message->text, message->text_size);
        render_array(buf, "attachments", message->attachments, message->attachments_size);
        render_reply(buf, &message->reply_to);
        render_array(buf, "mentions", message->mentions, message->mentions_size);
        if (message->forwarded)
            json_member_bool(buf, "forwarded", true);
        if (message->reactions_rev)
            render_reactions(buf, message);
        if (message->expires_ms)
            json_member_time(buf, "expires_at", message->expires_ms);
        if (message->client_key)
            json_member_string(buf, "client_key", message->client_key);
        if (message->edited_ms)
            json_member_time(buf, "edited_at", message->edited_ms);
    }
    json_member_hex(buf, "chain", message->chain, sizeof message->chain);
    json_member_hex(buf, message->original ? "salt" : "body_hash", message->seal, sizeof message->seal);
}

void render_message(struct buf *buf, const struct message *message) {
    buf_char(buf, '{');
    if (message->gone) {
        render_gone(buf, message);
    } else if (message->hidden) {
        render_hidden(buf, message);
    } else {
        json_member_id(buf, "id", message->id);
        json_member_id(buf, "chat_id", message->chat_id);
        json_member_id(buf, "sender_id", message->sender_id);
        json_member_number(buf, "seq", message->seq);
        json_member_number(buf, "rev", message->rev);
        json_member_time(buf, "created_at", message->created_ms);
        render_content(buf, message);
    }
    buf_char(buf, '}');
}

#define FRAME_OVERHEAD_BYTES 560 /* what a frame of a short message has besides its text */

/* Where the parts of a frame lie in the buffer it is rendered into. */
struct frame_parts {
    size_t unnamed, object, object_size;
};

static void render_data(struct buf *buf, const struct event *event, struct frame_parts *parts) {
    buf_char(buf, '{');
    json_member_string(buf, "type", event_type_name(event->type));
    if (!event_is_user(event->type)) {
        json_member_id(buf, "chat_id", event->owner_id);
        json_member_number(buf, "rev", event->rev);
        json_member_id(buf, "actor_id", event->actor_id);
    }
    if (event_is_message(event->type)) {
        json_comma(buf);
        json_key(buf, "message");
        parts->object = buf->size;
        render_message(buf, &event->message);
        parts->object_size = buf->size - parts->object;
    } else if (event->body_size) {
        json_comma(buf);
        buf_append(buf, event->body, event->body_size);
    } else if (event_is_about_message(event->type)) {
        json_member_id(buf, "message_id", event->ref_id);
        json_member_bool(buf, "withheld", true);
    }
    if (event->type == EVENT_CHAT_SETTINGS)
        render_draft(buf, event->draft, event->draft_size);
    buf_char(buf, '}');
}

static void render_frame(struct buf *buf, const struct event *event, struct frame_parts *parts) {
    buf_string(buf, "event: ");
    buf_string(buf, event_type_name(event->type));
    buf_string(buf, "\n");
    parts->unnamed = buf->size;
    buf_string(buf, "id: ");
    buf_u64(buf, event->id);
    buf_string(buf, "\ndata: ");
    render_data(buf, event, parts);
    buf_string(buf, "\n\n");
}

/* The frame's struct and its bytes are one allocation: rendered in place behind a gap that the struct then fills. */
struct frame *frame_new(const struct event *event) {
    struct frame_parts parts = { 0 };
    struct buf buf = BUF_INIT;
    if (!buf_reserve(&buf, sizeof(struct frame) + event->message.text_size + event->message.attachments_size +
                               event->message.mentions_size + event->message.reactions_size + event->body_size + event->draft_size +
                               FRAME_OVERHEAD_BYTES))
        return NULL;
    buf.size = sizeof(struct frame);
    render_frame(&buf, event, &parts);
    if (!buf_ok(&buf)) {
        buf_release(&buf);
        return NULL;
    }
    uint32_t gap = sizeof(struct frame);
    uint32_t size = (uint32_t)buf.size - gap;
    struct frame *frame = (struct frame *)(void *)buf_detach(&buf);
    *frame = (struct frame){
        .references = 1,
        .type = event->type,
        .id = event->id,
        .owner_id = event->owner_id,
        .ref_id = event->ref_id,
        .changed_id = event_is_message(event->type) ? event->message.changed_id : event->id,
        .size = size,
        .unnamed = (uint32_t)parts.unnamed - gap,
        .object = parts.object ? (uint32_t)parts.object - gap : 0,
        .object_size = (uint32_t)parts.object_size,
        .expires_ms = event_is_message(event->type) && !event->message.deleted_ms ? event->message.expires_ms : 0,
        .removal = event->type == EVENT_DEVICE_REMOVED ? event->removal : 0,
    };
    return frame;
}

bool frame_set_withheld(struct frame *frame, const struct event *event) {
    struct event withheld = *event;
    withheld.message.withheld = true;
    withheld.body = NULL;
    withheld.body_size = 0;
    frame->withheld = frame_new(&withheld);
    return frame->withheld != NULL;
}

bool frame_set_hidden(struct frame *frame, const struct event *event) {
    struct event hidden = *event;
    message_hide(&hidden.message);
    hidden.body = NULL;
    hidden.body_size = 0;
    frame->hidden = frame_new(&hidden);
    frame->hidden_from = event->hidden_from;
    return frame->hidden != NULL;
}

bool frame_set_members(struct frame *frame, const uint64_t *user_ids, size_t count) {
    frame->members = malloc(count * sizeof *user_ids);
    if (!frame->members)
        return false;
    memcpy(frame->members, user_ids, count * sizeof *user_ids);
    frame->member_count = (uint32_t)count;
    return true;
}

struct frame *frame_hold(struct frame *frame) {
    atomic_fetch_add_explicit(&frame->references, 1, memory_order_relaxed);
    return frame;
}

void frame_drop(struct frame *frame) {
    if (!frame || atomic_fetch_sub_explicit(&frame->references, 1, memory_order_acq_rel) != 1)
        return;
    frame_drop(frame->withheld);
    frame_drop(frame->hidden);
    free(frame->members);
    free(frame);
}
