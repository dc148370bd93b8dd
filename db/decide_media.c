/* Decisions on media: objects in the storage that messages refer to. */
#include "db/decide.h"

#include <stdlib.h>
#include <string.h>

#include "core/random.h"

#define NOT_YOURS "one of these media does not exist, or is not yours to attach"

/* ---- Answers ---- */

static char *append_string(char *at, const char *string, const char **ret_copy) {
    size_t size = string ? strlen(string) + 1 : 0;
    if (!string)
        return at;
    memcpy(at, string, size);
    *ret_copy = at;
    return at + size;
}

/* The row as it is now, with strings of the command's own: later commands of the batch may change it. */
static void answer_media(struct state *state, struct command *command, const struct media *media) {
    const char *const strings[] = { media->content_type, media->file_name, media->blurhash, media->upload_id };
    size_t size = 1;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        size += strings[i] ? strlen(strings[i]) + 1 : 0;
    char *at = malloc(size);
    if (!at) {
        state->failed = true;
        return;
    }
    command->out.id = media->id;
    command->out.media = *media;
    command->out.media_strings = at;
    at = append_string(at, media->content_type, &command->out.media.content_type);
    at = append_string(at, media->file_name, &command->out.media.file_name);
    at = append_string(at, media->blurhash, &command->out.media.blurhash);
    append_string(at, media->upload_id, &command->out.media.upload_id);
}

/* ---- Rows ---- */

static void media_changed(struct state *state, struct media_entry *entry) {
    if (entry->listed)
        return;
    entry->listed = true;
    state_push(state, &state->changed_media, entry);
}

static void add_bytes(struct state *state, struct user_entry *user, int64_t bytes) {
    user->user.media_bytes += bytes;
    if (user->bytes_listed)
        return;
    user->bytes_listed = true;
    state_push(state, &state->changed_bytes, user);
}

static bool alive(const struct media_entry *entry) { return entry && entry->found && entry->media.state != MEDIA_DOOMED; }

/* The media, when it is the actor's and not doomed; else refused. */
static struct media_entry *find_own(struct state *state, struct command *command, uint64_t media_id) {
    struct media_entry *entry = state_media(state, media_id);
    if (alive(entry) && entry->media.owner_id == command->actor_id)
        return entry;
    refuse(command, ERR_NOT_FOUND, NULL, NULL);
    return NULL;
}

/* What was counted as an upload of its owner's is none any more. */
static void end_pending(struct state *state, const struct media_entry *entry) {
    struct user_entry *user = state_user(state, entry->media.owner_id);
    if (user && user->pending_count > 0)
        user->pending_count--;
}

/* A thumbnail lives at least as long as what it shows. */
static void prolong_thumbnail(struct state *state, const struct media *parent) {
    struct media_entry *thumbnail = parent->thumbnail_id ? state_media(state, parent->thumbnail_id) : NULL;
    if (!alive(thumbnail) || thumbnail->media.expires_ms >= parent->expires_ms)
        return;
    thumbnail->media.expires_ms = parent->expires_ms;
    media_changed(state, thumbnail);
}

/* ---- Uploads ---- */

static bool thumbnail_fits(struct state *state, const struct command *command) {
    uint64_t id = command->in.media_create.media.thumbnail_id;
    const struct media_entry *entry = id ? state_media(state, id) : NULL;
    if (!id)
        return true;
    return entry && entry->found && entry->media.state == MEDIA_READY && entry->media.owner_id == command->actor_id &&
           strncmp(entry->media.content_type, "image/", 6) == 0;
}

/* True when the command may reserve its object. */
static bool upload_fits(struct state *state, struct command *command, const struct user_entry *user) {
    int64_t quota = state->config->media_quota, size = command->in.media_create.media.size;
    if (!user->found)
        refuse(command, ERR_NOT_FOUND, NULL, NULL);
    else if (!thumbnail_fits(state, command))
        refuse(command, ERR_BAD_FIELD, "thumbnail_id", "a thumbnail is an image of your own that was uploaded completely");
    else if (user->pending_count >= (uint64_t)state->config->media_pending)
        refuse(command, ERR_TOO_MANY_UPLOADS, NULL, "complete or delete some of your uploads first");
    else if (quota != 0 && (user->user.media_bytes > quota || size > quota - user->user.media_bytes))
        refuse(command, ERR_MEDIA_QUOTA, "size", "all your media together would be larger than allowed");
    return command->refusal.err == OK;
}

static void answer_repeated(struct state *state, struct command *command, uint64_t media_id) {
    const struct media_entry *entry = find_own(state, command, media_id);
    if (!entry)
        return;
    command->out.existed = true;
    answer_media(state, command, &entry->media);
}

static struct media_entry *new_media(struct state *state, const struct command *command) {
    struct media_entry *entry = state_media(state, id_next(state->ids, state->now_ms));
    if (!entry)
        return NULL;
    uint64_t id = entry->media.id;
    entry->found = entry->listed = true;
    entry->media = command->in.media_create.media;
    entry->media.id = id;
    entry->media.owner_id = command->actor_id;
    entry->media.state = MEDIA_PENDING;
    entry->media.upload_id = NULL;
    entry->media.created_ms = state->now_ms;
    entry->media.expires_ms = state->now_ms + state->config->media_unused_ms;
    entry->media.upload_until_ms = command->in.media_create.upload_until_ms;
    random_bytes(entry->media.token, sizeof entry->media.token);
    state_push(state, &state->new_media, entry);
    return entry;
}

void decide_media_create(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct user_entry *user = state_user(state, command->actor_id);
    if (!user)
        return;
    if (key_seen(state, slot)) {
        if (slot->repeated_id)
            answer_repeated(state, command, slot->repeated_id);
        return;
    }
    if (!upload_fits(state, command, user))
        return;
    struct media_entry *entry = new_media(state, command);
    if (!entry)
        return;
    user->pending_count++;
    add_bytes(state, user, entry->media.size);
    prolong_thumbnail(state, &entry->media);
    key_note(state, command, entry->media.id);
    answer_media(state, command, &entry->media);
}

void decide_media_begin(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct media_entry *entry = find_own(state, command, command->in.media_begin.media_id);
    if (!entry)
        return;
    if (entry->media.state != MEDIA_PENDING || entry->media.upload_id)
        return refuse(command, ERR_CONFLICT, NULL, "the upload was begun or completed meanwhile");
    entry->media.upload_id = command->in.media_begin.upload_id;
    media_changed(state, entry);
    answer_media(state, command, &entry->media);
}

void decide_media_complete(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct media_entry *entry = find_own(state, command, command->in.media_complete.media_id);
    if (!entry)
        return;
    command->out.existed = entry->media.state == MEDIA_READY;
    if (!command->out.existed) {
        end_pending(state, entry);
        entry->media.state = MEDIA_READY;
        entry->media.expires_ms = state->now_ms + state->config->media_unused_ms;
        media_changed(state, entry);
        prolong_thumbnail(state, &entry->media);
    }
    answer_media(state, command, &entry->media);
}

void decide_media_sign(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct media_entry *entry = find_own(state, command, command->in.media_sign.media_id);
    if (!entry)
        return;
    if (entry->media.state != MEDIA_PENDING)
        return refuse(command, ERR_CONFLICT, NULL, "the upload was completed meanwhile");
    if (entry->media.upload_until_ms < command->in.media_sign.upload_until_ms) {
        entry->media.upload_until_ms = command->in.media_sign.upload_until_ms;
        media_changed(state, entry);
    }
    answer_media(state, command, &entry->media);
}

/* ---- The end ---- */

void decide_media_delete(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct media_entry *entry = find_own(state, command, command->in.media_delete.media_id);
    if (!entry)
        return;
    if (entry->references > 0)
        return refuse(command, ERR_MEDIA_IN_USE, NULL,
                      "messages or chats refer to it: delete them first, or let the chats show something else");
    if (entry->media.state == MEDIA_PENDING)
        end_pending(state, entry);
    entry->media.state = MEDIA_DOOMED;
    entry->media.expires_ms = state->now_ms;
    media_changed(state, entry);
    command->out.id = entry->media.id;
}

/* An upload URL that worked after the row was due may have been used after its object was deleted: then it is deleted once more. */
static bool may_come_back(const struct media *media) { return media->upload_until_ms >= media->expires_ms; }

static void forget_media(struct state *state, struct command *command, struct media_entry *entry) {
    struct user_entry *owner = state_user(state, entry->media.owner_id);
    if (owner && owner->found)
        add_bytes(state, owner, -entry->media.size);
    entry->found = false;
    push_bulk(state, BULK_FORGET_MEDIA, entry->media.id, 0);
    command->out.sweep.rows++;
    command->out.sweep.bytes += (uint64_t)entry->media.size;
}

void decide_media_forget(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    for (size_t i = 0; i < command->in.media_forget.count; i++) {
        struct media_entry *entry = state_media(state, command->in.media_forget.media_ids[i]);
        bool due = entry && entry->found && entry->media.state == MEDIA_DOOMED && entry->media.expires_ms <= state->now_ms;
        if (due && may_come_back(&entry->media)) {
            entry->media.expires_ms = entry->media.upload_until_ms + 1000;
            media_changed(state, entry);
        } else if (due) {
            forget_media(state, command, entry);
        }
    }
}

/* ---- Messages ---- */

static enum err judge_attachment(struct state *state, const struct command *command, const struct media_entry *entry) {
    if (!alive(entry))
        return ERR_BAD_FIELD;
    if (entry->media.owner_id == command->actor_id)
        return entry->media.state == MEDIA_READY ? OK : ERR_MEDIA_NOT_READY;
    const struct sight_entry *sight = state_sight(state, entry->media.id, command->actor_id);
    return entry->media.state == MEDIA_READY && sight && sight->seen ? OK : ERR_BAD_FIELD;
}

bool media_may_attach(struct state *state, struct command *command) {
    for (size_t i = 0; i < command->in.message_post.media_count; i++) {
        const struct media_entry *entry = state_media(state, command->in.message_post.media_ids[i]);
        enum err err = judge_attachment(state, command, entry);
        if (err == OK)
            continue;
        refuse(command, err, "attachments", err == ERR_MEDIA_NOT_READY ? "complete the upload first" : NOT_YOURS);
        return false;
    }
    return true;
}

static bool is_attached(const struct message_entry *message, const struct media_entry *media) {
    for (size_t i = 0; i < message->attached.count; i++) {
        if (message->attached.items[i] == media)
            return true;
    }
    return false;
}

static void hold(struct state *state, struct media_entry *media) {
    media->references++;
    media->media.expires_ms = MEDIA_NEVER;
    media_changed(state, media);
}

/* A thumbnail may be attached by itself, too, or belong to several: one row is enough. */
static void refer(struct state *state, struct message_entry *message, struct media_entry *media) {
    struct attachment_row *row = is_attached(message, media) ? NULL : state_alloc(state, sizeof *row);
    if (!row)
        return;
    *row = (struct attachment_row){ message->message.id, media->media.id, message->message.chat_id };
    state_push(state, &state->new_attachments, row);
    state_push(state, &message->attached, media);
    hold(state, media);
}

static struct media_entry *thumbnail_of(struct state *state, const struct media_entry *media) {
    struct media_entry *thumbnail = media->media.thumbnail_id ? state_media(state, media->media.thumbnail_id) : NULL;
    return thumbnail && thumbnail->found && thumbnail->media.state == MEDIA_READY ? thumbnail : NULL;
}

/* Rendered once, so that history needs no join. */
static void keep_attachments(struct state *state, struct message *message, struct buf *rendered) {
    message->attachments = buf_ok(rendered) ? arena_copy(state->arena, rendered->bytes, rendered->size) : NULL;
    message->attachments_size = rendered->size;
    if (!message->attachments)
        state->failed = true;
    buf_release(rendered);
}

void media_attach(struct state *state, const struct command *command, struct message_entry *message) {
    struct buf rendered = BUF_INIT;
    for (size_t i = 0; i < command->in.message_post.media_count; i++) {
        struct media_entry *media = state_media(state, command->in.message_post.media_ids[i]);
        struct media_entry *thumbnail = media ? thumbnail_of(state, media) : NULL;
        if (!media)
            continue;
        if (i > 0)
            buf_char(&rendered, ',');
        render_attachment(&rendered, &media->media, thumbnail ? &thumbnail->media : NULL);
        refer(state, message, media);
        if (thumbnail)
            refer(state, message, thumbnail);
    }
    if (command->in.message_post.media_count > 0)
        keep_attachments(state, &message->message, &rendered);
}

void media_share(struct state *state, const struct message_entry *from, struct message_entry *message) {
    for (size_t i = 0; i < from->attached.count; i++)
        refer(state, message, from->attached.items[i]);
    message->message.attachments = from->message.attachments;
    message->message.attachments_size = from->message.attachments_size;
}

static void release(struct state *state, struct media_entry *media) {
    if (media->references > 0)
        media->references--;
    if (media->references > 0 || media->media.state != MEDIA_READY)
        return;
    media->media.expires_ms = state->now_ms + state->config->media_grace_ms;
    media_changed(state, media);
}

void media_detach(struct state *state, struct message_entry *message) {
    if (!message->message.attachments)
        return;
    for (size_t i = 0; i < message->attached.count; i++)
        release(state, message->attached.items[i]);
    message->attached.count = 0;
    message->message.attachments = NULL;
    message->message.attachments_size = 0;
    push_bulk(state, BULK_DROP_ATTACHMENTS, message->message.id, 0);
}

/* ---- Avatars ---- */

bool may_show_avatar(struct state *state, struct command *command, uint64_t media_id) {
    const struct media_entry *entry = state_media(state, media_id);
    if (!media_id)
        return true;
    if (!alive(entry) || entry->media.owner_id != command->actor_id || strncmp(entry->media.content_type, "image/", 6) != 0)
        refuse(command, ERR_BAD_FIELD, "avatar_id", "an avatar is an image of your own");
    else if (entry->media.state != MEDIA_READY)
        refuse(command, ERR_MEDIA_NOT_READY, "avatar_id", "complete the upload first");
    return command->refusal.err == OK;
}

void show_avatar(struct state *state, struct chat_entry *chat, uint64_t media_id) {
    struct media_entry *before = state_media(state, chat->chat.avatar_id), *after = state_media(state, media_id);
    if (!before || !after || chat->chat.avatar_id == media_id)
        return;
    if (after->found)
        hold(state, after);
    if (before->found)
        release(state, before);
    chat->chat.avatar_id = media_id;
    if (chat->avatar_listed)
        return;
    chat->avatar_listed = true;
    state_push(state, &state->changed_avatars, chat);
}

/* ---- Leases ---- */

void decide_lease(struct state *state, struct slot *slot) {
    struct command *command = slot->command;
    struct lease_entry *lease = slot->lease;
    if (!lease)
        return;
    if (lease->until_ms > state->now_ms && lease->holder != command->in.lease.holder)
        return refuse(command, ERR_CONFLICT, NULL, "somebody else has it");
    lease->holder = command->in.lease.holder;
    lease->until_ms = command->in.lease.until_ms;
    state_push(state, &state->leases, lease);
}
